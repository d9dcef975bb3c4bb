//! What `aegis verify` says: the walk, what the document holds, and a last line that claims no more
//! than was checked.

use aegis_releases::{Accepted, Status};
use aegis_verifier::{
    Error, Finding, MeasurementSet, Pcr, PcrIndex, Policy, Step, UnverifiedDocument,
};
use serde_json::{Value, json};

use super::describe::{describe, lines, ranges};
use crate::lists;

/// What was found out.
pub(super) struct Verdict {
    pub outcome: Result<Vec<Finding>, Error>,
    /// The release list that PCR0, 1 and 2 were compared with.
    pub list: Option<Accepted>,
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
        let document = self.decoded.as_ref().map(describe);
        let list = self.list.as_ref().map(|accepted| {
            let release = self.release().map(|(number, _)| number);
            json!({
                "origin": accepted.list().origin(),
                "sequence": accepted.list().sequence(),
                "not_after": accepted.list().not_after().0,
                "first_use": accepted.is_first(),
                "release": release,
            })
        });
        json!({
            "verified": error.is_none(),
            "step": error.map(|e| e.step().name()),
            "error": error.map(Error::name),
            "message": error.map(ToString::to_string),
            // `none` says that no measurement was checked.
            "policy": match (&self.list, self.policy.accepted()) {
                (Some(_), _) => "releases",
                (None, Some(_)) => "pcrs",
                (None, None) => "none",
            },
            "list": list,
            "document": document,
        })
    }

    pub(super) fn text(&self) -> String {
        let list = self
            .list
            .as_ref()
            .map(|list| format!("the release list:\n{}the document:\n", lists::walk(list)));
        let walk = list.unwrap_or_default() + &self.walk();
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
        text += &lines(decoded.claims());
        if let (Some(list), Some((number, status))) = (&self.list, self.release()) {
            let sequence = list.list().sequence();
            let status = match status {
                Status::Accepted => "accepted",
                Status::Withdrawn => "WITHDRAWN",
                Status::BelowMinimum => "below the minimum",
            };
            text += &format!("  {:<11} {number}, {status} in list {sequence}\n", "release");
        }
        text
    }

    /// The release of the list with the document's PCR0, 1 and 2, accepted or not.
    fn release(&self) -> Option<(u32, Status)> {
        let (list, pcrs) = (self.list.as_ref()?.list(), self.decoded.as_ref()?.claims().pcrs());
        let same = |index, value: &[u8; 48]| {
            PcrIndex::new(index).and_then(|index| pcrs.value(index)).map(Pcr::as_bytes)
                == Some(value)
        };
        let found = list
            .releases()
            .iter()
            .find(|release| (0..).zip(&release.pcrs).all(|(index, value)| same(index, value)))?;
        Some((found.number, list.status(found.number)))
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
        let Some(set) = self.compared() else {
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
        let expected = match self.release() {
            Some((number, _)) => format!("in release {number}"),
            None => "expected".to_owned(),
        };
        (format!("PCR {} as {expected}{others}", ranges(compared.iter().copied())), advice)
    }

    /// The set of registers that the document was found to have; of a list, one of several.
    fn compared(&self) -> Option<&MeasurementSet> {
        let sets = self.policy.accepted()?;
        let matched = self.outcome.iter().flatten().find_map(|finding| match finding {
            Finding::Pcrs { accepted_set } => *accepted_set,
            _ => None,
        });
        sets.get(matched.unwrap_or_default())
    }

    /// PCR0 is all zero, which AWS keeps for debug enclaves.
    fn is_debug(&self) -> bool {
        let image = self.decoded.as_ref().and_then(|d| d.claims().pcrs().value(PcrIndex::IMAGE));
        image.is_some_and(|value| value.is_zero())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aegis_dev_attester::{AttestRequest, DevelopmentAttester};
    use aegis_verifier::{RootFingerprint, TrustAnchor, decode_without_verifying};

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
        Verdict { outcome: Ok(Vec::new()), list: None, policy, asked, decoded }
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
}
