//! Documents and certificates made part by part, each part open to a test's defect.
//!
//! ```
//! use aegis_dev_attester::forge::{ChainSpec, DocumentSpec};
//!
//! let now_secs = 1_750_000_000;
//! let mut chain = ChainSpec::like_aws(now_secs);
//! chain.leaf_mut().not_after_secs = now_secs - 1; // the defect
//! let chain = chain.issue();
//! let document = DocumentSpec::like_aws(&chain, now_secs * 1000).sign(&chain).encode();
//! # assert!(!document.is_empty());
//! ```
//!
//! Three places for a defect: a [`CertificateSpec`] before its certificate is signed, a
//! [`DocumentSpec`] before the document is signed, the [`SignedDocument`] afterwards.

pub mod cbor;
mod certificate;
mod chain;
pub mod der;
mod document;

pub use certificate::CertificateSpec;
pub use certificate::Extension;
pub use certificate::IssuedCertificate;
pub use certificate::KeyKind;
pub use certificate::Name;
pub use certificate::Signer;
pub use certificate::key_usage;
pub use chain::ChainSpec;
pub use chain::IssuedChain;
pub use chain::ROOT_VALIDITY_SECS;
pub use document::DocumentSpec;
pub use document::SignedDocument;
