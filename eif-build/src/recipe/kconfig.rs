//! Kernel configurations: reading them, and comparing the final one with what the fragments ask
//! for.
//!
//! `make olddefconfig` drops what it cannot satisfy and ignores what it does not know, both without
//! an error, so the result is compared line by line.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::Error;

/// Option names without `CONFIG_`, and their values; `n` stands for "is not set".
pub type Settings = BTreeMap<String, String>;

/// The settings of a fragment or a `.config`; a later line replaces an earlier one.
pub fn parse(text: &str) -> Settings {
    text.lines()
        .filter_map(|line| {
            let (name, value) = match line.strip_prefix("# ") {
                Some(rest) => (rest.strip_suffix(" is not set")?, "n"),
                None => line.split_once('=')?,
            };
            Some((name.strip_prefix("CONFIG_")?.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Where `actual` is not as `wanted`, and which wanted names no `Kconfig` file declares.
pub fn differences(
    wanted: &Settings,
    actual: &Settings,
    declared: &BTreeSet<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in wanted {
        if !declared.contains(name) {
            found.push(format!("CONFIG_{name} is no option of this kernel"));
            continue;
        }
        let is = actual.get(name).map_or("n", String::as_str);
        if is != value {
            found.push(format!("CONFIG_{name} is {is}, wanted {value}"));
        }
    }
    found
}

/// The options that the `Kconfig` files below `folder` declare.
///
/// # Errors
/// What the file system says.
pub fn declared_below(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::file("read", &folder))? {
            let entry = entry.map_err(Error::file("read", &folder))?;
            let kind = entry.file_type().map_err(Error::file("read", &folder))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with("Kconfig") {
                let path = entry.path();
                let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
                names.extend(declarations(&String::from_utf8_lossy(&bytes)));
            }
        }
    }
    Ok(names)
}

fn declarations(kconfig: &str) -> Vec<String> {
    let keywords = ["config", "menuconfig"];
    let name = |line: &str| {
        let mut words = line.split_whitespace();
        let keyword = words.next()?;
        keywords.contains(&keyword).then(|| words.next()).flatten().map(str::to_owned)
    };
    kconfig.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn a_dropped_option_shows() {
        let wanted = parse("CONFIG_NSM=y\n# CONFIG_INET is not set\nCONFIG_NR_CPUS=64\n");
        let actual = parse("CONFIG_INET=y\nCONFIG_NR_CPUS=64\n");
        assert_eq!(
            differences(&wanted, &actual, &declared(&["NSM", "INET", "NR_CPUS"])),
            ["CONFIG_INET is y, wanted n", "CONFIG_NSM is n, wanted y"]
        );
    }

    #[test]
    fn a_misspelt_option_shows_even_when_it_is_to_be_absent() {
        let wanted = parse("# CONFIG_MODULS is not set\n");
        let found = differences(&wanted, &Settings::new(), &declared(&["MODULES"]));
        assert_eq!(found, ["CONFIG_MODULS is no option of this kernel"]);
    }

    #[test]
    fn equal_settings_have_no_differences() {
        let text = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x=y\"\n";
        assert_eq!(parse(text)["C"], "\"x=y\"");
        let none: Vec<String> = Vec::new();
        assert_eq!(differences(&parse(text), &parse(text), &declared(&["A", "B", "C"])), none);
    }

    #[test]
    fn the_later_fragment_wins() {
        assert_eq!(parse("# CONFIG_TTY is not set\nCONFIG_TTY=y\n")["TTY"], "y");
    }

    #[test]
    fn declarations_are_found_indented_or_not() {
        let text = "menuconfig NET\n  config VSOCKETS\n\tbool\n# config NOT\nconfigure X\n";
        assert_eq!(declarations(text), ["NET", "VSOCKETS"]);
    }
}
