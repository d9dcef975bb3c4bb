//! Seeded defects (DESIGN section 12, `audit/README.md`): each patch takes one check out of a copy
//! of the tree, and the tests it names must turn red. A check that can be taken out unnoticed is
//! not held by anything.

mod copy;
mod patch;
mod verdict;

use std::time::Instant;

use sha2::{Digest, Sha256};

pub use patch::Patch;

use crate::{failure::Failure, process, workspace::Workspace};
use copy::Copy;
use verdict::Verdict;

/// How many patches `cargo xtask test` runs.
const SAMPLE: usize = 2;

/// Which patches to run.
#[derive(Debug)]
pub enum Choice {
    /// Every one.
    All,
    /// Those of these names.
    Named(Vec<String>),
    /// Two that the commit decides, so that all get their turn and a run can be repeated.
    ByCommit,
}

/// Runs the chosen patches and prints what became of each; returns (caught, of how many).
pub fn run(workspace: &Workspace, choice: &Choice) -> Result<(usize, usize), Failure> {
    let chosen = choose(workspace, patch::all(workspace)?, choice)?;
    if chosen.is_empty() {
        return Ok((0, 0));
    }
    let copy = Copy::of(workspace)?;
    verdict::green_without(&copy, &chosen)?;
    let mut caught = 0;
    for patch in &chosen {
        let begun = Instant::now();
        let verdict = verdict::with(&copy, patch)?;
        let seconds = begun.elapsed().as_secs();
        println!("{}: {verdict} ({seconds} s)", patch.name);
        caught += usize::from(verdict == Verdict::Caught);
    }
    Ok((caught, chosen.len()))
}

/// Runs, prints the sum, and refuses if a defect went unnoticed.
pub fn report(workspace: &Workspace, choice: &Choice) -> Result<(), Failure> {
    let (caught, of) = run(workspace, choice)?;
    println!("{caught} of {of} seeded defects caught");
    if caught == of {
        return Ok(());
    }
    Err(Failure::Refused(
        "a defect went unnoticed: write the test that sees it, or mend the patch".into(),
    ))
}

/// Cheap: every patch still applies and the tests it names still exist.
pub fn check(workspace: &Workspace) -> Result<(), Failure> {
    let patches = patch::all(workspace)?;
    let metadata = workspace.metadata()?;
    let files: Vec<_> = workspace.files()?.iter().map(|file| workspace.root.join(file)).collect();
    let mut breaches = Vec::new();
    for patch in &patches {
        if !patch.applies(&workspace.root)? {
            breaches.push(format!("{}: does not apply any more", patch.name));
        }
        breaches.extend(patch.unknown_tests(&metadata, &files));
    }
    for breach in &breaches {
        println!("{breach}");
    }
    println!("audit: {} patches, {} stale", patches.len(), breaches.len());
    if breaches.is_empty() {
        return Ok(());
    }
    Err(Failure::Refused("bring the patches named above up to date with the code".into()))
}

fn choose(
    workspace: &Workspace,
    mut patches: Vec<Patch>,
    choice: &Choice,
) -> Result<Vec<Patch>, Failure> {
    match choice {
        Choice::All => {}
        Choice::Named(names) => {
            let known = |name: &&String| patches.iter().any(|patch| patch.name == **name);
            if let Some(unknown) = names.iter().find(|name| !known(name)) {
                let text = format!("{unknown}: no such patch; `ls audit` shows them");
                return Err(Failure::Usage(text));
            }
            patches.retain(|patch| names.contains(&patch.name));
        }
        Choice::ByCommit => {
            let mut git = std::process::Command::new("git");
            git.current_dir(&workspace.root).args(["rev-parse", "HEAD"]);
            let commit = process::text(&mut git)?;
            // Ordered by a hash of commit and name: the first few are a fair draw.
            patches
                .sort_by_key(|patch| Sha256::digest(format!("{} {}", commit.trim(), patch.name)));
            patches.truncate(SAMPLE);
        }
    }
    Ok(patches)
}

#[cfg(test)]
mod tests;
