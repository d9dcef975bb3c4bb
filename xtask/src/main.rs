//! `cargo xtask`: see the crate's library for what each command holds.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{audit, deps, failure::Failure, sizes, tcb, test, tools, up, workspace::Workspace};

/// Gates and jobs of the Aegis workspace.
///
/// Two commands are all a newcomer needs: `cargo xtask up` starts the whole path on this machine,
/// `cargo xtask test` passes all tests. The others are parts of the second.
///
/// Exit codes: 0 done, 1 refused by a check, 2 usage, 3 environment (network, file, missing tool).
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build agent, host, enclave and mock provider, and start them on this machine
    ///
    /// Arguments go to `aegis up`; `cargo xtask up --help` shows them. Without provider keys in the
    /// environment a built-in mock answers. The first build takes minutes; Ctrl-C ends it all.
    #[command(disable_help_flag = true)]
    Up {
        /// Arguments of `aegis up`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Pass all tests: the command of CI
    ///
    /// Stages: fmt, clippy, gates, tests, verifier, sdk, deny, audit; boot, mutants and fuzz by name. A
    /// stage that fails does not hide the next. What is missing (cargo-deny, the SDKs from PyPI and npm;
    /// for boot Debian packages, a kernel, QEMU) is installed or built into the cache,
    /// ${AEGIS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/aegis}, and said. Where machines cannot be booted, boot
    /// is skipped, with CI=true it fails. With CI=true builds go to the cache too. Last line:
    /// `N passed, N failed`, and `, N skipped` if any were.
    Test(test::Selection),
    /// Count the lines of the trusted path and refuse more than the gate
    ///
    /// Every first-party crate linked into the production binary, after rustfmt at 100 columns:
    /// not blank, not comment, not test; macro bodies included. Last line: `trusted path: N lines`.
    Tcb,
    /// Hold the directions of dependencies, no_std, and the ledger of third-party crates
    Deps,
    /// Refuse functions of 70 lines and files of 500
    Sizes,
    /// Take checks out of a copy of the tree, one patch at a time: tests must turn red
    ///
    /// audit/README.md says how a patch is written. Last line: `N of N seeded defects caught`.
    Audit(Audit),
    /// Run every attack of bench/attacks on a plaintext router and on the sealed path
    ///
    /// Starts `aegis-attacks`; arguments go to it, and --help shows them. Last line: `N attacks: B
    /// succeed against the baseline, S through the sealed path`.
    #[command(disable_help_flag = true)]
    Attacks {
        /// Arguments of `aegis-attacks`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the models and hold the shipped machines against them
    ///
    /// Starts formal/run, which installs what is missing of coq, ocaml-findlib, spass, eprover,
    /// valgrind and patch from Debian, and says so. Arguments (proofs, horn, code, secrets, defects)
    /// choose stages. Last line: `N claims proved, M attacks shown, K defects caught of K`.
    #[command(disable_help_flag = true)]
    Formal {
        /// Arguments of formal/run
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the production image twice in different folders and compare byte by byte
    ///
    /// Starts `aegis-eif image`; eif-build/README.md says what it installs and caches. Run it in a
    /// clean clone. Last line: `image reproducible: yes, PCR0 HEX`.
    #[command(disable_help_flag = true)]
    Image {
        /// Arguments of `aegis-eif image`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build a release twice and write its files: image, manifest, PCRs, bill of materials, checksums
    ///
    /// Starts `aegis-eif release`; `--number N` names it. Whoever gets the folder checks it from a
    /// checkout of the same commit: `cargo run --release -p aegis-eif -- check FOLDER`.
    #[command(disable_help_flag = true)]
    Release {
        /// Arguments of `aegis-eif release`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(clap::Args)]
struct Audit {
    /// Only this patch, its file name without `.patch` (may be given several times)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Every patch (the default)
    #[arg(long, conflicts_with = "only")]
    all: bool,
    /// Only look whether all patches still apply and the tests they name exist
    #[arg(long, conflicts_with_all = ["only", "all"])]
    check: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // `test` has said everything; its sum stays the last line.
            let text = failure.to_string();
            if !text.is_empty() {
                eprintln!("cargo xtask: {text}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let workspace = Workspace::here()?;
    match command {
        Command::Up { arguments } => up::run(&workspace, &arguments),
        Command::Test(selection) => test::run(&workspace, &selection),
        Command::Tcb => tcb::run(&workspace),
        Command::Attacks { arguments } => tools::attacks(&workspace, &arguments),
        Command::Formal { arguments } => tools::formal(&workspace, &arguments),
        Command::Image { arguments } => tools::eif(&workspace, "image", &arguments),
        Command::Release { arguments } => tools::eif(&workspace, "release", &arguments),
        Command::Deps => deps::run(&workspace),
        Command::Sizes => sizes::run(&workspace),
        Command::Audit(Audit { check: true, .. }) => audit::check(&workspace),
        Command::Audit(Audit { only, .. }) if only.is_empty() => {
            audit::report(&workspace, &audit::Choice::All)
        }
        Command::Audit(Audit { only, .. }) => {
            audit::report(&workspace, &audit::Choice::Named(only))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_of_up_pass_through_also_those_that_ask_for_help() {
        let parsed = Cli::try_parse_from(["cargo xtask", "up", "--json", "--help"]);
        let arguments = match parsed.map(|cli| cli.command) {
            Ok(Command::Up { arguments }) => arguments,
            _ => Vec::new(),
        };
        assert_eq!(arguments, ["--json", "--help"]);
    }
}
