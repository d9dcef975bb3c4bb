//! What a document holds, for people and for machines.

use aegis_verifier::{Claims, PcrIndex, UnverifiedDocument};
use serde_json::{Map, Value, json};

/// Most bytes of a field that the text shows.
const SHOWN_BYTES: usize = 32;

/// The registers and fields, a line each.
pub(super) fn lines(claims: &Claims) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text += &format!("  {name:<11} {value}\n");
    let (zero, set): (Vec<_>, Vec<_>) = claims.pcrs().iter().partition(|(_, v)| v.is_zero());
    for (index, value) in set {
        line("pcr", &format!("{}={value}", index.number()));
    }
    if !zero.is_empty() {
        line("zero pcrs", &ranges(zero.into_iter().map(|(index, _)| index)));
    }
    line("nonce", &shortened(claims.nonce()));
    line("public_key", &shortened(claims.public_key()));
    line("user_data", &shortened(claims.user_data()));
    text
}

/// Ascending numbers, runs of three and more as `4-15`.
pub(super) fn ranges(indices: impl Iterator<Item = PcrIndex>) -> String {
    let mut runs: Vec<(u8, u8)> = Vec::new();
    for number in indices.map(PcrIndex::number) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let words: Vec<_> = runs
        .into_iter()
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first}-{last}"),
        })
        .collect();
    words.join(", ")
}

fn shortened(field: Option<&[u8]>) -> String {
    match field {
        None => "none".to_owned(),
        Some([]) => "empty".to_owned(),
        Some(bytes) => match bytes.split_at_checked(SHOWN_BYTES) {
            Some((shown, rest)) if !rest.is_empty() => {
                format!("{}... ({} bytes)", hex::encode(shown), bytes.len())
            }
            _ => hex::encode(bytes),
        },
    }
}

/// All of it, as data.
pub(super) fn describe(document: &UnverifiedDocument) -> Value {
    let (claims, root) = (document.claims(), document.root_fingerprint());
    let field = |bytes: Option<&[u8]>| bytes.map(hex::encode);
    let pcrs: Map<_, _> = claims
        .pcrs()
        .iter()
        .map(|(index, value)| (index.number().to_string(), json!(value.to_string())))
        .collect();
    json!({
        "module_id": claims.module_id(),
        "timestamp_ms": claims.timestamp().as_duration().as_millis() as u64,
        "pcrs": pcrs,
        "public_key": field(claims.public_key()),
        "user_data": field(claims.user_data()),
        "nonce": field(claims.nonce()),
        "certificates": claims.certificates().len(),
        "root_sha256": root.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_field_that_fits_is_shown_whole() {
        assert_eq!(shortened(Some(&[9; 32])), "09".repeat(32));
        assert_eq!(shortened(Some(&[])), "empty");
        assert_eq!(shortened(None), "none");
    }
}
