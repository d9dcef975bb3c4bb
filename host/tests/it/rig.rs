//! What the tests stand on: a configuration in a folder of its own, a host in this process, an
//! enclave that speaks the real frames, and a client of the outer tunnel.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use aegis_host::{Host, Running, config::Config, events::Events};
use aegis_wire::{
    control::{Authorize, Class, Custody, Frame, Hello, Label, Source, ToEnclave, ToHost, Usage},
    session::Preface,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) const KEY: &str = "aegis-vk-test-laptop-0123456789";
pub(crate) const CREDENTIAL: &str = "sk-made-up-credential-canary";
pub(crate) const TABLE: &str = include_str!("../../../enclave/providers.table");

/// Both ends of a session, which lives as long as they do.
pub(crate) type OpenEnds = (TlsStream<TcpStream>, UnixStream);

/// A deadlock ends a test; nothing is measured by it.
const STUCK: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(STUCK, what).await.expect("stuck")
}

/// A folder with everything a host needs.
pub(crate) struct Setup {
    folder: TempDir,
    root: CertificateDer<'static>,
    /// Lines before the first table of the configuration.
    pub(crate) head: String,
    /// Lines after the entries that every test has.
    pub(crate) tail: String,
    /// Where the books are.
    pub(crate) store: String,
}

/// Made up, and the same for all tests, so that one prepared store serves them.
pub(crate) const MASTER_KEY: &str =
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

impl Setup {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["router.test".to_owned()]).unwrap();
        fs::write(folder.path().join("tls.pem"), made.cert.pem()).unwrap();
        let setup = Self {
            root: made.cert.der().clone(),
            folder,
            head: String::new(),
            tail: String::new(),
            store: "sqlite:aegis.db".into(),
        };
        setup.secret("tls.key", &made.signing_key.serialize_pem());
        setup.secret("master.key", MASTER_KEY);
        // A second enclave of a test is green.
        for legs in ["blue", "green"] {
            fs::create_dir(setup.path(legs)).unwrap();
        }
        setup.secret("aegis.db", "");
        fs::write(setup.path("aegis.db"), prepared()).unwrap();
        setup
    }

    /// Without a key, an account or a store.
    pub(crate) fn bare() -> Self {
        let setup = Self::new();
        fs::remove_file(setup.path("aegis.db")).unwrap();
        setup
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes the configuration and returns its path.
    pub(crate) fn config(&self) -> PathBuf {
        let Self { head, tail, store, .. } = self;
        let text = format!(
            "listen = \"127.0.0.1:0\"\n{head}\n\
             [store]\nurl = \"{store}\"\nmaster_key_file = \"master.key\"\n\
             [tls]\ncertificate = \"tls.pem\"\nkey = \"tls.key\"\n\
             [[enclave]]\nname = \"blue\"\nrelease = 7\nunix = \"blue\"\n{tail}\n"
        );
        let path = self.path("host.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs a command on the store; its standard output.
    pub(crate) fn host(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.try_host(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
        out
    }

    /// Exit code, standard output and standard error of a command on the store.
    pub(crate) fn try_host(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_aegis-host"));
        command.args(arguments).arg("--config").arg(self.config());
        command.env("TEST_CREDENTIAL", CREDENTIAL).env("RUST_LOG", "warn");
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    pub(crate) fn ledger_text(&self) -> String {
        self.host(&["ledger", "export", "--json"])
    }

    pub(crate) fn ledger(&self) -> Vec<Value> {
        let text = self.ledger_text();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Starts a host in this process and an enclave beside it.
    pub(crate) async fn start(self) -> Rig {
        let (events, seen) = events();
        let config = Config::load(&self.config()).unwrap();
        let running = Host::start(config, Arc::new(events)).await.unwrap();
        let enclave = Enclave::listen(&self.path("blue"));
        let mut rig =
            Rig { address: running.address, setup: self, _running: running, seen, enclave };
        assert_eq!(rig.event().await["event"], "ready");
        rig
    }

    /// A client of the outer TLS, with the defaults of its library.
    pub(crate) fn tls_client(&self) -> TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    pub(crate) async fn tls_by(
        &self,
        client: &TlsConnector,
        address: SocketAddr,
    ) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("router.test").unwrap();
        soon(client.connect(name, tcp)).await.unwrap()
    }

    /// Outer TLS to that address.
    pub(crate) async fn tls(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        self.tls_by(&self.tls_client(), address).await
    }
}

/// The commands that make tenant `acme`, key `laptop` and account 4.
pub(crate) fn entries() -> [String; 3] {
    let digest = hex::encode(Sha256::digest(KEY));
    [
        "tenant create acme".into(),
        format!("key create laptop --tenant acme --sha256 {digest}"),
        "account create 4 --provider openai --credential-env TEST_CREDENTIAL".into(),
    ]
}

/// A store with tenant `acme`, key `laptop` and account 4, made by the commands once.
fn prepared() -> &'static [u8] {
    static STORE: OnceLock<Vec<u8>> = OnceLock::new();
    STORE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("host.toml");
        let text = "listen = \"127.0.0.1:0\"\n\
                    [store]\nurl = \"sqlite:aegis.db\"\nmaster_key_file = \"master.key\"\n\
                    [tls]\ncertificate = \"\"\nkey = \"\"\n";
        fs::write(&config, text).unwrap();
        fs::write(folder.path().join("master.key"), MASTER_KEY).unwrap();
        for line in entries() {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_aegis-host"));
            command.args(line.split(' ')).arg("--config").arg(&config);
            let status = command.env("TEST_CREDENTIAL", CREDENTIAL).status().unwrap();
            assert!(status.success(), "{line}");
        }
        fs::read(folder.path().join("aegis.db")).unwrap()
    })
}

/// Another certificate and key, for a configuration whose halves do not fit.
pub(crate) fn foreign_key() -> PrivatePkcs8KeyDer<'static> {
    let made = rcgen::generate_simple_self_signed(["other.test".to_owned()]).unwrap();
    made.signing_key.serialize_der().into()
}

/// A host, its enclave, and what it showed.
pub(crate) struct Rig {
    pub(crate) setup: Setup,
    pub(crate) address: SocketAddr,
    pub(crate) enclave: Enclave,
    seen: UnboundedReceiver<String>,
    _running: Running,
}

impl Rig {
    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        let line = soon(self.seen.recv()).await.expect("no more events");
        serde_json::from_str(&line).unwrap()
    }

    /// The next event, with its kind checked and its time taken off.
    pub(crate) async fn event_of(&mut self, kind: &str) -> Value {
        let mut event = self.event().await;
        let fields = event.as_object_mut().unwrap();
        assert!(fields.remove("at_ms").unwrap().is_u64());
        assert_eq!(fields.remove("event").unwrap(), kind, "{fields:?}");
        event
    }

    /// Sends a head and reads the answer's.
    pub(crate) async fn ask(&self, head: &str) -> (TlsStream<TcpStream>, String) {
        let mut tls = self.setup.tls(self.address).await;
        tls.write_all(head.as_bytes()).await.unwrap();
        let answer = read_head(&mut tls).await;
        (tls, answer)
    }

    /// Opens a session; the enclave's end comes with the number of its preface.
    pub(crate) async fn session(&mut self) -> (TlsStream<TcpStream>, UnixStream, u64) {
        let (tls, answer) = self.ask(&connect_head(KEY, "7")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (inner, number) = self.enclave.session().await;
        (tls, inner, number)
    }
}

pub(crate) fn connect_head(key: &str, releases: &str) -> String {
    format!(
        "CONNECT enclave.aegis:443 HTTP/1.1\r\nHost: enclave.aegis:443\r\n\
         Proxy-Authorization: Bearer {key}\r\nAegis-Releases: {releases}\r\n\r\n"
    )
}

/// Reads up to the empty line, or to the end.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match soon(stream.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Events into a channel of lines.
fn events() -> (Events, UnboundedReceiver<String>) {
    struct Lines(UnboundedSender<String>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let line = String::from_utf8(bytes.into()).unwrap();
            // A test that ended reads no more.
            let _ = self.0.send(line);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (lines, seen) = unbounded_channel();
    (Events::to(Lines(lines)), seen)
}

/// The enclave's side of all legs.
pub(crate) struct Enclave {
    folder: PathBuf,
    sessions: UnixListener,
}

impl Enclave {
    pub(crate) fn listen(folder: &Path) -> Self {
        let path = folder.join("session.sock");
        // One enclave after another lives in the same folder.
        let _ = fs::remove_file(&path);
        let sessions = UnixListener::bind(path).unwrap();
        Self { folder: folder.into(), sessions }
    }

    pub(crate) async fn session(&self) -> (UnixStream, u64) {
        let (mut stream, _) = soon(self.sessions.accept()).await.unwrap();
        let mut preface = [0; Preface::LEN];
        soon(stream.read_exact(&mut preface)).await.unwrap();
        (stream, Preface::decode(&preface).unwrap().0)
    }

    /// A bare control connection.
    pub(crate) async fn dial(&self) -> Control {
        let stream = UnixStream::connect(self.folder.join("control.sock")).await.unwrap();
        let received = Vec::new();
        Control { stream, received }
    }

    /// A control channel after its `Hello`, which is up when the host takes sessions.
    pub(crate) async fn control(&self, boot: u8) -> Control {
        let mut control = self.dial().await;
        control.send(ToHost::Hello(hello(boot))).await;
        control.settled().await;
        control
    }

    pub(crate) async fn egress(&self, frame: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(self.folder.join("egress.sock")).await.unwrap();
        stream.write_all(frame).await.unwrap();
        stream
    }
}

pub(crate) fn hello(boot: u8) -> Hello {
    Hello { version: 1, boot: [boot; 16], table: Sha256::digest(TABLE).into() }
}

/// One control connection.
pub(crate) struct Control {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Control {
    pub(crate) async fn send(&mut self, frame: ToHost) {
        self.send_bytes(&frame.encode().unwrap()).await;
    }

    /// Whether the host could still be written to.
    pub(crate) async fn try_send(&mut self, frame: ToHost) -> bool {
        self.stream.write_all(&frame.encode().unwrap()).await.is_ok()
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next frame, none when the host closed.
    pub(crate) async fn next(&mut self) -> Option<ToEnclave> {
        loop {
            if let Some((frame, len)) = ToEnclave::decode(&self.received).unwrap() {
                self.received.drain(..len);
                return Some(frame);
            }
            match soon(self.stream.read_buf(&mut self.received)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Waits until the host has read everything sent before: it answers a question about a session
    /// that does not exist.
    async fn settled(&mut self) {
        self.send(ToHost::Authorize(authorize(0, u64::MAX))).await;
        assert!(matches!(self.next().await, Some(ToEnclave::Deny(_))));
    }
}

pub(crate) fn authorize(session: u64, request: u64) -> Authorize {
    Authorize {
        session,
        request,
        attempt: 1,
        provider: 0,
        class: Class::Generate,
        custody: Custody::Host,
        owner: [0; 32],
    }
}

pub(crate) fn usage(grant: u64) -> Usage {
    let mut counts = [None; 12];
    (counts[0], counts[1]) = (Some(11), Some(0));
    Usage {
        grant,
        status_class: 2,
        source: Source::Provider,
        counts,
        label: Label::new(b"mock-1"),
        first_byte_ms: 120,
        total_ms: 4500,
    }
}

/// Sends bytes one way and reads the same at the other end.
pub(crate) async fn carries(
    from: &mut (impl AsyncWrite + Unpin),
    to: &mut (impl AsyncRead + Unpin),
    bytes: &[u8],
) {
    let send = async {
        from.write_all(bytes).await.unwrap();
        from.flush().await.unwrap();
    };
    let mut got = vec![0; bytes.len()];
    let receive = to.read_exact(&mut got);
    let ((), received) = soon(async { tokio::join!(send, receive) }).await;
    received.unwrap();
    assert!(got == bytes);
}
