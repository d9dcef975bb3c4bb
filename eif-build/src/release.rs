//! `release.json`: what a release is and what it was made from. `eif-build/RELEASE.md` documents
//! the fields.
//!
//! The file is written once and never re-encoded: whoever signs or lists a release uses these
//! bytes. It has no time, user, host or folder in it, so two builds of one commit write the same
//! file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::cache::sha256_hex;
use crate::eif::Eif;
use crate::measure::Measurements;

/// The only format written and read.
pub const FORMAT: &str = "aegis-release/1";

/// `release.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// [`FORMAT`].
    pub format: String,
    /// Counts releases; null for a build that is none.
    pub number: Option<u32>,
    /// Of the program's package.
    pub version: String,
    /// Of the source; null when the source was not exactly a commit.
    pub commit: Option<String>,
    /// `production` or `debug`.
    pub variant: String,
    /// The whole image, in hexadecimal.
    pub pcr0: String,
    /// The platform.
    pub pcr1: String,
    /// The program.
    pub pcr2: String,
    /// Of the provider table within the program.
    pub provider_table_sha256: Option<String>,
    /// Of the image file.
    pub image: Digest,
    /// Of each section, in the order of the file.
    pub sections: Vec<Section>,
    /// The kernel's command line.
    pub command_line: String,
    /// What was built, and with what.
    pub made_of: MadeOf,
}

/// Length and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Length.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

impl Digest {
    /// Of `data`.
    pub fn of(data: &[u8]) -> Self {
        Self { bytes: data.len() as u64, sha256: sha256_hex(data) }
    }
}

/// One section of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// `kernel`, `command line`, `metadata` or `ramdisk`.
    pub kind: String,
    /// Length and digest.
    #[serde(flatten)]
    pub digest: Digest,
}

/// Sources, flags and compilers. A part that was handed in as a file has no sources: null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeOf {
    /// The kernel's source and recipe.
    pub kernel: Option<KernelSource>,
    /// SHA-256 of the kernel's final configuration.
    pub kernel_config_sha256: String,
    /// The program's source.
    pub program: Option<ProgramSource>,
    /// Debian packages whose versions show in the bytes.
    pub packages: BTreeMap<String, String>,
}

/// Where the kernel comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSource {
    /// Debian source package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the package file.
    pub sha256: String,
    /// SHA-256 over pin, fragments and patches.
    pub recipe_sha256: String,
}

/// Where the program comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSource {
    /// Package and binary.
    pub package: String,
    /// First line of `rustc -vV`.
    pub rustc: String,
    /// With folders under the names that they are mapped to.
    pub rustflags: Vec<String>,
    /// cargo's.
    pub profile: String,
    /// SHA-256 of Cargo.lock.
    pub lockfile_sha256: String,
}

/// What `release.json` says besides what the image itself says.
#[derive(Clone, Debug)]
pub struct Origin {
    /// See [`Release::number`].
    pub number: Option<u32>,
    /// See [`Release::version`].
    pub version: String,
    /// See [`Release::commit`].
    pub commit: Option<String>,
    /// See [`Release::variant`].
    pub variant: String,
    /// The table's bytes.
    pub provider_table: Option<Vec<u8>>,
    /// See [`Release::made_of`].
    pub made_of: MadeOf,
}

impl Release {
    /// The manifest of `image`, whose file is `bytes`.
    pub fn new(image: &Eif, bytes: &[u8], origin: Origin) -> Self {
        let measured = Measurements::of(image);
        let section = |(kind, data): (crate::format::SectionKind, &[u8])| Section {
            kind: kind.name().to_owned(),
            digest: Digest::of(data),
        };
        Self {
            format: FORMAT.to_owned(),
            number: origin.number,
            version: origin.version,
            commit: origin.commit,
            variant: origin.variant,
            pcr0: measured.pcr0.to_string(),
            pcr1: measured.pcr1.to_string(),
            pcr2: measured.pcr2.to_string(),
            provider_table_sha256: origin.provider_table.map(|table| sha256_hex(&table)),
            image: Digest::of(bytes),
            sections: image.sections().into_iter().map(section).collect(),
            command_line: image.command_line.clone(),
            made_of: origin.made_of,
        }
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers and maps with string keys always serialise.
        let mut text = serde_json::to_vec_pretty(self).expect("a release is plain data");
        text.push(b'\n');
        text
    }

    /// Reads the file, and refuses other formats and unknown fields.
    ///
    /// # Errors
    /// When it is not a release of this format.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let refused = |reason| Error::Configuration { path: path.to_path_buf(), reason };
        let release: Self = serde_json::from_slice(bytes).map_err(|e| refused(e.to_string()))?;
        if release.format != FORMAT {
            return Err(refused(format!("format is {:?}, expected {FORMAT:?}", release.format)));
        }
        Ok(release)
    }

    /// Whether the image is the one that this manifest describes.
    ///
    /// # Errors
    /// [`Error::Differs`] naming the first field that disagrees.
    pub fn check_image(&self, image: &Eif, bytes: &[u8]) -> Result<(), Error> {
        let measured = Measurements::of(image);
        let found = Digest::of(bytes);
        let fields = [
            ("image.sha256", &self.image.sha256, found.sha256),
            ("pcr0", &self.pcr0, measured.pcr0.to_string()),
            ("pcr1", &self.pcr1, measured.pcr1.to_string()),
            ("pcr2", &self.pcr2, measured.pcr2.to_string()),
            ("command_line", &self.command_line, image.command_line.clone()),
        ];
        for (field, said, is) in fields {
            if *said != is {
                let reason = format!("release.json says {field} {said}, the image has {is}");
                return Err(Error::Differs(reason));
            }
        }
        Ok(())
    }
}
