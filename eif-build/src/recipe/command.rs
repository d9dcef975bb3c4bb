//! Running other programs: a clean environment, output to a log, and the log's end when they fail.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::Error;

/// Lines of a failed program's output that an error carries.
const TAIL_LINES: usize = 12;

/// What finds programs, toolchains and the network; none of it shows in bytes.
const PASSED_ON: [&str; 10] = [
    "PATH",
    "HOME",
    "RUSTUP_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "CARGO_HTTP_CAINFO",
];

/// A program with none of the caller's environment but what finds programs and the network. Locale,
/// time zone and time are fixed: they show in bytes that compilers write.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.env_clear().stdin(Stdio::null());
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C").env("TZ", "UTC").env("SOURCE_DATE_EPOCH", "0");
    command
}

/// The same at low priority, for builds that take minutes.
pub fn background(name: &str) -> Command {
    let mut command = program("nice");
    command.args(["-n", "10", name]);
    command
}

/// Runs to the end with all output appended to `log`.
///
/// # Errors
/// When it cannot be started or ends with anything but success; the error has the end of the log.
pub fn run(command: &mut Command, log: &Path) -> Result<(), Error> {
    let open = || File::options().create(true).append(true).open(log);
    let output = open().map_err(Error::file("write", log))?;
    let errors = output.try_clone().map_err(Error::file("write", log))?;
    let status = command
        .stdout(output)
        .stderr(errors)
        .status()
        .map_err(|source| Error::Spawn { program: describe(command), source })?;
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read(log).map_err(Error::file("read", log))?;
    let tail = tail(&String::from_utf8_lossy(&text));
    Err(Error::Command { program: describe(command), status: status.to_string(), tail })
}

/// Runs to the end and hands back standard output.
///
/// # Errors
/// When it cannot be started or ends with anything but success.
pub fn capture(command: &mut Command) -> Result<String, Error> {
    let output =
        command.output().map_err(|source| Error::Spawn { program: describe(command), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Command {
        program: describe(command),
        status: output.status.to_string(),
        tail: tail(&String::from_utf8_lossy(&output.stderr)),
    })
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_failure_carries_the_end_of_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program("sh");
        command.args(["-c", "seq 100; exit 7"]);
        let error = run(&mut command, &folder.path().join("log")).unwrap_err();
        let Error::Command { status, tail, .. } = error else { panic!("{error}") };
        assert_eq!(status, "exit status: 7");
        assert!(tail.starts_with("89\n") && tail.ends_with("\n100"), "{tail}");
    }

    #[test]
    fn the_callers_environment_stays_outside() {
        // PATH is needed to find anything; everything else that compilers look at is absent.
        let text = capture(program("env").env("ADDED", "1")).unwrap();
        let names: Vec<&str> =
            text.lines().filter_map(|l| l.split_once('=')).map(|p| p.0).collect();
        assert!(names.contains(&"ADDED"));
        assert!(!names.contains(&"CARGO_MANIFEST_DIR"), "{names:?}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = capture(&mut program("aegis-no-such-program")).unwrap_err();
        assert!(error.to_string().contains("aegis-no-such-program"), "{error}");
        assert_eq!(error.exit_code(), 3);
    }
}
