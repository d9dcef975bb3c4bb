//! `cargo xtask up`: builds the programs of the sealed path and starts it on this machine.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{failure::Failure, process, workspace::Workspace};

/// The packages whose programs `aegis up` starts, itself included.
pub const PROGRAMS: &[&str] = &["aegis", "aegis-host", "aegis-enclave-dev", "aegis-mock"];

/// Builds in the dev profile, in which dependencies are optimised, then becomes `aegis up`; returns
/// only when something fails.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    println!("building {} (minutes the first time)", PROGRAMS.join(", "));
    let mut build = workspace.cargo();
    build.args(["build", "--locked"]);
    build.args(PROGRAMS.iter().flat_map(|name| ["--package", *name]));
    if !process::passes(&mut build)? {
        return Err(Failure::Refused("the build failed; see above".into()));
    }
    let mut up = Command::new(workspace.target.join("debug/aegis"));
    up.arg("up").args(arguments);
    let error = up.exec();
    Err(process::cannot_start(&up, &error))
}
