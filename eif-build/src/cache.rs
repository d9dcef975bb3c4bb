//! Where built parts are kept: `${AEGIS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/aegis}`.
//!
//! An entry is a folder named for its kind and the hash of the recipe that made it, so a changed
//! recipe is another entry and nothing is ever updated in place. It is filled under another name
//! and renamed when complete; a lock makes a second builder of the same entry wait for the first.
//! Entries are not checked when used: whoever can write to the cache can also write to the source.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use sha2::Digest;
use sha2::Sha256;

use crate::Error;

/// A folder of entries.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// What an entry depends on, in order. Two recipes with the same inputs have the same key.
#[derive(Clone, Default)]
pub struct Key(Sha256);

impl Key {
    /// Adds an input under a name; lengths are part of the hash, so inputs cannot run together.
    pub fn add(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
        self
    }

    fn hex(&self) -> String {
        // 80 bits name a recipe among a handful of honest ones.
        hex::encode(&self.0.clone().finalize()[..10])
    }
}

impl Cache {
    /// The cache of this user.
    ///
    /// # Errors
    /// When neither variable nor home says where.
    pub fn of_environment() -> Result<Self, Error> {
        let path = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = path("AEGIS_CACHE")
            .or_else(|| path("XDG_CACHE_HOME").map(|p| p.join("aegis")))
            .or_else(|| path("HOME").map(|p| p.join(".cache/aegis")))
            .ok_or_else(|| Error::Configuration {
                path: "AEGIS_CACHE".into(),
                reason: "not set, nor XDG_CACHE_HOME, nor HOME; set AEGIS_CACHE".to_owned(),
            })?;
        Self::at(&root)
    }

    /// The cache in a folder, which is made if need be.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn at(root: &Path) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(Error::file("make", root))?;
        let root = root.canonicalize().map_err(Error::file("find", root))?;
        Ok(Self { root })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the entry of this key is or will be.
    pub fn path(&self, kind: &str, key: &Key) -> PathBuf {
        self.root.join(format!("{kind}-{}", key.hex()))
    }

    /// The entry's folder; `make` fills an empty one if there is none yet.
    ///
    /// # Errors
    /// What `make` fails with, or what the file system says.
    pub fn entry(
        &self,
        kind: &str,
        key: &Key,
        make: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        let path = self.path(kind, key);
        if path.is_dir() {
            return Ok(path);
        }
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = File::create(&lock_path).map_err(Error::file("write", &lock_path))?;
        lock.lock().map_err(Error::file("lock", &lock_path))?;
        if path.is_dir() {
            return Ok(path);
        }
        let staging = self.work_folder("new-")?;
        make(staging.path())?;
        fs::rename(staging.path(), &path).map_err(Error::file("move", &path))?;
        Ok(path)
    }

    /// An empty folder for a build, removed when dropped.
    ///
    /// # Errors
    /// What the file system says.
    pub fn work_folder(&self, prefix: &str) -> Result<tempfile::TempDir, Error> {
        tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(&self.root)
            .map_err(Error::file("make a folder in", &self.root))
    }
}

/// Writes a file so that it is there in full or not at all.
///
/// # Errors
/// What the file system says.
pub fn write_atomically(path: &Path, data: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
    let file = tempfile::NamedTempFile::new_in(folder).map_err(Error::file("write in", folder))?;
    fs::write(file.path(), data).map_err(Error::file("write", path))?;
    file.persist(path).map_err(|e| Error::file("write", path)(e.error))?;
    Ok(())
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn failure() -> Error {
        Error::Differs("on purpose".to_owned())
    }

    #[test]
    fn an_entry_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let key = Key::default().add("recipe", "1");
        let write = |at: &Path| fs::write(at.join("x"), "1").map_err(Error::file("write", at));
        let first = cache.entry("part", &key, write).unwrap();
        assert_eq!(fs::read(first.join("x")).unwrap(), b"1");
        assert_eq!(cache.entry("part", &key, |_| Err(failure())).unwrap(), first);
    }

    #[test]
    fn a_failed_build_leaves_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let key = Key::default().add("recipe", "1");
        let half = |at: &Path| {
            fs::write(at.join("x"), "half").unwrap();
            Err(failure())
        };
        assert!(cache.entry("part", &key, half).is_err());
        assert!(!cache.path("part", &key).exists());
        assert!(
            cache.entry("part", &key, |_| Ok(())).unwrap().read_dir().unwrap().next().is_none()
        );
    }

    #[test]
    fn keys_tell_names_values_and_order_apart() {
        let keys = [
            Key::default(),
            Key::default().add("a", "bc"),
            Key::default().add("ab", "c"),
            Key::default().add("a", "b").add("c", ""),
            Key::default().add("c", "").add("a", "b"),
        ];
        for (index, key) in keys.iter().enumerate() {
            for other in &keys[index + 1..] {
                assert_ne!(key.hex(), other.hex());
            }
        }
    }
}
