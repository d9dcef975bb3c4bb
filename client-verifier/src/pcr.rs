//! Platform configuration registers: values, indices, and a document's whole bank.

use core::fmt;

use crate::hex;
use crate::limits::MAX_PCRS;
use crate::limits::PCR_BYTES;

/// The value of one platform configuration register: a SHA-384 accumulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pcr([u8; PCR_BYTES]);

impl Pcr {
    /// The value from its bytes.
    pub const fn new(bytes: [u8; PCR_BYTES]) -> Self {
        Self(bytes)
    }

    /// The value from 96 hexadecimal digits, as `nitro-cli` and release manifests print it.
    pub fn from_hex(digits: &str) -> Option<Self> {
        hex::decode(digits).map(Self)
    }

    /// The bytes of the value.
    pub const fn as_bytes(&self) -> &[u8; PCR_BYTES] {
        &self.0
    }

    /// Whether every byte is zero: a register never extended, and PCR0 of every debug enclave.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; PCR_BYTES]
    }
}

impl fmt::Display for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, &self.0)
    }
}

impl fmt::Debug for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pcr({self})")
    }
}

/// The number of a register: 0 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// The whole image: kernel, command line and all ramdisks.
    pub const IMAGE: Self = Self(0);
    /// The kernel and the boot ramdisk.
    pub const KERNEL: Self = Self(1);
    /// The ramdisks of the application.
    pub const APPLICATION: Self = Self(2);
    /// The IAM role of the parent instance.
    pub const ROLE: Self = Self(3);
    /// The identifier of the parent instance.
    pub const INSTANCE: Self = Self(4);
    /// The certificate that signed the image file.
    pub const SIGNING_CERTIFICATE: Self = Self(8);

    /// The register `number`, if there is one.
    pub const fn new(number: u8) -> Option<Self> {
        if (number as usize) < MAX_PCRS { Some(Self(number)) } else { None }
    }

    /// The number of the register.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PCR{}", self.0)
    }
}

/// The registers a document lists. Gaps are normal: AWS lists 0 to 15 and, above, those in use.
#[derive(Clone, PartialEq, Eq)]
pub struct Pcrs([Option<Pcr>; MAX_PCRS]);

impl Pcrs {
    pub(crate) const EMPTY: Self = Self([None; MAX_PCRS]);

    /// The register at `index`, if the document lists it.
    pub fn value(&self, index: PcrIndex) -> Option<&Pcr> {
        self.0.get(usize::from(index.0)).and_then(Option::as_ref)
    }

    /// The registers listed, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (PcrIndex, &Pcr)> {
        (0u8..).zip(&self.0).filter_map(|(n, value)| Some((PcrIndex(n), value.as_ref()?)))
    }

    /// How many registers are listed.
    pub fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Puts a value in; false when the register is there already.
    pub(crate) fn insert(&mut self, index: PcrIndex, value: Pcr) -> bool {
        match self.0.get_mut(usize::from(index.0)) {
            Some(slot @ None) => {
                *slot = Some(value);
                true
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Pcrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
