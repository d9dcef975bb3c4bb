//! Receipts: the enclave's signed statement on one finished request (DESIGN 3.13; PROTOCOL.md,
//! section 7).
//!
//! A [`Receipt`] comes only out of a verification: [`Session::receipt`] on the session of the
//! request, or [`Receipt::verify_archived`] by whoever holds the receipt and its [`Transcript`], at
//! any time and without a network. What is checked, in order: size, form, signature by the receipt key that
//! the evidence names, fields, that it is about this session, that it states the measurement which the
//! evidence proves, and that its time fits the session's.
//!
//! What a receipt says: an enclave of this measurement received this over TLS from a server that proved to be
//! the provider. It does not say that the provider is honest, and its digests say nothing until they
//! are compared with bodies ([`Receipt::check_request_body`], [`Receipt::check_answer_body`]).

mod decode;

use std::time::Duration;

use aegis_verifier::{PcrIndex, Pcrs, UnixTime};
use aegis_wire::{
    limits,
    receipt::{SIGNATURE, cose_sign1, to_be_signed},
    session::Opening,
};
use aws_lc_rs::{
    digest,
    signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey},
};

use crate::{Session, Shown, Trust};

pub use aegis_wire::receipt::{ANSWER_CUT, Content, NO_ANSWER, REQUEST_CUT, Statement};

/// Largest receipt: heads are at most 64 KiB, and each field is there once.
pub(crate) const RECEIPT_BYTES: usize = 128 * 1024;
/// Time for which a session and the streams in flight at its end can go on after its evidence, and
/// as much as the enclave's clock may be set forward by later evidence.
const LIFE: Duration =
    limits::SESSION.saturating_mul(2).saturating_add(limits::EVIDENCE_AGE.saturating_mul(2));

/// A verified receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    statement: Statement,
    attested_at: UnixTime,
    release: u32,
}

/// What both ends of a session know, and the evidence that was given on it: with a receipt, all
/// that a third party needs to check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// The client's first frame.
    pub opening: [u8; Opening::LEN],
    /// Public key of the inner TLS certificate, SubjectPublicKeyInfo DER.
    pub spki: Vec<u8>,
    /// Keying material exported from the inner TLS session, under the opening's nonce.
    pub exporter: [u8; 32],
    /// The attestation document.
    pub document: Vec<u8>,
    /// The receipt key, SubjectPublicKeyInfo DER.
    pub receipt_key: Vec<u8>,
}

/// Why a receipt is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Too large.
    #[error("the receipt has {0} bytes, more than any enclave writes; ask for the right file")]
    Size(usize),
    /// Not the COSE_Sign1 of PROTOCOL.md, section 7.
    #[error("this is no receipt: its COSE_Sign1 has another form")]
    Form,
    /// The signature.
    #[error("the receipt's signature is not by the receipt key of this evidence")]
    Signature,
    /// A field that is missing, of another type, unknown, or not in the one encoding.
    #[error("the receipt is signed but malformed at {0}; it was made by another version")]
    Field(&'static str),
    /// The evidence in the archive.
    #[error("the evidence is refused at step {0}")]
    Evidence(#[source] aegis_verifier::Error),
    /// Evidence that passed and is of no release named.
    #[error("the evidence is of no accepted release")]
    Release,
    /// Another session's.
    #[error("the receipt is about another session than the one that this evidence belongs to")]
    Session,
    /// Another image's.
    #[error("the receipt states another measurement than the evidence proves")]
    Measurement,
    /// Not within the session's life.
    #[error("the receipt's time is outside the life of the session of this evidence")]
    Time,
    /// Another request's.
    #[error("the receipt is about another request: {0}")]
    Request(u64),
    /// Another body.
    #[error("the request's body is not the one that the receipt states")]
    RequestBody,
    /// Another body.
    #[error("the answer's body is not the one that the receipt states")]
    AnswerBody,
}

impl Receipt {
    /// Verifies a receipt with what was kept of its session: the evidence as of its own time, then
    /// the receipt.
    pub fn verify_archived(
        receipt: &[u8],
        transcript: &Transcript,
        trust: &Trust,
    ) -> Result<Self, ReceiptError> {
        let (enclave, release) = trust.judge_archived(transcript)?;
        verify(receipt, transcript, enclave.pcrs(), enclave.timestamp(), release)
    }

    /// What the enclave states.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The release that made it.
    pub fn release(&self) -> u32 {
        self.release
    }

    /// When the evidence of its session was made.
    pub fn attested_at(&self) -> UnixTime {
        self.attested_at
    }

    /// Whether request and answer passed to their ends.
    pub fn is_complete(&self) -> bool {
        self.statement.incomplete == 0
    }

    /// Whether this is the body that was sent.
    pub fn check_request_body(&self, body: &[u8]) -> Result<(), ReceiptError> {
        is_of(&self.statement.sent, body).then_some(()).ok_or(ReceiptError::RequestBody)
    }

    /// Whether this is the body that came back.
    pub fn check_answer_body(&self, body: &[u8]) -> Result<(), ReceiptError> {
        is_of(&self.statement.received, body).then_some(()).ok_or(ReceiptError::AnswerBody)
    }
}

/// Verifies a receipt of the session whose evidence has passed.
pub(crate) fn verify_on(session: &Session, receipt: &[u8]) -> Result<Receipt, ReceiptError> {
    let attested = session.attested();
    let (enclave, release) = (attested.enclave(), attested.release());
    verify(receipt, attested.transcript(), enclave.pcrs(), enclave.timestamp(), release)
}

fn verify(
    receipt: &[u8],
    transcript: &Transcript,
    pcrs: &Pcrs,
    attested_at: UnixTime,
    release: u32,
) -> Result<Receipt, ReceiptError> {
    if receipt.len() > RECEIPT_BYTES {
        return Err(ReceiptError::Size(receipt.len()));
    }
    let (payload, signature) = open(receipt).ok_or(ReceiptError::Form)?;
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &transcript.receipt_key)
        .verify(&to_be_signed(payload), &signature)
        .map_err(|_| ReceiptError::Signature)?;
    let statement = decode::statement(payload)?;
    if statement.session != Shown::of(transcript).nonce {
        return Err(ReceiptError::Session);
    }
    let proved = [PcrIndex::IMAGE, PcrIndex::KERNEL, PcrIndex::APPLICATION];
    let proved = proved.map(|index| pcrs.value(index).map(|pcr| pcr.as_bytes().to_vec()));
    if statement.measurement.each_ref().map(Some) != proved.each_ref().map(Option::as_ref) {
        return Err(ReceiptError::Measurement);
    }
    let (begun, at) = (attested_at.as_duration(), Duration::from_millis(statement.time_ms));
    if at < begun || at > begun + LIFE {
        return Err(ReceiptError::Time);
    }
    Ok(Receipt { statement, attested_at, release })
}

/// Payload and signature of the one form that a receipt has: what they make must be the receipt.
fn open(receipt: &[u8]) -> Option<(&[u8], [u8; SIGNATURE])> {
    let (rest, signature) = receipt.split_last_chunk::<SIGNATURE>()?;
    let around = cose_sign1(&[], signature).len() - SIGNATURE - 1;
    // In front of the payload stands its length in 1, 2, 3 or 5 bytes, behind it that of the signature.
    [1, 2, 3, 5].into_iter().find_map(|head| {
        let payload = rest.get(around - 2 + head..rest.len().checked_sub(2)?)?;
        (cose_sign1(payload, signature) == receipt).then_some((payload, *signature))
    })
}

fn is_of(content: &Content, body: &[u8]) -> bool {
    content.bytes == body.len() as u64
        && content.digest == digest::digest(&digest::SHA256, body).as_ref()
}
