//! `aegis receipt`: a receipt and the evidence of its session, checked offline, at any later time.

pub mod bundle;

use std::{borrow::Cow, fs, path::Path};

use aegis_client::{ANSWER_CUT, NO_ANSWER, REQUEST_CUT, Receipt, Trust};
use aegis_verifier::TrustAnchor;
use aegis_wire::control::Slot;
use serde_json::{Value, json};

use self::bundle::Bundle;
use crate::{
    accept,
    agent::start::say,
    args::{AcceptArgs, ReceiptVerifyArgs},
    failure::Failure,
    lists,
};

/// Checks a bundle and prints what the enclave states.
pub fn verify(args: &ReceiptVerifyArgs) -> Result<(), Failure> {
    let bundle = Bundle::read(&args.bundle)?;
    let anchor = args
        .dangerous_development_root
        .map_or_else(TrustAnchor::aws_nitro, TrustAnchor::dangerous_development_root);
    let trust = trust(args, anchor)?;
    let receipt = Receipt::verify_archived(&bundle.receipt, &bundle.transcript, &trust)
        .map_err(Failure::refused)?;
    if let Some(path) = &args.request_body {
        receipt.check_request_body(&body(path)?).map_err(Failure::refused)?;
    }
    if let Some(path) = &args.answer_body {
        receipt.check_answer_body(&body(path)?).map_err(Failure::refused)?;
    }
    let stated = stated(&receipt);
    match args.json {
        true => say(&format!("{stated}\n")),
        false => say(&text(&stated)),
    }
    Ok(())
}

/// The releases whose receipts count: those of a list in a file, or those that the user names.
fn trust(args: &ReceiptVerifyArgs, anchor: TrustAnchor) -> Result<Trust, Failure> {
    let AcceptArgs { accept, list } = &args.accepting;
    match (accept, &list.releases) {
        (Some(path), _) => Ok(Trust::new(anchor, &accept::read(path)?)?),
        (None, Some(_)) => {
            let (releases, bundle) = lists::bundle(list)?;
            Ok(Trust::of_list(anchor, &lists::judge(&releases, &bundle, args.at)?)?)
        }
        (None, None) => Err(Failure::usage(
            "nothing says which releases are accepted; give --releases LIST with --trust TOML, or --accept FILE",
        )),
    }
}

fn body(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    fs::read(path).map_err(|e| Failure::environment(format!("cannot read the body {shown}: {e}")))
}

/// What is missing, in words.
fn missing(incomplete: u64) -> Vec<&'static str> {
    let bits = [
        (REQUEST_CUT, "the request's body was not read to its end"),
        (ANSWER_CUT, "the answer was cut short"),
        (NO_ANSWER, "no answer of the provider's was relayed"),
    ];
    bits.iter().filter(|(bit, _)| incomplete & bit != 0).map(|(_, words)| *words).collect()
}

/// A header's value, whatever bytes it holds.
fn header(value: &Option<Vec<u8>>) -> Option<Cow<'_, str>> {
    value.as_deref().map(String::from_utf8_lossy)
}

fn stated(receipt: &Receipt) -> Value {
    let stated = receipt.statement();
    let counts = Slot::ALL.iter().filter_map(|slot| {
        let count = stated.counts.get(*slot as usize).copied().flatten()?;
        Some((slot.word().to_owned(), json!(count)))
    });
    let content = |content: &aegis_client::Content| {
        json!({
            "content_type": header(&content.kind), "content_encoding": header(&content.encoding),
            "sha256": hex::encode(&content.digest), "bytes": content.bytes,
        })
    };
    json!({
        "verified": true,
        "release": receipt.release(),
        "attested_at_s": receipt.attested_at().as_secs(),
        "ended_at_ms": stated.time_ms,
        "request": format!("{}-{}", hex::encode(&stated.boot), stated.request),
        "provider": stated.provider,
        "method": stated.method,
        "target": stated.target,
        "sent": content(&stated.sent),
        "status": stated.status,
        "received": content(&stated.received),
        "provider_request_id": header(&stated.provider_id),
        "custody": stated.custody.word(),
        "owner": stated.owner.as_ref().map(hex::encode),
        "attempts": stated.attempts,
        "usage": { "source": stated.source.word(), "counts": Value::Object(counts.collect()),
            "label": stated.label },
        "complete": receipt.is_complete(),
        "missing": missing(stated.incomplete),
    })
}

fn text(stated: &Value) -> String {
    let mut text = String::from("verified: this is what the enclave states\n");
    let Value::Object(fields) = stated else { return text };
    for (name, value) in fields.iter().filter(|(name, _)| *name != "verified") {
        text += &format!("  {name:<20} {value}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        assert!(missing(0).is_empty());
        assert_eq!(missing(ANSWER_CUT), ["the answer was cut short"]);
        assert_eq!(missing(REQUEST_CUT | NO_ANSWER).len(), 2);
    }
}
