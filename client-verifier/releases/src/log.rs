//! The log as files (c2sp.org/tlog-tiles): which files there are and what is in them. Reading and
//! writing them is the caller's.
//!
//! An entry is a signed list as it was received, so its leaf is the RFC 6962 hash of the list. A log
//! has one entry for each list, a few dozen a year: all leaf hashes are held in memory.

use crate::{
    bundle::{Bundle, Consistency, Proof},
    limits::{CONSISTENCY_PROOFS, LIST_BYTES},
    macros::refusals,
    merkle::{Hash, TreeHead, consistency_proof, inclusion_proof, leaf_hash, root},
};

/// Hashes of a full tile, entries of a full bundle.
pub const TILE: u64 = 256;

refusals! {
    /// A log's files that contradict each other.
    LogError {
        /// A tile has not the length that its name says.
        Tile { /// Its path.
            path: String } = "tile", "{path} has another length than its name says";
        /// An entry bundle cannot be taken apart or has another number of entries.
        Entries { /// Its path.
            path: String } = "entries", "{path} does not hold the entries that its name says";
        /// An entry that is not the one whose hash is in the tree.
        Entry { /// Its place.
            index: u64 } = "entry", "entry {index} is not the one in the tree";
        /// The tiles do not lead to the checkpoint's root.
        Root = "root", "the tiles do not lead to the checkpoint's root";
        /// More than a bundle of entries can hold.
        EntryTooLarge { /// Its length.
            bytes: usize } = "entry_too_large", "the list has {bytes} bytes, more than an entry can";
    }
}

/// A file of a log, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the log's folder.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Leaf hashes of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    leaves: Vec<Hash>,
}

/// Path of a tile that holds `width` hashes.
pub fn tile_path(level: u8, index: u64, width: u64) -> String {
    format!("tile/{level}/{}", numbered(index, width))
}

/// Path of a bundle that holds `width` entries.
pub fn entries_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}", numbered(index, width))
}

/// `1234067` is `x001/x234/067`; a partial one gets `.p/WIDTH`.
fn numbered(index: u64, width: u64) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE {
        text += &format!(".p/{width}");
    }
    text
}

/// Index and width of each tile, or bundle, over `size` entries.
pub fn widths(size: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..size.div_ceil(TILE)).map(move |index| (index, (size - index * TILE).min(TILE)))
}

/// Entries of a bundle, each behind its length in 16 bits.
pub fn encode_entries(entries: &[Vec<u8>]) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).ok().filter(|_| entry.len() <= LIST_BYTES);
        let length = length.ok_or(LogError::EntryTooLarge { bytes: entry.len() })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle of which the path says that there are `width`.
pub fn decode_entries(path: &str, width: u64, bytes: &[u8]) -> Result<Vec<Vec<u8>>, LogError> {
    let odd = || LogError::Entries { path: path.to_owned() };
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or_else(odd)?;
        entries.push(entry.to_vec());
        rest = after;
    }
    match rest.is_empty() && entries.len() as u64 == width {
        true => Ok(entries),
        false => Err(odd()),
    }
}

impl Tree {
    /// Takes up the hashes of a tile of level 0, of which the path says that there are `width`.
    pub fn read_tile(&mut self, path: &str, width: u64, bytes: &[u8]) -> Result<(), LogError> {
        let (hashes, rest) = bytes.as_chunks();
        if !rest.is_empty() || hashes.len() as u64 != width {
            return Err(LogError::Tile { path: path.to_owned() });
        }
        self.leaves.extend(hashes.iter().copied().map(Hash));
        Ok(())
    }

    /// Adds an entry, and gives the tiles that it changes: at each level the
    /// last, if the entry completes a hash of it.
    pub fn push(&mut self, entry: &[u8]) -> Vec<File> {
        self.leaves.push(leaf_hash(entry));
        let size = self.leaves.len();
        let levels = (0u8..8).take_while(|level| size.is_multiple_of(1 << (8 * u32::from(*level))));
        levels.map(|level| self.last_tile(level)).collect()
    }

    fn last_tile(&self, level: u8) -> File {
        let shift = 8 * u32::from(level);
        let hashes = self.leaves.len() as u64 >> shift;
        let index = (hashes - 1) / TILE;
        let subtree = |at: u64| &self.leaves[(at as usize) << shift..(at as usize + 1) << shift];
        let bytes = (index * TILE..hashes).flat_map(|at| root(subtree(at)).0).collect();
        File { path: tile_path(level, index, hashes - index * TILE), bytes }
    }

    /// Its head.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.leaves.len() as u64, root: root(&self.leaves) }
    }

    /// Whether these are the entries from `first` on.
    pub fn holds(&self, first: u64, entries: &[Vec<u8>]) -> Result<(), LogError> {
        for (index, entry) in (first..).zip(entries) {
            if self.leaves.get(index as usize) != Some(&leaf_hash(entry)) {
                return Err(LogError::Entry { index });
            }
        }
        Ok(())
    }

    /// The proof that the tree of `size` leaves is the beginning of this one.
    pub fn consistency(&self, size: u64) -> Option<Vec<Hash>> {
        consistency_proof(&self.leaves, usize::try_from(size).ok()?)
    }

    /// The bundle of the entry at `index`, with this checkpoint of the tree, and with consistency
    /// proofs from the latest sizes, and from `since` if that is an earlier one.
    pub fn bundle(
        &self,
        index: u64,
        list: &[u8],
        checkpoint: &[u8],
        since: Option<u64>,
    ) -> Option<Vec<u8>> {
        let size = self.leaves.len() as u64;
        let hashes = inclusion_proof(&self.leaves, usize::try_from(index).ok()?)?;
        let latest = size.saturating_sub(CONSISTENCY_PROOFS as u64).max(1)..size;
        let since = since.filter(|since| (1..latest.start).contains(since));
        // One that is asked for takes the place of the oldest of the others.
        let latest = latest.skip(usize::from(since.is_some()));
        let consistency = since
            .into_iter()
            .chain(latest)
            .map(|from| Some(Consistency { from, hashes: self.consistency(from)? }));
        let consistency = consistency.collect::<Option<_>>()?;
        let proof = Proof { index, hashes, checkpoint };
        Some(Bundle { list, proof, consistency }.encode())
    }
}
