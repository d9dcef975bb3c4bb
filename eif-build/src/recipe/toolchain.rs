//! The compilers whose versions end up in the image's bytes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Error;
use crate::recipe::Context;
use crate::recipe::apt;
use crate::recipe::command;

const PINS: &str = include_str!("../../toolchain.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pins {
    packages: BTreeMap<String, String>,
}

/// Package versions by package name.
pub type Versions = BTreeMap<String, String>;

/// The installed versions, after checking them against the pins.
///
/// # Errors
/// [`Error::Toolchain`] when one differs, unless the context allows any.
pub fn check(context: &Context) -> Result<Versions, Error> {
    let pins = pins()?;
    let names: Vec<&str> = pins.keys().map(String::as_str).collect();
    apt::ensure(context, &names)?;
    let mut versions = Versions::new();
    for (package, expected) in pins {
        let found = apt::installed(&package)?.unwrap_or_else(|| "not installed".to_owned());
        if !context.any_toolchain {
            require(&package, &expected, &found)?;
        }
        versions.insert(package, found);
    }
    Ok(versions)
}

fn require(package: &str, expected: &str, found: &str) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Toolchain {
        package: package.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

/// What `rustc -vV` says, for the toolchain that `rust-toolchain.toml` in `source` names.
///
/// # Errors
/// When rustc cannot be run.
pub fn rustc(source: &std::path::Path) -> Result<String, Error> {
    let text = command::capture(command::program("rustc").arg("-vV").current_dir(source))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn pins() -> Result<Versions, Error> {
    toml::from_str::<Pins>(PINS).map(|pins| pins.packages).map_err(|e| Error::Configuration {
        path: "eif-build/toolchain.toml".into(),
        reason: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_compiler_assembler_and_c_library_are_pinned() {
        let names: Vec<String> = pins().unwrap().into_keys().collect();
        assert_eq!(names, ["binutils", "gcc-12", "libc6-dev"]);
    }

    #[test]
    fn another_compiler_is_refused() {
        require("gcc-12", "12.2.0-14", "12.2.0-14").unwrap();
        let error = require("gcc-12", "12.2.0-14", "12.3.0-1").unwrap_err();
        assert!(error.to_string().starts_with("gcc-12 is 12.3.0-1, "), "{error}");
        assert_eq!(error.exit_code(), 3);
    }
}
