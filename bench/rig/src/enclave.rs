//! An enclave: `aegis-enclave-dev` as a plain process, or an image on a machine.

use std::fs;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use aegis_client::Release;
use aegis_client::Trust;
use aegis_dev_attester::PcrBank;
use aegis_verifier::ImageMeasurement;
use aegis_verifier::Pcr;
use aegis_verifier::RootFingerprint;
use aegis_verifier::TrustAnchor;

use crate::program::Binary;
use crate::program::Program;

/// Number under which the development enclave is released (PROTOCOL.md, section 2).
pub const RELEASE: u32 = 0;

/// A running enclave.
#[derive(Debug)]
pub struct Enclave {
    running: Running,
    root: Option<RootFingerprint>,
    release: u32,
    measurement: ImageMeasurement,
}

#[derive(Debug)]
enum Running {
    Process(Program),
    Machine(Box<aegis_eif::boot::Enclave>),
}

/// Which program an enclave runs.
#[derive(Clone, Copy, Debug)]
pub enum Image<'a> {
    /// The shipped one.
    Shipped,
    /// A copy in this folder that differs in one byte at its end: the same behaviour under another
    /// measurement.
    OtherMeasurement(&'a Path),
}

impl Enclave {
    /// Starts an enclave and waits until it is ready. The host's sockets need not be there yet.
    pub async fn start(
        image: Image<'_>,
        legs: &Path,
        state: &Path,
        mock_root: &Path,
    ) -> io::Result<Self> {
        let path = match image {
            Image::Shipped => Binary::Enclave.path()?,
            Image::OtherMeasurement(folder) => other_measurement(folder)?,
        };
        let legs = ["run".as_ref(), "--legs".as_ref(), legs.as_os_str()];
        let state = ["--state".as_ref(), state.as_os_str()];
        let rest = ["--mock-root".as_ref(), mock_root.as_os_str()];
        // Confined as an image's program is, so that every test also tries the list of system calls.
        let rest = [&rest[..], &["--exit-with-stdin".as_ref(), "--confine".as_ref()]].concat();
        let program =
            Program::start_at(Binary::Enclave, &path, &[&legs[..], &state, &rest].concat())?;
        let ready = program.line(ready_line).await?;
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        let unclear = || io::Error::other(format!("the enclave's ready line is {ready}"));
        let root = RootFingerprint::from_hex(&text("root_sha256")).ok_or_else(unclear)?;
        let pcr = |name: &str| Pcr::from_hex(&text(name)).ok_or_else(unclear);
        let (pcr0, pcr1, pcr2) = (pcr("pcr0")?, pcr("pcr1")?, pcr("pcr2")?);
        let measurement = ImageMeasurement { pcr0, pcr1, pcr2 };
        let running = Running::Process(program);
        Ok(Self { running, root: Some(root), release: RELEASE, measurement })
    }

    /// A machine whose image measures so; it has that root's key, or its evidence is the platform's.
    pub fn machine(
        machine: aegis_eif::boot::Enclave,
        measurement: ImageMeasurement,
        release: u32,
        root: Option<RootFingerprint>,
    ) -> Self {
        Self { running: Running::Machine(Box::new(machine)), root, release, measurement }
    }

    /// Its process number; none for a machine.
    pub fn pid(&self) -> Option<u32> {
        match &self.running {
            Running::Process(program) => Some(program.pid()),
            Running::Machine(_) => None,
        }
    }

    /// The machine; none for a process.
    pub fn as_machine(&self) -> Option<&aegis_eif::boot::Enclave> {
        match &self.running {
            Running::Process(_) => None,
            Running::Machine(machine) => Some(machine),
        }
    }

    /// Ends it at once, as a crash would.
    pub fn kill(self) -> io::Result<()> {
        match self.running {
            Running::Process(program) => program.kill().map(drop),
            Running::Machine(machine) => {
                drop(machine);
                Ok(())
            }
        }
    }

    /// What it measures.
    pub fn measurement(&self) -> ImageMeasurement {
        self.measurement
    }

    /// Its PCRs as an attester takes them.
    pub fn pcrs(&self) -> PcrBank {
        let ImageMeasurement { pcr0, pcr1, pcr2 } = self.measurement;
        let mut bank: PcrBank = [[0; 48]; 16];
        for (pcr, value) in bank.iter_mut().zip([pcr0, pcr1, pcr2]) {
            *pcr = *value.as_bytes();
        }
        bank
    }

    /// SHA-256 of its development root, if it has one.
    pub fn root(&self) -> Option<RootFingerprint> {
        self.root
    }

    /// A client's trust in exactly this measurement under this enclave's root, or under AWS's.
    pub fn trust(&self) -> io::Result<Trust> {
        let development = self.root.map(TrustAnchor::dangerous_development_root);
        let anchor = development.unwrap_or_else(TrustAnchor::aws_nitro);
        let release = Release { number: self.release, measurement: self.measurement };
        Trust::new(anchor, &[release]).map_err(io::Error::other)
    }
}

fn ready_line(line: &str) -> Option<serde_json::Value> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["event"] == "ready").then_some(line)
}

fn other_measurement(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join("aegis-enclave-dev-other");
    fs::copy(Binary::Enclave.path()?, &path)?;
    fs::File::options().append(true).open(&path)?.write_all(&[0])?;
    Ok(path)
}
