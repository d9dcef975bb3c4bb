//! Verified sessions in use: requests, the pool, ends and second tries.
#![allow(clippy::unwrap_used)]

mod peer;

use std::{sync::Arc, time::Duration};

use aegis_client::{Client, Custody, Error, Mode, Refusal, Tunnel};
use aegis_verifier::UnixTime;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use peer::{Genuine, Peer, Script, Then, key, now_ms};

fn post(path: &str, body: &'static [u8]) -> Request<Full<Bytes>> {
    Request::post(format!("https://api.openai.com{path}"))
        .body(Full::new(Bytes::from_static(body)))
        .unwrap()
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(format!("https://api.openai.com{path}"));
    request.body(Empty::new()).unwrap()
}

async fn honest(then: Then) -> (Arc<Genuine>, Peer, Client) {
    let genuine = Arc::new(Genuine::new());
    let peer = Peer::start(genuine.script(then)).await;
    let client = peer.client(genuine.trust());
    (genuine, peer, client)
}

async fn body(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_request_goes_to_the_enclave_that_was_verified() {
    let (_, peer, client) = honest(Then::Http2).await;
    let response = client.send(&key(), Custody::Host, post("/v1/x?a=%2f", b"hello")).await.unwrap();
    assert_eq!(response.headers()["x-target"], "https://api.openai.com/v1/x?a=%2f");
    assert_eq!(response.headers()["x-custody"], "host");
    assert_eq!(body(response).await, "hello");
    let head = &peer.heads()[0];
    assert!(head.starts_with("CONNECT enclave.aegis:443 HTTP/1.1\r\n"));
    let head = head.to_ascii_lowercase();
    for line in [
        "host: enclave.aegis:443\r\n",
        "proxy-authorization: bearer aegis-vk-test-1\r\n",
        "aegis-releases: 0\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let session = client.session(&key()).await.unwrap();
    assert_eq!(session.attested().release(), 0);
    assert_eq!(session.attested().enclave().findings().len(), 11);
}

#[tokio::test]
async fn http1_mode_names_the_provider_by_host() {
    let (genuine, peer, _) = honest(Then::Http1).await;
    let (router, trust) = (peer.router(), genuine.trust());
    let tunnel = Tunnel::open(&router, &key(), &trust).await.unwrap();
    let unverified = tunnel.handshake().await.unwrap();
    let now = || UnixTime::from_millis(now_ms());
    let session = unverified.verify(Mode::Http1, &trust, now).await.unwrap();
    let response = session.send(post("/v1/x?a", b"hello")).await.unwrap();
    assert_eq!(response.headers()["x-target"], "/v1/x?a");
    assert_eq!(response.headers()["x-host"], "api.openai.com");
    assert_eq!(body(response).await, "hello");
    let relative = Request::get("/v1/x").body(Empty::<Bytes>::new()).unwrap();
    let error = session.send(relative).await.unwrap_err();
    assert!(matches!(error, Error::Address));
}

#[tokio::test]
async fn a_custody_that_is_not_accepted_is_not_sent() {
    let (_, peer, client) = honest(Then::Http2).await;
    let error = client.send(&key(), Custody::Client, get("/")).await.unwrap_err();
    assert!(matches!(error, Error::Custody(Custody::Client)));
    assert_eq!(peer.sessions(), 0);
}

#[tokio::test]
async fn many_requests_share_one_session() {
    let (_, peer, client) = honest(Then::Http2).await;
    let client = Arc::new(client);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let client = Arc::clone(&client);
        tasks.spawn(async move {
            let response = client.send(&key(), Custody::Host, post("/", b"hello")).await;
            body(response.unwrap()).await
        });
    }
    assert!(tasks.join_all().await.iter().all(|body| body == "hello"));
    assert_eq!(peer.sessions(), 1);
}

#[tokio::test]
async fn a_session_that_ended_is_replaced_by_a_verified_one() {
    let (_, peer, client) = honest(Then::Http2).await;
    let first = client.session(&key()).await.unwrap();
    peer.cut();
    while first.is_open() {
        tokio::task::yield_now().await;
    }
    let response = client.send(&key(), Custody::Host, post("/", b"hello")).await;
    assert_eq!(body(response.unwrap()).await, "hello");
    assert_eq!(peer.sessions(), 2);
}

/// The enclave is replaced by one of another measurement: no request goes to it.
#[tokio::test]
async fn after_a_restart_nothing_less_is_accepted() {
    let genuine = Arc::new(Genuine::new());
    let inside = Arc::clone(&genuine);
    let script = Script {
        evidence: Box::new(move |asked| {
            let mut pcrs = inside.pcrs;
            pcrs[2][0] ^= asked.session as u8;
            let spki = aegis_wire::binding::Spki(&inside.identity.spki);
            let nonce = aegis_wire::binding::nonce(&asked.opening, spki, &asked.exporter);
            inside.document(&nonce, spki.0, &pcrs)
        }),
        ..genuine.script(Then::Http2)
    };
    let peer = Peer::start(script).await;
    let client = peer.client(genuine.trust());
    let first = client.session(&key()).await.unwrap();
    peer.cut();
    while first.is_open() {
        tokio::task::yield_now().await;
    }
    let error = client.send(&key(), Custody::Host, get("/")).await.unwrap_err();
    assert_eq!(error.step(), Some("pcrs"), "{error}");
}

#[tokio::test]
async fn a_refused_request_is_sent_once_more_on_a_new_session() {
    let (_, peer, client) = honest(Then::ResetFirst(h2::Reason::REFUSED_STREAM)).await;
    let response = client.send(&key(), Custody::Host, get("/v1/models")).await;
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(peer.sessions(), 2);
}

#[tokio::test]
async fn a_request_that_may_have_been_dispatched_is_not_sent_again() {
    for reason in [h2::Reason::INTERNAL_ERROR, h2::Reason::CANCEL] {
        let (_, peer, client) = honest(Then::ResetFirst(reason)).await;
        let error = client.send(&key(), Custody::Host, get("/")).await.unwrap_err();
        assert!(matches!(error, Error::Lost(_)), "{error}");
        assert_eq!(peer.sessions(), 1);
    }
}

#[tokio::test]
async fn a_broken_stream_is_an_error_and_no_end() {
    let (_, peer, client) = honest(Then::Http2).await;
    let mut reset = first_chunk(&client, "/broken").await;
    client.send(&key(), Custody::Host, get("/break")).await.unwrap();
    assert!(reset.frame().await.unwrap().is_err());
    let mut cut = first_chunk(&client, "/broken").await;
    peer.cut();
    assert!(cut.frame().await.unwrap().is_err());
}

async fn first_chunk(client: &Client, path: &str) -> Incoming {
    let response = client.send(&key(), Custody::Host, get(path)).await;
    let mut body = response.unwrap().into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "first");
    body
}

#[tokio::test]
async fn the_router_s_refusals_have_their_names() {
    let away = Some(Duration::from_secs(3));
    for (answer, refusal) in [
        ("400 Bad Request\r\nAegis-Error: bad_request", Refusal::BadRequest),
        ("407 No\r\nAegis-Error: unknown_key", Refusal::UnknownKey),
        ("412 No\r\nAegis-Error: no_release", Refusal::NoRelease),
        (
            "429 No\r\nAegis-Error: too_many_sessions\r\nRetry-After: 3",
            Refusal::TooManySessions { retry_after: away },
        ),
        (
            "503 No\r\nAegis-Error: no_enclave\r\nRetry-After: 3",
            Refusal::NoEnclave { retry_after: away },
        ),
        ("407 Proxy Authentication Required", Refusal::Other(407)),
        ("502 Bad Gateway", Refusal::Other(502)),
    ] {
        let genuine = Arc::new(Genuine::new());
        let script = Script { connect: answer, ..genuine.script(Then::Record) };
        let peer = Peer::start(script).await;
        let error = peer.client(genuine.trust()).session(&key()).await.err().unwrap();
        match error {
            Error::Refused(found) => assert_eq!(found, refusal),
            other => panic!("{answer}: {other}"),
        }
    }
}

#[tokio::test]
async fn a_router_under_another_authority_and_none_at_all_are_told_apart() {
    let (genuine, peer, _) = honest(Then::Http2).await;
    let stranger = Peer::start(genuine.script(Then::Http2)).await;
    let url = format!("https://{}", peer.address);
    let wrong = peer::tls::Outer::new();
    let roots = aegis_client::OuterRoots::File(wrong.ca.path());
    let router = aegis_client::Router::new(&url, roots).unwrap().direct();
    let error = Tunnel::open(&router, &key(), &genuine.trust()).await.err().unwrap();
    assert!(matches!(error, Error::OuterTls { .. }), "{error}");
    assert!(!error.is_away() && peer.heads().is_empty());
    let router = stranger.router();
    drop(stranger);
    let error = loop {
        match Tunnel::open(&router, &key(), &genuine.trust()).await {
            // The listener closes when its task has ended.
            Ok(_) | Err(Error::Ended { .. }) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.is_away());
}
