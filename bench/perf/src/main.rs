//! `aegis-perf`: measurements beside what users would pick instead, in one run, as ratios.
//!
//! `aegis-perf verify [--rounds N] [--build]` compares verifiers of attestation documents. One line
//! for each row, `name value unit bar ok|short|missing`. Exit 0: all was measured; 2 usage; 3 not
//! measured, or something is missing.

mod build;
mod row;
mod stats;
mod verify;

use std::process::ExitCode;

const USAGE: &str = "usage: aegis-perf verify [--rounds N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let rounds = match arguments[..] {
        ["verify"] => Some(verify::ROUNDS),
        ["verify", "--rounds", count] => count.parse().ok().filter(|count| *count > 0),
        _ => None,
    };
    let Some(rounds) = rounds else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match verify::run(rounds) {
        Ok(rows) => {
            rows.iter().for_each(|row| println!("{row}"));
            match rows.iter().all(row::Row::is_measured) {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(3),
            }
        }
        Err(error) => {
            eprintln!("aegis-perf: {error}");
            ExitCode::from(3)
        }
    }
}
