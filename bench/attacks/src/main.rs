//! `aegis-attacks`: runs every attack in both places and prints what became of it.

use std::io;
use std::process::ExitCode;

use aegis_attacks::api;
use aegis_attacks::place::Trust;
use aegis_attacks::report;
use aegis_attacks::report::Found;
use clap::Parser;

/// Every known attack of a malicious LLM router, live on a plaintext router and the sealed path
///
/// The last line is `N attacks: B succeed against the baseline, S through the sealed path`.
///
/// Exit codes: 0 all N against the baseline and none through the sealed path, 1 otherwise, 2 usage,
/// 3 environment.
#[derive(Parser)]
#[command(name = "aegis-attacks", max_term_width = 100)]
struct Cli {
    /// Only attacks whose name begins like this (may be given several times)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Take away what the sealed path stands on: the adversary holds the key that signs evidence and
    /// the certificate authority of the providers. The attacks must then get through
    #[arg(long)]
    broken_trust: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("aegis-attacks: {error}");
            let usage = error.kind() == io::ErrorKind::InvalidInput;
            ExitCode::from(if usage { 2 } else { 3 })
        }
    }
}

async fn run(cli: &Cli) -> io::Result<bool> {
    let (attacks, adaptive) = (report::chosen(&cli.only), report::chosen_adaptive(&cli.only));
    if attacks.is_empty() && adaptive.is_empty() {
        let names = "no attack has such a name; bench/attacks/ATTACKS.md lists them";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, names));
    }
    let trust = if cli.broken_trust { Trust::Broken } else { Trust::Kept };
    let (mut found, mut verdicts) = (Vec::new(), Vec::new());
    for attack in attacks {
        found.push(Found::run(attack.as_ref(), &api::variants(), trust).await?);
        eprintln!("{}: done", attack.id());
    }
    for attack in adaptive {
        verdicts.push((attack.id, (attack.run)().await?));
        eprintln!("{}: done", attack.id);
    }
    println!("{}", report::table(&found));
    println!("{}", report::adaptive_table(&verdicts));
    println!("{}", report::adaptive_line(&verdicts));
    println!("{}", report::last_line(&found));
    let sealed = verdicts.iter().all(|(_, verdict)| !report::is_through(verdict));
    Ok(sealed && found.iter().all(|row| row.baseline.all_succeed() && !row.through()))
}
