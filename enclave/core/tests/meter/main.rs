//! Metering: what of an answer is counted, and that nothing in an answer can make it count wrongly.
#![allow(clippy::unwrap_used)]

mod apis;
mod encodings;
mod events;
mod hostile;
mod random;
mod values;

use std::sync::OnceLock;

use aegis_core::meter::{Meter, Metered};
use aegis_wire::control::{COUNTS, Slot};
use aegis_wire::table::{self, Table};

const TABLE: &str = include_str!("../../../providers.table");

/// The production table, read once.
fn table() -> &'static Table {
    static READ: OnceLock<&Table> = OnceLock::new();
    READ.get_or_init(|| aegis_table::parse(TABLE).unwrap())
}

/// The endpoints of the production table whose answers the tests read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Chat,
    Responses,
    Messages,
    Gemini,
    Embeddings,
}

impl Api {
    fn rules(self) -> table::Meter {
        let (authority, path) = match self {
            Self::Chat => ("api.openai.com", "/v1/chat/completions"),
            Self::Responses => ("api.openai.com", "/v1/responses"),
            Self::Embeddings => ("api.openai.com", "/v1/embeddings"),
            Self::Messages => ("api.anthropic.com", "/v1/messages"),
            Self::Gemini => {
                ("generativelanguage.googleapis.com", "/v1beta/models/m:streamGenerateContent")
            }
        };
        let (_, provider) = table().by_authority(authority).unwrap();
        provider.endpoint("POST", path).unwrap().meter.unwrap()
    }

    fn json<'a>(self, chunks: impl IntoIterator<Item = &'a [u8]>) -> Metered {
        read(self.rules(), "application/json", "", chunks)
    }

    fn events<'a>(self, chunks: impl IntoIterator<Item = &'a [u8]>) -> Metered {
        read(self.rules(), "text/event-stream; charset=utf-8", "", chunks)
    }
}

fn read<'a>(
    rules: table::Meter,
    content_type: &str,
    encoding: &str,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Metered {
    let mut meter = Meter::new(rules, content_type.as_bytes(), encoding.as_bytes());
    chunks.into_iter().for_each(|chunk| meter.push(chunk));
    meter.finish()
}

fn counts(seen: &[(Slot, u32)]) -> [Option<u32>; COUNTS] {
    let mut counts = [None; COUNTS];
    for (slot, count) in seen {
        counts[*slot as usize] = Some(*count);
    }
    counts
}

fn label(metered: &Metered) -> Option<&str> {
    metered.label.as_ref().map(|label| label.as_str())
}

/// Reads `body` whole, cut once at every place, and byte by byte; all must agree.
fn every_cut(rules: table::Meter, content_type: &str, encoding: &str, body: &[u8]) -> Metered {
    let whole = read(rules, content_type, encoding, [body]);
    for at in 0..=body.len() {
        let (head, tail) = body.split_at(at);
        let cut = read(rules, content_type, encoding, [head, tail]);
        assert_eq!(cut, whole, "cut at {at}");
    }
    let bytes = read(rules, content_type, encoding, body.chunks(1));
    assert_eq!(bytes, whole, "byte by byte");
    whole
}

#[test]
fn a_meter_can_move_to_another_thread_and_tells_nothing_when_printed() {
    fn moves<T: Send>(value: T) -> T {
        value
    }
    let mut meter = moves(Meter::new(Api::Chat.rules(), b"", b"zstd"));
    meter.push(b"secret");
    assert_eq!(format!("{meter:?}"), "Meter { .. }");
}
