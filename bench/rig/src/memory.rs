//! What a process holds: its readable memory and its open files, searched for a string.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::record::contains;

/// Read at once; regions are searched with an overlap, so that no string falls between two reads.
const STEP_BYTES: usize = 4 << 20;

/// Which of `needles` stand in the memory of process `pid` now, and how many bytes were read.
///
/// Regions that the kernel does not let anybody read (`[vvar]`) are left out; a process in which
/// nothing could be read is an error.
pub fn scan(pid: u32, needles: &[&[u8]]) -> io::Result<Findings> {
    let overlap = needles.iter().map(|needle| needle.len()).max().unwrap_or(0);
    let mut findings = Findings { found: vec![false; needles.len()], read_bytes: 0 };
    pieces(pid, overlap, |piece| findings.look(piece, needles))?;
    if findings.read_bytes == 0 {
        return Err(io::Error::other(format!("no memory of process {pid} can be read")));
    }
    Ok(findings)
}

/// Gives all readable memory of process `pid` to `look`, piece by piece; two pieces of one region
/// share `overlap` bytes.
pub fn pieces(pid: u32, overlap: usize, mut look: impl FnMut(&[u8])) -> io::Result<()> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let maps = fs::read_to_string(folder.join("maps"))?;
    let memory = fs::File::open(folder.join("mem"))?;
    for (start, end) in maps.lines().filter_map(readable) {
        let mut at = start;
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(STEP_BYTES + overlap);
            let mut piece = vec![0; len];
            if memory.read_exact_at(&mut piece, at).is_err() {
                break;
            }
            look(&piece);
            at += len.min(STEP_BYTES) as u64;
        }
    }
    Ok(())
}

/// Result of a [`scan`].
#[derive(Clone, Debug)]
pub struct Findings {
    /// For each needle, whether it was there.
    pub found: Vec<bool>,
    /// How much was searched.
    pub read_bytes: usize,
}

impl Findings {
    fn look(&mut self, piece: &[u8], needles: &[&[u8]]) {
        self.read_bytes += piece.len();
        for (found, needle) in self.found.iter_mut().zip(needles) {
            *found = *found || contains(piece, needle);
        }
    }
}

/// The range of a line of `maps` when it may be read.
fn readable(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    if !words.next()?.starts_with('r') {
        return None;
    }
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_string_on_the_heap_is_found_and_one_that_is_nowhere_is_not() {
        let held: Vec<u8> = (0..32u8).map(|i| b'a' + i * 7 % 26).collect();
        // Made at run time, so that it stands in no program file that both processes map.
        let child = std::process::Command::new("sleep").arg("60").spawn();
        let mut child = child.unwrap();
        let here = scan(std::process::id(), &[&held]).unwrap();
        let there = scan(child.id(), &[&held]).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((here.found, there.found), (vec![true], vec![false]));
        assert!(there.read_bytes > 0);
    }
}
