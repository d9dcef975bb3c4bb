//! What an agent executes: a real shell whose only programs are shims that write down how they
//! were called.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

/// The programs that an agent can find. None of them does anything.
const PROGRAMS: [&str; 12] =
    ["pip", "pip3", "npm", "npx", "curl", "wget", "sh", "bash", "git", "rm", "cargo", "ls"];

/// A folder with the shims and what they wrote down.
#[derive(Debug)]
pub struct Shell {
    folder: TempDir,
}

impl Shell {
    /// A new folder of shims.
    pub fn new() -> io::Result<Self> {
        let folder = TempDir::new()?;
        fs::create_dir(folder.path().join("bin"))?;
        fs::create_dir(folder.path().join("work"))?;
        fs::write(folder.path().join("ran"), "")?;
        for name in PROGRAMS {
            shim(&folder.path().join("bin").join(name), name, &folder.path().join("ran"))?;
        }
        Ok(Self { folder })
    }

    /// Runs a command as an agent does, and waits for it.
    pub fn run(&self, command: &str) -> io::Result<()> {
        Command::new("/bin/sh")
            .args(["-c", command])
            .env_clear()
            .env("PATH", self.programs())
            .current_dir(self.folder.path().join("work"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map(drop)
    }

    /// The folder to put into `PATH`.
    pub fn programs(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// The lines written down since the last call: a program and its arguments.
    pub fn take(&self) -> io::Result<Vec<String>> {
        let file = self.folder.path().join("ran");
        let ran = fs::read_to_string(&file)?;
        fs::write(&file, "")?;
        Ok(ran.lines().map(str::to_owned).collect())
    }
}

fn shim(path: &Path, name: &str, log: &Path) -> io::Result<()> {
    let log = log.display();
    fs::write(path, format!("#!/bin/sh\nprintf '%s\\n' \"{name}${{*:+ $*}}\" >> '{log}'\n"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_runs_is_written_down_and_nothing_else_is() {
        let shell = Shell::new().unwrap();
        shell.run("pip install 're'quests && true || curl http://127.0.0.1:9/x").unwrap();
        assert_eq!(shell.take().unwrap(), ["pip install requests"]);
        shell.run("echo pip install requests; no-such-program").unwrap();
        assert!(shell.take().unwrap().is_empty());
    }
}
