//! An enclave with everything around it in one process, over pipes.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use aegis_enclave::legs::{Leg, Legs, Opening};
use aegis_enclave::{Enclave, Setup};
use aegis_nsm::{Attester, Claims, Unavailable};
use aegis_wire::control::{Frame as _, Grant, Secret, ToEnclave, ToHost, Usage};
use aegis_wire::session::legs::{CONTROL_PORT, EGRESS_PORT};
use aegis_wire::session::{ALPN, Egress, Evidence, Mode, Opening as Question, Preface};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response, server, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const NAME: &str = "provider.test";
const TABLE: &str = "\
meter chat
  input usage.prompt_tokens
  output usage.completion_tokens
api a
  envelope openai
  credential bearer
  endpoint POST /metered/{} generate meter=chat
  endpoint POST /replayable/{} generate meter=chat replayable
  endpoint POST /unmetered/{} media
provider p
  authority provider.test
  api a
  prefix /p
  roots test
";
/// 2026-11-20, in milliseconds.
const NOW_MS: u64 = 1_795_132_800_000;

/// The host's side: what the enclave accepts and dials comes out of it.
struct Pipes {
    sessions: tokio::sync::Mutex<UnboundedReceiver<io::Result<DuplexStream>>>,
    usages: UnboundedSender<Usage>,
    provider: Provider,
}

/// What stands behind the egress leg.
#[derive(Clone)]
struct Provider {
    tls: Arc<ServerConfig>,
    /// One for each request that it has whole.
    asked: UnboundedSender<()>,
    /// One for each late answer that it may give.
    release: Arc<Semaphore>,
    /// One for each connection that it is asked for.
    dialled: UnboundedSender<()>,
    /// Who is let in; none while it is shut.
    door: Arc<Semaphore>,
    /// Bytes of answers without end.
    sent: Arc<AtomicUsize>,
}

impl Legs for Pipes {
    fn accept(&self) -> Opening<'_> {
        Box::pin(async {
            match self.sessions.lock().await.recv().await {
                Some(session) => session.map(Leg::new),
                None => std::future::pending().await,
            }
        })
    }

    fn dial(&self, port: u32) -> Opening<'_> {
        let (near, far) = duplex(64 * 1024);
        match port {
            CONTROL_PORT => drop(tokio::spawn(control(far, self.usages.clone()))),
            EGRESS_PORT => drop(tokio::spawn(egress(far, self.provider.clone()))),
            _ => return Box::pin(async { Err(io::ErrorKind::AddrNotAvailable.into()) }),
        }
        Box::pin(async { Ok(Leg::new(near)) })
    }
}

/// Grants every question, and hands on what is settled.
async fn control(mut leg: DuplexStream, usages: UnboundedSender<Usage>) -> Option<()> {
    let (mut held, mut last) = (Vec::new(), 0);
    while leg.read_buf(&mut held).await.ok()? > 0 {
        while let Some((frame, len)) = ToHost::decode(&held).ok()? {
            held.drain(..len);
            let answer = match frame {
                ToHost::Hello(_) => continue,
                ToHost::Authorize(ask) => {
                    last += 1;
                    ToEnclave::Grant(Grant {
                        request: ask.request,
                        attempt: ask.attempt,
                        grant: last,
                        account: 1,
                        custody: ask.custody,
                        credential: Secret(b"sk-made-up".to_vec()),
                    })
                }
                ToHost::Usage(usage) => {
                    let grant = usage.grant;
                    usages.send(usage).ok()?;
                    ToEnclave::Ack(grant)
                }
            };
            leg.write_all(&answer.encode().ok()?).await.ok()?;
        }
    }
    Some(())
}

async fn egress(mut leg: DuplexStream, provider: Provider) -> Option<()> {
    leg.read_exact(&mut [0; Egress::LEN]).await.ok()?;
    provider.dialled.send(()).ok()?;
    drop(provider.door.acquire().await.ok()?);
    leg.write_all(&[0]).await.ok()?;
    let tls = TlsAcceptor::from(provider.tls.clone()).accept(leg).await.ok()?;
    let service = service_fn(|request| provider.answer(request));
    server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await.ok()
}

impl Provider {
    /// Reads the request; what comes then, the last part of its path says.
    async fn answer(&self, request: Request<Incoming>) -> hyper::Result<Response<Sent>> {
        let (head, body) = request.into_parts();
        body.collect().await?;
        self.asked.send(()).unwrap();
        let body = match head.uri.path().rsplit('/').next().unwrap() {
            "endless" => Endless(self.sent.clone()).boxed_unsync(),
            "stalled" => Stalled(Some(Bytes::from_static(b"{"))).boxed_unsync(),
            "at-once" => Full::from(ANSWER).boxed_unsync(),
            "late" => {
                self.release.acquire().await.unwrap().forget();
                Full::from(ANSWER).boxed_unsync()
            }
            "never" => std::future::pending().await,
            _ => Empty::new().boxed_unsync(),
        };
        let json = ("content-type", "application/json");
        Ok(Response::builder().header(json.0, json.1).body(body).unwrap())
    }
}

type Sent = UnsyncBoxBody<Bytes, Infallible>;

/// Says what it cost.
const ANSWER: &str = r#"{"model":"m","usage":{"prompt_tokens":2,"completion_tokens":4}}"#;

/// As fast as it is read.
struct Endless(Arc<AtomicUsize>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.fetch_add(16_384, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16_384])))))
    }
}

/// A beginning, and nothing after it.
struct Stalled(Option<Bytes>);

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(Frame::data(chunk)))))
    }
}

/// Evidence of which nobody reads more than the time and the registers.
struct Clock;

impl Attester for Clock {
    fn attest(&self, _: Claims<'_>) -> Result<Vec<u8>, Unavailable> {
        let register = |index| [&[index, 0x58, 48][..], &[0; 48]].concat();
        let registers = [0, 1, 2].map(register).concat();
        let time = NOW_MS.to_be_bytes();
        Ok([&b"\x69timestamp\x1b"[..], &time, b"\x64pcrs\xa3", &registers].concat())
    }
}

/// A running enclave.
pub(crate) struct World {
    sessions: UnboundedSender<io::Result<DuplexStream>>,
    usages: Mutex<UnboundedReceiver<Usage>>,
    asked: Mutex<UnboundedReceiver<()>>,
    dialled: Mutex<UnboundedReceiver<()>>,
    provider: Provider,
}

impl World {
    pub(crate) fn start() -> Self {
        let (tls, root) = provider();
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let (sessions, arriving) = mpsc::unbounded_channel();
        let (settled, usages) = mpsc::unbounded_channel();
        let (asking, asked) = mpsc::unbounded_channel();
        let (dialling, dialled) = mpsc::unbounded_channel();
        let provider = Provider {
            tls,
            asked: asking,
            release: Arc::new(Semaphore::new(0)),
            dialled: dialling,
            door: Arc::new(Semaphore::new(1)),
            sent: Arc::default(),
        };
        let enclave = Enclave::boot(Setup {
            attester: Box::new(Clock),
            table: aegis_table::parse(TABLE).unwrap(),
            roots: vec![("test", roots)],
            legs: Box::new(Pipes {
                sessions: tokio::sync::Mutex::new(arriving),
                usages: settled,
                provider: provider.clone(),
            }),
        })
        .unwrap();
        tokio::spawn(enclave.serve());
        let [asked, dialled] = [asked, dialled].map(Mutex::new);
        Self { sessions, usages: Mutex::new(usages), asked, dialled, provider }
    }

    /// The client's end of a new session leg.
    pub(crate) fn session(&self) -> DuplexStream {
        self.pipe(64)
    }

    fn pipe(&self, room: usize) -> DuplexStream {
        let (near, far) = duplex(room);
        self.sessions.send(Ok(far)).unwrap();
        near
    }

    /// Lets the next session fail to be accepted.
    pub(crate) fn fail_accept(&self, kind: io::ErrorKind) {
        self.sessions.send(Err(kind.into())).unwrap();
    }

    /// A client that has its evidence, on HTTP/2.
    pub(crate) async fn client<B>(&self) -> SendRequest<B>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let mut leg = self.pipe(4096);
        leg.write_all(&Preface(1).encode()).await.unwrap();
        let name = ServerName::try_from("enclave.aegis").unwrap();
        let mut tls = TlsConnector::from(Arc::new(client())).connect(name, leg).await.unwrap();
        let question = Question { mode: Mode::Http2, padding: false, nonce: [7; 32] };
        tls.write_all(&question.encode()).await.unwrap();
        let mut evidence = Vec::new();
        while Evidence::decode(&evidence).unwrap().is_none() {
            assert!(tls.read_buf(&mut evidence).await.unwrap() > 0, "no evidence");
        }
        let io = TokioIo::new(tls);
        let (client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// The next grant that is settled.
    pub(crate) async fn usage(&mut self) -> Usage {
        self.usages.get_mut().unwrap().recv().await.unwrap()
    }

    pub(crate) fn no_usage(&mut self) -> bool {
        self.usages.get_mut().unwrap().try_recv().is_err()
    }

    /// Waits until the provider has another request whole.
    pub(crate) async fn asked(&mut self) {
        self.asked.get_mut().unwrap().recv().await.unwrap();
    }

    /// Lets the provider give a late answer.
    pub(crate) fn release(&self) {
        self.provider.release.add_permits(1);
    }

    /// Keeps whoever dials the provider waiting.
    pub(crate) fn shut(&self) {
        self.provider.door.forget_permits(1);
    }

    /// Lets them in.
    pub(crate) fn open(&self) {
        self.provider.door.add_permits(1);
    }

    /// Waits until the provider is dialled again.
    pub(crate) async fn dialled(&mut self) {
        self.dialled.get_mut().unwrap().recv().await.unwrap();
    }

    /// Whether the provider has a request that was not waited for.
    pub(crate) fn is_asked(&mut self) -> bool {
        self.asked.get_mut().unwrap().try_recv().is_ok()
    }

    /// Bytes of answers without end that left the provider's program.
    pub(crate) fn sent(&self) -> usize {
        self.provider.sent.load(Ordering::Relaxed)
    }
}

/// A request to the provider, which answers as the path says.
pub(crate) fn ask<B>(path: &str, body: B) -> Request<B> {
    Request::post(format!("https://provider.test{path}"))
        .header("aegis-custody", "host")
        .body(body)
        .unwrap()
}

/// The provider's TLS and the root of its certificate.
fn provider() -> (Arc<ServerConfig>, CertificateDer<'static>) {
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(params, root_key);
    let leaf = CertificateParams::new([NAME.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let chain = vec![leaf.der().clone()];
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.serialize_der().try_into().unwrap())
        .unwrap();
    (Arc::new(config), root.der().clone())
}

/// A client that asks no questions: what evidence is worth is tested elsewhere.
fn client() -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
