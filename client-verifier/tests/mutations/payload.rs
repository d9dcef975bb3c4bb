//! Step `payload`, but for its registers.

use aegis_dev_attester::forge::DocumentSpec;
use aegis_dev_attester::forge::cbor;
use aegis_verifier::CborType;
use aegis_verifier::Error;
use aegis_verifier::error::CborError;
use aegis_verifier::error::CborFault;
use aegis_verifier::error::ChainError;
use aegis_verifier::error::FieldError;
use aegis_verifier::error::Key;
use aegis_verifier::error::PayloadError;

use crate::support::allowed;
use crate::support::before_signing;
use crate::support::defects;

/// A fault in the CBOR of the payload.
macro_rules! cbor {
    ($error:pat) => {
        Error::Payload(PayloadError::Cbor { fault: CborFault { error: $error, .. } })
    };
    ($found:ident instead of $expected:ident) => {
        cbor!(CborError::UnexpectedType { expected: CborType::$expected, found: CborType::$found })
    };
}

allowed! {
    module_id_of_128_bytes: before_signing(|document| document.set_module_id(&"m".repeat(128))),
    keys_in_another_order: before_signing(|document| document.entries.reverse()),
}

defects! {
    payload_empty: before_signing(|document| document.edit_payload = Some(Vec::clear))
        => cbor!(CborError::Truncated),
    payload_of_ten_thousand_nested_arrays: before_signing(|document| {
        document.edit_payload = Some(|payload| *payload = vec![0x81; 10_000]);
    }) => cbor!(Array instead of Map),
    payload_of_ten_thousand_nested_tags: before_signing(|document| {
        document.edit_payload = Some(|payload| *payload = vec![0xc1; 10_000]);
    }) => cbor!(Tag instead of Map),
    map_of_2_to_the_64_entries: before_signing(|document| {
        document.edit_payload = Some(|payload| {
            payload.splice(..1, cbor::head(5, u64::MAX));
        });
    }) => cbor!(CborError::Truncated),
    map_with_an_entry_less_than_it_says: before_signing(|document| {
        document.edit_payload = Some(|payload| payload[0] = 0xaa);
    }) => cbor!(CborError::Truncated),
    map_with_an_entry_more_than_it_says: before_signing(|document| {
        document.edit_payload = Some(|payload| payload[0] = 0xa8);
    }) => Error::Payload(PayloadError::TrailingBytes { .. }),
    map_of_indefinite_length_without_an_end: before_signing(|document| {
        document.indefinite = true;
        document.edit_payload = Some(|payload| { payload.pop(); });
    }) => cbor!(CborError::Truncated),
    map_of_definite_length_with_an_end: before_signing(|document| {
        document.edit_payload = Some(|payload| payload.push(0xff));
    }) => Error::Payload(PayloadError::TrailingBytes { count: 1 }),
    map_head_in_nine_bytes: before_signing(|document| {
        document.edit_payload = Some(|payload| {
            payload.splice(..1, cbor::longest_head(5, 9));
        });
    }) => cbor!(CborError::NotShortestForm),
    byte_after_the_map: before_signing(|document| {
        document.edit_payload = Some(|payload| payload.push(0));
    }) => Error::Payload(PayloadError::TrailingBytes { count: 1 }),
    tag_before_the_map: before_signing(|document| {
        document.edit_payload = Some(|payload| payload.insert(0, 0xc1));
    }) => cbor!(Tag instead of Map),

    unknown_key: before_signing(|document| document.set("extra", cbor::NULL.to_vec()))
        => Error::Payload(PayloadError::UnknownKey { .. }),
    unknown_key_in_place_of_an_optional_one: before_signing(|document| {
        document.entries[8].0 = cbor::text("Nonce");
    }) => Error::Payload(PayloadError::UnknownKey { .. }),
    key_as_bytes: before_signing(|document| document.entries[0].0 = cbor::bytes(b"module_id"))
        => cbor!(Bytes instead of Text),
    key_as_number: before_signing(|document| document.entries[0].0 = cbor::unsigned(1))
        => cbor!(Unsigned instead of Text),
    key_length_in_nine_bytes: before_signing(|document| {
        document.entries[0].0 = [&cbor::longest_head(3, 9)[..], b"module_id"].concat();
    }) => cbor!(CborError::NotShortestForm),
    key_in_chunks: before_signing(|document| {
        document.entries[0].0 = [&[0x7f], &cbor::text("module_id")[..], &[0xff]].concat();
    }) => cbor!(CborError::IndefiniteLength),

    module_id_empty: before_signing(|document| document.set_module_id(""))
        => Error::Payload(PayloadError::ModuleIdLength { found_bytes: 0 }),
    module_id_of_129_bytes: before_signing(|document| document.set_module_id(&"m".repeat(129)))
        => Error::Payload(PayloadError::ModuleIdLength { found_bytes: 129 }),
    module_id_with_an_escape_sequence: before_signing(|document| {
        document.set_module_id("i-\x1b[2J");
    }) => Error::Payload(PayloadError::ModuleIdNotPrintable),
    module_id_with_a_space: before_signing(|document| document.set_module_id("i-0 enc"))
        => Error::Payload(PayloadError::ModuleIdNotPrintable),
    module_id_not_ascii: before_signing(|document| document.set_module_id("i-é"))
        => Error::Payload(PayloadError::ModuleIdNotPrintable),
    module_id_not_utf8: before_signing(|document| document.set("module_id", vec![0x61, 0xff]))
        => cbor!(CborError::TextNotUtf8),
    module_id_as_bytes: before_signing(|document| document.set("module_id", cbor::bytes(b"i-0")))
        => cbor!(Bytes instead of Text),

    digest_sha256: before_signing(|document| document.set("digest", cbor::text("SHA256")))
        => Error::Payload(PayloadError::DigestNotSha384),
    digest_sha512: before_signing(|document| document.set("digest", cbor::text("SHA512")))
        => Error::Payload(PayloadError::DigestNotSha384),
    digest_in_lower_case: before_signing(|document| document.set("digest", cbor::text("sha384")))
        => Error::Payload(PayloadError::DigestNotSha384),
    digest_empty: before_signing(|document| document.set("digest", cbor::text("")))
        => Error::Payload(PayloadError::DigestNotSha384),
    digest_as_bytes: before_signing(|document| document.set("digest", cbor::bytes(b"SHA384")))
        => cbor!(Bytes instead of Text),

    timestamp_zero: before_signing(|document| document.set("timestamp", cbor::unsigned(0)))
        => Error::Payload(PayloadError::TimestampZero),
    timestamp_negative: before_signing(|document| document.set("timestamp", cbor::integer(-1)))
        => cbor!(Negative instead of Unsigned),
    timestamp_as_text: before_signing(|document| document.set("timestamp", cbor::text("now")))
        => cbor!(Text instead of Unsigned),
    timestamp_as_float: before_signing(|document| document.set("timestamp", vec![0xf9, 0x3c, 0x00]))
        => cbor!(Simple instead of Unsigned),
    timestamp_with_a_tag: before_signing(|document| {
        document.set("timestamp", [&[0xc1], &cbor::unsigned(1)[..]].concat());
    }) => cbor!(Tag instead of Unsigned),
    timestamp_not_in_shortest_form: before_signing(|document| {
        document.set("timestamp", cbor::longest_head(0, 1));
    }) => cbor!(CborError::NotShortestForm),

    certificate_empty: before_signing(|document| document.set("certificate", cbor::bytes(&[])))
        => Error::Payload(PayloadError::CertificateLength { found_bytes: 0 }),
    certificate_of_1025_bytes: before_signing(|document| {
        document.set("certificate", cbor::bytes(&[0x30; 1025]));
    }) => Error::Payload(PayloadError::CertificateLength { found_bytes: 1025 }),
    certificate_as_text: before_signing(|document| document.set("certificate", cbor::text("PEM")))
        => cbor!(Text instead of Bytes),

    certificate_of_1024_bytes: before_signing(|document| {
        document.set("certificate", cbor::bytes(&[0x30; 1024]));
    }) => Error::Chain(ChainError::CertificateMalformed { .. }),
    cabundle_of_seven: before_signing(|document| set_cabundle(document, &[&[0x30][..]; 7]))
        => Error::Chain(ChainError::UntrustedRoot { .. }),
    cabundle_with_an_entry_of_1024_bytes: before_signing(|document| {
        set_cabundle(document, &[&[0x30; 1024]]);
    }) => Error::Chain(ChainError::UntrustedRoot { .. }),
    nonce_of_1024_bytes: before_signing(|document| document.set_nonce(Some(&[1; 1024])))
        => Error::Nonce(FieldError::Different { .. }),
    public_key_of_1_byte: before_signing(|document| document.set_public_key(Some(&[1])))
        => Error::PublicKey(FieldError::Different { .. }),

    cabundle_empty: before_signing(|document| document.set("cabundle", cbor::array(&[])))
        => Error::Payload(PayloadError::CaBundleCount { found: 0 }),
    cabundle_of_eight: before_signing(|document| set_cabundle(document, &[&[0x30][..]; 8]))
        => Error::Payload(PayloadError::CaBundleCount { found: 8 }),
    cabundle_of_2_to_the_64: before_signing(|document| {
        document.set("cabundle", cbor::head(4, u64::MAX));
    }) => Error::Payload(PayloadError::CaBundleCount { found: u64::MAX }),
    cabundle_of_indefinite_length: before_signing(|document| {
        document.set("cabundle", vec![0x9f, 0x41, 0x30, 0xff]);
    }) => cbor!(CborError::IndefiniteLength),
    cabundle_not_an_array: before_signing(|document| document.set("cabundle", cbor::bytes(&[0x30])))
        => cbor!(Bytes instead of Array),
    cabundle_with_an_empty_entry: before_signing(|document| set_cabundle(document, &[&[0x30], &[]]))
        => Error::Payload(PayloadError::CaBundleEntryLength { entry: 1, found_bytes: 0 }),
    cabundle_with_an_entry_of_1025_bytes: before_signing(|document| {
        set_cabundle(document, &[&[0x30; 1025]]);
    }) => Error::Payload(PayloadError::CaBundleEntryLength { entry: 0, found_bytes: 1025 }),
    cabundle_with_a_null: before_signing(|document| {
        document.set("cabundle", cbor::array(&[cbor::NULL.to_vec()]));
    }) => cbor!(Simple instead of Bytes),

    public_key_empty: before_signing(|document| document.set_public_key(Some(&[])))
        => Error::Payload(PayloadError::FieldLength { key: Key::PublicKey, found_bytes: 0 }),
    public_key_of_1025_bytes: before_signing(|document| document.set_public_key(Some(&[1; 1025])))
        => Error::Payload(PayloadError::FieldLength { key: Key::PublicKey, found_bytes: 1025 }),
    public_key_as_text: before_signing(|document| document.set("public_key", cbor::text("key")))
        => cbor!(Text instead of Bytes),
    public_key_undefined: before_signing(|document| document.set("public_key", vec![0xf7]))
        => cbor!(Simple instead of Bytes),
    user_data_of_1025_bytes: before_signing(|document| document.set_user_data(Some(&[1; 1025])))
        => Error::Payload(PayloadError::FieldLength { key: Key::UserData, found_bytes: 1025 }),
    user_data_of_nested_arrays: before_signing(|document| {
        document.set("user_data", vec![0x81; 1000]);
    }) => cbor!(Array instead of Bytes),
    user_data_in_chunks: before_signing(|document| {
        document.set("user_data", vec![0x5f, 0x41, 1, 0xff]);
    }) => cbor!(CborError::IndefiniteLength),
    nonce_of_1025_bytes: before_signing(|document| document.set_nonce(Some(&[1; 1025])))
        => Error::Payload(PayloadError::FieldLength { key: Key::Nonce, found_bytes: 1025 }),
    nonce_as_number: before_signing(|document| document.set("nonce", cbor::unsigned(7)))
        => cbor!(Unsigned instead of Bytes),
    nonce_false: before_signing(|document| document.set("nonce", vec![0xf4]))
        => cbor!(Simple instead of Bytes),
}

fn set_cabundle(document: &mut DocumentSpec, entries: &[&[u8]]) {
    let entries: Vec<_> = entries.iter().map(|entry| cbor::bytes(entry)).collect();
    document.set("cabundle", cbor::array(&entries));
}

/// One test for each key and each of the ways to spoil any key.
macro_rules! for_each_mandatory_key {
    ($($key:ident $index:literal: $missing:ident $null:ident $twice:ident;)*) => {$(
        defects! {
            $missing: before_signing(|document| { document.entries.remove($index); })
                => Error::Payload(PayloadError::MissingKey { key: Key::$key }),
            $null: before_signing(|document| document.entries[$index].1 = cbor::NULL.to_vec())
                => Error::Payload(PayloadError::NullKey { key: Key::$key }),
            $twice: before_signing(|document| {
                document.entries.push(document.entries[$index].clone());
            }) => Error::Payload(PayloadError::DuplicateKey { key: Key::$key }),
        }
    )*};
}

for_each_mandatory_key! {
    ModuleId 0: module_id_missing module_id_null module_id_twice;
    Digest 1: digest_missing digest_null digest_twice;
    Timestamp 2: timestamp_missing timestamp_null timestamp_twice;
    Pcrs 3: pcrs_missing pcrs_null pcrs_twice;
    Certificate 4: certificate_missing certificate_null certificate_twice;
    CaBundle 5: cabundle_missing cabundle_null cabundle_twice;
}

defects! {
    public_key_twice: before_signing(|document| document.entries.push(document.entries[6].clone()))
        => Error::Payload(PayloadError::DuplicateKey { key: Key::PublicKey }),
    user_data_twice: before_signing(|document| document.entries.push(document.entries[7].clone()))
        => Error::Payload(PayloadError::DuplicateKey { key: Key::UserData }),
    nonce_twice: before_signing(|document| document.entries.push(document.entries[8].clone()))
        => Error::Payload(PayloadError::DuplicateKey { key: Key::Nonce }),
    nonce_null_and_then_given: before_signing(|document| {
        document.entries.insert(0, (cbor::text("nonce"), cbor::NULL.to_vec()));
    }) => Error::Payload(PayloadError::DuplicateKey { key: Key::Nonce }),
}

/// The three optional keys may be null or absent: then they are absent to the challenge too.
#[test]
fn optional_keys_absent_read_as_null_ones() {
    let absent = before_signing(|document| document.remove("nonce")).unwrap_err();
    let null = before_signing(|document| document.set_nonce(None)).unwrap_err();
    assert_eq!(absent, Error::Nonce(FieldError::Absent));
    assert_eq!(null, absent);
}
