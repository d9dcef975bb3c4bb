//! The whole path with the shipped host: client, host and enclave as they are, the mock behind,
//! and a recording wire on every leg.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use aegis_client::Trust;
use aegis_dev_attester::DevelopmentAttester;
use aegis_eif::boot::Parent;
use aegis_mock::Mock;
use aegis_mock::MockConfig;
use aegis_mock::MockHandle;
use aegis_mock::MockRoot;
use aegis_mock::ROOT_FILE;
use aegis_verifier::RootFingerprint;
use aegis_wire::session::legs::CONTROL_PORT;
use aegis_wire::session::legs::CONTROL_SOCKET;
use aegis_wire::session::legs::EGRESS_PORT;
use aegis_wire::session::legs::EGRESS_SOCKET;
use aegis_wire::session::legs::SESSION_SOCKET;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::agent;
use crate::enclave::Enclave;
use crate::enclave::Image;
use crate::enclave::RELEASE;
use crate::machine;
use crate::machine::Init;
use crate::machine::Programs;
use crate::program::Binary;
use crate::program::Program;
use crate::record::Leg;
use crate::record::Record;
use crate::relay;
use crate::relay::Target;
use crate::site;
use crate::site::Site;
use crate::user::KEY;
use crate::user::User;
use crate::world::MOCK_NAMES;

/// How long an enclave may take from its heartbeat to its control channel: a bound on a hang. It makes
/// its keys in between, on an emulated processor.
const READY: Duration = Duration::from_secs(180);

/// Tenant of [`KEY`].
pub const TENANT: &str = "tenant-of-the-first-key";
/// The file in the host's folder that it serves as the release list.
pub const RELEASES_FILE: &str = "releases";
/// Tenant of [`OTHER_KEY`].
pub const OTHER_TENANT: &str = "tenant-of-the-other-key";

/// Everything of one test. It ends when dropped.
pub struct Stack {
    /// The enclave; `None` while it is down.
    pub enclave: Option<Enclave>,
    /// The host; `None` while it is down.
    pub host: Option<Program>,
    /// The provider.
    pub mock: MockHandle,
    /// Every byte that the host exchanged with anybody.
    pub record: Record,
    front: SocketAddr,
    host_at: Target,
    upstream: Target,
    dialled: SocketAddr,
    wires: JoinSet<()>,
    folder: TempDir,
}

impl Stack {
    /// Starts everything and waits until it is ready.
    pub async fn start() -> io::Result<Self> {
        Self::with_mock(|config| config).await
    }

    /// The same with another mock.
    pub async fn with_mock(change: impl FnOnce(MockConfig) -> MockConfig) -> io::Result<Self> {
        Self::with(change, RELEASE).await
    }

    /// The same with a host that says of its enclave that it is this release.
    pub async fn of_release(release: u32) -> io::Result<Self> {
        Self::with(|config| config, release).await
    }

    async fn with(change: impl FnOnce(MockConfig) -> MockConfig, release: u32) -> io::Result<Self> {
        let mut stack = Self::without_enclave(change).await?;
        let (near, far) = (stack.folder.path().join("legs"), stack.host_folder().join("legs"));
        fs::create_dir_all(&near)?;
        for (leg, name) in [(Leg::Control, CONTROL_SOCKET), (Leg::Egress, EGRESS_SOCKET)] {
            stack.wire(leg, near.join(name), far.join(name))?;
        }
        stack.wire(Leg::Session, far.join(SESSION_SOCKET), near.join(SESSION_SOCKET))?;
        let table = Program::output(Binary::Enclave, &["table".as_ref()])?;
        stack.configure("unix = \"legs\"", release, &table, &MOCK_NAMES)?;
        stack.start_enclave(Image::Shipped).await?;
        stack.start_host().await?;
        Ok(stack)
    }

    /// The same with the enclave on a machine, with the shipped program or with one that has another
    /// byte in its provider table. The production program has no row for the mock.
    pub async fn on_machine(programs: &Programs, init: Init, changed: bool) -> io::Result<Self> {
        let mut stack = Self::without_enclave(|config| config).await?;
        let parent = Parent::new().map_err(io::Error::other)?;
        let far = stack.host_folder().join("legs/vsock");
        for (leg, port) in [(Leg::Control, CONTROL_PORT), (Leg::Egress, EGRESS_PORT)] {
            let of_port = |prefix: &Path| PathBuf::from(format!("{}_{port}", prefix.display()));
            stack.wire(leg, of_port(&parent.vsock_path()), of_port(&far))?;
        }
        stack.wire(Leg::Session, far, parent.vsock_path())?;
        let (mut table, mut root) = (programs.table(changed)?, None);
        if init == Init::Development {
            let state = stack.folder().join("state");
            let made = DevelopmentAttester::open_or_create(&state).map_err(io::Error::other)?;
            root = Some(RootFingerprint::new(made.root_fingerprint()));
            table += &programs.mock_rows()?;
        }
        let (release, mocks) = match root {
            Some(_) => (RELEASE, &MOCK_NAMES[..]),
            None => (RELEASE + 1, &[][..]),
        };
        stack.configure("vhost = \"legs/vsock\"", release, table.as_bytes(), mocks)?;
        let image = stack.image(programs, init, changed)?;
        // Waiting for the machine leaves this thread's other tasks to the runtime's other threads.
        let machine = tokio::task::block_in_place(|| image.boot(parent))?;
        stack.enclave = Some(Enclave::machine(machine, image.measurement(), release, root));
        stack.start_host().await?;
        Ok(stack)
    }

    /// The image that [`Self::on_machine`] boots, with its roots.
    pub fn image<'a>(
        &self,
        programs: &'a Programs,
        init: Init,
        changed: bool,
    ) -> io::Result<machine::Image<'a>> {
        let (key, mock) = (self.folder().join("state/root.key.pem"), self.folder().join(ROOT_FILE));
        let files = [("root.key.pem", &*key), ("mock-root.pem", &*mock)];
        let told = if init == Init::Development { &files[..] } else { &[] };
        programs.image(init, changed, told)
    }

    /// Provider, wires to it and to the host, a folder; neither enclave nor host.
    async fn without_enclave(change: impl FnOnce(MockConfig) -> MockConfig) -> io::Result<Self> {
        let folder = TempDir::new()?;
        let root = Arc::new(MockRoot::generate().map_err(io::Error::other)?);
        root.save(folder.path()).map_err(io::Error::other)?;
        let config = change(MockConfig::tls(root, &MOCK_NAMES));
        let mock = Mock::start(config).await.map_err(io::Error::other)?;
        let (record, mut wires) = (Record::new(), JoinSet::new());
        fs::create_dir_all(folder.path().join("host/legs"))?;
        let upstream = Target::new(mock.addr());
        let dialled = relay::tcp(&mut wires, &record, Leg::Upstream, upstream.clone()).await?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let host_at = Target::new(nowhere);
        let front = relay::tcp(&mut wires, &record, Leg::Outer, host_at.clone()).await?;
        let (enclave, host) = (None, None);
        Ok(Self { enclave, host, mock, record, front, host_at, upstream, dialled, wires, folder })
    }

    fn configure(&self, leg: &str, release: u32, table: &[u8], mocks: &[&str]) -> io::Result<()> {
        site::write(self.folder(), Site { leg, release, table, mocks, upstream: self.dialled })
    }

    /// A recorded wire between two sockets of enclave and host.
    fn wire(&mut self, leg: Leg, near: PathBuf, far: PathBuf) -> io::Result<()> {
        relay::unix(&mut self.wires, &self.record, leg, near, far)
    }

    /// Starts an enclave in the place of the last.
    pub async fn start_enclave(&mut self, image: Image<'_>) -> io::Result<()> {
        let folder = self.folder.path();
        let (legs, state) = (folder.join("legs"), folder.join("state"));
        let mock_root = folder.join(ROOT_FILE);
        self.enclave = Some(Enclave::start(image, &legs, &state, &mock_root).await?);
        Ok(())
    }

    /// Starts a host in the place of the last, on the same ledger.
    pub async fn start_host(&mut self) -> io::Result<()> {
        let config = self.host_folder().join("host.toml");
        let arguments = ["run".as_ref(), "--config".as_ref(), config.as_os_str()];
        let arguments = [&arguments[..], &["--exit-with-stdin".as_ref()]].concat();
        let host = Program::start(Binary::Host, &arguments)?;
        let address = host.line(listening).await?;
        self.host_at.set(address);
        self.host = Some(host);
        Ok(())
    }

    /// Leads the wire to the provider somewhere else.
    pub fn set_upstream(&self, address: SocketAddr) {
        self.upstream.set(address);
    }

    /// The folder of everything that the host reads and writes.
    pub fn host_folder(&self) -> PathBuf {
        self.folder.path().join("host")
    }

    /// A folder that lives as long as the stack.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts an agent that trusts the enclave that runs now; its SDKs send the virtual key. Gives
    /// the address at which it listens.
    pub async fn start_agent(&self) -> io::Result<(Program, SocketAddr)> {
        self.start_agent_with(&[]).await
    }

    /// The same with more flags.
    pub async fn start_agent_with(&self, more: &[&OsStr]) -> io::Result<(Program, SocketAddr)> {
        let enclave = self.enclave.as_ref().ok_or_else(|| io::Error::other("no enclave"))?;
        agent::start(enclave, self.front, self.folder.path(), more).await
    }

    /// The same, told by these options which releases it accepts.
    pub async fn start_agent_accepting(
        &self,
        accepting: &[(&str, &OsStr)],
    ) -> io::Result<(Program, SocketAddr)> {
        let enclave = self.enclave.as_ref().ok_or_else(|| io::Error::other("no enclave"))?;
        agent::start_accepting(enclave, self.front, self.folder.path(), accepting, &[]).await
    }

    /// The URL of the router, and the file with the authority for its outer certificate.
    pub fn router(&self) -> (String, PathBuf) {
        (format!("https://{}", self.front), self.folder.path().join("outer.pem"))
    }

    /// The rows of the ledger, as the host exports them.
    pub fn ledger(&self) -> io::Result<Vec<serde_json::Value>> {
        let config = self.host_folder().join("host.toml");
        let export = ["ledger", "export", "--json", "--config"].map(OsStr::new);
        let text = Program::output(Binary::Host, &[&export[..], &[config.as_os_str()]].concat())?;
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
    }

    /// The event of the host in which `find` finds what it looks for, once it is there.
    pub async fn event<T>(&self, find: impl Fn(&serde_json::Value) -> Option<T>) -> io::Result<T> {
        let host = self.host.as_ref().ok_or_else(|| io::Error::other("the host is down"))?;
        host.line(|line| find(&serde_json::from_str(line).ok()?)).await
    }

    /// A user with this virtual key who trusts exactly the enclave that runs now.
    pub fn user(&self, key: &str) -> io::Result<User> {
        let enclave = self.enclave.as_ref().ok_or_else(|| io::Error::other("no enclave"))?;
        self.user_trusting(enclave.trust()?, key)
    }

    /// A user with this virtual key who trusts something else.
    pub fn user_trusting(&self, trust: Trust, key: &str) -> io::Result<User> {
        User::new(self.front, &self.folder.path().join("outer.pem"), trust, key)
    }

    /// Waits until a session can be had: the enclave's control channel must be up before the host
    /// opens tunnels.
    pub async fn ready(&self) -> io::Result<()> {
        let user = self.user(KEY)?;
        let asked = Instant::now();
        while asked.elapsed() < READY {
            match user.session(aegis_client::Mode::Http2).await {
                Err(error) if error.is_away() => {}
                Err(error) => return Err(io::Error::other(error)),
                Ok(_) => return Ok(()),
            }
            // Nothing tells a client when a router is back; it asks again, as an agent does.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let said = self.host.as_ref().map(Program::stderr).unwrap_or_default();
        Err(io::Error::other(format!(
            "the host opened no tunnel within {READY:?}; it said:\n{said}"
        )))
    }
}

fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["event"] == "ready").then(|| line["listen"].as_str()?.parse().ok()).flatten()
}
