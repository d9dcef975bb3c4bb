//! Random texts against serde_json, under random chunking; random bytes against panics.

use std::fmt;

use proptest::prelude::*;
use serde_json::Value;

use aegis_wire::control::{COUNTS, Label};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Api, read};

const APIS: [Api; 5] = [Api::Chat, Api::Responses, Api::Messages, Api::Gemini, Api::Embeddings];
const WORDS: [&str; 16] = [
    "usage",
    "model",
    "prompt_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "response",
    "message",
    "prompt_tokens_details",
    "cached_tokens",
    "usageMetadata",
    "promptTokenCount",
    "modelVersion",
    "[]",
    "",
    "x",
];

/// A JSON text: rule keys are frequent, keys may repeat, white space is free.
fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<u32>().prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |n| n.is_finite())
            .prop_map(|n| format!("{n:?}")),
        Just("0".to_owned()),
        Just("1e3".to_owned()),
    ];
    let string = prop_oneof![any::<String>(), "[a-z0-9./:-]{0,70}", word()];
    let string = string.prop_map(|text| Value::from(text).to_string());
    let word = prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(str::to_owned);
    let leaf = prop_oneof![4 => number, 2 => string, 1 => word];
    leaf.prop_recursive(6, 60, 8, |inner| {
        let member = (key(), space(), inner.clone()).prop_map(|(k, s, v)| format!("{s}{k}{s}:{s}{v}{s}"));
        prop_oneof![
            3 => prop::collection::vec(member, 0..8).prop_map(|all| format!("{{{}}}", all.join(","))),
            1 => prop::collection::vec(inner, 0..5).prop_map(|all| format!("[{}]", all.join(" , "))),
        ]
    })
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(&WORDS[..]).prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![6 => word(), 1 => any::<String>()].prop_map(|key| Value::from(key).to_string())
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", "", " ", "\n\t\r "][..])
}

/// What serde_json finds on the paths of the rules, in the order of the text.
#[derive(Debug, Default, PartialEq)]
struct Found {
    counts: [Option<u32>; COUNTS],
    label: Option<Label>,
}

struct Walk<'a> {
    api: Api,
    path: Vec<String>,
    found: &'a mut Found,
}

impl Walk<'_> {
    fn below(&mut self, step: &str) -> Walk<'_> {
        let path = self.path.iter().cloned().chain([step.to_owned()]).collect();
        Walk { api: self.api, path, found: self.found }
    }

    fn here(&self, path: aegis_wire::table::Path) -> bool {
        self.path == path
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        for (slot, path) in self.api.rules() {
            if let (true, Some(slot), Ok(count)) = (self.here(path), slot, u32::try_from(value)) {
                self.found.counts[*slot as usize] = Some(count);
            }
        }
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        if self.api.rules().iter().any(|(slot, path)| slot.is_none() && self.here(path)) {
            self.found.label = Some(Label::new(value.as_bytes()));
        }
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut all: A) -> Result<(), A::Error> {
        while all.next_element_seed(self.below("[]"))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut all: A) -> Result<(), A::Error> {
        while let Some(key) = all.next_key::<String>()? {
            all.next_value_seed(self.below(&key))?;
        }
        Ok(())
    }
}

fn reference(api: Api, texts: &[String]) -> Found {
    let mut found = Found::default();
    for text in texts {
        let walk = Walk { api, path: Vec::new(), found: &mut found };
        walk.deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap();
    }
    found
}

fn metered(api: Api, content_type: &str, body: &str, cuts: &[prop::sample::Index]) -> Found {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    let chunks = places.windows(2).map(|ends| &body.as_bytes()[ends[0]..ends[1]]);
    let metered = read(api.rules(), content_type, "", chunks);
    assert!(!metered.broken);
    Found { counts: metered.counts, label: metered.label }
}

proptest! {
    #[test]
    fn random_texts_read_as_serde_json_reads_them(
        text in json(),
        api in prop::sample::select(&APIS[..]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let found = metered(api, "application/json", &text, &cuts);
        prop_assert_eq!(found, reference(api, &[text]));
    }

    #[test]
    fn random_event_streams_read_as_their_texts(
        texts in prop::collection::vec(json(), 0..5),
        line_end in prop::sample::select(&["\n", "\r", "\r\n"][..]),
        colon in prop::sample::select(&["data:", "data: "][..]),
        between in prop::sample::select(&["", ":", ": usage", "event: x", "id"][..]),
        api in prop::sample::select(&APIS[..]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut body = String::new();
        for text in &texts {
            let lines = text.split(['\n', '\r']).map(|line| format!("{colon}{line}{line_end}"));
            body.push_str(&format!("{between}{line_end}{}{line_end}", lines.collect::<String>()));
        }
        prop_assert_eq!(metered(api, "text/event-stream", &body, &cuts), reference(api, &texts));
    }

    #[test]
    fn random_bytes_do_not_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        alike in "[\\[\\]{}:,\"\\\\ 0-9a-e\r\n]{0,200}",
        content_type in prop::sample::select(&["application/json", "text/event-stream"][..]),
        encoding in prop::sample::select(&["", "gzip", "deflate", "br", "zstd"][..]),
    ) {
        for body in [bytes.as_slice(), alike.as_bytes()] {
            let all = read(Api::Gemini.rules(), content_type, encoding, [body]);
            prop_assert_eq!(all, read(Api::Gemini.rules(), content_type, encoding, body.chunks(1)));
        }
    }

    #[test]
    fn damaged_encodings_do_not_panic(
        encoding in prop::sample::select(&["gzip", "deflate", "br", "zstd"][..]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let body = include_bytes!("../data/messages.sse");
        let mut encoded = super::encodings::encode(encoding, body.chunks(300));
        for (place, byte) in damage {
            *place.get_mut(&mut encoded) = byte;
        }
        let whole = read(Api::Messages.rules(), "text/event-stream", encoding, [encoded.as_slice()]);
        let parts = read(Api::Messages.rules(), "text/event-stream", encoding, encoded.chunks(7));
        prop_assert_eq!(whole.broken, parts.broken);
    }
}
