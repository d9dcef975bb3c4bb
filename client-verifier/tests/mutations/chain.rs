//! Step `chain`: roots, order, names, signatures, time.

use aegis_dev_attester::forge::ChainSpec;
use aegis_dev_attester::forge::Signer;
use aegis_verifier::ChainMemory;
use aegis_verifier::Error;
use aegis_verifier::Finding;
use aegis_verifier::Policy;
use aegis_verifier::RootFingerprint;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::error::CertificatePosition::CaBundle;
use aegis_verifier::error::CertificatePosition::Leaf;
use aegis_verifier::error::ChainError;
use aegis_verifier::limits::MAX_REMEMBERED_CHAINS;
use aegis_verifier::verify_remembering;

use crate::support::CHAIN;
use crate::support::NOW;
use crate::support::NOW_SECS;
use crate::support::allowed;
use crate::support::challenge;
use crate::support::defects;
use crate::support::document;
use crate::support::judge;
use crate::support::policy;

allowed! {
    leaf_in_its_last_second: before_issuing(|chain| chain.leaf_mut().not_after_secs = NOW_SECS),
    leaf_in_its_first_second: before_issuing(|chain| chain.leaf_mut().not_before_secs = NOW_SECS),
    root_in_its_last_second: before_issuing(|chain| {
        chain.certificate_mut(0).not_after_secs = NOW_SECS;
    }),
    root_in_its_first_second: before_issuing(|chain| {
        chain.certificate_mut(0).not_before_secs = NOW_SECS;
    }),
    root_whose_path_length_suffices: before_issuing(|chain| {
        chain.certificate_mut(0).set_basic_constraints(Some((true, Some(3))));
    }),
    chain_of_three: before_issuing(|chain| { chain.certificates.drain(2..4); }),
}

defects! {
    root_absent: in_the_bundle(|bundle| { bundle.remove(0); })
        => Error::Chain(ChainError::UntrustedRoot { .. }),
    root_last: in_the_bundle(|bundle| bundle.rotate_left(1))
        => Error::Chain(ChainError::UntrustedRoot { .. }),
    root_of_another_chain_in_front: in_the_bundle(|bundle| bundle[0] = CHAIN.cabundle[0].clone())
        => Error::Chain(ChainError::UntrustedRoot { .. }),
    root_with_its_last_bit_flipped: in_the_bundle(|bundle| *bundle[0].last_mut().unwrap() ^= 1)
        => Error::Chain(ChainError::UntrustedRoot { .. }),
    root_twice: in_the_bundle(|bundle| bundle.insert(1, bundle[0].clone()))
        => Error::Chain(ChainError::UnusedCaBundleEntry { entries: 5, used: 4 }),
    intermediate_twice: in_the_bundle(|bundle| bundle.push(bundle[2].clone()))
        => Error::Chain(ChainError::UnusedCaBundleEntry { entries: 5, used: 4 }),
    intermediate_of_another_chain: in_the_bundle(|bundle| bundle.push(CHAIN.cabundle[2].clone()))
        => Error::Chain(ChainError::UnusedCaBundleEntry { entries: 5, used: 4 }),
    intermediates_swapped: in_the_bundle(|bundle| bundle.swap(1, 2))
        => Error::Chain(ChainError::CaBundleOrder { entry: 1 }),
    last_intermediates_swapped: in_the_bundle(|bundle| bundle.swap(2, 3))
        => Error::Chain(ChainError::CaBundleOrder { entry: 2 }),
    intermediates_from_the_leaf_up: in_the_bundle(|bundle| bundle[1..].reverse())
        => Error::Chain(ChainError::CaBundleOrder { entry: 1 }),
    regional_authority_absent: in_the_bundle(|bundle| { bundle.remove(1); })
        => Error::Chain(ChainError::UnknownIssuer),
    instance_authority_absent: in_the_bundle(|bundle| { bundle.pop(); })
        => Error::Chain(ChainError::UnknownIssuer),
    root_alone: in_the_bundle(|bundle| bundle.truncate(1))
        => Error::Chain(ChainError::UnknownIssuer),

    leaf_with_another_issuer_name: before_issuing(|chain| rename_issuer(chain, 4))
        => Error::Chain(ChainError::UnknownIssuer),
    instance_authority_with_another_issuer_name: before_issuing(|chain| rename_issuer(chain, 3))
        => Error::Chain(ChainError::UnknownIssuer),
    regional_authority_with_another_issuer_name: before_issuing(|chain| rename_issuer(chain, 1))
        => Error::Chain(ChainError::UnknownIssuer),

    leaf_signed_by_a_stranger: before_issuing(|chain| chain.leaf_mut().signer = Signer::Stranger)
        => Error::Chain(ChainError::CertificateSignatureInvalid),
    instance_authority_signed_by_a_stranger: before_issuing(|chain| {
        chain.certificate_mut(3).signer = Signer::Stranger;
    }) => Error::Chain(ChainError::CertificateSignatureInvalid),
    regional_authority_signed_by_a_stranger: before_issuing(|chain| {
        chain.certificate_mut(1).signer = Signer::Stranger;
    }) => Error::Chain(ChainError::CertificateSignatureInvalid),
    leaf_with_its_last_bit_flipped: before_issuing(|chain| {
        chain.leaf_mut().edit = Some(|der| *der.last_mut().unwrap() ^= 1);
    }) => Error::Chain(ChainError::CertificateSignatureInvalid),

    leaf_expired: before_issuing(|chain| expire(chain, 4))
        => Error::Chain(ChainError::Expired { at: Leaf, not_after: EXPIRED, now: NOW }),
    instance_authority_expired: before_issuing(|chain| expire(chain, 3))
        => Error::Chain(ChainError::Expired { at: CaBundle(3), not_after: EXPIRED, now: NOW }),
    zonal_authority_expired: before_issuing(|chain| expire(chain, 2))
        => Error::Chain(ChainError::Expired { at: CaBundle(2), not_after: EXPIRED, now: NOW }),
    regional_authority_expired: before_issuing(|chain| expire(chain, 1))
        => Error::Chain(ChainError::Expired { at: CaBundle(1), not_after: EXPIRED, now: NOW }),
    root_expired: before_issuing(|chain| expire(chain, 0))
        => Error::Chain(ChainError::Expired { at: CaBundle(0), not_after: EXPIRED, now: NOW }),
    leaf_not_yet_valid: before_issuing(|chain| postpone(chain, 4))
        => Error::Chain(ChainError::NotYetValid { at: Leaf, not_before: FUTURE, now: NOW }),
    instance_authority_not_yet_valid: before_issuing(|chain| postpone(chain, 3))
        => Error::Chain(ChainError::NotYetValid { at: CaBundle(3), not_before: FUTURE, now: NOW }),
    zonal_authority_not_yet_valid: before_issuing(|chain| postpone(chain, 2))
        => Error::Chain(ChainError::NotYetValid { at: CaBundle(2), not_before: FUTURE, now: NOW }),
    regional_authority_not_yet_valid: before_issuing(|chain| postpone(chain, 1))
        => Error::Chain(ChainError::NotYetValid { at: CaBundle(1), not_before: FUTURE, now: NOW }),
    root_not_yet_valid: before_issuing(|chain| postpone(chain, 0))
        => Error::Chain(ChainError::NotYetValid { at: CaBundle(0), not_before: FUTURE, now: NOW }),
    leaf_whose_validity_ends_before_it_begins: before_issuing(|chain| {
        chain.leaf_mut().not_before_secs = NOW_SECS + 1;
        chain.leaf_mut().not_after_secs = NOW_SECS - 1;
    }) => Error::Chain(ChainError::ValidityInverted),
}

const EXPIRED: UnixTime = UnixTime::from_secs(NOW_SECS - 1);
const FUTURE: UnixTime = UnixTime::from_secs(NOW_SECS + 1);

fn expire(chain: &mut ChainSpec, index: usize) {
    chain.certificate_mut(index).not_after_secs = NOW_SECS - 1;
}

fn postpone(chain: &mut ChainSpec, index: usize) {
    chain.certificate_mut(index).not_before_secs = NOW_SECS + 1;
}

fn rename_issuer(chain: &mut ChainSpec, index: usize) {
    let mut issuer = chain.certificate_mut(index - 1).subject.clone();
    issuer.last_mut().unwrap().1.push('x');
    chain.certificate_mut(index).issuer = Some(issuer);
}

/// A root with AWS's own name is still not AWS's root.
#[test]
fn self_made_root_with_the_name_of_aws_s() {
    let mut spec = ChainSpec::like_aws(NOW_SECS);
    spec.certificate_mut(0).subject = vec![
        (6, "US".into()),
        (10, "Amazon".into()),
        (11, "AWS".into()),
        (3, "aws.nitro-enclaves".into()),
    ];
    let chain = spec.issue();
    let policy = Policy::dangerous_any_measurement(TrustAnchor::aws_nitro());
    let bytes = document(&chain).sign(&chain).encode();
    let error = judge(&bytes, &policy, &challenge(), NOW).unwrap_err();
    let found = RootFingerprint::new(chain.root_fingerprint());
    let trusted = RootFingerprint::AWS_NITRO_G1;
    assert_eq!(error, Error::Chain(ChainError::UntrustedRoot { found, trusted }));
}

/// AWS's root in front of a chain that does not lead to it.
#[test]
fn aws_s_root_in_front_of_a_self_made_chain() {
    let mut chain = ChainSpec::like_aws(NOW_SECS).issue();
    chain.cabundle[0] = aegis_verifier::AWS_NITRO_ROOT_G1_DER.to_vec();
    let policy = Policy::dangerous_any_measurement(TrustAnchor::aws_nitro());
    let bytes = document(&chain).sign(&chain).encode();
    let error = judge(&bytes, &policy, &challenge(), NOW).unwrap_err();
    assert_eq!(error, Error::Chain(ChainError::UnknownIssuer));
}

fn is_remembered(enclave: &aegis_verifier::VerifiedEnclave) -> bool {
    enclave.findings().iter().any(|one| matches!(one, Finding::Chain { remembered: true, .. }))
}

#[test]
fn remembered_chain_is_refused_when_it_has_expired() {
    let mut memory = ChainMemory::new();
    let policy = policy(&CHAIN).with_max_age(std::time::Duration::MAX);
    let bytes = document(&CHAIN).sign(&CHAIN).encode();
    let mut check = |now| verify_remembering(&bytes, &policy, &challenge(), now, &mut memory);
    assert!(!is_remembered(&check(NOW).unwrap()));
    assert!(is_remembered(&check(NOW).unwrap()));
    let last_second = UnixTime::from_secs(NOW_SECS + 3 * 3600);
    assert!(is_remembered(&check(last_second).unwrap()));
    let error = check(UnixTime::from_secs(NOW_SECS + 3 * 3600 + 1)).unwrap_err();
    assert!(matches!(error, Error::Chain(ChainError::Expired { at: Leaf, .. })), "{error}");
}

#[test]
fn remembered_chain_is_refused_before_it_is_valid() {
    let mut memory = ChainMemory::new();
    let bytes = document(&CHAIN).sign(&CHAIN).encode();
    let mut check =
        |now| verify_remembering(&bytes, &policy(&CHAIN), &challenge(), now, &mut memory);
    check(NOW).unwrap();
    // The leaf begins three seconds before it is issued, every authority earlier; and a document
    // that is further ahead than clocks may differ does not say what time it is.
    let error = check(UnixTime::from_secs(NOW_SECS - 64)).unwrap_err();
    assert!(matches!(error, Error::Chain(ChainError::NotYetValid { at: Leaf, .. })), "{error}");
}

#[test]
fn remembered_chain_is_refused_under_another_root() {
    let mut memory = ChainMemory::new();
    let bytes = document(&CHAIN).sign(&CHAIN).encode();
    verify_remembering(&bytes, &policy(&CHAIN), &challenge(), NOW, &mut memory).unwrap();
    let other = Policy::dangerous_any_measurement(TrustAnchor::aws_nitro());
    let error = verify_remembering(&bytes, &other, &challenge(), NOW, &mut memory).unwrap_err();
    assert!(matches!(error, Error::Chain(ChainError::UntrustedRoot { .. })), "{error}");
}

#[test]
fn refused_chain_is_not_remembered() {
    let mut memory = ChainMemory::new();
    let mut spec = ChainSpec::like_aws(NOW_SECS);
    spec.leaf_mut().signer = Signer::Stranger;
    let chain = spec.issue();
    let bytes = document(&chain).sign(&chain).encode();
    for _ in 0..2 {
        let refused = verify_remembering(&bytes, &policy(&chain), &challenge(), NOW, &mut memory);
        assert_eq!(refused.unwrap_err(), Error::Chain(ChainError::CertificateSignatureInvalid));
        assert_eq!(memory.count(), 0);
    }
}

/// A chain that passed does not vouch for another leaf below the same authorities.
#[test]
fn remembered_chain_with_another_leaf_is_checked_whole() {
    let mut memory = ChainMemory::new();
    let bytes = document(&CHAIN).sign(&CHAIN).encode();
    verify_remembering(&bytes, &policy(&CHAIN), &challenge(), NOW, &mut memory).unwrap();
    let mut other = ChainSpec::like_aws(NOW_SECS).issue();
    other.cabundle = CHAIN.cabundle.clone();
    let bytes = document(&other).sign(&other).encode();
    let refused = verify_remembering(&bytes, &policy(&CHAIN), &challenge(), NOW, &mut memory);
    assert_eq!(refused.unwrap_err(), Error::Chain(ChainError::UnknownIssuer));
}

#[test]
fn memory_is_bounded_and_the_oldest_chain_goes_first() {
    let mut memory = ChainMemory::new();
    let mut chains = Vec::new();
    for _ in 0..=MAX_REMEMBERED_CHAINS {
        // Two certificates make a chain too; a short one is quick to issue.
        let mut spec = ChainSpec::like_aws(NOW_SECS);
        spec.certificates.drain(1..4);
        let chain = spec.issue();
        let bytes = document(&chain).sign(&chain).encode();
        verify_remembering(&bytes, &policy(&chain), &challenge(), NOW, &mut memory).unwrap();
        chains.push((chain, bytes));
    }
    assert_eq!(memory.count(), MAX_REMEMBERED_CHAINS);
    let mut knows = |(chain, bytes): &(_, Vec<u8>)| {
        let found = verify_remembering(bytes, &policy(chain), &challenge(), NOW, &mut memory);
        is_remembered(&found.unwrap())
    };
    assert!(knows(&chains[MAX_REMEMBERED_CHAINS]));
    assert!(knows(&chains[1]));
    assert!(!knows(&chains[0]));
}
