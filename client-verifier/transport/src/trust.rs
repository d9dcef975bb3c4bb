//! What this client believes: one root, and the measurements of the releases it accepts, named by
//! hand or taken from a signed list.
//!
//! The only module that talks to the verifier. It computes what the document must say with
//! `aegis_wire::binding` and leaves every judgement to [`aegis_verifier::verify_remembering`].

use std::sync::{Arc, Mutex, PoisonError};

use aegis_releases::Accepted;
use aegis_verifier::{
    ArchivedEnclave, ChainMemory, Challenge, ImageMeasurement, MeasurementSet, Nonce, Pcr, Policy,
    PublicKey, TrustAnchor, UnixTime, UserData, VerifiedEnclave, decode_without_verifying,
    verify_archived, verify_remembering,
};
use aegis_wire::binding::{self, Exporter, Spki};
use http::HeaderValue;

use crate::{Attested, ConfigError, Error, ReceiptError, Transcript};

/// Most releases that a client names to the host (PROTOCOL.md, section 2).
const RELEASES: usize = 16;

/// One accepted release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Its number; 0 is the development enclave.
    pub number: u32,
    /// What its image measures.
    pub measurement: ImageMeasurement,
}

/// A root and the releases accepted under it.
#[derive(Debug, Clone)]
pub struct Trust {
    policy: Policy,
    numbers: Vec<u32>,
    not_after: Option<UnixTime>,
    memory: Arc<Mutex<ChainMemory>>,
}

/// Evidence as it was shown on a session, with what it must say to be that session's. Nothing is
/// verified.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The attestation document.
    pub document: Vec<u8>,
    /// The nonce that it must name: bound to question, key and session.
    pub nonce: [u8; 48],
    /// The key that the peer proved to hold, as DER.
    pub public_key: Vec<u8>,
    /// The user data that it must name: bound to the receipt key.
    pub user_data: [u8; 48],
}

impl Shown {
    pub(crate) fn of(transcript: &Transcript) -> Self {
        let Transcript { opening, spki, exporter, document, receipt_key } = transcript;
        Self {
            nonce: binding::nonce(opening, Spki(spki), &Exporter(*exporter)),
            public_key: spki.clone(),
            user_data: binding::user_data(Spki(receipt_key)),
            document: document.clone(),
        }
    }

    /// The question that the document must answer.
    pub fn challenge(&self) -> Challenge<'_> {
        Challenge::new(Nonce(&self.nonce))
            .expecting_public_key(PublicKey(&self.public_key))
            .expecting_user_data(UserData(&self.user_data))
    }
}

impl Trust {
    /// Trusts `anchor` to say what runs, and accepts these releases.
    pub fn new(anchor: TrustAnchor, releases: &[Release]) -> Result<Self, ConfigError> {
        if !(1..=RELEASES).contains(&releases.len()) {
            return Err(ConfigError::Releases(releases.len()));
        }
        Self::of(anchor, releases, None)
    }

    /// Trusts `anchor` to say what runs, and accepts the releases of this list until its end. They
    /// may be none: then no enclave is accepted.
    pub fn of_list(anchor: TrustAnchor, accepted: &Accepted) -> Result<Self, ConfigError> {
        let releases: Vec<_> = accepted.releases().map(Release::of_list).collect();
        let not_after = UnixTime::from_secs(accepted.list().not_after().0);
        Self::of(anchor, &releases, Some(not_after))
    }

    /// The same root, and no release at all: what a client believes once its list has ended.
    #[must_use]
    pub fn without_releases(&self) -> Self {
        Self {
            policy: Policy::new(self.anchor().clone(), Vec::new()),
            numbers: Vec::new(),
            not_after: self.not_after,
            memory: Arc::default(),
        }
    }

    fn of(
        anchor: TrustAnchor,
        releases: &[Release],
        not_after: Option<UnixTime>,
    ) -> Result<Self, ConfigError> {
        let mut numbers: Vec<u32> = Vec::with_capacity(releases.len());
        for release in releases {
            if numbers.contains(&release.number) {
                return Err(ConfigError::ReleaseTwice(release.number));
            }
            numbers.push(release.number);
        }
        let sets = releases.iter().map(|r| MeasurementSet::new(r.measurement));
        Ok(Self {
            policy: Policy::new(anchor, sets.collect()),
            numbers,
            not_after,
            memory: Arc::default(),
        })
    }

    /// The root trusted.
    pub fn anchor(&self) -> &TrustAnchor {
        self.policy.anchor()
    }

    /// The numbers of the releases accepted.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Whether an enclave may be asked for at this time.
    pub(crate) fn is_usable(&self, now: UnixTime) -> Result<(), Error> {
        match self.not_after {
            Some(not_after) if now >= not_after => Err(Error::ReleasesEnded { not_after }),
            _ if self.numbers.is_empty() => Err(Error::NothingAccepted),
            _ => Ok(()),
        }
    }

    /// Whether what was verified under another policy is still accepted: the same release, with the
    /// same measurements, under the same root.
    pub(crate) fn still_accepts(&self, attested: &Attested) -> bool {
        let enclave = attested.enclave();
        let at = self.numbers.iter().position(|number| *number == attested.release());
        let set = at.and_then(|at| self.policy.accepted()?.get(at));
        enclave.root_fingerprint() == self.anchor().fingerprint()
            && set.is_some_and(|set| {
                set.iter().all(|(index, value)| enclave.pcrs().value(index) == Some(value))
            })
    }

    /// The number of the release that a verified enclave runs.
    pub(crate) fn release(&self, enclave: &VerifiedEnclave) -> Option<u32> {
        self.numbers.get(enclave.accepted_set()?).copied()
    }

    /// Judges evidence as it was shown on a session.
    pub(crate) fn judge(&self, shown: &Shown, now: UnixTime) -> Result<VerifiedEnclave, Error> {
        // A memory that a panic left behind holds only chains that passed.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let challenge = shown.challenge();
        verify_remembering(&shown.document, &self.policy, &challenge, now, &mut memory)
            .map_err(Error::Evidence)
    }

    /// Judges the evidence of a session that is over, as of the time that the document states, and
    /// names its release.
    pub(crate) fn judge_archived(
        &self,
        transcript: &Transcript,
    ) -> Result<(ArchivedEnclave, u32), ReceiptError> {
        let shown = Shown::of(transcript);
        let (document, challenge) = (&transcript.document, shown.challenge());
        let stated = decode_without_verifying(document).map_err(ReceiptError::Evidence)?;
        let at = stated.claims().timestamp();
        let enclave = verify_archived(document, &self.policy, &challenge, at)
            .map_err(ReceiptError::Evidence)?;
        let set = enclave.accepted_set().ok_or(ReceiptError::Release)?;
        let release = self.numbers.get(set).copied().ok_or(ReceiptError::Release)?;
        Ok((enclave, release))
    }
}

impl Release {
    fn of_list(release: &aegis_releases::Release) -> Self {
        let [pcr0, pcr1, pcr2] = release.pcrs.map(Pcr::new);
        Self { number: release.number, measurement: ImageMeasurement { pcr0, pcr1, pcr2 } }
    }
}

/// The value of `aegis-releases`.
pub(crate) fn header(numbers: &[u32]) -> HeaderValue {
    let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
    // Digits, commas and spaces.
    HeaderValue::from_str(&numbers.join(", ")).expect("numbers are a header value")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::SystemTime;

    use aegis_dev_attester::{AttestRequest, DevelopmentAttester};
    use aegis_verifier::{RootFingerprint, Step};
    use aegis_wire::session::Opening;

    use super::*;

    fn release(number: u32) -> Release {
        let [pcr0, pcr1, pcr2] = [1, 2, 3].map(|byte| Pcr::new([byte; 48]));
        Release { number, measurement: ImageMeasurement { pcr0, pcr1, pcr2 } }
    }

    fn vector(name: &str) -> Vec<u8> {
        let text = include_str!("../../../enclave/wire/vectors/protocol.txt");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        hex::decode(line.unwrap()).unwrap()
    }

    /// A document that claims what the vectors say, made without this crate's arithmetic.
    #[test]
    fn evidence_is_judged_by_the_vectors_of_the_contract() {
        let attester = DevelopmentAttester::ephemeral();
        let pcrs = [[1; 48]; 16];
        let [pcr0, pcr1, pcr2] = [0, 1, 2].map(|i| Pcr::new(pcrs[i]));
        let release = Release { number: 0, measurement: ImageMeasurement { pcr0, pcr1, pcr2 } };
        let root = RootFingerprint::new(attester.root_fingerprint());
        let trust = Trust::new(TrustAnchor::dangerous_development_root(root), &[release]).unwrap();
        let now_ms = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
        let (spki, receipt_key) = (vector("spki"), vector("receipt-key"));
        let request = AttestRequest {
            public_key: Some(&spki),
            user_data: Some(&vector("user-data")),
            nonce: Some(&vector("nonce")),
        };
        let document = attester.attest(&pcrs, &request, now_ms).unwrap();
        let opening: [u8; Opening::LEN] = vector("opening-http2").try_into().unwrap();
        let exporter: [u8; 32] = vector("exporter").try_into().unwrap();
        let transcript = Transcript { opening, spki, exporter, document, receipt_key };
        let judge = |opening: &[u8; Opening::LEN], exporter| {
            let shown = Transcript { opening: *opening, exporter, ..transcript.clone() };
            trust.judge(&Shown::of(&shown), UnixTime::from_millis(now_ms)).map(|_| ())
        };
        judge(&opening, exporter).unwrap();
        let step = |verdict: Result<(), Error>| match verdict.unwrap_err() {
            Error::Evidence(error) => error.step(),
            other => panic!("{other}"),
        };
        assert_eq!(step(judge(&opening, [0; 32])), Step::Nonce);
        assert_eq!(step(judge(&[0; Opening::LEN], exporter)), Step::Nonce);
    }

    #[test]
    fn releases_are_named_to_the_host_by_number() {
        let trust = Trust::new(TrustAnchor::aws_nitro(), &[release(7), release(8)]).unwrap();
        assert_eq!(header(trust.numbers()), "7, 8");
    }

    #[test]
    fn no_release_too_many_and_one_twice_are_refused() {
        let many: Vec<_> = (0..17).map(release).collect();
        for releases in [&[][..], &many, &[release(1), release(1)]] {
            assert!(Trust::new(TrustAnchor::aws_nitro(), releases).is_err());
        }
    }
}
