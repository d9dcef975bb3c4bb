//! A peer in the place of host and enclave, in this process: real sockets, real TLS twice, and
//! evidence that a test can bend. It keeps every byte it decrypts before HTTP begins.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use aegis_client::{
    Client, Config, Custodies, Custody, OuterRoots, Release, Router, Trust, VirtualKey,
};
use aegis_dev_attester::{AttestRequest, DevelopmentAttester, PcrBank};
use aegis_verifier::{ImageMeasurement, Pcr, RootFingerprint, TrustAnchor};
use aegis_wire::{
    binding::{self, EXPORTER_LABEL, Exporter, Spki},
    session::{Evidence, Opening},
};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

pub mod http;
pub mod releases;
pub mod tls;

use tls::{Identity, Outer};

/// Looked for in everything a peer decrypts before it has shown good evidence.
pub const CANARY: &str = "canary-in-the-request";

pub type InnerStream = tokio_rustls::server::TlsStream<tokio_rustls::server::TlsStream<TcpStream>>;

/// What an enclave is made of, and what it measures.
pub struct Genuine {
    pub attester: DevelopmentAttester,
    pub identity: Identity,
    pub receipt_key: Vec<u8>,
    pub pcrs: PcrBank,
}

/// What one session's evidence is about.
pub struct Asked {
    pub opening: [u8; Opening::LEN],
    pub exporter: Exporter,
    /// Counts from 0.
    pub session: usize,
}

/// Makes the answer to an opening.
pub type Answer = Box<dyn Fn(&Asked) -> Vec<u8> + Send + Sync>;

/// What the peer says and does. `Default` is an honest one.
pub struct Script {
    /// The host's answer to CONNECT.
    pub connect: &'static str,
    /// What it presents inside.
    pub identity: Identity,
    /// The answer to an opening.
    pub evidence: Answer,
    /// What follows the evidence.
    pub then: Then,
}

/// What follows the evidence.
#[derive(Clone, Copy)]
pub enum Then {
    /// Only listens.
    Record,
    /// HTTP/2 by hyper.
    Http2,
    /// HTTP/1.1 by hyper.
    Http1,
    /// The first session resets its first stream for this reason, later ones serve.
    ResetFirst(h2::Reason),
}

pub struct Peer {
    pub address: SocketAddr,
    outer: Outer,
    sessions: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    records: mpsc::UnboundedReceiver<Vec<u8>>,
    connections: Arc<Mutex<JoinSet<()>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Genuine {
    pub fn new() -> Self {
        let register = |byte| [byte; 48];
        Self {
            attester: DevelopmentAttester::ephemeral(),
            identity: Identity::p256(),
            receipt_key: b"receipt key of the genuine enclave".to_vec(),
            pcrs: std::array::from_fn(|at| register(at as u8 + 1)),
        }
    }

    /// What it answers to this question on this session.
    pub fn evidence(&self, asked: &Asked) -> Vec<u8> {
        let spki = Spki(&self.identity.spki);
        let nonce = binding::nonce(&asked.opening, spki, &asked.exporter);
        self.document(&nonce, &self.identity.spki, &self.pcrs)
    }

    /// A document that says this, with the matching receipt key.
    pub fn document(&self, nonce: &[u8], spki: &[u8], pcrs: &PcrBank) -> Vec<u8> {
        let user_data = binding::user_data(Spki(&self.receipt_key));
        let request = AttestRequest {
            public_key: Some(spki),
            user_data: Some(&user_data),
            nonce: Some(nonce),
        };
        let document = self.attester.attest(pcrs, &request, now_ms()).unwrap();
        frame(document, self.receipt_key.clone())
    }

    /// A client that trusts this enclave's root and measurement.
    pub fn trust(&self) -> Trust {
        let fingerprint = RootFingerprint::new(self.attester.root_fingerprint());
        let [pcr0, pcr1, pcr2] = [0, 1, 2].map(|at| Pcr::new(self.pcrs[at]));
        let measurement = ImageMeasurement { pcr0, pcr1, pcr2 };
        let release = Release { number: 0, measurement };
        Trust::new(TrustAnchor::dangerous_development_root(fingerprint), &[release]).unwrap()
    }

    /// An honest peer's script.
    pub fn script(self: &Arc<Self>, then: Then) -> Script {
        let genuine = Arc::clone(self);
        Script {
            connect: "200 OK\r\nAegis-Release: 0",
            identity: self.identity.clone(),
            evidence: Box::new(move |asked| genuine.evidence(asked)),
            then,
        }
    }
}

/// An answer to an opening.
pub fn frame(document: Vec<u8>, receipt_key: Vec<u8>) -> Vec<u8> {
    let evidence = Evidence { document, receipt_key };
    evidence.encode().unwrap()
}

pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    elapsed.as_millis() as u64
}

pub fn key() -> VirtualKey {
    VirtualKey::new("aegis-vk-test-1").unwrap()
}

impl Peer {
    pub async fn start(script: Script) -> Self {
        let outer = Outer::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sessions, heads) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<_>>::default());
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let (recorded, records) = mpsc::unbounded_channel();
        let line = Arc::new(Line {
            outer: outer.acceptor(),
            inner: script.identity.acceptor(),
            script,
            sessions: Arc::clone(&sessions),
            heads: Arc::clone(&heads),
            recorded,
        });
        let spawn = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let line = Arc::clone(&line);
                spawn.lock().unwrap().spawn(async move {
                    // A session that fails says so at the client.
                    let _ = line.attend(stream).await;
                });
            }
        });
        Self { address, outer, sessions, heads, records, connections, accepting }
    }

    pub fn router(&self) -> Router {
        let url = format!("https://{}", self.address);
        Router::new(&url, OuterRoots::File(self.outer.ca.path())).unwrap().direct()
    }

    pub fn client(&self, trust: Trust) -> Client {
        Client::new(Config {
            router: self.router(),
            trust,
            custodies: Custodies::new(&[Custody::Host]).unwrap(),
        })
    }

    /// How many sessions came as far as an opening.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }

    /// The heads of the CONNECT requests.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Everything the next finished session decrypted, HTTP's own server excluded.
    pub async fn record(&mut self) -> Vec<u8> {
        self.records.recv().await.unwrap()
    }

    /// The file with the authority that vouches for the host.
    pub fn ca(&self) -> &std::path::Path {
        self.outer.ca.path()
    }

    /// Takes no more connections, and ends those there are.
    pub fn stop(&self) {
        self.accepting.abort();
        self.cut();
    }

    /// Ends all sessions at once, as a dying enclave does.
    pub fn cut(&self) {
        self.connections.lock().unwrap().abort_all();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What all connections of a peer share.
struct Line {
    outer: TlsAcceptor,
    inner: TlsAcceptor,
    script: Script,
    sessions: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    recorded: mpsc::UnboundedSender<Vec<u8>>,
}

impl Line {
    async fn attend(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut outer = self.outer.accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(outer.read_u8().await?);
        }
        self.heads.lock().unwrap().push(String::from_utf8(head).unwrap());
        let answer = format!("HTTP/1.1 {}\r\n\r\n", self.script.connect);
        outer.write_all(answer.as_bytes()).await?;
        if !self.script.connect.starts_with("200") {
            return outer.shutdown().await;
        }
        let mut heard = Vec::new();
        let ended = self.session(outer, &mut heard).await;
        self.recorded.send(heard).unwrap();
        ended
    }

    async fn session(
        &self,
        outer: tokio_rustls::server::TlsStream<TcpStream>,
        heard: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let mut inner = self.inner.accept(outer).await?;
        let mut opening = [0; Opening::LEN];
        inner.read_exact(&mut opening).await?;
        heard.extend_from_slice(&opening);
        let session = self.sessions.fetch_add(1, Ordering::SeqCst);
        let nonce = Opening::decode(&opening).unwrap().nonce;
        let tls = inner.get_ref().1;
        let exporter = tls.export_keying_material([0; 32], EXPORTER_LABEL, Some(&nonce));
        let answer = (self.script.evidence)(&Asked {
            opening,
            exporter: Exporter(exporter.unwrap()),
            session,
        });
        inner.write_all(&answer).await?;
        inner.flush().await?;
        match self.script.then {
            Then::Record => listen(inner, heard).await,
            then => http::serve(inner, then, session).await,
        }
    }
}

/// Listens until the peer leaves or has said too much: then nothing is gained by waiting.
async fn listen(mut inner: InnerStream, heard: &mut Vec<u8>) -> std::io::Result<()> {
    while inner.read_buf(heard).await? > 0 {
        if heard.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()) {
            break;
        }
    }
    Ok(())
}

pub fn ca_file(pem: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    file
}
