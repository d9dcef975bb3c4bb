//! Images as values: [`Eif::to_bytes`] writes one, [`Eif::parse`] reads back exactly what it
//! writes.
//!
//! The reader is strict, so that a file has one reading: sections in the order kernel, command
//! line, metadata, ramdisks; offsets without gaps; nothing after the last section; checksum right;
//! reserved fields zero. An image that AWS's tools write unsigned passes, a signed one is refused
//! by name.

use crate::format::CRC_OFFSET;
use crate::format::DEFAULT_CPUS;
use crate::format::DEFAULT_MEMORY_BYTES;
use crate::format::FLAGS_X86_64;
use crate::format::HEADER_BYTES;
use crate::format::MAGIC;
use crate::format::MAX_SECTIONS;
use crate::format::SECTION_HEADER_BYTES;
use crate::format::SectionKind;
use crate::format::VERSION;

/// The content of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eif {
    /// The bzImage.
    pub kernel: Vec<u8>,
    /// The kernel's command line.
    pub command_line: String,
    /// JSON that says how the image was built; not measured.
    pub metadata: Vec<u8>,
    /// The platform's ramdisk, then the program's.
    pub ramdisks: Vec<Vec<u8>>,
}

/// Why bytes are not an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EifError {
    /// Shorter than a header.
    #[error("not an image: {found} bytes, a header alone has {HEADER_BYTES}")]
    TooShort {
        /// Bytes there.
        found: usize,
    },
    /// Does not begin with `.eif`.
    #[error("not an image: it does not begin with \".eif\"")]
    Magic,
    /// A header field holds what this reader does not know.
    #[error("image header: {field} is {found}, expected {expected}")]
    Header {
        /// The field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// The only accepted value.
        expected: u64,
    },
    /// More sections than a header has room for.
    #[error("image header: {found} sections, at most {MAX_SECTIONS} fit")]
    SectionCount {
        /// Sections there.
        found: usize,
    },
    /// A section does not begin where the one before it ends.
    #[error("section {index}: begins at {found}, expected {expected}")]
    SectionOffset {
        /// Counted from 0.
        index: usize,
        /// The header's offset.
        found: u64,
        /// The end of the section before.
        expected: u64,
    },
    /// A section reaches past the end of the file.
    #[error("section {index}: {size_bytes} bytes reach past the end of the file")]
    SectionSize {
        /// Counted from 0.
        index: usize,
        /// What the header says.
        size_bytes: u64,
    },
    /// The section's own header disagrees with the file's, or its flags are not zero.
    #[error("section {index}: its own header disagrees with the file header")]
    SectionHeader {
        /// Counted from 0.
        index: usize,
    },
    /// A section of unknown kind, of a kind that is refused, or out of order.
    #[error("section {index}: kind {code} ({name}) is not allowed here; expected {expected}")]
    SectionKind {
        /// Counted from 0.
        index: usize,
        /// The number found.
        code: u16,
        /// Its name.
        name: &'static str,
        /// What may stand there.
        expected: &'static str,
    },
    /// The command line is not text.
    #[error("the command line is not UTF-8")]
    CommandLine,
    /// Fewer sections than kernel, command line, metadata and one ramdisk.
    #[error("incomplete image: {found} sections, at least 4 are needed")]
    Incomplete {
        /// Sections there.
        found: usize,
    },
    /// Bytes after the last section.
    #[error("{count} bytes after the last section")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// The checksum is wrong.
    #[error("checksum is {found:08x}, the bytes have {expected:08x}")]
    Checksum {
        /// The header's.
        found: u32,
        /// The bytes'.
        expected: u32,
    },
}

impl Eif {
    /// The sections in the order of the file.
    pub fn sections(&self) -> Vec<(SectionKind, &[u8])> {
        let mut sections = vec![
            (SectionKind::Kernel, self.kernel.as_slice()),
            (SectionKind::CommandLine, self.command_line.as_bytes()),
            (SectionKind::Metadata, self.metadata.as_slice()),
        ];
        sections.extend(self.ramdisks.iter().map(|r| (SectionKind::Ramdisk, r.as_slice())));
        sections
    }

    /// The image file.
    ///
    /// # Errors
    /// When there are more sections than the header has room for.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EifError> {
        let sections = self.sections();
        if sections.len() > MAX_SECTIONS {
            return Err(EifError::SectionCount { found: sections.len() });
        }
        let mut bytes = header(&sections);
        for (kind, data) in &sections {
            bytes.extend(kind.code().to_be_bytes());
            bytes.extend(0u16.to_be_bytes());
            bytes.extend((data.len() as u64).to_be_bytes());
            bytes.extend_from_slice(data);
        }
        let crc = checksum(&bytes);
        bytes[CRC_OFFSET..HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
        Ok(bytes)
    }

    /// Reads an image file.
    ///
    /// # Errors
    /// When the file is anything but what [`Self::to_bytes`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, EifError> {
        let count = parse_header(bytes)?;
        let mut sections = Vec::with_capacity(count);
        let mut end = HEADER_BYTES;
        for index in 0..count {
            let (kind, data) = parse_section(bytes, index, end)?;
            end += SECTION_HEADER_BYTES + data.len();
            sections.push((kind, data));
        }
        if end != bytes.len() {
            return Err(EifError::Trailing { count: bytes.len() - end });
        }
        let (found, expected) = (be_u32(bytes, CRC_OFFSET), checksum(bytes));
        if found != expected {
            return Err(EifError::Checksum { found, expected });
        }
        from_sections(&sections)
    }
}

/// The header with a checksum of zero.
fn header(sections: &[(SectionKind, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend(FLAGS_X86_64.to_be_bytes());
    bytes.extend(DEFAULT_MEMORY_BYTES.to_be_bytes());
    bytes.extend(DEFAULT_CPUS.to_be_bytes());
    bytes.extend(0u16.to_be_bytes());
    bytes.extend((sections.len() as u16).to_be_bytes());
    let mut offsets = [0u64; MAX_SECTIONS];
    let mut sizes = [0u64; MAX_SECTIONS];
    let mut end = HEADER_BYTES as u64;
    for (index, (_, data)) in sections.iter().enumerate() {
        offsets[index] = end;
        sizes[index] = data.len() as u64;
        end += (SECTION_HEADER_BYTES + data.len()) as u64;
    }
    bytes.extend(offsets.iter().flat_map(|n| n.to_be_bytes()));
    bytes.extend(sizes.iter().flat_map(|n| n.to_be_bytes()));
    bytes.extend([0u8; 8]);
    bytes
}

/// CRC32 over the file without the checksum itself.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..CRC_OFFSET]);
    crc.update(&bytes[HEADER_BYTES..]);
    crc.finalize()
}

/// Checks the fixed fields and hands back the number of sections.
fn parse_header(bytes: &[u8]) -> Result<usize, EifError> {
    if bytes.len() < HEADER_BYTES {
        return Err(EifError::TooShort { found: bytes.len() });
    }
    if bytes[..4] != MAGIC {
        return Err(EifError::Magic);
    }
    let count = be_u16(bytes, 26) as usize;
    if count > MAX_SECTIONS {
        return Err(EifError::SectionCount { found: count });
    }
    let fixed = [
        ("version", u64::from(be_u16(bytes, 4)), u64::from(VERSION)),
        ("flags", u64::from(be_u16(bytes, 6)), u64::from(FLAGS_X86_64)),
        ("memory", be_u64(bytes, 8), DEFAULT_MEMORY_BYTES),
        ("CPUs", be_u64(bytes, 16), DEFAULT_CPUS),
        ("reserved field", u64::from(be_u16(bytes, 24)), 0),
        ("unused field", u64::from(be_u32(bytes, CRC_OFFSET - 4)), 0),
    ];
    for (field, found, expected) in fixed {
        if found != expected {
            return Err(EifError::Header { field, found, expected });
        }
    }
    for index in count..MAX_SECTIONS {
        for at in [offset_of(index), size_of(index)] {
            let found = be_u64(bytes, at);
            if found != 0 {
                let field = "table entry of a section that is not there";
                return Err(EifError::Header { field, found, expected: 0 });
            }
        }
    }
    Ok(count)
}

/// The section that must begin at `begin`. The header's length was checked by the caller.
fn parse_section(
    bytes: &[u8],
    index: usize,
    begin: usize,
) -> Result<(SectionKind, &[u8]), EifError> {
    let (found, size_bytes) = (be_u64(bytes, offset_of(index)), be_u64(bytes, size_of(index)));
    if found != begin as u64 {
        return Err(EifError::SectionOffset { index, found, expected: begin as u64 });
    }
    let too_long = EifError::SectionSize { index, size_bytes };
    let Some(rest) = bytes[begin..].split_at_checked(SECTION_HEADER_BYTES) else {
        return Err(too_long);
    };
    let (own, data) = rest;
    let Some(data) = usize::try_from(size_bytes).ok().and_then(|n| data.get(..n)) else {
        return Err(too_long);
    };
    if be_u16(own, 2) != 0 || be_u64(own, 4) != size_bytes {
        return Err(EifError::SectionHeader { index });
    }
    let code = be_u16(own, 0);
    let expected = match index {
        0 => SectionKind::Kernel,
        1 => SectionKind::CommandLine,
        2 => SectionKind::Metadata,
        _ => SectionKind::Ramdisk,
    };
    if code != expected.code() {
        let name = SectionKind::from_code(code).map_or("unknown", SectionKind::name);
        return Err(EifError::SectionKind { index, code, name, expected: expected.name() });
    }
    Ok((expected, data))
}

fn from_sections(sections: &[(SectionKind, &[u8])]) -> Result<Eif, EifError> {
    let [(_, kernel), (_, command_line), (_, metadata), ramdisks @ ..] = sections else {
        return Err(EifError::Incomplete { found: sections.len() });
    };
    if ramdisks.is_empty() {
        return Err(EifError::Incomplete { found: sections.len() });
    }
    Ok(Eif {
        kernel: kernel.to_vec(),
        command_line: String::from_utf8(command_line.to_vec())
            .map_err(|_| EifError::CommandLine)?,
        metadata: metadata.to_vec(),
        ramdisks: ramdisks.iter().map(|(_, data)| data.to_vec()).collect(),
    })
}

/// Where the header keeps the offset of a section.
fn offset_of(index: usize) -> usize {
    28 + 8 * index
}

/// Where the header keeps the size of a section.
fn size_of(index: usize) -> usize {
    28 + 8 * (MAX_SECTIONS + index)
}

fn be_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    (u32::from(be_u16(bytes, at)) << 16) | u32::from(be_u16(bytes, at + 2))
}

fn be_u64(bytes: &[u8], at: usize) -> u64 {
    (u64::from(be_u32(bytes, at)) << 32) | u64::from(be_u32(bytes, at + 4))
}
