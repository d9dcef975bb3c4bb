//! Certificates, protocols and the life of a mock.
#![allow(clippy::unwrap_used)]

mod common;

use aegis_mock::WRONG_NAME;
use http::Version;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::common::OPENAI;
use crate::common::Provider;
use crate::common::body;
use crate::common::post;
use crate::common::say_hi;

#[tokio::test]
async fn a_wrong_name_is_presented_on_demand() {
    let provider = Provider::with(|config| config.wrong_name = true).await;
    assert!(provider.tls(OPENAI, Version::HTTP_2).await.is_err());
    assert!(provider.tls(WRONG_NAME, Version::HTTP_2).await.is_ok());
}

#[tokio::test]
async fn another_root_is_not_trusted() {
    let mut provider = Provider::start().await;
    let other = Provider::start().await;
    std::mem::swap(&mut provider.mock, &mut { other }.mock);
    assert!(provider.tls(OPENAI, Version::HTTP_11).await.is_err());
}

#[tokio::test]
async fn http1_only_does_not_take_h2() {
    let provider = Provider::with(|config| config.http1_only = true).await;
    assert!(provider.tls(OPENAI, Version::HTTP_2).await.is_err());
    let request = post(OPENAI, "/v1/chat/completions").body(body(&say_hi())).unwrap();
    assert_eq!(provider.send(Version::HTTP_11, request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_clean_h1_close_has_close_notify() {
    // Without it, `eof-without-close-notify` would show nothing.
    let provider = Provider::start().await;
    let mut tls = provider.tls(OPENAI, Version::HTTP_11).await.unwrap();
    let request = format!("HEAD / HTTP/1.1\r\nhost: {OPENAI}\r\nconnection: close\r\n\r\n");
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn shutdown_ends_connections_and_the_listener() {
    let provider = Provider::start().await;
    let mut tls = provider.tls(OPENAI, Version::HTTP_11).await.unwrap();
    let addr = provider.mock.addr();
    assert_eq!((provider.mock.connections(), provider.mock.failed_handshakes()), (1, 0));
    provider.mock.shutdown().await;
    let mut byte = [0];
    assert!(tls.read_exact(&mut byte).await.is_err());
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn nothing_is_kept_without_a_record() {
    let provider = Provider::with(|config| config.record = false).await;
    let request = post(OPENAI, "/v1/chat/completions").body(body(&say_hi())).unwrap();
    let response = provider.send(Version::HTTP_2, request).await.unwrap();
    assert!(response.headers().contains_key("x-mock-request-sha256"));
    assert!(provider.mock.recorded().is_empty());
}
