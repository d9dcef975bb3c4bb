//! Functions under 70 lines, files under 500: what one person can hold in mind at once.
//!
//! Every first-party file counts, tests too. There is no list of exceptions.

use std::{fs, path::Path};

use crate::{failure::Failure, source::Source, workspace::Workspace};

/// A function of so many lines, from `fn` to the closing brace, is too long.
pub const FUNCTION_LINES: usize = 70;
/// A file of so many lines is too long.
pub const FILE_LINES: usize = 500;

const SOURCES: &[&str] = &["rs", "py", "js", "mjs", "ts", "sh"];

/// Prints what is too long and refuses the tree if anything is.
pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    let (files, offenders) = check(workspace)?;
    for offender in &offenders {
        println!("{offender}");
    }
    println!("sizes: {files} files, {} too long", offenders.len());
    if offenders.is_empty() {
        return Ok(());
    }
    Err(Failure::Refused("split what is listed above, by ideas and not by lines".into()))
}

/// How many files were looked at, and a line for each that is too long or holds what is.
pub fn check(workspace: &Workspace) -> Result<(usize, Vec<String>), Failure> {
    let (mut files, mut offenders) = (0, Vec::new());
    for file in workspace.files()? {
        let path = workspace.root.join(&file);
        let bytes = fs::read(&path).map_err(|e| Failure::file(&path, &e))?;
        if !is_source(&file, &bytes) {
            continue;
        }
        files += 1;
        let text = String::from_utf8_lossy(&bytes);
        offenders.extend(too_long(&file, &text));
    }
    Ok((files, offenders))
}

/// By its extension, or by its first line when it has none.
fn is_source(file: &Path, bytes: &[u8]) -> bool {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some(extension) => SOURCES.contains(&extension),
        None => bytes.starts_with(b"#!"),
    }
}

fn too_long(file: &Path, text: &str) -> Vec<String> {
    let shown = file.display();
    let mut offenders = Vec::new();
    let lines = text.lines().count();
    if lines >= FILE_LINES {
        offenders.push(format!("{shown}: {lines} lines; files stay under {FILE_LINES}"));
    }
    if file.extension().is_some_and(|extension| extension == "rs") {
        match Source::parse(text) {
            Ok(source) => offenders.extend(long_functions(&shown.to_string(), &source)),
            Err(error) => offenders.push(format!("{shown}: {error}")),
        }
    }
    offenders
}

fn long_functions(file: &str, source: &Source) -> Vec<String> {
    let functions = source.functions().into_iter();
    let long = functions.filter_map(|function| {
        let lines = function.last - function.first + 1;
        let (name, first) = (function.name, function.first);
        (lines >= FUNCTION_LINES).then(|| {
            format!(
                "{file}:{first}: `{name}` has {lines} lines; functions stay under {FUNCTION_LINES}"
            )
        })
    });
    long.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixture::Fixture;

    fn offenders(path: &str, text: &str) -> Vec<String> {
        let fixture = Fixture::new(&[(path, text)]);
        check(&fixture.workspace).unwrap().1
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_of_70_lines_is_too_long() {
        assert_eq!(offenders("a.rs", &function(69)), [""; 0]);
        let found = offenders("tests/a.rs", &function(70));
        assert_eq!(found, ["tests/a.rs:1: `f` has 70 lines; functions stay under 70"]);
    }

    #[test]
    fn a_file_of_500_lines_is_too_long_in_every_language() {
        for path in ["a.rs", "a.py", "a.js", "a.mjs", "a.ts", "a.sh"] {
            assert_eq!(offenders(path, &"\n".repeat(499)), [""; 0]);
            assert_eq!(offenders(path, &"\n".repeat(500)).len(), 1, "{path}");
        }
        let script = format!("#!/bin/sh\n{}", "\n".repeat(499));
        assert_eq!(offenders("tool/run", &script).len(), 1);
    }

    #[test]
    fn data_and_ignored_files_may_be_long() {
        assert_eq!(offenders("a.txt", &"\n".repeat(5_000)), [""; 0]);
        assert_eq!(offenders("target/a.rs", &"\n".repeat(5_000)), [""; 0]);
    }

    #[test]
    fn a_file_that_cannot_be_read_as_rust_is_an_offender() {
        assert_eq!(offenders("a.rs", "fn f( {\n").len(), 1);
    }
}
