//! Steps `age`, `nonce`, `public_key` and `user_data`, and the archived call.

use std::time::Duration;

use aegis_dev_attester::forge::cbor;
use aegis_verifier::Challenge;
use aegis_verifier::Error;
use aegis_verifier::Finding;
use aegis_verifier::Nonce;
use aegis_verifier::PublicKey;
use aegis_verifier::Step;
use aegis_verifier::UnixTime;
use aegis_verifier::UserData;
use aegis_verifier::decode_without_verifying;
use aegis_verifier::error::AgeError;
use aegis_verifier::error::CertificatePosition;
use aegis_verifier::error::ChainError;
use aegis_verifier::error::FieldError;
use aegis_verifier::verify_archived;

use crate::support::CHAIN;
use crate::support::NONCE;
use crate::support::NOW_SECS;
use crate::support::TIMESTAMP_MS;
use crate::support::allowed;
use crate::support::asked;
use crate::support::challenge;
use crate::support::defects;
use crate::support::document;
use crate::support::policy;

const MAX_AGE: Duration = Duration::from_secs(300);
const SKEW_MS: u64 = 60_000;

allowed! {
    document_of_exactly_the_greatest_age: asked(|question| question.age(MAX_AGE)),
    document_as_far_ahead_as_clocks_may_differ: asked(|question| {
        question.document.set("timestamp", cbor::unsigned(question.now_ms() + SKEW_MS));
    }),
    client_whose_clock_is_as_slow_as_clocks_may_differ: asked(|question| {
        question.now = UnixTime::from_millis(TIMESTAMP_MS - SKEW_MS);
    }),
    document_as_far_ahead_as_the_policy_allows: asked(|question| {
        question.policy = question.policy.clone().with_max_future_skew(Duration::from_secs(1));
        question.document.set("timestamp", cbor::unsigned(question.now_ms() + 1000));
    }),
    greater_age_by_policy: asked(|question| {
        question.policy = question.policy.clone().with_max_age(MAX_AGE * 2);
        question.age(MAX_AGE * 2);
    }),
    no_expectation_at_all: asked(|question| {
        question.challenge = Challenge::dangerous_without_nonce();
    }),
    empty_nonce_expected_and_given: asked(|question| {
        question.document.set_nonce(Some(&[]));
        question.challenge = Challenge::new(Nonce(&[]));
    }),
}

defects! {
    document_older_than_its_greatest_age: asked(|question| {
        question.age(MAX_AGE + Duration::from_millis(1));
    }) => Error::Age(AgeError::TooOld { max_age: MAX_AGE, .. }),
    document_older_than_a_smaller_age_by_policy: asked(|question| {
        question.policy = question.policy.clone().with_max_age(Duration::from_secs(1));
        question.age(Duration::from_millis(1001));
    }) => Error::Age(AgeError::TooOld { age, .. }) if age == Duration::from_millis(1001),
    document_from_further_ahead_than_clocks_may_differ: asked(|question| {
        question.document.set("timestamp", cbor::unsigned(question.now_ms() + SKEW_MS + 1));
    }) => Error::Age(AgeError::FromTheFuture { .. }),
    document_from_the_end_of_time: asked(|question| {
        question.document.set("timestamp", cbor::unsigned(u64::MAX));
    }) => Error::Age(AgeError::FromTheFuture { .. }),
    document_further_ahead_than_the_policy_allows: asked(|question| {
        question.policy = question.policy.clone().with_max_future_skew(Duration::from_secs(1));
        question.document.set("timestamp", cbor::unsigned(question.now_ms() + 1001));
    }) => Error::Age(AgeError::FromTheFuture { .. }),
    document_further_ahead_than_any_policy_can_allow: asked(|question| {
        question.policy = question.policy.clone().with_max_future_skew(Duration::MAX);
        question.document.set("timestamp", cbor::unsigned(question.now_ms() + SKEW_MS + 1));
    }) => Error::Age(AgeError::FromTheFuture { .. }),
    client_whose_clock_is_slower_than_clocks_may_differ: asked(|question| {
        question.now = UnixTime::from_millis(TIMESTAMP_MS - SKEW_MS - 1);
    }) => Error::Chain(ChainError::NotYetValid { at: CertificatePosition::Leaf, .. }),
    leaf_past_its_end_though_valid_at_its_document_s_time: asked(|question| {
        question.policy = question.policy.clone().with_max_age(Duration::MAX);
        question.age(Duration::from_secs(4 * 3600));
    }) => Error::Chain(ChainError::Expired { at: CertificatePosition::Leaf, .. }),
    document_ahead_and_beyond_its_leaf_s_end: asked(|question| {
        // Now is the leaf's last second, the document says ten seconds later.
        let last = NOW_SECS + 3 * 3600;
        question.now = UnixTime::from_secs(last);
        question.document.set("timestamp", cbor::unsigned((last + 10) * 1000));
    }) => Error::Chain(ChainError::Expired { at: CertificatePosition::Leaf, .. }),
    document_of_1970: asked(|question| question.document.set("timestamp", cbor::unsigned(1)))
        => Error::Age(AgeError::TooOld { .. }),

    nonce_absent: asked(|question| question.document.set_nonce(None))
        => Error::Nonce(FieldError::Absent),
    nonce_of_another_question: asked(|question| question.document.set_nonce(Some(b"another")))
        => Error::Nonce(FieldError::Different { .. }),
    nonce_cut: asked(|question| question.document.set_nonce(Some(&NONCE[1..])))
        => Error::Nonce(FieldError::Different { .. }),
    nonce_with_its_last_bit_flipped: asked(|question| {
        let mut nonce = NONCE.to_vec();
        *nonce.last_mut().unwrap() ^= 1;
        question.document.set_nonce(Some(&nonce));
    }) => Error::Nonce(FieldError::Different { .. }),
    nonce_with_a_zero_after_it: asked(|question| {
        question.document.set_nonce(Some(&[NONCE, &[0]].concat()));
    }) => Error::Nonce(FieldError::Different { .. }),
    nonce_empty: asked(|question| question.document.set_nonce(Some(&[])))
        => Error::Nonce(FieldError::Different { .. }),
    nonce_absent_where_an_empty_one_is_expected: asked(|question| {
        question.document.set_nonce(None);
        question.challenge = Challenge::new(Nonce(&[]));
    }) => Error::Nonce(FieldError::Absent),
    nonce_in_place_of_user_data: asked(|question| {
        question.document.set_user_data(Some(NONCE));
        question.document.set_nonce(None);
    }) => Error::Nonce(FieldError::Absent),

    public_key_absent: asked(|question| question.document.set_public_key(None))
        => Error::PublicKey(FieldError::Absent),
    public_key_of_another_session: asked(|question| {
        question.challenge = challenge().expecting_public_key(PublicKey(b"another"));
    }) => Error::PublicKey(FieldError::Different { .. }),
    public_key_with_a_byte_before_it: asked(|question| {
        question.document.set_public_key(Some(b" a made-up public key"));
    }) => Error::PublicKey(FieldError::Different { .. }),

    user_data_absent: asked(|question| question.document.set_user_data(None))
        => Error::UserData(FieldError::Absent),
    user_data_of_another_protocol: asked(|question| {
        question.challenge = challenge().expecting_user_data(UserData(b"another"));
    }) => Error::UserData(FieldError::Different { .. }),
    user_data_empty: asked(|question| question.document.set_user_data(Some(&[])))
        => Error::UserData(FieldError::Different { .. }),
}

impl crate::support::Question {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.now.as_duration().as_millis()).unwrap()
    }
}

#[test]
fn what_was_expected_and_found_is_told() {
    let error = asked(|question| question.document.set_nonce(Some(b"\xab"))).unwrap_err();
    let Error::Nonce(FieldError::Different { expected, found }) = &error else { panic!("{error}") };
    assert_eq!((expected.as_bytes(), found.as_bytes()), (NONCE, &b"\xab"[..]));
    assert!(error.to_string().ends_with("found ab (1 bytes)"), "{error}");
    assert_eq!((error.step(), error.name()), (Step::Nonce, "different"));
}

#[test]
fn archived_document_passes_at_its_time_whatever_its_age() {
    let bytes = document(&CHAIN).sign(&CHAIN).encode();
    let decoded = decode_without_verifying(&bytes).unwrap();
    let at = decoded.claims().timestamp();
    assert_eq!(at, UnixTime::from_millis(TIMESTAMP_MS));
    let archived = verify_archived(&bytes, &policy(&CHAIN), &challenge(), at).unwrap();
    assert!(archived.findings().contains(&Finding::Age { age: None }));
    // Two hours later the leaf is still valid, and no age is asked for.
    let later = UnixTime::from_secs(NOW_SECS + 7200);
    verify_archived(&bytes, &policy(&CHAIN), &challenge(), later).unwrap();
}

#[test]
fn archived_document_is_judged_by_every_other_step() {
    let at = UnixTime::from_millis(TIMESTAMP_MS);
    let mut changed = document(&CHAIN);
    changed.set_nonce(None);
    let bytes = changed.sign(&CHAIN).encode();
    let error = verify_archived(&bytes, &policy(&CHAIN), &challenge(), at).unwrap_err();
    assert_eq!(error, Error::Nonce(FieldError::Absent));
    let day_later = UnixTime::from_secs(NOW_SECS + 86_400);
    let error = verify_archived(&bytes, &policy(&CHAIN), &challenge(), day_later).unwrap_err();
    assert!(matches!(error, Error::Chain(ChainError::Expired { .. })), "{error}");
}
