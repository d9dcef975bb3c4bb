//! The receipt of one request (PROTOCOL.md, section 7): COSE_Sign1 over a map of CBOR in its one
//! deterministic encoding (RFC 8949, 4.2.1). Only the encoder is here: a reader encodes what it read
//! and compares.

use alloc::{string::String, vec, vec::Vec};

use crate::control::{COUNTS, Custody, Source};

/// Version of the format.
const FORMAT: u64 = 1;
/// ES384 (RFC 9053, 2.1) and the content type, as one protected header.
const PROTECTED: &[u8] = b"\xa2\x01\x38\x22\x03\x78\x1eapplication/aegis-receipt+cbor";
/// Length of an ES384 signature.
pub const SIGNATURE: usize = 96;

/// What an enclave states about one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// PCR0, 1 and 2 of the image.
    pub measurement: [Vec<u8>; 3],
    /// The session, by the nonce of its attestation document.
    pub session: Vec<u8>,
    /// The boot of the enclave.
    pub boot: Vec<u8>,
    /// The request's number, as the host's ledger has it.
    pub request: u64,
    /// Authority of the provider, from the measured table.
    pub provider: String,
    /// Method.
    pub method: String,
    /// Path and query without credentials.
    pub target: String,
    /// What was sent.
    pub sent: Content,
    /// The provider's status, 0 when no head of an answer came.
    pub status: u64,
    /// What was received and relayed.
    pub received: Content,
    /// The provider's own name of the request.
    pub provider_id: Option<Vec<u8>>,
    /// Whose credential was used.
    pub custody: Custody,
    /// SHA-256 of the owner's key, in custody *sealed*.
    pub owner: Option<Vec<u8>>,
    /// Grants used.
    pub attempts: u64,
    /// What is known of the usage.
    pub source: Source,
    /// The usage, by [`crate::control::Slot`].
    pub counts: [Option<u32>; COUNTS],
    /// The model's label, unless hidden or absent.
    pub label: Option<String>,
    /// When it ended, in milliseconds since 1970 by the enclave's clock.
    pub time_ms: u64,
    /// What is missing; 0 is a whole exchange.
    pub incomplete: u64,
}

/// One direction: fields of its head, and its body as relayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// `content-type`.
    pub kind: Option<Vec<u8>>,
    /// `content-encoding`.
    pub encoding: Option<Vec<u8>>,
    /// SHA-256 of the body.
    pub digest: Vec<u8>,
    /// Its length.
    pub bytes: u64,
}

/// The request's body was not read to its end.
pub const REQUEST_CUT: u64 = 1;
/// The answer's body was not relayed to its end.
pub const ANSWER_CUT: u64 = 2;
/// No head of an answer was relayed.
pub const NO_ANSWER: u64 = 4;

/// A value of CBOR, as far as receipts need them.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Self>),
    /// Keys in ascending order.
    Map(Vec<(u64, Self)>),
}

impl Statement {
    /// The payload: a map from the numbers of PROTOCOL.md to what is there.
    pub fn encode(&self) -> Vec<u8> {
        let Self { sent, received, .. } = self;
        let fields = [
            Some(Value::Number(FORMAT)),
            Some(Value::List(self.measurement.iter().map(|pcr| Value::Bytes(pcr)).collect())),
            Some(Value::Bytes(&self.session)),
            Some(Value::Bytes(&self.boot)),
            Some(Value::Number(self.request)),
            Some(Value::Text(&self.provider)),
            Some(Value::Text(&self.method)),
            Some(Value::Text(&self.target)),
            sent.kind.as_deref().map(Value::Bytes),
            sent.encoding.as_deref().map(Value::Bytes),
            Some(Value::Bytes(&sent.digest)),
            Some(Value::Number(sent.bytes)),
            Some(Value::Number(self.status)),
            received.kind.as_deref().map(Value::Bytes),
            received.encoding.as_deref().map(Value::Bytes),
            Some(Value::Bytes(&received.digest)),
            Some(Value::Number(received.bytes)),
            self.provider_id.as_deref().map(Value::Bytes),
            Some(Value::Text(self.custody.word())),
            self.owner.as_deref().map(Value::Bytes),
            Some(Value::Number(self.attempts)),
            Some(Value::Number(self.source as u64)),
            Some(Value::Map(self.counts())),
            self.label.as_deref().map(Value::Text),
            Some(Value::Number(self.time_ms)),
            Some(Value::Number(self.incomplete)),
        ];
        let numbered = (1..).zip(fields);
        let there = numbered.filter_map(|(number, value)| Some((number, value?)));
        Value::Map(there.collect()).encode()
    }

    fn counts(&self) -> Vec<(u64, Value<'_>)> {
        let slots = (0..).zip(self.counts);
        slots.filter_map(|(slot, count)| Some((slot, Value::Number(count?.into())))).collect()
    }
}

/// What the receipt key signs: the Sig_structure of RFC 9052, 4.4.
pub fn to_be_signed(payload: &[u8]) -> Vec<u8> {
    let parts = [Value::Bytes(PROTECTED), Value::Bytes(b""), Value::Bytes(payload)];
    Value::List([Value::Text("Signature1")].into_iter().chain(parts).collect()).encode()
}

/// The receipt: COSE_Sign1 with its tag.
pub fn cose_sign1(payload: &[u8], signature: &[u8; SIGNATURE]) -> Vec<u8> {
    let unprotected = Value::Map(vec![]);
    let (payload, signature) = (Value::Bytes(payload), Value::Bytes(signature));
    let parts = vec![Value::Bytes(PROTECTED), unprotected, payload, signature];
    [vec![0xd2], Value::List(parts).encode()].concat()
}

impl Value<'_> {
    fn encode(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    fn put(self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => head(out, 0, number),
            Self::Bytes(bytes) => {
                head(out, 2, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => {
                head(out, 3, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
            Self::List(values) => {
                head(out, 4, values.len() as u64);
                values.into_iter().for_each(|value| value.put(out));
            }
            Self::Map(pairs) => {
                head(out, 5, pairs.len() as u64);
                for (key, value) in pairs {
                    head(out, 0, key);
                    value.put(out);
                }
            }
        }
    }
}

/// Major type and argument in the shortest form (RFC 8949, 3).
fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let bytes = argument.to_be_bytes();
    let (info, len) = match argument {
        0..24 => (argument as u8, 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | info);
    out.extend_from_slice(&bytes[8 - len..]);
}
