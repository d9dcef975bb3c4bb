//! Jobs that other programs of this repository do; this only starts them.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{failure::Failure, process, workspace::Workspace};

/// `formal/run`: returns only when it cannot be started.
pub fn formal(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let mut formal = Command::new(workspace.root.join("formal/run"));
    formal.args(arguments).env("CARGO_TARGET_DIR", &workspace.target);
    become_it(&mut formal)
}

/// A command of `aegis-eif`: returns only when it cannot be started.
pub fn eif(workspace: &Workspace, command: &str, arguments: &[String]) -> Result<(), Failure> {
    let mut eif = workspace.cargo();
    eif.args(["run", "--locked", "--quiet", "--package", "aegis-eif", "--", command]);
    become_it(eif.args(arguments))
}

/// `aegis-attacks`, behind a build of the programs that it starts: returns only when it cannot be
/// started.
pub fn attacks(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let mut build = workspace.cargo();
    if !process::passes(build.args(["build", "--workspace", "--locked", "--quiet"]))? {
        return Err(Failure::Refused("the workspace does not compile".into()));
    }
    let mut attacks = Command::new(workspace.target.join("debug/aegis-attacks"));
    become_it(attacks.current_dir(&workspace.root).args(arguments))
}

fn become_it(command: &mut Command) -> Result<(), Failure> {
    let error = command.exec();
    Err(process::cannot_start(command, &error))
}
