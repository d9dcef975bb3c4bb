//! The hardware boundary of the enclave: one trait with one question, and the Nitro Secure Module
//! behind it. A development attester is another crate, which this one cannot name.

use aws_nitro_enclaves_nsm_api::{
    api::{Request, Response},
    driver,
};

/// What a document is to say of its holder, each at most 1,024 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// SubjectPublicKeyInfo of the inner TLS key.
    pub public_key: &'a [u8],
    /// Hash over the receipt key.
    pub user_data: &'a [u8],
    /// Hash over the client's question and the session.
    pub nonce: &'a [u8],
}

/// The attester gave no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// Whatever can attest to this machine. Calls may block for milliseconds.
pub trait Attester: Send + Sync {
    /// A fresh attestation document: COSE_Sign1 as the signer emitted it.
    fn attest(&self, claims: Claims<'_>) -> Result<Vec<u8>, Unavailable>;
}

/// `/dev/nsm` of a Nitro enclave.
#[derive(Debug)]
pub struct Nsm(i32);

impl Nsm {
    /// Opens the device, once for the life of the process.
    pub fn open() -> Result<Self, Unavailable> {
        match driver::nsm_init() {
            fd if fd >= 0 => Ok(Self(fd)),
            _ => Err(Unavailable),
        }
    }
}

impl Attester for Nsm {
    fn attest(&self, claims: Claims<'_>) -> Result<Vec<u8>, Unavailable> {
        let field = |bytes: &[u8]| Some(bytes.to_vec().into());
        let request = Request::Attestation {
            public_key: field(claims.public_key),
            user_data: field(claims.user_data),
            nonce: field(claims.nonce),
        };
        match driver::nsm_process_request(self.0, request) {
            Response::Attestation { document } => Ok(document),
            _ => Err(Unavailable),
        }
    }
}

/// When a document was made, in milliseconds since 1970, by the signer's clock. The signer writes
/// this field ahead of every field that the holder chooses, so the first match is its own.
pub fn timestamp_ms(document: &[u8]) -> Option<u64> {
    // CBOR: a text string of nine bytes, then an unsigned integer of eight.
    const KEY: &[u8] = b"\x69timestamp\x1b";
    let at = document.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    document.get(at..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// PCR0, 1 and 2 of a document, which the signer writes ahead of the holder's fields as well.
pub fn measurement(document: &[u8]) -> Option<[Vec<u8>; 3]> {
    // CBOR: a text string of four bytes, then a map of at most 32 registers in ascending order.
    const KEY: &[u8] = b"\x64pcrs";
    let at = document.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let mut rest = match document.get(at..)? {
        [0xb8, _, rest @ ..] | [_, rest @ ..] => rest,
        [] => return None,
    };
    let mut register = |index| {
        let (register, more) = rest.strip_prefix(&[index, 0x58, 48])?.split_at_checked(48)?;
        rest = more;
        Some(register.to_vec())
    };
    Some([register(0)?, register(1)?, register(2)?])
}
