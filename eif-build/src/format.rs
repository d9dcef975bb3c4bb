//! The enclave image file, version 4, as a table of numbers.
//!
//! A file is a header of 548 bytes, then the sections, each behind a header of 12 bytes. All
//! integers are big-endian. The image format has no published specification; these numbers are
//! those of `aws-nitro-enclaves-image-format` 0.8.1, and `eif-build/oracle` compares the bytes with
//! that crate's.

/// First four bytes of every image.
pub const MAGIC: [u8; 4] = *b".eif";
/// The version written, and the only one read.
pub const VERSION: u16 = 4;
/// Sections that a header has room for.
pub const MAX_SECTIONS: usize = 32;
/// Magic, version, flags, memory, CPUs, reserved, count, offsets, sizes, unused, checksum.
pub const HEADER_BYTES: usize = 4 + 2 + 2 + 8 + 8 + 2 + 2 + 2 * 8 * MAX_SECTIONS + 4 + 4;
/// Type, flags, size.
pub const SECTION_HEADER_BYTES: usize = 2 + 2 + 8;
/// Where the CRC32 stands: the last field of the header, over everything but itself.
pub const CRC_OFFSET: usize = HEADER_BYTES - 4;
/// Header flags of an x86-64 image.
pub const FLAGS_X86_64: u16 = 0;
/// Memory an image asks for when nobody says otherwise; nothing reads it, AWS's tools write 1 GiB.
pub const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
/// CPUs an image asks for when nobody says otherwise; nothing reads it, AWS's tools write 2.
pub const DEFAULT_CPUS: u64 = 2;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SectionKind {
    /// A bzImage.
    Kernel,
    /// The kernel's command line, without a final zero.
    CommandLine,
    /// A cpio archive. The first is the platform's, the others the program's.
    Ramdisk,
    /// A COSE signature over PCR0. Aegis signs release lists instead and refuses to read these.
    Signature,
    /// JSON about the build. Not measured.
    Metadata,
}

impl SectionKind {
    /// The number in a section header.
    pub fn code(self) -> u16 {
        match self {
            Self::Kernel => 1,
            Self::CommandLine => 2,
            Self::Ramdisk => 3,
            Self::Signature => 4,
            Self::Metadata => 5,
        }
    }

    /// The kind of a number in a section header, if it is one of the format's.
    pub fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Kernel,
            2 => Self::CommandLine,
            3 => Self::Ramdisk,
            4 => Self::Signature,
            5 => Self::Metadata,
            _ => return None,
        })
    }

    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::CommandLine => "command line",
            Self::Ramdisk => "ramdisk",
            Self::Signature => "signature",
            Self::Metadata => "metadata",
        }
    }
}
