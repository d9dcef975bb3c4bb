//! A publisher of release lists, its log and its witness: the shipped `aegis release` commands on
//! files of a folder.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use aegis_verifier::ImageMeasurement;

use crate::program::Binary;

/// Which product's lists.
const ORIGIN: &str = "aegis.example/releases";

/// Two release keys of which both must sign, a log, a witness.
#[derive(Debug)]
pub struct Publisher {
    folder: PathBuf,
    log_key: String,
}

impl Publisher {
    /// Makes all keys and the trust file in a new folder.
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut publisher = Self { folder: folder.to_owned(), log_key: String::new() };
        let alice = publisher.run(&["key", "alice.example", "--out", "alice.key"])?;
        let bob = publisher.run(&["key", "bob.example", "--out", "bob.key"])?;
        let log = publisher.run(&["key", "log.example/aegis", "--out", "log.key"])?;
        let w1 = publisher.run(&["key", "witness.example/w1", "--witness", "--out", "w1.key"])?;
        let (alice, bob, log, w1) = (alice.trim(), bob.trim(), log.trim(), w1.trim());
        fs::write(
            publisher.trust(),
            format!(
                "[releases]\norigin = \"{ORIGIN}\"\nthreshold = 2\nkeys = [\"{alice}\", \"{bob}\"]\n\
                 [log]\nkey = \"{log}\"\n[witnesses]\nthreshold = 1\nkeys = [\"{w1}\"]\n"
            ),
        )?;
        publisher.log_key = log.to_owned();
        Ok(publisher)
    }

    /// The trust file.
    pub fn trust(&self) -> PathBuf {
        self.folder.join("trust.toml")
    }

    /// Signs, logs and cosigns a list, in the log of this name; the bundle's bytes.
    pub fn publish(
        &self,
        log: &str,
        sequence: u64,
        releases: &[(u32, ImageMeasurement)],
        withdrawn: &[u32],
    ) -> io::Result<Vec<u8>> {
        self.append(log, sequence, releases, withdrawn)?;
        self.cosign(log, "w1.state")?;
        self.bundle(log)
    }

    /// Signs and logs a list.
    pub fn append(
        &self,
        log: &str,
        sequence: u64,
        releases: &[(u32, ImageMeasurement)],
        withdrawn: &[u32],
    ) -> io::Result<()> {
        let list = format!("list-{log}-{sequence}");
        let number = sequence.to_string();
        let mut arguments = vec!["sign".to_owned(), list.clone()];
        for (flag, value) in
            [("--key", "alice.key"), ("--origin", ORIGIN), ("--sequence", number.as_str())]
        {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
        for (release, measurement) in releases {
            let name = format!("release-{release}.json");
            let ImageMeasurement { pcr0, pcr1, pcr2 } = measurement;
            let pcrs = [pcr0, pcr1, pcr2].map(ToString::to_string);
            let json = release_json(*release, pcrs.each_ref().map(String::as_str));
            fs::write(self.folder.join(&name), json)?;
            arguments.extend(["--release".to_owned(), name]);
        }
        for number in withdrawn {
            arguments.extend(["--withdrawn".to_owned(), number.to_string()]);
        }
        self.run(&arguments)?;
        self.run(&["sign", &list, "--key", "bob.key"])?;
        let trust = ["--key", "log.key", "--trust", "trust.toml"];
        self.run(&[&["log", "append", log, &list][..], &trust].concat())?;
        Ok(())
    }

    /// Has the witness cosign the log, with the memory in this file.
    pub fn cosign(&self, log: &str, state: &str) -> io::Result<()> {
        let key = ["--key", "w1.key", "--log", &self.log_key, "--state", state];
        self.run(&[&["witness", log][..], &key].concat()).map(drop)
    }

    /// The bundle of the log's last list.
    pub fn bundle(&self, log: &str) -> io::Result<Vec<u8>> {
        self.run(&["log", "bundle", log, "--out", "bundle"])?;
        fs::read(self.folder.join("bundle"))
    }

    /// Copies a log as it stands.
    pub fn copy_log(&self, from: &str, to: &str) -> io::Result<()> {
        copy(&self.folder.join(from), &self.folder.join(to))
    }

    /// Runs `aegis release` in the folder; what it printed, or what it complained about.
    fn run(&self, arguments: &[impl AsRef<OsStr>]) -> io::Result<String> {
        let mut command = Command::new(Binary::Aegis.path()?);
        command.arg("release").args(arguments).current_dir(&self.folder);
        let output = command.output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()?.is_dir() {
            true => copy(&from, &to)?,
            false => drop(fs::copy(from, to)?),
        }
    }
    Ok(())
}

/// A `release.json` with these measurements: PCR0, PCR1, PCR2 in hexadecimal.
pub fn release_json(number: u32, [pcr0, pcr1, pcr2]: [&str; 3]) -> String {
    let sha = "00".repeat(32);
    format!(
        "{{\n  \"format\": \"aegis-release/1\",\n  \"number\": {number},\n  \"version\": \"0.1.0\",\n  \
         \"commit\": null,\n  \"variant\": \"production\",\n  \"pcr0\": \"{pcr0}\",\n  \
         \"pcr1\": \"{pcr1}\",\n  \"pcr2\": \"{pcr2}\",\n  \"provider_table_sha256\": null,\n  \
         \"image\": {{\"bytes\": 1, \"sha256\": \"{sha}\"}},\n  \"sections\": [],\n  \
         \"command_line\": \"\",\n  \"made_of\": {{\"kernel\": null, \
         \"kernel_config_sha256\": \"{sha}\", \"program\": null, \"packages\": {{}}}}\n}}\n"
    )
}
