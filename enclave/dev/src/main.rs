//! The enclave for laptops and emulators: the same shell and core as the production image, with an
//! attester whose root it makes itself and with rows for the mock provider. Never part of a
//! production image (`cargo xtask deps` holds that).

mod legs;

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use aegis_dev_attester::{AttestRequest, DevelopmentAttester, PcrBank};
use aegis_enclave::{Enclave, Setup, public_roots};
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
}

/// Signs as the development root, with the measurement of this very program.
struct Development {
    attester: DevelopmentAttester,
    pcrs: PcrBank,
}

impl Attester for Development {
    fn attest(&self, claims: Claims<'_>) -> Result<Vec<u8>, Unavailable> {
        let Claims { public_key, user_data, nonce } = claims;
        let request = AttestRequest {
            public_key: Some(public_key),
            user_data: Some(user_data),
            nonce: Some(nonce),
        };
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
        let now_ms = now.as_millis().try_into().map_err(|_| Unavailable)?;
        self.attester.attest(&self.pcrs, &request, now_ms).map_err(|_| Unavailable)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Table => print!("{TABLE_TEXT}"),
        Command::Run(run) => {
            if let Err(error) = serve(run).await {
                eprintln!("aegis-enclave-dev: {error}");
                return ExitCode::from(3);
            }
        }
    }
    ExitCode::SUCCESS
}

async fn serve(run: Run) -> Result<(), String> {
    let at = |path: &Path| format!("{}: ", path.display());
    let attester = DevelopmentAttester::open_or_create(&run.state)
        .map_err(|error| format!("{}{error}; name a writable --state folder", at(&run.state)))?;
    let pcrs = aegis_dev_attester::development_pcrs_of_this_process()
        .map_err(|error| format!("this program cannot be measured: {error}"))?;
    let mut mock = RootCertStore::empty();
    if let Some(path) = &run.mock_root {
        let bad = |error: &dyn std::fmt::Display| {
            format!("{}{error}; name a PEM certificate with --mock-root", at(path))
        };
        let root = CertificateDer::from_pem_file(path).map_err(|error| bad(&error))?;
        mock.add(root).map_err(|error| bad(&error))?;
    }
    let legs = Unix::listen(&run.legs)
        .map_err(|error| format!("{}{error}; name a folder with --legs", at(&run.legs)))?;
    let ready = serde_json::json!({
        "event": "ready",
        "root_sha256": hex::encode(attester.root_fingerprint()),
        "pcr0": hex::encode(pcrs[0]),
        "pcr1": hex::encode(pcrs[1]),
        "pcr2": hex::encode(pcrs[2]),
    });
    let enclave = Enclave::boot(Setup {
        attester: Box::new(Development { attester, pcrs }),
        table: &TABLE,
        roots: vec![public_roots(), ("mock", mock)],
        legs: Box::new(legs),
    })?;
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
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
