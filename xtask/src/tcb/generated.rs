//! What build scripts put into the binary. Tables of constants are data and do not count; anything
//! that computes is code and counts like all other.

use std::{collections::BTreeSet, path::PathBuf};

use serde::Deserialize;

use super::{Part, formatted, lines};
use crate::{
    failure::Failure,
    process,
    source::{Production, Source},
    workspace::{Package, Workspace},
};

/// Words that only code has.
const CODE: &[&str] = &[
    "fn",
    "impl",
    "trait",
    "unsafe",
    "extern",
    "macro_rules",
    "mod",
    "use",
    "mut",
    "if",
    "match",
    "for",
    "while",
    "loop",
    "return",
    "async",
    "await",
    "move",
    "!",
    "|",
];

/// A line of cargo's `--message-format json`, as far as it speaks of build scripts.
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    out_dir: Option<PathBuf>,
}

/// Runs the package's build script and counts what of its output is code.
pub(super) fn part(workspace: &Workspace, package: &Package) -> Result<Part, Failure> {
    let mut check = workspace.cargo();
    check.args(["check", "--locked", "--quiet", "--message-format", "json"]);
    check.args(["--package", &package.name]);
    let output = process::text(&mut check)?;
    let messages = output.lines().filter_map(|line| serde_json::from_str(line).ok());
    let folder = messages
        .filter(|m: &Message| m.reason == "build-script-executed")
        .find(|m| m.package_id.as_ref() == Some(&package.id))
        .and_then(|m| m.out_dir);
    let name = format!("{}, generated", package.name);
    let folder = folder.ok_or_else(|| Failure::Refused(format!("{name}: no output is known")))?;
    let mut files = BTreeSet::new();
    super::rust_files(&folder, &mut files)?;
    let mut counted = Vec::new();
    for file in files {
        let shown = PathBuf::from(file.file_name().unwrap_or_default());
        counted.push((shown, code_lines(&file)?));
    }
    Ok(Part { name, files: counted })
}

fn code_lines(file: &PathBuf) -> Result<usize, Failure> {
    let raw = std::fs::read_to_string(file).map_err(|e| Failure::file(file, &e))?;
    let refuse = |reason| Failure::Refused(format!("{}: {reason}", file.display()));
    if is_data(&Source::parse(&raw).map_err(refuse)?.production()) {
        return Ok(0);
    }
    let text = formatted(file)?;
    let production = Source::parse(&text).map_err(refuse)?.production();
    Ok(lines(&text, &production))
}

/// Literals, constructors and constants: no word of [`CODE`] and no call of a function, whose names
/// are in lower case.
fn is_data(production: &Production) -> bool {
    let word = |text: &str| CODE.contains(&text);
    let named_low = |text: &str| text.starts_with(|c: char| c.is_lowercase() || c == '_');
    let mut tokens = production.tokens.windows(2);
    let call = tokens.any(|pair| named_low(&pair[0].text) && pair[1].text == "(");
    !call && !production.tokens.iter().any(|token| word(&token.text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn data(text: &str) -> bool {
        is_data(&Source::parse(text).unwrap().production())
    }

    #[test]
    fn constants_are_data() {
        assert!(data("::a::T { digest: [1, 2], rows: &[::a::R { name: \"fn\", m: Some(3) }] }"));
        assert!(data("pub const A: &[(u8, Option<&str>)] = &[(1, None)];"));
    }

    #[test]
    fn whatever_computes_is_code() {
        for text in [
            "pub fn f() {}",
            "const A: u8 = g(1);",
            "const A: u8 = { if B { 1 } else { 2 } };",
            "const A: F = |x| x;",
            "const A: &str = concat!(\"a\", \"b\");",
            "include!(\"more.rs\");",
        ] {
            assert!(!data(text), "{text}");
        }
    }
}
