//! The whole path with the shipped host: client, host and enclave as they are, the mock behind,
//! and a recording wire on every leg.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use aegis_mock::DEFAULT_KEY;
use aegis_mock::Mock;
use aegis_mock::MockConfig;
use aegis_mock::MockHandle;
use aegis_mock::MockRoot;
use aegis_wire::session::legs;
use sha2::Digest as _;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::agent;
use crate::enclave::Enclave;
use crate::enclave::Image;
use crate::hostile::OuterTls;
use crate::program::Binary;
use crate::program::Program;
use crate::record::Leg;
use crate::record::Record;
use crate::relay;
use crate::relay::Target;
use crate::user::FILE_KEY;
use crate::user::KEY;
use crate::user::OTHER_KEY;
use crate::user::User;
use crate::world::MOCK_NAMES;

/// Tenant of [`KEY`].
pub const TENANT: &str = "tenant-of-the-first-key";
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
    _wires: JoinSet<()>,
    folder: TempDir,
}

impl Stack {
    /// Starts everything and waits until it is ready.
    pub async fn start() -> io::Result<Self> {
        Self::with_mock(|config| config).await
    }

    /// The same with another mock.
    pub async fn with_mock(change: impl FnOnce(MockConfig) -> MockConfig) -> io::Result<Self> {
        let folder = TempDir::new()?;
        let root = Arc::new(MockRoot::generate().map_err(io::Error::other)?);
        root.save(folder.path()).map_err(io::Error::other)?;
        let config = change(MockConfig::tls(root, &MOCK_NAMES));
        let mock = Mock::start(config).await.map_err(io::Error::other)?;
        let (record, mut wires) = (Record::new(), JoinSet::new());
        let (near, far) = (folder.path().join("legs"), folder.path().join("host/legs"));
        fs::create_dir_all(&near)?;
        fs::create_dir_all(&far)?;
        let unix = |wires: &mut JoinSet<()>, leg, name: &str, near: &Path, far: &Path| {
            relay::unix(wires, &record, leg, near.join(name), far.join(name))
        };
        unix(&mut wires, Leg::Control, legs::CONTROL_SOCKET, &near, &far)?;
        unix(&mut wires, Leg::Egress, legs::EGRESS_SOCKET, &near, &far)?;
        unix(&mut wires, Leg::Session, legs::SESSION_SOCKET, &far, &near)?;
        let upstream = Target::new(mock.addr());
        let dialled = relay::tcp(&mut wires, &record, Leg::Upstream, upstream.clone()).await?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let host_at = Target::new(nowhere);
        let front = relay::tcp(&mut wires, &record, Leg::Outer, host_at.clone()).await?;
        configure(folder.path(), dialled)?;
        let (enclave, host) = (None, None);
        let mut stack =
            Self { enclave, host, mock, record, front, host_at, upstream, _wires: wires, folder };
        stack.start_enclave(Image::Shipped).await?;
        stack.start_host().await?;
        Ok(stack)
    }

    /// Starts an enclave in the place of the last.
    pub async fn start_enclave(&mut self, image: Image<'_>) -> io::Result<()> {
        let folder = self.folder.path();
        let (legs, state) = (folder.join("legs"), folder.join("state"));
        let mock_root = folder.join(aegis_mock::ROOT_FILE);
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

    /// The lines of the ledger.
    pub fn ledger(&self) -> io::Result<Vec<serde_json::Value>> {
        let text = fs::read_to_string(self.host_folder().join("ledger.jsonl"))?;
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
        let root = self.folder.path().join("outer.pem");
        User::new(self.front, &root, enclave.trust()?, key)
    }

    /// Waits until a session can be had: the enclave's control channel must be up before the host
    /// opens tunnels.
    pub async fn ready(&self) -> io::Result<()> {
        let user = self.user(KEY)?;
        for _ in 0..600 {
            match user.session(aegis_client::Mode::Http2).await {
                Err(error) if error.is_away() => {}
                Err(error) => return Err(io::Error::other(error)),
                Ok(_) => return Ok(()),
            }
            // Nothing tells a client when a router is back; it asks again, as an agent does.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Err(io::Error::other("the host did not open a tunnel within 600 attempts"))
    }
}

fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["event"] == "ready").then(|| line["listen"].as_str()?.parse().ok()).flatten()
}

/// Writes everything that the host is started with.
fn configure(folder: &Path, upstream: SocketAddr) -> io::Result<()> {
    let host = folder.join("host");
    let outer = OuterTls::generate()?;
    fs::write(folder.join("outer.pem"), &outer.root_pem)?;
    fs::write(host.join("tls.pem"), &outer.chain_pem)?;
    fs::write(host.join("tls.key"), &outer.key_pem)?;
    fs::write(
        host.join("providers.table"),
        Program::output(Binary::Enclave, &["table".as_ref()])?,
    )?;
    let mut text =
        "listen = \"127.0.0.1:0\"\nledger = \"ledger.jsonl\"\ntable = \"providers.table\"\n\
        [tls]\ncertificate = \"tls.pem\"\nkey = \"tls.key\"\n\
        [[enclave]]\nname = \"rig\"\nrelease = 0\nunix = \"legs\"\n"
            .to_owned();
    for (name, tenant, key, rights) in [
        ("first", TENANT, KEY, ""),
        ("other", OTHER_TENANT, OTHER_KEY, ""),
        ("files", OTHER_TENANT, FILE_KEY, "classes = [\"generate\", \"file\"]\n"),
    ] {
        let digest = hex::encode(Sha256::digest(key));
        text += &format!(
            "[[key]]\nname = \"{name}\"\ntenant = \"{tenant}\"\nsha256 = \"{digest}\"\n{rights}"
        );
    }
    for (number, name) in (1..).zip(MOCK_NAMES) {
        let provider =
            format!("provider = \"{}-mock\"\n", name.split('.').next().unwrap_or_default());
        text +=
            &format!("[[account]]\nnumber = {number}\n{provider}credential = \"{DEFAULT_KEY}\"\n");
        text += &format!("[[dial]]\n{provider}address = \"{upstream}\"\n");
    }
    fs::write(host.join("host.toml"), text)
}
