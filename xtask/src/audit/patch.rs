//! A patch file: header lines that say why and what turns red, then a diff.

use std::{fs, path::Path, path::PathBuf, process::Command};

use crate::{
    failure::Failure,
    process,
    workspace::{Metadata, Workspace},
};

/// A seeded defect.
#[derive(Debug, PartialEq, Eq)]
pub struct Patch {
    /// File name without `.patch`.
    pub name: String,
    /// What an attacker would gain.
    pub why: String,
    /// What must turn red.
    pub expected: Vec<Expected>,
    path: PathBuf,
}

/// Tests of a package: all whose path contains this text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    /// The package.
    pub package: String,
    /// Part of the tests' paths.
    pub test: String,
}

/// Every patch in `audit/`, by name.
pub(super) fn all(workspace: &Workspace) -> Result<Vec<Patch>, Failure> {
    let folder = workspace.root.join("audit");
    let entries = fs::read_dir(&folder).map_err(|e| Failure::file(&folder, &e))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
        .collect();
    paths.sort();
    paths.into_iter().map(Patch::read).collect()
}

impl Patch {
    fn read(path: PathBuf) -> Result<Self, Failure> {
        let text = fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::parse(&name, &text, path)
            .map_err(|reason| Failure::Refused(format!("audit/{name}.patch: {reason}")))
    }

    fn parse(name: &str, text: &str, path: PathBuf) -> Result<Self, &'static str> {
        let (mut why, mut expected) = (None, Vec::new());
        let header = text.lines().take_while(|line| !line.is_empty());
        for line in header {
            match line.split_once(": ") {
                Some(("Why", reason)) => why = Some(reason.trim().to_string()),
                Some(("Expect-red", words)) => expected.push(Expected::parse(words)?),
                _ => return Err("its header has a line that is neither `Why:` nor `Expect-red:`"),
            }
        }
        if expected.is_empty() {
            return Err("its header has no `Expect-red: PACKAGE TEST`");
        }
        Ok(Self {
            name: name.into(),
            why: why.filter(|why| !why.is_empty()).ok_or("its header has no `Why:`")?,
            expected,
            path,
        })
    }

    /// Whether the diff fits the files below `root`.
    pub(super) fn applies(&self, root: &Path) -> Result<bool, Failure> {
        process::passes(self.git_apply(root).arg("--check").stderr(std::process::Stdio::null()))
    }

    /// Changes the files below `root`.
    pub(super) fn apply(&self, root: &Path) -> Result<(), Failure> {
        process::text(&mut self.git_apply(root)).map(drop)
    }

    /// Undoes what [`Self::apply`] did.
    pub(super) fn revert(&self, root: &Path) -> Result<(), Failure> {
        process::text(self.git_apply(root).arg("--reverse")).map(drop)
    }

    fn git_apply(&self, root: &Path) -> Command {
        let mut git = Command::new("git");
        git.current_dir(root);
        // A repository further up must not decide which paths the patch may touch.
        git.env("GIT_CEILING_DIRECTORIES", root.parent().unwrap_or(root));
        git.arg("apply").arg(&self.path);
        git
    }

    /// Named tests of which nothing in the package's files bears the name.
    pub(super) fn unknown_tests(&self, metadata: &Metadata, files: &[PathBuf]) -> Vec<String> {
        let mut unknown = Vec::new();
        for Expected { package, test } in &self.expected {
            let Ok(found) = metadata.own(package) else {
                unknown.push(format!("{}: {package} is no package of the workspace", self.name));
                continue;
            };
            let mut files = files.iter().filter(|file| {
                file.starts_with(found.folder()) && file.extension().is_some_and(|e| e == "rs")
            });
            // The last part of a path is the name of a function or module; the rest depends on
            // where that stands, which only a build tells.
            let name = test.rsplit("::").find(|part| !part.is_empty()).unwrap_or(test);
            let names = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|t| t.contains(name));
            if !files.any(names) {
                unknown.push(format!("{}: {package} has no test `{test}`", self.name));
            }
        }
        unknown
    }
}

impl Expected {
    fn parse(words: &str) -> Result<Self, &'static str> {
        let mut words = words.split_whitespace().map(String::from);
        match (words.next(), words.next(), words.next()) {
            (Some(package), Some(test), None) => Ok(Self { package, test }),
            _ => Err("`Expect-red:` takes a package and a part of a test's path"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Patch, &'static str> {
        Patch::parse("name", text, PathBuf::new())
    }

    #[test]
    fn a_header_names_the_reason_and_the_tests() {
        let text = "Why: a reason\nExpect-red: a b::c\nExpect-red: d e\n\ndiff --git a/x b/x\nWhy: not header\n";
        let red =
            |package: &str, test: &str| Expected { package: package.into(), test: test.into() };
        let expected = Patch {
            name: "name".into(),
            why: "a reason".into(),
            expected: vec![red("a", "b::c"), red("d", "e")],
            path: PathBuf::new(),
        };
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn a_header_that_lacks_something_is_refused() {
        assert!(parse("Why: a reason\n\ndiff\n").is_err_and(|e| e.contains("Expect-red")));
        assert!(parse("Expect-red: a b\n\ndiff\n").is_err_and(|e| e.contains("Why")));
        assert!(parse("Why: \nExpect-red: a b\n\n").is_err());
        assert!(parse("Why: r\nExpect-red: a\n\n").is_err_and(|e| e.contains("takes a package")));
        assert!(parse("Why: r\nExpect-red: a b c\n\n").is_err());
        assert!(parse("diff --git a/x b/x\n").is_err());
    }
}
