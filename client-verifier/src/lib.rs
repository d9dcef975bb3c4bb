//! A strict verifier of AWS Nitro attestation documents.
//!
//! Evidence in, [`VerifiedEnclave`] out, and nothing else makes one: no I/O, no clock, no global
//! state, no `unsafe`, `no_std` with `alloc`.
//!
//! ```no_run
//! use aegis_verifier::{Challenge, ImageMeasurement, MeasurementSet, Nonce, Pcr, Policy};
//! use aegis_verifier::{TrustAnchor, UnixTime, verify};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let document = Vec::new();
//! # let [pcr0, pcr1, pcr2] = [1, 2, 3].map(|byte| Pcr::new([byte; 48]));
//! # let my_nonce = [0; 32];
//! let release = MeasurementSet::new(ImageMeasurement { pcr0, pcr1, pcr2 });
//! let policy = Policy::new(TrustAnchor::aws_nitro(), vec![release]);
//! let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
//!
//! let enclave =
//!     verify(&document, &policy, &Challenge::new(Nonce(&my_nonce)), UnixTime::since_epoch(now))?;
//! let key = enclave.public_key().ok_or("the enclave names no key")?;
//! # Ok(()) }
//! ```
//!
//! # Your checklist
//!
//! 1. Make a **nonce** of fresh random bytes for every document you ask for, and pass it in the
//!    [`Challenge`].
//! 2. Take the **measurements** of the [`Policy`] from a source you trust: a build of your own, or
//!    a signed release. A document only says *which* program runs, never that it is a good one.
//! 3. Pass your **own time** as `now`, not the document's.
//! 4. **Bind** the document to the connection: expect the public key that your peer has proved to
//!    hold ([`Challenge::expecting_public_key`]), or encrypt to [`VerifiedEnclave::public_key`]. A
//!    document that is bound to nothing can be shown by anybody.
//! 5. Whatever has `dangerous` in its name gives up one of these; say so to your user.
//!
//! # What is checked
//!
//! In the order of [`Step`]; [`Error::step`] tells which one refused.
//!
//! | step | what passes |
//! |---|---|
//! | `size` | 1 byte to [`limits::MAX_DOCUMENT_BYTES`] |
//! | `cose` | COSE_Sign1, untagged or tag 18, protected header `{1: -35}` (ES384), unprotected header empty, 96 bytes of signature, no bytes after it, every length in shortest form |
//! | `payload` | the nine keys AWS emits, each at most once, no others; the three optional ones may be null or absent; digest SHA384; PCR indices below 32, 48 bytes each; lengths as in [`limits`] |
//! | `chain` | `cabundle[0]` *is* the policy's root; a path, at `now` or at the document's time if that is up to 60 s ahead, of ECDSA-P384-SHA384 signatures (rustls-webpki), which is `cabundle` in its order with nothing left over; P-384 in every key; key usage present and exact; no extended key usage; no extension twice; a serial number of 1 to 20 bytes; the root valid itself and not beyond its own path length |
//! | `signature` | ES384 by the leaf over the received bytes |
//! | `age` | at most [`Policy::max_age`] old, at most [`Policy::max_future_skew`] from the future |
//! | `debug` | PCR0 listed and not all zero |
//! | `pcrs` | every register of one accepted set present and equal |
//! | `nonce`, `public_key`, `user_data` | equal to the challenge's |
//!
//! # What is not checked
//!
//! * Revocation: AWS's CRLs are not fetched. Leaves live three hours.
//! * That `module_id` is the leaf's name: the leaf signs it, so it says what the NSM says.
//! * The meaning of `public_key` and `user_data`: they are bytes to this crate.
//! * That a signature is the lower of its two forms (s or n - s): AWS emits both, so a document can
//!   be turned into a second one that says the same. Do not use its hash as an identity.
//! * Extensions that are neither critical nor named above.
//!
//! # Backends and portability
//!
//! Feature `aws-lc-rs` (default) is the fast one; `default-features = false, features =
//! ["pure-rust"]` uses RustCrypto's p384 and sha2 and compiles no C, with the same
//! verdicts. Both on: aws-lc-rs is used. The pure build compiles for targets without an operating
//! system (thumbv7em-none-eabi is tried); aws-lc-rs needs one. The crate is `no_std` and needs
//! `alloc`. Its public API has no type of another crate. Rust 1.88 or later.
//!
//! # Time
//!
//! Three moments meet: `now`, the document's timestamp, and the certificates' validity, which for a
//! leaf begins three seconds before its document. Certificates are judged at `now`. If the document
//! is ahead of `now` by no more than [`Policy::max_future_skew`], they are judged at its timestamp,
//! or a client with a clock four seconds slow would refuse every fresh document. That gives nothing
//! away: the leaf has signed the timestamp, the moment moves only forward and at most 60 s, and a
//! document that far ahead was to be accepted anyway.

#![no_std]

extern crate alloc;

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod cbor;
mod chain;
mod claims;
mod cose;
mod crypto;
mod der;
pub mod error;
mod hex;
pub mod limits;
mod memory;
mod payload;
mod pcr;
mod policy;
mod root;
mod time;
mod verify;
mod x509;

pub use cbor::CborType;
pub use claims::ArchivedEnclave;
pub use claims::Claims;
pub use claims::Finding;
pub use claims::UnverifiedDocument;
pub use claims::VerifiedEnclave;
pub use error::Error;
pub use error::Step;
pub use memory::ChainMemory;
pub use pcr::Pcr;
pub use pcr::PcrIndex;
pub use pcr::Pcrs;
pub use policy::Challenge;
pub use policy::ImageMeasurement;
pub use policy::MeasurementSet;
pub use policy::Nonce;
pub use policy::Policy;
pub use policy::PublicKey;
pub use policy::TrustAnchor;
pub use policy::UserData;
pub use root::AWS_NITRO_ROOT_G1_DER;
pub use root::RootFingerprint;
pub use time::UnixTime;
pub use time::Validity;
pub use verify::decode_without_verifying;
pub use verify::verify;
pub use verify::verify_archived;
pub use verify::verify_remembering;
