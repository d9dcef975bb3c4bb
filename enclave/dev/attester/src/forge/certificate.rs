//! One certificate: what it shall say, and the certificate with its key.

use p384::ecdsa::signature::Signer as _;
use p384::pkcs8::DecodePrivateKey;
use rcgen::KeyPair;
use rcgen::PublicKeyData;
use rcgen::SigningKey;
use sha2::Digest;
use sha2::Sha256;

use super::der;

/// Key usage bits: bit n of RFC 5280, section 4.2.1.3, is `1 << n`.
pub mod key_usage {
    /// May sign data.
    pub const DIGITAL_SIGNATURE: u16 = 1 << 0;
    /// May sign data that binds.
    pub const NON_REPUDIATION: u16 = 1 << 1;
    /// May encrypt keys.
    pub const KEY_ENCIPHERMENT: u16 = 1 << 2;
    /// May sign certificates.
    pub const KEY_CERT_SIGN: u16 = 1 << 5;
    /// May sign revocation lists.
    pub const CRL_SIGN: u16 = 1 << 6;
}

/// 2.5.4.x attribute types and their values, in order.
pub type Name = Vec<(u8, String)>;

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// As AWS has it.
    P384,
    /// Another curve.
    P256,
    /// No ECDSA.
    Ed25519,
    /// No curve.
    Rsa2048,
}

/// Whose key signs a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The one before it in the chain; the root signs itself.
    Issuer,
    /// A key that is in no certificate.
    Stranger,
}

/// An extension, in AWS's encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Basic constraints, critical.
    BasicConstraints {
        /// Whether it is a CA.
        ca: bool,
        /// How many CAs may stand between it and a leaf.
        path_length: Option<u8>,
    },
    /// Key usage.
    KeyUsage {
        /// See [`key_usage`].
        bits: u16,
        /// AWS: critical in CAs, not in leaves.
        critical: bool,
    },
    /// The name of the issuer's key.
    AuthorityKeyIdentifier,
    /// The name of its own key.
    SubjectKeyIdentifier,
    /// Any other, or one of these with a defect.
    Raw {
        /// The object identifier's content bytes.
        identifier: Vec<u8>,
        /// Whether it is critical.
        critical: bool,
        /// The content of its octet string.
        value: Vec<u8>,
    },
}

/// What a certificate shall say. Every field is a place for a defect.
#[derive(Clone, Debug)]
pub struct CertificateSpec {
    /// Version; 2 is v3.
    pub version: u8,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// Its own name.
    pub subject: Name,
    /// The issuer's name, if another than the issuer's subject.
    pub issuer: Option<Name>,
    /// The first second of its validity.
    pub not_before_secs: u64,
    /// The last second of its validity.
    pub not_after_secs: u64,
    /// The kind of its key.
    pub key: KeyKind,
    /// Extensions, in order.
    pub extensions: Vec<Extension>,
    /// Elements after the sequence of extensions, inside their tag.
    pub beside_extensions: Vec<u8>,
    /// Elements after the extensions, where nothing follows.
    pub after_extensions: Vec<u8>,
    /// Whose key signs it.
    pub signer: Signer,
    /// The algorithm named inside the signed part, if another than the one outside.
    pub inner_algorithm: Option<Vec<u8>>,
    /// Signs with SHA-256 instead of SHA-384; the issuer's key must be P-384.
    pub sha256: bool,
    /// A change to its bytes after signing.
    pub edit: Option<fn(&mut Vec<u8>)>,
}

/// A certificate and its key.
pub struct IssuedCertificate {
    der: Vec<u8>,
    subject: Name,
    key: KeyPair,
}

impl CertificateSpec {
    /// A certificate with nothing in it but names, a validity and a P-384 key.
    pub fn new(subject: Name, not_before_secs: u64, not_after_secs: u64) -> Self {
        Self {
            version: 2,
            serial: random_serial(),
            subject,
            issuer: None,
            not_before_secs,
            not_after_secs,
            key: KeyKind::P384,
            extensions: Vec::new(),
            beside_extensions: Vec::new(),
            after_extensions: Vec::new(),
            signer: Signer::Issuer,
            inner_algorithm: None,
            sha256: false,
            edit: None,
        }
    }

    /// Signs the certificate: by `issuer`, or by itself.
    pub fn issue(&self, issuer: Option<&IssuedCertificate>) -> IssuedCertificate {
        let key = generate(self.key);
        let stranger = (self.signer == Signer::Stranger).then(|| generate(KeyKind::P384));
        let issuer_key = issuer.map_or(&key, |issuer| &issuer.key);
        let signing_key = stranger.as_ref().unwrap_or(issuer_key);
        let issuer_name =
            self.issuer.as_ref().or(issuer.map(|issuer| &issuer.subject)).unwrap_or(&self.subject);

        let algorithm = algorithm_identifier(signing_key, self.sha256);
        let extensions: Vec<_> =
            self.extensions.iter().map(|one| one.encode(&key, issuer_key)).collect();
        let tbs = der::sequence(&[
            der::element(0xa0, &der::integer(&[self.version])),
            der::integer(&self.serial),
            self.inner_algorithm.clone().unwrap_or(algorithm.clone()),
            encode_name(issuer_name),
            der::sequence(&[der::time(self.not_before_secs), der::time(self.not_after_secs)]),
            encode_name(&self.subject),
            key.subject_public_key_info(),
            der::element(
                0xa3,
                &[der::sequence(&extensions), self.beside_extensions.clone()].concat(),
            ),
            self.after_extensions.clone(),
        ]);
        let signature = der::bit_string(&sign(signing_key, &tbs, self.sha256));
        let mut der = der::sequence(&[tbs, algorithm, signature]);
        if let Some(edit) = self.edit {
            edit(&mut der);
        }
        IssuedCertificate { der, subject: self.subject.clone(), key }
    }

    /// Replaces the key usage; with none, there is no such extension.
    pub fn set_key_usage(&mut self, bits: Option<u16>) {
        self.replace(
            |one| matches!(one, Extension::KeyUsage { .. }),
            bits.map(|bits| Extension::KeyUsage { bits, critical: true }),
        );
    }

    /// Replaces the basic constraints; with none, there is no such extension.
    pub fn set_basic_constraints(&mut self, constraints: Option<(bool, Option<u8>)>) {
        self.replace(
            |one| matches!(one, Extension::BasicConstraints { .. }),
            constraints.map(|(ca, path_length)| Extension::BasicConstraints { ca, path_length }),
        );
    }

    fn replace(&mut self, is_old: fn(&Extension) -> bool, new: Option<Extension>) {
        self.extensions.retain(|one| !is_old(one));
        self.extensions.extend(new);
    }
}

impl IssuedCertificate {
    /// A certificate from an earlier run with its key. None: the two do not belong together.
    pub(crate) fn restore(spec: CertificateSpec, der: &[u8], pkcs8: &[u8]) -> Option<Self> {
        let key = KeyPair::try_from(pkcs8).ok()?;
        let spki = key.subject_public_key_info();
        let holds_key = der.windows(spki.len()).any(|window| window == spki);
        holds_key.then_some(Self { der: der.to_vec(), subject: spec.subject, key })
    }

    /// The certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key as PKCS #8.
    pub(crate) fn key_pkcs8(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    /// ES384 by the certificate's key: r and s, 48 bytes each. With another kind of key, which
    /// cannot make one, 96 bytes that are no signature.
    pub fn sign_es384(&self, message: &[u8]) -> Vec<u8> {
        match p384::ecdsa::SigningKey::from_pkcs8_der(&self.key.serialize_der()) {
            Ok(key) => {
                let signature: p384::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Err(_) => vec![1; 96],
        }
    }
}

impl Extension {
    fn encode(&self, key: &KeyPair, issuer_key: &KeyPair) -> Vec<u8> {
        match self {
            Self::BasicConstraints { ca, path_length } => {
                let ca = if *ca { der::element(0x01, &[0xff]) } else { Vec::new() };
                let path_length = path_length.map_or(Vec::new(), |n| der::integer(&[n]));
                extension(&[0x55, 0x1d, 19], true, &der::sequence(&[ca, path_length]))
            }
            Self::KeyUsage { bits, critical } => {
                extension(&[0x55, 0x1d, 15], *critical, &der::named_bits(*bits))
            }
            Self::AuthorityKeyIdentifier => {
                let identifier = der::element(0x80, &key_identifier(issuer_key));
                extension(&[0x55, 0x1d, 35], false, &der::sequence(&[identifier]))
            }
            Self::SubjectKeyIdentifier => {
                extension(&[0x55, 0x1d, 14], false, &der::element(0x04, &key_identifier(key)))
            }
            Self::Raw { identifier, critical, value } => extension(identifier, *critical, value),
        }
    }
}

fn extension(identifier: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der::element(0x01, &[0xff]) } else { Vec::new() };
    der::sequence(&[der::element(0x06, identifier), critical, der::element(0x04, value)])
}

fn encode_name(name: &Name) -> Vec<u8> {
    let attribute = |(kind, value): &(u8, String)| {
        // Countries are PrintableString by definition, the rest UTF8String.
        let string_tag = if *kind == 6 { 0x13 } else { 0x0c };
        let identifier = der::element(0x06, &[0x55, 0x04, *kind]);
        let value = der::element(string_tag, value.as_bytes());
        der::element(0x31, &der::sequence(&[identifier, value]))
    };
    der::sequence(&name.iter().map(attribute).collect::<Vec<_>>())
}

/// Twenty bytes that name a key, as SubjectKeyIdentifier is customarily long.
fn key_identifier(key: &KeyPair) -> [u8; 20] {
    let mut identifier = [0; 20];
    identifier.copy_from_slice(&Sha256::digest(key.der_bytes())[..20]);
    identifier
}

fn generate(kind: KeyKind) -> KeyPair {
    let algorithm = match kind {
        KeyKind::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyKind::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
        KeyKind::Rsa2048 => &rcgen::PKCS_RSA_SHA384,
    };
    // Generation fails only where the operating system has no random numbers.
    KeyPair::generate_for(algorithm).expect("the system's random number generator works")
}

/// A serial number of 16 bytes. Not secret; taken from a fresh key for want of another source.
fn random_serial() -> Vec<u8> {
    let mut serial = Sha256::digest(generate(KeyKind::P256).der_bytes())[..16].to_vec();
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const RSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];

fn algorithm_identifier(key: &KeyPair, sha256: bool) -> Vec<u8> {
    let algorithm = key.algorithm();
    let (identifier, parameters) = if sha256 || algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 {
        (ECDSA_WITH_SHA256, Vec::new())
    } else if algorithm == &rcgen::PKCS_ECDSA_P384_SHA384 {
        (ECDSA_WITH_SHA384, Vec::new())
    } else if algorithm == &rcgen::PKCS_ED25519 {
        (ED25519, Vec::new())
    } else {
        (RSA_WITH_SHA384, der::element(0x05, &[]))
    };
    der::sequence(&[der::element(0x06, identifier), parameters])
}

fn sign(key: &KeyPair, message: &[u8], sha256: bool) -> Vec<u8> {
    use p384::ecdsa::signature::hazmat::PrehashSigner;
    if !sha256 {
        return key.sign(message).expect("a generated key signs");
    }
    let key = p384::ecdsa::SigningKey::from_pkcs8_der(&key.serialize_der())
        .expect("the signer of a certificate with SHA-256 has a P-384 key");
    let signature: p384::ecdsa::Signature =
        key.sign_prehash(&Sha256::digest(message)).expect("a hash of 32 bytes can be signed");
    signature.to_der().as_bytes().to_vec()
}
