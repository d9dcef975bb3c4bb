//! Ramdisks: cpio archives in the "newc" form that the kernel unpacks, written so that equal
//! content gives equal bytes.
//!
//! [`write()`] takes an explicit list: entries are sorted by path, owners and times are zero, inode
//! numbers count up, the archive ends on a multiple of 512 bytes as GNU cpio's do. [`read`] accepts
//! nothing else, so a ramdisk of an image has one reading. The format: Linux
//! `Documentation/driver-api/early-userspace/ buffer-format.rst`.

use std::collections::BTreeMap;

/// One file of a ramdisk, without its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder, mode 0755.
    Folder,
    /// A regular file.
    File {
        /// Its content.
        data: Vec<u8>,
        /// Mode 0755 if so, else 0644.
        executable: bool,
    },
    /// A character device, mode 0600.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// Paths (relative, without leading or trailing slash) and what stands there.
pub type Tree = BTreeMap<String, Node>;

/// Why a ramdisk cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpioError {
    /// A path that is empty, absolute, or has an empty, `.` or `..` part or a zero byte.
    #[error("{path:?} is not a plain relative path")]
    Path {
        /// The path.
        path: String,
    },
    /// An entry in a folder that the list does not have.
    #[error("{path} lies in a folder that is not in the list")]
    Parent {
        /// The path.
        path: String,
    },
    /// A file of 4 GiB or more.
    #[error("{path} is too large for this format")]
    TooLarge {
        /// The path.
        path: String,
    },
    /// The archive is cut short or a field is not hexadecimal.
    #[error("damaged archive at byte {at}")]
    Damaged {
        /// Where.
        at: usize,
    },
    /// A mode that the writer does not write.
    #[error("{path} has mode {mode:o}, which no ramdisk of ours has")]
    Mode {
        /// The path.
        path: String,
        /// Its mode and type bits.
        mode: u32,
    },
    /// Readable, but not the bytes that the writer writes for this content.
    #[error("archive is not in canonical form (order, times, owners, padding)")]
    NotCanonical,
}

const FOLDER: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const PLAIN: u32 = 0o100_644;
const DEVICE: u32 = 0o020_600;
const TRAILER: &str = "TRAILER!!!";
/// Magic and 13 fields of 8 hexadecimal digits.
const ENTRY_HEADER_BYTES: usize = 6 + 13 * 8;
/// GNU cpio pads archives to its block size; padding keeps concatenated ramdisks aligned.
const BLOCK_BYTES: usize = 512;

/// The archive of `tree`.
///
/// # Errors
/// When a path is not plain, its folder is missing, or a file is too large.
pub fn write(tree: &Tree) -> Result<Vec<u8>, CpioError> {
    let mut archive = Vec::new();
    for (index, (path, node)) in tree.iter().enumerate() {
        check_path(tree, path)?;
        let inode = index as u32 + 1;
        match node {
            Node::Folder => entry(&mut archive, path, FOLDER, inode, (0, 0), &[])?,
            Node::File { data, executable } => {
                let mode = if *executable { EXECUTABLE } else { PLAIN };
                entry(&mut archive, path, mode, inode, (0, 0), data)?;
            }
            Node::CharacterDevice { major, minor } => {
                entry(&mut archive, path, DEVICE, inode, (*major, *minor), &[])?;
            }
        }
    }
    entry(&mut archive, TRAILER, 0, 0, (0, 0), &[])?;
    archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
    Ok(archive)
}

/// The tree of `archive`.
///
/// # Errors
/// When the archive is anything but what [`write()`] writes.
pub fn read(archive: &[u8]) -> Result<Tree, CpioError> {
    let mut tree = Tree::new();
    let mut at = 0;
    loop {
        let raw = RawEntry::parse(archive, at)?;
        at = raw.end;
        if raw.path == TRAILER {
            break;
        }
        let node = match raw.mode {
            FOLDER => Node::Folder,
            EXECUTABLE => Node::File { data: raw.data.to_vec(), executable: true },
            PLAIN => Node::File { data: raw.data.to_vec(), executable: false },
            DEVICE => Node::CharacterDevice { major: raw.device.0, minor: raw.device.1 },
            mode => {
                return Err(CpioError::Mode { path: raw.path, mode });
            }
        };
        tree.insert(raw.path, node);
    }
    if write(&tree)? != archive {
        return Err(CpioError::NotCanonical);
    }
    Ok(tree)
}

fn check_path(tree: &Tree, path: &str) -> Result<(), CpioError> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && part != TRAILER;
    if !path.split('/').all(plain) || path.contains('\0') {
        return Err(CpioError::Path { path: path.to_owned() });
    }
    match path.rsplit_once('/') {
        Some((folder, _)) if tree.get(folder) != Some(&Node::Folder) => {
            Err(CpioError::Parent { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

fn entry(
    archive: &mut Vec<u8>,
    path: &str,
    mode: u32,
    inode: u32,
    device: (u32, u32),
    data: &[u8],
) -> Result<(), CpioError> {
    let too_large = |_| CpioError::TooLarge { path: path.to_owned() };
    let size = u32::try_from(data.len()).map_err(too_large)?;
    let links = if mode == FOLDER { 2 } else { 1 };
    let (major, minor) = device;
    let name_size = path.len() as u32 + 1;
    // Inode, mode, user, group, links, time, size, device of the file system, device, name, check.
    let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
    archive.extend(b"070701");
    for field in fields {
        archive.extend(format!("{field:08X}").bytes());
    }
    archive.extend(path.bytes());
    archive.push(0);
    pad_to_word(archive);
    archive.extend_from_slice(data);
    pad_to_word(archive);
    Ok(())
}

fn pad_to_word(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

/// The fields that matter; [`read`] writes the tree again to check the others.
struct RawEntry<'a> {
    path: String,
    mode: u32,
    device: (u32, u32),
    data: &'a [u8],
    end: usize,
}

impl<'a> RawEntry<'a> {
    fn parse(archive: &'a [u8], at: usize) -> Result<Self, CpioError> {
        let damaged = CpioError::Damaged { at };
        let header = archive.get(at..at + ENTRY_HEADER_BYTES).ok_or(damaged.clone())?;
        let field = |index: usize| {
            let digits = &header[6 + 8 * index..14 + 8 * index];
            let digits = std::str::from_utf8(digits).map_err(|_| damaged.clone())?;
            u32::from_str_radix(digits, 16).map_err(|_| damaged.clone())
        };
        let name_begin = at + ENTRY_HEADER_BYTES;
        let name_end = name_begin + field(11)? as usize;
        let name = archive.get(name_begin..name_end).ok_or(damaged.clone())?;
        let path = name.strip_suffix(&[0]).ok_or(damaged.clone())?;
        let path = String::from_utf8(path.to_vec()).map_err(|_| damaged.clone())?;
        let data_begin = name_end.next_multiple_of(4);
        let data_end = data_begin + field(6)? as usize;
        let data = archive.get(data_begin..data_end).ok_or(damaged.clone())?;
        let device = (field(9)?, field(10)?);
        Ok(Self { path, mode: field(1)?, device, data, end: data_end.next_multiple_of(4) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tree() -> Tree {
        Tree::from([
            ("dev".to_owned(), Node::Folder),
            ("dev/console".to_owned(), Node::CharacterDevice { major: 5, minor: 1 }),
            ("init".to_owned(), Node::File { data: b"\x7fELF.".to_vec(), executable: true }),
            ("table".to_owned(), Node::File { data: b"a b".to_vec(), executable: false }),
        ])
    }

    #[test]
    fn reading_gives_back_what_was_written() {
        let archive = write(&tree()).unwrap();
        assert_eq!(archive.len() % BLOCK_BYTES, 0);
        assert_eq!(read(&archive).unwrap(), tree());
    }

    #[test]
    fn every_flipped_byte_is_refused_or_shows() {
        let archive = write(&tree()).unwrap();
        for at in 0..archive.len() {
            let mut flipped = archive.clone();
            flipped[at] ^= 1;
            assert_ne!(read(&flipped), Ok(tree()), "byte {at} flipped without effect");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let archive = write(&tree()).unwrap();
        for length in 0..archive.len() {
            assert!(read(&archive[..length]).is_err(), "{length} bytes accepted");
        }
    }

    #[test]
    fn another_time_or_owner_is_not_canonical() {
        for field in [2, 3, 5] {
            let mut archive = write(&tree()).unwrap();
            archive[6 + 8 * field + 7] = b'1';
            assert_eq!(read(&archive), Err(CpioError::NotCanonical));
        }
    }

    #[test]
    fn a_mode_of_our_own_only() {
        let mut archive = write(&tree()).unwrap();
        archive[6 + 8 + 7] = b'F';
        assert!(matches!(read(&archive), Err(CpioError::Mode { .. })));
    }

    #[test]
    fn paths_are_plain_and_their_folders_listed() {
        for path in ["", "/init", "a//b", "../x", "a/.", "dev/", "a\0b", TRAILER] {
            let tree =
                Tree::from([("a".to_owned(), Node::Folder), (path.to_owned(), Node::Folder)]);
            assert!(matches!(write(&tree), Err(CpioError::Path { .. })), "{path:?} accepted");
        }
        let orphan = Tree::from([("dev/console".to_owned(), Node::Folder)]);
        assert!(matches!(write(&orphan), Err(CpioError::Parent { .. })));
    }
}
