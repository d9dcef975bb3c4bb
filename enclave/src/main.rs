//! The program of the production image, its PID 1: `/dev/nsm`, AF_VSOCK, the public table, nothing
//! to set. Its end is the machine's end, by the kernel's command line.

mod boot;

use aegis_enclave::{BootError, Enclave, Setup, TABLE, legs::Vsock, public_roots};
use aegis_nsm::Nsm;

/// Ends only when it cannot boot.
#[tokio::main]
async fn main() -> Result<(), BootError> {
    boot::prepare().map_err(|_| "limits cannot be set; this is an image's PID 1")?;
    let attester = Box::new(Nsm::open().map_err(|_| "/dev/nsm cannot be opened")?);
    let legs = Box::new(Vsock::listen().map_err(|_| "the session port cannot be had")?);
    boot::heartbeat(&*legs).await.map_err(|_| "the parent does not answer the heartbeat")?;
    let roots = vec![public_roots()];
    match Enclave::boot(Setup { attester, table: &TABLE, roots, legs })?.serve().await {}
}
