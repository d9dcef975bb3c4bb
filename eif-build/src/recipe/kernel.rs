//! The enclave's kernel, from Debian's source package.
//!
//! `tinyconfig` plus the fragments in `eif-build/kernel`, with the patches there, the final
//! configuration compared with the fragments. Everything that a build would take from its
//! surroundings (time, user, host, count, locale) is fixed, so the bytes depend on the recipe and
//! the pinned compilers only. [`twice`] shows it: a second build in another folder must give the
//! same bytes.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use crate::Error;
use crate::cache::Key;
use crate::cache::sha256_hex;
use crate::cache::write_atomically;
use crate::diff;
use crate::recipe::Context;
use crate::recipe::apply_patches;
use crate::recipe::apt;
use crate::recipe::command;
use crate::recipe::kconfig;
use crate::recipe::read;
use crate::recipe::say;
use crate::recipe::toolchain;
use crate::recipe::toolchain::Versions;

const PIN: &str = include_str!("../../kernel/pin.toml");
const FRAGMENT: &str = include_str!("../../kernel/enclave.config");
const DEBUG_FRAGMENT: &str = include_str!("../../kernel/debug.config");
/// Applied in this order.
pub const PATCHES: [(&str, &str); 1] = [(
    "0001-nsm-device-ready-before-hwrng.patch",
    include_str!("../../kernel/patches/0001-nsm-device-ready-before-hwrng.patch"),
)];
/// Raised when the logic below changes what comes out.
const RECIPE: &str = "1";
/// Tools of the kernel's build system that leave no trace in its output.
const PACKAGES: [&str; 9] =
    ["make", "flex", "bison", "bc", "libelf-dev", "patch", "xz-utils", "gzip", "dpkg"];

/// Which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// No console, no log.
    Production,
    /// With a serial console: another image, never in a release list.
    Debug,
}

impl Variant {
    /// As in the cache and in release.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Debug => "debug",
        }
    }

    fn fragments(self) -> String {
        match self {
            Self::Production => FRAGMENT.to_owned(),
            Self::Debug => format!("{FRAGMENT}{DEBUG_FRAGMENT}"),
        }
    }
}

/// `kernel/pin.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Where the source comes from.
    pub source: Source,
    command_line: CommandLines,
}

/// The pinned source package.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Debian package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the package file.
    pub sha256: String,
    archive: String,
    /// The kernel's own version.
    pub release: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandLines {
    production: String,
    debug: String,
}

impl Pin {
    /// The pin compiled into this program.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn compiled_in() -> Result<Self, Error> {
        toml::from_str(PIN).map_err(|e| Error::Configuration {
            path: "eif-build/kernel/pin.toml".into(),
            reason: e.to_string(),
        })
    }

    /// The command line of a variant.
    pub fn command_line(&self, variant: Variant) -> &str {
        match variant {
            Variant::Production => &self.command_line.production,
            Variant::Debug => &self.command_line.debug,
        }
    }
}

/// A built kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The bzImage's path.
    pub image: PathBuf,
    /// The final configuration's path.
    pub config: PathBuf,
    /// The compilers that built it.
    pub toolchain: Versions,
}

/// The kernel from the cache, built first if it is not there.
///
/// # Errors
/// When the source cannot be had, a compiler is not the pinned one, the configuration comes out
/// different, or the build fails.
pub fn once(context: &Context, variant: Variant) -> Result<Kernel, Error> {
    let toolchain = toolchain::check(context)?;
    let pin = Pin::compiled_in()?;
    let key = key(variant, &toolchain);
    let entry = context.cache.entry("kernel", &key, |folder| {
        let work = context.cache.work_folder("kernel-build-")?;
        build(context, &pin, variant, work.path(), folder)
    })?;
    Ok(Kernel { image: entry.join("bzImage"), config: entry.join("config"), toolchain })
}

/// The same, after a second build in another folder gave the same bytes. The outcome is kept in the
/// cache beside the kernel, so a recipe is built twice only once; `afresh` builds again all the
/// same.
///
/// # Errors
/// As [`once`], and [`Error::Differs`] when the two builds differ.
pub fn twice(context: &Context, variant: Variant, afresh: bool) -> Result<Kernel, Error> {
    let kernel = once(context, variant)?;
    let first = read(&kernel.image)?;
    let proof = kernel.image.with_file_name("same-bytes-from-another-folder");
    let digest = sha256_hex(&first);
    if !afresh && fs::read_to_string(&proof).is_ok_and(|text| text == digest) {
        return Ok(kernel);
    }
    say("building the kernel again in another folder");
    let pin = Pin::compiled_in()?;
    let work = context.cache.work_folder("another-folder-for-the-same-kernel-")?;
    let out = context.cache.work_folder("kernel-again-")?;
    build(context, &pin, variant, work.path(), out.path())?;
    for name in ["bzImage", "config"] {
        let (left, right) = (kernel.image.with_file_name(name), out.path().join(name));
        if let Some(what) = diff::bytes(&read(&left)?, &read(&right)?) {
            let section = format!("kernel {name}");
            let difference = diff::Difference { section, file: None, what };
            return Err(Error::Differs(difference.to_string()));
        }
    }
    write_atomically(&proof, digest.as_bytes())?;
    Ok(kernel)
}

/// The lines for `pin.toml` that pin the newest package in apt's index.
///
/// # Errors
/// When the index does not have the package.
pub fn repin(context: &Context) -> Result<String, Error> {
    let Source { package, archive, .. } = Pin::compiled_in()?.source;
    let (version, sha256) = apt::newest(context, &package)?;
    let release = version.split('-').next().unwrap_or(&version).to_owned();
    Ok(format!(
        "package = \"{package}\"\nversion = \"{version}\"\nsha256 = \"{sha256}\"\n\
         archive = \"{archive}\"\nrelease = \"{release}\""
    ))
}

/// A digest over everything that decides the kernel's bytes except the compilers.
pub fn recipe_sha256(variant: Variant) -> String {
    let mut all = format!("{RECIPE}\n{PIN}\n{}", variant.fragments());
    for (name, text) in PATCHES {
        all.push_str(name);
        all.push_str(text);
    }
    sha256_hex(all.as_bytes())
}

fn key(variant: Variant, toolchain: &Versions) -> Key {
    let mut key = Key::default().add("recipe", recipe_sha256(variant));
    for (package, version) in toolchain {
        key = key.add(package, version);
    }
    key
}

/// Unpacks, patches, configures and builds in `work`; leaves `bzImage` and `config` in `out`.
fn build(
    context: &Context,
    pin: &Pin,
    variant: Variant,
    work: &Path,
    out: &Path,
) -> Result<(), Error> {
    apt::ensure(context, &PACKAGES)?;
    let tree = unpack(context, &pin.source, work)?;
    apply_patches(&tree, &PATCHES)?;
    configure(&tree, variant, work)?;
    say(&format!("building the {} kernel {} (minutes)", variant.name(), pin.source.release));
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut make = make("nice", &tree);
    make.args(["-n", "10", "make", "-s", "bzImage"]).arg(format!("-j{jobs}"));
    command::run(&mut make, &work.join("build.log"))?;
    for (from, to) in [("arch/x86/boot/bzImage", "bzImage"), (".config", "config")] {
        let from = tree.join(from);
        fs::copy(&from, out.join(to)).map_err(Error::file("copy", &from))?;
    }
    Ok(())
}

fn unpack(context: &Context, source: &Source, work: &Path) -> Result<PathBuf, Error> {
    let package = apt::download(context, &source.package, &source.version, &source.sha256)
        .map_err(|error| advise_repin(source, error))?;
    // Kept between runs, so checked at each.
    apt::check_digest(&source.package, &read(&package)?, &source.sha256)?;
    say("unpacking the kernel's source");
    let log = work.join("build.log");
    let mut open = command::program("dpkg-deb");
    command::run(open.arg("-x").arg(&package).arg(work.join("package")), &log)?;
    let tree = work.join("linux");
    fs::create_dir(&tree).map_err(Error::file("make", &tree))?;
    let mut tar = command::program("tar");
    tar.arg("-xf").arg(work.join("package").join(&source.archive));
    command::run(tar.args(["--strip-components=1", "-C"]).arg(&tree), &log)?;
    Ok(tree)
}

fn advise_repin(source: &Source, error: Error) -> Error {
    match error {
        Error::Command { .. } => Error::Unavailable {
            thing: format!("{} {}", source.package, source.version),
            reason: "neither in the cache nor in apt's index".to_owned(),
            next_step: "print the newest version's lines for kernel/pin.toml with \
                        `aegis-eif kernel --repin` (a new pin is a new measurement)"
                .to_owned(),
        },
        other => other,
    }
}

fn configure(tree: &Path, variant: Variant, work: &Path) -> Result<(), Error> {
    let log = work.join("build.log");
    let fragments = variant.fragments();
    command::run(make("make", tree).args(["-s", "tinyconfig"]), &log)?;
    let config = tree.join(".config");
    let tiny = String::from_utf8_lossy(&read(&config)?).into_owned();
    fs::write(&config, format!("{tiny}{fragments}")).map_err(Error::file("write", &config))?;
    command::run(make("make", tree).args(["-s", "olddefconfig"]), &log)?;
    let actual = kconfig::parse(&String::from_utf8_lossy(&read(&config)?));
    let declared = kconfig::declared_below(tree)?;
    let differences = kconfig::differences(&kconfig::parse(&fragments), &actual, &declared);
    if differences.is_empty() { Ok(()) } else { Err(Error::KernelConfig { differences }) }
}

/// A program in the kernel's folder, with what the build would ask its surroundings for.
fn make(name: &str, tree: &Path) -> std::process::Command {
    let mut program = command::program(name);
    program.current_dir(tree);
    program.env("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970");
    program.env("KBUILD_BUILD_VERSION", "1");
    program.env("KBUILD_BUILD_USER", "aegis").env("KBUILD_BUILD_HOST", "aegis");
    program
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_production_command_line_names_no_console() {
        let pin = Pin::compiled_in().unwrap();
        assert!(!pin.command_line(Variant::Production).contains("console"));
        assert!(pin.command_line(Variant::Debug).contains("console=ttyS0"));
        assert!(pin.source.version.starts_with(&pin.source.release));
    }

    #[test]
    fn production_has_no_way_to_print_and_no_network_but_vsock() {
        let settings = kconfig::parse(&Variant::Production.fragments());
        let absent = ["PRINTK", "TTY", "INET", "NETDEVICES", "PCI", "BLOCK", "MODULES", "KEXEC"];
        for name in absent.into_iter().chain(["MAGIC_SYSRQ", "DEBUG_FS", "BPF_SYSCALL"]) {
            assert_eq!(settings[name], "n", "{name}");
        }
        for name in ["VIRTIO_VSOCKETS", "NSM", "SECURITY_LOCKDOWN_LSM", "SECCOMP_FILTER"] {
            assert_eq!(settings[name], "y", "{name}");
        }
        assert_eq!(kconfig::parse(&Variant::Debug.fragments())["TTY"], "y");
    }

    #[test]
    fn variants_are_two_recipes() {
        assert_ne!(recipe_sha256(Variant::Production), recipe_sha256(Variant::Debug));
    }
}
