//! What stays in the provider's account, with two tenants on one account of the operator: a key has
//! it by name only; a caller with a provider key of his own has it without. Files of any size stream,
//! and a resumable upload does not lead an SDK past the agent.

use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::DEFAULT_KEY;
use aegis_mock::PseudoRandom;
use aegis_rig::stack::Stack;
use aegis_rig::user::Answer;
use aegis_rig::user::FILE_KEY;
use aegis_rig::user::KEY;
use aegis_rig::user::OTHER_KEY;
use aegis_rig::user::exchange;
use aegis_wire::limits;
use bytes::Bytes;
use http::Method;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sha2::Digest as _;
use sha2::Sha256;

const MIB: usize = 1 << 20;

fn request(method: Method, url: &str, custody: &str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(url).header("aegis-custody", custody);
    if custody == "client" {
        request = request.header("authorization", format!("Bearer {DEFAULT_KEY}"));
    }
    request.body(Full::new(body)).unwrap()
}

async fn ask(session: &Session, method: Method, path: &str, custody: &str) -> Answer {
    let url = format!("https://openai.mock.aegis.test{path}");
    exchange(session, request(method, &url, custody, Bytes::new())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_of_the_account_sees_nothing_of_what_stays_there() {
    let stack = Stack::start().await.unwrap();
    stack.ready().await.unwrap();
    let scoped = [
        (Method::GET, "/v1/files"),
        (Method::GET, "/v1/files/file-of-another-tenant/content"),
        (Method::DELETE, "/v1/files/file-of-another-tenant"),
        (Method::GET, "/v1/batches"),
        (Method::GET, "/v1/responses/resp_of_another_tenant"),
        (Method::POST, "/v1/responses/resp_of_another_tenant/cancel"),
    ];
    for key in [KEY, OTHER_KEY] {
        let session = stack.user(key).unwrap().session(Mode::Http2).await.unwrap();
        for (method, path) in &scoped {
            let answer = ask(&session, method.clone(), path, "host").await;
            let row = (answer.error_code(), answer.status.as_u16());
            assert_eq!(row, (Some("denied_endpoint"), 403), "{method} {path}");
        }
    }
    assert!(stack.mock.recorded().is_empty(), "nothing was asked of the account");

    let session = stack.user(FILE_KEY).unwrap().session(Mode::Http2).await.unwrap();
    assert_eq!(ask(&session, Method::GET, "/v1/files", "host").await.status.as_u16(), 200);
    let batches = ask(&session, Method::GET, "/v1/batches", "host").await;
    assert_eq!(batches.error_code(), Some("denied_endpoint"), "a class that was not named");
    let session = stack.user(KEY).unwrap().session(Mode::Http2).await.unwrap();
    for (method, path) in scoped {
        let answer = ask(&session, method.clone(), path, "client").await;
        assert_eq!(answer.status.as_u16(), 200, "{method} {path}: with a provider key of his own");
    }
}

/// Most memory that a process had at any time, in bytes.
fn peak_bytes(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_any_size_streams_in_bounded_memory() {
    let stack = Stack::start().await.unwrap();
    stack.ready().await.unwrap();
    let session = stack.user(FILE_KEY).unwrap().session(Mode::Http2).await.unwrap();
    let pid = stack.enclave.as_ref().unwrap().pid().unwrap();
    let file = Bytes::from(PseudoRandom::new(8).take(96 * MIB));
    let before = peak_bytes(pid);
    let url = "https://openai.mock.aegis.test/v1/files";
    let answer =
        exchange(&session, request(Method::POST, url, "host", file.clone())).await.unwrap();
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let url = "https://openai.mock.aegis.test/v1/files/file-1/content";
    let mut down = request(Method::GET, url, "host", Bytes::new());
    let behavior = format!("bytes;n={};seed=8", 96 * MIB);
    down.headers_mut().insert("x-mock-behavior", behavior.parse().unwrap());
    let answer = exchange(&session, down).await.unwrap();
    assert!(answer.clean && answer.body == file, "the file came back changed");
    let recorded = stack.mock.recorded().remove(0);
    assert_eq!(recorded.body.sha256, Some(Sha256::digest(&file).into()));
    let grown = peak_bytes(pid).saturating_sub(before);
    assert!(grown < 48 * MIB, "the enclave grew by {grown} bytes for a file of {}", 96 * MIB);
    // It was not the copy for a second attempt that was measured.
    const { assert!(limits::REPLAY_BYTES < 96 * MIB) };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumable_upload_stays_on_the_agent() {
    let stack = Stack::start().await.unwrap();
    stack.ready().await.unwrap();
    let (_agent, address) = stack.start_agent().await.unwrap();
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let mut send = async |path: &str, command: &str, body: &'static [u8]| {
        sender.ready().await.unwrap();
        let request = Request::post(path)
            .header("host", address.to_string())
            .header("x-goog-api-key", FILE_KEY)
            .header("x-goog-upload-protocol", "resumable")
            .header("x-goog-upload-command", command)
            .body(Full::new(Bytes::from_static(body)));
        Answer::read(sender.send_request(request.unwrap()).await.unwrap()).await
    };
    let start = send("/gemini/upload/v1beta/files", "start", b"{}").await;
    assert_eq!(start.status.as_u16(), 200, "{start:?}");
    let url = start.header("x-goog-upload-url").unwrap();
    let here = format!("http://{address}");
    let path =
        url.strip_prefix(&here).unwrap_or_else(|| panic!("past the agent: {url}")).to_owned();
    assert_eq!(path, "/gemini/upload/v1beta/files?upload_id=mock-1");
    let end = send(&path, "upload, finalize", b"the file's bytes").await;
    assert_eq!(end.status.as_u16(), 200, "{end:?}");
    let recorded = stack.mock.wait_recorded(2).await.remove(1);
    assert_eq!(recorded.target, "/upload/v1beta/files?upload_id=mock-1");
    assert_eq!(recorded.header_values("x-goog-upload-command"), [b"upload, finalize"]);
    assert_eq!(recorded.body.sha256, Some(Sha256::digest(b"the file's bytes").into()));
}
