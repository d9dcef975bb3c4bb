//! Where a database is.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Kind, StoreError};

/// Where a database is, without having been looked at.
#[derive(Clone)]
pub struct Address {
    pub(super) kind: Kind,
    pub(super) url: Zeroizing<String>,
    /// For messages: no password.
    pub(super) shown: String,
    pub(super) path: Option<PathBuf>,
    /// A backup, which is only read.
    pub(super) is_copy: bool,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    /// Reads `sqlite:FILE` or `postgres://...`; a file's path starts at `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, StoreError> {
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(Self::sqlite(&folder.join(path)));
        }
        let rest = text.strip_prefix("postgres://").or(text.strip_prefix("postgresql://"));
        let Some(rest) = rest else {
            // Its beginning alone: the rest may hold a password.
            let begins = text.chars().take_while(|c| *c != ':').take(24).collect();
            return Err(StoreError::Address(begins));
        };
        // First of all, so that no reading of the rest can show a password: what stands before the
        // last at-sign is hidden, whatever it is.
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        if user.contains(['/', '?', '#']) {
            return Err(StoreError::Password);
        }
        let shown = rest.split(['?', '#']).next().unwrap_or_default();
        Ok(Self {
            kind: Kind::Postgres,
            url: Zeroizing::new(text.to_owned()),
            shown: format!("postgres://{shown}"),
            path: None,
            is_copy: false,
        })
    }

    /// That file.
    pub fn sqlite(path: &Path) -> Self {
        Self::file(path, false)
    }

    /// That backup. Nobody writes to it, so nothing beside it is looked at or made.
    pub(super) fn copy(path: &Path) -> Self {
        Self::file(path, true)
    }

    fn file(path: &Path, is_copy: bool) -> Self {
        let path = std::path::absolute(path).unwrap_or(path.to_owned());
        let mut url = "sqlite://".to_owned();
        for byte in path.as_os_str().as_bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                    url.push(char::from(*byte));
                }
                _ => url += &format!("%{byte:02X}"),
            }
        }
        url += if is_copy { "?mode=ro&immutable=true" } else { "?mode=rw" };
        let (shown, url) = (path.display().to_string(), Zeroizing::new(url));
        Self { kind: Kind::Sqlite, url, shown, path: Some(path), is_copy }
    }

    /// Whether other hosts can use it too.
    pub fn is_shared(&self) -> bool {
        self.kind == Kind::Postgres
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}
