//! Debian packages: what is installed, installing what is missing, and downloading a pinned source.
//!
//! Archives go to a private folder, because apt runs at the same time delete each other's.

use std::path::Path;
use std::path::PathBuf;

use crate::Error;
use crate::cache::sha256_hex;
use crate::recipe::Context;
use crate::recipe::command;
use crate::recipe::say;

/// Version of an installed package.
///
/// # Errors
/// When dpkg cannot be run.
pub fn installed(package: &str) -> Result<Option<String>, Error> {
    let format = "${db:Status-Status} ${Version}\n";
    let mut query = command::program("dpkg-query");
    query.args(["--show", "--showformat", format, package]);
    match command::capture(&mut query) {
        Ok(text) => {
            Ok(text.lines().find_map(|line| line.strip_prefix("installed ")).map(str::to_owned))
        }
        // dpkg-query ends with an error for a package it has never heard of.
        Err(Error::Command { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Installs what is missing of `packages`, and says so.
///
/// # Errors
/// When apt fails: not root, no network, a package that is not in the index.
pub fn ensure(context: &Context, packages: &[&str]) -> Result<(), Error> {
    let mut missing = Vec::new();
    for package in packages {
        if installed(package)?.is_none() {
            missing.push(*package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing Debian packages: {}", missing.join(" ")));
    let log = context.cache.root().join("apt.log");
    with_fresh_index(context, &log, || {
        let mut install = apt_get(context)?;
        install.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
        command::run(&mut install, &log)
    })
}

/// Downloads a package in exactly this version and checks its digest.
///
/// # Errors
/// When the index does not have it, or its bytes are others than pinned.
pub fn download(
    context: &Context,
    package: &str,
    version: &str,
    sha256: &str,
) -> Result<PathBuf, Error> {
    let key = crate::cache::Key::default().add("sha256", sha256);
    let entry = context.cache.entry(package, &key, |folder| {
        say(&format!("downloading {package} {version}"));
        let log = context.cache.root().join("apt.log");
        with_fresh_index(context, &log, || {
            let mut fetch = apt_get(context)?;
            fetch.current_dir(folder).arg("download").arg(format!("{package}={version}"));
            command::run(&mut fetch, &log)
        })?;
        let path = only_file(folder)?;
        check_digest(package, &crate::recipe::read(&path)?, sha256)?;
        let plain = folder.join("package.deb");
        std::fs::rename(&path, &plain).map_err(Error::file("move", &path))
    })?;
    Ok(entry.join("package.deb"))
}

/// Refuses bytes with another digest than the pin's.
///
/// # Errors
/// [`Error::Pin`] if so.
pub fn check_digest(thing: &str, data: &[u8], sha256: &str) -> Result<(), Error> {
    let found = sha256_hex(data);
    if found == sha256 {
        return Ok(());
    }
    Err(Error::Pin {
        thing: thing.to_owned(),
        expected: sha256.to_owned(),
        found,
        next_step: "do not use it; if the pin is wrong, correct kernel/pin.toml".to_owned(),
    })
}

/// Version and SHA-256 of the newest `package` in the index.
///
/// # Errors
/// When the index does not have the package.
pub fn newest(context: &Context, package: &str) -> Result<(String, String), Error> {
    command::run(apt_get(context)?.arg("update"), &context.cache.root().join("apt.log"))?;
    let mut show = command::program("apt-cache");
    let text = command::capture(show.args(["show", "--no-all-versions", package]))?;
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::to_owned);
    match (field("Version: "), field("SHA256: ")) {
        (Some(version), Some(sha256)) => Ok((version, sha256)),
        _ => Err(Error::Configuration {
            path: package.into(),
            reason: "not in apt's index; add Debian's bookworm-security to apt's sources"
                .to_owned(),
        }),
    }
}

/// Tries; if apt refuses, asks the mirrors what there is today and tries once more.
fn with_fresh_index(
    context: &Context,
    log: &Path,
    attempt: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    match attempt() {
        Err(Error::Command { .. }) => {
            command::run(apt_get(context)?.arg("update"), log)?;
            attempt()
        }
        other => other,
    }
}

/// apt-get with what all its uses share: patience with another apt, and archives of its own.
pub(crate) fn apt_get(context: &Context) -> Result<std::process::Command, Error> {
    let archives = context.cache.root().join("apt-archives");
    let partial = archives.join("partial");
    std::fs::create_dir_all(&partial).map_err(Error::file("make", &partial))?;
    let mut apt = command::program("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.args(["-o", "DPkg::Lock::Timeout=300", "-o"]);
    apt.arg(format!("Dir::Cache::archives={}", archives.display()));
    Ok(apt)
}

fn only_file(folder: &Path) -> Result<PathBuf, Error> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("read", folder))?;
    entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .ok_or_else(|| Error::Configuration {
            path: folder.to_path_buf(),
            reason: "apt-get download left no package there; see apt.log in the cache".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_source_with_another_digest_is_refused() {
        let pinned = sha256_hex(b"source");
        check_digest("package", b"source", &pinned).unwrap();
        let error = check_digest("package", b"sourcf", &pinned).unwrap_err();
        assert!(matches!(error, Error::Pin { .. }), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
}
