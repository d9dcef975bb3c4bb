//! Steps `size`, `cose` and `signature`.

use aegis_dev_attester::forge::cbor;
use aegis_verifier::CborType;
use aegis_verifier::Error;
use aegis_verifier::error::CborError;
use aegis_verifier::error::CborFault;
use aegis_verifier::error::CoseError;
use aegis_verifier::error::SignatureError;
use aegis_verifier::error::SizeError;

use crate::support::CHAIN;
use crate::support::allowed;
use crate::support::defects;
use crate::support::document;
use crate::support::verify_bytes;

/// A fault in the CBOR of the structure.
macro_rules! cbor {
    ($error:pat) => {
        Error::Cose(CoseError::Cbor { fault: CborFault { error: $error, .. } })
    };
    ($found:ident instead of $expected:ident) => {
        cbor!(CborError::UnexpectedType { expected: CborType::$expected, found: CborType::$found })
    };
}

allowed! {
    valid_document: in_the_bytes(|_| {}),
    tag_18: after_signing(|signed| signed.tags = cbor::head(6, 18)),
    payload_map_of_indefinite_length: before_signing(|document| document.indefinite = true),
}

defects! {
    empty_document: in_the_bytes(Vec::clear) => Error::Size(SizeError::Empty),
    document_of_16385_bytes: in_the_bytes(|bytes| bytes.resize(16_385, 0))
        => Error::Size(SizeError::TooLarge { found_bytes: 16_385, max_bytes: 16_384 }),
    document_of_16384_bytes: in_the_bytes(|bytes| bytes.resize(16_384, 0))
        => Error::Cose(CoseError::TrailingBytes { .. }),

    tag_17: after_signing(|signed| signed.tags = cbor::head(6, 17))
        => Error::Cose(CoseError::UnexpectedTag { found: 17 }),
    tag_98_of_cose_sign: after_signing(|signed| signed.tags = cbor::head(6, 98))
        => Error::Cose(CoseError::UnexpectedTag { found: 98 }),
    tag_61_of_cwt: after_signing(|signed| {
        signed.tags = [cbor::head(6, 61), cbor::head(6, 18)].concat();
    }) => Error::Cose(CoseError::UnexpectedTag { found: 61 }),
    tag_55799_of_cbor: after_signing(|signed| signed.tags = cbor::head(6, 55_799))
        => Error::Cose(CoseError::UnexpectedTag { found: 55_799 }),
    tag_18_twice: after_signing(|signed| signed.tags = cbor::head(6, 18).repeat(2))
        => Error::Cose(CoseError::UnexpectedTag { found: 18 }),
    tag_18_in_nine_bytes: after_signing(|signed| signed.tags = cbor::longest_head(6, 18))
        => cbor!(CborError::NotShortestForm),

    array_of_three: after_signing(|signed| {
        signed.array_head = cbor::head(4, 3);
        signed.signature.clear();
    }) => Error::Cose(CoseError::ElementCount { found: 3 }),
    array_of_five: after_signing(|signed| {
        signed.array_head = cbor::head(4, 5);
        signed.trailing = cbor::NULL.to_vec();
    }) => Error::Cose(CoseError::ElementCount { found: 5 }),
    array_of_indefinite_length: after_signing(|signed| {
        signed.array_head = vec![0x9f];
        signed.trailing = vec![0xff];
    }) => cbor!(CborError::IndefiniteLength),
    array_head_in_nine_bytes: after_signing(|signed| signed.array_head = cbor::longest_head(4, 4))
        => cbor!(CborError::NotShortestForm),
    map_in_place_of_the_array: after_signing(|signed| signed.array_head = cbor::head(5, 2))
        => cbor!(Map instead of Array),
    reserved_head: after_signing(|signed| signed.array_head = vec![0x9c])
        => cbor!(CborError::ReservedHead),
    trailing_byte: after_signing(|signed| signed.trailing = vec![0])
        => Error::Cose(CoseError::TrailingBytes { count: 1 }),
    document_twice: in_the_bytes(|bytes| bytes.extend_from_within(..))
        => Error::Cose(CoseError::TrailingBytes { count: 4096.. }),

    algorithm_absent_in_empty_string: before_signing(|document| document.protected.clear())
        => Error::Cose(CoseError::AlgorithmAbsent),
    algorithm_absent_in_empty_map: before_signing(|document| document.protected = cbor::map(&[]))
        => Error::Cose(CoseError::AlgorithmAbsent),
    algorithm_es256: before_signing(|document| document.protected = header(-7))
        => Error::Cose(CoseError::AlgorithmNotEs384 { found: -7 }),
    algorithm_es512: before_signing(|document| document.protected = header(-36))
        => Error::Cose(CoseError::AlgorithmNotEs384 { found: -36 }),
    algorithm_eddsa: before_signing(|document| document.protected = header(-8))
        => Error::Cose(CoseError::AlgorithmNotEs384 { found: -8 }),
    algorithm_minus_one_of_emulated_enclaves: before_signing(|document| {
        document.protected = header(-1);
    }) => Error::Cose(CoseError::AlgorithmNotEs384 { found: -1 }),
    algorithm_35: before_signing(|document| document.protected = header(35))
        => Error::Cose(CoseError::AlgorithmNotEs384 { found: 35 }),
    algorithm_as_text: before_signing(|document| {
        document.protected = cbor::map(&[(cbor::integer(1), cbor::text("ES384"))]);
    }) => cbor!(Text instead of Unsigned),
    algorithm_beyond_64_bits: before_signing(|document| {
        document.protected = cbor::map(&[(cbor::integer(1), cbor::head(1, u64::MAX))]);
    }) => cbor!(CborError::IntegerTooLarge),
    algorithm_not_in_shortest_form: before_signing(|document| {
        document.protected = cbor::map(&[(cbor::integer(1), cbor::longest_head(1, 34))]);
    }) => cbor!(CborError::NotShortestForm),
    second_protected_parameter: before_signing(|document| {
        let key_id = (cbor::integer(4), cbor::bytes(b"kid"));
        document.protected = cbor::map(&[(cbor::integer(1), cbor::integer(-35)), key_id]);
    }) => Error::Cose(CoseError::ProtectedHeaderUnknown),
    algorithm_twice: before_signing(|document| {
        document.protected = cbor::map(&[1, 1].map(|n| (cbor::integer(n), cbor::integer(-35))));
    }) => Error::Cose(CoseError::ProtectedHeaderUnknown),
    another_protected_parameter: before_signing(|document| {
        document.protected = cbor::map(&[(cbor::integer(3), cbor::integer(-35))]);
    }) => Error::Cose(CoseError::ProtectedHeaderUnknown),
    byte_after_the_protected_header: before_signing(|document| document.protected.push(0))
        => Error::Cose(CoseError::ProtectedHeaderTrailingBytes { count: 1 }),
    protected_header_of_indefinite_length: before_signing(|document| {
        document.protected[0] = 0xbf;
        document.protected.push(0xff);
    }) => cbor!(CborError::IndefiniteLength),
    protected_header_without_its_string: after_signing(|signed| { signed.protected.remove(0); })
        => cbor!(Map instead of Bytes),

    key_id_unprotected: after_signing(|signed| {
        signed.unprotected = cbor::map(&[(cbor::integer(4), cbor::bytes(b"kid"))]);
    }) => Error::Cose(CoseError::UnprotectedHeaderNotEmpty { entries: 1 }),
    algorithm_unprotected: after_signing(|signed| signed.unprotected = header(-7))
        => Error::Cose(CoseError::UnprotectedHeaderNotEmpty { entries: 1 }),
    unprotected_header_null: after_signing(|signed| signed.unprotected = cbor::NULL.to_vec())
        => cbor!(Simple instead of Map),
    unprotected_header_of_indefinite_length: after_signing(|signed| {
        signed.unprotected = vec![0xbf, 0xff];
    }) => cbor!(CborError::IndefiniteLength),

    payload_detached: after_signing(|signed| signed.payload = cbor::NULL.to_vec())
        => Error::Cose(CoseError::PayloadDetached),
    payload_as_text: after_signing(|signed| signed.payload[0] |= 0x20)
        => cbor!(Text instead of Bytes),
    payload_in_chunks: after_signing(|signed| {
        signed.payload.insert(0, 0x5f);
        signed.payload.push(0xff);
    }) => cbor!(CborError::IndefiniteLength),
    payload_length_in_nine_bytes: after_signing(|signed| {
        let content = signed.payload.split_off(3);
        signed.payload = [cbor::longest_head(2, content.len() as u64), content].concat();
    }) => cbor!(CborError::NotShortestForm),
    payload_beyond_the_end: after_signing(|signed| signed.payload[1] = 0xff)
        => cbor!(CborError::Truncated),
    payload_of_2_to_the_63_bytes: after_signing(|signed| signed.payload = cbor::head(2, 1 << 63))
        => cbor!(CborError::Truncated),
    payload_of_2_to_the_64_bytes: after_signing(|signed| signed.payload = cbor::head(2, u64::MAX))
        => cbor!(CborError::Truncated),

    signature_of_95_bytes: after_signing(|signed| signed.signature = cbor::bytes(&[1; 95]))
        => Error::Cose(CoseError::SignatureLength { found_bytes: 95 }),
    signature_of_97_bytes: after_signing(|signed| signed.signature = cbor::bytes(&[1; 97]))
        => Error::Cose(CoseError::SignatureLength { found_bytes: 97 }),
    signature_of_64_bytes: after_signing(|signed| signed.signature = cbor::bytes(&[1; 64]))
        => Error::Cose(CoseError::SignatureLength { found_bytes: 64 }),
    signature_empty: after_signing(|signed| signed.signature = cbor::bytes(&[]))
        => Error::Cose(CoseError::SignatureLength { found_bytes: 0 }),
    signature_in_der: after_signing(|signed| {
        let signature = p384::ecdsa::Signature::from_slice(&signed.signature[2..]).unwrap();
        signed.signature = cbor::bytes(signature.to_der().as_bytes());
    }) => Error::Cose(CoseError::SignatureLength { found_bytes: 100..=104 }),
    signature_null: after_signing(|signed| signed.signature = cbor::NULL.to_vec())
        => cbor!(Simple instead of Bytes),

    signature_all_zero: after_signing(|signed| signed.signature = cbor::bytes(&[0; 96]))
        => Error::Signature(SignatureError::Invalid),
    signature_all_ones: after_signing(|signed| signed.signature = cbor::bytes(&[0xff; 96]))
        => Error::Signature(SignatureError::Invalid),
    signature_with_r_zero: after_signing(|signed| signed.signature[2..50].fill(0))
        => Error::Signature(SignatureError::Invalid),
    signature_with_s_zero: after_signing(|signed| signed.signature[50..].fill(0))
        => Error::Signature(SignatureError::Invalid),
    signature_with_r_and_s_swapped: after_signing(|signed| signed.signature[2..].rotate_left(48))
        => Error::Signature(SignatureError::Invalid),
    signature_of_another_document: after_signing(|signed| {
        let mut other = document(&CHAIN);
        other.set_nonce(Some(b"another nonce"));
        signed.signature = other.sign(&CHAIN).signature;
    }) => Error::Signature(SignatureError::Invalid),
    signature_over_the_payload_alone: after_signing(|signed| {
        signed.signature = cbor::bytes(&CHAIN.leaf().sign_es384(&signed.payload));
    }) => Error::Signature(SignatureError::Invalid),
    signature_in_the_context_of_a_mac: after_signing(|signed| {
        signed.signature = signature_over(signed, "MAC0", &[]);
    }) => Error::Signature(SignatureError::Invalid),
    signature_with_external_data: after_signing(|signed| {
        signed.signature = signature_over(signed, "Signature1", b"external");
    }) => Error::Signature(SignatureError::Invalid),
    payload_changed_after_signing: after_signing(|signed| {
        let at = signed.payload.len() - 1;
        signed.payload[at] ^= 1;
    }) => Error::Signature(SignatureError::Invalid),
}

/// The protected header with this algorithm.
fn header(algorithm: i64) -> Vec<u8> {
    cbor::map(&[(cbor::integer(1), cbor::integer(algorithm))])
}

fn signature_over(
    signed: &aegis_dev_attester::forge::SignedDocument,
    context: &str,
    external_data: &[u8],
) -> Vec<u8> {
    let (protected, payload) = (signed.protected.clone(), signed.payload.clone());
    let bytes = cbor::array(&[cbor::text(context), protected, cbor::bytes(external_data), payload]);
    cbor::bytes(&CHAIN.leaf().sign_es384(&bytes))
}

#[test]
fn signature_with_any_bit_flipped() {
    let signed = document(&CHAIN).sign(&CHAIN);
    for bit in 0..96 * 8 {
        let mut changed = signed.clone();
        changed.signature[2 + bit / 8] ^= 1 << (bit % 8);
        let error = verify_bytes(&changed.encode(), &CHAIN).unwrap_err();
        assert_eq!(error, Error::Signature(SignatureError::Invalid), "bit {bit}");
    }
}

#[test]
fn document_cut_anywhere() {
    let bytes = document(&CHAIN).sign(&CHAIN).encode();
    for length in 1..bytes.len() {
        let error = verify_bytes(&bytes[..length], &CHAIN).unwrap_err();
        assert!(matches!(error, cbor!(CborError::Truncated)), "{length} bytes: {error:?}");
    }
}

/// What QEMU's emulated Nitro Security Module makes: everything in place, nothing signed.
#[test]
fn document_of_an_emulated_enclave() {
    let mut unsigned = document(&CHAIN);
    unsigned.protected = header(-1);
    unsigned.set("certificate", cbor::bytes(&[0; 64]));
    unsigned.set("cabundle", cbor::array(&[cbor::bytes(&[0; 64])]));
    let mut signed = unsigned.sign(&CHAIN);
    signed.signature = cbor::bytes(&[0; 64]);
    let error = verify_bytes(&signed.encode(), &CHAIN).unwrap_err();
    assert_eq!(error, Error::Cose(CoseError::AlgorithmNotEs384 { found: -1 }));
}
