//! The file of releases that a user accepts by his own judgement, because he rebuilt the image; signed
//! lists ([`crate::lists`]) take its place for everybody else.
//!
//! ```json
//! [{"release": 7, "pcr0": "96 hex digits", "pcr1": "...", "pcr2": "..."}]
//! ```

use std::path::Path;

use aegis_client::Release;
use aegis_verifier::{ImageMeasurement, Pcr};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// One entry as it stands in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The release's number; 0 is the development enclave.
    pub release: u32,
    /// The whole image.
    pub pcr0: String,
    /// Kernel and boot ramdisk.
    pub pcr1: String,
    /// The application.
    pub pcr2: String,
}

impl Entry {
    /// The release, if every register is 96 hexadecimal digits.
    pub fn release(&self) -> Option<Release> {
        let measurement = ImageMeasurement {
            pcr0: Pcr::from_hex(&self.pcr0)?,
            pcr1: Pcr::from_hex(&self.pcr1)?,
            pcr2: Pcr::from_hex(&self.pcr2)?,
        };
        Some(Release { number: self.release, measurement })
    }
}

/// Reads the releases of a file.
pub fn read(path: &Path) -> Result<Vec<Release>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let path = path.display();
        Failure::environment(format!("cannot read the accepted releases {path}: {e}"))
    })?;
    parse(&text).map_err(|reason| {
        let path = path.display();
        Failure::usage(format!(
            "{path} is no list of accepted releases: {reason}; write \
             [{{\"release\":N,\"pcr0\":HEX,\"pcr1\":HEX,\"pcr2\":HEX}}]"
        ))
    })
}

fn parse(text: &str) -> Result<Vec<Release>, String> {
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let bad = |n: u32| format!("a register of release {n} is not 96 hexadecimal digits");
    entries.iter().map(|entry| entry.release().ok_or_else(|| bad(entry.release))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(pcr0: &str, more: &str) -> String {
        let pcr = "ab".repeat(48);
        format!(r#"[{{"release":7,"pcr0":"{pcr0}","pcr1":"{pcr}","pcr2":"{pcr}"{more}}}]"#)
    }

    #[test]
    fn a_list_is_read() {
        let releases = parse(&file(&"01".repeat(48), "")).unwrap();
        assert_eq!(releases[0].number, 7);
        assert_eq!(releases[0].measurement.pcr0, Pcr::new([1; 48]));
    }

    #[test]
    fn a_short_register_an_unknown_key_and_no_list_are_refused() {
        assert!(parse(&file("01", "")).unwrap_err().contains("release 7"));
        assert!(parse(&file(&"01".repeat(48), r#","pcr3":"00""#)).is_err());
        assert!(parse("{}").is_err());
    }
}
