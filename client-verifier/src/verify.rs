//! The steps, in their order.

use alloc::vec::Vec;
use core::time::Duration;

use crate::chain;
use crate::chain::Chain;
use crate::claims::ArchivedEnclave;
use crate::claims::Claims;
use crate::claims::Finding;
use crate::claims::UnverifiedDocument;
use crate::claims::Verified;
use crate::claims::VerifiedEnclave;
use crate::cose::Sign1;
use crate::crypto;
use crate::error::AgeError;
use crate::error::DebugError;
use crate::error::Error;
use crate::error::FieldBytes;
use crate::error::FieldError;
use crate::error::PcrError;
use crate::error::SignatureError;
use crate::error::SizeError;
use crate::limits::MAX_DOCUMENT_BYTES;
use crate::memory::ChainMemory;
use crate::payload::Payload;
use crate::pcr::PcrIndex;
use crate::pcr::Pcrs;
use crate::policy::Challenge;
use crate::policy::MeasurementSet;
use crate::policy::Measurements;
use crate::policy::Policy;
use crate::root::RootFingerprint;
use crate::time::UnixTime;
use crate::x509::Certificate;

/// Verifies a document that an enclave made just now.
///
/// `now` is the relying party's own time, never the document's; certificates may begin as far behind
/// it as two clocks may differ ([`Policy::max_future_skew`]). Every step of
/// [`Step`](crate::Step) is taken, in that order; the first that refuses ends it.
pub fn verify(
    document: &[u8],
    policy: &Policy,
    challenge: &Challenge<'_>,
    now: UnixTime,
) -> Result<VerifiedEnclave, Error> {
    check(document, policy, challenge, Moment::Now(now), None).map(Verified::live)
}

/// As [`verify`], but a chain in `memory` that is still valid is not built again, and one that
/// passes is put there. The verdict is the same.
pub fn verify_remembering(
    document: &[u8],
    policy: &Policy,
    challenge: &Challenge<'_>,
    now: UnixTime,
    memory: &mut ChainMemory,
) -> Result<VerifiedEnclave, Error> {
    check(document, policy, challenge, Moment::Now(now), Some(memory)).map(Verified::live)
}

/// Verifies a document from an archive as of the time `at`, whatever its age now.
///
/// Every step but `age` is taken, certificates judged at `at`. For the document's own time take
/// [`Claims::timestamp`] of [`decode_without_verifying`]. A document that passes was genuine then;
/// it does not tell who answers now, so the result is another type.
pub fn verify_archived(
    document: &[u8],
    policy: &Policy,
    challenge: &Challenge<'_>,
    at: UnixTime,
) -> Result<ArchivedEnclave, Error> {
    check(document, policy, challenge, Moment::Archived(at), None).map(Verified::archived)
}

/// Takes a document apart **without verifying it**, to look at or to explain a refusal.
///
/// The steps `size`, `cose` and `payload` alone are taken: anybody can make a document that passes.
pub fn decode_without_verifying(document: &[u8]) -> Result<UnverifiedDocument, Error> {
    check_size(document).map_err(Error::Size)?;
    let sign1 = Sign1::parse(document).map_err(Error::Cose)?;
    let payload = Payload::parse(sign1.payload).map_err(Error::Payload)?;
    let root = payload.cabundle.first().copied().unwrap_or_default();
    Ok(UnverifiedDocument {
        claims: Claims::new(&payload),
        tagged: sign1.tagged,
        root: RootFingerprint::of_certificate(root),
        leaf_validity: Certificate::parse(payload.certificate).map(|leaf| leaf.validity),
    })
}

/// Whether the document is a fresh answer or comes from an archive, and the time to judge it at.
#[derive(Clone, Copy)]
enum Moment {
    Now(UnixTime),
    Archived(UnixTime),
}

fn check(
    document: &[u8],
    policy: &Policy,
    challenge: &Challenge<'_>,
    moment: Moment,
    memory: Option<&mut ChainMemory>,
) -> Result<Verified, Error> {
    check_size(document).map_err(Error::Size)?;
    let sign1 = Sign1::parse(document).map_err(Error::Cose)?;
    let payload = Payload::parse(sign1.payload).map_err(Error::Payload)?;
    let judged_at = chain_time(&payload, policy, moment);
    let chain = chain::check(&payload, &policy.anchor, judged_at, memory).map_err(Error::Chain)?;
    check_signature(&sign1, &chain).map_err(Error::Signature)?;
    let age = check_age(&payload, policy, moment).map_err(Error::Age)?;
    let debug = check_debug(&payload.pcrs, policy).map_err(Error::Debug)?;
    let accepted_set = check_pcrs(&payload.pcrs, policy).map_err(Error::Pcrs)?;

    let Challenge { nonce, public_key, user_data } = challenge;
    check_field(payload.nonce, nonce.map(|nonce| nonce.0)).map_err(Error::Nonce)?;
    check_field(payload.public_key, public_key.map(|key| key.0)).map_err(Error::PublicKey)?;
    check_field(payload.user_data, user_data.map(|data| data.0)).map_err(Error::UserData)?;

    let findings = [
        Finding::Size { bytes: document.len() },
        Finding::Cose { tagged: sign1.tagged },
        Finding::Payload { module_id: payload.module_id.into(), pcrs: payload.pcrs.count() },
        Finding::Chain {
            certificates: payload.cabundle.len() + 1,
            root: chain.root,
            leaf_validity: chain.leaf_validity,
            remembered: chain.remembered,
        },
        Finding::Signature,
        Finding::Age { age },
        Finding::Debug { debug },
        Finding::Pcrs { accepted_set },
        Finding::Nonce { checked: nonce.is_some() },
        Finding::PublicKey { checked: public_key.is_some() },
        Finding::UserData { checked: user_data.is_some() },
    ];
    Ok(Verified::new(&payload, &chain, Vec::from(findings)))
}

fn check_size(document: &[u8]) -> Result<(), SizeError> {
    match document.len() {
        0 => Err(SizeError::Empty),
        1..=MAX_DOCUMENT_BYTES => Ok(()),
        found_bytes => Err(SizeError::TooLarge { found_bytes, max_bytes: MAX_DOCUMENT_BYTES }),
    }
}

/// The moment at which certificates must be valid.
///
/// It is now, but for a document of an enclave whose clock is ahead of ours by no more than two
/// clocks may differ: then it is the document's own. A leaf begins three seconds before its
/// document, so a client whose clock is four seconds slow would refuse every fresh one, at a step
/// that comes before the one made for this difference. Nobody gains by it: the leaf signs the
/// timestamp, the next step checks that, and it moves this moment only forward, by at most the
/// skew. What is past its end now stays refused.
fn chain_time(payload: &Payload<'_>, policy: &Policy, moment: Moment) -> UnixTime {
    let now = match moment {
        Moment::Archived(at) => return at,
        Moment::Now(now) => now,
    };
    let timestamp = UnixTime::from_millis(payload.timestamp_ms);
    match timestamp.after(now) {
        Some(skew) if skew <= policy.max_future_skew => timestamp,
        _ => now,
    }
}

fn check_signature(sign1: &Sign1<'_>, chain: &Chain<'_>) -> Result<(), SignatureError> {
    match crypto::verify_es384(chain.leaf_key, &sign1.signed_bytes(), sign1.signature) {
        true => Ok(()),
        false => Err(SignatureError::Invalid),
    }
}

fn check_age(
    payload: &Payload<'_>,
    policy: &Policy,
    moment: Moment,
) -> Result<Option<Duration>, AgeError> {
    let Moment::Now(now) = moment else {
        return Ok(None);
    };
    let timestamp = UnixTime::from_millis(payload.timestamp_ms);
    let Some(age) = now.after(timestamp) else {
        // The enclave's clock is ahead of ours.
        return match timestamp.after(now) {
            Some(skew) if skew <= policy.max_future_skew => Ok(Some(Duration::ZERO)),
            _ => Err(AgeError::FromTheFuture { timestamp, now }),
        };
    };
    match age <= policy.max_age {
        true => Ok(Some(age)),
        false => Err(AgeError::TooOld { age, max_age: policy.max_age }),
    }
}

/// Whether this is a debug enclave, if the policy allows one.
fn check_debug(pcrs: &Pcrs, policy: &Policy) -> Result<bool, DebugError> {
    let debug = pcrs.value(PcrIndex::IMAGE).ok_or(DebugError::Pcr0Missing)?.is_zero();
    match debug && !policy.allow_debug {
        true => Err(DebugError::DebugEnclave),
        false => Ok(debug),
    }
}

/// The index of the accepted set that the registers equal.
fn check_pcrs(pcrs: &Pcrs, policy: &Policy) -> Result<Option<usize>, PcrError> {
    let sets = match &policy.measurements {
        Measurements::OneOf(sets) => sets,
        Measurements::Any => return Ok(None),
    };
    if let Some(index) = sets.iter().position(|set| first_difference(pcrs, set).is_none()) {
        return Ok(Some(index));
    }
    // No set is equal, so the first one, if there is one, differs somewhere.
    let first = sets.first().ok_or(PcrError::NothingAccepted)?;
    match first_difference(pcrs, first) {
        Some(index) if pcrs.value(index).is_none() => Err(PcrError::Missing { index }),
        Some(index) => Err(PcrError::NotAccepted { index, sets: sets.len() }),
        None => Err(PcrError::NothingAccepted),
    }
}

/// The first register of `set` that is absent or has another value. The loop is over what is
/// *expected*: a document that leaves a register out does not escape its comparison.
fn first_difference(pcrs: &Pcrs, set: &MeasurementSet) -> Option<PcrIndex> {
    set.iter().find(|(index, value)| pcrs.value(*index) != Some(*value)).map(|(index, _)| index)
}

fn check_field(found: Option<&[u8]>, expected: Option<&[u8]>) -> Result<(), FieldError> {
    let Some(expected) = expected else {
        return Ok(());
    };
    match found {
        None => Err(FieldError::Absent),
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(FieldError::Different {
            expected: FieldBytes(expected.to_vec()),
            found: FieldBytes(found.to_vec()),
        }),
    }
}
