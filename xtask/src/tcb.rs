//! How large the trusted path is (DESIGN section 10).
//!
//! Counted are all lines of every first-party crate that `cargo metadata` shows linked into the
//! production binary, after rustfmt at 100 columns: not blank, not comment, not test. Macro bodies
//! count; a line wider than 100 columns, which rustfmt leaves inside macros, counts as the lines it
//! would fill. What would make a count a guess is refused: attributes that switch rustfmt off,
//! `#[path]`, and `include!` of anything but a build script's output. That output counts where it is
//! more than data. First-party code that only runs while the binary is built is shown beside the
//! count. Data behind `include_str!` is not counted.

mod generated;

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    failure::Failure,
    process,
    source::{Production, Source},
    workspace::{Kinds, Metadata, Package, Target, Workspace},
};

/// Most lines the trusted path may have: a ratchet, moved down with the count. `ARCHITECTURE.md` says
/// what each part costs and why the aim of 1,500 is not reached.
pub const GATE_LINES: usize = 4_243;
/// The package whose binary is `/init` of the production image.
pub const PRODUCTION: &str = "aegis-enclave";

const COLUMNS: usize = 100;

/// What may not stand in a trusted file, as tokens, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (&["rustfmt", ":", ":", "skip"], "rustfmt is switched off"),
    (&["rustfmt_skip"], "rustfmt is switched off"),
    (&["[", "path", "="], "modules stand where their name says"),
    (&[",", "path", "="], "modules stand where their name says"),
];

/// The one `include!` that may stand in a trusted file.
const BUILD_OUTPUT: &[&str] =
    &["include", "!", "(", "concat", "!", "(", "env", "!", "(", "\"OUT_DIR\""];

/// The count of one crate.
#[derive(Debug)]
pub struct Part {
    /// The crate.
    pub name: String,
    /// Lines by file, relative to the crate's folder.
    pub files: Vec<(PathBuf, usize)>,
}

impl Part {
    /// Lines of all files.
    pub fn lines(&self) -> usize {
        self.files.iter().map(|(_, lines)| lines).sum()
    }
}

/// Prints the lines by crate and file and refuses more than the gate.
pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    let count = count(workspace)?;
    for part in &count.linked {
        println!("{:>6}  {}", part.lines(), part.name);
        for (file, lines) in &part.files {
            println!("{lines:>12}  {}", file.display());
        }
    }
    for part in &count.at_build {
        println!(
            "{:>6}  {} (runs while the binary is built, not counted)",
            part.lines(),
            part.name
        );
    }
    let total = count.total();
    println!("trusted path: {total} lines");
    within(total, GATE_LINES)
}

fn within(total: usize, gate: usize) -> Result<(), Failure> {
    if total <= gate {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "the trusted path has {total} lines, the gate stands at {gate}: take something out"
    )))
}

/// What was counted.
#[derive(Debug)]
pub struct Count {
    /// What is in the binary.
    pub linked: Vec<Part>,
    /// What only makes it.
    pub at_build: Vec<Part>,
}

impl Count {
    /// Lines in the binary.
    pub fn total(&self) -> usize {
        self.linked.iter().map(Part::lines).sum()
    }
}

/// Counts every first-party crate of the production binary.
pub fn count(workspace: &Workspace) -> Result<Count, Failure> {
    let metadata = workspace.metadata()?;
    let trusted = trusted(&metadata)?;
    let mut linked = Vec::new();
    let mut at_build = Vec::new();
    for package in metadata.closure(metadata.own(PRODUCTION)?, Kinds::Built) {
        let in_binary = trusted.iter().any(|other| other.name == package.name);
        if package.is_first_party() && !in_binary {
            at_build.push(part(package, &["lib", "bin", "proc-macro"])?);
        }
    }
    for package in trusted {
        linked.push(part(package, &["lib", "bin"])?);
        if package.targets.iter().any(Target::is_build_script) {
            at_build.push(part(package, &["custom-build"])?);
            linked.push(generated::part(workspace, package)?);
        }
    }
    Ok(Count { linked, at_build })
}

/// The first-party crates of the production binary, by name.
pub fn trusted(metadata: &Metadata) -> Result<Vec<&Package>, Failure> {
    let mut linked = metadata.closure(metadata.own(PRODUCTION)?, Kinds::Linked);
    linked.retain(|package| package.is_first_party());
    linked.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(linked)
}

fn part(package: &Package, kinds: &[&str]) -> Result<Part, Failure> {
    let mut files = BTreeSet::new();
    for target in &package.targets {
        if target.is_build_script() && target.is_one_of(kinds) {
            files.insert(target.src_path.clone());
        } else if target.is_one_of(kinds) {
            rust_files(target.src_path.parent().unwrap_or(Path::new("")), &mut files)?;
        }
    }
    let counted = count_files(&files)?;
    let relative = |path: PathBuf| match path.strip_prefix(package.folder()) {
        Ok(relative) => relative.to_path_buf(),
        Err(_) => path,
    };
    Ok(Part {
        name: package.name.clone(),
        files: counted.into_iter().map(|(path, lines)| (relative(path), lines)).collect(),
    })
}

/// Lines by file, without the files that are modules of tests.
fn count_files(files: &BTreeSet<PathBuf>) -> Result<Vec<(PathBuf, usize)>, Failure> {
    let mut counted = Vec::new();
    let mut tests = Vec::new();
    for file in files {
        let text = formatted(file)?;
        let production = production(file, &text)?;
        let below = |path: &Vec<String>| module_folder(file).join(path.iter().collect::<PathBuf>());
        tests.extend(production.test_modules.iter().map(below));
        counted.push((file.clone(), lines(&text, &production)));
    }
    counted.retain(|(file, _)| {
        !tests.iter().any(|test| file.starts_with(test) || *file == test.with_extension("rs"))
    });
    Ok(counted)
}

/// The file's tokens without tests, unless it holds what would make the count a guess.
fn production(file: &Path, text: &str) -> Result<Production, Failure> {
    let refuse = |what: String| Failure::Refused(format!("{}: {what}", file.display()));
    let production = Source::parse(text).map_err(refuse)?.production();
    for (tokens, reason) in REFUSED {
        if let Some(line) = production.find(tokens) {
            let found = tokens.concat();
            return Err(refuse(format!("line {line}: `{found}` is refused here: {reason}")));
        }
    }
    let includes = production.count(&["include", "!"]);
    if includes != production.count(BUILD_OUTPUT) {
        return Err(refuse("`include!` of code that no build script made is refused here".into()));
    }
    Ok(production)
}

fn lines(text: &str, production: &Production) -> usize {
    let text: Vec<_> = text.lines().collect();
    let filled = |line: usize| match text.get(line - 1).map(|line| line.trim_end()) {
        // A blank line inside a string.
        None | Some("") => 0,
        Some(line) => line.chars().count().div_ceil(COLUMNS),
    };
    production.lines().into_iter().map(filled).sum()
}

/// The folder in which the modules of this file stand.
fn module_folder(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default();
    let folder = file.parent().unwrap_or(Path::new(""));
    match stem.to_str() {
        Some("lib" | "main" | "mod") => folder.to_path_buf(),
        _ => folder.join(stem),
    }
}

/// Every Rust file below, except those of packages inside.
fn rust_files(folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(|e| Failure::file(folder, &e))?;
    for entry in entries {
        let path = entry.map_err(|e| Failure::file(folder, &e))?.path();
        if path.is_dir() && !path.join("Cargo.toml").exists() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path);
        }
    }
    Ok(())
}

/// The file as rustfmt would write it, whatever configuration lies about.
fn formatted(file: &Path) -> Result<String, Failure> {
    let text = fs::read(file).map_err(|e| Failure::file(file, &e))?;
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--config-path", "/dev/null"]);
    rustfmt.args(["--config", "max_width=100", "--quiet"]);
    rustfmt.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = rustfmt.spawn().map_err(|e| process::cannot_start(&rustfmt, &e))?;
    let input = child.stdin.take();
    // rustfmt reads all its input before it writes, so the pipes cannot block each other.
    let written = input.map_or(Ok(()), |mut input| input.write_all(&text));
    let output = child.wait_with_output().map_err(|e| Failure::file(file, &e))?;
    if !output.status.success() || written.is_err() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.lines().next().unwrap_or_default();
        let shown = file.display();
        return Err(Failure::Refused(format!("{shown}: rustfmt cannot read it: {reason}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixture::Fixture;

    fn enclave() -> Fixture {
        let fixture = Fixture::packages(&[
            ("aegis-enclave", "enclave", &["aegis-wire"]),
            ("aegis-wire", "enclave/wire", &[]),
            ("aegis-host", "host", &["aegis-wire"]),
        ]);
        fixture.write("enclave/src/main.rs", "fn main() {}\n");
        fixture
    }

    fn total(fixture: &Fixture) -> usize {
        count(&fixture.workspace).unwrap().total()
    }

    #[test]
    fn what_is_linked_counts_and_nothing_else() {
        let fixture = enclave();
        assert_eq!(total(&fixture), 3);
        fixture.write("host/src/lib.rs", "fn host() {}\n");
        fixture.write("enclave/wire/tests/wire.rs", "#[test]\nfn t() {}\n");
        fixture.write("enclave/wire/benches/wire.rs", "fn main() {}\n");
        assert_eq!(total(&fixture), 3);
        fixture.write("enclave/wire/src/deep/er.rs", "fn more() {}\n");
        assert_eq!(total(&fixture), 4);
    }

    #[test]
    fn formatting_does_not_change_the_count() {
        let fixture = enclave();
        fixture.write("enclave/src/main.rs", "fn main() { let a = 1; let b = 2; drop((a, b)); }\n");
        assert_eq!(total(&fixture), 7);
        // Not even where somebody asks rustfmt for something else.
        fixture.write("rustfmt.toml", "max_width = 400\nfn_single_line = true\n");
        assert_eq!(total(&fixture), 7);
    }

    #[test]
    fn a_wide_line_in_a_macro_counts_as_the_lines_it_fills() {
        let fixture = enclave();
        let wide = format!("wide! {{\n    {}\n}}\n", "f();".repeat(60));
        fixture.write("enclave/wire/src/wide.rs", &wide);
        assert_eq!(total(&fixture), 3 + 1 + 3 + 1);
    }

    #[test]
    fn files_of_test_modules_do_not_count() {
        let fixture = enclave();
        fixture.write("enclave/wire/src/lib.rs", "mod a;\n#[cfg(test)]\nmod tests;\n");
        fixture.write("enclave/wire/src/tests.rs", "mod more;\nfn t() {}\n");
        fixture.write("enclave/wire/src/tests/more.rs", "fn t() {}\n");
        fixture.write("enclave/wire/src/a.rs", "#[cfg(test)]\nmod tests;\nfn a() {}\n");
        fixture.write("enclave/wire/src/a/tests.rs", "fn t() {}\n");
        assert_eq!(total(&fixture), 2 + 1 + 1);
    }

    #[test]
    fn what_makes_the_count_a_guess_is_refused() {
        for (text, word) in [
            ("#[rustfmt::skip]\nfn f() {}\n", "rustfmt::skip"),
            ("#[cfg_attr(all(), rustfmt::skip)]\nfn f() {}\n", "rustfmt::skip"),
            ("include!(\"other.txt\");\n", "include!"),
            ("#[path = \"../../x.rs\"]\nmod x;\n", "path"),
            ("#[cfg_attr(all(), path = \"../../x.rs\")]\nmod x;\n", "path"),
        ] {
            let fixture = enclave();
            fixture.write("enclave/wire/src/lib.rs", text);
            let refused = count(&fixture.workspace).unwrap_err();
            assert!(refused.to_string().contains(word), "{refused}");
            assert_eq!(refused.exit_code(), 1);
        }
    }

    /// A crate whose build script writes `text` and whose library includes it.
    fn generating(text: &str) -> Fixture {
        let fixture = enclave();
        let build = format!(
            "fn main() {{\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
             std::fs::write(format!(\"{{out}}/x.rs\"), {text:?}).unwrap();\n}}\n"
        );
        fixture.write("enclave/wire/build.rs", &build);
        let lib = "#![no_std]\ninclude!(concat!(env!(\"OUT_DIR\"), \"/x.rs\"));\n";
        fixture.write("enclave/wire/src/lib.rs", lib);
        fixture
    }

    #[test]
    fn what_a_build_script_makes_counts_unless_it_is_data() {
        let data = "pub const A: &[(u8, Option<&str>)] = &[(1, Some(\"a\")),\n(2, None)];\n";
        assert_eq!(total(&generating(data)), 4);
        let fixture = generating("pub fn f() -> u8 {\n    7\n}\n");
        assert_eq!(total(&fixture), 4 + 3);
        let at_build = count(&fixture.workspace).unwrap().at_build;
        assert_eq!(at_build.iter().map(Part::lines).sum::<usize>(), 4);
    }

    #[test]
    fn more_than_the_gate_is_refused() {
        assert!(within(1_500, 1_500).is_ok());
        assert_eq!(within(1_501, 1_500).unwrap_err().exit_code(), 1);
    }
}
