//! Jobs that other programs of this repository do; this only starts them.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{failure::Failure, process, workspace::Workspace};

/// `formal/run`: returns only when it cannot be started.
pub fn formal(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let mut formal = Command::new(workspace.root.join("formal/run"));
    formal.args(arguments).env("CARGO_TARGET_DIR", &workspace.target);
    become_it(&mut formal)
}

/// `aegis-eif image`: returns only when it cannot be started.
pub fn image(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let mut image = workspace.cargo();
    image.args(["run", "--locked", "--quiet", "--package", "aegis-eif", "--", "image"]);
    become_it(image.args(arguments))
}

fn become_it(command: &mut Command) -> Result<(), Failure> {
    let error = command.exec();
    Err(process::cannot_start(command, &error))
}
