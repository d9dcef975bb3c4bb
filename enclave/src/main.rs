//! The program of the production image: `/dev/nsm`, AF_VSOCK, the public table, nothing to set.

use std::{process::ExitCode, sync::Arc};

use aegis_enclave::{BootError, Enclave, Legs, Setup, TABLE, public_roots};
use aegis_nsm::Nsm;

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing was served yet or no session can be accepted any more; the text names the
            // part of the boot and holds nothing of a session.
            eprintln!("aegis-enclave: {error}");
            ExitCode::from(3)
        }
    }
}

async fn serve() -> Result<(), BootError> {
    let attester = Arc::new(Nsm::open().map_err(|_| BootError::Attester)?);
    let roots = vec![public_roots()];
    let enclave = Enclave::boot(Setup {
        attester,
        table: TABLE,
        roots,
        legs: Legs::Vsock,
    })?;
    let listener = enclave.listen()?;
    enclave.serve(listener).await
}
