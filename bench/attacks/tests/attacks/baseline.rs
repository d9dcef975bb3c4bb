//! The plaintext router is a fair baseline: without an attacker it passes what the sealed path
//! passes, and with one every attack works.

use std::sync::Arc;

use aegis_attacks::api;
use aegis_attacks::attacks;
use aegis_attacks::baseline::Baseline;
use aegis_attacks::run;
use aegis_attacks::run::Ending;
use aegis_attacks::run::Executor;
use aegis_attacks::scenario::Goal;
use aegis_mock::MockConfig;
use aegis_mock::MockHandle;
use aegis_rig::user::Answer;
use aegis_rig::verbatim;
use aegis_rig::verbatim::Pieces;
use aegis_rig::verbatim::Way;
use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use hyper::client::conn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client of the router without an attacker, on one version of HTTP.
struct Plain<'a> {
    baseline: &'a Baseline,
    http2: bool,
}

impl Plain<'_> {
    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.baseline.base.root.clone().unwrap()).unwrap();
        let mut config =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols =
            vec![if self.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let tcp = TcpStream::connect(self.baseline.base.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
    }
}

impl Way for Plain<'_> {
    fn mock(&self) -> &MockHandle {
        &self.baseline.mock
    }

    async fn send(&self, mut request: Request<Pieces>) -> Answer {
        let io = TokioIo::new(self.connect().await);
        let answer = if self.http2 {
            let (mut sender, connection) =
                conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await
        } else {
            let host = HeaderValue::from_static("openai.mock.aegis.test");
            request.headers_mut().insert("host", host);
            *request.uri_mut() = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
            let (mut sender, connection) = conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        Answer::read(answer.unwrap()).await
    }
}

#[test]
fn any_body_in_any_pieces_without_an_attacker() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for http1_only in [false, true] {
        let change = |config| MockConfig { http1_only, ..config };
        let baseline = runtime.block_on(Baseline::with_mock(change)).unwrap();
        let one = Plain { baseline: &baseline, http2: false };
        let other = Plain { baseline: &baseline, http2: true };
        verbatim::any_body_in_any_pieces(&runtime, &one, &other);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_a_parser_would_change_without_an_attacker() {
    let baseline = Baseline::start().await.unwrap();
    for http2 in [false, true] {
        let way = Plain { baseline: &baseline, http2 };
        for body in verbatim::BODIES {
            verbatim::echoes(&way, Bytes::from_static(body), vec![3; 100], !http2).await;
        }
    }
}

/// Switched off, no attack leaves a trace; switched on, each works in every API, streamed and not.
#[tokio::test(flavor = "multi_thread")]
async fn every_attack_works_with_its_attacker_and_none_without() {
    let everywhere = Executor::small(&api::variants());
    for attack in attacks::all() {
        let on = run::against_baseline(attack.as_ref(), &everywhere, true).await.unwrap();
        assert_eq!(on, vec![Ending::Success; 8], "{}", attack.id());
        if let Goal::Run(_) = attack.goal() {
            let off = run::against_baseline(attack.as_ref(), &everywhere, false).await;
            assert_eq!(off.unwrap(), vec![Ending::Unharmed; 8], "{}", attack.id());
        }
    }
}
