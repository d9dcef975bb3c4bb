//! Peers that are not the enclave they claim to be. Each is refused at its own step, and none
//! hears a byte of the request: all it decrypts is the 64-byte opening, or nothing.
#![allow(clippy::unwrap_used)]

mod peer;

use std::sync::{Arc, Mutex};

use aegis_client::{Custody, Error};
use aegis_dev_attester::{AttestRequest, DevelopmentAttester};
use aegis_wire::{
    binding::{self, Exporter, Spki},
    session::{Evidence, Opening},
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use peer::{Asked, CANARY, Genuine, Peer, Script, Then, frame, key, now_ms, tls::Identity};

/// Sends a request full of canaries to this peer, by a client that trusts `genuine`; gives the
/// error and everything that each of the peer's sessions heard.
async fn refused(genuine: &Genuine, script: Script) -> (Error, Vec<u8>) {
    let mut peer = Peer::start(script).await;
    let client = peer.client(genuine.trust());
    let request = Request::post(format!("https://api.openai.com/{CANARY}?{CANARY}"))
        .header("x-canary", CANARY)
        .body(Full::new(Bytes::from_static(CANARY.as_bytes())))
        .unwrap();
    let answer = client.send(&key(), Custody::Host, request).await;
    let error = answer.err().unwrap();
    let heard = peer.record().await;
    assert!(!contains(&heard, CANARY.as_bytes()));
    (error, heard)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A peer that gets as far as evidence and is refused at this step, having heard the opening alone.
async fn refused_at(step: &str, genuine: &Genuine, script: Script) {
    let (error, heard) = refused(genuine, script).await;
    assert_eq!(error.step(), Some(step), "{error}");
    assert_eq!(heard.len(), Opening::LEN, "{error}");
    assert!(error.to_string().contains("no request was sent"), "{error}");
}

fn bent(
    genuine: &Arc<Genuine>,
    evidence: impl Fn(&Genuine, &Asked) -> Vec<u8> + Send + Sync + 'static,
) -> Script {
    let inside = Arc::clone(genuine);
    Script {
        evidence: Box::new(move |asked| evidence(&inside, asked)),
        ..genuine.script(Then::Record)
    }
}

#[tokio::test]
async fn the_enclave_s_certificate_without_its_key_fails_in_the_handshake() {
    let genuine = Arc::new(Genuine::new());
    let script =
        Script { identity: genuine.identity.without_its_key(), ..genuine.script(Then::Record) };
    let (error, heard) = refused(&genuine, script).await;
    assert!(matches!(error, Error::Handshake(_)), "{error}");
    assert_eq!(error.step(), Some("handshake"));
    assert!(heard.is_empty());
}

#[tokio::test]
async fn a_key_of_another_curve_fails_in_the_handshake() {
    let genuine = Arc::new(Genuine::new());
    let script = Script { identity: Identity::p384(), ..genuine.script(Then::Record) };
    let (error, heard) = refused(&genuine, script).await;
    assert!(matches!(error, Error::Handshake(_)), "{error}");
    assert!(heard.is_empty());
}

#[tokio::test]
async fn another_protocol_fails_in_the_handshake() {
    let genuine = Arc::new(Genuine::new());
    for alpn in [Some(&b"h2"[..]), None] {
        let mut script = genuine.script(Then::Record);
        script.identity.alpn = alpn;
        let (error, heard) = refused(&genuine, script).await;
        assert!(matches!(error, Error::Handshake(_)), "{error}");
        assert!(heard.is_empty());
    }
}

/// A host in the middle with a key of its own, which passes the client's question on and brings
/// the genuine enclave's evidence: that names another key and another session.
#[tokio::test]
async fn a_peer_with_its_own_key_and_the_genuine_evidence_fails_at_nonce() {
    let genuine = Arc::new(Genuine::new());
    let script = Script { identity: Identity::p256(), ..genuine.script(Then::Record) };
    refused_at("nonce", &genuine, script).await;
}

/// The same with a nonce that fits, so that the key alone gives it away.
#[tokio::test]
async fn a_document_about_another_key_fails_at_public_key() {
    let genuine = Arc::new(Genuine::new());
    let own = Identity::p256();
    let spki = own.spki.clone();
    let script = Script {
        identity: own,
        ..bent(&genuine, move |genuine, asked| {
            let nonce = binding::nonce(&asked.opening, Spki(&spki), &asked.exporter);
            genuine.document(&nonce, &genuine.identity.spki, &genuine.pcrs)
        })
    };
    refused_at("public_key", &genuine, script).await;
}

#[tokio::test]
async fn replayed_evidence_fails_at_nonce() {
    let genuine = Arc::new(Genuine::new());
    let first = Mutex::new(None);
    let mut peer = Peer::start(bent(&genuine, move |genuine, asked| {
        let mut first = first.lock().unwrap();
        first.get_or_insert_with(|| genuine.evidence(asked)).clone()
    }))
    .await;
    let client = peer.client(genuine.trust());
    let fresh = client.session(&key()).await.unwrap();
    drop((fresh, client));
    peer.record().await;
    let error = peer.client(genuine.trust()).session(&key()).await.err().unwrap();
    assert_eq!(error.step(), Some("nonce"), "{error}");
    assert_eq!(peer.record().await.len(), Opening::LEN);
}

/// The right key and the right question, but the keys of another session.
#[tokio::test]
async fn evidence_of_another_session_fails_at_nonce() {
    let genuine = Arc::new(Genuine::new());
    let script = bent(&genuine, |genuine, asked| {
        genuine.evidence(&Asked { exporter: Exporter([7; 32]), ..*asked })
    });
    refused_at("nonce", &genuine, script).await;
}

#[tokio::test]
async fn evidence_for_another_question_fails_at_nonce() {
    let genuine = Arc::new(Genuine::new());
    let script = bent(&genuine, |genuine, asked| {
        let mut opening = asked.opening;
        opening[63] ^= 1;
        genuine.evidence(&Asked { opening, ..*asked })
    });
    refused_at("nonce", &genuine, script).await;
}

#[tokio::test]
async fn another_measurement_fails_at_pcrs_and_a_debug_enclave_at_debug() {
    let genuine = Arc::new(Genuine::new());
    for (register, byte, step) in [(0, 9, "pcrs"), (1, 9, "pcrs"), (2, 9, "pcrs"), (0, 0, "debug")]
    {
        let script = bent(&genuine, move |genuine, asked| {
            let mut pcrs = genuine.pcrs;
            pcrs[register] = [byte; 48];
            let spki = &genuine.identity.spki;
            let nonce = binding::nonce(&asked.opening, Spki(spki), &asked.exporter);
            genuine.document(&nonce, spki, &pcrs)
        });
        refused_at(step, &genuine, script).await;
    }
}

#[tokio::test]
async fn another_root_fails_at_chain() {
    let genuine = Arc::new(Genuine::new());
    let other = DevelopmentAttester::ephemeral();
    let script = bent(&genuine, move |genuine, asked| {
        let spki = &genuine.identity.spki;
        let nonce = binding::nonce(&asked.opening, Spki(spki), &asked.exporter);
        let user_data = binding::user_data(Spki(&genuine.receipt_key));
        let request = AttestRequest {
            public_key: Some(spki),
            user_data: Some(&user_data),
            nonce: Some(&nonce),
        };
        let document = other.attest(&genuine.pcrs, &request, now_ms()).unwrap();
        frame(document, genuine.receipt_key.clone())
    });
    refused_at("chain", &genuine, script).await;
}

#[tokio::test]
async fn another_receipt_key_fails_at_user_data() {
    let genuine = Arc::new(Genuine::new());
    let script = bent(&genuine, |genuine, asked| {
        let (evidence, _) = Evidence::decode(&genuine.evidence(asked)).unwrap().unwrap();
        frame(evidence.document, b"a receipt key of the host's".to_vec())
    });
    refused_at("user_data", &genuine, script).await;
}

#[tokio::test]
async fn an_answer_that_is_no_evidence_is_refused() {
    let genuine = Arc::new(Genuine::new());
    for answer in [&[2, 0, 0, 0][..], &[1, 7], &[1, 0, 0xff, 0xff]] {
        let script = bent(&genuine, move |_, _| answer.to_vec());
        let (error, heard) = refused(&genuine, script).await;
        assert!(matches!(error, Error::Frame(_)), "{error}");
        assert_eq!(heard.len(), Opening::LEN);
    }
    let script = bent(&genuine, |_, _| Evidence::UNAVAILABLE.to_vec());
    let (error, heard) = refused(&genuine, script).await;
    assert!(matches!(error, Error::NoEvidence) && error.is_away(), "{error}");
    assert_eq!(heard.len(), Opening::LEN);
}
