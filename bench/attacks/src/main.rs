//! `aegis-attacks`: runs every attack in both places and prints what became of it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use aegis_attacks::api;
use aegis_attacks::defences;
use aegis_attacks::defences::Gate;
use aegis_attacks::defences::Log;
use aegis_attacks::defences::Screening;
use aegis_attacks::place::Trust;
use aegis_attacks::real;
use aegis_attacks::real::install;
use aegis_attacks::real::namespace;
use aegis_attacks::real::registry::Registry;
use aegis_attacks::report;
use aegis_attacks::report::Found;
use aegis_attacks::run::Executor;
use clap::Parser;

/// Every known attack of a malicious LLM router, live on a plaintext router and the sealed path
///
/// First with a small agent, in every native API, streamed and not; then, one attack of each class,
/// with Codex CLI and Claude Code, which are installed from npm into the cache, in a network
/// namespace without a route. The last line is `N attacks: B succeed against the baseline, S through the sealed path`.
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
    /// Write what is printed to bench/attacks/RESULTS.md, too
    #[arg(long)]
    write: bool,
    /// Leave Codex CLI and Claude Code out
    #[arg(long)]
    no_agents: bool,
    /// Run every attack on Codex CLI and Claude Code, not one of each class
    #[arg(long, conflicts_with = "no_agents")]
    all_agents: bool,
    /// Only Codex CLI and Claude Code, here; this program starts itself like this in a namespace
    #[arg(long, hide = true)]
    inside: bool,
}

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

const HEAD: &str = "# Results\n\nWritten by `cargo xtask attacks --write`; [`ATTACKS.md`](ATTACKS.md) says \
    what the columns are.\n";

/// Each takes a coding agent some seconds in each place.
const ONE_OF_EACH_CLASS: [&str; 4] =
    ["AC-1-rewrite", "AC-1.a-typosquat", "AC-1.b-tool", "AC-2-request"];

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = if cli.inside { agents(&cli).await } else { all(&cli).await };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("aegis-attacks: {error}");
            let usage = error.kind() == io::ErrorKind::InvalidInput;
            ExitCode::from(if usage { 2 } else { 3 })
        }
    }
}

impl Cli {
    fn trust(&self) -> Trust {
        if self.broken_trust { Trust::Broken } else { Trust::Kept }
    }

    /// The attacks that the coding agents meet.
    fn only_agents(&self) -> Vec<String> {
        if self.all_agents || !self.only.is_empty() {
            return self.only.clone();
        }
        ONE_OF_EACH_CLASS.map(str::to_owned).to_vec()
    }
}

async fn all(cli: &Cli) -> io::Result<bool> {
    let (attacks, adaptive) = (report::chosen(&cli.only), report::chosen_adaptive(&cli.only));
    if attacks.is_empty() && adaptive.is_empty() {
        let names = "no attack has such a name; bench/attacks/ATTACKS.md lists them";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, names));
    }
    let executors = Executor::small(&api::variants());
    let (mut found, mut verdicts) = (Vec::new(), Vec::new());
    for attack in &attacks {
        found.push(Found::run(attack.as_ref(), &executors, cli.trust()).await?);
        eprintln!("{}: done", attack.id());
    }
    for attack in adaptive {
        verdicts.push((attack.id, (attack.run)().await?));
        eprintln!("{}: done", attack.id);
    }
    let mut sections = Vec::new();
    if !found.is_empty() {
        sections.push(format!("## Attacks\n\n{}", report::table(&found)));
    }
    if !verdicts.is_empty() {
        sections.push(format!("## Adaptive attacks\n\n{}", report::adaptive_table(&verdicts)));
    }
    if cli.only.is_empty() {
        sections.push(format!("## Defences of a client\n\n{}", compared(&found).await?));
    }
    let mut good = report::holds(&found);
    good &= verdicts.iter().all(|(_, verdict)| !report::is_through(verdict));
    if !cli.no_agents && !found.is_empty() {
        let (agents, held) = in_a_namespace()?;
        sections.push(format!("## Coding agents\n\n{agents}"));
        good &= held;
    }
    let adaptive = report::adaptive_line(&verdicts);
    sections.push(format!("{adaptive}\n\n{}\n", report::last_line(&found)));
    let text = sections.join("\n");
    print!("{text}");
    if cli.write {
        std::fs::write(RESULTS, format!("{HEAD}\n{text}"))?;
    }
    Ok(good)
}

/// The defences of a client beside the sealed path.
async fn compared(found: &[Found]) -> io::Result<String> {
    let (corpus, mut log) = (defences::attacked().await?, Log::default());
    let screening = Screening::learned(&defences::benign(0));
    let judged = [defences::judge(&Gate, &corpus), defences::judge(&screening, &corpus)];
    corpus.iter().for_each(|call| log.append(&call.command));
    let changed = defences::benign_changed_by_sealing().await?;
    Ok(defences::table(&judged, &log, found, changed))
}

/// Runs the coding agents where nothing can be reached; skips them by name where that cannot be had.
fn in_a_namespace() -> io::Result<(String, bool)> {
    let skipped = |why: String| (format!("skipped: Codex CLI, Claude Code ({why})\n"), true);
    // In the namespace nothing can be installed any more.
    if let Err(error) = install::installed() {
        return Ok(skipped(error.to_string()));
    }
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    arguments.push("--inside".into());
    let Some(output) = namespace::again(&arguments)? else {
        return Ok(skipped("no network namespace can be made here".to_owned()));
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((text, output.status.success()))
}

async fn agents(cli: &Cli) -> io::Result<bool> {
    namespace::check()?;
    let (packages, registry) = (install::installed()?, Registry::start().await?);
    let mut good = true;
    for agent in real::AGENTS {
        let (mut found, mut asked) = (Vec::new(), [BTreeSet::new(), BTreeSet::new()]);
        for attack in report::chosen(&cli.only_agents()) {
            let executor = [Executor::Real(agent, &packages, &registry)];
            let baseline = Found::at_baseline(attack.as_ref(), &executor).await?;
            asked[0].extend(registry.take());
            let sealed = Found::at_sealed(attack.as_ref(), &executor, cli.trust()).await?;
            asked[1].extend(registry.take());
            found.push(Found { id: attack.id(), baseline, sealed });
            eprintln!("{agent}, {}: done", attack.id());
        }
        let [baseline, sealed] = asked.map(|names| Vec::from_iter(names).join(", "));
        println!("### {agent}\n\n{}", report::table(&found));
        println!("The package registry was asked for {baseline} in the baseline,");
        println!("and for {sealed} on the sealed path.");
        println!("\n{agent}: {}\n", report::last_line(&found));
        good &= report::holds(&found);
    }
    Ok(good)
}
