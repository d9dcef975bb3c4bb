//! The enclave for laptops and emulators: the same shell and core as the production image, with an
//! attester whose root it makes itself and with rows for the mock provider. Never part of a
//! production image (`cargo xtask deps` holds that).
//!
//! As a process it reaches its host over Unix sockets; as PID 1 of an emulated enclave, where it has no
//! arguments, over AF_VSOCK: see [`machine`].

mod legs;
mod machine;
mod memory;

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use aegis_dev_attester::{AttestRequest, DevelopmentAttester, PcrBank};
use aegis_enclave::{Enclave, Setup, boot, public_roots};
use aegis_nsm::{Attester, Claims, Unavailable};
use aegis_wire::table::Table;
use clap::{Parser, Subcommand};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::legs::Unix;

/// The production rows, then those for the mock provider.
static TABLE: Table = include!(concat!(env!("OUT_DIR"), "/table.rs"));
/// The text that they were made from.
const TABLE_TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/table.txt"));

/// The Aegis enclave for development. Its evidence is signed by a root of its own, which a client
/// accepts only under a flag spelled dangerously: it protects nothing.
///
/// Exit codes: 0 ended as asked, 2 usage, 3 environment (folder, socket, file).
#[derive(Parser)]
#[command(name = "aegis-enclave-dev", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve sessions over Unix sockets until ended.
    Run(Run),
    /// Print the provider table: the production rows, then the mock rows.
    Table,
    /// Print the fingerprint of the development root in a folder, made when missing.
    Root {
        /// The folder.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
}

#[derive(clap::Args)]
struct Run {
    /// Folder where the host listens on control.sock and egress.sock, and this program on
    /// session.sock.
    #[arg(long, value_name = "DIR")]
    legs: PathBuf,
    /// Folder that keeps the development root; made when missing.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Root certificate that the mock provider's names are checked against.
    #[arg(long, value_name = "PEM")]
    mock_root: Option<PathBuf>,
    /// End when standard input ends, as it does when the parent dies.
    #[arg(long)]
    exit_with_stdin: bool,
    /// Give up system calls as the program of an image does; one that is missing then ends this
    /// program, so it is for the C library that images are built with.
    #[arg(long)]
    confine: bool,
}

/// Signs as the development root.
struct Signer {
    attester: DevelopmentAttester,
    pcrs: PcrBank,
}

impl Signer {
    fn sign(&self, claims: Claims<'_>, now_ms: u64) -> Result<Vec<u8>, Unavailable> {
        let Claims { public_key, user_data, nonce } = claims;
        let request = AttestRequest {
            public_key: Some(public_key),
            user_data: Some(user_data),
            nonce: Some(nonce),
        };
        self.attester.attest(&self.pcrs, &request, now_ms).map_err(|_| Unavailable)
    }
}

/// The attester of a plain process takes the time from the machine.
impl Attester for Signer {
    fn attest(&self, claims: Claims<'_>) -> Result<Vec<u8>, Unavailable> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
        self.sign(claims, now.as_millis().try_into().map_err(|_| Unavailable)?)
    }
}

fn main() -> ExitCode {
    let done = match machine::is_this() {
        true => machine::run().map(|never| match never {}).map_err(str::to_owned),
        false => match Cli::parse().command {
            Command::Table => {
                print!("{TABLE_TEXT}");
                Ok(())
            }
            Command::Root { state } => {
                open(&state).map(|root| println!("{}", hex::encode(root.root_fingerprint())))
            }
            Command::Run(run) => serve(run),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aegis-enclave-dev: {error}");
            ExitCode::from(3)
        }
    }
}

fn open(state: &Path) -> Result<DevelopmentAttester, String> {
    DevelopmentAttester::open_or_create(state)
        .map_err(|error| format!("{}: {error}; name a writable --state folder", state.display()))
}

fn mock_roots(path: &Path) -> Result<RootCertStore, String> {
    let bad = |error: &dyn std::fmt::Display| {
        format!("{}: {error}; name a PEM certificate with --mock-root", path.display())
    };
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(path).map_err(|error| bad(&error))?;
    roots.add(root).map_err(|error| bad(&error))?;
    Ok(roots)
}

#[tokio::main]
async fn serve(run: Run) -> Result<(), String> {
    let attester = open(&run.state)?;
    let own = aegis_dev_attester::development_pcrs_of_this_process;
    let pcrs = machine::pcrs().map_or_else(own, Ok);
    let pcrs = pcrs.map_err(|error| format!("this program cannot be measured: {error}"))?;
    let mock = run.mock_root.as_deref().map_or(Ok(RootCertStore::empty()), mock_roots)?;
    let legs = Unix::listen(&run.legs)
        .map_err(|error| format!("{}: {error}; name a folder with --legs", run.legs.display()))?;
    let ready = serde_json::json!({
        "event": "ready",
        "root_sha256": hex::encode(attester.root_fingerprint()),
        "pcr0": hex::encode(pcrs[0]),
        "pcr1": hex::encode(pcrs[1]),
        "pcr2": hex::encode(pcrs[2]),
    });
    let enclave = Enclave::boot(Setup {
        attester: Box::new(Signer { attester, pcrs }),
        table: &TABLE,
        roots: vec![public_roots(), ("mock", mock)],
        legs: Box::new(legs),
    })?;
    if run.confine {
        boot::confine(libc::AF_UNIX).map_err(|error| format!("--confine: {error}"))?;
    }
    println!("{ready}");
    let (ended, mut end) = tokio::sync::mpsc::channel::<()>(1);
    if run.exit_with_stdin {
        // A thread of its own: a blocked read would keep the runtime from ending.
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            drop(ended);
        });
    } else {
        std::mem::forget(ended);
    }
    tokio::select! {
        never = enclave.serve() => match never {},
        _ = end.recv() => Ok(()),
    }
}
