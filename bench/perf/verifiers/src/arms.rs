//! The verifiers, each doing all it can do in the calls its documentation shows.

use std::collections::HashMap;
use std::fs;
use std::rc::Rc;

use aegis_verifier::ChainMemory;
use aegis_verifier::Challenge;
use aegis_verifier::MeasurementSet;
use aegis_verifier::Nonce;
use aegis_verifier::Policy;
use aegis_verifier::PublicKey;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::UserData;

/// What a relying party knows before it asks: every register and field of the document.
pub(crate) struct Question {
    policy: Policy,
    challenge: Challenge<'static>,
    now: UnixTime,
}

impl Question {
    /// The strictest question that the document can answer: all registers, all fields.
    pub(crate) fn answered_by(document: &[u8], at_ms: u64) -> Result<Self, String> {
        let decoded =
            aegis_verifier::decode_without_verifying(document).map_err(|e| e.to_string())?;
        let claims = decoded.claims();
        let mut registers = claims.pcrs().iter();
        let (index, value) = registers.next().ok_or("no registers")?;
        let set = MeasurementSet::dangerous_partial(index, *value);
        let set = registers.fold(set, |set, (index, value)| set.with(index, *value));
        // Debug documents are measured too: allowing them takes no check away but the last.
        let policy = Policy::new(TrustAnchor::aws_nitro(), vec![set]).dangerous_allow_debug();
        let leak = |field: &[u8]| &*field.to_vec().leak();
        let mut challenge = match claims.nonce() {
            Some(nonce) => Challenge::new(Nonce(leak(nonce))),
            None => Challenge::dangerous_without_nonce(),
        };
        if let Some(key) = claims.public_key() {
            challenge = challenge.expecting_public_key(PublicKey(leak(key)));
        }
        if let Some(data) = claims.user_data() {
            challenge = challenge.expecting_user_data(UserData(leak(data)));
        }
        Ok(Self { policy, challenge, now: UnixTime::from_millis(at_ms) })
    }
}

#[derive(Default)]
pub(crate) struct Arms {
    documents: HashMap<String, Rc<Vec<u8>>>,
    memory: ChainMemory,
}

impl Arms {
    pub(crate) fn document(&mut self, file: &str) -> Result<Rc<Vec<u8>>, String> {
        if let Some(known) = self.documents.get(file) {
            return Ok(Rc::clone(known));
        }
        let read = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        let document = Rc::new(read);
        self.documents.insert(file.into(), Rc::clone(&document));
        Ok(document)
    }

    pub(crate) fn run(
        &mut self,
        arm: &str,
        document: &[u8],
        question: &Question,
    ) -> Result<(), String> {
        let Question { policy, challenge, now } = question;
        let verdict = match arm {
            "aegis-cold" => aegis_verifier::verify(document, policy, challenge, *now),
            "aegis-warm" => {
                let memory = &mut self.memory;
                aegis_verifier::verify_remembering(document, policy, challenge, *now, memory)
            }
            _ => return Err(format!("there is no arm {arm}")),
        };
        verdict.map(drop).map_err(|error| error.to_string())
    }
}

#[cfg(not(feature = "peers"))]
pub(crate) fn run_peer(arm: &str, _document: &[u8], _at_ms: u64) -> Result<(), String> {
    Err(format!("built without {arm}"))
}

#[cfg(feature = "peers")]
pub(crate) fn run_peer(arm: &str, document: &[u8], at_ms: u64) -> Result<(), String> {
    use nitro_attest::UnparsedAttestationDoc;
    use nsm_nitro_enclave_utils::api::nsm::AttestationDoc;
    use nsm_nitro_enclave_utils::time::Time;
    use nsm_nitro_enclave_utils::verify::AttestationDocVerifierExt;

    match arm {
        "attestation-doc-validation" => {
            attestation_doc_validation::validate_and_parse_attestation_doc(document)
                .map(drop)
                .map_err(|error| error.to_string())
        }
        "nitro_attest" => {
            let now = time::OffsetDateTime::from_unix_timestamp((at_ms / 1000).cast_signed())
                .map_err(|error| error.to_string())?;
            UnparsedAttestationDoc::from(document)
                .parse_and_verify(now)
                .map(drop)
                .map_err(|error| error.to_string())
        }
        "nsm-nitro-enclave-utils" => {
            let root = aegis_verifier::AWS_NITRO_ROOT_G1_DER;
            AttestationDoc::from_cose(document, root, Time::new(Box::new(move || at_ms)))
                .map(drop)
                .map_err(|error| format!("{:?}", error.kind()))
        }
        _ => Err(format!("there is no verifier {arm}")),
    }
}
