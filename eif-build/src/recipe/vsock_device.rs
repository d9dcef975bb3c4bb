//! `vhost-device-vsock`, the program behind an emulated enclave's vsock device: a test tool.
//!
//! The published crate with the patches in `eif-build/tools/vsock`; each says what it mends. cargo
//! checks the crate's digest against its index.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::Error;
use crate::cache::Key;
use crate::recipe::Context;
use crate::recipe::apply_patches;
use crate::recipe::apt;
use crate::recipe::command;
use crate::recipe::say;

const CRATE: &str = "vhost-device-vsock";
const VERSION: &str = "0.3.0";
/// Raised when the logic below changes what comes out.
const RECIPE: &str = "1";
const PATCHES: [(&str, &str); 4] = [
    (
        "0001-the-parent-is-cid-3.patch",
        include_str!("../../tools/vsock/0001-the-parent-is-cid-3.patch"),
    ),
    (
        "0002-packets-in-many-descriptors.patch",
        include_str!("../../tools/vsock/0002-packets-in-many-descriptors.patch"),
    ),
    ("0003-half-close.patch", include_str!("../../tools/vsock/0003-half-close.patch")),
    (
        "0004-no-connection-waits-behind-a-quiet-one.patch",
        include_str!("../../tools/vsock/0004-no-connection-waits-behind-a-quiet-one.patch"),
    ),
];

/// The program from the cache, built first if it is not there.
///
/// # Errors
/// When the crate cannot be had, a patch does not apply or the build fails.
pub fn get(context: &Context) -> Result<PathBuf, Error> {
    let mut key = Key::default().add("recipe", RECIPE).add("version", VERSION);
    for (name, text) in PATCHES {
        key = key.add(name, text);
    }
    let entry = context.cache.entry(CRATE, &key, |folder| {
        let work = context.cache.work_folder("vsock-build-")?;
        build(context, work.path(), folder)
    })?;
    Ok(entry.join(CRATE))
}

fn build(context: &Context, work: &Path, out: &Path) -> Result<(), Error> {
    apt::ensure(context, &["gcc", "patch"])?;
    say(&format!("building {CRATE} {VERSION} (a minute)"));
    let log = work.join("build.log");
    let source = fetch(work)?;
    let tree = work.join("source");
    let mut copy = command::program("cp");
    command::run(copy.arg("-R").arg(&source).arg(&tree), &log)?;
    apply_patches(&tree, &PATCHES)?;
    let mut cargo = command::background("cargo");
    cargo.current_dir(&tree).args(["build", "--release", "--locked", "--target-dir"]);
    command::run(cargo.arg(work.join("target")), &log)?;
    let built = work.join("target/release").join(CRATE);
    fs::copy(&built, out.join(CRATE)).map_err(Error::file("copy", &built))?;
    Ok(())
}

/// Lets cargo download the crate as somebody's dependency, and hands back its folder.
fn fetch(work: &Path) -> Result<PathBuf, Error> {
    let asker = work.join("asker");
    let folder = asker.join("src");
    fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
    let manifest = asker.join("Cargo.toml");
    let text = format!(
        "[workspace]\n[package]\nname = \"asker\"\nedition = \"2024\"\n\
         [dependencies]\n{CRATE} = \"={VERSION}\"\n"
    );
    fs::write(&manifest, text).map_err(Error::file("write", &manifest))?;
    let library = folder.join("lib.rs");
    fs::write(&library, "").map_err(Error::file("write", &library))?;
    let mut cargo = command::program("cargo");
    cargo.args(["fetch", "--manifest-path"]).arg(&manifest);
    command::run(&mut cargo, &work.join("build.log"))?;
    // A crate without a library is downloaded and unpacked, but `cargo metadata` leaves it out.
    let home = std::env::home_dir().unwrap_or_default().join(".cargo");
    let sources = home.join("registry/src");
    let registries = fs::read_dir(&sources).map_err(Error::file("read", &sources))?;
    registries
        .filter_map(|registry| Some(registry.ok()?.path().join(format!("{CRATE}-{VERSION}"))))
        .find(|folder| folder.join("Cargo.toml").exists())
        .ok_or_else(|| Error::Configuration {
            path: sources,
            reason: format!("cargo fetch left no {CRATE}-{VERSION} there"),
        })
}
