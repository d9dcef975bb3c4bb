//! Answers that no honest provider sends, byte by byte over its own TLS: whatever it says of where
//! its answer ends, nobody gets bytes of an answer that is not theirs, and what breaks is broken.

use std::net::SocketAddr;

use aegis_client::Mode;
use aegis_rig::hostile::Dial;
use aegis_rig::user::Answer;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::MOCK_NAMES;
use aegis_rig::world::World;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

/// What the answer of the next request would say if it were taken from the bytes left over.
const SPLIT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nSMUGGLED";

/// A provider that answers the first request on each connection with these bytes, closes if told
/// so, and says `second` to every further one.
async fn provider(world: &World, answer: String, close: bool) -> SocketAddr {
    let config = world.mock_root.server_config(&MOCK_NAMES.map(str::to_owned), vec![]).unwrap();
    let acceptor = TlsAcceptor::from(config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                let mut tls = acceptor.accept(stream).await.ok()?;
                read_request(&mut tls).await?;
                tls.write_all(answer.as_bytes()).await.ok()?;
                tls.flush().await.ok()?;
                if !close {
                    read_request(&mut tls).await?;
                    let second = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond";
                    tls.write_all(second.as_bytes()).await.ok()?;
                }
                tls.shutdown().await.ok()
            });
        }
    });
    address
}

/// Reads one request, head and announced body.
async fn read_request(tls: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<()> {
    let mut held = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&held).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            if body.len() >= length.trim().parse().ok()? {
                return Some(());
            }
        }
        if tls.read_buf(&mut held).await.ok()? == 0 {
            return None;
        }
    }
}

async fn ask(session: &aegis_client::Session) -> Result<Answer, aegis_client::Error> {
    exchange(session, chat("x").body(chat_body("say hi")).unwrap()).await
}

/// How an answer must end up with its client.
#[derive(Clone)]
enum Fate {
    /// Exactly this body, ended cleanly.
    Whole(&'static str),
    /// Any prefix of this body, broken; or an error of the enclave's.
    Broken(&'static str),
}

fn check(name: &str, outcome: &Result<Answer, aegis_client::Error>, fate: &Fate) {
    match (outcome, fate) {
        (Ok(answer), Fate::Whole(body)) => {
            assert_eq!((answer.status.as_u16(), answer.clean), (200, true), "{name}: {answer:?}");
            assert_eq!(answer.body, body.as_bytes(), "{name}");
        }
        (Ok(answer), Fate::Broken(body)) => {
            let ours = answer.error_code().is_some() && answer.status.as_u16() == 502;
            let cut = !answer.clean && body.as_bytes().starts_with(&answer.body);
            assert!(ours || cut, "{name}: {answer:?}");
        }
        (Err(error), Fate::Whole(_)) => panic!("{name}: {error}"),
        (Err(error), Fate::Broken(_)) => {
            assert!(matches!(error, aegis_client::Error::Lost(_)), "{name}: {error}");
        }
    }
}

/// What is sent, whether the connection is closed behind it, and what must come of it.
type Case = (&'static str, bool, String, Fate);

/// Framings that two readers could read differently.
fn ambiguous() -> Vec<Case> {
    use Fate::{Broken, Whole};
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunks = "5\r\nfirst\r\n0\r\n\r\n";
    vec![
        (
            "a second answer behind the first",
            false,
            format!("{ok}content-length: 5\r\n\r\nfirst{SPLIT}"),
            Whole("first"),
        ),
        (
            "a second answer behind the last chunk",
            false,
            format!("{ok}transfer-encoding: chunked\r\n\r\n{chunks}{SPLIT}"),
            Whole("first"),
        ),
        (
            "coding and length",
            true,
            format!("{ok}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"),
            Whole("first"),
        ),
        (
            "two lengths",
            true,
            format!("{ok}content-length: 5\r\ncontent-length: 6\r\n\r\nfirst{SPLIT}"),
            Broken(""),
        ),
        (
            "a list of lengths",
            true,
            format!("{ok}content-length: 5, 6\r\n\r\nfirst{SPLIT}"),
            Broken(""),
        ),
        ("a signed length", true, format!("{ok}content-length: +5\r\n\r\nfirst"), Broken("")),
    ]
}

/// Answers that break off, and heads that are none.
fn broken() -> Vec<Case> {
    use Fate::Broken;
    let ok = "HTTP/1.1 200 OK\r\n";
    vec![
        ("a length too long", true, format!("{ok}content-length: 9\r\n\r\nfirst"), Broken("first")),
        (
            "a length beyond all",
            true,
            format!("{ok}content-length: 99999999999999999999\r\n\r\nfirst"),
            Broken("first"),
        ),
        (
            "a last chunk missing",
            true,
            format!("{ok}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
            Broken("first"),
        ),
        (
            "a chunk of a bad size",
            true,
            format!("{ok}transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\nzz\r\n"),
            Broken("first"),
        ),
        (
            "a chunk beyond all",
            true,
            format!("{ok}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nfirst"),
            Broken("first"),
        ),
        ("a name with a space", true, format!("{ok}content-length : 5\r\n\r\nfirst"), Broken("")),
        (
            "a NUL in a value",
            true,
            format!("{ok}x-a: b\0c\r\ncontent-length: 5\r\n\r\nfirst"),
            Broken(""),
        ),
        ("no status line", true, SPLIT.replace("HTTP/1.1 200 OK", "ICY 200 OK"), Broken("")),
        (
            "another version",
            true,
            ok.replace("HTTP/1.1", "HTTP/3.0") + "content-length: 5\r\n\r\nfirst",
            Broken(""),
        ),
        (
            "too many fields",
            true,
            format!("{ok}{}content-length: 5\r\n\r\nfirst", "x-a: b\r\n".repeat(300)),
            Broken(""),
        ),
        (
            "fields too long",
            true,
            format!("{ok}x-a: {}\r\ncontent-length: 5\r\n\r\nfirst", "b".repeat(70_000)),
            Broken(""),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_ends_where_its_framing_says_and_nowhere_else() {
    let cases = [ambiguous(), broken()].concat();
    let world = World::start().await.unwrap();
    for mode in [Mode::Http1, Mode::Http2] {
        for (name, close, answer, fate) in &cases {
            let address = provider(&world, answer.clone(), *close).await;
            world.hostile.on_egress(move |_| Dial::To(address));
            let session = world.user().unwrap().session(mode).await.unwrap();
            check(name, &ask(&session).await, fate);
            // Whoever asks next gets an answer of their own: never what was left over.
            let other = world.user().unwrap().session(mode).await.unwrap();
            for session in [&session, &other] {
                if let Ok(answer) = ask(session).await {
                    let body = String::from_utf8_lossy(&answer.body).into_owned();
                    assert!(!body.contains("SMUGGLED"), "{name}: {body}");
                }
            }
        }
    }
    assert!(world.mock.recorded().is_empty());
}
