//! The agents' packages, installed from the npm registry into the cache at pinned versions.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use sha2::Digest as _;
use sha2::Sha256;

const MANIFEST: &str = include_str!("../../agents/package.json");
const LOCK: &str = include_str!("../../agents/package-lock.json");

/// The folder with `node_modules`, which is made when missing.
pub fn installed() -> io::Result<PathBuf> {
    let digest = Sha256::new().chain_update(MANIFEST).chain_update(LOCK).finalize();
    let cache = cache()?;
    let folder = cache.join(format!("agents-{}", hex::encode(&digest[..8])));
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&cache)?;
    eprintln!("installing Codex CLI and Claude Code (npm; 600 MB) into {}", folder.display());
    let scratch = tempfile::Builder::new().prefix("agents-partial-").tempdir_in(&cache)?;
    fs::write(scratch.path().join("package.json"), MANIFEST)?;
    fs::write(scratch.path().join("package-lock.json"), LOCK)?;
    npm(scratch.path())?;
    // Whole or not at all. Another run may have been faster; its folder has the same contents.
    match fs::rename(scratch.keep(), &folder) {
        Err(error) if !folder.is_dir() => Err(error),
        _ => Ok(folder),
    }
}

fn npm(folder: &Path) -> io::Result<()> {
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    let mut npm = Command::new("npm");
    let status = npm.args(arguments).current_dir(folder).stdout(Stdio::null()).status()?;
    let told = || io::Error::other("`npm ci` failed; check that its registry can be reached");
    status.success().then_some(()).ok_or_else(told)
}

fn cache() -> io::Result<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let base = folder("AEGIS_CACHE").map(PathBuf::from);
    let base = base.or_else(|| Some(Path::new(&folder("XDG_CACHE_HOME")?).join("aegis")));
    let base = base.or_else(|| Some(Path::new(&folder("HOME")?).join(".cache/aegis")));
    base.ok_or_else(|| io::Error::other("no folder for the cache: set AEGIS_CACHE or HOME"))
}
