//! System calls that serving does not take end the process; each is tried by a process of its own,
//! once without being confined, which shows that nothing else stands in its way.
#![allow(clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// The signal that a forbidden system call ends with.
const SIGSYS: i32 = 31;

fn done(deed: &str, confined: &str) -> ExitStatus {
    // Examples lie beside the folder of tests.
    let test = std::env::current_exe().unwrap();
    let example: PathBuf = test.ancestors().nth(2).unwrap().join("examples/confined");
    Command::new(example).args([deed, confined]).status().unwrap()
}

fn is_fatal(deed: &str) {
    let free = done(deed, "free");
    assert_eq!(free.code(), Some(0), "{deed} does not work here anyway: {free}");
    let confined = done(deed, "confined");
    assert_eq!(confined.signal(), Some(SIGSYS), "{deed} when confined: {confined}");
}

#[test]
fn what_serving_takes_goes_on() {
    let status = done("serve", "confined");
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn running_a_program_is_fatal() {
    is_fatal("execve");
}

#[test]
fn a_network_socket_is_fatal() {
    is_fatal("inet");
}

#[test]
fn tracing_is_fatal() {
    is_fatal("ptrace");
}

#[test]
fn a_signal_is_fatal() {
    is_fatal("kill");
}

#[test]
fn opening_a_file_is_fatal() {
    is_fatal("open");
}

#[test]
fn threads_from_before_are_confined_too() {
    is_fatal("open-in-another-thread");
}

#[test]
fn a_device_call_other_than_the_security_modules_is_fatal() {
    is_fatal("ioctl");
}

#[test]
fn executable_memory_is_fatal() {
    is_fatal("executable-memory");
}
