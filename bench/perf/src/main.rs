//! `aegis-perf`: measurements beside what users would pick instead, in one run, as ratios.
//!
//! * `aegis-perf setup` fetches the peers that are programs (nginx) into the cache.
//! * `aegis-perf verify [--rounds N]` compares verifiers of attestation documents.
//! * `aegis-perf path` measures the whole path.
//! * `aegis-perf quick` does both.
//!
//! One line for each row, `name value unit bar ok|short|missing`. Exit 0: all was measured; 2 usage; 3
//! something is missing or cannot be measured.

mod arms;
mod build;
mod child;
mod nginx;
mod path;
mod row;
mod site;
mod stats;
mod verify;

use std::io;
use std::process::ExitCode;

use row::Row;

const USAGE: &str = "usage: aegis-perf setup | verify [--rounds N] | path | quick";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let measured = match arguments[..] {
        ["setup"] => nginx::install().map(|()| Vec::new()),
        ["verify"] => verify::run(verify::ROUNDS),
        ["verify", "--rounds", count] => match count.parse() {
            Ok(count @ 1..) => verify::run(count),
            _ => return usage(),
        },
        ["path"] => path(),
        ["quick"] => verify::run(5).and_then(|rows| Ok([path()?, rows].concat())),
        _ => return usage(),
    };
    match measured {
        Ok(rows) => report(&rows),
        Err(error) => {
            eprintln!("aegis-perf: {error}");
            ExitCode::from(3)
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn report(rows: &[Row]) -> ExitCode {
    rows.iter().for_each(|row| println!("{row}"));
    match rows.iter().all(Row::is_measured) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(3),
    }
}

fn path() -> io::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(path::run(path::Rounds::QUICK))
}
