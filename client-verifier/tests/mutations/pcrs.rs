//! The registers in step `payload`, and steps `debug` and `pcrs`.

use aegis_dev_attester::forge::DocumentSpec;
use aegis_dev_attester::forge::cbor;
use aegis_verifier::CborType;
use aegis_verifier::Error;
use aegis_verifier::MeasurementSet;
use aegis_verifier::Pcr;
use aegis_verifier::PcrIndex;
use aegis_verifier::Policy;
use aegis_verifier::error::CborError;
use aegis_verifier::error::CborFault;
use aegis_verifier::error::DebugError;
use aegis_verifier::error::PayloadError;
use aegis_verifier::error::PcrError;

use crate::support::CHAIN;
use crate::support::allowed;
use crate::support::anchor;
use crate::support::asked;
use crate::support::defects;
use crate::support::image;

macro_rules! cbor {
    ($found:ident instead of $expected:ident) => {
        Error::Payload(PayloadError::Cbor {
            fault: CborFault {
                error: CborError::UnexpectedType {
                    expected: CborType::$expected,
                    found: CborType::$found,
                },
                ..
            },
        })
    };
}

allowed! {
    pcrs_with_gaps: before_signing(|document| {
        set_pcrs(document, &[(0, &[1; 48]), (1, &[2; 48]), (2, &[3; 48]), (31, &[9; 48])]);
    }),
    thirty_two_pcrs: before_signing(|document| {
        let pcrs: Vec<[u8; 48]> = (0..32).map(|index| [index + 1; 48]).collect();
        document.set_pcrs(pcrs.iter().map(<[u8; 48]>::as_slice));
    }),
    pcrs_in_another_order: before_signing(|document| {
        set_pcrs(document, &[(2, &[3; 48]), (0, &[1; 48]), (1, &[2; 48])]);
    }),
    pcr_16_expected_and_present: asked(|question| {
        let pcrs = [(0, &[1; 48][..]), (1, &[2; 48]), (2, &[3; 48]), (16, &[7; 48])];
        set_pcrs(&mut question.document, &pcrs);
        question.policy = accepting(vec![expecting(16, 7)]);
    }),
    second_of_two_sets: asked(|question| {
        question.policy = accepting(vec![expecting(8, 99), expecting(8, 9)]);
    }),
    debug_allowed_and_any_measurement: asked(|question| {
        make_debug(&mut question.document);
        question.policy = Policy::dangerous_any_measurement(anchor(&CHAIN)).dangerous_allow_debug();
    }),
}

defects! {
    pcrs_empty: before_signing(|document| set_pcrs(document, &[]))
        => Error::Payload(PayloadError::PcrCount { found: 0 }),
    thirty_three_pcrs: before_signing(|document| set_pcrs(document, &[(0, &[1; 48][..]); 33]))
        => Error::Payload(PayloadError::PcrCount { found: 33 }),
    pcrs_of_2_to_the_64: before_signing(|document| document.set("pcrs", cbor::head(5, u64::MAX)))
        => Error::Payload(PayloadError::PcrCount { found: u64::MAX }),
    pcrs_of_indefinite_length: before_signing(|document| {
        let entry = [cbor::unsigned(0), cbor::bytes(&[1; 48])].concat();
        document.set("pcrs", [&[0xbf], &entry[..], &[0xff]].concat());
    }) => Error::Payload(PayloadError::Cbor {
        fault: CborFault { error: CborError::IndefiniteLength, .. },
    }),
    pcrs_as_array: before_signing(|document| {
        document.set("pcrs", cbor::array(&[cbor::bytes(&[1; 48])]));
    }) => cbor!(Array instead of Map),
    pcr_index_32: before_signing(|document| set_pcrs(document, &[(0, &[1; 48]), (32, &[1; 48])]))
        => Error::Payload(PayloadError::PcrIndexTooLarge { found: 32 }),
    pcr_index_256: before_signing(|document| set_pcrs(document, &[(256, &[1; 48])]))
        => Error::Payload(PayloadError::PcrIndexTooLarge { found: 256 }),
    pcr_index_2_to_the_64: before_signing(|document| set_pcrs(document, &[(u64::MAX, &[1; 48])]))
        => Error::Payload(PayloadError::PcrIndexTooLarge { found: u64::MAX }),
    pcr_index_negative: before_signing(|document| {
        document.set("pcrs", cbor::map(&[(cbor::integer(-1), cbor::bytes(&[1; 48]))]));
    }) => cbor!(Negative instead of Unsigned),
    pcr_index_as_text: before_signing(|document| {
        document.set("pcrs", cbor::map(&[(cbor::text("0"), cbor::bytes(&[1; 48]))]));
    }) => cbor!(Text instead of Unsigned),
    pcr_twice: before_signing(|document| set_pcrs(document, &[(0, &[1; 48]), (0, &[1; 48])]))
        => Error::Payload(PayloadError::DuplicatePcr { index: PcrIndex::IMAGE }),
    pcr_empty: before_signing(|document| set_pcrs(document, &[(0, &[])]))
        => Error::Payload(PayloadError::PcrLength { index: PcrIndex::IMAGE, found_bytes: 0 }),
    pcr_of_32_bytes: before_signing(|document| set_pcrs(document, &[(0, &[1; 32])]))
        => Error::Payload(PayloadError::PcrLength { index: PcrIndex::IMAGE, found_bytes: 32 }),
    pcr_of_47_bytes: before_signing(|document| set_pcrs(document, &[(1, &[1; 47])]))
        => Error::Payload(PayloadError::PcrLength { index: PcrIndex::KERNEL, found_bytes: 47 }),
    pcr_of_49_bytes: before_signing(|document| set_pcrs(document, &[(0, &[1; 49])]))
        => Error::Payload(PayloadError::PcrLength { index: PcrIndex::IMAGE, found_bytes: 49 }),
    pcr_of_64_bytes: before_signing(|document| set_pcrs(document, &[(0, &[1; 64])]))
        => Error::Payload(PayloadError::PcrLength { index: PcrIndex::IMAGE, found_bytes: 64 }),
    pcr_null: before_signing(|document| {
        document.set("pcrs", cbor::map(&[(cbor::unsigned(0), cbor::NULL.to_vec())]));
    }) => cbor!(Simple instead of Bytes),
    pcr_as_text: before_signing(|document| {
        document.set("pcrs", cbor::map(&[(cbor::unsigned(0), cbor::text(&"a".repeat(48)))]));
    }) => cbor!(Text instead of Bytes),

    debug_enclave: before_signing(make_debug) => Error::Debug(DebugError::DebugEnclave),
    debug_enclave_whose_zeros_are_accepted: asked(|question| {
        make_debug(&mut question.document);
        let zero = MeasurementSet::dangerous_partial(PcrIndex::IMAGE, Pcr::new([0; 48]));
        question.policy = accepting(vec![zero]);
    }) => Error::Debug(DebugError::DebugEnclave),
    debug_enclave_under_any_measurement: asked(|question| {
        make_debug(&mut question.document);
        question.policy = Policy::dangerous_any_measurement(anchor(&CHAIN));
    }) => Error::Debug(DebugError::DebugEnclave),
    debug_allowed_but_its_zeros_not_accepted: asked(|question| {
        make_debug(&mut question.document);
        question.policy = question.policy.clone().dangerous_allow_debug();
    }) => Error::Pcrs(PcrError::NotAccepted { index: PcrIndex::IMAGE, sets: 1 }),
    pcr0_missing: before_signing(|document| set_pcrs(document, &[(1, &[2; 48]), (2, &[3; 48])]))
        => Error::Debug(DebugError::Pcr0Missing),
    pcr0_missing_and_debug_allowed: asked(|question| {
        set_pcrs(&mut question.document, &[(1, &[2; 48])]);
        question.policy = Policy::dangerous_any_measurement(anchor(&CHAIN)).dangerous_allow_debug();
    }) => Error::Debug(DebugError::Pcr0Missing),

    pcr0_of_another_image: before_signing(|document| {
        set_pcrs(document, &[(0, &[9; 48]), (1, &[2; 48]), (2, &[3; 48])]);
    }) => Error::Pcrs(PcrError::NotAccepted { index: PcrIndex::IMAGE, sets: 1 }),
    pcr1_of_another_image: before_signing(|document| {
        set_pcrs(document, &[(0, &[1; 48]), (1, &[9; 48]), (2, &[3; 48])]);
    }) => Error::Pcrs(PcrError::NotAccepted { index: PcrIndex::KERNEL, sets: 1 }),
    pcr2_of_another_image: before_signing(|document| {
        set_pcrs(document, &[(0, &[1; 48]), (1, &[2; 48]), (2, &[9; 48])]);
    }) => Error::Pcrs(PcrError::NotAccepted { index: PcrIndex::APPLICATION, sets: 1 }),
    pcr0_with_its_last_bit_flipped: before_signing(|document| {
        let mut pcr0 = [1; 48];
        pcr0[47] ^= 1;
        set_pcrs(document, &[(0, &pcr0), (1, &[2; 48]), (2, &[3; 48])]);
    }) => Error::Pcrs(PcrError::NotAccepted { index: PcrIndex::IMAGE, sets: 1 }),
    pcr1_missing: before_signing(|document| set_pcrs(document, &[(0, &[1; 48]), (2, &[3; 48])]))
        => Error::Pcrs(PcrError::Missing { index: PcrIndex::KERNEL }),
    pcr2_missing: before_signing(|document| set_pcrs(document, &[(0, &[1; 48]), (1, &[2; 48])]))
        => Error::Pcrs(PcrError::Missing { index: PcrIndex::APPLICATION }),
    pcr_16_expected_and_missing: asked(|question| {
        question.policy = accepting(vec![expecting(16, 7)]);
    }) => Error::Pcrs(PcrError::Missing { index }) if index.number() == 16,
    pcr_16_expected_to_be_zero_and_missing: asked(|question| {
        question.policy = accepting(vec![expecting(16, 0)]);
    }) => Error::Pcrs(PcrError::Missing { index }) if index.number() == 16,
    pcr_8_of_another_signer: asked(|question| {
        question.policy = accepting(vec![expecting(8, 99)]);
    }) => Error::Pcrs(PcrError::NotAccepted { index: PcrIndex::SIGNING_CERTIFICATE, sets: 1 }),
    registers_of_two_sets_mixed: asked(|question| {
        let first = expecting(3, 4).with(PcrIndex::INSTANCE, Pcr::new([99; 48]));
        let second = expecting(3, 99).with(PcrIndex::INSTANCE, Pcr::new([5; 48]));
        question.policy = accepting(vec![first, second]);
    }) => Error::Pcrs(PcrError::NotAccepted { index: PcrIndex::INSTANCE, sets: 2 }),
    nothing_accepted: asked(|question| question.policy = accepting(Vec::new()))
        => Error::Pcrs(PcrError::NothingAccepted),
}

fn set_pcrs(document: &mut DocumentSpec, pcrs: &[(u64, &[u8])]) {
    document.set_numbered_pcrs(pcrs.iter().copied());
}

fn make_debug(document: &mut DocumentSpec) {
    document.set_pcrs([[0; 48]; 16].iter().map(<[u8; 48]>::as_slice));
}

/// The image's measurement, and another register filled with a byte.
fn expecting(index: u8, byte: u8) -> MeasurementSet {
    MeasurementSet::new(image()).with(PcrIndex::new(index).unwrap(), Pcr::new([byte; 48]))
}

fn accepting(sets: Vec<MeasurementSet>) -> Policy {
    Policy::new(anchor(&CHAIN), sets)
}

#[test]
fn any_measurement_is_said_not_to_be_checked() {
    let enclave = asked(|question| {
        question.policy = Policy::dangerous_any_measurement(anchor(&CHAIN));
    })
    .unwrap();
    assert_eq!(enclave.accepted_set(), None);
    let unchecked: Vec<_> =
        enclave.findings().iter().filter(|one| !one.is_checked()).map(|one| one.step()).collect();
    assert_eq!(unchecked, [aegis_verifier::Step::Pcrs]);
}
