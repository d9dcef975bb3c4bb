//! The ledger of third-party crates in the trusted path: a table in `ARCHITECTURE.md`, one row for
//! each crate that a trusted crate names in its manifest, with the reason why it is there.

use std::{collections::BTreeMap, fs};

use super::named_by_trusted;
use crate::{
    failure::Failure,
    workspace::{Metadata, Workspace},
};

const FILE: &str = "ARCHITECTURE.md";
const HEADING: &str = "Third-party crates in the trusted path";

/// Crates without a row, rows without a crate, rows without a reason.
pub(super) fn check(workspace: &Workspace, metadata: &Metadata) -> Result<Vec<String>, Failure> {
    let path = workspace.root.join(FILE);
    let text = fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
    let rows = rows(&text);
    let named = named_by_trusted(metadata)?;
    let mut breaches = Vec::new();
    for name in &named {
        match rows.get(name.as_str()) {
            None => breaches.push(format!("{name}: no row in {FILE}, \"{HEADING}\"")),
            Some(reason) if reason.split_whitespace().count() < 3 => {
                breaches.push(format!("{name}: its row in {FILE} gives no reason"));
            }
            Some(_) => {}
        }
    }
    let stale = rows.keys().filter(|name| !named.contains(**name));
    breaches.extend(stale.map(|name| format!("{name}: has a row in {FILE} and is not used")));
    Ok(breaches)
}

/// Crate to reason, from rows of the form ``| `name` | reason |`` below the heading.
fn rows(text: &str) -> BTreeMap<&str, &str> {
    let below = text.lines().skip_while(|line| {
        let title = line.trim_start_matches('#').trim();
        !line.starts_with('#') || title != HEADING
    });
    let section = below.skip(1).take_while(|line| !line.starts_with('#'));
    section
        .filter_map(|line| {
            let (name, reason) = line.strip_prefix("| `")?.split_once("` |")?;
            Some((name, reason.trim().trim_end_matches('|').trim()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_their_section_only() {
        let text = "## Other\n| `no` | not a row of ours |\n## Third-party crates in the trusted path\n\
                    Words.\n\n| crate | why |\n|---|---|\n| `bytes` | buffers without copies |\n\
                    | `http` | |\n## Next\n| `tokio` | not this one either |\n";
        let rows = rows(text);
        let expected = [("bytes", "buffers without copies"), ("http", "")];
        assert_eq!(rows.into_iter().collect::<Vec<_>>(), expected);
    }
}
