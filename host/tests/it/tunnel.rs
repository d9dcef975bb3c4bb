//! The outer tunnel: who gets through, what is told to the others, what is carried.

use rustls::{HandshakeKind, ProtocolVersion};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::rig::{KEY, Rig, Setup, carries, connect_head, read_head, soon};

async fn rig_up() -> (Rig, crate::rig::Control) {
    let mut rig = Setup::new().start().await;
    let control = rig.enclave.control(1).await;
    rig.event_of("authorize").await;
    rig.event_of("deny").await;
    (rig, control)
}

/// The typed error in an answer: status line, `Aegis-Error`, and the code in the body.
async fn refusal(rig: &Rig, head: &str) -> (String, String) {
    let (mut tls, answer) = rig.ask(head).await;
    let mut body = Vec::new();
    soon(tls.read_to_end(&mut body)).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let code = body["error"]["code"].as_str().unwrap().to_owned();
    assert!(answer.contains(&format!("aegis-error: {code}\r\n")), "{answer}");
    assert!(body["error"]["message"].as_str().is_some_and(|text| text.len() > 10));
    (answer, code)
}

#[tokio::test]
async fn a_session_is_carried_both_ways_and_shown() {
    let (mut rig, _control) = rig_up().await;
    let (mut tls, mut inner, number) = rig.session().await;
    let sealed: Vec<u8> = (0..300_000u32).map(|i| (i % 253) as u8).collect();
    carries(&mut tls, &mut inner, &sealed).await;
    carries(&mut inner, &mut tls, &sealed[..100_000]).await;
    let opened = rig.event_of("session").await;
    let mut expected = json!({
        "state": "opened", "session": number, "tenant": "acme", "key": "laptop",
        "enclave": "blue", "release": 7, "bytes_from_client": 0, "bytes_to_client": 0,
    });
    assert_eq!(opened, expected);
    // Each side's end arrives at the other while the other may still speak.
    tls.shutdown().await.unwrap();
    assert_eq!(soon(inner.read(&mut [0; 1])).await.unwrap(), 0);
    carries(&mut inner, &mut tls, b"last words").await;
    drop(inner);
    let closed = rig.event_of("session").await;
    expected["state"] = "closed".into();
    expected["bytes_from_client"] = 300_000.into();
    expected["bytes_to_client"] = 100_010.into();
    assert_eq!(closed, expected);
}

#[tokio::test]
async fn the_answer_names_the_release() {
    let (rig, _control) = rig_up().await;
    let (_tls, answer) = rig.ask(&connect_head(KEY, "8, 7")).await;
    assert!(answer.contains("aegis-release: 7\r\n"), "{answer}");
    assert!(!answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn what_follows_the_head_at_once_is_not_lost() {
    let (rig, _control) = rig_up().await;
    let head = connect_head(KEY, "7") + "early";
    let (_tls, _) = rig.ask(&head).await;
    let (mut inner, _) = rig.enclave.session().await;
    let mut got = [0; 5];
    soon(inner.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"early");
}

#[tokio::test]
async fn refusals_are_typed() {
    let (rig, control) = rig_up().await;
    let nobody = connect_head("aegis-vk-test-nobody", "7");
    let (answer, code) = refusal(&rig, &nobody).await;
    assert!(answer.starts_with("HTTP/1.1 407 ") && code == "unknown_key", "{answer}");
    let (answer, code) = refusal(&rig, &connect_head(KEY, "8")).await;
    assert!(answer.starts_with("HTTP/1.1 412 ") && code == "no_release", "{answer}");
    let elsewhere = connect_head(KEY, "7").replace("enclave.aegis:443", "api.openai.com:443");
    let (answer, code) = refusal(&rig, &elsewhere).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && code == "bad_request", "{answer}");
    drop(control);
    let mut rig = rig;
    // The host notices the loss on its own time; a client that comes first finds a live enclave.
    loop {
        let (mut tls, answer) = rig.ask(&connect_head(KEY, "7")).await;
        if answer.starts_with("HTTP/1.1 503 ") {
            assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
            assert!(answer.contains("aegis-error: no_enclave\r\n"), "{answer}");
            break;
        }
        tls.shutdown().await.unwrap();
        drop(rig.enclave.session().await);
        rig.event_of("session").await;
    }
}

#[tokio::test]
async fn an_enclave_that_takes_no_session_is_no_enclave() {
    let (rig, _control) = rig_up().await;
    std::fs::remove_file(rig.setup.path("blue/session.sock")).unwrap();
    let (answer, code) = refusal(&rig, &connect_head(KEY, "7")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && code == "no_enclave", "{answer}");
}

#[tokio::test]
async fn the_release_list_is_served_as_it_is_in_the_file_now() {
    let mut setup = Setup::new();
    setup.head = "releases = \"bundle\"".to_owned();
    let rig = setup.start().await;
    let head = "GET /.well-known/aegis/releases HTTP/1.1\r\nHost: router.test\r\n\r\n";
    let (_tls, answer) = rig.ask(head).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    for bundle in [b"the first\n\xff".as_slice(), b"the second"] {
        std::fs::write(rig.setup.path("bundle"), bundle).unwrap();
        let (mut tls, answer) = rig.ask(head).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let mut body = Vec::new();
        tls.read_to_end(&mut body).await.unwrap();
        assert_eq!(body, bundle);
    }
    std::fs::write(rig.setup.path("bundle"), vec![0; 256 * 1024 + 1]).unwrap();
    let (_tls, answer) = rig.ask(head).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn livez_answers_without_a_key() {
    let rig = Setup::new().start().await;
    let (_tls, answer) = rig.ask("GET /livez HTTP/1.1\r\nHost: router.test\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_huge_head_is_refused_without_being_read_whole() {
    let (rig, _control) = rig_up().await;
    let mut tls = rig.setup.tls(rig.address).await;
    tls.write_all(b"CONNECT enclave.aegis:443 HTTP/1.1\r\n").await.unwrap();
    let line = format!("x-filler: {}\r\n", "a".repeat(1000));
    // Ten thousand lines fit nowhere: writing fails or the answer comes long before they are sent.
    for _ in 0..10_000 {
        if tls.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
    let answer = read_head(&mut tls).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn many_fields_are_refused() {
    let (rig, _control) = rig_up().await;
    let filler = "x-filler: a\r\n".repeat(100);
    let head = connect_head(KEY, "7").replace("Aegis-", &format!("{filler}Aegis-"));
    let (_tls, answer) = rig.ask(&head).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// A client from another address of this machine.
async fn from_elsewhere(rig: &Rig, head: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let tcp = socket.connect(rig.address).await.unwrap();
    let name = ServerName::try_from("router.test").unwrap();
    let mut tls = soon(rig.setup.tls_client().connect(name, tcp)).await.unwrap();
    tls.write_all(head.as_bytes()).await.unwrap();
    read_head(&mut tls).await
}

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: router.test\r\n\r\n";

#[tokio::test]
async fn silent_clients_of_one_address_do_not_shut_out_others() {
    let mut setup = Setup::new();
    setup.head = "handshake_ms = 600000".into();
    let rig = setup.start().await;
    let mut silent = Vec::new();
    for _ in 0..128 {
        silent.push(TcpStream::connect(rig.address).await.unwrap());
    }
    // Closed at once, or reset with what it had sent unread.
    assert!(says_and_waits(&rig, b"").await.is_empty());
    let answer = from_elsewhere(&rig, LIVEZ).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn wrong_keys_of_one_address_run_out_and_no_other_pays_for_it() {
    let (rig, _control) = rig_up().await;
    let wrong = connect_head("aegis-vk-test-nobody", "7");
    let mut answers = Vec::new();
    // They come back with time, so that a slow machine needs some more.
    for _ in 0..300 {
        let (_, answer) = rig.ask(&wrong).await;
        let is_last = answer.starts_with("HTTP/1.1 429 ");
        answers.push(answer);
        if is_last {
            break;
        }
    }
    let last = answers.pop().unwrap();
    assert!(last.contains("aegis-error: too_many_wrong_keys\r\nretry-after: 1\r\n"), "{last}");
    assert!(answers.len() >= 60 && answers.iter().all(|a| a.starts_with("HTTP/1.1 407 ")));
    let (_, alive) = rig.ask(LIVEZ).await;
    assert!(alive.starts_with("HTTP/1.1 200 "), "{alive}");
    let other = from_elsewhere(&rig, &connect_head(KEY, "7")).await;
    assert!(other.starts_with("HTTP/1.1 200 "), "{other}");
}

/// Connects, sends that and nothing more, and reads to the end.
async fn says_and_waits(rig: &Rig, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(rig.address).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    let mut rest = Vec::new();
    // A reset ends it as well.
    let _ = soon(tcp.read_to_end(&mut rest)).await;
    rest
}

fn impatient() -> Setup {
    let mut setup = Setup::new();
    setup.head = "handshake_ms = 50".into();
    setup
}

#[tokio::test]
async fn a_client_without_tls_gets_an_alert_and_nothing_of_http() {
    let rig = Setup::new().start().await;
    let got = says_and_waits(&rig, connect_head(KEY, "7").as_bytes()).await;
    assert!(!got.windows(4).any(|window| window == b"HTTP"));
}

#[tokio::test]
async fn a_silent_client_is_cut_by_the_deadline() {
    let rig = impatient().start().await;
    assert!(says_and_waits(&rig, b"").await.is_empty());
    assert!(says_and_waits(&rig, &[22, 3, 1]).await.is_empty());
}

#[tokio::test]
async fn a_slow_head_is_cut_by_the_deadline() {
    let mut setup = Setup::new();
    setup.head = "handshake_ms = 1500".into();
    let rig = setup.start().await;
    let _control = rig.enclave.control(1).await;
    let mut tls = rig.setup.tls(rig.address).await;
    tls.write_all(b"CONNECT enclave.aegis:443 HTTP/1.1\r\nHost: ").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(tls.read_to_end(&mut rest)).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let rig = Setup::new().start().await;
    // A ClientHello for TLS 1.2: version 3.3, one suite, no extensions.
    let mut hello = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2f, 1, 0, 0, 0]);
    let alert = says_and_waits(&rig, &hello).await;
    // A fatal alert record and no ServerHello.
    assert_eq!((alert.first(), alert.get(5)), (Some(&21), Some(&2)), "{alert:?}");
}

#[tokio::test]
async fn a_refused_client_gets_one_answer_and_the_end() {
    let (rig, _control) = rig_up().await;
    let guesses = connect_head("aegis-vk-test-a", "7") + &connect_head(KEY, "7");
    let (mut tls, _) = rig.ask(&guesses).await;
    let mut rest = Vec::new();
    soon(tls.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.windows(4).any(|window| window == b"HTTP"));
}

#[tokio::test]
async fn a_tls_session_cannot_be_resumed() {
    let rig = Setup::new().start().await;
    let client = rig.setup.tls_client();
    for _ in 0..2 {
        let mut tls = rig.setup.tls_by(&client, rig.address).await;
        tls.write_all(b"GET /livez HTTP/1.1\r\nHost: router.test\r\n\r\n").await.unwrap();
        // Tickets would have come before the answer.
        let mut answer = Vec::new();
        soon(tls.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        let (_, connection) = tls.get_ref();
        assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(connection.tls13_tickets_received(), 0);
    }
}
