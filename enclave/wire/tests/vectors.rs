//! The files in `vectors/`, made by an independent program, against this implementation.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use aegis_wire::{
    Malformed,
    account::{self, Account},
    binding::{self, Exporter, Spki},
    control::{
        Authorize, COUNTS, Class, Custody, Deny, DenyCode, Frame, Grant, Hello, Label, Secret,
        Source, ToEnclave, ToHost, Usage,
    },
    padding,
    receipt::{self, Content, Statement},
    session::{Egress, Evidence, Mode, Opening, Preface},
};

fn vectors(text: &str) -> BTreeMap<&str, Vec<u8>> {
    let line = |line: &'static str| -> (&'static str, Vec<u8>) {
        let (name, hex) = line.split_once(' ').unwrap();
        (name, hex::decode(hex).unwrap())
    };
    let text: &'static str = text.to_owned().leak();
    text.lines().filter(|text| !text.starts_with('#')).map(line).collect()
}

fn protocol() -> BTreeMap<&'static str, Vec<u8>> {
    vectors(include_str!("../vectors/protocol.txt"))
}

fn round_trip<F: Frame + PartialEq + core::fmt::Debug + Clone>(name: &str, frame: F) {
    let bytes = &protocol()[name];
    assert_eq!(F::decode(bytes).unwrap().unwrap(), (frame.clone(), bytes.len()), "{name}");
    assert_eq!(&frame.encode().unwrap(), bytes, "{name}");
    for short in 0..bytes.len() {
        assert_eq!(F::decode(&bytes[..short]), Ok(None), "{name} cut to {short}");
    }
}

#[test]
fn frames_to_the_host() {
    let boot = core::array::from_fn(|i| i as u8);
    round_trip("hello", ToHost::Hello(Hello { version: 1, boot, table: [0x7a; 32] }));
    round_trip(
        "authorize",
        ToHost::Authorize(Authorize {
            session: 7,
            request: 1,
            attempt: 1,
            provider: 3,
            class: Class::Generate,
            custody: Custody::Host,
            owner: [0; 32],
        }),
    );
    round_trip(
        "authorize-sealed",
        ToHost::Authorize(Authorize {
            session: 7,
            request: 2,
            attempt: 2,
            provider: 3,
            class: Class::Generate,
            custody: Custody::Sealed,
            owner: [0xc3; 32],
        }),
    );
    let mut counts = [None; COUNTS];
    (counts[0], counts[1], counts[6]) = (Some(11), Some(22), Some(0));
    round_trip(
        "usage",
        ToHost::Usage(Usage {
            grant: 9,
            status_class: 2,
            source: Source::Provider,
            counts,
            label: Label::new(b"mock-1"),
            first_byte_ms: 120,
            total_ms: 4500,
        }),
    );
    round_trip(
        "usage-bare",
        ToHost::Usage(Usage {
            grant: 10,
            status_class: 0,
            source: Source::NotDispatched,
            counts: [None; COUNTS],
            label: Label::default(),
            first_byte_ms: 0,
            total_ms: 0,
        }),
    );
}

#[test]
fn frames_to_the_enclave() {
    let grant = |request, grant, account, custody, credential: &[u8]| {
        let credential = Secret(credential.to_vec());
        ToEnclave::Grant(Grant { request, attempt: 1, grant, account, custody, credential })
    };
    round_trip("grant-host", grant(1, 9, 4, Custody::Host, b"sk-made-up"));
    round_trip("grant-sealed", grant(4, 11, 5, Custody::Sealed, b""));
    round_trip("grant-client", grant(2, 10, 0, Custody::Client, b""));
    let (code, retry_after_s) = (DenyCode::Rate, 30);
    round_trip("deny", ToEnclave::Deny(Deny { request: 3, attempt: 1, code, retry_after_s }));
    round_trip("ack", ToEnclave::Ack(9));
}

#[test]
fn refused_frames() {
    let refused = vectors(include_str!("../vectors/refused.txt"));
    assert!(refused.len() > 25);
    for (name, bytes) in refused {
        let verdict = if bytes[0] < 0x80 {
            ToHost::decode(&bytes).map(|_| ())
        } else {
            ToEnclave::decode(&bytes).map(|_| ())
        };
        assert!(matches!(verdict, Err(Malformed(_))), "{name} was not refused");
    }
}

#[test]
fn session_frames() {
    let vectors = protocol();
    assert_eq!(Preface(7).encode()[..], vectors["preface-7"]);
    assert_eq!(Egress(3).encode()[..], vectors["egress-3"]);
    let nonce = core::array::from_fn(|i| i as u8);
    let opening = Opening { mode: Mode::Http2, padding: false, nonce };
    assert_eq!(opening.encode()[..], vectors["opening-http2"]);
    let http1 = Opening { mode: Mode::Http1, padding: false, nonce: [0xa5; 32] };
    assert_eq!(http1.encode()[..], vectors["opening-http1"]);
    let padded = Opening { padding: true, ..opening };
    assert_eq!(padded.encode()[..], vectors["opening-padded"]);
    let evidence =
        Evidence { document: vec![0xd8, 1, 2, 3, 4], receipt_key: vec![0x30, 0x01, 0x00] };
    let bytes = &vectors["evidence"];
    assert_eq!(&evidence.encode().unwrap(), bytes);
    assert_eq!(Evidence::decode(bytes).unwrap().unwrap(), (evidence, bytes.len()));
    for short in 0..bytes.len() {
        assert_eq!(Evidence::decode(&bytes[..short]), Ok(None));
    }
    assert!(Evidence::decode(&Evidence::UNAVAILABLE).is_err());
    assert!(Evidence::decode(&[1, 0, 0xff, 0xff]).is_err(), "a length over the bound");
}

/// Every bit of a session frame matters: a flip is refused or read as another value.
#[test]
fn every_bit_of_a_session_frame_counts() {
    for bit in 0..Preface::LEN * 8 {
        let mut bytes = Preface(7).encode();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(Preface::decode(&bytes), Ok(Preface(7)));
        assert!(bit >= 64 || Preface::decode(&bytes).is_err());
    }
    let opening = Opening { mode: Mode::Http2, padding: false, nonce: [1; 32] };
    for bit in 0..Opening::LEN * 8 {
        let mut bytes = opening.encode();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(Opening::decode(&bytes), Ok(opening));
        assert!(bit >= 256 || Opening::decode(&bytes).is_err() || bit / 8 == 1 || bit == 16);
    }
    for bit in 0..Egress::LEN * 8 {
        let mut bytes = Egress(3).encode();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(Egress::decode(&bytes), Ok(Egress(3)));
        assert!(bit >= 48 || Egress::decode(&bytes).is_err());
    }
}

/// Frames at the borders of their classes; what is in none.
#[test]
fn padded_frames() {
    let vectors = protocol();
    for (name, carried) in
        [("padded-event", 14), ("padded-full-first", 510), ("padded-second", 511)]
    {
        let bytes: Vec<u8> = (0..carried).map(|at| b"data: {}"[at % 8]).collect();
        let mut frame = [&[0; padding::HEAD], &bytes[..]].concat();
        padding::fill(&mut frame);
        assert_eq!(frame, vectors[name], "{name}");
        assert_eq!(padding::opened(&frame), Ok(&bytes[..]), "{name}");
    }
    let refused = vectors.iter().filter(|(name, _)| name.starts_with("padded-refused-"));
    assert!(refused.clone().count() >= 5);
    for (name, frame) in refused {
        assert!(padding::opened(frame).is_err(), "{name} was not refused");
    }
}

#[test]
fn bindings() {
    let vectors = protocol();
    let receipt_key = Spki(&vectors["receipt-key"]);
    assert_eq!(binding::user_data(receipt_key)[..], vectors["user-data"]);
    let opening = vectors["opening-http2"].clone().try_into().unwrap();
    let exporter = Exporter(vectors["exporter"].clone().try_into().unwrap());
    let spki = Spki(&vectors["spki"]);
    assert_eq!(binding::nonce(&opening, spki, &exporter)[..], vectors["nonce"]);
}

fn statement() -> Statement {
    let content = |kind: &str, encoding: &str, digest, bytes| Content {
        kind: Some(kind.into()),
        encoding: Some(encoding.into()),
        digest: vec![digest; 32],
        bytes,
    };
    let mut counts = [None; COUNTS];
    (counts[0], counts[1], counts[6]) = (Some(11), Some(22), Some(0));
    Statement {
        measurement: [1, 2, 3].map(|byte| vec![byte; 48]),
        session: vec![0x5e; 48],
        boot: (0..16).collect(),
        request: 70_000,
        provider: "api.openai.com".into(),
        method: "POST".into(),
        target: "/v1/chat/completions?a=1".into(),
        sent: content("application/json", "zstd", 0xa1, 300),
        status: 200,
        received: content("text/event-stream", "gzip", 0xb2, 5_000_000_000),
        provider_id: Some(b"req_made_up".to_vec()),
        custody: Custody::Host,
        owner: Some(vec![0xc3; 32]),
        attempts: 2,
        source: Source::Provider,
        counts,
        label: Some("mock-1".into()),
        time_ms: 1_795_000_000_123,
        incomplete: 0,
    }
}

#[test]
fn receipts() {
    let vectors = protocol();
    let payload = statement().encode();
    assert_eq!(payload, vectors["receipt-payload"]);
    assert_eq!(receipt::to_be_signed(&payload), vectors["receipt-to-be-signed"]);
    let signature = core::array::from_fn(|at| at as u8);
    assert_eq!(receipt::cose_sign1(&payload, &signature), vectors["receipt"]);
    let mut bare = statement();
    for content in [&mut bare.sent, &mut bare.received] {
        (content.kind, content.encoding) = (None, None);
    }
    (bare.provider_id, bare.owner, bare.label) = (None, None, None);
    (bare.custody, bare.source, bare.counts) = (Custody::Client, Source::Aborted, [None; COUNTS]);
    bare.status = 0;
    bare.incomplete = receipt::REQUEST_CUT | receipt::ANSWER_CUT | receipt::NO_ANSWER;
    assert_eq!(bare.encode(), vectors["receipt-bare-payload"]);
}

#[test]
fn sealed_accounts() {
    let vectors = protocol();
    let account = Account {
        key: vectors["account-key"].clone().try_into().unwrap(),
        provider: Label::new(b"api.openai.com"),
        number: 5,
        expires_s: 1_795_000_000,
        enclave: account::enclave(&vectors["spki"]),
        credential: Secret(b"sk-made-up-sealed".to_vec()),
    };
    assert_eq!(account.owner()[..], vectors["account-owner"]);
    assert_eq!(account.to_be_signed().unwrap(), vectors["account-to-be-signed"]);
    let (read, signature) = Account::unsealed(&vectors["account"]).unwrap();
    assert_eq!(read, account);
    assert_eq!(account.sealed(&signature).unwrap(), vectors["account"]);
    let good = &vectors["account"];
    for len in 0..good.len() {
        assert!(Account::unsealed(&good[..len]).is_err(), "cut to {len}");
    }
    assert!(Account::unsealed(&[good, &b"\0"[..]].concat()).is_err());
}
