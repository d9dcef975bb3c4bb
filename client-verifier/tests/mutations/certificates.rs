//! Step `chain`: what a single certificate may be.

use aegis_dev_attester::forge::CertificateSpec;
use aegis_dev_attester::forge::Extension;
use aegis_dev_attester::forge::KeyKind;
use aegis_dev_attester::forge::der;
use aegis_dev_attester::forge::key_usage::CRL_SIGN;
use aegis_dev_attester::forge::key_usage::DIGITAL_SIGNATURE;
use aegis_dev_attester::forge::key_usage::KEY_CERT_SIGN;
use aegis_dev_attester::forge::key_usage::KEY_ENCIPHERMENT;
use aegis_dev_attester::forge::key_usage::NON_REPUDIATION;
use aegis_verifier::Error;
use aegis_verifier::error::CertificatePosition::CaBundle;
use aegis_verifier::error::CertificatePosition::Leaf;
use aegis_verifier::error::ChainError;

use crate::support::allowed;
use crate::support::defects;

allowed! {
    leaf_with_digital_signature_alone: before_issuing(|chain| {
        chain.leaf_mut().set_key_usage(Some(DIGITAL_SIGNATURE));
    }),
    authority_with_revocation_lists: before_issuing(|chain| {
        chain.certificate_mut(3).set_key_usage(Some(KEY_CERT_SIGN | CRL_SIGN));
    }),
    authority_without_a_path_length: before_issuing(|chain| {
        chain.certificate_mut(2).set_basic_constraints(Some((true, None)));
    }),
    unknown_extension_that_is_not_critical: before_issuing(|chain| {
        chain.leaf_mut().extensions.push(private_extension(false));
    }),
    leaf_valid_beyond_2050: before_issuing(|chain| chain.leaf_mut().not_after_secs = 4_102_444_800),
}

defects! {
    leaf_key_on_p256: before_issuing(|chain| chain.leaf_mut().key = KeyKind::P256)
        => Error::Chain(ChainError::KeyNotP384 { at: Leaf }),
    leaf_key_ed25519: before_issuing(|chain| chain.leaf_mut().key = KeyKind::Ed25519)
        => Error::Chain(ChainError::KeyNotP384 { at: Leaf }),
    leaf_key_rsa: before_issuing(|chain| chain.leaf_mut().key = KeyKind::Rsa2048)
        => Error::Chain(ChainError::KeyNotP384 { at: Leaf }),
    authority_key_on_p256: before_issuing(|chain| chain.certificate_mut(3).key = KeyKind::P256)
        => Error::Chain(ChainError::KeyNotP384 { at: CaBundle(3) }),
    authority_key_ed25519: before_issuing(|chain| chain.certificate_mut(2).key = KeyKind::Ed25519)
        => Error::Chain(ChainError::KeyNotP384 { at: CaBundle(2) }),
    authority_key_rsa: before_issuing(|chain| chain.certificate_mut(1).key = KeyKind::Rsa2048)
        => Error::Chain(ChainError::KeyNotP384 { at: CaBundle(1) }),
    root_key_on_p256: before_issuing(|chain| chain.certificate_mut(0).key = KeyKind::P256)
        => Error::Chain(ChainError::KeyNotP384 { at: CaBundle(0) }),
    leaf_key_compressed: before_issuing(|chain| {
        chain.leaf_mut().edit = Some(|der| point_format(der, 2));
    }) => Error::Chain(ChainError::KeyNotP384 { at: Leaf }),
    leaf_key_in_hybrid_form: before_issuing(|chain| {
        chain.leaf_mut().edit = Some(|der| point_format(der, 6));
    }) => Error::Chain(ChainError::KeyNotP384 { at: Leaf }),
    leaf_signed_with_sha256: before_issuing(|chain| chain.leaf_mut().sha256 = true)
        => Error::Chain(ChainError::SignatureAlgorithmNotAllowed),
    authority_signed_with_sha256: before_issuing(|chain| chain.certificate_mut(1).sha256 = true)
        => Error::Chain(ChainError::SignatureAlgorithmNotAllowed),
    leaf_naming_two_signature_algorithms: before_issuing(|chain| {
        let ecdsa_with_sha512 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
        chain.leaf_mut().inner_algorithm =
            Some(der::sequence(&[der::element(0x06, &ecdsa_with_sha512)]));
    }) => Error::Chain(ChainError::SignatureAlgorithmMismatch),

    leaf_without_key_usage: before_issuing(|chain| chain.leaf_mut().set_key_usage(None))
        => Error::Chain(ChainError::KeyUsageMissing { at: Leaf }),
    authority_without_key_usage: before_issuing(|chain| {
        chain.certificate_mut(2).set_key_usage(None);
    }) => Error::Chain(ChainError::KeyUsageMissing { at: CaBundle(2) }),
    root_without_key_usage: before_issuing(|chain| chain.certificate_mut(0).set_key_usage(None))
        => Error::Chain(ChainError::KeyUsageMissing { at: CaBundle(0) }),
    leaf_without_digital_signature: before_issuing(|chain| {
        chain.leaf_mut().set_key_usage(Some(NON_REPUDIATION));
    }) => Error::Chain(ChainError::KeyUsageNotExact { at: Leaf, found: NON_REPUDIATION }),
    leaf_that_may_sign_certificates: before_issuing(|chain| {
        chain.leaf_mut().set_key_usage(Some(DIGITAL_SIGNATURE | KEY_CERT_SIGN));
    }) => Error::Chain(ChainError::KeyUsageNotExact { at: Leaf, found: 0b10_0001 }),
    leaf_that_may_encrypt_keys: before_issuing(|chain| {
        chain.leaf_mut().set_key_usage(Some(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT));
    }) => Error::Chain(ChainError::KeyUsageNotExact { at: Leaf, found: 0b101 }),
    leaf_with_a_usage_of_the_second_byte: before_issuing(|chain| {
        chain.leaf_mut().set_key_usage(Some(DIGITAL_SIGNATURE | 1 << 8));
    }) => Error::Chain(ChainError::KeyUsageNotExact { at: Leaf, found: 0x101 }),
    authority_that_may_not_sign_certificates: before_issuing(|chain| {
        chain.certificate_mut(3).set_key_usage(Some(CRL_SIGN));
    }) => Error::Chain(ChainError::KeyUsageNotExact { at: CaBundle(3), found: CRL_SIGN }),
    authority_that_may_encrypt_keys: before_issuing(|chain| {
        chain.certificate_mut(1).set_key_usage(Some(KEY_CERT_SIGN | KEY_ENCIPHERMENT));
    }) => Error::Chain(ChainError::KeyUsageNotExact { at: CaBundle(1), found: 0b10_0100 }),
    root_that_may_not_sign_certificates: before_issuing(|chain| {
        chain.certificate_mut(0).set_key_usage(Some(DIGITAL_SIGNATURE));
    }) => Error::Chain(ChainError::KeyUsageNotExact { at: CaBundle(0), found: DIGITAL_SIGNATURE }),
    key_usage_twice: before_issuing(|chain| {
        let usage = Extension::KeyUsage { bits: DIGITAL_SIGNATURE, critical: true };
        chain.leaf_mut().extensions.push(usage);
    }) => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    key_usage_without_a_bit: before_issuing(|chain| chain.leaf_mut().set_key_usage(Some(0)))
        => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    extended_key_usage_on_the_leaf: before_issuing(|chain| {
        chain.leaf_mut().extensions.push(extended_key_usage());
    }) => Error::Chain(ChainError::ExtendedKeyUsagePresent { at: Leaf }),
    extended_key_usage_on_an_authority: before_issuing(|chain| {
        chain.certificate_mut(2).extensions.push(extended_key_usage());
    }) => Error::Chain(ChainError::ExtendedKeyUsagePresent { at: CaBundle(2) }),

    leaf_that_is_an_authority: before_issuing(|chain| {
        chain.leaf_mut().set_basic_constraints(Some((true, None)));
    }) => Error::Chain(ChainError::LeafIsCa),
    intermediate_that_is_no_authority: before_issuing(|chain| {
        chain.certificate_mut(3).set_basic_constraints(Some((false, None)));
    }) => Error::Chain(ChainError::IntermediateNotCa),
    intermediate_without_basic_constraints: before_issuing(|chain| {
        chain.certificate_mut(1).set_basic_constraints(None);
    }) => Error::Chain(ChainError::IntermediateNotCa),
    root_that_is_no_authority: before_issuing(|chain| {
        chain.certificate_mut(0).set_basic_constraints(Some((false, None)));
    }) => Error::Chain(ChainError::RootNotCa),
    root_without_basic_constraints: before_issuing(|chain| {
        chain.certificate_mut(0).set_basic_constraints(None);
    }) => Error::Chain(ChainError::RootNotCa),
    root_with_fewer_authorities_allowed_than_there_are: before_issuing(|chain| {
        chain.certificate_mut(0).set_basic_constraints(Some((true, Some(2))));
    }) => Error::Chain(ChainError::PathLengthExceeded),
    basic_constraints_twice: before_issuing(|chain| {
        let constraints = Extension::BasicConstraints { ca: true, path_length: None };
        chain.certificate_mut(2).extensions.push(constraints);
    }) => Error::Chain(ChainError::CertificateMalformed { at: CaBundle(2) }),
    basic_constraints_with_something_beside: before_issuing(|chain| {
        chain.certificate_mut(0).extensions[0] = raw_constraints(&[&[1, 1, 0xff], &[5, 0]]);
    }) => Error::Chain(ChainError::CertificateMalformed { at: CaBundle(0) }),
    basic_constraints_with_something_after_the_path_length: before_issuing(|chain| {
        chain.certificate_mut(0).extensions[0] = raw_constraints(&[&[1, 1, 0xff], &[2, 1, 9, 5, 0]]);
    }) => Error::Chain(ChainError::CertificateMalformed { at: CaBundle(0) }),
    path_length_below_zero: before_issuing(|chain| {
        chain.certificate_mut(0).extensions[0] = raw_constraints(&[&[1, 1, 0xff], &[2, 1, 0xff]]);
    }) => Error::Chain(ChainError::CertificateMalformed { at: CaBundle(0) }),
    path_length_0_with_two_authorities_below: before_issuing(|chain| {
        chain.certificate_mut(1).set_basic_constraints(Some((true, Some(0))));
    }) => Error::Chain(ChainError::PathLengthExceeded),
    path_length_0_with_one_authority_below: before_issuing(|chain| {
        chain.certificate_mut(2).set_basic_constraints(Some((true, Some(0))));
    }) => Error::Chain(ChainError::PathLengthExceeded),
    authority_below_the_instance_s: before_issuing(|chain| {
        let mut extra = chain.certificates[3].clone();
        extra.subject.last_mut().unwrap().1.push('x');
        chain.certificates.insert(4, extra);
    }) => Error::Chain(ChainError::PathLengthExceeded),

    unknown_critical_extension_on_the_leaf: before_issuing(|chain| {
        chain.leaf_mut().extensions.push(private_extension(true));
    }) => Error::Chain(ChainError::UnknownCriticalExtension),
    unknown_critical_extension_on_an_authority: before_issuing(|chain| {
        chain.certificate_mut(2).extensions.push(private_extension(true));
    }) => Error::Chain(ChainError::UnknownCriticalExtension),
    name_that_an_authority_excludes: before_issuing(|chain| {
        chain.certificate_mut(3).extensions.push(excluded_domain());
        chain.leaf_mut().extensions.push(alternative_name());
    }) => Error::Chain(ChainError::NameConstraintViolated),

    serial_number_of_21_bytes: before_issuing(|chain| chain.leaf_mut().serial = vec![1; 21])
        => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    serial_number_zero: before_issuing(|chain| chain.certificate_mut(1).serial = vec![0])
        => Error::Chain(ChainError::CertificateMalformed { at: CaBundle(1) }),
    serial_number_negative: before_issuing(|chain| {
        // After a version of 2 stands the serial number: its length, and its first byte.
        chain.leaf_mut().edit = Some(|der| {
            let at = der.windows(4).position(|at| at == [0x02, 0x01, 0x02, 0x02]).unwrap();
            der[at + 5] |= 0x80;
        });
    }) => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    key_identifier_twice: before_issuing(|chain| {
        chain.certificate_mut(2).extensions.push(Extension::SubjectKeyIdentifier);
    }) => Error::Chain(ChainError::CertificateMalformed { at: CaBundle(2) }),
    critical_by_another_byte_than_der_s: before_issuing(|chain| {
        chain.certificate_mut(2).edit = Some(|der| {
            let at = der.windows(6).position(|at| at == [0x55, 0x1d, 15, 0x01, 0x01, 0xff]);
            der[at.unwrap() + 5] = 0x01;
        });
    }) => Error::Chain(ChainError::Refused),

    leaf_of_version_1: before_issuing(|chain| chain.leaf_mut().version = 0)
        => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    authority_of_version_2: before_issuing(|chain| chain.certificate_mut(1).version = 1)
        => Error::Chain(ChainError::CertificateMalformed { at: CaBundle(1) }),
    byte_after_the_leaf: before_issuing(|chain| chain.leaf_mut().edit = Some(|der| der.push(0)))
        => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    byte_after_an_authority: before_issuing(|chain| {
        chain.certificate_mut(3).edit = Some(|der| der.push(0));
    }) => Error::Chain(ChainError::CertificateMalformed { at: CaBundle(3) }),
    element_beside_the_extensions: before_issuing(|chain| {
        chain.leaf_mut().beside_extensions = der::integer(&[1]);
    }) => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    element_after_the_extensions: before_issuing(|chain| {
        chain.leaf_mut().after_extensions = der::integer(&[1]);
    }) => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    leaf_cut: before_issuing(|chain| chain.leaf_mut().edit = Some(|der| der.truncate(300)))
        => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    leaf_of_nothing_but_a_head: before_issuing(|chain| {
        chain.leaf_mut().edit = Some(|der| der.truncate(4));
    }) => Error::Chain(ChainError::CertificateMalformed { at: Leaf }),
    leaf_without_extensions: before_issuing(|chain| chain.leaf_mut().extensions.clear())
        => Error::Chain(ChainError::KeyUsageMissing { at: Leaf }),
    authority_replaced_by_noise: in_the_bundle(|bundle| bundle[2] = vec![0xa5; 700])
        => Error::Chain(ChainError::CertificateMalformed { at: CaBundle(2) }),
}

/// Changes the first byte of the key's point: 4 is uncompressed.
fn point_format(der: &mut [u8], format: u8) {
    // The bit string with the point: 98 bytes, none of its bits unused, uncompressed.
    let at = der.windows(4).position(|window| window == [0x03, 0x62, 0x00, 0x04]).unwrap();
    der[at + 3] = format;
}

/// Basic constraints of these elements.
fn raw_constraints(elements: &[&[u8]]) -> Extension {
    let value = der::sequence(&[elements.concat()]);
    Extension::Raw { identifier: vec![0x55, 0x1d, 19], critical: true, value }
}

/// An extension below the arc of private enterprises.
fn private_extension(critical: bool) -> Extension {
    let identifier = vec![0x2b, 0x06, 0x01, 0x04, 0x01, 0x86, 0x8d, 0x1f, 0x01];
    Extension::Raw { identifier, critical, value: der::element(0x05, &[]) }
}

/// clientAuth.
fn extended_key_usage() -> Extension {
    let client_auth = der::element(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02]);
    let value = der::sequence(&[client_auth]);
    Extension::Raw { identifier: vec![0x55, 0x1d, 37], critical: false, value }
}

/// Name constraints that exclude every name below example.invalid.
fn excluded_domain() -> Extension {
    let subtree = der::sequence(&[der::element(0x82, b"example.invalid")]);
    let value = der::sequence(&[der::element(0xa1, &subtree)]);
    Extension::Raw { identifier: vec![0x55, 0x1d, 30], critical: true, value }
}

/// A name below example.invalid.
fn alternative_name() -> Extension {
    let value = der::sequence(&[der::element(0x82, b"leaf.example.invalid")]);
    Extension::Raw { identifier: vec![0x55, 0x1d, 17], critical: false, value }
}

/// The specification that all these are changes of is that of a valid chain.
#[test]
fn certificates_have_the_profile_of_aws_s() {
    let spec = aegis_dev_attester::forge::ChainSpec::like_aws(crate::support::NOW_SECS);
    let usages: Vec<_> = spec.certificates.iter().map(key_usage_of).collect();
    let authority = DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN;
    let leaf = DIGITAL_SIGNATURE | NON_REPUDIATION;
    assert_eq!(
        usages,
        [
            Some((authority, true)),
            Some((authority, true)),
            Some((authority, true)),
            Some((KEY_CERT_SIGN, true)),
            Some((leaf, false)),
        ]
    );
}

fn key_usage_of(spec: &CertificateSpec) -> Option<(u16, bool)> {
    spec.extensions.iter().find_map(|one| match one {
        Extension::KeyUsage { bits, critical } => Some((*bits, *critical)),
        _ => None,
    })
}
