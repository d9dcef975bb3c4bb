//! A scanner that follows the rules' paths through JSON texts, byte by byte, keeping no value.
//!
//! A count is a number written as a plain integer that fits `u32`: `7`, not `7.0`, `7e0`, `-7` or
//! `"7"`. A label is a string. What is seen later replaces what was seen before; any other value on
//! a path changes nothing. A value stands as soon as its end is seen, so that a stream cut short
//! tells what it told. Escapes are not decoded: a key that contains one is no key of the rules
//! (its count is then missing), a label that does is `other`.
//!
//! Strings, nesting and separators are told apart exactly, so nothing inside a string and nothing
//! at another depth counts. The rest of the grammar is not checked: answers are JSON, and a provider
//! that wanted to report other counts could write them.

use alloc::vec::Vec;

use aegis_wire::{
    control::{COUNTS, Slot},
    limits, table,
};

/// Deepest nesting, a bit each of `Scanner::arrays`: as serde_json's, and answers stay under 20.
const DEPTH: usize = u128::BITS as usize;

pub(super) struct Scanner {
    rules: Vec<Rule>,
    state: State,
    token: Token,
    /// Open containers; the lowest bit of `arrays` is the innermost.
    pub(super) depth: usize,
    arrays: u128,
    pub(super) counts: [Option<u32>; COUNTS],
    pub(super) label: Option<Token>,
}

struct Rule {
    /// `None` is the label.
    slot: Option<Slot>,
    path: table::Path,
    /// How many of its steps, from the first, the place at hand has in common.
    agree: usize,
}

#[derive(Clone, Copy)]
enum State {
    Between,
    Scalar,
    String,
    Escape,
}

/// The last string or scalar since a separator, if it is short enough to matter and has no escape.
#[derive(Clone, Copy)]
pub(super) struct Token {
    quoted: bool,
    bytes: [u8; limits::LABEL_BYTES],
    len: usize,
}

impl Scanner {
    pub(super) fn new(rules: table::Meter) -> Self {
        let rules = rules.iter().map(|&(slot, path)| Rule { slot, path, agree: 0 });
        Self {
            rules: rules.collect(),
            state: State::Between,
            token: Token { quoted: false, bytes: [0; limits::LABEL_BYTES], len: 0 },
            depth: 0,
            arrays: 0,
            counts: [None; COUNTS],
            label: None,
        }
    }

    /// Takes the next bytes of a text; `None` if it is nested too deeply to go on.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Option<()> {
        while let [byte, rest @ ..] = bytes {
            bytes = rest;
            let marks = |byte: &u8| matches!(byte, b'"' | b'\\');
            if matches!(self.state, State::String) && !marks(byte) {
                let end = rest.iter().position(marks);
                let (more, rest) = rest.split_at(end.unwrap_or(rest.len()));
                self.token.push(&[*byte]);
                self.token.push(more);
                bytes = rest;
            } else {
                self.state = self.step(*byte)?;
            }
        }
        Some(())
    }

    fn step(&mut self, byte: u8) -> Option<State> {
        let state = match (self.state, byte) {
            (State::String, b'"') => State::Between,
            (State::String, _) => State::Escape,
            (State::Escape, _) => {
                self.token.len = usize::MAX;
                State::String
            }
            (_, b'"') => {
                self.token.begin(true);
                State::String
            }
            (_, b' ' | b'\t' | b'\r' | b'\n') => State::Between,
            (_, b':' | b',' | b'{' | b'[' | b'}' | b']') => {
                self.separator(byte)?;
                State::Between
            }
            (state, _) => {
                if !matches!(state, State::Scalar) {
                    self.token.begin(false);
                }
                self.token.push(&[byte]);
                State::Scalar
            }
        };
        Some(state)
    }

    fn separator(&mut self, byte: u8) -> Option<()> {
        match byte {
            b':' => enter(&mut self.rules, self.depth, self.token.text()),
            b'{' | b'[' => {
                self.depth = Some(self.depth + 1).filter(|depth| *depth <= DEPTH)?;
                self.arrays = self.arrays << 1 | u128::from(byte == b'[');
            }
            _ => self.value(),
        }
        if matches!(byte, b'}' | b']') {
            self.depth = self.depth.saturating_sub(1);
            self.arrays >>= 1;
        } else if byte != b':' && self.arrays & 1 == 1 {
            enter(&mut self.rules, self.depth, b"[]");
        }
        self.token.begin(false);
        Some(())
    }

    /// A value has ended; unless it was a container, it is the token.
    fn value(&mut self) {
        let ends_here = |rule: &&Rule| [rule.agree, rule.path.len()] == [self.depth; 2];
        for rule in self.rules.iter().filter(ends_here) {
            match rule.slot.map(|slot| &mut self.counts[slot as usize]) {
                Some(count) => *count = self.token.integer().or(*count),
                None if self.token.quoted => self.label = Some(self.token),
                None => {}
            }
        }
    }

    /// Begins another text, wherever the last one stood.
    pub(super) fn next_text(&mut self) {
        (self.state, self.depth, self.arrays) = (State::Between, 0, 0);
        self.token.begin(false);
    }
}

/// A value of the innermost container follows: the one of that key, or an element, whose key is
/// taken to be `[]`.
fn enter(rules: &mut [Rule], depth: usize, key: &[u8]) {
    let above = depth.saturating_sub(1);
    for rule in rules.iter_mut().filter(|rule| rule.agree >= above) {
        let step = rule.path.get(above).map(|step| step.as_bytes());
        rule.agree = above + usize::from(step == Some(key));
    }
}

impl Token {
    fn begin(&mut self, quoted: bool) {
        (self.quoted, self.len) = (quoted, 0);
    }

    fn push(&mut self, more: &[u8]) {
        let end = self.len.saturating_add(more.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(more);
        }
        self.len = end;
    }

    /// The bytes, or what is no key, count or label if they are not all here.
    pub(super) fn text(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(b"\\")
    }

    fn integer(&self) -> Option<u32> {
        let text = core::str::from_utf8(self.text()).ok()?;
        let plain = text == "0" || !text.starts_with(['0', '+']);
        text.parse().ok().filter(|_| plain && !self.quoted)
    }
}
