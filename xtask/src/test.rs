//! `cargo xtask test`: everything that must hold before a commit is good, in stages.
//!
//! A stage that fails does not hide the ones behind it. Each prints its time and result; the last
//! line of all is their sum, `N passed, N failed[, N skipped]`.

pub mod libtest;
mod sdk;
mod stages;
mod verifier;

use std::time::Instant;

use clap::ValueEnum;
use libtest::Counts;

use crate::{failure::Failure, workspace::Workspace};

/// A part of the whole, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// rustfmt would change nothing.
    Fmt,
    /// clippy has no warning, in tests either.
    Clippy,
    /// Trusted size, dependency directions, sizes, seeded defects up to date.
    Gates,
    /// All Rust tests, doc tests too.
    Tests,
    /// OpenSSL and the verifier agree on signatures; oldest compiler; no foreign types in its API.
    Verifier,
    /// Each expression of the verifier changed turns a test red. By name only.
    Mutants,
    /// libFuzzer on the verifier and release lists, an hour. By name only; needs a nightly.
    Fuzz,
    /// The official SDKs against `aegis up`.
    Sdk,
    /// Images on an emulated machine: the path through one, and what a client refuses. By name only.
    Boot,
    /// Bans, licences, sources and advisories of third-party crates.
    Deny,
    /// Two seeded defects, chosen by the commit.
    Audit,
}

/// What runs by name only: machines need static programs and Debian's packages, the others an hour.
const BY_NAME: [Stage; 3] = [Stage::Boot, Stage::Mutants, Stage::Fuzz];

/// Which stages to run.
#[derive(Debug, Default, clap::Args)]
pub struct Selection {
    /// Run only this stage (may be given several times)
    #[arg(long, value_name = "STAGE")]
    only: Vec<Stage>,
    /// Leave this stage out (may be given several times)
    #[arg(long, value_name = "STAGE", conflicts_with = "only")]
    skip: Vec<Stage>,
}

impl Selection {
    fn stages(&self) -> Vec<Stage> {
        let usual = |stage: &Stage| self.only.is_empty() && !BY_NAME.contains(stage);
        let wanted = |stage: &Stage| usual(stage) || self.only.contains(stage);
        let all = Stage::value_variants().iter().copied();
        all.filter(wanted).filter(|stage| !self.skip.contains(stage)).collect()
    }
}

/// Runs the stages and prints their sum; refuses if anything failed.
pub fn run(workspace: &Workspace, selection: &Selection) -> Result<(), Failure> {
    println!("builds go to {}", workspace.target.display());
    let begun = Instant::now();
    let total = sum(&selection.stages(), |stage| stages::run(workspace, stage));
    println!("whole run: {}", seconds(begun));
    println!("{total}");
    if total.failed == 0 {
        return Ok(());
    }
    Err(Failure::Refused(String::new()))
}

/// Runs every stage, whatever became of the ones before it.
fn sum(stages: &[Stage], mut run: impl FnMut(Stage) -> Result<Counts, Failure>) -> Counts {
    let mut total = Counts::default();
    for stage in stages {
        let name = stage.to_possible_value().map(|value| value.get_name().to_string());
        let name = name.unwrap_or_default();
        println!("== {name}");
        let begun = Instant::now();
        let counts = run(*stage).unwrap_or_else(|failure| {
            println!("{failure}");
            FAILED
        });
        println!("== {name}: {counts} ({})", seconds(begun));
        total += counts;
    }
    total
}

/// One check that passed.
const PASSED: Counts = Counts { passed: 1, failed: 0, skipped: 0 };
/// One check that failed.
const FAILED: Counts = Counts { passed: 0, failed: 1, skipped: 0 };
/// One check that cannot be made here.
const SKIPPED: Counts = Counts { passed: 0, failed: 0, skipped: 1 };

fn one(passed: bool) -> Counts {
    if passed { PASSED } else { FAILED }
}

fn seconds(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_fails_does_not_hide_the_next() {
        let mut seen = Vec::new();
        let total = sum(&[Stage::Fmt, Stage::Tests, Stage::Deny], |stage| {
            seen.push(stage);
            match stage {
                Stage::Fmt => Err(Failure::Environment("no rustfmt".into())),
                Stage::Tests => Ok(Counts { passed: 5, failed: 1, skipped: 2 }),
                _ => Ok(PASSED),
            }
        });
        assert_eq!(seen, [Stage::Fmt, Stage::Tests, Stage::Deny]);
        assert_eq!(total.to_string(), "6 passed, 2 failed, 2 skipped");
    }

    #[test]
    fn stages_are_chosen_by_name_in_their_order() {
        let all = Stage::value_variants();
        let usual: Vec<_> = all.iter().copied().filter(|stage| !BY_NAME.contains(stage)).collect();
        assert_eq!(Selection::default().stages(), usual);
        let boot = Selection { only: vec![Stage::Boot], skip: Vec::new() };
        assert_eq!(boot.stages(), [Stage::Boot]);
        let only = Selection { only: vec![Stage::Deny, Stage::Fmt], skip: Vec::new() };
        assert_eq!(only.stages(), [Stage::Fmt, Stage::Deny]);
        let skip = Selection { only: Vec::new(), skip: vec![Stage::Sdk] };
        assert_eq!(skip.stages().len(), usual.len() - 1);
    }
}
