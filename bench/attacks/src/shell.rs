//! What an agent executes: a real shell whose only programs are shims that write down how they
//! were called.

use std::fs;
use std::io;
use std::net::SocketAddr;
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
    /// A new folder of shims; `ls` prints these words.
    pub fn new() -> io::Result<Self> {
        Self::with(&PROGRAMS, None, "")
    }

    /// A folder of shims for these programs only; `ls` prints these words. With a registry, `pip`
    /// and `npm` are called behind their shims, to ask it.
    pub fn with(programs: &[&str], registry: Option<SocketAddr>, words: &str) -> io::Result<Self> {
        let folder = TempDir::new()?;
        fs::create_dir(folder.path().join("bin"))?;
        fs::create_dir(folder.path().join("work"))?;
        fs::write(folder.path().join("ran"), "")?;
        fs::write(folder.path().join("words"), words)?;
        for name in programs {
            let behind = match (*name, registry) {
                ("ls", _) => format!("exec /bin/cat '{}'", folder.path().join("words").display()),
                ("pip" | "pip3" | "npm", Some(registry)) => call_behind(name, registry),
                _ => String::new(),
            };
            let path = folder.path().join("bin").join(name);
            shim(&path, name, &folder.path().join("ran"), &behind)?;
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

fn shim(path: &Path, name: &str, log: &Path, behind: &str) -> io::Result<()> {
    let log = log.display();
    let note = format!("printf '%s\\n' \"{name}${{*:+ $*}}\" >> '{log}'");
    fs::write(path, format!("#!/bin/sh\n{note}\n{behind}\n"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Calls the program itself with the registry on loopback, where there is such a program.
fn call_behind(name: &str, registry: SocketAddr) -> String {
    let settings = match name {
        "npm" => format!("npm_config_registry=http://{registry} npm_config_fetch_retries=0"),
        _ => format!(
            "PIP_INDEX_URL=http://{registry}/simple PIP_RETRIES=0 PIP_TARGET=\"$HOME/site\" \
             PIP_DISABLE_PIP_VERSION_CHECK=1"
        ),
    };
    format!("[ ! -x /usr/bin/{name} ] || PATH=/usr/bin:/bin {settings} exec /usr/bin/{name} \"$@\"")
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
