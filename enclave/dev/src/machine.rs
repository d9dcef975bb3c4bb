//! The program as PID 1 of an emulated enclave: boots as the production program does, with the same
//! legs, limits and system calls. Its attester's key and the mock provider's root are files beside it
//! in the image, so they are measured; nothing comes from arguments. One more port tells how much
//! memory there is: see [`crate::memory`].

use std::convert::Infallible;
use std::path::Path;

use aegis_dev_attester::{DevelopmentAttester, PcrBank};
use aegis_enclave::{BootError, Enclave, Setup, boot, legs::Vsock, public_roots};
use aegis_nsm::{Attester, Claims, Nsm, Unavailable, timestamp_ms};
use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver;
use tokio::runtime::Runtime;

use crate::{Signer, TABLE, memory::Memory, mock_roots};

/// Key and certificate of the development root, as its state folder has them.
const ATTESTER: &str = "/root.key.pem";
/// The mock provider's root certificate.
const MOCK_ROOT: &str = "/mock-root.pem";
/// The security module's device.
const NSM: &str = "/dev/nsm";

/// Whether this process is all that its machine runs. A container's first process has arguments.
pub(crate) fn is_this() -> bool {
    std::process::id() == 1 && std::env::args_os().len() == 1
}

/// Ends only when it cannot boot.
pub(crate) fn run() -> Result<Infallible, BootError> {
    boot::prepare().map_err(|_| "limits cannot be set")?;
    Runtime::new().map_err(|_| "no threads can be had")?.block_on(serve())
}

async fn serve() -> Result<Infallible, BootError> {
    let key = std::fs::read(ATTESTER).map_err(|_| "the image has no attester's key")?;
    let signer = DevelopmentAttester::from_pem(&key).map_err(|_| "the attester's key is none")?;
    let pcrs = pcrs().ok_or("/dev/nsm does not tell its registers")?;
    let nsm = Nsm::open().map_err(|_| "/dev/nsm cannot be opened")?;
    let attester = Box::new(Emulated { nsm, signer: Signer { attester: signer, pcrs } });
    let mock = mock_roots(Path::new(MOCK_ROOT)).map_err(|_| "the image has no mock root")?;
    let legs = Box::new(Vsock::listen().map_err(|_| "the session port cannot be had")?);
    let memory = Memory::open().map_err(|_| "the machine does not tell its memory")?;
    boot::heartbeat(&*legs).await.map_err(|_| "the parent does not answer the heartbeat")?;
    let roots = vec![public_roots(), ("mock", mock)];
    let enclave = Enclave::boot(Setup { attester, table: &TABLE, roots, legs })?;
    boot::confine(boot::VSOCK).map_err(|_| "system calls cannot be given up")?;
    tokio::spawn(memory.tell());
    Ok(enclave.serve().await)
}

/// Asks the machine's module as the production program does, takes the time from its document, and
/// signs what that does not: an emulated module's documents have no signature.
struct Emulated {
    nsm: Nsm,
    signer: Signer,
}

impl Attester for Emulated {
    fn attest(&self, claims: Claims<'_>) -> Result<Vec<u8>, Unavailable> {
        let unsigned = self.nsm.attest(claims)?;
        self.signer.sign(claims, timestamp_ms(&unsigned).ok_or(Unavailable)?)
    }
}

/// The registers of the machine's module; none where there is no such machine.
pub(crate) fn pcrs() -> Option<PcrBank> {
    if !Path::new(NSM).exists() {
        return None;
    }
    let nsm = driver::nsm_init();
    let mut bank: PcrBank = [[0; 48]; 16];
    for (index, pcr) in (0..).zip(&mut bank) {
        match driver::nsm_process_request(nsm, Request::DescribePCR { index }) {
            Response::DescribePCR { data, .. } => *pcr = data.try_into().ok()?,
            _ => return None,
        }
    }
    driver::nsm_exit(nsm);
    Some(bank)
}
