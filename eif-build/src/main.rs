//! `aegis-eif`: builds, measures, compares and boots enclave images.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aegis-eif: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
