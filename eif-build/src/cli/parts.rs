//! `kernel`, `program`, `tools` and `oracle`: single parts, for whoever works on one.

use std::path::Path;

use aegis_eif::Error;
use aegis_eif::boot::Tools;
use aegis_eif::recipe::Context;
use aegis_eif::recipe::apt;
use aegis_eif::recipe::command;
use aegis_eif::recipe::enclave;
use aegis_eif::recipe::kernel;
use aegis_eif::recipe::kernel::Variant;
use aegis_eif::recipe::say;
use aegis_eif::recipe::toolchain;

use super::ProgramArguments;
use super::image;

pub(super) fn kernel(context: &Context, variant: Variant, twice: bool) -> Result<(), Error> {
    let built = match twice {
        true => kernel::twice(context, variant, true)?,
        false => kernel::once(context, variant)?,
    };
    println!("{}\n{}", built.image.display(), built.config.display());
    Ok(())
}

pub(super) fn repin(context: &Context) -> Result<(), Error> {
    println!("{}", kernel::repin(context)?);
    Ok(())
}

pub(super) fn program(context: &Context, arguments: &ProgramArguments) -> Result<(), Error> {
    let program = image::program(arguments.program);
    let built = enclave::in_place(context, &arguments.source.source, &program)?;
    println!("{}", built.display());
    Ok(())
}

/// What tests of machines take beside the tools: a Python for PyPI, and what judges scripts and units.
const OF_TESTS: [&str; 4] = ["jq", "python3-venv", "shellcheck", "systemd"];

pub(super) fn tools(context: &Context) -> Result<(), Error> {
    toolchain::check(context)?;
    apt::ensure(context, &OF_TESTS)?;
    kernel::once(context, Variant::Production)?;
    let tools = Tools::get(context)?;
    println!("{}\n{}", tools.qemu.program.display(), tools.vsock_device.display());
    Ok(())
}

/// The oracle's tests, in its own package with its own lockfile: see eif-build/oracle/Cargo.toml.
pub(super) fn oracle(context: &Context, source: &Path, image: Option<&Path>) -> Result<(), Error> {
    apt::ensure(context, &["libssl-dev", "pkg-config", "gcc"])?;
    say("running the tests against AWS's image library (the first time builds it, minutes)");
    let folder = source.join("eif-build/oracle");
    let folder = folder.canonicalize().map_err(Error::file("find", &folder))?;
    let mut cargo = command::background("cargo");
    for name in ["CARGO_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(name) {
            cargo.env(name, value);
        }
    }
    cargo.current_dir(&folder).args(["test", "--locked", "--target-dir"]);
    cargo.arg(context.cache.root().join("oracle-target"));
    if let Some(image) = image {
        let image = image.canonicalize().map_err(Error::file("find", image))?;
        cargo.env("AEGIS_ORACLE_IMAGE", image);
    }
    let text = command::capture(&mut cargo)?;
    for line in text.lines().filter(|line| line.starts_with("test ")) {
        println!("{line}");
    }
    println!("oracle: same bytes, same PCR0-2");
    Ok(())
}
