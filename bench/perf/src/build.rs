//! Builds the programs that are measured, in release mode.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The folder of this workspace.
pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds `package` with `features` and returns the program. Each set of features has a target
/// folder of its own, so that two of them can be run side by side.
pub fn program(package: &str, features: &str) -> io::Result<PathBuf> {
    let target = target_folder()?.join(features.replace(',', "+"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(here()).env("CARGO_TARGET_DIR", &target);
    cargo.args(["build", "--release", "--quiet", "--locked", "--package", package]);
    cargo.args(["--no-default-features", "--features", features]);
    match cargo.status()?.success() {
        true => Ok(target.join("release").join(package)),
        false => Err(io::Error::other(format!("{package} does not compile with {features}"))),
    }
}

/// Builds the programs of the main workspace that are on the path, and returns their folder.
pub fn workspace_programs() -> io::Result<PathBuf> {
    let target = target_folder()?.join("workspace");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(here().join("../..")).env("CARGO_TARGET_DIR", &target);
    cargo.args(["build", "--release", "--quiet", "--locked"]);
    cargo.args(["-p", "aegis-host", "-p", "aegis-enclave-dev", "-p", "aegis-mock"]);
    match cargo.status()?.success() {
        true => Ok(target.join("release")),
        false => Err(io::Error::other("the programs of the path do not compile")),
    }
}

/// Beside the driver's own: `.../TARGET/release/aegis-perf` runs from `TARGET`.
fn target_folder() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or(io::ErrorKind::NotFound)?;
    Ok(target.join("perf"))
}
