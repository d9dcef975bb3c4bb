//! An append-only log: what arrived, each entry with the digest of the one before it. It stops
//! nothing; it lets somebody find afterwards what an indicator names, and shows if it was changed.

use std::time::Instant;

use sha2::Digest as _;
use sha2::Sha256;

/// The log.
#[derive(Default)]
pub struct Log {
    entries: Vec<Entry>,
    spent: f64,
}

struct Entry {
    command: String,
    digest: [u8; 32],
}

impl Log {
    /// Appends a call.
    pub fn append(&mut self, command: &str) {
        let begun = Instant::now();
        let before = self.entries.last().map_or([0; 32], |entry| entry.digest);
        let digest = digest(&before, command);
        self.entries.push(Entry { command: command.to_owned(), digest });
        self.spent += begun.elapsed().as_secs_f64();
    }

    /// The calls that hold an indicator.
    pub fn find(&self, indicator: &str) -> usize {
        self.entries.iter().filter(|entry| entry.command.contains(indicator)).count()
    }

    /// Whether no entry was changed.
    pub fn is_whole(&self) -> bool {
        let mut before = [0; 32];
        self.entries.iter().all(|entry| {
            let right = entry.digest == digest(&before, &entry.command);
            before = entry.digest;
            right
        })
    }

    /// Time to append one call.
    pub fn microseconds(&self) -> f64 {
        self.spent * 1e6 / self.entries.len().max(1) as f64
    }

    /// Size of one entry.
    pub fn bytes_per_call(&self) -> usize {
        let bytes: usize = self.entries.iter().map(|entry| entry.command.len() + 32).sum();
        bytes / self.entries.len().max(1)
    }
}

fn digest(before: &[u8; 32], command: &str) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(command).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indicator_is_found_and_a_change_is_seen() {
        let mut log = Log::default();
        for command in ["ls", "pip install reqeusts", "ls -la"] {
            log.append(command);
        }
        assert_eq!((log.find("reqeusts"), log.is_whole()), (1, true));
        log.entries[1].command = "pip install requests".to_owned();
        assert!(!log.is_whole());
    }
}
