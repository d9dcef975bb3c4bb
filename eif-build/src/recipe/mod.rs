//! How each part is built from pinned sources, on Debian 12.
//!
//! A recipe is Rust that drives the part's own build system; its texts (pins, fragments, patches)
//! are compiled in, so a binary of this crate and its recipes are one thing. Nothing is downloaded
//! except through apt and cargo, and every source that reaches the image is checked against a
//! digest in the repository first.

pub mod apt;
pub mod command;
pub mod enclave;
pub mod kconfig;
pub mod kernel;
pub mod qemu;
pub mod toolchain;
pub mod vsock_device;

use std::path::Path;

use crate::Error;

/// What all recipes share.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where built parts are kept.
    pub cache: crate::cache::Cache,
    /// Build with compilers other than the pinned ones.
    pub any_toolchain: bool,
}

/// Says on standard error what is being done, for stages that take their time.
pub fn say(what: &str) {
    eprintln!("aegis-eif: {what}");
}

/// Reads a file into memory.
///
/// # Errors
/// What the file system says.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::file("read", path))
}

/// Applies `patches` (name, text) in order; a patch must apply without offset tolerance in context.
fn apply_patches(folder: &Path, patches: &[(&str, &str)]) -> Result<(), Error> {
    for (name, text) in patches {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(Error::file("write", &path))?;
        let mut patch = command::program("patch");
        patch.current_dir(folder).args(["-p1", "--fuzz=0", "--silent", "-i"]).arg(&path);
        command::run(&mut patch, &folder.join("patch.log"))?;
    }
    Ok(())
}
