//! Source to measurement: kernel and ramdisks to an enclave image file (EIF), its PCRs and its
//! release manifest, the tools that build the parts, and the emulated machine that boots the
//! result.
//!
//! The modules, from bytes to machines:
//!
//! * [`mod@format`], [`eif`], [`cpio`] write and read the two file formats, deterministically;
//! * [`measure`] computes PCR0-2 of an image as the Nitro hypervisor does;
//! * [`image`] lays out Aegis' two ramdisks; [`diff`] explains what differs between two images;
//! * [`release`] is the manifest, one entry of the release list; [`sbom`] the bill of materials;
//!   [`folder`] the five files of a release;
//! * [`recipe`] builds kernel, enclave binary and test tools from pinned sources, through
//!   [`cache`];
//! * [`boot`] runs an image in QEMU's `nitro-enclave` machine, for tests.
//!
//! Nothing here is part of the image: a mistake in this crate changes a measurement, and two people
//! who build the same source notice. What is *not* checked here is whether a measurement is a good
//! one; that is what a release list's signers do.

pub mod boot;
pub mod cache;
pub mod cpio;
pub mod diff;
pub mod eif;
pub mod elf;
pub mod error;
pub mod folder;
pub mod format;
pub mod image;
pub mod make;
pub mod measure;
pub mod recipe;
pub mod release;
pub mod sbom;
pub mod scan;

pub use error::Error;
