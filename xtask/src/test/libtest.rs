//! What libtest prints: each test with its outcome, what failed tests said, and the sums.

use std::{collections::BTreeMap, fmt};

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `ok`
    Passed,
    /// `FAILED`
    Failed,
    /// `ignored`
    Ignored,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Ignored => "was ignored",
        })
    }
}

/// One run of `cargo test`.
#[derive(Debug, Default)]
pub struct Run {
    /// Every test that ended, by its path.
    pub tests: BTreeMap<String, Outcome>,
    said: BTreeMap<String, String>,
}

impl Run {
    /// Reads a run's whole output.
    pub fn parse(output: &str) -> Self {
        let mut run = Self::default();
        let mut speaker = None;
        for line in output.lines() {
            if let Some((path, outcome)) = ended(line) {
                // Tests of several executables may share a path: the worst outcome stands.
                let entry = run.tests.entry(path.into()).or_insert(outcome);
                if outcome == Outcome::Failed {
                    *entry = outcome;
                }
            }
            let header = line.strip_prefix("---- ").and_then(|l| l.strip_suffix(" ----"));
            speaker = match header {
                Some(path) => Some(path.strip_suffix(" stdout").unwrap_or(path)),
                None if line == "failures:" || line == "successes:" => None,
                None => speaker,
            };
            if let Some(path) = speaker {
                let said = run.said.entry(path.into()).or_default();
                said.push_str(line);
                said.push('\n');
            }
        }
        run
    }

    /// What a failed test printed, its panic included.
    pub fn said(&self, test: &str) -> &str {
        self.said.get(test).map_or("", String::as_str)
    }
}

/// `test PATH ... OUTCOME`; libtest-mimic pads the path with spaces.
fn ended(line: &str) -> Option<(&str, Outcome)> {
    let (path, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let path = path.split(" - should panic").next().unwrap_or(path);
    let outcome = match outcome.split([',', ' ']).next()? {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Ignored,
        _ => return None,
    };
    Some((path.trim_end(), outcome))
}

/// The sums of one test executable.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that were not run, each named in the output.
    pub skipped: usize,
}

impl Counts {
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; ...`
    pub fn of_result(line: &str) -> Option<Self> {
        let sums = line.strip_prefix("test result: ")?.split_once(". ")?.1;
        let sum = |word: &str| {
            let found = sums.split("; ").find_map(|sum| sum.strip_suffix(word))?;
            found.trim().parse().ok()
        };
        let (passed, failed) = (sum("passed")?, sum("failed")?);
        let skipped = sum("ignored")?;
        Some(Self { passed, failed, skipped })
    }

    /// `N passed, N failed[, N skipped]`, the last line of every test program of ours.
    pub fn of_last_line(line: &str) -> Option<Self> {
        let mut counts = Self::default();
        let mut words = Vec::new();
        for part in line.trim().split(", ") {
            let (number, word) = part.split_once(' ')?;
            let number = number.parse().ok()?;
            match word {
                "passed" => counts.passed = number,
                "failed" => counts.failed = number,
                "skipped" => counts.skipped = number,
                _ => return None,
            }
            words.push(word);
        }
        words.starts_with(&["passed", "failed"]).then_some(counts)
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Self { passed, failed, skipped } = other;
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const OUTPUT: &str = "\
running 4 tests
test a::good ... ok
test a::bad ... FAILED
test slow ... ignored, needs a machine
test dies - should panic ... ok

failures:

---- a::bad stdout ----

thread 'a::bad' panicked at src/lib.rs:3:5:
deadline has elapsed

failures:
    a::bad

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn tests_and_their_words_are_found() {
        let run = Run::parse(OUTPUT);
        let outcomes: Vec<_> = run.tests.iter().map(|(t, o)| (t.as_str(), *o)).collect();
        let expected = [
            ("a::bad", Outcome::Failed),
            ("a::good", Outcome::Passed),
            ("dies", Outcome::Passed),
            ("slow", Outcome::Ignored),
        ];
        assert_eq!(outcomes, expected);
        assert!(run.said("a::bad").contains("deadline has elapsed"));
        assert_eq!(run.said("a::good"), "");
    }

    #[test]
    fn the_output_of_libtest_mimic_is_read_alike() {
        let output = "test short  ... FAILED\n\nfailures:\n\n---- short ----\nwords\n";
        let run = Run::parse(output);
        assert_eq!(run.tests["short"], Outcome::Failed);
        assert!(run.said("short").contains("words"));
    }

    #[test]
    fn the_worst_of_two_tests_with_one_path_stands() {
        let run = Run::parse("test t ... FAILED\ntest t ... ok\n");
        assert_eq!(run.tests["t"], Outcome::Failed);
    }

    #[test]
    fn sums_are_read_and_written() {
        let line = OUTPUT.lines().last().unwrap();
        let counts = Counts::of_result(line).unwrap();
        assert_eq!(counts.to_string(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(Counts::of_last_line("2 passed, 1 failed, 1 skipped"), Some(counts));
        let two = Counts { skipped: 0, ..counts };
        assert_eq!(two.to_string(), "2 passed, 1 failed");
        assert_eq!(Counts::of_last_line("2 passed, 1 failed"), Some(two));
        for other in ["2 passed", "passed, failed", "all good", "2 passed, 1 broken"] {
            assert_eq!(Counts::of_last_line(other), None);
        }
    }
}
