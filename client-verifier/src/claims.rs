//! What a document says, and the types that tell whether it was checked.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::chain::Chain;
use crate::error::Step;
use crate::limits::MAX_DOCUMENT_BYTES;
use crate::payload::Payload;
use crate::pcr::Pcrs;
use crate::root::RootFingerprint;
use crate::time::UnixTime;
use crate::time::Validity;

/// What a document says. By itself this is no proof of anything: it is what one of
/// [`VerifiedEnclave`], [`ArchivedEnclave`] and [`UnverifiedDocument`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    module_id: String,
    timestamp: UnixTime,
    pcrs: Pcrs,
    public_key: Option<Vec<u8>>,
    user_data: Option<Vec<u8>>,
    nonce: Option<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
}

impl Claims {
    pub(crate) fn new(payload: &Payload<'_>) -> Self {
        let Payload {
            module_id,
            timestamp_ms,
            pcrs,
            certificate,
            cabundle,
            public_key,
            user_data,
            nonce,
        } = payload;
        Self {
            module_id: (*module_id).into(),
            timestamp: UnixTime::from_millis(*timestamp_ms),
            pcrs: pcrs.clone(),
            public_key: public_key.map(Vec::from),
            user_data: user_data.map(Vec::from),
            nonce: nonce.map(Vec::from),
            certificates: cabundle.iter().chain([certificate]).map(|der| der.to_vec()).collect(),
        }
    }

    /// The identifier of the enclave's NSM; visible ASCII.
    pub fn module_id(&self) -> &str {
        &self.module_id
    }

    /// When the document was made.
    pub const fn timestamp(&self) -> UnixTime {
        self.timestamp
    }

    /// The registers.
    pub const fn pcrs(&self) -> &Pcrs {
        &self.pcrs
    }

    /// The key the enclave put in.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }

    /// The bytes the enclave put in.
    pub fn user_data(&self) -> Option<&[u8]> {
        self.user_data.as_deref()
    }

    /// The nonce the enclave put in.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// The certificates as DER, from the root to the leaf.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.certificates.iter().map(Vec::as_slice)
    }
}

/// One step that passed, with what was found. [`fmt::Display`] says it in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Step `size`.
    Size {
        /// The document's length.
        bytes: usize,
    },
    /// Step `cose`.
    Cose {
        /// Whether the document carries tag 18.
        tagged: bool,
    },
    /// Step `payload`.
    Payload {
        /// The NSM's identifier.
        module_id: String,
        /// How many registers are listed.
        pcrs: usize,
    },
    /// Step `chain`.
    Chain {
        /// How many certificates, root and leaf included.
        certificates: usize,
        /// SHA-256 of the root.
        root: RootFingerprint,
        /// When the leaf is valid.
        leaf_validity: Validity,
        /// Whether a [`ChainMemory`](crate::ChainMemory) knew the chain.
        remembered: bool,
    },
    /// Step `signature`.
    Signature,
    /// Step `age`.
    Age {
        /// The document's age, zero when its clock is ahead; none: archived, not checked.
        age: Option<Duration>,
    },
    /// Step `debug`.
    Debug {
        /// Whether this is a debug enclave, which the policy allows.
        debug: bool,
    },
    /// Step `pcrs`.
    Pcrs {
        /// The index of the accepted set that the registers equal; none: the policy accepts any.
        accepted_set: Option<usize>,
    },
    /// Step `nonce`.
    Nonce {
        /// Whether one was expected.
        checked: bool,
    },
    /// Step `public_key`.
    PublicKey {
        /// Whether one was expected.
        checked: bool,
    },
    /// Step `user_data`.
    UserData {
        /// Whether some was expected.
        checked: bool,
    },
}

impl Finding {
    /// The step.
    pub const fn step(&self) -> Step {
        match self {
            Self::Size { .. } => Step::Size,
            Self::Cose { .. } => Step::Cose,
            Self::Payload { .. } => Step::Payload,
            Self::Chain { .. } => Step::Chain,
            Self::Signature => Step::Signature,
            Self::Age { .. } => Step::Age,
            Self::Debug { .. } => Step::Debug,
            Self::Pcrs { .. } => Step::Pcrs,
            Self::Nonce { .. } => Step::Nonce,
            Self::PublicKey { .. } => Step::PublicKey,
            Self::UserData { .. } => Step::UserData,
        }
    }

    /// Whether the step compared anything: false where policy or challenge expect nothing.
    pub const fn is_checked(&self) -> bool {
        match self {
            Self::Age { age } => age.is_some(),
            Self::Pcrs { accepted_set } => accepted_set.is_some(),
            Self::Nonce { checked } | Self::PublicKey { checked } | Self::UserData { checked } => {
                *checked
            }
            _ => true,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { bytes } => write!(f, "{bytes} bytes of at most {MAX_DOCUMENT_BYTES}"),
            Self::Cose { tagged: true } => f.write_str("COSE_Sign1 with tag 18, ES384"),
            Self::Cose { tagged: false } => f.write_str("COSE_Sign1 without a tag, ES384"),
            Self::Payload { module_id, pcrs } => write!(f, "module {module_id}, {pcrs} PCRs"),
            Self::Chain { certificates, root, leaf_validity, remembered } => write!(
                f,
                "{certificates} certificates{} to root {root}, leaf valid to {}",
                if *remembered { ", seen before," } else { "" },
                leaf_validity.not_after
            ),
            Self::Signature => f.write_str("made by the leaf over the received bytes"),
            Self::Age { age: Some(age) } => write!(f, "{} s", age.as_secs()),
            Self::Age { age: None } => f.write_str("not checked: an archived document"),
            Self::Debug { debug: false } => f.write_str("not a debug enclave"),
            Self::Debug { debug: true } => f.write_str("A DEBUG ENCLAVE, which the policy allows"),
            Self::Pcrs { accepted_set: Some(index) } => {
                write!(f, "equal to accepted measurement set {index}")
            }
            Self::Pcrs { accepted_set: None } => {
                f.write_str("not checked: the policy accepts any measurement")
            }
            Self::Nonce { checked: true }
            | Self::PublicKey { checked: true }
            | Self::UserData { checked: true } => f.write_str("as expected"),
            Self::Nonce { checked: false }
            | Self::PublicKey { checked: false }
            | Self::UserData { checked: false } => f.write_str("not checked: none was expected"),
        }
    }
}

/// An enclave whose evidence passed every step: the result of [`verify`](crate::verify), and only
/// of that.
#[derive(Clone, Debug)]
pub struct VerifiedEnclave(Verified);

/// Evidence that would have passed at an earlier time: the result of
/// [`verify_archived`](crate::verify_archived). It tells nothing about who answers now.
#[derive(Clone, Debug)]
pub struct ArchivedEnclave(Verified);

/// A document taken apart and not verified: anyone can have made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedDocument {
    pub(crate) claims: Claims,
    pub(crate) tagged: bool,
    pub(crate) root: RootFingerprint,
    pub(crate) leaf_validity: Option<Validity>,
}

/// The common part of what passed. Only this crate can make one.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) claims: Claims,
    pub(crate) root: RootFingerprint,
    pub(crate) leaf_validity: Validity,
    pub(crate) accepted_set: Option<usize>,
    pub(crate) findings: Vec<Finding>,
}

impl Verified {
    pub(crate) fn new(payload: &Payload<'_>, chain: &Chain<'_>, findings: Vec<Finding>) -> Self {
        let accepted_set = findings.iter().find_map(|finding| match finding {
            Finding::Pcrs { accepted_set } => *accepted_set,
            _ => None,
        });
        Self {
            claims: Claims::new(payload),
            root: chain.root,
            leaf_validity: chain.leaf_validity,
            accepted_set,
            findings,
        }
    }

    pub(crate) fn live(self) -> VerifiedEnclave {
        VerifiedEnclave(self)
    }

    pub(crate) fn archived(self) -> ArchivedEnclave {
        ArchivedEnclave(self)
    }
}

macro_rules! accessors {
    ($($type:ident)*) => {$(
        impl $type {
            /// What the document says, all of it checked for its form and signed by the NSM.
            pub const fn claims(&self) -> &Claims {
                &self.0.claims
            }

            /// The identifier of the enclave's NSM.
            pub fn module_id(&self) -> &str {
                self.0.claims.module_id()
            }

            /// When the document was made.
            pub const fn timestamp(&self) -> UnixTime {
                self.0.claims.timestamp()
            }

            /// The registers.
            pub const fn pcrs(&self) -> &Pcrs {
                self.0.claims.pcrs()
            }

            /// The key the enclave put in.
            pub fn public_key(&self) -> Option<&[u8]> {
                self.0.claims.public_key()
            }

            /// The bytes the enclave put in.
            pub fn user_data(&self) -> Option<&[u8]> {
                self.0.claims.user_data()
            }

            /// The root the chain leads to.
            pub const fn root_fingerprint(&self) -> RootFingerprint {
                self.0.root
            }

            /// When the leaf certificate is valid.
            pub const fn leaf_validity(&self) -> Validity {
                self.0.leaf_validity
            }

            /// The index, in the policy, of the set that the registers equal. None: the policy
            /// accepts any measurement, and nothing is known about the program inside.
            pub const fn accepted_set(&self) -> Option<usize> {
                self.0.accepted_set
            }

            /// The walk through the steps, in their order, with what was found at each.
            pub fn findings(&self) -> &[Finding] {
                &self.0.findings
            }
        }
    )*};
}

accessors!(VerifiedEnclave ArchivedEnclave);

impl UnverifiedDocument {
    /// What the document says. Nobody has checked that it is true.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether the document carries tag 18.
    pub const fn is_tagged(&self) -> bool {
        self.tagged
    }

    /// SHA-256 of the root that the document brings along.
    pub const fn root_fingerprint(&self) -> RootFingerprint {
        self.root
    }

    /// When the leaf certificate says it is valid, if it can be read.
    pub const fn leaf_validity(&self) -> Option<Validity> {
        self.leaf_validity
    }
}
