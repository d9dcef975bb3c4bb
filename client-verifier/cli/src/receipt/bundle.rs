//! The file in which a receipt is kept with all that checks it. Bytes are in hexadecimal.
//!
//! ```json
//! {"aegis_receipt_bundle": 1,
//!  "receipt":     "COSE_Sign1",
//!  "document":    "attestation document of the session",
//!  "receipt_key": "SubjectPublicKeyInfo, as the evidence carried it",
//!  "opening":     "the client's first frame, 64 bytes",
//!  "spki":        "SubjectPublicKeyInfo of the inner TLS certificate",
//!  "exporter":    "exported keying material of the session, 32 bytes"}
//! ```
//!
//! Nothing in it is a secret that opens anything, but it says what was asked of whom.

use std::{fs, io::Read, path::Path};

use aegis_client::Transcript;
use serde::{Deserialize, Serialize};

use crate::{failure::Failure, secret_file};

/// Version of the format.
const VERSION: u32 = 1;
/// Largest file: a receipt and a document in hexadecimal, and some.
const FILE_BYTES: u64 = 1024 * 1024;

/// A receipt and its evidence, none of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The receipt.
    pub receipt: Vec<u8>,
    /// What it is checked by.
    pub transcript: Transcript,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    aegis_receipt_bundle: u32,
    receipt: String,
    document: String,
    receipt_key: String,
    opening: String,
    spki: String,
    exporter: String,
}

impl Bundle {
    /// Reads a bundle.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let mut text = String::new();
        let read = fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text).map(drop));
        read.map_err(|e| Failure::environment(format!("cannot read the bundle {shown}: {e}")))?;
        Self::parse(&text).map_err(|reason| {
            Failure::usage(format!(
                "{shown} is no bundle of a receipt: {reason}; give a file of aegis agent --receipts"
            ))
        })
    }

    /// Writes a bundle to a new private file.
    pub fn create(&self, path: &Path) -> std::io::Result<()> {
        secret_file::create(path, &self.json())
    }

    fn json(&self) -> String {
        let Self { receipt, transcript } = self;
        let Transcript { opening, spki, exporter, document, receipt_key } = transcript;
        let file = File {
            aegis_receipt_bundle: VERSION,
            receipt: hex::encode(receipt),
            document: hex::encode(document),
            receipt_key: hex::encode(receipt_key),
            opening: hex::encode(opening),
            spki: hex::encode(spki),
            exporter: hex::encode(exporter),
        };
        // Seven texts and a number always have a JSON form.
        serde_json::to_string_pretty(&file).expect("texts and numbers")
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if file.aegis_receipt_bundle != VERSION {
            return Err(format!("it has version {}", file.aegis_receipt_bundle));
        }
        let bytes = |name, text| hex::decode(text).map_err(|e| format!("{name}: {e}"));
        let sized = |name: &str| format!("{name} has another length");
        let transcript = Transcript {
            opening: bytes("opening", file.opening)?.try_into().map_err(|_| sized("opening"))?,
            spki: bytes("spki", file.spki)?,
            exporter: bytes("exporter", file.exporter)?
                .try_into()
                .map_err(|_| sized("exporter"))?,
            document: bytes("document", file.document)?,
            receipt_key: bytes("receipt_key", file.receipt_key)?,
        };
        Ok(Self { receipt: bytes("receipt", file.receipt)?, transcript })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bundle() -> Bundle {
        let transcript = Transcript {
            opening: [1; 64],
            spki: vec![2],
            exporter: [3; 32],
            document: vec![4, 5],
            receipt_key: vec![6],
        };
        Bundle { receipt: vec![7; 9], transcript }
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written() {
        assert_eq!(Bundle::parse(&bundle().json()).unwrap(), bundle());
    }

    #[test]
    fn another_version_an_unknown_field_and_a_short_opening_are_refused() {
        let json = bundle().json();
        for (from, to) in [
            ("\"aegis_receipt_bundle\": 1", "\"aegis_receipt_bundle\": 2"),
            ("\"spki\"", "\"more\": \"\", \"spki\""),
            ("\"opening\": \"01", "\"opening\": \""),
            ("\"exporter\": \"03", "\"exporter\": \"zz"),
        ] {
            let bad = json.replacen(from, to, 1);
            assert_ne!(bad, json);
            assert!(Bundle::parse(&bad).is_err(), "{to}");
        }
    }
}
