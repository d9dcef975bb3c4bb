//! What a relying party accepts: a root, measurements, an age.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::limits::DEFAULT_MAX_AGE;
use crate::limits::MAX_FUTURE_SKEW;
use crate::pcr::Pcr;
use crate::pcr::PcrIndex;
use crate::root::RootFingerprint;

/// The root a chain must lead to. One value holds one root, so no policy trusts two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    fingerprint: RootFingerprint,
}

impl TrustAnchor {
    /// AWS Nitro Enclaves Root-G1.
    pub const fn aws_nitro() -> Self {
        Self { fingerprint: RootFingerprint::AWS_NITRO_G1 }
    }

    /// A root other than AWS's: whoever holds its key can make any document at all.
    ///
    /// For development, where documents come from an attester with a root of its own. Say at every
    /// start of your program that it trusts one.
    pub const fn dangerous_development_root(fingerprint: RootFingerprint) -> Self {
        Self { fingerprint }
    }

    /// SHA-256 of the root certificate's DER bytes.
    pub const fn fingerprint(&self) -> RootFingerprint {
        self.fingerprint
    }

    /// Whether this is AWS's root.
    pub fn is_aws_nitro(&self) -> bool {
        self.fingerprint == RootFingerprint::AWS_NITRO_G1
    }
}

/// The measurement of an image, as a release names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageMeasurement {
    /// The whole image.
    pub pcr0: Pcr,
    /// Kernel and boot ramdisk.
    pub pcr1: Pcr,
    /// The application's ramdisks.
    pub pcr2: Pcr,
}

/// Registers that must all be present with these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasurementSet(BTreeMap<PcrIndex, Pcr>);

impl MeasurementSet {
    /// PCR0, 1 and 2 of an image.
    pub fn new(image: ImageMeasurement) -> Self {
        let ImageMeasurement { pcr0, pcr1, pcr2 } = image;
        let expected =
            [(PcrIndex::IMAGE, pcr0), (PcrIndex::KERNEL, pcr1), (PcrIndex::APPLICATION, pcr2)];
        Self(expected.into())
    }

    /// The same, and another register: PCR3 (role), 4 (instance), 8 (signer), 16 and up (the
    /// enclave's own).
    #[must_use]
    pub fn with(mut self, index: PcrIndex, value: Pcr) -> Self {
        self.0.insert(index, value);
        self
    }

    /// One register and, by [`Self::with`], more: a set that need not name the image. Without PCR0,
    /// or both PCR1 and 2, any program can be inside.
    pub fn dangerous_partial(index: PcrIndex, value: Pcr) -> Self {
        Self([(index, value)].into())
    }

    /// The registers expected, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (PcrIndex, &Pcr)> {
        self.0.iter().map(|(index, value)| (*index, value))
    }
}

impl From<ImageMeasurement> for MeasurementSet {
    fn from(image: ImageMeasurement) -> Self {
        Self::new(image)
    }
}

/// Which measurements a policy accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Measurements {
    /// One of these sets. None at all accept nothing.
    OneOf(Vec<MeasurementSet>),
    /// Whatever runs: the document is genuine, no more.
    Any,
}

/// What a relying party accepts.
///
/// ```
/// use aegis_verifier::{ImageMeasurement, MeasurementSet, Pcr, Policy, TrustAnchor};
///
/// # let (pcr0, pcr1, pcr2) = (Pcr::new([1; 48]), Pcr::new([2; 48]), Pcr::new([3; 48]));
/// let release = MeasurementSet::new(ImageMeasurement { pcr0, pcr1, pcr2 });
/// let policy = Policy::new(TrustAnchor::aws_nitro(), vec![release]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) anchor: TrustAnchor,
    pub(crate) measurements: Measurements,
    pub(crate) max_age: Duration,
    pub(crate) max_future_skew: Duration,
    pub(crate) allow_debug: bool,
}

impl Policy {
    /// Accepts documents under `anchor`, of one of the `accepted` measurement sets, at most 300 s
    /// old, not of a debug enclave. With no set at all it accepts nothing.
    pub fn new(anchor: TrustAnchor, accepted: Vec<MeasurementSet>) -> Self {
        Self {
            anchor,
            measurements: Measurements::OneOf(accepted),
            max_age: DEFAULT_MAX_AGE,
            max_future_skew: MAX_FUTURE_SKEW,
            allow_debug: false,
        }
    }

    /// As [`Self::new`], but whatever program runs in the enclave is accepted: what passes is a
    /// genuine document, and says nothing about who is inside.
    pub fn dangerous_any_measurement(anchor: TrustAnchor) -> Self {
        Self { measurements: Measurements::Any, ..Self::new(anchor, Vec::new()) }
    }

    /// The same with another greatest age.
    #[must_use]
    pub const fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// The same, but a document may be ahead of `now` by no more than this. More than
    /// [`MAX_FUTURE_SKEW`], which is the default, counts as that: the bound can be lowered only.
    #[must_use]
    pub fn with_max_future_skew(mut self, max_future_skew: Duration) -> Self {
        self.max_future_skew = max_future_skew.min(MAX_FUTURE_SKEW);
        self
    }

    /// The same, but debug enclaves pass: their parent instance can read their console, and PCR0 to
    /// 2 are zero, so nothing tells which program runs.
    #[must_use]
    pub const fn dangerous_allow_debug(mut self) -> Self {
        self.allow_debug = true;
        self
    }

    /// The root trusted.
    pub const fn anchor(&self) -> &TrustAnchor {
        &self.anchor
    }

    /// The sets accepted, in the order given; none when any measurement is.
    pub fn accepted(&self) -> Option<&[MeasurementSet]> {
        match &self.measurements {
            Measurements::OneOf(sets) => Some(sets),
            Measurements::Any => None,
        }
    }

    /// The greatest age of a document.
    pub const fn max_age(&self) -> Duration {
        self.max_age
    }

    /// Whether debug enclaves pass.
    pub const fn allows_debug(&self) -> bool {
        self.allow_debug
    }

    /// How far a document's timestamp may be ahead of `now`.
    pub const fn max_future_skew(&self) -> Duration {
        self.max_future_skew
    }
}

/// The nonce expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce<'a>(pub &'a [u8]);

/// The public key expected, byte for byte; in which encoding is between enclave and client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey<'a>(pub &'a [u8]);

/// The user data expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserData<'a>(pub &'a [u8]);

/// What this very document must say: the relying party's question.
///
/// ```
/// use aegis_verifier::{Challenge, Nonce, PublicKey};
///
/// let nonce = [7; 32]; // fresh random bytes that you sent to the enclave
/// let spki = b"the key that this session's peer has proved to hold";
/// let challenge = Challenge::new(Nonce(&nonce)).expecting_public_key(PublicKey(spki));
/// ```
#[derive(Clone, Debug)]
pub struct Challenge<'a> {
    pub(crate) nonce: Option<Nonce<'a>>,
    pub(crate) public_key: Option<PublicKey<'a>>,
    pub(crate) user_data: Option<UserData<'a>>,
}

impl<'a> Challenge<'a> {
    /// Expects this nonce.
    pub const fn new(nonce: Nonce<'a>) -> Self {
        Self { nonce: Some(nonce), public_key: None, user_data: None }
    }

    /// Expects no nonce: whoever has seen a document can show it again until it is too old.
    pub const fn dangerous_without_nonce() -> Self {
        Self { nonce: None, public_key: None, user_data: None }
    }

    /// The same, and this public key.
    #[must_use]
    pub const fn expecting_public_key(mut self, public_key: PublicKey<'a>) -> Self {
        self.public_key = Some(public_key);
        self
    }

    /// The same, and this user data.
    #[must_use]
    pub const fn expecting_user_data(mut self, user_data: UserData<'a>) -> Self {
        self.user_data = Some(user_data);
        self
    }
}

macro_rules! debug_as_hex {
    ($($type:ident)*) => {$(
        impl fmt::Debug for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), crate::hex::Short(self.0))
            }
        }
    )*};
}

debug_as_hex!(Nonce PublicKey UserData);
