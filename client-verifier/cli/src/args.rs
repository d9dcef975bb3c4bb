//! The command line.

use std::path::PathBuf;

use aegis_client::Custody;
use aegis_verifier::{Pcr, PcrIndex, RootFingerprint};
use clap::{Args, Parser, Subcommand};

use crate::agent::listen::Address;

pub mod release;

/// What every help text ends with.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 refused by a check, 2 usage or configuration, 3 environment (network, port, file, missing tool).";

const ABOUT: &str = "\
Reach LLM providers through a router whose operator cannot read, alter or redirect what you send.

Try it here, without any account:     aegis up
Use somebody's router, own keys:      aegis agent --router https://NAME --trust TRUST.toml --key-file KEY
Use somebody's router, its accounts:  aegis agent --router https://NAME --trust TRUST.toml --custody host
Ask a router what runs there:         aegis verify https://NAME --trust TRUST.toml --key-file KEY
Look at an attestation document:      aegis verify FILE (or, believing nothing: aegis explain FILE)
Sign, log and check release lists:    aegis release --help

Then set the base URL of your SDK to the agent's and leave everything else as it is:

  OPENAI_BASE_URL=http://127.0.0.1:4180/openai/v1
  ANTHROPIC_BASE_URL=http://127.0.0.1:4180/anthropic
  GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:4180/gemini
  OpenRouter:  http://127.0.0.1:4180/openrouter/api/v1";

// Texts of `--help`. They stand at the variants: the one-line summary there clears any other.

const AGENT: &str = "\
Serve the SDKs of this machine through a verified router.

The agent listens on loopback (or a private Unix socket), verifies the enclave behind the router, and passes requests on \
over the verified session. The port opens only after the first verification; while the router is away the agent keeps \
trying and says so. If verification fails at the start, it ends with exit code 1 and the step.

Which enclaves are accepted:
  --trust TRUST.toml                 those of the signed release list that the router serves (--releases: of a file), checked \
with the keys in TRUST.toml and remembered, so that an older list is refused later; the agent follows newer ones
  --accept FILE                      those that you name yourself, because you rebuilt the image

Which key your SDK sends:
  no --key-file                      the router's virtual key, aegis-vk-... (custody sealed or host)
  --key-file, --custody host         the local token, from the file that is printed at the start
  --key-file, --custody client       your own provider key; it is passed end to end

Without --key-file the virtual key comes with the first request, and verification happens then. Set AEGIS_VIRTUAL_KEY to \
have it happen at the start: that key is used for nothing else.";

const UP: &str = "\
Start the whole router on this machine: mock provider, host, enclave and agent.

The enclave is the development one: a plain process whose evidence comes from a root made here, so it shows how the path \
works and protects nothing. Provider keys in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, \
OPENROUTER_API_KEY) make the host use these real providers; the others are played by the mock. What is printed while it \
runs is all that the router's operator sees. Ctrl-C ends everything.";

const VERIFY: &str = "\
Check an AWS Nitro attestation document by hand.

FILE holds the document raw, in hex or in base64; - is standard input. The chain is judged by AWS's root now, and the \
document may be 300 s old. With --at the chain is judged at that second, and the age \
is not checked unless --max-age is given. Without \
--pcr or --releases a document that passes is genuine, and nothing is said about the program inside.

--releases LIST takes PCR 0, 1 and 2 from a signed release list (a bundle, see `aegis release`), which is checked with --trust and \
remembered; with --at it is judged at that second too, and nothing is remembered.

With https://NAME in the place of FILE a router is asked the live question: a fresh nonce, bound to the key of this very \
connection. It takes a virtual key, and with --trust the router's own release list:

  aegis verify https://NAME --trust TRUST.toml --key-file KEY";

const RECEIPT: &str = "\
Check a receipt with the evidence of its session, offline.

A receipt is signed by a key that the attestation document of its session names. The document is judged by AWS's root as of \
the time that it states, its measurement by a signed release list or by the releases that you name, and the receipt by document, \
client frame, TLS key and exporter value of the session: all of it stands in the bundle. A receipt says what an enclave of that measurement sent to \
and received from a server that proved to be the provider; give the bodies to have their digests compared.

--releases LIST is checked with --trust and remembered, as an agent does it: a receipt of a release that the list of today withdraws is \
refused. With --at an old list is judged as of that second, and nothing is remembered.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "aegis", version, about = ABOUT, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the whole router on this machine and watch what its operator sees
    #[command(long_about = UP)]
    Up(UpArgs),
    /// Serve the SDKs of this machine through a verified router
    #[command(long_about = AGENT)]
    Agent(AgentArgs),
    /// Check an attestation document by hand
    #[command(long_about = VERIFY)]
    Verify(VerifyArgs),
    /// Take an attestation document apart without checking anything
    Explain(ExplainArgs),
    /// Make, log, watch and check release lists
    Release(release::ReleaseArgs),
    /// Check receipts: what an enclave states about a request
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Seal your own provider account to a verified enclave
    #[command(subcommand)]
    Account(AccountCommand),
}

/// `aegis account`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an owner's key, if there is none, and print how its owner is named
    #[command(after_help = EXIT_CODES)]
    Key {
        /// Where the key is kept
        file: PathBuf,
    },
    /// Verify the enclave behind a router and give it the account, once
    Seal(AccountSealArgs),
    /// Do so again whenever the enclave is another, and before the record ends
    Serve(AccountServeArgs),
}

/// `aegis account seal`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct AccountSealArgs {
    /// Where the router is, https://NAME[:PORT]
    #[arg(long, value_name = "URL")]
    pub router: String,
    /// Judge the router's certificate by the authorities in this PEM file
    #[arg(long, value_name = "PEM")]
    pub router_ca: Option<PathBuf>,
    /// Which enclaves the account is entrusted to.
    #[command(flatten)]
    pub accepting: AcceptArgs,
    /// Accept evidence under this development root, and not under AWS's: whoever has its key can
    /// read the credential
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    pub dangerous_development_root: Option<RootFingerprint>,
    /// A virtual key of the router, in a private file
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// The owner's key, in a private file
    #[arg(long, value_name = "FILE")]
    pub owner_key: PathBuf,
    /// Authority of the provider, as in the provider table: api.openai.com
    #[arg(long, value_name = "AUTHORITY")]
    pub provider: String,
    /// The number by which the router's operator schedules the account
    #[arg(long, value_name = "N")]
    pub number: u32,
    /// What the provider wants to see, in a private file
    #[arg(long, value_name = "FILE")]
    pub credential_file: PathBuf,
    /// For how many days the enclave may use it
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=365))]
    pub days: u16,
}

/// `aegis account serve`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct AccountServeArgs {
    /// What is sealed, and where.
    #[command(flatten)]
    pub seal: AccountSealArgs,
    /// How often to look whether the enclave is another
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub every: u64,
    /// How often to look for a newer release list
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub releases_every: u64,
}

/// `aegis receipt`
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Check a receipt with the evidence of its session, offline
    #[command(long_about = RECEIPT)]
    Verify(ReceiptVerifyArgs),
}

/// `aegis receipt verify`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ReceiptVerifyArgs {
    /// A file that aegis agent --receipts wrote
    pub bundle: PathBuf,
    /// Which enclaves' receipts are accepted.
    #[command(flatten)]
    pub accepting: AcceptArgs,
    /// Judge the release list as of this moment, and remember nothing [default: now]
    #[arg(long, value_name = "UNIX_SECONDS", requires = "releases")]
    pub at: Option<u64>,
    /// Accept evidence under this development root, and not under AWS's: whoever has its key can
    /// make any receipt
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    pub dangerous_development_root: Option<RootFingerprint>,
    /// The request's body as it was sent; refused if the receipt is about another
    #[arg(long, value_name = "FILE")]
    pub request_body: Option<PathBuf>,
    /// The answer's body as it came; refused if the receipt is about another
    #[arg(long, value_name = "FILE")]
    pub answer_body: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Where release lists come from and whose word is taken.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Keys and thresholds for release lists [default: $XDG_CONFIG_HOME/aegis/trust.toml, ~/.config]
    #[arg(long, value_name = "TOML")]
    pub trust: Option<PathBuf>,
    /// Take the release list from this bundle [default, with a router: the one it serves]
    #[arg(long, value_name = "LIST")]
    pub releases: Option<PathBuf>,
    /// Where the highest list accepted is remembered [default: under $XDG_STATE_HOME/aegis,
    /// ~/.local/state]
    #[arg(long, value_name = "FILE")]
    pub release_state: Option<PathBuf>,
}

/// Who says which enclaves are accepted: the user, or the signers of a list.
#[derive(Debug, Clone, Args)]
pub struct AcceptArgs {
    /// Accept these releases, and no list: [{"release":N,"pcr0":HEX,"pcr1":HEX,"pcr2":HEX}]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trust", "releases", "release_state"])]
    pub accept: Option<PathBuf>,
    /// Or the releases of a signed list.
    #[command(flatten)]
    pub list: ListArgs,
}

/// `aegis agent`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct AgentArgs {
    /// Where the router is, https://NAME[:PORT]; HTTPS_PROXY and NO_PROXY are honoured
    #[arg(long, value_name = "URL")]
    pub router: String,
    /// Judge the router's certificate by the authorities in this PEM file, not by the web's
    #[arg(long, value_name = "PEM")]
    pub router_ca: Option<PathBuf>,
    /// Which enclaves are accepted.
    #[command(flatten)]
    pub accepting: AcceptArgs,
    /// How often to look for a newer release list
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub releases_every: u64,
    /// Accept evidence under this development root, and not under AWS's: whoever has its key can
    /// read everything
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    pub dangerous_development_root: Option<RootFingerprint>,
    /// Whose provider key is used: client (yours, end to end), sealed (an owner's whom you name) or
    /// host (the operator's accounts); may be repeated
    #[arg(long, value_name = "client|sealed|host", value_parser = custody, default_value = "client")]
    pub custody: Vec<Custody>,
    /// An owner whose sealed accounts are accepted, as aegis account key prints it; may be repeated
    #[arg(long, value_name = "HASH", value_parser = owner)]
    pub owner: Vec<OwnerHash>,
    /// The agent holds the virtual key, in this private file
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Where the local token is kept; made if missing [default: the key file's name and .token]
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub token_file: Option<PathBuf>,
    /// Where to listen: 127.0.0.1:PORT, [::1]:PORT or unix:/PATH
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4180")]
    pub listen: Address,
    /// Provider table of the accepted image, if it is not the one of this program's release
    #[arg(long, value_name = "FILE")]
    pub table: Option<PathBuf>,
    /// Which row of the table a prefix means, as openai=api.openai.com; may be repeated
    #[arg(long, value_name = "PREFIX=AUTHORITY")]
    pub route: Vec<String>,
    /// Ask for a receipt of every request and keep it, with its evidence, in this folder
    #[arg(long, value_name = "FOLDER")]
    pub receipts: Option<PathBuf>,
    /// Hide lengths from the router's machine: what passes travels in frames of 512, 2,048, 8,192 or
    /// 16,384 bytes
    #[arg(long)]
    pub padding: bool,
    /// Refuse a streamed chat completion that does not ask for its usage: what is not told is charged
    /// by its reservation
    #[arg(long)]
    pub require_usage: bool,
}

/// `aegis up`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct UpArgs {
    /// Keep keys, roots and configuration in this folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Where the agent listens: 127.0.0.1:PORT, [::1]:PORT or unix:/PATH
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4180")]
    pub listen: Address,
    /// Pause between two chunks of the mock's streams
    #[arg(long, value_name = "MS", default_value_t = 20)]
    pub pace_ms: u64,
    /// Print JSON lines instead of text
    #[arg(long)]
    pub json: bool,
    /// Write the JSON line of readiness to this file as well, once the agent listens
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// `aegis verify`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct VerifyArgs {
    /// The document: raw, hex or base64; - for standard input. Or a router, https://NAME[:PORT], to
    /// be asked for its evidence now
    #[arg(value_name = "FILE|URL")]
    pub file: PathBuf,
    /// Trust this root certificate (PEM or DER) in the place of AWS's
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// Judge as of this moment; the age is then not checked, unless --max-age is given
    #[arg(long, value_name = "UNIX_SECONDS")]
    pub at: Option<u64>,
    /// Greatest age of the document [default: 300; with --at: none]
    #[arg(long, value_name = "SECONDS")]
    pub max_age: Option<u64>,
    /// A register that must be present with this value; may be repeated
    #[arg(long, value_name = "N=HEX", value_parser = register)]
    pub pcr: Vec<(PcrIndex, Pcr)>,
    /// The nonce expected
    #[arg(long, value_name = "HEX", value_parser = octets)]
    pub nonce: Option<Octets>,
    /// The public key expected
    #[arg(long, value_name = "HEX", value_parser = octets)]
    pub public_key: Option<Octets>,
    /// The user data expected
    #[arg(long, value_name = "HEX", value_parser = octets)]
    pub user_data: Option<Octets>,
    /// Let debug enclaves pass: nothing tells which program runs in one
    #[arg(long)]
    pub allow_debug: bool,
    /// Or PCR 0 to 2 of a release that a signed list accepts.
    #[command(flatten)]
    pub list: ListArgs,
    /// How a router is asked.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What only a router needs.
#[derive(Debug, Args)]
pub struct LiveArgs {
    /// Router only: judge its certificate by the authorities in this PEM file, not by the web's
    #[arg(long, value_name = "PEM")]
    pub router_ca: Option<PathBuf>,
    /// Router only: the virtual key, in this private file [default: AEGIS_VIRTUAL_KEY]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Router only: accept evidence under this development root, and not under AWS's: whoever has
    /// its key can show anything
    #[arg(long, value_name = "SHA256", value_parser = fingerprint, conflicts_with = "root")]
    pub dangerous_development_root: Option<RootFingerprint>,
    /// Router only: ask for an enclave of this release [default: those of the list]; may be repeated
    #[arg(long, value_name = "N")]
    pub release: Vec<u32>,
}

/// `aegis explain`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ExplainArgs {
    /// The document: raw, hex or base64; - for standard input
    pub file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Bytes given in hexadecimal.
#[derive(Debug, Clone)]
pub struct Octets(pub Vec<u8>);

fn octets(text: &str) -> Result<Octets, String> {
    hex::decode(text).map(Octets).map_err(|e| format!("it is not hexadecimal: {e}"))
}

/// An owner by the hash of its key.
#[derive(Debug, Clone, Copy)]
pub struct OwnerHash(pub [u8; 32]);

fn owner(text: &str) -> Result<OwnerHash, String> {
    let mut owner = [0; 32];
    hex::decode_to_slice(text, &mut owner)
        .map_err(|_| "an owner is named by the 64 hexadecimal digits of aegis account key")?;
    Ok(OwnerHash(owner))
}

fn fingerprint(text: &str) -> Result<RootFingerprint, String> {
    RootFingerprint::from_hex(text)
        .ok_or_else(|| "a root is named by the 64 hexadecimal digits of its SHA-256".to_owned())
}

fn custody(text: &str) -> Result<Custody, String> {
    Custody::from_word(text).ok_or_else(|| "a custody is client, sealed or host".to_owned())
}

fn register(text: &str) -> Result<(PcrIndex, Pcr), String> {
    let parsed = text.split_once('=').and_then(|(index, value)| {
        let index = PcrIndex::new(index.parse().ok()?)?;
        Some((index, Pcr::from_hex(value)?))
    });
    parsed.ok_or_else(|| "write N=HEX: a number below 32 and 96 hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wide_address_and_an_unknown_custody_are_usage_errors() {
        let parse = |more: &[&str]| {
            let fixed = ["aegis", "agent", "--router", "https://r", "--accept", "f"];
            Cli::try_parse_from(fixed.iter().chain(more))
        };
        assert!(parse(&[]).is_ok());
        for bad in [["--listen", "0.0.0.0:4180"], ["--custody", "none"]] {
            assert_eq!(parse(&bad).unwrap_err().exit_code(), 2);
        }
    }

    #[test]
    fn a_list_and_releases_by_name_exclude_each_other_everywhere() {
        let seal = "--router https://r --key-file k --owner-key o --provider p --number 1 \
                    --credential-file c";
        let commands = [
            "agent --router https://r".to_owned(),
            "receipt verify bundle".to_owned(),
            format!("account seal {seal}"),
            format!("account serve {seal}"),
        ];
        for command in commands {
            let parse = |more: &str| {
                let line = format!("aegis {command} {more}");
                Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.exit_code())
            };
            assert!(parse("--accept f").is_ok(), "{command}");
            assert!(parse("--releases l --trust t --release-state s").is_ok(), "{command}");
            for both in ["--releases l", "--trust t", "--release-state s"] {
                assert_eq!(parse(&format!("--accept f {both}")).unwrap_err(), 2, "{command}");
            }
        }
    }
}
