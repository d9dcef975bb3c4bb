//! Files as the commands read and write them: bounded, atomically, and with one sentence when it
//! does not work.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use crate::failure::Failure;

/// At most `limit` bytes and one more of a file, or of standard input for `-`: one that is longer is
/// refused by whoever reads it.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = limit as u64 + 1;
    let read = match path == Path::new("-") {
        true => io::stdin().take(limit).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|e| {
        let path = path.display();
        Failure::environment(format!("cannot read {path}: {e}; give a file that you may read"))
    })?;
    Ok(bytes)
}

/// Writes a file so that a reader finds all of the old or all of the new.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let written = || {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().permissions(readable()).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|e: io::Error| {
        let path = path.display();
        Failure::environment(format!("cannot write {path}: {e}; choose a place you may write to"))
    })
}

/// What is published may be read by everybody.
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

/// A lock on a folder or file, held as long as the value lives.
pub fn lock(path: &Path) -> Result<File, Failure> {
    let locked = || {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(|e: io::Error| {
        let path = path.display();
        Failure::environment(format!("cannot lock {path}: {e}; choose a place you may write to"))
    })
}
