//! The frames of the session and egress legs (PROTOCOL.md, sections 3 and 5).

use alloc::vec::Vec;

use crate::{Malformed, VERSION, limits};

/// The single ALPN token of the inner handshake.
pub const ALPN: &[u8] = b"aegis/1";
/// Target of the client's CONNECT.
pub const CONNECT_AUTHORITY: &str = "enclave.aegis:443";
/// Authority of requests that are for the enclave itself.
pub const ENCLAVE: &str = "enclave.aegis";
/// Path, in front of a request's name, of its receipt.
pub const RECEIPT_PATH: &str = "/aegis/receipt/";
/// Path to which an owner puts a sealed account.
pub const ACCOUNT_PATH: &str = "/aegis/account";
/// Every virtual key begins so; such a value is never forwarded to a provider.
pub const VIRTUAL_KEY_PREFIX: &str = "aegis-vk-";

/// Where the legs meet: vsock ports and, for an enclave that runs as a process, socket names.
pub mod legs {
    /// Sessions; the enclave listens.
    pub const SESSION_PORT: u32 = 5000;
    /// Control; the host listens.
    pub const CONTROL_PORT: u32 = 5001;
    /// Egress; the host listens.
    pub const EGRESS_PORT: u32 = 5002;
    /// Boot heartbeat; the host listens.
    pub const HEARTBEAT_PORT: u32 = 9000;
    /// The byte of the heartbeat, sent and read back.
    pub const HEARTBEAT: u8 = 0xb7;
    /// Context identifier under which an enclave reaches its parent.
    pub const HOST_CID: u32 = 3;
    /// Socket of the session leg.
    pub const SESSION_SOCKET: &str = "session.sock";
    /// Socket of the control leg.
    pub const CONTROL_SOCKET: &str = "control.sock";
    /// Socket of the egress leg.
    pub const EGRESS_SOCKET: &str = "egress.sock";
}

const PREFACE_MAGIC: [u8; 4] = *b"AEGS";
const EGRESS_MAGIC: [u8; 4] = *b"AEGE";

/// What the host sends ahead of a client's bytes: the session number it chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preface(pub u64);

impl Preface {
    /// Encoded length in bytes.
    pub const LEN: usize = 16;

    /// The frame.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&PREFACE_MAGIC);
        out[4..6].copy_from_slice(&VERSION.to_be_bytes());
        out[8..].copy_from_slice(&self.0.to_be_bytes());
        out
    }

    /// Reads the one valid encoding.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, Malformed> {
        let [.., a, b, c, d, e, f, g, h] = *bytes;
        let preface = Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        if preface.encode() == *bytes { Ok(preface) } else { Err(Malformed("preface")) }
    }
}

/// The request that opens an egress leg: dial the provider of this index in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Egress(pub u16);

impl Egress {
    /// Encoded length in bytes.
    pub const LEN: usize = 8;

    /// The frame.
    pub fn encode(self) -> [u8; Self::LEN] {
        let ([a, b, c, d], [v, w], [p, q]) =
            (EGRESS_MAGIC, VERSION.to_be_bytes(), self.0.to_be_bytes());
        [a, b, c, d, v, w, p, q]
    }

    /// Reads the one valid encoding.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, Malformed> {
        let egress = Self(u16::from_be_bytes([bytes[6], bytes[7]]));
        if egress.encode() == *bytes { Ok(egress) } else { Err(Malformed("egress request")) }
    }
}

/// How HTTP is spoken on a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// HTTP/1.1, for clients that upgrade to WebSocket.
    Http1 = 1,
    /// HTTP/2 with prior knowledge.
    Http2 = 2,
}

/// The client's first frame inside the inner TLS session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// How HTTP will be spoken.
    pub mode: Mode,
    /// Whether it travels in padded frames.
    pub padding: bool,
    /// Freshness from the client.
    pub nonce: [u8; 32],
}

impl Opening {
    /// Encoded length in bytes.
    pub const LEN: usize = 64;

    /// The frame.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0] = 1;
        (out[1], out[2]) = (self.mode as u8, self.padding.into());
        out[32..].copy_from_slice(&self.nonce);
        out
    }

    /// Reads the one valid encoding.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, Malformed> {
        let mode = if bytes[1] == 1 { Mode::Http1 } else { Mode::Http2 };
        let mut nonce = [0; 32];
        nonce.copy_from_slice(&bytes[32..]);
        let opening = Self { mode, padding: bytes[2] == 1, nonce };
        if opening.encode() == *bytes { Ok(opening) } else { Err(Malformed("opening")) }
    }
}

/// The enclave's answer to an opening: evidence and the key its receipts will be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Attestation document, COSE_Sign1 as the attester gave it.
    pub document: Vec<u8>,
    /// Receipt public key, SubjectPublicKeyInfo DER.
    pub receipt_key: Vec<u8>,
}

impl Evidence {
    /// Length of version, status and document length.
    pub const HEAD: usize = 4;
    /// The whole answer when no evidence can be had.
    pub const UNAVAILABLE: [u8; 2] = [1, 1];

    /// The answer, or an error when document and key exceed [`limits::EVIDENCE_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let total = Self::HEAD + self.document.len() + 2 + self.receipt_key.len();
        if total > limits::EVIDENCE_BYTES {
            return Err(Malformed("evidence: over 16 KiB"));
        }
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(&[1, 0]);
        for part in [&self.document, &self.receipt_key] {
            // The bound above keeps both lengths within 16 bits.
            out.extend_from_slice(&(part.len() as u16).to_be_bytes());
            out.extend_from_slice(part);
        }
        Ok(out)
    }

    /// Splits an answer into its parts; `Ok(None)` when more bytes are needed. Bytes after the
    /// answer are not looked at; the second value is the answer's length.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        match bytes {
            [] | [1] | [1, 0] | [1, 0, _] => return Ok(None),
            [1, 0, ..] => {}
            [1, 1, ..] => return Err(Malformed("evidence: the enclave has none to give now")),
            _ => return Err(Malformed("evidence: version or status")),
        }
        let mut at = 2;
        let mut part = || -> Result<Option<Vec<u8>>, Malformed> {
            let Some(&[a, b]) = bytes.get(at..at + 2) else {
                return Ok(None);
            };
            let end = at + 2 + usize::from(u16::from_be_bytes([a, b]));
            if end > limits::EVIDENCE_BYTES {
                return Err(Malformed("evidence: over 16 KiB"));
            }
            let found = bytes.get(at + 2..end).map(Vec::from);
            at = end;
            Ok(found)
        };
        let (Some(document), Some(receipt_key)) = (part()?, part()?) else {
            return Ok(None);
        };
        Ok(Some((Self { document, receipt_key }, at)))
    }
}
