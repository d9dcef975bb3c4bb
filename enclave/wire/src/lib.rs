//! What crosses a trust boundary of Aegis: control frames, session frames, bindings, limits and
//! the provider table. `PROTOCOL.md` beside this crate is the contract; every layout here has a
//! section there and a vector in `vectors/`.
//!
//! Parsers take whole, already bounded slices, never allocate by an unchecked length, and accept
//! exactly one encoding of every value.
#![no_std]

extern crate alloc;

pub mod account;
pub mod binding;
mod codes;
pub mod control;
pub mod limits;
pub mod padding;
pub mod receipt;
pub mod session;
pub mod table;

/// Version of the protocol spoken by this crate (PROTOCOL.md).
pub const VERSION: u16 = 1;

/// A received value that is not an encoding this protocol defines. It carries the name of the
/// rule, never received bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "malformed {}", self.0)
    }
}

impl core::error::Error for Malformed {}
