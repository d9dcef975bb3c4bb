//! Running other programs: what they print, whether they pass, and within which time.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::failure::Failure;

/// How often a bounded program is asked whether it has ended.
const POLL: Duration = Duration::from_millis(50);

/// How a bounded program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with that success.
    ByItself(bool),
    /// It was killed when its time was over.
    TimedOut,
}

/// Standard output of a program that must succeed.
pub fn text(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|e| cannot_start(command, &e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let shown = show(command);
        return Err(Failure::Refused(format!("`{shown}` failed: {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program succeeds; it prints to our own output.
pub fn passes(command: &mut Command) -> Result<bool, Failure> {
    let status = command.status().map_err(|e| cannot_start(command, &e))?;
    Ok(status.success())
}

/// Runs a program for at most `limit`, with everything it prints in the file `log`. When the time
/// is over, the program and all it started are killed.
pub fn bounded(command: &mut Command, limit: Duration, log: &Path) -> Result<Ended, Failure> {
    let file = File::create(log).map_err(|e| Failure::file(log, &e))?;
    let both = file.try_clone().map_err(|e| Failure::file(log, &e))?;
    command.stdin(Stdio::null()).stdout(file).stderr(both);
    command.process_group(0);
    let mut child = command.spawn().map_err(|e| cannot_start(command, &e))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = ended(&mut child)? {
            return Ok(Ended::ByItself(status.success()));
        }
        if Instant::now() >= deadline {
            stop_group(&mut child, "KILL")?;
            return Ok(Ended::TimedOut);
        }
        thread::sleep(POLL);
    }
}

/// Signals the process group that `child` leads, and waits for `child`.
pub fn stop_group(child: &mut Child, signal: &str) -> Result<(), Failure> {
    let group = format!("-{}", child.id());
    let mut kill = Command::new("kill");
    kill.args(["-s", signal, "--", &group]);
    // A group that is gone already is what was wanted.
    kill.stderr(Stdio::null());
    passes(&mut kill)?;
    child.wait().map_err(|e| lost(&e))?;
    Ok(())
}

/// The error for a program that cannot be started.
pub fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    Failure::Environment(format!(
        "cannot start `{program}`: {error}; see Requirements in README.md"
    ))
}

fn ended(child: &mut Child) -> Result<Option<ExitStatus>, Failure> {
    child.try_wait().map_err(|e| lost(&e))
}

fn lost(error: &std::io::Error) -> Failure {
    Failure::Environment(format!("lost a program that this one started: {error}"))
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_program_that_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        text(Command::new("mkfifo").arg(&pipe)).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exec 3>\"$0\"; (sleep 600; echo survived >&3) & wait"]);
        command.arg(&pipe);
        // The pipe ends when nobody is left who could write to it.
        let reader = thread::spawn(move || std::fs::read_to_string(pipe).unwrap());
        let log = folder.path().join("log");
        let ended = bounded(&mut command, Duration::from_millis(300), &log).unwrap();
        assert_eq!(ended, Ended::TimedOut);
        assert_eq!(reader.join().unwrap(), "");
    }

    #[test]
    fn a_program_that_ends_tells_its_success() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        for (code, success) in [("exit 0", true), ("exit 3", false)] {
            let mut command = Command::new("sh");
            command.args(["-c", code]);
            let ended = bounded(&mut command, Duration::from_secs(60), &log).unwrap();
            assert_eq!(ended, Ended::ByItself(success));
        }
    }

    #[test]
    fn a_missing_program_is_an_environment_error() {
        let failure = text(&mut Command::new("aegis-no-such-program")).unwrap_err();
        assert_eq!(failure.exit_code(), 3);
    }
}
