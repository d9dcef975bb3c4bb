//! Step `cose`: the COSE_Sign1 structure (RFC 9052, section 4.2) as AWS emits it.
//!
//! What comes out are ranges of the received bytes. The signature is later checked over these very
//! bytes; nothing is encoded again.

use alloc::vec::Vec;

use crate::cbor::Reader;
use crate::error::CoseError;
use crate::limits::SIGNATURE_BYTES;

/// The tag of COSE_Sign1. AWS's text allows it; the hardware emits none.
const COSE_SIGN1_TAG: u64 = 18;

/// `alg` among the common header parameters (RFC 9052, table 2).
const LABEL_ALGORITHM: i64 = 1;

/// ECDSA with SHA-384 (RFC 9053, table 1).
const ES384: i64 = -35;

/// A COSE_Sign1 structure, taken apart but not verified.
#[derive(Debug)]
pub(crate) struct Sign1<'a> {
    /// Whether the document carries tag 18.
    pub(crate) tagged: bool,
    /// The protected header with its byte string head, as received.
    protected_item: &'a [u8],
    /// The payload with its byte string head, as received.
    payload_item: &'a [u8],
    /// The payload.
    pub(crate) payload: &'a [u8],
    /// r and s: [`SIGNATURE_BYTES`] of them.
    pub(crate) signature: &'a [u8],
}

impl<'a> Sign1<'a> {
    /// Takes `document` apart.
    pub(crate) fn parse(document: &'a [u8]) -> Result<Self, CoseError> {
        let mut reader = Reader::new(document);
        let tagged = read_tag(&mut reader)?;
        match reader.array()? {
            4 => {}
            found => return Err(CoseError::ElementCount { found }),
        }

        let start = reader.offset();
        check_protected_header(reader.bytes()?)?;
        let protected_item = reader.read_since(start);

        match reader.map()? {
            0 => {}
            entries => return Err(CoseError::UnprotectedHeaderNotEmpty { entries }),
        }

        if reader.null() {
            return Err(CoseError::PayloadDetached);
        }
        let start = reader.offset();
        let payload = reader.bytes()?;
        let payload_item = reader.read_since(start);

        let signature = reader.bytes()?;
        if signature.len() != SIGNATURE_BYTES {
            return Err(CoseError::SignatureLength { found_bytes: signature.len() });
        }
        match reader.remaining() {
            0 => Ok(Self { tagged, protected_item, payload_item, payload, signature }),
            count => Err(CoseError::TrailingBytes { count }),
        }
    }

    /// The bytes the signature is over: `Sig_structure` of RFC 9052, section 4.4, around the
    /// received header and payload. Their heads are in shortest form, as the reader makes sure, and
    /// so are what the section asks for.
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        const CONTEXT: &[u8] = b"\x84\x6aSignature1";
        const NO_EXTERNAL_DATA: &[u8] = b"\x40";
        [CONTEXT, self.protected_item, NO_EXTERNAL_DATA, self.payload_item].concat()
    }
}

fn read_tag(reader: &mut Reader<'_>) -> Result<bool, CoseError> {
    let tagged = match reader.tag()? {
        None => return Ok(false),
        Some(COSE_SIGN1_TAG) => true,
        Some(found) => return Err(CoseError::UnexpectedTag { found }),
    };
    match reader.tag()? {
        None => Ok(tagged),
        Some(found) => Err(CoseError::UnexpectedTag { found }),
    }
}

/// The protected header is the map `{1: -35}` and nothing else.
fn check_protected_header(header: &[u8]) -> Result<(), CoseError> {
    // An empty byte string is the other encoding of an empty map (RFC 9052, section 3).
    if header.is_empty() {
        return Err(CoseError::AlgorithmAbsent);
    }
    let mut reader = Reader::new(header);
    match reader.map()? {
        0 => return Err(CoseError::AlgorithmAbsent),
        1 => {}
        _ => return Err(CoseError::ProtectedHeaderUnknown),
    }
    if reader.integer()? != LABEL_ALGORITHM {
        return Err(CoseError::ProtectedHeaderUnknown);
    }
    match reader.integer()? {
        ES384 => {}
        found => return Err(CoseError::AlgorithmNotEs384 { found }),
    }
    match reader.remaining() {
        0 => Ok(()),
        count => Err(CoseError::ProtectedHeaderTrailingBytes { count }),
    }
}
