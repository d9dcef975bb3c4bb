//! Recording, digests, and each behaviour of the request header.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Read as _;

use aegis_mock::PseudoRandom;
use aegis_mock::REQUEST_DIGEST_HEADER;
use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_util::FutureExt as _;
use http::Response;
use http::Version;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

use crate::common::OPENAI;
use crate::common::Provider;
use crate::common::VERSIONS;
use crate::common::behaving;
use crate::common::body;
use crate::common::post;
use crate::common::say_hi;

/// Reads a body until it ends: its bytes, and whether the end was clean.
async fn drain(response: Response<Incoming>) -> (Vec<u8>, bool) {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend(frame.into_data().unwrap_or_default()),
            Err(_) => return (bytes, false),
        }
    }
    (bytes, true)
}

#[tokio::test]
async fn what_arrives_is_recorded_exactly() {
    let provider = Provider::with(|config| config.keep_body_bytes = 8).await;
    for (index, version) in VERSIONS.into_iter().enumerate() {
        let request = post(OPENAI, "/v1/chat/completions?a=%41&&b=%c3%28")
            .header("x-thing", "one")
            .header("x-other", "caf\u{e9} \t x")
            .header("x-thing", "two")
            .body(body(&say_hi()));
        let response = provider.send(version, request.unwrap()).await.unwrap();
        let sent = say_hi().to_string();
        let digest: [u8; 32] = Sha256::digest(&sent).into();
        assert_eq!(response.headers()[REQUEST_DIGEST_HEADER], hex::encode(digest).as_str());
        let record = provider.mock.wait_recorded(index + 1).await.pop().unwrap();
        assert_eq!(record.target, "/v1/chat/completions?a=%41&&b=%c3%28");
        assert_eq!((record.method.as_str(), record.version), ("POST", version));
        assert_eq!(record.authority, OPENAI);
        assert_eq!(record.server_name.as_deref(), Some(OPENAI));
        assert_eq!(record.connection, index as u64 + 1);
        assert_eq!(record.header_values("X-Thing"), [b"one", b"two"]);
        assert_eq!(record.header_values("x-other"), ["caf\u{e9} \t x".as_bytes()]);
        assert_eq!(record.body.sha256, Some(digest));
        assert_eq!(record.body.length_bytes, sent.len() as u64);
        assert_eq!(record.body.first_bytes, &sent.as_bytes()[..8]);
    }
}

#[tokio::test]
async fn echo_streams_the_request_back() {
    let provider = Provider::start().await;
    let sent = PseudoRandom::new(3).take(3_000_000);
    let digest = hex::encode(Sha256::digest(&sent));
    for version in VERSIONS {
        let request = behaving("echo").header("te", "trailers");
        let request = request.body(Full::new(Bytes::from(sent.clone()))).unwrap();
        let response = provider.send(version, request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/octet-stream");
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().unwrap();
        assert_eq!(trailers[REQUEST_DIGEST_HEADER], digest.as_str());
        assert!(collected.to_bytes() == sent);
    }
}

#[tokio::test]
async fn bytes_are_those_of_the_seed() {
    let provider = Provider::start().await;
    for version in VERSIONS {
        for (length, announced) in [("", false), (";length=1", true)] {
            let behavior = format!("bytes;n=100000;chunk=999;seed=9{length}");
            let request = behaving(&behavior).body(Full::default()).unwrap();
            let response = provider.send(version, request).await.unwrap();
            assert_eq!(response.headers().contains_key("content-length"), announced);
            let (bytes, clean) = drain(response).await;
            assert!(clean);
            assert!(bytes == PseudoRandom::new(9).take(100_000));
        }
    }
}

#[tokio::test]
async fn status_and_redirect_are_as_asked() {
    let provider = Provider::start().await;
    let request = behaving("status;code=503;retry-after=7;should-retry=false");
    let (head, answer) = provider.json(request.body(Full::default()).unwrap()).await;
    assert_eq!((head.status.as_u16(), &head.headers["retry-after"]), (503, &"7".parse().unwrap()));
    assert_eq!(head.headers["x-should-retry"], "false");
    assert_eq!(answer["error"]["type"], "server_error");
    let request = behaving("redirect;location=https://elsewhere.aegis.test/x?a=b;code=302");
    let (head, _) = provider.json(request.body(Full::default()).unwrap()).await;
    assert_eq!(head.status, 302);
    assert_eq!(head.headers["location"], "https://elsewhere.aegis.test/x?a=b");
}

#[tokio::test]
async fn reset_breaks_the_body_off() {
    let provider = Provider::start().await;
    for version in VERSIONS {
        for count in [0, 1, 5000] {
            let behavior = format!("bytes;n=10000;chunk=300, reset;after={count}");
            let request = behaving(&behavior).body(Full::default()).unwrap();
            let response = provider.send(version, request).await.unwrap();
            assert_eq!(response.status(), 200);
            let (bytes, clean) = drain(response).await;
            assert!(!clean, "{version:?}");
            // A TCP reset may overtake bytes that the client's TLS has not handed on yet.
            let arrived = if version == Version::HTTP_2 { count } else { bytes.len() };
            assert!(arrived <= count);
            assert!(bytes == PseudoRandom::new(0).take(arrived), "{version:?} {count}");
        }
    }
}

#[tokio::test]
async fn stall_sends_so_many_bytes_and_waits() {
    let provider = Provider::start().await;
    for version in VERSIONS {
        let behavior = "bytes;n=10000;chunk=300, stall;after=450";
        let request = behaving(behavior).body(Full::default()).unwrap();
        let mut body = provider.send(version, request).await.unwrap().into_body();
        let mut bytes = Vec::new();
        while bytes.len() < 450 {
            bytes.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        assert!(bytes == PseudoRandom::new(0).take(450));
        // Nothing more is ready, and the end is not either.
        let next = body.frame().now_or_never();
        assert!(next.is_none());
    }
}

#[tokio::test]
async fn early_close_and_endless_header_give_no_answer() {
    let provider = Provider::start().await;
    for version in VERSIONS {
        for behavior in ["early-close", "endless-header"] {
            let request = behaving(behavior).body(body(&say_hi())).unwrap();
            let result = provider.send(version, request).await;
            assert!(result.is_err(), "{behavior} over {version:?}: {result:?}");
        }
    }
}

#[tokio::test]
async fn a_huge_header_arrives() {
    let provider = Provider::start().await;
    for version in VERSIONS {
        let request = behaving("header;bytes=65536").body(body(&say_hi())).unwrap();
        let response = provider.send(version, request).await.unwrap();
        assert_eq!(response.headers()["x-mock-huge"].len(), 65_536);
    }
}

#[tokio::test]
async fn an_unfinished_body_is_not_a_clean_end() {
    let provider = Provider::start().await;
    for version in VERSIONS {
        let request = behaving("eof-without-close-notify").body(body(&say_hi())).unwrap();
        let response = provider.send(version, request).await.unwrap();
        assert!(!response.headers().contains_key("content-length"));
        let (bytes, clean) = drain(response).await;
        assert!(!clean, "{version:?}");
        // All bytes are there: only the missing close_notify tells that the end is not the end.
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok(), "{version:?}");
    }
}

#[tokio::test]
async fn interim_responses_come_before_the_answer() {
    let provider = Provider::start().await;
    for version in VERSIONS {
        let (seen, mut interim) = tokio::sync::mpsc::unbounded_channel();
        let mut request = behaving("continue").body(body(&say_hi())).unwrap();
        hyper::ext::on_informational(&mut request, move |response| {
            let link = response.headers().get("link").cloned();
            seen.send((response.status().as_u16(), link)).unwrap();
        });
        let response = provider.send(version, request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(drain(response).await.1);
        // hyper's HTTP/2 client reads interim responses and keeps them to itself.
        if version == Version::HTTP_11 {
            assert_eq!(interim.recv().await.unwrap().0, 100);
            let (status, link) = interim.recv().await.unwrap();
            assert_eq!((status, link.is_some()), (103, true));
        }
    }
}

#[tokio::test]
async fn response_headers_are_added() {
    let provider = Provider::start().await;
    let request = behaving("hop-headers, aegis-headers").body(body(&say_hi())).unwrap();
    let response = provider.send(Version::HTTP_11, request).await.unwrap();
    for name in ["connection", "keep-alive", "x-mock-hop", "te", "upgrade", "aegis-foo"] {
        assert!(response.headers().contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn trailers_follow_the_body() {
    let provider = Provider::start().await;
    for version in VERSIONS {
        let request = behaving("trailers").header("te", "trailers").body(body(&say_hi()));
        let response = provider.send(version, request.unwrap()).await.unwrap();
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-mock-trailer"], "last", "{version:?}");
    }
}

#[tokio::test]
async fn streams_come_in_crlf_and_in_single_bytes() {
    let provider = Provider::start().await;
    let mut streamed = say_hi();
    streamed["stream"] = json!(true);
    let plain = post(OPENAI, "/v1/chat/completions").body(body(&streamed)).unwrap();
    let plain = provider.text(Version::HTTP_11, plain).await;
    let request = behaving("crlf, split;n=1").body(body(&streamed)).unwrap();
    let mut response = provider.send(Version::HTTP_2, request).await.unwrap().into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = response.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert!(data.len() <= 1);
        bytes.extend(data);
    }
    assert_eq!(String::from_utf8(bytes).unwrap(), plain.replace('\n', "\r\n"));
}

#[tokio::test]
async fn gzip_needs_configuration_and_acceptance() {
    let packed = Provider::with(|config| config.gzip = true).await;
    let plain = Provider::start().await;
    for (provider, accepts, expected) in
        [(&packed, "deflate, GZIP;q=0.5", true), (&packed, "br", false), (&plain, "gzip", false)]
    {
        let request = post(OPENAI, "/v1/chat/completions").header("accept-encoding", accepts);
        let request = request.body(body(&say_hi())).unwrap();
        let response = provider.send(Version::HTTP_11, request).await.unwrap();
        assert_eq!(response.headers().contains_key("content-encoding"), expected);
        let (bytes, _) = drain(response).await;
        let mut text = String::new();
        if expected {
            GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(bytes).unwrap();
        }
        assert!(text.contains("You said: say hi"), "{text}");
    }
}
