//! `aegis verify`: one attestation document by hand, of Aegis or of any other Nitro enclave.

mod input;
mod verdict;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aegis_verifier::{
    Challenge, MeasurementSet, Nonce, Policy, PublicKey, TrustAnchor, UnixTime, UserData,
    decode_without_verifying, verify, verify_archived,
};

use self::{
    input::{document, read, root},
    verdict::{Asked, Verdict},
};
use crate::{
    agent::start::say,
    args::{Octets, VerifyArgs},
    failure::Failure,
};

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
    let asked = Asked {
        age: args.at.is_none() || args.max_age.is_some(),
        nonce: args.nonce.is_some(),
        public_key: args.public_key.is_some(),
    };
    let decoded = decode_without_verifying(document).ok();
    Ok(Verdict { outcome, policy, asked, decoded })
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

fn bytes(octets: Option<&Octets>) -> Option<&[u8]> {
    octets.map(|octets| octets.0.as_slice())
}

fn now() -> UnixTime {
    // A clock before 1970 counts as 1970, when no certificate is valid.
    UnixTime::since_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aegis_dev_attester::{AttestRequest, DevelopmentAttester};
    use aegis_verifier::RootFingerprint;
    use clap::Parser;
    use serde_json::json;

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
        let text = verdict.text();
        assert!(text.contains("No measurement was checked"), "{text}");
        assert!(text.contains(&format!("the root you gave, SHA-256 {root}")), "{text}");
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
        assert!(verdict.text().contains("  nonce       REFUSED\n"));
    }

    #[test]
    fn before_a_refusal_only_what_was_compared_has_passed() {
        let case = case();
        let at = AT.to_string();
        let pcr = format!("0={}", "07".repeat(48));
        let nonce = hex::encode("nonce");
        let unchecked = |more: &[&str]| {
            let text = case.judge(&[&["--at", &at], more].concat()).text();
            assert!(text.contains("  signature   passed\n"), "{text}");
            assert!(text.contains("the document says:\n"), "{text}");
            let found = ["age", "pcrs", "nonce", "public_key"].into_iter().filter(|step| {
                let line = text.lines().find(|line| line.starts_with(&format!("  {step} ")));
                line.unwrap().contains("not checked")
            });
            found.collect::<Vec<_>>()
        };
        assert_eq!(unchecked(&["--nonce", "00"]), ["age", "pcrs"]);
        assert_eq!(unchecked(&["--user-data", "00"]), ["age", "pcrs", "nonce", "public_key"]);
        let more = ["--max-age", "9", "--pcr", &pcr, "--nonce", &nonce, "--user-data", "00"];
        assert_eq!(unchecked(&more), ["public_key"]);
    }

    #[test]
    fn what_nobody_signed_is_not_passed_off_as_true() {
        let case = case();
        let late = (AT + 1_000_000_000).to_string();
        let text = case.judge(&["--at", &late]).text();
        assert!(text.contains("  chain       REFUSED\n"), "{text}");
        assert!(text.contains("says, and nothing shows that it is true:\n"), "{text}");
    }

    #[test]
    fn a_debug_enclave_that_may_pass_is_one_in_every_text() {
        let mut case = case();
        let request = AttestRequest { nonce: Some(b"nonce"), ..AttestRequest::default() };
        case.document = case.attester.attest(&[[0; 48]; 16], &request, AT * 1000).unwrap();
        let at = AT.to_string();
        assert_eq!(case.step(&["--at", &at]), Some("debug"));
        let passed = case.judge(&["--at", &at, "--allow-debug"]).text();
        assert!(passed.lines().next_back().unwrap().starts_with("DEBUG ENCLAVE"), "{passed}");
        let refused = case.judge(&["--at", &at, "--allow-debug", "--nonce", "00"]).text();
        assert!(refused.contains("  debug       A DEBUG ENCLAVE"), "{refused}");
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
}
