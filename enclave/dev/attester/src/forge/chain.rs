//! A chain of five, in the profile of AWS's: root, regional, zonal and instance CA, leaf.

use std::ops::RangeInclusive;

use sha2::Digest;
use sha2::Sha256;

use super::certificate::CertificateSpec;
use super::certificate::Extension;
use super::certificate::IssuedCertificate;
use super::certificate::Name;
use super::certificate::key_usage;

/// Attribute types below 2.5.4.
const COMMON_NAME: u8 = 3;
const COUNTRY: u8 = 6;
const LOCALITY: u8 = 7;
const STATE: u8 = 8;
const ORGANIZATION: u8 = 10;
const UNIT: u8 = 11;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// When the root is valid, seconds since the epoch: 2024-01-01 to 2049-12-31T23:59:59Z. Fixed, so
/// that tests may choose any time in it.
pub const ROOT_VALIDITY_SECS: RangeInclusive<u64> = 1_704_067_200..=2_524_607_999;

/// What the five certificates shall say.
#[derive(Clone, Debug)]
pub struct ChainSpec {
    /// From the root to the leaf.
    pub certificates: Vec<CertificateSpec>,
    module_id: String,
}

/// Five certificates and the leaf's key.
pub struct IssuedChain {
    /// DER, from the root to the leaf's issuer: the `cabundle` of a document.
    pub cabundle: Vec<Vec<u8>>,
    leaf: IssuedCertificate,
}

impl CertificateSpec {
    /// The root of a development chain.
    pub fn development_root() -> Self {
        let mut root = Self::new(
            short_name("aegis-development-root"),
            *ROOT_VALIDITY_SECS.start(),
            *ROOT_VALIDITY_SECS.end(),
        );
        root.extensions = vec![
            Extension::BasicConstraints { ca: true, path_length: None },
            Extension::SubjectKeyIdentifier,
            ca_usage(),
        ];
        root
    }
}

impl ChainSpec {
    /// A chain as AWS issues it, its leaf fresh at `now_secs`, a time in [`ROOT_VALIDITY_SECS`].
    pub fn like_aws(now_secs: u64) -> Self {
        let root = CertificateSpec::development_root();
        let label = hex(&root.serial[..8]);
        let instance_id = format!("i-{}0", hex(&root.serial[8..]));

        // Periods and path lengths are those of published documents.
        let mut regional = authority(short_name(&format!("{label}.local-1.aegis-development")), 2);
        (regional.not_before_secs, regional.not_after_secs) =
            (now_secs - 4 * DAY, now_secs + 16 * DAY + HOUR);
        let zonal_name = long_name(&format!("{label}.zonal.local-1.aegis-development"), "WA");
        let mut zonal = authority(zonal_name.into_iter().rev().collect(), 1);
        (zonal.not_before_secs, zonal.not_after_secs) =
            (now_secs - 3 * HOUR, now_secs + 5 * DAY + 13 * HOUR);
        let instance_name =
            long_name(&format!("{instance_id}.local-1.aegis-development"), "Washington");
        let mut instance =
            CertificateSpec::new(instance_name, now_secs - 3 * MINUTE, now_secs - 3 * MINUTE + DAY);
        instance.extensions = vec![
            Extension::BasicConstraints { ca: true, path_length: Some(0) },
            Extension::KeyUsage { bits: key_usage::KEY_CERT_SIGN, critical: true },
            Extension::SubjectKeyIdentifier,
            Extension::AuthorityKeyIdentifier,
        ];

        // The serial number is made of the enclave's number, four zeros, and the time.
        let enclave = &instance.serial[..8];
        let module_id = format!("{instance_id}-enc{}", hex(enclave));
        let now_bytes = now_secs.to_be_bytes();
        let serial = [enclave, &[0; 4], &now_bytes[4..]].concat();
        let leaf_name = long_name(&format!("{module_id}.local-1.aegis"), "Washington");
        let mut leaf = CertificateSpec::new(leaf_name, now_secs - 3, now_secs + 3 * HOUR);
        leaf.serial = serial;
        leaf.extensions = vec![
            Extension::BasicConstraints { ca: false, path_length: None },
            Extension::KeyUsage {
                bits: key_usage::DIGITAL_SIGNATURE | key_usage::NON_REPUDIATION,
                critical: false,
            },
        ];
        Self { certificates: vec![root, regional, zonal, instance, leaf], module_id }
    }

    /// The certificate at `index`, the root being 0.
    pub fn certificate_mut(&mut self, index: usize) -> &mut CertificateSpec {
        &mut self.certificates[index]
    }

    /// The last certificate.
    pub fn leaf(&self) -> &CertificateSpec {
        self.certificates.last().expect("a chain has a leaf")
    }

    /// The last certificate.
    pub fn leaf_mut(&mut self) -> &mut CertificateSpec {
        self.certificates.last_mut().expect("a chain has a leaf")
    }

    /// The name of the module that the leaf is for.
    pub fn module_id(&self) -> &str {
        &self.module_id
    }

    /// Issues all certificates, with new keys.
    pub fn issue(&self) -> IssuedChain {
        self.issue_under(&self.certificates[0].issue(None))
    }

    /// Issues the certificates after the first one under `root`.
    pub fn issue_under(&self, root: &IssuedCertificate) -> IssuedChain {
        let mut cabundle = vec![root.der().to_vec()];
        let mut issued: Option<IssuedCertificate> = None;
        for spec in &self.certificates[1..] {
            if let Some(authority) = &issued {
                cabundle.push(authority.der().to_vec());
            }
            issued = Some(spec.issue(Some(issued.as_ref().unwrap_or(root))));
        }
        IssuedChain { cabundle, leaf: issued.expect("a chain has a certificate below its root") }
    }
}

impl IssuedChain {
    /// SHA-256 of the root.
    pub fn root_fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.cabundle[0]).into()
    }

    /// The leaf.
    pub fn leaf(&self) -> &IssuedCertificate {
        &self.leaf
    }
}

fn authority(subject: Name, path_length: u8) -> CertificateSpec {
    let mut spec = CertificateSpec::new(subject, 0, 0);
    spec.extensions = vec![
        Extension::BasicConstraints { ca: true, path_length: Some(path_length) },
        Extension::AuthorityKeyIdentifier,
        Extension::SubjectKeyIdentifier,
        ca_usage(),
        crl_distribution_point(),
    ];
    spec
}

fn ca_usage() -> Extension {
    let bits = key_usage::DIGITAL_SIGNATURE | key_usage::KEY_CERT_SIGN | key_usage::CRL_SIGN;
    Extension::KeyUsage { bits, critical: true }
}

/// AWS's name a revocation list; this one names a host that cannot exist.
fn crl_distribution_point() -> Extension {
    use super::der::element;
    use super::der::sequence;
    let uri = element(0x86, b"http://crl.aegis-development.invalid/none.crl");
    let full_name = element(0xa0, &element(0xa0, &uri));
    Extension::Raw {
        identifier: vec![0x55, 0x1d, 31],
        critical: false,
        value: sequence(&[sequence(&[full_name])]),
    }
}

fn short_name(common_name: &str) -> Name {
    vec![
        (COUNTRY, "US".into()),
        (ORGANIZATION, "Aegis development".into()),
        (UNIT, "Not AWS".into()),
        (COMMON_NAME, common_name.into()),
    ]
}

fn long_name(common_name: &str, state: &str) -> Name {
    vec![
        (COUNTRY, "US".into()),
        (STATE, state.into()),
        (LOCALITY, "Seattle".into()),
        (ORGANIZATION, "Aegis development".into()),
        (UNIT, "Not AWS".into()),
        (COMMON_NAME, common_name.into()),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
