//! QEMU with the `nitro-enclave` machine: a test tool, so taken as Debian's newest stable source
//! has it.
//!
//! No binary package of Debian 12 has that machine. The source of Debian 13 builds here with
//! nothing but it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::Error;
use crate::cache::Key;
use crate::recipe::Context;
use crate::recipe::apt;
use crate::recipe::command;
use crate::recipe::say;

/// Raised when the logic below changes what comes out.
const RECIPE: &str = "1";
const SUITE: &str = "trixie";
/// The newest meson that Debian 13's QEMU was made with; Debian 12's own is too old for it.
const MESON: &str = "meson==1.8.1";
const MIRROR: &str = "http://deb.debian.org/debian";
const PACKAGES: [&str; 13] = [
    "gcc",
    "pkg-config",
    "ninja-build",
    "python3-venv",
    "flex",
    "bison",
    "dpkg-dev",
    "make",
    "libcbor-dev",
    "libgnutls28-dev",
    "libglib2.0-dev",
    "libfdt-dev",
    "zlib1g-dev",
];
/// Only what an enclave machine is made of; vhost-user carries vsock, libcbor and gnutls the NSM.
const OPTIONS: [&str; 16] = [
    "--target-list=x86_64-softmmu",
    "--without-default-features",
    "--without-default-devices",
    "--with-devices-x86_64=enclave",
    "--enable-system",
    "--enable-tcg",
    "--enable-gnutls",
    "--enable-libcbor",
    "--enable-vhost-user",
    "--enable-fdt=system",
    "--disable-docs",
    "--disable-tools",
    "--disable-guest-agent",
    "--disable-download",
    "--disable-install-blobs",
    "--disable-debug-info",
];

/// The emulator and the folder of its firmware.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// `qemu-system-x86_64`.
    pub program: PathBuf,
    /// Has `qboot.rom`.
    pub firmware: PathBuf,
}

/// The emulator from the cache, built first if it is not there.
///
/// # Errors
/// When the source cannot be had or the build fails.
pub fn get(context: &Context) -> Result<Qemu, Error> {
    apt::ensure(context, &["qemu-system-data", "libcbor-dev", "libgnutls28-dev"])?;
    let key = Key::default()
        .add("recipe", RECIPE)
        .add("suite", SUITE)
        .add("meson", MESON)
        .add("options", OPTIONS.join(" "));
    let entry = context.cache.entry("qemu", &key, |folder| {
        let work = context.cache.work_folder("qemu-build-")?;
        build(context, work.path(), folder)
    })?;
    let program = entry.join("qemu-system-x86_64");
    Ok(Qemu { program, firmware: "/usr/share/qemu".into() })
}

fn build(context: &Context, work: &Path, out: &Path) -> Result<(), Error> {
    apt::ensure(context, &PACKAGES)?;
    let log = work.join("build.log");
    let source = fetch(context, work, &log)?;
    let devices = source.join("configs/devices/x86_64-softmmu/enclave.mak");
    fs::write(&devices, "CONFIG_NITRO_ENCLAVE=y\n").map_err(Error::file("write", &devices))?;
    say("building QEMU (minutes)");
    let python = work.join("python");
    // Debian's Python by path: another one first on PATH may lack the venv module.
    let mut venv = command::program("/usr/bin/python3");
    command::run(venv.args(["-m", "venv"]).arg(&python), &log)?;
    let mut pip = command::program(python.join("bin/pip"));
    command::run(pip.args(["install", "--quiet", MESON, "setuptools", "wheel"]), &log)?;
    let build = work.join("build");
    fs::create_dir(&build).map_err(Error::file("make", &build))?;
    let mut configure = command::program(source.join("configure"));
    configure.current_dir(&build).args(OPTIONS);
    configure.arg(format!("--python={}", python.join("bin/python3").display()));
    command::run(&mut configure, &log)?;
    let mut ninja = command::background("ninja");
    command::run(ninja.current_dir(&build).arg("qemu-system-x86_64"), &log)?;
    let program = out.join("qemu-system-x86_64");
    let mut strip = command::program("strip");
    strip.arg("-o").arg(&program).arg(build.join("qemu-system-x86_64"));
    command::run(&mut strip, &log)?;
    let machines = command::capture(command::program(&program).args(["-M", "help"]))?;
    if !machines.contains("nitro-enclave") {
        return Err(Error::Boot("the QEMU just built has no nitro-enclave machine".to_owned()));
    }
    Ok(())
}

/// Debian's source package through an apt that knows only that suite.
fn fetch(context: &Context, work: &Path, log: &Path) -> Result<PathBuf, Error> {
    say(&format!("downloading QEMU's source from Debian {SUITE}"));
    let list = work.join("source.sources");
    let text = format!(
        "Types: deb-src\nURIs: {}\nSuites: {SUITE}\nComponents: main\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        mirror()
    );
    fs::write(&list, text).map_err(Error::file("write", &list))?;
    for folder in ["lists/partial", "cache/archives/partial"] {
        let folder = work.join(folder);
        fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
    }
    let apt = || -> Result<_, Error> {
        let mut apt = apt::apt_get(context)?;
        apt.current_dir(work);
        for (option, path) in [
            ("Dir::Etc::sourcelist", list.clone()),
            ("Dir::State::lists", work.join("lists")),
            ("Dir::Cache", work.join("cache")),
        ] {
            apt.arg("-o").arg(format!("{option}={}", path.display()));
        }
        apt.args(["-o", "Dir::Etc::sourceparts=-"]);
        Ok(apt)
    };
    command::run(apt()?.arg("update"), log)?;
    command::run(apt()?.args(["source", "--download-only", "qemu"]), log)?;
    let source = work.join("source");
    let mut unpack = command::program("sh");
    // apt has checked the package's signature; dpkg-source would need the key a second time.
    unpack.current_dir(work).args(["-c", "dpkg-source --no-check -x qemu_*.dsc source"]);
    command::run(&mut unpack, log)?;
    Ok(source)
}

/// The mirror that this machine's apt uses, which may be the only one that it reaches.
fn mirror() -> String {
    let sources = fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let uri = sources.lines().find_map(|line| line.strip_prefix("URIs: "));
    uri.unwrap_or(MIRROR).trim().to_owned()
}
