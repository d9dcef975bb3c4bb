//! The log as files: what is written is read back, tiles of higher levels are the roots of those
//! below, and files that contradict each other are refused.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use aegis_releases::{
    log::{LogError, Tree, decode_entries, encode_entries, entries_path, tile_path, widths},
    merkle::{Hash, root},
};

/// All files that a log of so many entries ever wrote.
fn written(size: u64) -> (Tree, BTreeMap<String, Vec<u8>>) {
    let (mut tree, mut files) = (Tree::default(), BTreeMap::new());
    for entry in 0..size {
        for file in tree.push(&entry.to_be_bytes()) {
            let before = files.insert(file.path.clone(), file.bytes.clone());
            assert!(before.is_none(), "{} was written before: tiles do not change", file.path);
        }
    }
    (tree, files)
}

fn read(files: &BTreeMap<String, Vec<u8>>, size: u64) -> Tree {
    let mut tree = Tree::default();
    for (index, width) in widths(size) {
        let path = tile_path(0, index, width);
        tree.read_tile(&path, width, &files[&path]).unwrap();
    }
    tree
}

#[test]
fn tiles_are_read_back() {
    let (tree, files) = written(520);
    for size in [1, 255, 256, 257, 512, 520] {
        let part = read(&files, size);
        assert_eq!(part.head().size, size);
        assert!(tree.consistency(size).is_some());
    }
    assert_eq!(read(&files, 520), tree);
}

#[test]
fn higher_tiles_are_roots_of_full_lower_ones() {
    let (_, files) = written(520);
    let hashes =
        |path: &str| -> Vec<Hash> { files[path].as_chunks().0.iter().copied().map(Hash).collect() };
    assert_eq!(
        hashes("tile/1/000.p/2"),
        [root(&hashes("tile/0/000")), root(&hashes("tile/0/001"))]
    );
    assert_eq!(hashes("tile/1/000.p/1"), [root(&hashes("tile/0/000"))]);
    assert!(!files.contains_key("tile/2/000.p/1"));
}

#[test]
fn entries_are_read_back() {
    let entries = vec![b"one".to_vec(), Vec::new(), vec![7; 65_535]];
    let bytes = encode_entries(&entries).unwrap();
    let path = entries_path(0, 3);
    assert_eq!(decode_entries(&path, 3, &bytes).unwrap(), entries);
    let odd = Err(LogError::Entries { path: path.clone() });
    assert_eq!(decode_entries(&path, 2, &bytes), odd);
    assert_eq!(decode_entries(&path, 3, &bytes[..bytes.len() - 1]), odd);
    assert_eq!(decode_entries(&path, 3, &[&bytes[..], &[0]].concat()), odd);
    let large = vec![vec![0; 65_536]];
    assert_eq!(encode_entries(&large), Err(LogError::EntryTooLarge { bytes: 65_536 }));
}

#[test]
fn entry_that_is_not_in_the_tree() {
    let (tree, _) = written(3);
    let entry = |index: u64| index.to_be_bytes().to_vec();
    assert_eq!(tree.holds(1, &[entry(1), entry(2)]), Ok(()));
    assert_eq!(tree.holds(1, &[entry(1), entry(1)]), Err(LogError::Entry { index: 2 }));
    assert_eq!(tree.holds(2, &[entry(2), entry(3)]), Err(LogError::Entry { index: 3 }));
}

#[test]
fn tile_of_another_length() {
    let odd = Err(LogError::Tile { path: "tile/0/000.p/2".to_owned() });
    for length in [0, 32, 63, 65, 96] {
        let read = Tree::default().read_tile("tile/0/000.p/2", 2, &vec![0; length]);
        assert_eq!(read, odd, "{length}");
    }
}
