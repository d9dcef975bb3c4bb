//! `aegis verify`: one attestation document by hand, of Aegis or of any other Nitro enclave; or the
//! evidence that a router's enclave gives now. `aegis explain` takes one apart and believes nothing.

mod describe;
mod input;
mod live;
mod verdict;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aegis_client::StateError;
use aegis_releases::{Accepted, UnixSeconds};
use aegis_verifier::{
    Challenge, ImageMeasurement, MeasurementSet, Nonce, Pcr, PcrIndex, Policy, PublicKey,
    TrustAnchor, UnixTime, UserData, decode_without_verifying, verify, verify_archived,
};
use serde_json::json;

use self::{
    describe::{describe, lines},
    input::{document, read, root},
    verdict::{Asked, Verdict},
};
use crate::{
    agent::start::say,
    args::{ExplainArgs, Octets, VerifyArgs},
    failure::Failure,
    lists,
    release::refusal_json,
};

/// A document and what it must say.
struct Question {
    document: Vec<u8>,
    nonce: Option<Vec<u8>>,
    public_key: Option<Vec<u8>>,
    user_data: Option<Vec<u8>>,
}

/// Checks the document and prints the walk.
pub async fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let (question, list) = match live::url(args) {
        Some(url) => live::ask(args, url).await?,
        None => {
            live::is_not_asked(args)?;
            let list = match &args.list.releases {
                Some(_) => Some(list(args)?),
                None => None,
            };
            (question(args)?, list)
        }
    };
    let verdict = judge(args, &question, list)?;
    match args.json {
        true => say(&format!("{}\n", verdict.json())),
        false => say(&verdict.text()),
    }
    match verdict.outcome {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::refused(format!("the document is refused at step {error}"))),
    }
}

/// Takes the document apart, and says loudly that this shows nothing.
pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let document = document(&read(&args.file)?);
    let decoded = decode_without_verifying(&document).map_err(|e| {
        let file = args.file.display();
        Failure::refused(format!(
            "{file} is no attestation document: it is refused at step {e}; give one raw, in hex or in base64"
        ))
    })?;
    if args.json {
        say(&format!("{}\n", json!({"verified": false, "document": describe(&decoded)})));
        return Ok(());
    }
    let claims = decoded.claims();
    let mut text = "\
NOT VERIFIED: anybody can make a document that says this. Use `aegis verify` before you believe a word of it.\n"
        .to_owned();
    let mut line = |name: &str, value: String| text += &format!("  {name:<11} {value}\n");
    line("module_id", claims.module_id().to_owned());
    line("made at", UnixSeconds(claims.timestamp().as_secs()).to_string());
    let count = claims.certificates().len();
    line("chain", format!("{count} certificates, root SHA-256 {}", decoded.root_fingerprint()));
    say(&(text + &lines(claims) + "NOT VERIFIED.\n"));
    Ok(())
}

/// What the file and the command line say.
fn question(args: &VerifyArgs) -> Result<Question, Failure> {
    let octets = |octets: &Option<Octets>| octets.as_ref().map(|octets| octets.0.clone());
    Ok(Question {
        document: document(&read(&args.file)?),
        nonce: octets(&args.nonce),
        public_key: octets(&args.public_key),
        user_data: octets(&args.user_data),
    })
}

/// The list of `--releases`, checked: now and against what is remembered, or as of `--at`.
fn list(args: &VerifyArgs) -> Result<Accepted, Failure> {
    let (releases, bundle) = lists::bundle(&args.list)?;
    lists::judge(&releases, &bundle, args.at).map_err(|error| refused_list(args, error))
}

/// Says that nothing was judged, because the list was refused.
fn refused_list(args: &VerifyArgs, error: StateError) -> Failure {
    if let (true, StateError::Refused(refused)) = (args.json, &error) {
        let mut json = json!({"verified": false, "step": "releases", "policy": "releases"});
        json["error"] = refused.name().into();
        json["message"] = error.to_string().into();
        json["list"] = refusal_json(refused);
        json["document"] = serde_json::Value::Null;
        say(&format!("{json}\n"));
    }
    error.into()
}

fn judge(
    args: &VerifyArgs,
    question: &Question,
    list: Option<Accepted>,
) -> Result<Verdict, Failure> {
    let policy = policy(args, list.as_ref())?;
    let Question { document, nonce, public_key, user_data } = question;
    let mut challenge = match nonce {
        Some(nonce) => Challenge::new(Nonce(nonce)),
        None => Challenge::dangerous_without_nonce(),
    };
    if let Some(key) = public_key {
        challenge = challenge.expecting_public_key(PublicKey(key));
    }
    if let Some(data) = user_data {
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
        nonce: nonce.is_some(),
        public_key: public_key.is_some(),
    };
    let decoded = decode_without_verifying(document).ok();
    Ok(Verdict { outcome, list, policy, asked, decoded })
}

fn policy(args: &VerifyArgs, list: Option<&Accepted>) -> Result<Policy, Failure> {
    let anchor = match (&args.root, args.live.dangerous_development_root) {
        (Some(path), _) => TrustAnchor::dangerous_development_root(root(path)?),
        (None, Some(root)) => TrustAnchor::dangerous_development_root(root),
        (None, None) => TrustAnchor::aws_nitro(),
    };
    let mut policy = match (list, args.pcr.is_empty()) {
        (None, true) => Policy::dangerous_any_measurement(anchor),
        (None, false) => Policy::new(anchor, vec![registers(args)?]),
        (Some(list), _) => Policy::new(anchor, listed(args, list)?),
    };
    if let Some(seconds) = args.max_age {
        policy = policy.with_max_age(Duration::from_secs(seconds));
    }
    if args.allow_debug {
        policy = policy.dangerous_allow_debug();
    }
    Ok(policy)
}

/// The registers of `--pcr`, of which there is one at least.
fn registers(args: &VerifyArgs) -> Result<MeasurementSet, Failure> {
    let twice = || Failure::usage("a register is given twice with --pcr; give each once");
    let mut registers = args.pcr.iter();
    let (index, value) = registers.next().ok_or_else(twice)?;
    let first = MeasurementSet::dangerous_partial(*index, *value);
    let set = registers.fold(first, |set, (index, value)| set.with(*index, *value));
    match set.iter().count() == args.pcr.len() {
        true => Ok(set),
        false => Err(twice()),
    }
}

/// The registers of `--pcr` beside those of a release list.
fn further_registers(args: &VerifyArgs) -> Result<&[(PcrIndex, Pcr)], Failure> {
    if !args.pcr.is_empty() {
        registers(args)?;
    }
    if args.pcr.iter().any(|(index, _)| index.number() <= 2) {
        return Err(Failure::usage(
            "--pcr 0, 1 and 2 come from the release list; give others with it, or leave out the list",
        ));
    }
    Ok(&args.pcr)
}

/// The accepted releases, each with the further registers of `--pcr`.
fn listed(args: &VerifyArgs, list: &Accepted) -> Result<Vec<MeasurementSet>, Failure> {
    let further = further_registers(args)?;
    let set = |release: &aegis_releases::Release| {
        let [pcr0, pcr1, pcr2] = release.pcrs.map(Pcr::new);
        let set = MeasurementSet::new(ImageMeasurement { pcr0, pcr1, pcr2 });
        further.iter().fold(set, |set, (index, value)| set.with(*index, *value))
    };
    Ok(list.releases().map(set).collect())
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

    fn question_of(args: &VerifyArgs, document: &[u8]) -> Question {
        let bytes = |octets: &Option<Octets>| octets.as_ref().map(|octets| octets.0.clone());
        let (nonce, public_key) = (bytes(&args.nonce), bytes(&args.public_key));
        let document = document.to_vec();
        Question { document, nonce, public_key, user_data: bytes(&args.user_data) }
    }

    impl Case {
        fn judge(&self, more: &[&str]) -> Verdict {
            let root = self.root.path().to_str().unwrap();
            let fixed = ["aegis", "verify", "-", "--root", root];
            let cli = Cli::try_parse_from(fixed.iter().chain(more)).unwrap();
            let Command::Verify(args) = cli.command else { panic!("another command") };
            let question = question_of(&args, &self.document);
            judge(&args, &question, None).unwrap()
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
    fn registers_of_the_list_are_not_replaced_by_hand() {
        let value = "07".repeat(48);
        let parse = |index: u8| {
            let pcr = format!("{index}={value}");
            let cli = ["aegis", "verify", "-", "--pcr", &pcr];
            let Command::Verify(args) = Cli::try_parse_from(cli).unwrap().command else {
                panic!("another command")
            };
            further_registers(&args).map(|_| ())
        };
        for index in [0, 1, 2] {
            assert_eq!(parse(index).unwrap_err().exit, crate::failure::Exit::Usage);
        }
        for index in [3, 8, 16] {
            parse(index).unwrap();
        }
    }

    #[test]
    fn a_register_given_twice_is_a_usage_error() {
        let pcr = format!("0={}", "07".repeat(48));
        let cli = ["aegis", "verify", "-", "--pcr", &pcr, "--pcr", &pcr];
        let Command::Verify(args) = Cli::try_parse_from(cli).unwrap().command else {
            panic!("another command")
        };
        assert_eq!(policy(&args, None).unwrap_err().exit, crate::failure::Exit::Usage);
    }
}
