//! Whether files can be made in a folder. Permissions do not tell: a file system may be read-only
//! or virtual, and root passes every permission.

use std::{fs, io, path::Path};

/// Makes an empty file beside that path and removes it.
pub(crate) fn takes_files(beside: &Path) -> io::Result<()> {
    let probe = beside.with_file_name(format!(".aegis-host-check-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}
