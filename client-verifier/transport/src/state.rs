//! What a client remembers of release lists, on disk: read, compared and written under one lock, so
//! that two programs with one state never go back.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use aegis_releases::{Accepted, Seen, Trust, UnixSeconds, check};

/// A state file that cannot be used, or a list that was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Reading or writing it.
    #[error("cannot use the release state {path}: {source}; give a file in a folder that you may write to", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Damaged, or another file.
    #[error("the release state {path} is damaged: {source}; find out who changed it, and remove it only if an older list being accepted is acceptable", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: aegis_releases::StateError,
    },
    /// The list.
    #[error("the release list is refused at step {0}")]
    Refused(#[from] aegis_releases::Error),
}

/// The file of one client and one product's lists.
#[derive(Debug, Clone)]
pub struct StateFile(PathBuf);

impl StateFile {
    /// The state in this file, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What was accepted before; none when the file does not exist.
    pub fn read(&self) -> Result<Option<Seen>, StateError> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.file(source)),
        };
        let seen = Seen::parse(&bytes)
            .map_err(|source| StateError::Damaged { path: self.0.clone(), source })?;
        Ok(Some(seen))
    }

    /// Checks a bundle against what was accepted before, and remembers it if it passes.
    pub fn accept(
        &self,
        bundle: &[u8],
        trust: &Trust,
        now: UnixSeconds,
    ) -> Result<Accepted, StateError> {
        // Held until the end of this function; it goes with the file's handle.
        let _lock = self.lock().map_err(|source| self.file(source))?;
        let seen = self.read()?;
        let accepted = check(bundle, trust, seen.as_ref(), now)?;
        if seen.as_ref() != Some(accepted.seen()) {
            self.write(accepted.seen()).map_err(|source| self.file(source))?;
        }
        Ok(accepted)
    }

    fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(self.folder())?;
        let mut name = self.0.clone().into_os_string();
        name.push(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(name)?;
        file.lock()?;
        Ok(file)
    }

    /// All of it or nothing, also when the machine stops in between.
    fn write(&self, seen: &Seen) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.folder())?;
        file.write_all(seen.to_text().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.0).map_err(|error| error.error)?;
        File::open(self.folder())?.sync_all()
    }

    fn folder(&self) -> &Path {
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new("."))
    }

    fn file(&self, source: io::Error) -> StateError {
        StateError::File { path: self.0.clone(), source }
    }
}
