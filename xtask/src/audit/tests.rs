//! Patches that are caught and patches that are not, on a package with one check.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fixture::{Fixture, manifest};

const LIB: &str = "\
pub fn check(value: u8) -> bool {
    value == 7
}

#[cfg(test)]
mod tests {
    #[test]
    fn wrong_value_is_refused() {
        assert!(!super::check(8));
    }

    #[test]
    fn right_value_passes() {
        assert!(super::check(7));
    }

    #[test]
    fn wrong_value_in_time() {
        assert!(!super::check(8), \"deadline has elapsed\");
    }
}
";

fn patch(test: &str, line: &str) -> String {
    format!(
        "Why: any value would pass\nExpect-red: lock {test}\n\n\
         --- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -1,3 +1,3 @@\n \
         pub fn check(value: u8) -> bool {{\n-    value == 7\n+    {line}\n }}\n"
    )
}

fn fixture(patch: &str) -> Fixture {
    let manifest = manifest("lock");
    Fixture::new(&[("Cargo.toml", &manifest), ("src/lib.rs", LIB), ("audit/one.patch", patch)])
}

/// What becomes of the one patch, in a copy beside the fixture's own target folder.
fn verdict(fixture: &Fixture) -> Result<Verdict, Failure> {
    let patches = patch::all(&fixture.workspace)?;
    let copy = Copy::at(&fixture.workspace, &fixture.workspace.target.join("copy"))?;
    verdict::green_without(&copy, &patches)?;
    let verdict = verdict::with(&copy, &patches[0])?;
    let path = "src/lib.rs";
    let (ours, theirs) = (fixture.workspace.root.join(path), copy.workspace.root.join(path));
    assert_eq!(std::fs::read(ours).unwrap(), std::fs::read(theirs).unwrap(), "not reverted");
    Ok(verdict)
}

fn reason(patch: &str) -> String {
    match verdict(&fixture(patch)).unwrap() {
        Verdict::NotCaught(reason) => reason,
        Verdict::Caught => panic!("counted as caught"),
    }
}

#[test]
fn a_defect_that_turns_its_tests_red_is_caught() {
    let fixture = fixture(&patch("wrong_value_is_refused", "value < 9"));
    assert_eq!(verdict(&fixture).unwrap(), Verdict::Caught);
    assert!(check(&fixture.workspace).is_ok());
}

#[test]
fn a_defect_that_leaves_a_named_test_green_is_not_caught() {
    assert!(reason(&patch("right_value_passes", "value < 9")).contains("passed"));
    // Both tests bear the text, one of them stays green.
    assert!(reason(&patch("value_", "value < 9")).contains("right_value_passes"));
}

#[test]
fn a_patch_that_does_not_compile_is_not_caught() {
    let reason = reason(&patch("wrong_value_is_refused", "value +"));
    assert!(reason.contains("does not compile"), "{reason}");
}

#[test]
fn a_test_that_only_waited_in_vain_is_not_caught() {
    let reason = reason(&patch("wrong_value_in_time", "value < 9"));
    assert!(reason.contains("time limit"), "{reason}");
}

#[test]
fn a_process_that_dies_is_not_caught() {
    let reason = reason(&patch("wrong_value_is_refused", "{ drop(value); std::process::abort() }"));
    assert!(reason.contains("ran to its end"), "{reason}");
}

#[test]
fn a_patch_that_does_not_apply_is_not_caught_and_is_stale() {
    let stale = patch("wrong_value_is_refused", "true").replace("value == 7", "value == 6");
    assert!(reason(&stale).contains("does not apply"));
    assert!(check(&fixture(&stale).workspace).is_err());
}

#[test]
fn a_test_that_is_red_or_missing_without_the_patch_proves_nothing() {
    let missing = fixture(&patch("no_such_test", "true"));
    assert!(verdict(&missing).is_err());
    assert!(check(&missing.workspace).is_err());
    let red = fixture(&patch("wrong_value_is_refused", "true"));
    red.write("src/lib.rs", &LIB.replace("!super::check(8)", "super::check(8)"));
    assert!(verdict(&red).is_err());
}

#[test]
fn the_commit_draws_two_and_names_must_exist() {
    let one = patch("wrong_value_is_refused", "true");
    let fixture = fixture(&one);
    for name in ["two", "three", "four"] {
        fixture.write(&format!("audit/{name}.patch"), &one);
    }
    let choose = |choice| {
        let all = patch::all(&fixture.workspace).unwrap();
        choose(&fixture.workspace, all, &choice)
    };
    assert_eq!(choose(Choice::All).unwrap().len(), 4);
    assert_eq!(choose(Choice::Named(vec!["two".into()])).unwrap()[0].name, "two");
    assert_eq!(choose(Choice::Named(vec!["six".into()])).unwrap_err().exit_code(), 2);
    fixture.commit();
    let names = |patches: Vec<Patch>| patches.into_iter().map(|p| p.name).collect::<Vec<_>>();
    let drawn = names(choose(Choice::ByCommit).unwrap());
    assert_eq!(drawn.len(), 2);
    assert_eq!(drawn, names(choose(Choice::ByCommit).unwrap()));
}
