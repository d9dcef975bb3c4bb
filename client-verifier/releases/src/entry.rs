//! A `release.json` (eif-build/RELEASE.md) as it stands in a list: read, never written.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::EntryError;

/// What a client needs of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its number.
    pub number: u32,
    /// Of the program's package.
    pub version: String,
    /// Of the source, if the image was built from exactly a commit.
    pub commit: Option<String>,
    /// PCR0, 1 and 2.
    pub pcrs: [[u8; 48]; 3],
    /// SHA-256 of the provider table within the program.
    pub provider_table: Option<[u8; 32]>,
}

/// The documented fields. Those that only people read are checked for being there and no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    format: String,
    number: Option<u32>,
    version: String,
    commit: Option<String>,
    variant: String,
    pcr0: String,
    pcr1: String,
    pcr2: String,
    provider_table_sha256: Option<String>,
    #[serde(rename = "image")]
    _image: Digest,
    #[serde(rename = "sections")]
    _sections: Vec<Section>,
    #[serde(rename = "command_line")]
    _command_line: String,
    #[serde(rename = "made_of")]
    _made_of: MadeOf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Digest {
    #[serde(rename = "bytes")]
    _bytes: u64,
    #[serde(rename = "sha256")]
    _sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(rename = "bytes")]
    _bytes: u64,
    #[serde(rename = "sha256")]
    _sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeOf {
    #[serde(rename = "kernel")]
    _kernel: Option<KernelSource>,
    #[serde(rename = "kernel_config_sha256")]
    _kernel_config_sha256: String,
    #[serde(rename = "program")]
    _program: Option<ProgramSource>,
    #[serde(rename = "packages")]
    _packages: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KernelSource {
    #[serde(rename = "package")]
    _package: String,
    #[serde(rename = "version")]
    _version: String,
    #[serde(rename = "sha256")]
    _sha256: String,
    #[serde(rename = "recipe_sha256")]
    _recipe_sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramSource {
    #[serde(rename = "package")]
    _package: String,
    #[serde(rename = "rustc")]
    _rustc: String,
    #[serde(rename = "rustflags")]
    _rustflags: Vec<String>,
    #[serde(rename = "profile")]
    _profile: String,
    #[serde(rename = "lockfile_sha256")]
    _lockfile_sha256: String,
}

impl Release {
    /// Reads a `release.json` of a production image that has a number.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let json: Json = serde_json::from_slice(bytes)
            .map_err(|error| EntryError::Json { line: error.line() })?;
        if json.format != "aegis-release/1" {
            return Err(EntryError::Format);
        }
        let number = json.number.ok_or(EntryError::Number { found: "null".to_owned() })?;
        if json.variant != "production" {
            return Err(EntryError::Variant);
        }
        let provider_table = json
            .provider_table_sha256
            .as_deref()
            .map(lower_hex)
            .map(|digest| digest.ok_or(EntryError::ProviderTable));
        Ok(Self {
            number,
            version: json.version,
            commit: json.commit,
            pcrs: [pcr(0, &json.pcr0)?, pcr(1, &json.pcr1)?, pcr(2, &json.pcr2)?],
            provider_table: provider_table.transpose()?,
        })
    }
}

fn pcr(index: u8, text: &str) -> Result<[u8; 48], EntryError> {
    let value: [u8; 48] = lower_hex(text).ok_or(EntryError::Pcr { index })?;
    if value == [0; 48] {
        return Err(EntryError::ZeroPcr { index });
    }
    Ok(value)
}

fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}
