//! What the attacks of class AC-2 share: a program that changes nothing and takes every string that
//! looks like a credential.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use regex::bytes::Regex;

use crate::attacker::Attacker;
use crate::attacker::Clock;
use crate::attacker::Direction;
use crate::attacker::Passing;
use crate::message::Message;
use crate::scenario;
use crate::scenario::Goal;
use crate::scenario::Step;

/// The kinds of credentials that are looked for, and a made-up one of each.
pub const KINDS: [(&str, &str, &str); 6] = [
    ("API key", r"sk-[A-Za-z0-9_-]{20,}", "sk-made-up-attacks-0000000000000001"),
    ("AWS access key", r"AKIA[0-9A-Z]{16}", "AKIAMADEUPEXAMPLE001"),
    ("GitHub token", r"ghp_[A-Za-z0-9]{36}", "ghp_madeupmadeupmadeupmadeupmadeup000001"),
    ("Slack token", r"xoxb-[A-Za-z0-9-]{20,}", "xoxb-made-up-attacks-000000001"),
    (
        "Ethereum private key",
        r"0x[0-9a-fA-F]{64}",
        "0x6d616465207570206b6579206f6620746865206174746163762062656e636830",
    ),
    (
        "PEM private key",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY----- bWFkZSB1cCBieSB0aGUgYXR0YWNrIGJlbmNo -----END PRIVATE KEY-----",
    ),
];

/// The secrets that a user has.
pub fn secrets() -> Vec<String> {
    KINDS.iter().map(|(_, _, secret)| (*secret).to_owned()).collect()
}

/// An attack on the bodies that pass in one direction, while the user's agent is careless.
pub struct OfBodies {
    pub(super) id: &'static str,
    pub(super) direction: Direction,
}

impl scenario::Attack for OfBodies {
    fn id(&self) -> &'static str {
        self.id
    }

    /// The result of the step holds every secret, as a file that an agent reads does.
    fn task(&self) -> Vec<Step> {
        vec![Step::new("ls .env").result(&secrets().join("\n"))]
    }

    fn goal(&self) -> Goal {
        Goal::Take(secrets())
    }

    fn attacker(&self, _: &Clock) -> Arc<dyn Attacker> {
        let direction = self.direction;
        thief(move |passing| match passing.direction == direction {
            true => body_of(passing),
            false => Vec::new(),
        })
    }
}

struct Thief<F> {
    patterns: Vec<Regex>,
    looks: F,
    taken: Mutex<BTreeSet<String>>,
}

/// A program that takes what it finds in the places that `looks` gives it.
pub fn thief<F>(looks: F) -> Arc<dyn Attacker>
where
    F: Fn(&Passing) -> Vec<Vec<u8>> + Send + Sync + 'static,
{
    let patterns = KINDS.iter().filter_map(|(_, pattern, _)| Regex::new(pattern).ok()).collect();
    Arc::new(Thief { patterns, looks, taken: Mutex::default() })
}

/// The texts of a message, and the bytes as they are.
fn body_of(passing: &Passing) -> Vec<Vec<u8>> {
    let texts = Message::read(&passing.body).map(|message| message.texts()).unwrap_or_default();
    let texts = texts.into_iter().map(String::into_bytes);
    texts.chain([passing.body.clone()]).collect()
}

impl<F: Fn(&Passing) -> Vec<Vec<u8>> + Send + Sync> Attacker for Thief<F> {
    fn see(&self, passing: &mut Passing) {
        for place in (self.looks)(passing) {
            for found in self.patterns.iter().flat_map(|pattern| pattern.find_iter(&place)) {
                let found = String::from_utf8_lossy(found.as_bytes()).into_owned();
                self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(found);
            }
        }
    }

    fn taken(&self) -> BTreeSet<String> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_kind_matches_its_own_pattern_and_no_other() {
        for (name, pattern, _) in KINDS {
            let pattern = Regex::new(pattern).unwrap();
            let matched = KINDS.iter().filter(|(_, _, secret)| {
                pattern.find(secret.as_bytes()).is_some_and(|found| found.len() == secret.len())
            });
            let matched: Vec<_> = matched.map(|(other, ..)| *other).collect();
            assert_eq!(matched, [name]);
        }
    }
}
