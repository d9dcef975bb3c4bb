//! PCRs of a program that runs as a plain process.
//!
//! An enclave image is measured as ext(x) = SHA-384(48 zero bytes, SHA-384(x)) over its parts. A
//! process has one part, its executable, so
//!
//! * PCR0 = ext(executable),
//! * PCR1 = ext("aegis development platform\n"): there is no measured kernel, and the same
//!   everywhere says so,
//! * PCR2 = ext("aegis development program\n", executable): the application alone.
//!
//! All others are zero, as those of an enclave that extends none.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use sha2::Digest;
use sha2::Sha384;

/// PCR0 to PCR15.
pub type PcrBank = [[u8; 48]; 16];

const PLATFORM: &[u8] = b"aegis development platform\n";
const PROGRAM: &[u8] = b"aegis development program\n";

/// The PCRs of an executable's bytes.
pub fn development_pcrs(executable: &[u8]) -> PcrBank {
    bank(Sha384::new().chain_update(executable), program_hash().chain_update(executable))
}

/// The PCRs of an executable file.
pub fn development_pcrs_of_file(path: &Path) -> io::Result<PcrBank> {
    let mut file = File::open(path)?;
    let (mut image, mut program) = (Sha384::new(), program_hash());
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(bank(image, program)),
            read => {
                image.update(&buffer[..read]);
                program.update(&buffer[..read]);
            }
        }
    }
}

/// The PCRs of the program that asks.
pub fn development_pcrs_of_this_process() -> io::Result<PcrBank> {
    development_pcrs_of_file(&std::env::current_exe()?)
}

fn program_hash() -> Sha384 {
    Sha384::new().chain_update(PROGRAM)
}

fn bank(image: Sha384, program: Sha384) -> PcrBank {
    let mut bank = [[0; 48]; 16];
    bank[0] = extend(image);
    bank[1] = extend(Sha384::new().chain_update(PLATFORM));
    bank[2] = extend(program);
    bank
}

fn extend(measured: Sha384) -> [u8; 48] {
    Sha384::new().chain_update([0; 48]).chain_update(measured.finalize()).finalize().into()
}
