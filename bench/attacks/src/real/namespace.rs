//! A network namespace without a route: what runs in it reaches its loopback and nothing else.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::process;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;

/// An address of the network that is reserved for documentation (RFC 5737).
const ELSEWHERE: ([u8; 4], u16) = ([192, 0, 2, 1], 80);

/// How this program gets a namespace here: as root, or as root of a user namespace. `None` when
/// neither is allowed or a tool is missing.
fn way() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    ways.into_iter().find(|way| {
        let mut unshare = Command::new("unshare");
        unshare.args(*way).args(["ip", "link", "set", "lo", "up"]);
        unshare.stdout(Stdio::null()).stderr(Stdio::null());
        unshare.status().is_ok_and(|status| status.success())
    })
}

/// Runs this program again inside a new namespace with these arguments, and gives what it printed.
/// `None` when no namespace can be had.
pub fn again(arguments: &[OsString]) -> io::Result<Option<Output>> {
    let Some(way) = way() else { return Ok(None) };
    let mut unshare = Command::new("unshare");
    unshare.args(way).args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
    // Not by its path: it may have been built anew while it runs.
    unshare.arg(format!("/proc/{}/exe", process::id())).args(arguments);
    unshare.stderr(Stdio::inherit()).output().map(Some)
}

/// An error unless nothing but loopback can be reached from here.
pub fn check() -> io::Result<()> {
    let elsewhere = SocketAddr::from(ELSEWHERE);
    match TcpStream::connect_timeout(&elsewhere, Duration::from_secs(1)) {
        Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => Ok(()),
        _ => Err(io::Error::other("this namespace has a route to elsewhere")),
    }
}
