//! Signed notes (c2sp.org/signed-note): a text, a blank line, signature lines.
//!
//! Parsing believes nothing. What a known key signed is found by [`Note::signers`], over the text as
//! it was received.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    error::NoteError,
    key::{SignerKey, VerifierKey},
    limits::SIGNATURES,
};

/// What signature lines begin with.
const DASH: &str = "\u{2014} ";

/// A note taken apart; nothing is verified.
#[derive(Clone, Debug)]
pub struct Note<'a> {
    text: &'a str,
    lines: Vec<Line<'a>>,
}

/// A signature line.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// The key's name.
    pub name: &'a str,
    /// The key's identifier.
    pub id: [u8; 4],
    /// What follows the identifier.
    pub signature: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Takes a note of at most `limit` bytes apart.
    pub fn parse(bytes: &'a [u8], limit: usize) -> Result<Self, NoteError> {
        if bytes.len() > limit {
            return Err(NoteError::TooLarge { bytes: bytes.len() });
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Utf8)?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::ControlCharacter);
        }
        // The last blank line: a text may have some of its own.
        let at = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        if at == 0 || lines.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Truncated)?;
        let lines: Vec<_> = lines.split('\n').collect();
        if lines.len() > SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let parsed = lines
            .iter()
            .zip(1..)
            .map(|(text, line)| Line::parse(text).ok_or(NoteError::SignatureLine { line }));
        Ok(Self { text, lines: parsed.collect::<Result<_, _>>()? })
    }

    /// What is signed, as received.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Its signature lines, of known and unknown keys.
    pub fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    /// The keys among `known` whose signature lines satisfy `fits`; each counts once. A line of a
    /// known key that does not fit is an error, lines of unknown keys are not looked at.
    pub(crate) fn signers<'k, T, E>(
        &self,
        known: &'k [VerifierKey],
        mut fits: impl FnMut(&'k VerifierKey, &str, &[u8]) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let mut signers = Vec::new();
        for key in known {
            let id = key.id();
            let mut signed = None;
            for line in self.lines.iter().filter(|line| line.name == key.name() && line.id == id) {
                signed = Some(fits(key, self.text, &line.signature)?);
            }
            signers.extend(signed);
        }
        Ok(signers)
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
        let blob = STANDARD.decode(encoded).ok()?;
        let (id, signature) = blob.split_first_chunk()?;
        let fits = crate::key::is_name(name) && !signature.is_empty();
        fits.then(|| Self { name, id: *id, signature: signature.to_vec() })
    }
}

/// A text that ends in a newline, signed.
pub fn sign(text: &str, key: &SignerKey) -> String {
    format!("{text}\n{}", key.line(text.as_bytes(), &[]))
}

/// The line that `key` adds to a note with this text.
pub fn signature_line(text: &str, key: &SignerKey) -> String {
    key.line(text.as_bytes(), &[])
}
