//! What `aegis verify` says: the walk, what the document holds, and a last line that claims no more
//! than was checked.

use aegis_verifier::{
    Claims, Error, Finding, MeasurementSet, PcrIndex, Policy, RootFingerprint, Step,
    UnverifiedDocument,
};
use serde_json::{Map, Value, json};

/// Most bytes of a field that the text shows.
const SHOWN_BYTES: usize = 32;

/// What was found out.
pub(super) struct Verdict {
    pub outcome: Result<Vec<Finding>, Error>,
    pub policy: Policy,
    pub asked: Asked,
    /// None: the document is too malformed to be taken apart.
    pub decoded: Option<UnverifiedDocument>,
}

/// Which of the optional steps there was something to compare with.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub age: bool,
    pub nonce: bool,
    pub public_key: bool,
}

impl Verdict {
    pub(super) fn json(&self) -> Value {
        let error = self.outcome.as_ref().err();
        let document = self
            .decoded
            .as_ref()
            .map(|decoded| describe(decoded.claims(), decoded.root_fingerprint()));
        json!({
            "verified": error.is_none(),
            "step": error.map(|e| e.step().name()),
            "error": error.map(Error::name),
            "message": error.map(ToString::to_string),
            // `none` says that no measurement was checked.
            "policy": if self.policy.accepted().is_none() { "none" } else { "pcrs" },
            "document": document,
        })
    }

    pub(super) fn text(&self) -> String {
        let walk = self.walk();
        let contents = self.contents();
        match &self.outcome {
            Ok(_) => format!("{walk}{contents}{}\n", self.last_line()),
            // The last line is on standard error: which check refused, and why.
            Err(_) => format!("{walk}{contents}"),
        }
    }

    fn walk(&self) -> String {
        let line = |step: Step, found: String| format!("  {:<11} {found}\n", step.name());
        match &self.outcome {
            Ok(findings) => findings.iter().map(|f| line(f.step(), f.to_string())).collect(),
            Err(error) => {
                let before = Step::ALL.into_iter().take_while(|step| *step != error.step());
                let mut walk: String = before.map(|step| line(step, self.before(step))).collect();
                walk += &line(error.step(), "REFUSED".to_owned());
                walk
            }
        }
    }

    /// A step before the one that refused. What compared nothing says so in the words of a walk
    /// that ends well.
    fn before(&self, step: Step) -> String {
        let Asked { age, nonce, public_key } = self.asked;
        let special = match step {
            Step::Age if !age => Finding::Age { age: None },
            Step::Debug if self.is_debug() => Finding::Debug { debug: true },
            Step::Pcrs if self.policy.accepted().is_none() => Finding::Pcrs { accepted_set: None },
            Step::Nonce if !nonce => Finding::Nonce { checked: false },
            Step::PublicKey if !public_key => Finding::PublicKey { checked: false },
            _ => return "passed".to_owned(),
        };
        special.to_string()
    }

    /// What the document holds, so that its registers can be given to `--pcr`.
    fn contents(&self) -> String {
        let Some(decoded) = &self.decoded else { return String::new() };
        let unsigned = self.outcome.as_ref().is_err_and(|error| error.step() <= Step::Signature);
        let mut text = match unsigned {
            true => "the document says, and nothing shows that it is true:\n".to_owned(),
            false => "the document says:\n".to_owned(),
        };
        let claims = decoded.claims();
        let mut line = |name: &str, value: &str| text += &format!("  {name:<11} {value}\n");
        let (zero, set): (Vec<_>, Vec<_>) = claims.pcrs().iter().partition(|(_, v)| v.is_zero());
        for (index, value) in set {
            line("pcr", &format!("{}={value}", index.number()));
        }
        if !zero.is_empty() {
            line("zero pcrs", &ranges(zero.into_iter().map(|(index, _)| index)));
        }
        line("nonce", &shortened(claims.nonce()));
        line("public_key", &shortened(claims.public_key()));
        line("user_data", &shortened(claims.user_data()));
        text
    }

    /// The claim of a document that passed, with everything that limits it.
    fn last_line(&self) -> String {
        let anchor = self.policy.anchor();
        let signed = match anchor.is_aws_nitro() {
            true => "a Nitro hypervisor signed it".to_owned(),
            false => format!(
                "signed under the root you gave, SHA-256 {}, which is not AWS's",
                anchor.fingerprint()
            ),
        };
        let (registers, advice) = self.registers();
        if self.is_debug() {
            return format!(
                "DEBUG ENCLAVE: take its memory as readable by whoever started it, and nothing \
                 tells which program runs in it; {signed}. {registers}."
            );
        }
        let claim = match (anchor.is_aws_nitro(), self.policy.accepted()) {
            (false, _) => "passed",
            (true, None) => "genuine",
            (true, Some(_)) => "verified",
        };
        format!("{claim}: {signed}. {registers}{advice}.")
    }

    /// Which registers were compared and which were not, and what to do if these are too few.
    fn registers(&self) -> (String, &'static str) {
        // The policy of this command holds one set at most.
        let Some(set) = self.policy.accepted().and_then(<[MeasurementSet]>::first) else {
            let advice = ", so nothing is known of the program inside; \
                          add --pcr 0=HEX --pcr 1=HEX --pcr 2=HEX";
            return ("No measurement was checked".to_owned(), advice);
        };
        let compared: Vec<_> = set.iter().map(|(index, _)| index).collect();
        let listed = self.decoded.iter().flat_map(|decoded| decoded.claims().pcrs().iter());
        let others = listed.map(|(index, _)| index).filter(|index| !compared.contains(index));
        let others = match ranges(others) {
            none if none.is_empty() => none,
            others => format!("; not compared: {others}"),
        };
        let has = |index| compared.contains(&index);
        let pins_image =
            has(PcrIndex::IMAGE) || (has(PcrIndex::KERNEL) && has(PcrIndex::APPLICATION));
        let advice = match pins_image {
            true => "",
            false => ". These do not pin the image; add --pcr 0=HEX",
        };
        (format!("PCR {} as expected{others}", ranges(compared.iter().copied())), advice)
    }

    /// PCR0 is all zero, which AWS keeps for debug enclaves.
    fn is_debug(&self) -> bool {
        let image = self.decoded.as_ref().and_then(|d| d.claims().pcrs().value(PcrIndex::IMAGE));
        image.is_some_and(|value| value.is_zero())
    }
}

/// Ascending numbers, runs of three and more as `4-15`.
fn ranges(indices: impl Iterator<Item = PcrIndex>) -> String {
    let mut runs: Vec<(u8, u8)> = Vec::new();
    for number in indices.map(PcrIndex::number) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let words: Vec<_> = runs
        .into_iter()
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first}-{last}"),
        })
        .collect();
    words.join(", ")
}

fn shortened(field: Option<&[u8]>) -> String {
    match field {
        None => "none".to_owned(),
        Some([]) => "empty".to_owned(),
        Some(bytes) => match bytes.split_at_checked(SHOWN_BYTES) {
            Some((shown, rest)) if !rest.is_empty() => {
                format!("{}... ({} bytes)", hex::encode(shown), bytes.len())
            }
            _ => hex::encode(bytes),
        },
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aegis_dev_attester::{AttestRequest, DevelopmentAttester};
    use aegis_verifier::{Pcr, TrustAnchor, decode_without_verifying};

    use super::*;

    /// A document that passed, with what the policy compares and holds it to.
    fn passed(image: [u8; 48], root: Option<RootFingerprint>, compared: &[u8]) -> Verdict {
        let mut bank = [[7; 48]; 16];
        bank[0] = image;
        bank[5] = [0; 48];
        let request = AttestRequest { user_data: Some(&[9; 33]), ..AttestRequest::default() };
        let document =
            DevelopmentAttester::ephemeral().attest(&bank, &request, 1_800_000_000_000).unwrap();
        let anchor = root.map_or(TrustAnchor::aws_nitro(), TrustAnchor::dangerous_development_root);
        let mut indices = compared.iter().map(|number| PcrIndex::new(*number).unwrap());
        let value = Pcr::new([7; 48]);
        let policy = match indices.next() {
            None => Policy::dangerous_any_measurement(anchor),
            Some(first) => {
                let set = MeasurementSet::dangerous_partial(first, value);
                Policy::new(anchor, vec![indices.fold(set, |set, index| set.with(index, value))])
            }
        };
        let asked = Asked { age: true, nonce: false, public_key: false };
        let decoded = decode_without_verifying(&document).ok();
        Verdict { outcome: Ok(Vec::new()), policy, asked, decoded }
    }

    fn last_line(image: [u8; 48], root: Option<RootFingerprint>, compared: &[u8]) -> String {
        passed(image, root, compared).text().lines().next_back().unwrap().to_owned()
    }

    #[test]
    fn only_aws_root_makes_a_document_a_hypervisors() {
        let under_aws = last_line([7; 48], None, &[]);
        assert!(under_aws.starts_with("genuine: a Nitro hypervisor signed it."), "{under_aws}");
        let root = RootFingerprint::new([3; 32]);
        for compared in [&[][..], &[0]] {
            let line = last_line([7; 48], Some(root), compared);
            let named = format!(
                "passed: signed under the root you gave, SHA-256 {root}, which is not AWS's."
            );
            assert!(line.starts_with(&named), "{line}");
            assert!(!line.contains("Nitro") && !line.contains("genuine"), "{line}");
        }
        // AWS's own root, given by hand, is AWS's.
        let line = last_line([7; 48], Some(RootFingerprint::AWS_NITRO_G1), &[0]);
        assert!(line.starts_with("verified: a Nitro hypervisor signed it."), "{line}");
    }

    #[test]
    fn the_registers_compared_are_named_and_the_others_too() {
        for (compared, end) in [
            (&[0, 3][..], "PCR 0, 3 as expected; not compared: 1, 2, 4-15."),
            (&[1, 2], "PCR 1, 2 as expected; not compared: 0, 3-15."),
            (&(0..16).collect::<Vec<_>>(), " PCR 0-15 as expected."),
            (
                &[1, 8],
                "PCR 1, 8 as expected; not compared: 0, 2-7, 9-15. \
                 These do not pin the image; add --pcr 0=HEX.",
            ),
            (&[], "add --pcr 0=HEX --pcr 1=HEX --pcr 2=HEX."),
        ] {
            let line = last_line([7; 48], None, compared);
            assert!(line.ends_with(end), "{line}");
        }
    }

    #[test]
    fn a_debug_enclave_is_one_in_the_last_line_whatever_was_compared() {
        for compared in [&[][..], &[1, 2]] {
            let line = last_line([0; 48], None, compared);
            assert!(line.starts_with("DEBUG ENCLAVE: take its memory as readable"), "{line}");
            assert!(!line.contains("genuine") && !line.contains("verified"), "{line}");
        }
    }

    #[test]
    fn registers_are_shown_whole_and_fields_shortened() {
        let text = passed([0xab; 48], None, &[]).text();
        for line in [
            "the document says:".to_owned(),
            format!("  pcr         0={}", "ab".repeat(48)),
            format!("  pcr         15={}", "07".repeat(48)),
            "  zero pcrs   5".to_owned(),
            "  nonce       none".to_owned(),
            format!("  user_data   {}... (33 bytes)", "09".repeat(32)),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_field_that_fits_is_shown_whole() {
        assert_eq!(shortened(Some(&[9; 32])), "09".repeat(32));
        assert_eq!(shortened(Some(&[])), "empty");
        assert_eq!(shortened(None), "none");
    }
}
