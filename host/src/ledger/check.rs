//! A look at a ledger that neither takes nor changes it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    path::Path,
};

use super::{Ledger, LedgerError, replay};
use crate::folder;

impl Ledger {
    /// Whether [`Ledger::open`] would succeed once no other host has the file.
    pub fn check(path: &Path) -> Result<(), LedgerError> {
        let failed = |source| LedgerError::File { path: path.into(), source };
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => Err(LedgerError::NoFile { path: path.into() }),
            Ok(_) => {
                let file = OpenOptions::new().read(true).append(true).open(path);
                let mut bytes = Vec::new();
                file.and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
                replay::replay(path, &bytes).map(|_| ())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder::takes_files(path)
                .map_err(|source| LedgerError::Folder { path: path.into(), source }),
            Err(error) => Err(failed(error)),
        }
    }
}
