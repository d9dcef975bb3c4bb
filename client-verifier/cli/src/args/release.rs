//! `aegis release`: the commands around release lists.

use std::path::PathBuf;

use aegis_releases::{Kind, VerifierKey};
use clap::{Args, Subcommand};

use super::{EXIT_CODES, ListArgs};

const ABOUT: &str = "\
Make, log, watch and check release lists: which images clients accept.

A list is signed by some of several release keys, appended to a public log, and cosigned by witnesses that watch the log. \
Clients get all of it as one file, the bundle, and verify it offline. SPEC.md and README.md in client-verifier/releases \
have the formats and the guide.

Whose word is taken stands in one file that the publisher hands out, trust.toml:

  [releases]
  origin = \"aegis.example/releases\"
  threshold = 2
  keys = [\"alice.example+...\", \"bob.example+...\", \"carol.example+...\"]
  [log]
  key = \"log.example/aegis+...\"
  [witnesses]
  threshold = 1
  keys = [\"witness.example/w1+...\"]

Once, each on a machine of its own:

  aegis release key alice.example --out alice.key              # prints the public key for trust.toml
  aegis release key log.example/aegis --out log.key
  aegis release key witness.example/w1 --witness --out w1.key

For each list:

  aegis release sign list-8 --key alice.key --origin aegis.example/releases --sequence 8 --release release.json --withdrawn 6
  aegis release sign list-8 --key bob.key                      # shows what it says, and adds a signature
  aegis release log append LOG list-8 --key log.key --trust trust.toml
  aegis release witness LOG --key w1.key --log log.example/aegis+... --state w1.state
  aegis release log bundle LOG --out releases                  # what a host serves and clients take
  aegis release check releases --trust trust.toml";

/// `aegis release`
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXIT_CODES)]
pub struct ReleaseArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ReleaseCommand,
}

/// What to do with release lists.
#[derive(Debug, Subcommand)]
pub enum ReleaseCommand {
    /// Make a key, or print the public one of a key file
    Key(KeyArgs),
    /// Write a list and sign it, or add a signature to one
    Sign(SignArgs),
    /// Print what a list or bundle says, without checking anything
    Show(ShowArgs),
    /// Check a bundle as a client does, and remember it
    Check(CheckArgs),
    /// Keep the log
    Log(LogArgs),
    /// Cosign a log, if it continues what this witness saw before
    Witness(WitnessArgs),
}

/// `aegis release key`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct KeyArgs {
    /// Name of the key, such as alice.example; a log's key has the log's origin as its name
    #[arg(required_unless_present = "public")]
    pub name: Option<String>,
    /// Where the secret key is written; it must not exist
    #[arg(long, value_name = "FILE", required_unless_present = "public")]
    pub out: Option<PathBuf>,
    /// Make a witness's key
    #[arg(long)]
    pub witness: bool,
    /// Print the public key of this secret one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "out", "witness"])]
    pub public: Option<PathBuf>,
}

/// `aegis release sign`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct SignArgs {
    /// The list: made if --release is given, else one to sign as well
    pub list: PathBuf,
    /// Secret release key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// A release.json to list, as aegis-eif wrote it; may be repeated
    #[arg(long, value_name = "FILE", requires_all = ["origin", "sequence"])]
    pub release: Vec<PathBuf>,
    /// Which product's list it is, as in the trust file
    #[arg(long, value_name = "NAME", requires = "release")]
    pub origin: Option<String>,
    /// Number of the list: one more than the last
    #[arg(long, value_name = "N", requires = "release")]
    pub sequence: Option<u64>,
    /// Accept no release below this one [default: the lowest listed]
    #[arg(long, value_name = "N", requires = "release")]
    pub minimum: Option<u32>,
    /// A release that is not accepted any more; may be repeated
    #[arg(long, value_name = "N", requires = "release")]
    pub withdrawn: Vec<u32>,
    /// From when on it is valid [default: now]
    #[arg(long, value_name = "UNIX_SECONDS", requires = "release")]
    pub not_before: Option<u64>,
    /// For how many days
    #[arg(long, value_name = "DAYS", default_value = "14", value_parser = clap::value_parser!(u64).range(1..=14))]
    pub days: u64,
}

/// `aegis release show`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ShowArgs {
    /// A signed list or a bundle; - for standard input
    pub file: PathBuf,
}

/// `aegis release check`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct CheckArgs {
    /// The bundle; - for standard input
    pub bundle: PathBuf,
    /// Keys and thresholds [default: $XDG_CONFIG_HOME/aegis/trust.toml, ~/.config]
    #[arg(long, value_name = "TOML")]
    pub trust: Option<PathBuf>,
    /// Where the highest list accepted is remembered [default: under $XDG_STATE_HOME/aegis,
    /// ~/.local/state]
    #[arg(long, value_name = "FILE")]
    pub release_state: Option<PathBuf>,
    /// Judge as of this moment; nothing remembered is then read or written
    #[arg(long, value_name = "UNIX_SECONDS", conflicts_with = "release_state")]
    pub at: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl CheckArgs {
    /// The options that other commands have too.
    pub fn list(&self) -> ListArgs {
        let (trust, release_state) = (self.trust.clone(), self.release_state.clone());
        ListArgs { trust, releases: Some(self.bundle.clone()), release_state }
    }
}

/// `aegis release log`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct LogArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LogCommand,
}

/// What to do with a log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Take up a list that enough release keys signed; makes the log if it is not there
    Append(AppendArgs),
    /// Write the bundle of the newest list, with the cosignatures that the log has
    Bundle(BundleArgs),
    /// Print all entries, after checking that the files fit together
    Show(LogShowArgs),
}

/// `aegis release log append`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct AppendArgs {
    /// The log's folder
    pub log: PathBuf,
    /// The signed list
    pub list: PathBuf,
    /// Secret key of the log
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Keys and thresholds
    #[arg(long, value_name = "TOML")]
    pub trust: PathBuf,
}

/// `aegis release log bundle`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct BundleArgs {
    /// The log's folder
    pub log: PathBuf,
    /// Where the bundle is written
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// With a proof from this size, for a client that missed more than 64 lists
    #[arg(long, value_name = "SIZE")]
    pub since: Option<u64>,
}

/// `aegis release log show`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct LogShowArgs {
    /// The log's folder
    pub log: PathBuf,
}

/// `aegis release witness`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct WitnessArgs {
    /// The log's folder, or a copy of it; the cosignature is added to its checkpoint
    pub folder: PathBuf,
    /// Secret key of the witness
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Public key of the log
    #[arg(long, value_name = "KEY", value_parser = log_key)]
    pub log: VerifierKey,
    /// Where the last checkpoint seen is remembered: losing it lets the log show another past
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
}

fn log_key(text: &str) -> Result<VerifierKey, String> {
    let key = VerifierKey::parse(text).and_then(|key| key.of_kind(Kind::Signature));
    key.map_err(|error| error.to_string())
}
