//! A log's folder (c2sp.org/tlog-tiles): everything in it is checked against the checkpoint's root
//! before anything is made of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aegis_releases::{
    Note, checkpoint,
    limits::{CHECKPOINT_BYTES, LIST_BYTES, LOG_ENTRIES},
    log::{self, File, LogError, TILE, Tree, decode_entries, encode_entries, entries_path},
    merkle::TreeHead,
};

use crate::{failure::Failure, files};

/// A log as it stands on disk.
pub(super) struct Store {
    folder: PathBuf,
    pub(super) tree: Tree,
    /// With cosignatures; empty when the log is new.
    pub(super) checkpoint: Vec<u8>,
    _lock: fs::File,
}

impl Store {
    /// Reads a log, or one without entries from a folder that is empty or not there.
    pub(super) fn open_or_new(folder: &Path) -> Result<Self, Failure> {
        if folder.join("checkpoint").exists() {
            return Self::open(folder);
        }
        let bad = |e: std::io::Error| {
            let folder = folder.display();
            Failure::environment(format!("cannot make the log {folder}: {e}; choose another place"))
        };
        fs::create_dir_all(folder).map_err(bad)?;
        if fs::read_dir(folder).map_err(bad)?.next().is_some() {
            let folder = folder.display();
            return Err(Failure::usage(format!(
                "{folder} has files and no checkpoint, so it is no log; name a new folder"
            )));
        }
        let lock = files::lock(&folder.join(".lock"))?;
        let (tree, checkpoint) = (Tree::default(), Vec::new());
        Ok(Self { folder: folder.to_owned(), tree, checkpoint, _lock: lock })
    }

    /// Reads a log.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let odd = |why: &dyn std::fmt::Display| {
            let folder = folder.display();
            Failure::refused(format!("the log {folder} is damaged: {why}; restore it from a copy"))
        };
        let path = folder.join("checkpoint");
        if !path.exists() {
            let path = path.display();
            return Err(Failure::environment(format!("{path} is missing; name a log's folder")));
        }
        let lock = files::lock(&folder.join(".lock"))?;
        let bytes = files::read(&path, CHECKPOINT_BYTES)?;
        let note = Note::parse(&bytes, CHECKPOINT_BYTES).map_err(|e| odd(&e))?;
        let (_, head) = checkpoint::parse_text(note.text()).map_err(|e| odd(&e))?;
        if head.size > LOG_ENTRIES {
            return Err(odd(&"it has more entries than this program reads"));
        }
        let mut tree = Tree::default();
        for (index, width) in log::widths(head.size) {
            let path = log::tile_path(0, index, width);
            let tile = files::read(&folder.join(&path), 32 * TILE as usize)?;
            tree.read_tile(&path, width, &tile).map_err(|e| odd(&e))?;
        }
        if tree.head() != head {
            return Err(odd(&LogError::Root));
        }
        Ok(Self { folder: folder.to_owned(), tree, checkpoint: bytes, _lock: lock })
    }

    pub(super) fn head(&self) -> TreeHead {
        self.tree.head()
    }

    /// The entries of the bundle with this index, each checked against the tree.
    pub(super) fn entries(&self, index: u64) -> Result<Vec<Vec<u8>>, Failure> {
        let width = (self.head().size - index * TILE).min(TILE);
        let path = entries_path(index, width);
        let limit = TILE as usize * (LIST_BYTES + 2);
        let bytes = files::read(&self.folder.join(&path), limit)?;
        let entries = decode_entries(&path, width, &bytes);
        let checked = entries.and_then(|entries| {
            self.tree.holds(index * TILE, &entries)?;
            Ok(entries)
        });
        checked.map_err(|e| {
            let folder = self.folder.display();
            Failure::refused(format!("the log {folder} is damaged: {e}; restore it from a copy"))
        })
    }

    /// The last entry; none of an empty log.
    pub(super) fn last(&self) -> Result<Option<Vec<u8>>, Failure> {
        match self.head().size.checked_sub(1) {
            None => Ok(None),
            Some(last) => Ok(self.entries(last / TILE)?.pop()),
        }
    }

    /// Adds an entry. Its files come before the checkpoint that names them, and none is ever
    /// changed.
    pub(super) fn append(
        &mut self,
        entry: Vec<u8>,
        sign: impl FnOnce(&TreeHead) -> String,
    ) -> Result<(), Failure> {
        let size = self.head().size;
        let (index, before) = (size / TILE, size % TILE);
        let mut entries = if before == 0 { Vec::new() } else { self.entries(index)? };
        let mut written = self.tree.push(&entry);
        entries.push(entry);
        let path = entries_path(index, before + 1);
        let bytes = encode_entries(&entries).map_err(|e| {
            Failure::refused(format!("the log takes no such list: {e}; list fewer releases"))
        })?;
        written.push(File { path, bytes });
        for file in &written {
            files::write(&self.folder.join(&file.path), &file.bytes)?;
        }
        let checkpoint = sign(&self.head());
        self.write_checkpoint(checkpoint.into_bytes())
    }

    pub(super) fn write_checkpoint(&mut self, bytes: Vec<u8>) -> Result<(), Failure> {
        files::write(&self.folder.join("checkpoint"), &bytes)?;
        self.checkpoint = bytes;
        Ok(())
    }
}
