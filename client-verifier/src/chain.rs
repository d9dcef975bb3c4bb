//! Step `chain`: from the leaf to the trust anchor at a given time (RFC 5280).
//!
//! Path building, signatures, names, validity, basic constraints and path lengths below the root
//! are rustls-webpki's. This module checks what it leaves out: the root's own validity and
//! constraints, P-384 in every key, key usage, no extended key usage, and that the path is
//! `cabundle` as emitted: the root first, no other order, nothing unused.

use alloc::vec::Vec;

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;
use webpki::KeyUsage;
use webpki::VerifiedPath;

use crate::crypto;
use crate::error::CertificatePosition;
use crate::error::ChainError;
use crate::memory::ChainDigest;
use crate::memory::ChainMemory;
use crate::payload::Payload;
use crate::policy::TrustAnchor;
use crate::root::RootFingerprint;
use crate::time::UnixTime;
use crate::time::Validity;
use crate::x509::Certificate;
use crate::x509::key_usage;

/// A chain that passed.
#[derive(Debug)]
pub(crate) struct Chain<'a> {
    pub(crate) root: RootFingerprint,
    /// The point of the leaf's key.
    pub(crate) leaf_key: &'a [u8],
    pub(crate) leaf_validity: Validity,
    /// Whether the memory knew it.
    pub(crate) remembered: bool,
}

/// Checks the certificates of `payload` against `anchor` at `now`.
pub(crate) fn check<'a>(
    payload: &Payload<'a>,
    anchor: &TrustAnchor,
    now: UnixTime,
    memory: Option<&mut ChainMemory>,
) -> Result<Chain<'a>, ChainError> {
    let root = check_root(payload, anchor)?;
    let (leaf, leaf_key) = parse_leaf(payload)?;
    let chain = Chain { root, leaf_key, leaf_validity: leaf.validity, remembered: false };
    let Some(memory) = memory else {
        check_all(payload, &leaf, now)?;
        return Ok(chain);
    };
    let digest = ChainDigest::of(&payload.cabundle, payload.certificate);
    if memory.recalls(digest, now) {
        return Ok(Chain { remembered: true, ..chain });
    }
    let validity = check_all(payload, &leaf, now)?;
    memory.remember(digest, validity);
    Ok(chain)
}

/// The first entry of `cabundle` is the policy's root, byte for byte.
fn check_root(payload: &Payload<'_>, anchor: &TrustAnchor) -> Result<RootFingerprint, ChainError> {
    // Never empty, as the payload's parser makes sure; an empty one would equal no root.
    let root = payload.cabundle.first().copied().unwrap_or_default();
    let found = RootFingerprint::of_certificate(root);
    let trusted = anchor.fingerprint();
    match found == trusted {
        true => Ok(found),
        false => Err(ChainError::UntrustedRoot { found, trusted }),
    }
}

fn parse_leaf<'a>(payload: &Payload<'a>) -> Result<(Certificate<'a>, &'a [u8]), ChainError> {
    let at = CertificatePosition::Leaf;
    let leaf =
        Certificate::parse(payload.certificate).ok_or(ChainError::CertificateMalformed { at })?;
    let key = leaf.p384_point().ok_or(ChainError::KeyNotP384 { at })?;
    Ok((leaf, key))
}

/// Every check that depends on nothing but the certificates and the time. Returns the period in
/// which all of them are valid.
fn check_all(
    payload: &Payload<'_>,
    leaf: &Certificate<'_>,
    now: UnixTime,
) -> Result<Validity, ChainError> {
    let authorities = parse_authorities(payload)?;
    for (at, authority) in &authorities {
        check_key(*at, authority)?;
        check_usage(*at, authority)?;
    }
    check_usage(CertificatePosition::Leaf, leaf)?;
    if let Some((at, root)) = authorities.first() {
        check_root_itself(*at, root, authorities.len() - 1, now)?;
    }
    check_path(payload, now).map_err(|error| locate(&error, &authorities, leaf, now))?;
    Ok(authorities
        .iter()
        .fold(leaf.validity, |common, (_, authority)| common.intersect(authority.validity)))
}

type Positioned<'a> = (CertificatePosition, Certificate<'a>);

fn parse_authorities<'a>(payload: &Payload<'a>) -> Result<Vec<Positioned<'a>>, ChainError> {
    let parse = |(entry, der): (usize, &&'a [u8])| {
        let at = CertificatePosition::CaBundle(entry);
        let certificate = Certificate::parse(der).ok_or(ChainError::CertificateMalformed { at })?;
        Ok((at, certificate))
    };
    payload.cabundle.iter().enumerate().map(parse).collect()
}

fn check_key(at: CertificatePosition, certificate: &Certificate<'_>) -> Result<(), ChainError> {
    match certificate.p384_point() {
        Some(_) => Ok(()),
        None => Err(ChainError::KeyNotP384 { at }),
    }
}

/// A leaf signs documents, a CA signs certificates; neither has a usage beyond what AWS gives it.
fn check_usage(at: CertificatePosition, certificate: &Certificate<'_>) -> Result<(), ChainError> {
    let (required, allowed) = match at {
        CertificatePosition::Leaf => (
            key_usage::DIGITAL_SIGNATURE,
            key_usage::DIGITAL_SIGNATURE | key_usage::NON_REPUDIATION,
        ),
        CertificatePosition::CaBundle(_) => (
            key_usage::KEY_CERT_SIGN,
            key_usage::KEY_CERT_SIGN | key_usage::CRL_SIGN | key_usage::DIGITAL_SIGNATURE,
        ),
    };
    let found = certificate.key_usage.ok_or(ChainError::KeyUsageMissing { at })?;
    if found & required != required || found & !allowed != 0 {
        return Err(ChainError::KeyUsageNotExact { at, found });
    }
    match certificate.has_extended_key_usage {
        true => Err(ChainError::ExtendedKeyUsagePresent { at }),
        false => Ok(()),
    }
}

/// rustls-webpki takes of a trust anchor its name and key alone.
fn check_root_itself(
    at: CertificatePosition,
    root: &Certificate<'_>,
    authorities_below: usize,
    now: UnixTime,
) -> Result<(), ChainError> {
    let constraints = root.basic_constraints.filter(|constraints| constraints.is_ca);
    let path_length = constraints.ok_or(ChainError::RootNotCa)?.path_length;
    if path_length.is_some_and(|allowed| authorities_below > usize::from(allowed)) {
        return Err(ChainError::PathLengthExceeded);
    }
    match outside_validity(at, root, now) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Builds the path and compares it with `cabundle`.
fn check_path(payload: &Payload<'_>, now: UnixTime) -> Result<(), PathError> {
    let der: Vec<_> = payload.cabundle.iter().map(|der| CertificateDer::from(*der)).collect();
    let Some((root, intermediates)) = der.split_first() else {
        return Err(PathError::Own(ChainError::UnknownIssuer));
    };
    let anchors = [webpki::anchor_from_trusted_cert(root).map_err(PathError::Webpki)?];
    let leaf = CertificateDer::from(payload.certificate);
    let leaf = EndEntityCert::try_from(&leaf).map_err(PathError::Webpki)?;
    let path = leaf
        .verify_for_usage(
            crypto::CERTIFICATE_SIGNATURES,
            &anchors,
            intermediates,
            rustls_pki_types::UnixTime::since_unix_epoch(now.as_duration()),
            // No certificate has an extended key usage at this point, so any of these will do.
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map_err(PathError::Webpki)?;
    check_path_is_as_emitted(intermediates, &path).map_err(PathError::Own)
}

/// AWS emits root, regional, zonal and instance CA: exactly the path, from the root down.
fn check_path_is_as_emitted(
    intermediates: &[CertificateDer<'_>],
    path: &VerifiedPath<'_>,
) -> Result<(), ChainError> {
    let used = path.intermediate_certificates().count() + 1;
    let entries = intermediates.len() + 1;
    if used != entries {
        return Err(ChainError::UnusedCaBundleEntry { entries, used });
    }
    let from_the_root = path.intermediate_certificates().rev();
    match intermediates.iter().zip(from_the_root).position(|(a, b)| *a != b.der()) {
        Some(index) => Err(ChainError::CaBundleOrder { entry: index + 1 }),
        None => Ok(()),
    }
}

enum PathError {
    Webpki(webpki::Error),
    Own(ChainError),
}

/// Our variant for a refusal, with the certificate it is about where that can be told.
fn locate(
    error: &PathError,
    authorities: &[Positioned<'_>],
    leaf: &Certificate<'_>,
    now: UnixTime,
) -> ChainError {
    use webpki::Error as E;
    let error = match error {
        PathError::Own(error) => return error.clone(),
        PathError::Webpki(error) => error,
    };
    match error {
        E::CertExpired { .. } | E::CertNotValidYet { .. } => authorities
            .iter()
            .find_map(|(at, certificate)| outside_validity(*at, certificate, now))
            .or_else(|| outside_validity(CertificatePosition::Leaf, leaf, now))
            .unwrap_or(ChainError::Refused),
        E::InvalidCertValidity => ChainError::ValidityInverted,
        E::CaUsedAsEndEntity => ChainError::LeafIsCa,
        E::EndEntityUsedAsCa => ChainError::IntermediateNotCa,
        E::PathLenConstraintViolated => ChainError::PathLengthExceeded,
        E::UnknownIssuer => ChainError::UnknownIssuer,
        E::InvalidSignatureForPublicKey => ChainError::CertificateSignatureInvalid,
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            ChainError::SignatureAlgorithmNotAllowed
        }
        E::SignatureAlgorithmMismatch => ChainError::SignatureAlgorithmMismatch,
        E::UnsupportedCriticalExtension => ChainError::UnknownCriticalExtension,
        E::NameConstraintViolation => ChainError::NameConstraintViolated,
        _ => ChainError::Refused,
    }
}

fn outside_validity(
    at: CertificatePosition,
    certificate: &Certificate<'_>,
    now: UnixTime,
) -> Option<ChainError> {
    let Validity { not_before, not_after } = certificate.validity;
    if now.as_secs() < not_before.as_secs() {
        Some(ChainError::NotYetValid { at, not_before, now })
    } else if now.as_secs() > not_after.as_secs() {
        Some(ChainError::Expired { at, not_after, now })
    } else {
        None
    }
}
