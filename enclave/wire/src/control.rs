//! The control channel (PROTOCOL.md, section 4): fixed layouts, each written once.
//!
//! A frame is its fields in their order. One visit of the fields encodes or decodes, so the two
//! directions cannot differ. A frame is valid only if its payload ends exactly where its fields do
//! and the rule beside its fields holds.

use alloc::{string::String, vec::Vec};
use core::{fmt, ops::Deref};

pub use crate::codes::{Class, Custody, DenyCode, Slot, Source};
use crate::{Malformed, limits};

/// Length of kind and payload length, in front of every payload.
pub const HEAD: usize = 3;
/// How many usage counts a `Usage` frame has room for.
pub const COUNTS: usize = 12;

/// The payloads: fields in order, then the rule that a receiver holds them to.
macro_rules! payloads {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* }
        if |$frame:ident| $rule:expr;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$doc])* pub $field: $type),* }

        impl Field for $name {
            fn visit(&mut self, wire: &mut Wire<'_>) -> Result<(), Malformed> {
                $(self.$field.visit(wire)?;)*
                let $frame = self;
                if $rule { Ok(()) } else { Err(Malformed(stringify!($name))) }
            }
        }
    )*};
}
pub(crate) use payloads;

payloads! {
    /// First frame of a channel.
    Hello {
        /// Protocol version.
        version: u16,
        /// This boot of this enclave.
        boot: [u8; 16],
        /// SHA-256 of the provider table's text.
        table: [u8; 32],
    } if |_hello| true;

    /// Asks the host to allow one attempt of one request.
    Authorize {
        /// The session number of the preface.
        session: u64,
        /// Of its own for each request of a boot, and telling nothing else; below 2^52.
        request: u64,
        /// Counts from 1 for each request.
        attempt: u8,
        /// Index in the provider table.
        provider: u16,
        /// The endpoint's class.
        class: Class,
        /// The custody the client stated.
        custody: Custody,
        /// Whose sealed account is wanted, by the hash of the owner's key; zero in other custodies.
        owner: [u8; 32],
    } if |ask| is_attempt(ask.attempt)
        && (ask.owner == [0; 32]) == (ask.custody != Custody::Sealed);

    /// The end of one grant.
    Usage {
        /// The grant that this settles.
        grant: u64,
        /// First digit of the provider's status, 0 without a head.
        status_class: u8,
        /// What is known.
        source: Source,
        /// By [`Slot`].
        counts: [Option<u32>; COUNTS],
        /// Model label, empty when hidden or absent.
        label: Label,
        /// From dispatch to the first byte of the answer's head, 0 without one.
        first_byte_ms: u32,
        /// From dispatch to the end.
        total_ms: u32,
    } if |usage| usage.status_class <= 5;

    /// Allows one attempt.
    Grant {
        /// The request it answers.
        request: u64,
        /// The attempt it answers.
        attempt: u8,
        /// Settled by exactly one `Usage`; never 0.
        grant: u64,
        /// Account chosen by the host.
        account: u32,
        /// Must equal the custody of the `Authorize`.
        custody: Custody,
        /// The account's credential; there in host custody only.
        credential: Secret,
    } if |grant| is_attempt(grant.attempt) && grant.grant != 0
        && grant.credential.is_empty() == (grant.custody != Custody::Host);

    /// Refuses one attempt.
    Deny {
        /// The request it answers.
        request: u64,
        /// The attempt it answers.
        attempt: u8,
        /// Why.
        code: DenyCode,
        /// Seconds after which to try again; 0 says nothing.
        retry_after_s: u32,
    } if |deny| is_attempt(deny.attempt) && deny.retry_after_s <= limits::RETRY_AFTER_S;
}

/// The frames of one direction, by kind.
macro_rules! direction {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident($type:ty) = $kind:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant($type)),* }

        impl Frame for $name {
            fn blank(kind: u8) -> Option<Self> {
                match kind { $($kind => Some(Self::$variant(Default::default())),)* _ => None }
            }

            fn payload(&mut self) -> (u8, &mut dyn Field) {
                match self { $(Self::$variant(payload) => ($kind, payload)),* }
            }
        }
    };
}

direction! {
    /// Frames from enclave to host.
    ToHost {
        /// Opens the channel.
        Hello(Hello) = 0x01,
        /// Asks.
        Authorize(Authorize) = 0x02,
        /// Settles.
        Usage(Usage) = 0x03,
    }
}

direction! {
    /// Frames from host to enclave.
    ToEnclave {
        /// Allows.
        Grant(Grant) = 0x81,
        /// Refuses.
        Deny(Deny) = 0x82,
        /// Usage of this grant is on the books.
        Ack(u64) = 0x83,
    }
}

/// A frame of one direction.
pub trait Frame: Sized {
    /// A frame of that kind with all fields at a neutral value.
    fn blank(kind: u8) -> Option<Self>;
    /// The kind and the fields.
    fn payload(&mut self) -> (u8, &mut dyn Field);

    /// Kind, length and payload.
    fn encode(mut self) -> Result<Vec<u8>, Malformed> {
        let (kind, payload) = self.payload();
        let bytes = encode(payload)?;
        let len = u16::try_from(bytes.len()).map_err(|_| Malformed("frame length"))?;
        Ok([&[kind], &len.to_be_bytes()[..], &bytes].concat())
    }

    /// The first frame of `bytes` and its length; `Ok(None)` when more bytes are needed.
    fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some((&[kind, high, low], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let mut frame = Self::blank(kind).ok_or(Malformed("frame kind"))?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len > limits::CONTROL_BYTES {
            return Err(Malformed("frame length"));
        }
        let Some(payload) = rest.get(..len) else { return Ok(None) };
        decode(frame.payload().1, payload)?;
        Ok(Some((frame, HEAD + len)))
    }
}

/// What the fields hold.
pub(crate) fn encode(fields: &mut dyn Field) -> Result<Vec<u8>, Malformed> {
    let mut wire = Wire::Write(Vec::new());
    fields.visit(&mut wire)?;
    if let Wire::Write(bytes) = wire { Ok(bytes) } else { Err(Malformed("frame")) }
}

/// Sets the fields to what `bytes` say, which must end where they do.
pub(crate) fn decode(fields: &mut dyn Field, bytes: &[u8]) -> Result<(), Malformed> {
    let mut wire = Wire::Read(bytes);
    fields.visit(&mut wire)?;
    if let Wire::Read([]) = wire { Ok(()) } else { Err(Malformed("frame length")) }
}

/// One pass over the fields of a frame.
pub enum Wire<'a> {
    /// Appends what the fields hold.
    Write(Vec<u8>),
    /// Sets the fields to what is here.
    Read(&'a [u8]),
}

impl Wire<'_> {
    fn bytes(&mut self, field: &mut [u8]) -> Result<(), Malformed> {
        match self {
            Self::Write(bytes) => bytes.extend_from_slice(field),
            Self::Read(bytes) => {
                let split = bytes.split_at_checked(field.len());
                let (now, rest) = split.ok_or(Malformed("frame length"))?;
                field.copy_from_slice(now);
                *bytes = rest;
            }
        }
        Ok(())
    }
}

/// A part of a frame.
pub trait Field {
    /// Writes or reads itself.
    fn visit(&mut self, wire: &mut Wire<'_>) -> Result<(), Malformed>;
}

macro_rules! integers {
    ($($type:ty)*) => {$(impl Field for $type {
        fn visit(&mut self, wire: &mut Wire<'_>) -> Result<(), Malformed> {
            let mut bytes = self.to_be_bytes();
            wire.bytes(&mut bytes)?;
            *self = Self::from_be_bytes(bytes);
            Ok(())
        }
    })*};
}
integers!(u8 u16 u32 u64);

impl<const N: usize> Field for [u8; N] {
    fn visit(&mut self, wire: &mut Wire<'_>) -> Result<(), Malformed> {
        wire.bytes(self)
    }
}

/// A mask of what is there, then every value, zero where there is none.
impl Field for [Option<u32>; COUNTS] {
    fn visit(&mut self, wire: &mut Wire<'_>) -> Result<(), Malformed> {
        let bit = |(i, count): (usize, &Option<u32>)| u16::from(count.is_some()) << i;
        let mut present: u16 = self.iter().enumerate().map(bit).sum();
        present.visit(wire)?;
        for (i, count) in self.iter_mut().enumerate() {
            let mut value = count.unwrap_or(0);
            value.visit(wire)?;
            *count = (present >> i & 1 == 1).then_some(value);
            if count.is_none() && value != 0 {
                return Err(Malformed("count"));
            }
        }
        if present >> COUNTS == 0 { Ok(()) } else { Err(Malformed("count")) }
    }
}

fn is_attempt(number: u8) -> bool {
    (1..=limits::ATTEMPTS).contains(&number)
}

/// A model label: at most 64 bytes of `[A-Za-z0-9._:/@-]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// The label as given if it is one, else `other`.
    pub fn new(text: &[u8]) -> Self {
        Self(String::from(Self::check(text).unwrap_or("other")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn check(text: &[u8]) -> Option<&str> {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(byte);
        let label = text.len() <= limits::LABEL_BYTES && text.iter().all(fits);
        core::str::from_utf8(text).ok().filter(|_| label)
    }
}

impl Field for Label {
    fn visit(&mut self, wire: &mut Wire<'_>) -> Result<(), Malformed> {
        let mut len = self.0.len() as u8;
        let mut text = [0; limits::LABEL_BYTES];
        text[..self.0.len()].copy_from_slice(self.0.as_bytes());
        len.visit(wire)?;
        text.visit(wire)?;
        let (label, rest) = text.split_at_checked(len.into()).ok_or(Malformed("label"))?;
        let padded = rest.iter().all(|byte| *byte == 0);
        self.0 = Self::check(label).filter(|_| padded).ok_or(Malformed("label"))?.into();
        Ok(())
    }
}

/// A credential, fit to be one header value: visible ASCII, so no line end and no space.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Field for Secret {
    fn visit(&mut self, wire: &mut Wire<'_>) -> Result<(), Malformed> {
        let mut len = u16::try_from(self.len()).map_err(|_| Malformed("credential"))?;
        len.visit(wire)?;
        self.0.resize(usize::from(len).min(limits::CREDENTIAL_BYTES + 1), 0);
        wire.bytes(&mut self.0)?;
        let fits = self.len() <= limits::CREDENTIAL_BYTES && self.iter().all(u8::is_ascii_graphic);
        if fits { Ok(()) } else { Err(Malformed("credential")) }
    }
}
