//! Usage and model label of an answer, read from a copy of its body as it passes (DESIGN 3.11).
//!
//! The caller meters only 2xx answers of endpoints that have rules, pushes every body byte once and
//! in order, and decides from [`Metered`] and the end of the stream what `Source` to report. A meter
//! never holds a body up and cannot alter it. What it does not check: the grammar inside strings
//! and scalars, the checksums of encodings (TLS carried them), and whether counts make sense.
//!
//! Memory is bounded by a few KiB and the windows of [`decode`]; time is linear in decoded bytes,
//! and those in the bytes that arrived. A body outside a bound ends metering, never the stream.

mod decode;
mod json;

use core::{fmt, mem};

use aegis_wire::{
    control::{COUNTS, Label},
    table,
};

use self::{decode::Decoder, json::Scanner};

/// What a line of data begins with in an event stream, behind the stream's optional byte order mark.
/// One space after the colon would be left out, but to JSON it is nothing.
const LINE: &[u8] = b"\xEF\xBB\xBFdata:";
/// Places in [`LINE`]: the start of a line; in its value; and in a line without data.
const START: usize = 3;
const VALUE: usize = LINE.len();
const OTHER: usize = VALUE + 1;

/// Reads one answer.
pub struct Meter {
    /// `None` once metering has ended before the answer did.
    decoder: Option<Decoder>,
    text: Text,
}

/// What the rules found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// By `Slot`: the last count seen there. `None` is absence, zero is a count.
    pub counts: [Option<u32>; COUNTS],
    /// The last label seen.
    pub label: Option<Label>,
    /// Something of the answer was not read: unknown encoding, a bound exceeded, or cut off.
    pub broken: bool,
}

impl Meter {
    /// A meter for an answer with these header values, empty when absent.
    pub fn new(rules: table::Meter, content_type: &[u8], content_encoding: &[u8]) -> Self {
        let media_type = content_type.split(|byte| *byte == b';').next();
        let media_type = media_type.unwrap_or_default().trim_ascii();
        let events = media_type.eq_ignore_ascii_case(b"text/event-stream");
        let decoder = Decoder::new(content_encoding);
        let text =
            Text { scanner: Scanner::new(rules), place: events.then_some(0), after_cr: false };
        Self { decoder, text }
    }

    /// Takes the next bytes of the body as they stand on the wire.
    pub fn push(&mut self, chunk: &[u8]) {
        if let Some(decoder) = &mut self.decoder
            && decoder.decode(chunk, &mut self.text).is_none()
        {
            self.decoder = None;
        }
    }

    /// The body has ended, or its rest will not come.
    pub fn finish(self) -> Metered {
        let Text { scanner, .. } = self.text;
        let whole = self.decoder.is_some_and(|decoder| decoder.at_end);
        Metered {
            counts: scanner.counts,
            label: scanner.label.map(|label| Label::new(label.text())),
            broken: !whole || scanner.depth > 0,
        }
    }
}

/// Says nothing of what passes through.
impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

/// The decoded body: one JSON text, or an event stream with one in the data of each event.
struct Text {
    scanner: Scanner,
    /// In an event stream, the place in [`LINE`] up to which the current line agrees.
    place: Option<usize>,
    after_cr: bool,
}

impl Text {
    /// Frames as the WHATWG's event stream format has it. Data that is no JSON yields nothing.
    fn push(&mut self, mut bytes: &[u8]) -> Option<()> {
        let Some(place) = &mut self.place else {
            return self.scanner.feed(bytes);
        };
        while let [byte, rest @ ..] = bytes {
            let after_cr = mem::replace(&mut self.after_cr, *byte == b'\r');
            if *place == 0 && *byte != LINE[0] {
                *place = START;
            }
            bytes = rest;
            match (*byte, *place) {
                (b'\n', _) if after_cr => {}
                (b'\r' | b'\n', START) => self.scanner.next_text(),
                (b'\r' | b'\n', _) => {
                    self.scanner.feed(b"\n")?;
                    *place = START;
                }
                (byte, at) if LINE.get(at) == Some(&byte) => *place += 1,
                (_, VALUE) => {
                    let ends_line = |byte: &u8| matches!(byte, b'\r' | b'\n');
                    let end = rest.iter().position(ends_line).unwrap_or(rest.len());
                    let (more, next) = rest.split_at(end);
                    self.scanner.feed(&[*byte])?;
                    self.scanner.feed(more)?;
                    bytes = next;
                }
                _ => *place = OTHER,
            }
        }
        Some(())
    }
}
