//! What differs between two images, down to the file in a ramdisk and the offset.

use std::fmt;

use crate::cpio;
use crate::cpio::Node;
use crate::eif::Eif;

/// One difference. `left` and `right` are the two images in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The section, as in `ramdisk 1`.
    pub section: String,
    /// The file within a ramdisk.
    pub file: Option<String>,
    /// What differs.
    pub what: What,
}

/// The kind of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Only the left image has it.
    OnlyLeft,
    /// Only the right image has it.
    OnlyRight,
    /// Both are text.
    Text {
        /// Left.
        left: String,
        /// Right.
        right: String,
    },
    /// Kind, mode or device number differ.
    Kind {
        /// Left.
        left: String,
        /// Right.
        right: String,
    },
    /// The bytes differ.
    Bytes {
        /// The first byte that differs, counted from the begin of the section or file.
        offset: usize,
        /// How many positions differ within the common length.
        count: usize,
        /// Bytes on the left.
        left_bytes: usize,
        /// Bytes on the right.
        right_bytes: usize,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.section)?;
        if let Some(file) = &self.file {
            write!(f, ": /{file}")?;
        }
        match &self.what {
            What::OnlyLeft => f.write_str(": only in the first image"),
            What::OnlyRight => f.write_str(": only in the second image"),
            What::Text { left, right } | What::Kind { left, right } => {
                write!(f, ": {left:?} against {right:?}")
            }
            What::Bytes { offset, count, left_bytes, right_bytes } => write!(
                f,
                ": first differs at offset {offset}; {count} bytes differ in the common length; \
                 {left_bytes} against {right_bytes} bytes"
            ),
        }
    }
}

/// All differences between two images; none if and only if the images are equal.
pub fn between(left: &Eif, right: &Eif) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut section = |section: &str, what: Option<What>| {
        found.extend(what.map(|what| Difference { section: section.to_owned(), file: None, what }));
    };
    section("kernel", bytes(&left.kernel, &right.kernel));
    section("command line", text(left.command_line.as_bytes(), right.command_line.as_bytes()));
    section("metadata", text(&left.metadata, &right.metadata));
    for index in 0..left.ramdisks.len().max(right.ramdisks.len()) {
        let name = format!("ramdisk {index}");
        match (left.ramdisks.get(index), right.ramdisks.get(index)) {
            (Some(left), Some(right)) => found.extend(ramdisk(&name, left, right)),
            (Some(_), None) => {
                found.push(Difference { section: name, file: None, what: What::OnlyLeft });
            }
            _ => found.push(Difference { section: name, file: None, what: What::OnlyRight }),
        }
    }
    found
}

/// By file where both archives are ours, else by byte.
fn ramdisk(section: &str, left: &[u8], right: &[u8]) -> Vec<Difference> {
    let (Ok(left_tree), Ok(right_tree)) = (cpio::read(left), cpio::read(right)) else {
        let what = bytes(left, right);
        return what
            .map(|what| Difference { section: section.to_owned(), file: None, what })
            .into_iter()
            .collect();
    };
    let mut paths: Vec<&String> = left_tree.keys().chain(right_tree.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| {
            let what = node(left_tree.get(path), right_tree.get(path))?;
            Some(Difference { section: section.to_owned(), file: Some(path.clone()), what })
        })
        .collect()
}

fn node(left: Option<&Node>, right: Option<&Node>) -> Option<What> {
    match (left, right) {
        (Some(_), None) => Some(What::OnlyLeft),
        (None, Some(_)) => Some(What::OnlyRight),
        (None, None) => None,
        (Some(left), Some(right)) if left == right => None,
        (
            Some(Node::File { data: left, executable: left_mode }),
            Some(Node::File { data: right, executable: right_mode }),
        ) if left_mode == right_mode => bytes(left, right),
        (Some(left), Some(right)) => Some(What::Kind { left: kind(left), right: kind(right) }),
    }
}

fn kind(node: &Node) -> String {
    match node {
        Node::Folder => "folder".to_owned(),
        Node::File { executable: true, .. } => "executable file".to_owned(),
        Node::File { executable: false, .. } => "plain file".to_owned(),
        Node::CharacterDevice { major, minor } => format!("character device {major}:{minor}"),
    }
}

fn text(left: &[u8], right: &[u8]) -> Option<What> {
    match (std::str::from_utf8(left), std::str::from_utf8(right)) {
        _ if left == right => None,
        (Ok(left), Ok(right)) => {
            Some(What::Text { left: left.to_owned(), right: right.to_owned() })
        }
        _ => bytes(left, right),
    }
}

/// How two byte strings differ.
pub fn bytes(left: &[u8], right: &[u8]) -> Option<What> {
    if left == right {
        return None;
    }
    let pairs = || left.iter().zip(right);
    let offset = pairs().position(|(l, r)| l != r).unwrap_or(left.len().min(right.len()));
    let count = pairs().filter(|(l, r)| l != r).count();
    Some(What::Bytes { offset, count, left_bytes: left.len(), right_bytes: right.len() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::image;
    use crate::image::Parts;

    fn parts() -> Parts {
        Parts {
            kernel: vec![7; 64],
            kernel_version: "6.12.0".to_owned(),
            command_line: "reboot=k".to_owned(),
            init: b"\x7fELF and so on".to_vec(),
            program_files: BTreeMap::from([("table".to_owned(), b"row".to_vec())]),
            name: "aegis".to_owned(),
            version: "1".to_owned(),
        }
    }

    fn said(change: impl Fn(&mut Parts)) -> Vec<String> {
        let mut changed = parts();
        change(&mut changed);
        let (left, right) = (image::assemble(parts()).unwrap(), image::assemble(changed).unwrap());
        between(&left, &right).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_images_have_no_differences() {
        assert_eq!(said(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn a_byte_of_a_file_is_found_where_it_stands() {
        assert_eq!(
            said(|p| p.init[5] ^= 1),
            ["ramdisk 1: /init: first differs at offset 5; 1 bytes differ in the common length; \
              14 against 14 bytes"]
        );
    }

    #[test]
    fn files_come_and_go_by_name() {
        let said = said(|p| p.program_files = BTreeMap::from([("other".to_owned(), Vec::new())]));
        assert_eq!(
            said,
            [
                "ramdisk 1: /other: only in the second image",
                "ramdisk 1: /table: only in the first image"
            ]
        );
    }

    #[test]
    fn text_is_shown_as_text() {
        let said = said(|p| p.command_line.push_str(" debug"));
        assert_eq!(said, ["command line: \"reboot=k\" against \"reboot=k debug\""]);
    }

    #[test]
    fn an_archive_that_is_not_ours_is_compared_by_byte() {
        let left = image::assemble(parts()).unwrap();
        let mut right = left.clone();
        right.ramdisks[0][0] = b'x';
        let found = between(&left, &right);
        assert_eq!(found.len(), 1);
        assert!(matches!(found[0].what, What::Bytes { offset: 0, count: 1, .. }));
    }

    #[test]
    fn a_ramdisk_too_many_is_named() {
        let left = image::assemble(parts()).unwrap();
        let mut right = left.clone();
        right.ramdisks.push(Vec::new());
        assert_eq!(between(&left, &right)[0].to_string(), "ramdisk 2: only in the second image");
        assert_eq!(between(&right, &left)[0].to_string(), "ramdisk 2: only in the first image");
    }
}
