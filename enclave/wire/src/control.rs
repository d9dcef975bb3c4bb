//! The control channel (PROTOCOL.md, section 4): fixed layouts, each written once.
//!
//! A frame's `layout` visits its fields in order; the same visit encodes, decodes and measures,
//! so the two directions cannot differ. A frame is valid only if its payload ends exactly where
//! its layout does.

use alloc::{string::String, vec::Vec};

pub use crate::codes::{Class, Custody, DenyCode, Slot, Source};
use crate::{Malformed, codes::Code, limits};

/// Length of kind and payload length, in front of every payload.
pub const HEAD: usize = 3;
/// How many usage counts a `Usage` frame has room for.
pub const COUNTS: usize = 12;

/// First frame of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Protocol version.
    pub version: u16,
    /// This boot of this enclave.
    pub boot: [u8; 16],
    /// SHA-256 of the provider table's bytes.
    pub table: [u8; 32],
}

/// Asks the host to allow one attempt of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorize {
    /// The session number of the preface.
    pub session: u64,
    /// Counts from 1 for each boot.
    pub request: u64,
    /// Counts from 1 for each request.
    pub attempt: u8,
    /// Index in the provider table.
    pub provider: u16,
    /// The endpoint's class.
    pub class: Class,
    /// The custody the client stated.
    pub custody: Custody,
}

/// The end of one grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The grant that this settles.
    pub grant: u64,
    /// First digit of the provider's status, 0 without a head.
    pub status_class: u8,
    /// What is known.
    pub source: Source,
    /// By [`Slot`].
    pub counts: [Option<u32>; COUNTS],
    /// Model label, empty when hidden or absent.
    pub label: Label,
    /// From dispatch to the first byte of the answer's head, 0 without one.
    pub first_byte_ms: u32,
    /// From dispatch to the end.
    pub total_ms: u32,
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
        (text.len() <= limits::LABEL_BYTES && text.iter().all(fits))
            .then(|| core::str::from_utf8(text).ok())
            .flatten()
    }

    fn visit(&mut self, wire: &mut impl Visit) -> Result<(), Malformed> {
        let mut len = [self.0.len() as u8];
        let mut text = [0; limits::LABEL_BYTES];
        text[..self.0.len()].copy_from_slice(self.0.as_bytes());
        wire.bytes(&mut len)?;
        wire.bytes(&mut text)?;
        let (label, rest) = text
            .split_at_checked(len[0].into())
            .ok_or(Malformed("label"))?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(Malformed("label padding"));
        }
        self.0 = String::from(Self::check(label).ok_or(Malformed("label"))?);
        Ok(())
    }
}

/// Allows one attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The request it answers.
    pub request: u64,
    /// The attempt it answers.
    pub attempt: u8,
    /// Settled by exactly one `Usage`; never 0.
    pub grant: u64,
    /// Account chosen by the host.
    pub account: u32,
    /// Must equal the custody of the `Authorize`.
    pub custody: Custody,
    /// The account's credential; empty in client custody.
    pub credential: Vec<u8>,
}

impl core::fmt::Debug for Grant {
    /// Everything but the credential.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "Grant({} for {}.{})",
            self.grant, self.request, self.attempt
        )
    }
}

/// Refuses one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deny {
    /// The request it answers.
    pub request: u64,
    /// The attempt it answers.
    pub attempt: u8,
    /// Why.
    pub code: DenyCode,
    /// Seconds after which to try again; 0 says nothing.
    pub retry_after_s: u32,
}

/// Frames from enclave to host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToHost {
    /// Kind 01.
    Hello(Hello),
    /// Kind 02.
    Authorize(Authorize),
    /// Kind 03.
    Usage(Usage),
}

/// Frames from host to enclave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToEnclave {
    /// Kind 81.
    Grant(Grant),
    /// Kind 82.
    Deny(Deny),
    /// Kind 83: usage of this grant is on the books.
    Ack(u64),
}

/// A frame of one direction.
pub trait Frame: Sized {
    /// A frame of that kind with all fields at a neutral value.
    fn blank(kind: u8) -> Option<Self>;
    /// The kind, and a visit of the fields in order.
    fn layout(&mut self, wire: &mut impl Visit) -> Result<u8, Malformed>;

    /// Kind, length and payload.
    fn encode(mut self) -> Result<Vec<u8>, Malformed> {
        let mut out = Encoder(alloc::vec![0; HEAD]);
        out.0[0] = self.layout(&mut out)?;
        let len = u16::try_from(out.0.len() - HEAD).map_err(|_| Malformed("frame length"))?;
        out.0[1..HEAD].copy_from_slice(&len.to_be_bytes());
        Ok(out.0)
    }

    /// The first frame of `bytes` and its length; `Ok(None)` when more bytes are needed.
    fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some((&[kind, a, b], rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let mut frame = Self::blank(kind).ok_or(Malformed("frame kind"))?;
        let len = usize::from(u16::from_be_bytes([a, b]));
        if len > limits::CONTROL_BYTES {
            return Err(Malformed("frame length"));
        }
        let Some(payload) = rest.get(..len) else {
            return Ok(None);
        };
        let mut decoder = Decoder(payload);
        frame.layout(&mut decoder)?;
        if !decoder.0.is_empty() {
            return Err(Malformed("frame length"));
        }
        Ok(Some((frame, HEAD + len)))
    }
}

impl Frame for ToHost {
    fn blank(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::Hello(Hello {
                version: 0,
                boot: [0; 16],
                table: [0; 32],
            }),
            2 => Self::Authorize(Authorize {
                session: 0,
                request: 0,
                attempt: 0,
                provider: 0,
                class: Class::Generate,
                custody: Custody::Client,
            }),
            3 => Self::Usage(Usage {
                grant: 0,
                status_class: 0,
                source: Source::NotDispatched,
                counts: [None; COUNTS],
                label: Label::default(),
                first_byte_ms: 0,
                total_ms: 0,
            }),
            _ => return None,
        })
    }

    fn layout(&mut self, wire: &mut impl Visit) -> Result<u8, Malformed> {
        match self {
            Self::Hello(Hello {
                version,
                boot,
                table,
            }) => {
                wire.u16(version)?;
                wire.bytes(boot)?;
                wire.bytes(table)?;
                Ok(1)
            }
            Self::Authorize(Authorize {
                session,
                request,
                attempt,
                provider,
                class,
                custody,
            }) => {
                wire.u64(session)?;
                wire.u64(request)?;
                wire.attempt(attempt)?;
                wire.u16(provider)?;
                class.visit(wire)?;
                custody.visit(wire)?;
                Ok(2)
            }
            Self::Usage(usage) => usage.visit(wire).map(|()| 3),
        }
    }
}

impl Usage {
    fn visit(&mut self, wire: &mut impl Visit) -> Result<(), Malformed> {
        let Self {
            grant,
            status_class,
            source,
            counts,
            label,
            first_byte_ms,
            total_ms,
        } = self;
        wire.u64(grant)?;
        let mut status = [*status_class];
        wire.bytes(&mut status)?;
        [*status_class] = status;
        if *status_class > 5 {
            return Err(Malformed("status class"));
        }
        source.visit(wire)?;
        let mut present = (0..COUNTS)
            .map(|i| u16::from(counts[i].is_some()) << i)
            .sum();
        wire.u16(&mut present)?;
        for (i, count) in counts.iter_mut().enumerate() {
            let mut value = count.unwrap_or(0);
            wire.u32(&mut value)?;
            *count = (present & (1 << i) != 0).then_some(value);
            if count.is_none() && value != 0 {
                return Err(Malformed("count"));
            }
        }
        if present >> COUNTS != 0 {
            return Err(Malformed("count"));
        }
        label.visit(wire)?;
        wire.u32(first_byte_ms)?;
        wire.u32(total_ms)
    }
}

impl Frame for ToEnclave {
    fn blank(kind: u8) -> Option<Self> {
        Some(match kind {
            0x81 => Self::Grant(Grant {
                request: 0,
                attempt: 0,
                grant: 0,
                account: 0,
                custody: Custody::Client,
                credential: Vec::new(),
            }),
            0x82 => Self::Deny(Deny {
                request: 0,
                attempt: 0,
                code: DenyCode::Key,
                retry_after_s: 0,
            }),
            0x83 => Self::Ack(0),
            _ => return None,
        })
    }

    fn layout(&mut self, wire: &mut impl Visit) -> Result<u8, Malformed> {
        match self {
            Self::Grant(grant) => grant.visit(wire).map(|()| 0x81),
            Self::Deny(Deny {
                request,
                attempt,
                code,
                retry_after_s,
            }) => {
                wire.u64(request)?;
                wire.attempt(attempt)?;
                code.visit(wire)?;
                wire.u32(retry_after_s)?;
                if *retry_after_s > limits::RETRY_AFTER_S {
                    return Err(Malformed("retry-after"));
                }
                Ok(0x82)
            }
            Self::Ack(grant) => wire.u64(grant).map(|()| 0x83),
        }
    }
}

impl Grant {
    fn visit(&mut self, wire: &mut impl Visit) -> Result<(), Malformed> {
        let Self {
            request,
            attempt,
            grant,
            account,
            custody,
            credential,
        } = self;
        wire.u64(request)?;
        wire.attempt(attempt)?;
        wire.u64(grant)?;
        wire.u32(account)?;
        custody.visit(wire)?;
        let mut len = u16::try_from(credential.len()).map_err(|_| Malformed("credential"))?;
        wire.u16(&mut len)?;
        if usize::from(len) > limits::CREDENTIAL_BYTES {
            return Err(Malformed("credential"));
        }
        credential.resize(len.into(), 0);
        wire.bytes(credential)?;
        let carries = !credential.is_empty();
        if *grant == 0 || carries != (*custody == Custody::Host) {
            return Err(Malformed("grant"));
        }
        // One header value: no line end, no space, nothing that needs an encoding.
        credential
            .iter()
            .all(u8::is_ascii_graphic)
            .then_some(())
            .ok_or(Malformed("credential"))
    }
}

/// One pass over the fields of a frame, reading or writing them in place.
pub trait Visit {
    /// A field of fixed length.
    fn bytes(&mut self, field: &mut [u8]) -> Result<(), Malformed>;

    /// Two bytes, big-endian.
    fn u16(&mut self, value: &mut u16) -> Result<(), Malformed> {
        let mut bytes = value.to_be_bytes();
        self.bytes(&mut bytes)?;
        *value = u16::from_be_bytes(bytes);
        Ok(())
    }

    /// Four bytes, big-endian.
    fn u32(&mut self, value: &mut u32) -> Result<(), Malformed> {
        let mut bytes = value.to_be_bytes();
        self.bytes(&mut bytes)?;
        *value = u32::from_be_bytes(bytes);
        Ok(())
    }

    /// Eight bytes, big-endian.
    fn u64(&mut self, value: &mut u64) -> Result<(), Malformed> {
        let mut bytes = value.to_be_bytes();
        self.bytes(&mut bytes)?;
        *value = u64::from_be_bytes(bytes);
        Ok(())
    }

    /// An attempt number.
    fn attempt(&mut self, value: &mut u8) -> Result<(), Malformed> {
        let mut byte = [*value];
        self.bytes(&mut byte)?;
        *value = byte[0];
        if (1..=limits::ATTEMPTS).contains(value) {
            Ok(())
        } else {
            Err(Malformed("attempt"))
        }
    }
}

struct Encoder(Vec<u8>);

impl Visit for Encoder {
    fn bytes(&mut self, field: &mut [u8]) -> Result<(), Malformed> {
        self.0.extend_from_slice(field);
        Ok(())
    }
}

struct Decoder<'a>(&'a [u8]);

impl Visit for Decoder<'_> {
    fn bytes(&mut self, field: &mut [u8]) -> Result<(), Malformed> {
        let (now, rest) = self
            .0
            .split_at_checked(field.len())
            .ok_or(Malformed("frame length"))?;
        field.copy_from_slice(now);
        self.0 = rest;
        Ok(())
    }
}
