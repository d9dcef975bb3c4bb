//! `aegis verify`: one attestation document by hand, of Aegis or of any other Nitro enclave.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aegis_verifier::{
    Challenge, Claims, Error, Finding, MeasurementSet, Nonce, Policy, PublicKey, RootFingerprint,
    Step, TrustAnchor, UnixTime, UserData, decode_without_verifying, verify, verify_archived,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Map, Value, json};

use crate::{
    agent::start::say,
    args::{Octets, VerifyArgs},
    failure::Failure,
};

/// Most bytes read: the largest document in hexadecimal with room for line breaks.
const INPUT_BYTES: u64 = 256 * 1024;

/// What was found out.
struct Verdict {
    outcome: Result<Vec<Finding>, Error>,
    /// `none` says that no measurement was checked.
    policy: &'static str,
    document: Value,
}

/// Checks the document and prints the walk.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let document = document(&read(&args.file)?);
    let verdict = judge(args, &document)?;
    match args.json {
        true => say(&format!("{}\n", verdict.json())),
        false => say(&verdict.text()),
    }
    match verdict.outcome {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::refused(format!("the document is refused at step {error}"))),
    }
}

fn judge(args: &VerifyArgs, document: &[u8]) -> Result<Verdict, Failure> {
    let policy = policy(args)?;
    let nonce = bytes(args.nonce.as_ref());
    let mut challenge = match nonce {
        Some(nonce) => Challenge::new(Nonce(nonce)),
        None => Challenge::dangerous_without_nonce(),
    };
    if let Some(key) = bytes(args.public_key.as_ref()) {
        challenge = challenge.expecting_public_key(PublicKey(key));
    }
    if let Some(data) = bytes(args.user_data.as_ref()) {
        challenge = challenge.expecting_user_data(UserData(data));
    }
    let outcome = match (args.at, args.max_age) {
        (Some(at), None) => verify_archived(document, &policy, &challenge, UnixTime::from_secs(at))
            .map(|enclave| enclave.findings().to_vec()),
        (at, _) => verify(document, &policy, &challenge, at.map_or_else(now, UnixTime::from_secs))
            .map(|enclave| enclave.findings().to_vec()),
    };
    Ok(Verdict {
        outcome,
        policy: if args.pcr.is_empty() { "none" } else { "pcrs" },
        document: decode_without_verifying(document)
            .map_or(Value::Null, |decoded| describe(decoded.claims(), decoded.root_fingerprint())),
    })
}

fn policy(args: &VerifyArgs) -> Result<Policy, Failure> {
    let anchor = match &args.root {
        Some(path) => TrustAnchor::dangerous_development_root(root(path)?),
        None => TrustAnchor::aws_nitro(),
    };
    let mut registers = args.pcr.iter();
    let mut policy = match registers.next() {
        None => Policy::dangerous_any_measurement(anchor),
        Some((index, value)) => {
            let first = MeasurementSet::dangerous_partial(*index, *value);
            let set = registers.fold(first, |set, (index, value)| set.with(*index, *value));
            if set.iter().count() != args.pcr.len() {
                return Err(Failure::usage("a register is given twice with --pcr; give each once"));
            }
            Policy::new(anchor, vec![set])
        }
    };
    if let Some(seconds) = args.max_age {
        policy = policy.with_max_age(Duration::from_secs(seconds));
    }
    if args.allow_debug {
        policy = policy.dangerous_allow_debug();
    }
    Ok(policy)
}

fn root(path: &Path) -> Result<RootFingerprint, Failure> {
    let file = read(path)?;
    if !file.starts_with(b"-----BEGIN") {
        return Ok(RootFingerprint::of_certificate(&file));
    }
    let certificate = CertificateDer::from_pem_slice(&file).map_err(|e| {
        let path = path.display();
        Failure::usage(format!("{path} holds no certificate: {e}; give a PEM or DER file"))
    })?;
    Ok(RootFingerprint::of_certificate(&certificate))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => io::stdin().take(INPUT_BYTES).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(INPUT_BYTES).read_to_end(&mut bytes)),
    };
    read.map_err(|e| {
        let path = path.display();
        Failure::environment(format!(
            "cannot read {path}: {e}; give a file, or - for standard input"
        ))
    })?;
    Ok(bytes)
}

/// The document in the file. Raw ones are never ASCII: the first byte of a COSE_Sign1 is not.
fn document(file: &[u8]) -> Vec<u8> {
    if !file.is_ascii() {
        return file.to_vec();
    }
    let text: Vec<u8> = file.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let url_safe = text.trim_end_with(b'=');
    hex::decode(&text)
        .ok()
        .or_else(|| STANDARD.decode(&text).ok())
        .or_else(|| URL_SAFE_NO_PAD.decode(url_safe).ok())
        .unwrap_or_else(|| file.to_vec())
}

/// `str::trim_end_matches` for bytes.
trait TrimEnd {
    fn trim_end_with(&self, byte: u8) -> &[u8];
}

impl TrimEnd for [u8] {
    fn trim_end_with(&self, byte: u8) -> &[u8] {
        let end = self.iter().rposition(|b| *b != byte).map_or(0, |at| at + 1);
        &self[..end]
    }
}

fn bytes(octets: Option<&Octets>) -> Option<&[u8]> {
    octets.map(|octets| octets.0.as_slice())
}

fn now() -> UnixTime {
    // A clock before 1970 counts as 1970, when no certificate is valid.
    UnixTime::since_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn describe(claims: &Claims, root: RootFingerprint) -> Value {
    let field = |bytes: Option<&[u8]>| bytes.map(hex::encode);
    let pcrs: Map<_, _> = claims
        .pcrs()
        .iter()
        .map(|(index, value)| (index.number().to_string(), json!(value.to_string())))
        .collect();
    json!({
        "module_id": claims.module_id(),
        "timestamp_ms": claims.timestamp().as_duration().as_millis() as u64,
        "pcrs": pcrs,
        "public_key": field(claims.public_key()),
        "user_data": field(claims.user_data()),
        "nonce": field(claims.nonce()),
        "certificates": claims.certificates().len(),
        "root_sha256": root.to_string(),
    })
}

impl Verdict {
    fn json(&self) -> Value {
        let error = self.outcome.as_ref().err();
        json!({
            "verified": error.is_none(),
            "step": error.map(|e| e.step().name()),
            "error": error.map(Error::name),
            "message": error.map(ToString::to_string),
            "policy": self.policy,
            "document": self.document,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |step: Step, found: &str| {
            text += &format!("  {:<11} {found}\n", step.name());
        };
        match &self.outcome {
            Ok(findings) => {
                findings.iter().for_each(|finding| line(finding.step(), &finding.to_string()))
            }
            Err(error) => {
                let passed = Step::ALL.into_iter().take_while(|step| *step != error.step());
                passed.for_each(|step| line(step, "passed"));
                line(error.step(), "REFUSED");
            }
        }
        match (&self.outcome, self.policy) {
            (Ok(_), "none") => {
                text += "genuine: a Nitro hypervisor signed it. No measurement was checked, so nothing is \
                         known of the program inside; add --pcr 0=HEX --pcr 1=HEX --pcr 2=HEX.\n";
            }
            (Ok(_), _) => text += "verified: genuine, and every register is as expected.\n",
            (Err(_), _) => {}
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aegis_dev_attester::{AttestRequest, DevelopmentAttester};
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    const AT: u64 = 1_800_000_000;

    struct Case {
        attester: DevelopmentAttester,
        document: Vec<u8>,
        root: tempfile::NamedTempFile,
    }

    fn case() -> Case {
        let attester = DevelopmentAttester::ephemeral();
        let request = AttestRequest { nonce: Some(b"nonce"), ..AttestRequest::default() };
        let document = attester.attest(&[[7; 48]; 16], &request, AT * 1000).unwrap();
        let root = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(root.path(), attester.root_der()).unwrap();
        Case { attester, document, root }
    }

    impl Case {
        fn judge(&self, more: &[&str]) -> Verdict {
            let root = self.root.path().to_str().unwrap();
            let fixed = ["aegis", "verify", "-", "--root", root];
            let cli = Cli::try_parse_from(fixed.iter().chain(more)).unwrap();
            let Command::Verify(args) = cli.command else { panic!("another command") };
            judge(&args, &self.document).unwrap()
        }

        fn step(&self, more: &[&str]) -> Option<&'static str> {
            self.judge(more).outcome.err().map(|error| error.step().name())
        }
    }

    #[test]
    fn at_its_time_a_document_passes_and_says_that_no_measurement_was_checked() {
        let case = case();
        let at = AT.to_string();
        let verdict = case.judge(&["--at", &at]);
        let json = verdict.json();
        assert_eq!((&json["verified"], &json["policy"]), (&json!(true), &json!("none")));
        assert_eq!(json["document"]["pcrs"]["0"], "07".repeat(48));
        assert_eq!(json["document"]["nonce"], hex::encode("nonce"));
        let root = RootFingerprint::new(case.attester.root_fingerprint());
        assert_eq!(json["document"]["root_sha256"], root.to_string());
        assert!(verdict.text().contains("No measurement was checked"));
    }

    #[test]
    fn each_expectation_is_checked() {
        let case = case();
        let at = AT.to_string();
        let (right, wrong) = ("07".repeat(48), "08".repeat(48));
        let (nonce, other) = (hex::encode("nonce"), hex::encode("other"));
        for (more, step) in [
            (&["--pcr", &format!("0={right}")][..], None),
            (&["--pcr", &format!("0={wrong}")], Some("pcrs")),
            (&["--pcr", &format!("31={right}")], Some("pcrs")),
            (&["--nonce", &nonce], None),
            (&["--nonce", &other], Some("nonce")),
            (&["--public-key", "00"], Some("public_key")),
            (&["--user-data", "00"], Some("user_data")),
        ] {
            let more = [&["--at", &at], more].concat();
            assert_eq!(case.step(&more), step, "{more:?}");
        }
    }

    #[test]
    fn age_counts_without_at_or_with_a_greatest_age() {
        let case = case();
        let later = (AT + 100).to_string();
        assert_eq!(case.step(&["--at", &later]), None);
        assert_eq!(case.step(&["--at", &later, "--max-age", "100"]), None);
        assert_eq!(case.step(&["--at", &later, "--max-age", "99"]), Some("age"));
        assert!(case.step(&[]).is_some());
    }

    #[test]
    fn a_refusal_names_step_and_variant() {
        let case = case();
        let verdict = case.judge(&["--at", &AT.to_string(), "--nonce", "00"]);
        let json = verdict.json();
        assert_eq!(json["verified"], false);
        assert_eq!(json["step"], "nonce");
        assert!(json["error"].is_string() && json["document"].is_object());
        assert!(verdict.text().ends_with("  nonce       REFUSED\n"));
    }

    #[test]
    fn a_register_given_twice_is_a_usage_error() {
        let pcr = format!("0={}", "07".repeat(48));
        let cli = ["aegis", "verify", "-", "--pcr", &pcr, "--pcr", &pcr];
        let Command::Verify(args) = Cli::try_parse_from(cli).unwrap().command else {
            panic!("another command")
        };
        assert_eq!(policy(&args).unwrap_err().exit, crate::failure::Exit::Usage);
    }

    #[test]
    fn raw_hex_and_base64_are_one_document() {
        let raw = case().document;
        let hexadecimal = hex::encode(&raw);
        let lines = hexadecimal.as_bytes().chunks(64).collect::<Vec<_>>().join(&b'\n');
        assert_eq!(document(&raw), raw);
        assert_eq!(document(&lines), raw);
        assert_eq!(document(STANDARD.encode(&raw).as_bytes()), raw);
        assert_eq!(document(URL_SAFE_NO_PAD.encode(&raw).as_bytes()), raw);
        assert_eq!(document(b"no document"), b"no document");
    }
}
