//! Everything a run of the path needs, on 127.0.0.1 with made-up keys: mock provider, nginx, host
//! and enclave. All are release builds with their production TLS; the enclave's provider row is the
//! mock's, so what is measured is what ships but for the attester.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use aegis_client::OuterRoots;
use aegis_client::Release;
use aegis_client::Router;
use aegis_client::Trust;
use aegis_client::VirtualKey;
use aegis_verifier::ImageMeasurement;
use aegis_verifier::Pcr;
use aegis_verifier::RootFingerprint;
use aegis_verifier::TrustAnchor;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;
use tempfile::TempDir;

use crate::build;
use crate::child::Running;
use crate::nginx;

/// The name of the mock in the development table.
pub const NAME: &str = "openai.mock.aegis.test";
/// The mock's one right key.
pub const PROVIDER_KEY: &str = "sk-made-up-provider-key";
const VIRTUAL_KEY: &str = "aegis-vk-test-perf-1";
/// The variable of the key under which the host seals credentials.
const MASTER_KEY: &str = "AEGIS_PERF_MASTER_KEY";
/// The variable from which it reads the mock's key.
const CREDENTIAL: &str = "AEGIS_PERF_CREDENTIAL";

/// The programs of a run. They end when it is dropped.
pub struct Site {
    /// The provider.
    pub mock: SocketAddr,
    /// nginx in front of it, if it is installed.
    pub nginx: Option<(Running, SocketAddr)>,
    /// The router's untrusted half.
    pub host: Running,
    /// The router's trusted half.
    pub enclave: Running,
    /// Where the router is, for our client.
    pub router: Router,
    /// What our client believes.
    pub trust: Trust,
    /// Our client's key.
    pub key: VirtualKey,
    /// Roots of the plain arms: the mock's and nginx's.
    pub roots: Vec<PathBuf>,
    _mock: Running,
    _folder: TempDir,
}

impl Site {
    /// Starts everything; the mock puts `pace_ms` between two pieces of a streamed answer.
    pub fn start(pace_ms: u32) -> io::Result<Self> {
        let folder = TempDir::new()?;
        let at = folder.path();
        let programs = build::workspace_programs()?;
        let mut mock = Command::new(programs.join("aegis-mock"));
        mock.arg("--state").arg(at).args(["--name", NAME, "--exit-with-stdin"]);
        mock.args(["--key", PROVIDER_KEY, "--pace-ms", &pace_ms.to_string()]);
        let (mock_running, mock) = Running::ready(&mut mock, |line| {
            json(line)?["listening"].as_str()?.parse::<SocketAddr>().ok()
        })?;
        let mock_root = at.join("mock-root.pem");
        let outer = OuterTls::generate(at)?;
        let nginx = match nginx::program() {
            Some(program) => Some(nginx::start(&program, at, &outer.chain, &mock_root, mock)?),
            None => None,
        };
        let (enclave, host, ready, listen) = start_router(&programs, at, &outer, mock)?;
        let pcr = |name: &str| Pcr::from_hex(ready[name].as_str()?);
        let trust = || {
            let measurement =
                ImageMeasurement { pcr0: pcr("pcr0")?, pcr1: pcr("pcr1")?, pcr2: pcr("pcr2")? };
            let root = RootFingerprint::from_hex(ready["root_sha256"].as_str()?)?;
            let anchor = TrustAnchor::dangerous_development_root(root);
            Trust::new(anchor, &[Release { number: 0, measurement }]).ok()
        };
        let trust = trust().ok_or_else(|| io::Error::other(format!("the enclave says {ready}")))?;
        let router = Router::new(&format!("https://{listen}"), OuterRoots::File(&outer.root));
        Ok(Self {
            mock,
            nginx,
            host,
            enclave,
            router: router.map_err(io::Error::other)?.direct(),
            trust,
            key: VirtualKey::new(VIRTUAL_KEY).map_err(io::Error::other)?,
            roots: vec![mock_root, outer.root],
            _mock: mock_running,
            _folder: folder,
        })
    }
}

fn json(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

/// Enclave and host, what the enclave said when it was ready, and where the host listens.
fn start_router(
    programs: &Path,
    at: &Path,
    outer: &OuterTls,
    mock: SocketAddr,
) -> io::Result<(Running, Running, Value, SocketAddr)> {
    let enclave_program = programs.join("aegis-enclave-dev");
    let legs = at.join("legs");
    fs::create_dir_all(&legs)?;
    let mut enclave = Command::new(&enclave_program);
    enclave.arg("run").arg("--legs").arg(&legs).arg("--state").arg(at.join("state"));
    enclave.arg("--mock-root").arg(at.join("mock-root.pem")).arg("--exit-with-stdin");
    let (enclave, ready) =
        Running::ready(&mut enclave, |line| json(line).filter(|line| line["event"] == "ready"))?;
    fs::write(
        at.join("providers.table"),
        Command::new(&enclave_program).arg("table").output()?.stdout,
    )?;
    let [certificate, key] = [&outer.chain, &outer.key].map(|path| path.display().to_string());
    let config = format!(
        "listen = \"127.0.0.1:0\"\ntable = \"providers.table\"\n\
         [store]\nurl = \"sqlite:aegis.db\"\nmaster_key_env = \"{MASTER_KEY}\"\n\
         [tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n\
         [[enclave]]\nname = \"perf\"\nrelease = 0\nunix = \"legs\"\n\
         [[dial]]\nprovider = \"openai-mock\"\naddress = \"{mock}\"\n"
    );
    let file = at.join("host.toml");
    fs::write(&file, config)?;
    let program = programs.join("aegis-host");
    let of_host = || {
        let mut host = Command::new(&program);
        host.env(MASTER_KEY, "0f".repeat(32)).env(CREDENTIAL, PROVIDER_KEY);
        host
    };
    let digest = hex::encode(Sha256::digest(VIRTUAL_KEY));
    for line in [
        "tenant create perf".to_owned(),
        format!("key create perf --tenant perf --sha256 {digest}"),
        format!("account create 1 --provider openai-mock --credential-env {CREDENTIAL}"),
    ] {
        let entered = of_host().args(line.split(' ')).arg("--config").arg(&file).status()?;
        if !entered.success() {
            return Err(io::Error::other(format!("aegis-host {line}: {entered}")));
        }
    }
    let mut host = of_host();
    host.arg("run").arg("--config").arg(&file).arg("--exit-with-stdin");
    let (host, listen) = Running::ready(&mut host, |line| {
        let line = json(line).filter(|line| line["event"] == "ready")?;
        line["listen"].as_str()?.parse().ok()
    })?;
    Ok((enclave, host, ready, listen))
}

/// A root of this run and a certificate by it, for nginx and for the router's outer TLS.
pub struct OuterTls {
    /// The root, PEM.
    pub root: PathBuf,
    /// The certificate, PEM.
    pub chain: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl OuterTls {
    fn generate(folder: &Path) -> io::Result<Self> {
        let make = || -> Result<[String; 3], rcgen::Error> {
            let root_key = KeyPair::generate()?;
            let mut root = CertificateParams::new(Vec::new())?;
            root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let root_pem = root.self_signed(&root_key)?.pem();
            let issuer = Issuer::new(root, root_key);
            let key = KeyPair::generate()?;
            let names = [NAME, "127.0.0.1"].map(str::to_owned);
            let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
            Ok([root_pem, leaf.pem(), key.serialize_pem()])
        };
        let texts = make().map_err(io::Error::other)?;
        let [root, chain, key] =
            ["outer-root.pem", "outer.pem", "outer.key"].map(|name| folder.join(name));
        for (path, text) in [&root, &chain, &key].into_iter().zip(texts) {
            fs::write(path, text)?;
        }
        // The host refuses a key that others can read.
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(Self { root, chain, key })
    }
}
