//! Rows `verify-cold` and `verify-warm`: one attestation document, ours and the published crates.
//!
//! Real documents, each judged at its own time. Every round asks every arm once about every
//! document, in an order that rotates, so a disturbance meets all arms alike. What counts is
//! processor time of the verifying thread; an arm's figure is the median over documents of its
//! median over rounds; documents that a peer refuses are named and not compared for anybody.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use crate::build;
use crate::row::Bar;
use crate::row::Row;
use crate::stats::median;

/// Rounds unless told otherwise: about half a minute.
pub const ROUNDS: usize = 25;

/// Arms by the worker that runs them: worker 0 has aws-lc-rs and the peers, worker 1 is pure Rust.
const ARMS: [(usize, &str, &str); 7] = [
    (0, "aegis-cold", "aegis, cold"),
    (0, "aegis-warm", "aegis, warm"),
    (1, "aegis-cold", "aegis pure Rust, cold"),
    (1, "aegis-warm", "aegis pure Rust, warm"),
    (0, "attestation-doc-validation", "attestation-doc-validation 0.10.1"),
    (0, "nitro_attest", "nitro_attest 0.2.0"),
    (0, "nsm-nitro-enclave-utils", "nsm-nitro-enclave-utils 0.1.3"),
];
const COLD: usize = 0;
const WARM: usize = 1;
const PURE_COLD: usize = 2;
const PURE_WARM: usize = 3;
const FIRST_PEER: usize = 4;

/// A genuine document and the moment to judge it at.
struct Document {
    path: PathBuf,
    at_ms: u64,
}

/// Builds, measures, prints a table, and returns the rows.
pub fn run(rounds: usize) -> io::Result<Vec<Row>> {
    let Some(documents) = documents()? else {
        let missing = "documents: set AEGIS_ATTESTATION_DOCUMENTS to their folder";
        return Ok(rows(|_| Err(missing.into())));
    };
    let package = "aegis-perf-verifiers";
    let mut workers = [
        Worker::start(&build::program(package, "aws-lc-rs,peers")?)?,
        Worker::start(&build::program(package, "pure-rust")?)?,
    ];
    let compared = accepted_by_all(&mut workers, &documents)?;
    println!("{} documents of {} are accepted by every arm", compared.len(), documents.len());
    if compared.is_empty() {
        return Ok(rows(|_| Err("a document that every arm accepts".into())));
    }
    let figures = measure(&mut workers, &compared, rounds)?;
    let fastest = figures[FIRST_PEER..].iter().copied().fold(f64::INFINITY, f64::min);
    print_table(&figures, fastest);
    Ok(rows(|arm| Ok(fastest / figures[arm])))
}

fn rows(ratio: impl Fn(usize) -> Result<f64, String>) -> Vec<Row> {
    let row = |name, arm, bar| Row { name, value: ratio(arm), unit: "x", bar: Bar::AtLeast(bar) };
    vec![
        row("verify-cold", COLD, 2.0),
        row("verify-warm", WARM, 5.0),
        row("verify-cold-pure", PURE_COLD, 2.0),
        row("verify-warm-pure", PURE_WARM, 5.0),
    ]
}

fn documents() -> io::Result<Option<Vec<Document>>> {
    let folder = std::env::var_os("AEGIS_ATTESTATION_DOCUMENTS")
        .map_or_else(|| build::here().join("../../../shared/attestation-documents"), PathBuf::from);
    let Ok(manifest) = fs::read(folder.join("manifest.json")) else {
        return Ok(None);
    };
    let entries: Vec<BTreeMap<String, Value>> = serde_json::from_slice(&manifest)?;
    let genuine = |entry: &&BTreeMap<String, Value>| {
        ["aws_root", "cose_signature_valid"].iter().all(|key| entry.get(*key) == Some(&true.into()))
    };
    let document = |entry: &BTreeMap<String, Value>| {
        let path = folder.join(entry.get("file")?.as_str()?);
        Some(Document { path, at_ms: entry.get("timestamp_ms")?.as_u64()? })
    };
    Ok(entries.iter().filter(genuine).map(document).collect())
}

fn accepted_by_all<'a>(
    workers: &mut [Worker; 2],
    documents: &'a [Document],
) -> io::Result<Vec<&'a Document>> {
    let mut compared = Vec::new();
    for document in documents {
        let mut accepted = true;
        for (worker, arm, name) in ARMS {
            // Twice: the second one is warm, and nobody is measured at his first.
            workers[worker].ask(arm, document)?.ok();
            if let Err(reason) = workers[worker].ask(arm, document)? {
                println!("{name} refuses {}: {reason}", file_name(&document.path));
                accepted = false;
            }
        }
        compared.extend(accepted.then_some(document));
    }
    Ok(compared)
}

/// Nanoseconds for each arm.
fn measure(
    workers: &mut [Worker; 2],
    documents: &[&Document],
    rounds: usize,
) -> io::Result<[f64; ARMS.len()]> {
    let mut times: [Vec<Vec<f64>>; ARMS.len()] =
        std::array::from_fn(|_| vec![Vec::new(); documents.len()]);
    for round in 0..rounds {
        for (number, document) in documents.iter().enumerate() {
            for step in 0..ARMS.len() {
                let index = (round + number + step) % ARMS.len();
                let (worker, arm, _) = ARMS[index];
                let taken = workers[worker].ask(arm, document)?.map_err(io::Error::other)?;
                times[index][number].push(taken);
            }
        }
    }
    Ok(times.map(|mut by_document| {
        let mut medians: Vec<f64> = by_document.iter_mut().map(|times| median(times)).collect();
        median(&mut medians)
    }))
}

fn print_table(figures: &[f64; ARMS.len()], fastest: f64) {
    println!("\n| verifier | processor time of one document | fastest peer / this |");
    println!("|---|---|---|");
    for ((_, _, name), nanoseconds) in ARMS.iter().zip(figures) {
        println!("| {name} | {:.0} us | {:.2} |", nanoseconds / 1000.0, fastest / nanoseconds);
    }
    println!();
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// A running `aegis-perf-verifiers`.
struct Worker {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(program: &Path) -> io::Result<Self> {
        let mut child =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let questions = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let answers = child.stdout.take().map(BufReader::new).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, questions, answers })
    }

    /// Nanoseconds, or why it was refused.
    fn ask(&mut self, arm: &str, document: &Document) -> io::Result<Result<f64, String>> {
        let Document { path, at_ms } = document;
        writeln!(self.questions, "{arm} {at_ms} {}", path.display())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let answer = answer.trim_end();
        match answer.strip_prefix("refused ") {
            Some(reason) => Ok(Err(reason.into())),
            None => answer.parse().map(Ok).map_err(|_| {
                io::Error::other(format!("the worker answers {answer:?}, which is no time"))
            }),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends with its input; killing it is for one that does not.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
