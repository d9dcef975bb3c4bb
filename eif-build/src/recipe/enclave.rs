//! The enclave's program: a Rust binary as a static, position-independent executable.
//!
//! Three folders would show in its bytes: the source's, cargo's home with the dependencies, and the
//! standard library's source where rustup installed it. All are mapped to fixed names. cargo gets a
//! home of its own, so nobody's configuration takes part, and an environment without anybody's
//! flags. The linker and the C compiler are the pinned gcc by name.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::Error;
use crate::cache::Key;
use crate::elf;
use crate::recipe::Context;
use crate::recipe::apt;
use crate::recipe::command;
use crate::recipe::read;
use crate::recipe::say;
use crate::recipe::toolchain;

/// The platform of every image.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";
const GCC: &str = "gcc-12";

/// Which program of the workspace.
#[derive(Clone, Debug)]
pub struct Program {
    /// The package.
    pub package: String,
    /// `bin` or `example`.
    pub kind: &'static str,
    /// The target's name.
    pub name: String,
}

impl Program {
    /// What production images hold.
    pub fn enclave() -> Self {
        Self { package: "aegis-enclave".into(), kind: "bin", name: "aegis-enclave".into() }
    }

    /// The same with the development attester, for images that run under QEMU.
    pub fn development_enclave() -> Self {
        let name = "aegis-enclave-dev".to_owned();
        Self { package: name.clone(), kind: "bin", name }
    }

    /// The program of the boot test: answers questions about the machine it runs on.
    pub fn probe() -> Self {
        Self { package: "aegis-eif".into(), kind: "example", name: "probe".into() }
    }
}

/// Flags as release.json records them: folders under the names they are mapped to.
pub fn recorded_flags() -> Vec<String> {
    flags("$SOURCE", "$CARGO_HOME", "$TARGET_DIR", "$SYSROOT", "$RUSTC_COMMIT")
}

/// Builds in `source`; cargo's output stays in the cache, so that only what changed is built again.
///
/// # Errors
/// When a compiler is not the pinned one, the build fails, or the program is not static.
pub fn in_place(context: &Context, source: &Path, program: &Program) -> Result<PathBuf, Error> {
    let source = source.canonicalize().map_err(Error::file("find", source))?;
    let mut key = Key::default().add("source", source.as_os_str().as_encoded_bytes());
    // cargo does not see when the C compiler changes.
    for (package, version) in toolchain::check(context)? {
        key = key.add(&package, version);
    }
    let folder = context.cache.entry("program", &key, |_| Ok(()))?;
    build(context, &source, &folder, program)
}

/// Builds a copy of `source` in an empty folder with an empty target folder.
///
/// # Errors
/// As [`in_place`].
pub fn elsewhere(
    context: &Context,
    source: &Path,
    program: &Program,
    folder: &Path,
) -> Result<PathBuf, Error> {
    let copy = folder.join("a-copy-of-the-source");
    copy_source(source, &copy)?;
    build(context, &copy, &folder.join("its-output"), program)
}

fn build(
    context: &Context,
    source: &Path,
    work: &Path,
    program: &Program,
) -> Result<PathBuf, Error> {
    toolchain::check(context)?;
    apt::ensure(context, &["gcc-12", "libc6-dev"])?;
    let source = source.canonicalize().map_err(Error::file("find", source))?;
    let home = cargo_home(work)?;
    let target = work.join("target");
    say(&format!("building {} in {}", program.name, source.display()));
    let mut cargo = command::background("cargo");
    cargo.current_dir(&source).env("CARGO_HOME", &home);
    set_flags(&mut cargo, &source, &home, &target)?;
    cargo.args(["build", "--locked", "--release", "--target", TARGET, "--target-dir"]);
    cargo.arg(&target).args(["--package", &program.package]);
    cargo.arg(format!("--{}", program.kind)).arg(&program.name);
    command::run(&mut cargo, &work.join("build.log"))?;
    let folder = target.join(TARGET).join("release");
    let built = match program.kind {
        "example" => folder.join("examples").join(&program.name),
        _ => folder.join(&program.name),
    };
    elf::check_static_pie(&read(&built)?)
        .map_err(|e| Error::Configuration { path: built.clone(), reason: e.to_string() })?;
    Ok(built)
}

fn set_flags(
    cargo: &mut std::process::Command,
    source: &Path,
    home: &Path,
    target: &Path,
) -> Result<(), Error> {
    let rustc = |argument: &str| {
        let mut rustc = command::program("rustc");
        command::capture(rustc.current_dir(source).args(argument.split(' ')))
    };
    let sysroot = rustc("--print sysroot")?.trim().to_owned();
    let verbose = rustc("-vV")?;
    let commit = verbose.lines().find_map(|l| l.strip_prefix("commit-hash: "));
    let (home, target) = (home.display().to_string(), target.display().to_string());
    let flags =
        flags(&source.display().to_string(), &home, &target, &sysroot, commit.unwrap_or("unknown"));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    cargo.env("CC", GCC).env("CARGO_INCREMENTAL", "0");
    let c_flags = format!("-ffile-prefix-map={home}=/cargo -ffile-prefix-map={target}=/target");
    cargo.env(format!("CFLAGS_{}", TARGET.replace('-', "_")), c_flags);
    Ok(())
}

fn flags(source: &str, home: &str, target: &str, sysroot: &str, rustc_commit: &str) -> Vec<String> {
    vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("-Clinker={GCC}"),
        format!("--remap-path-prefix={source}=/aegis"),
        format!("--remap-path-prefix={home}=/cargo"),
        format!("--remap-path-prefix={target}=/target"),
        // Where the standard library's source is not installed, its paths have this form already.
        format!("--remap-path-prefix={sysroot}/lib/rustlib/src/rust=/rustc/{rustc_commit}"),
    ]
}

/// A cargo home without configuration, sharing the user's downloads.
fn cargo_home(work: &Path) -> Result<PathBuf, Error> {
    let home = work.join("cargo-home");
    fs::create_dir_all(&home).map_err(Error::file("make", &home))?;
    let users = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let users = users.or_else(|| std::env::home_dir().map(|h| h.join(".cargo")));
    let registry = users.unwrap_or_else(|| work.to_path_buf()).join("registry");
    fs::create_dir_all(&registry).map_err(Error::file("make", &registry))?;
    let link = home.join("registry");
    if !link.exists() {
        std::os::unix::fs::symlink(&registry, &link).map_err(Error::file("link", &link))?;
    }
    Ok(home)
}

/// Everything but version control and build output.
fn copy_source(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::file("make", to))?;
    for entry in fs::read_dir(from).map_err(Error::file("read", from))? {
        let entry = entry.map_err(Error::file("read", from))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(Error::file("read", &path))?;
        if [".git", "target", "node_modules"].iter().any(|skipped| name == *skipped) {
            continue;
        }
        if kind.is_dir() {
            copy_source(&path, &to.join(&name))?;
        } else if kind.is_file() {
            fs::copy(&path, to.join(&name)).map_err(Error::file("copy", &path))?;
        }
    }
    Ok(())
}
