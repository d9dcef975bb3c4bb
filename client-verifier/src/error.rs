//! Why a document was refused: one variant for each check.
//!
//! [`Error`] names the step, the enum inside it the check, with what was expected and found. Every
//! message is one sentence: the thing, the reason, the next step where there is one.

use core::fmt;

mod chain;
mod macros;
mod policy;
mod structure;

pub use chain::CertificatePosition;
pub use chain::ChainError;
pub use chain::SignatureError;
pub use policy::AgeError;
pub use policy::DebugError;
pub use policy::FieldBytes;
pub use policy::FieldError;
pub use policy::PcrError;
pub use structure::CborError;
pub use structure::CborFault;
pub use structure::CoseError;
pub use structure::Key;
pub use structure::PayloadError;
pub use structure::SizeError;

/// The steps of verification, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// The document is not empty and within its size limit.
    Size,
    /// The COSE_Sign1 structure.
    Cose,
    /// The nine keys of the payload.
    Payload,
    /// From the leaf to the trust anchor.
    Chain,
    /// The leaf's signature over the received bytes.
    Signature,
    /// The timestamp against now.
    Age,
    /// PCR0 is not all zero.
    Debug,
    /// Every expected register against the accepted sets.
    Pcrs,
    /// The nonce against the challenge.
    Nonce,
    /// The public key against the challenge.
    PublicKey,
    /// The user data against the challenge.
    UserData,
}

impl Step {
    /// All steps, in their order.
    pub const ALL: [Self; 11] = [
        Self::Size,
        Self::Cose,
        Self::Payload,
        Self::Chain,
        Self::Signature,
        Self::Age,
        Self::Debug,
        Self::Pcrs,
        Self::Nonce,
        Self::PublicKey,
        Self::UserData,
    ];

    /// The step's name in messages and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Cose => "cose",
            Self::Payload => "payload",
            Self::Chain => "chain",
            Self::Signature => "signature",
            Self::Age => "age",
            Self::Debug => "debug",
            Self::Pcrs => "pcrs",
            Self::Nonce => "nonce",
            Self::PublicKey => "public_key",
            Self::UserData => "user_data",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a document was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Refused for its size.
    Size(SizeError),
    /// Refused for its COSE_Sign1 structure.
    Cose(CoseError),
    /// Refused for its payload.
    Payload(PayloadError),
    /// Refused for its certificates.
    Chain(ChainError),
    /// Refused for its signature.
    Signature(SignatureError),
    /// Refused for its timestamp.
    Age(AgeError),
    /// Refused because the enclave is open to its parent.
    Debug(DebugError),
    /// Refused for its measurements.
    Pcrs(PcrError),
    /// Refused for its nonce.
    Nonce(FieldError),
    /// Refused for its public key.
    PublicKey(FieldError),
    /// Refused for its user data.
    UserData(FieldError),
}

impl Error {
    /// The step that refused. The steps before it passed, those after it were not tried.
    pub const fn step(&self) -> Step {
        match self {
            Self::Size(_) => Step::Size,
            Self::Cose(_) => Step::Cose,
            Self::Payload(_) => Step::Payload,
            Self::Chain(_) => Step::Chain,
            Self::Signature(_) => Step::Signature,
            Self::Age(_) => Step::Age,
            Self::Debug(_) => Step::Debug,
            Self::Pcrs(_) => Step::Pcrs,
            Self::Nonce(_) => Step::Nonce,
            Self::PublicKey(_) => Step::PublicKey,
            Self::UserData(_) => Step::UserData,
        }
    }

    /// The check's name in snake_case, for machines: `algorithm_not_es384`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Size(error) => error.name(),
            Self::Cose(error) => error.name(),
            Self::Payload(error) => error.name(),
            Self::Chain(error) => error.name(),
            Self::Signature(error) => error.name(),
            Self::Age(error) => error.name(),
            Self::Debug(error) => error.name(),
            Self::Pcrs(error) => error.name(),
            Self::Nonce(error) | Self::PublicKey(error) | Self::UserData(error) => error.name(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.step())?;
        match self {
            Self::Size(error) => error.fmt(f),
            Self::Cose(error) => error.fmt(f),
            Self::Payload(error) => error.fmt(f),
            Self::Chain(error) => error.fmt(f),
            Self::Signature(error) => error.fmt(f),
            Self::Age(error) => error.fmt(f),
            Self::Debug(error) => error.fmt(f),
            Self::Pcrs(error) => error.fmt(f),
            Self::Nonce(error) | Self::PublicKey(error) | Self::UserData(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}
