//! The program of the production image, its PID 1: `/dev/nsm`, AF_VSOCK, the public table, nothing
//! to set. Its end is the machine's end, by the kernel's command line.

use std::convert::Infallible;

use aegis_enclave::{BootError, Enclave, Setup, TABLE, boot, legs::Vsock, public_roots};
use aegis_nsm::Nsm;
use tokio::runtime::Runtime;

/// Ends only when it cannot boot.
fn main() -> Result<Infallible, BootError> {
    boot::prepare().map_err(|_| "limits cannot be set; this is an image's PID 1")?;
    Runtime::new().map_err(|_| "no threads can be had")?.block_on(serve())
}

async fn serve() -> Result<Infallible, BootError> {
    let attester = Box::new(Nsm::open().map_err(|_| "/dev/nsm cannot be opened")?);
    let legs = Box::new(Vsock::listen().map_err(|_| "the session port cannot be had")?);
    boot::heartbeat(&*legs).await.map_err(|_| "the parent does not answer the heartbeat")?;
    let roots = vec![public_roots()];
    let enclave = Enclave::boot(Setup { attester, table: &TABLE, roots, legs })?;
    boot::confine(boot::VSOCK).map_err(|_| "system calls cannot be given up")?;
    Ok(enclave.serve().await)
}
