//! Everything that a host of a test is started with: configuration, outer certificate, store.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use aegis_mock::DEFAULT_KEY;
use sha2::Digest as _;
use sha2::Sha256;

use crate::hostile::OuterTls;
use crate::program::Binary;
use crate::program::Program;
use crate::stack::OTHER_TENANT;
use crate::stack::RELEASES_FILE;
use crate::stack::TENANT;
use crate::user::FILE_KEY;
use crate::user::KEY;
use crate::user::OTHER_KEY;

/// Seals the made-up credentials of all tests, so that one prepared store serves them.
const MASTER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What differs between the hosts of two tests.
pub(crate) struct Site<'a> {
    /// The entry that says how the enclave is reached.
    pub(crate) leg: &'a str,
    /// What the host says of its enclave.
    pub(crate) release: u32,
    /// The provider table.
    pub(crate) table: &'a [u8],
    /// DNS names of the mocks, which get an account each.
    pub(crate) mocks: &'a [&'a str],
    /// Where the mocks are.
    pub(crate) upstream: SocketAddr,
}

/// Writes it into the folder `host` of `folder`, and the authority of the outer certificate beside.
pub(crate) fn write(folder: &Path, site: Site<'_>) -> io::Result<()> {
    let Site { leg, release, table, mocks, upstream } = site;
    let host = folder.join("host");
    let outer = OuterTls::generate()?;
    fs::write(folder.join("outer.pem"), &outer.root_pem)?;
    fs::write(host.join("tls.pem"), &outer.chain_pem)?;
    fs::write(host.join("tls.key"), &outer.key_pem)?;
    fs::write(host.join("providers.table"), table)?;
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\ntable = \"providers.table\"\nreleases = \"{RELEASES_FILE}\"\n\
         [store]\nurl = \"sqlite:aegis.db\"\nmaster_key_file = \"master.key\"\n\
         [tls]\ncertificate = \"tls.pem\"\nkey = \"tls.key\"\n\
         [[enclave]]\nname = \"rig\"\nrelease = {release}\n{leg}\n"
    );
    for name in mocks {
        let provider = mock_row(name);
        text += &format!("[[dial]]\nprovider = \"{provider}\"\naddress = \"{upstream}\"\n");
    }
    fs::write(host.join("host.toml"), text)?;
    fs::write(host.join("master.key"), MASTER_KEY)?;
    match mocks {
        // A production table has other providers than those of the store that tests share.
        [] => prepare(&host, mocks),
        _ => fs::write(host.join("aegis.db"), prepared(&host, mocks)?),
    }
}

/// The provider of a mock's DNS name in the development table.
fn mock_row(name: &str) -> String {
    format!("{}-mock", name.split('.').next().unwrap_or_default())
}

/// A store with both tenants and an account for each mock, made once for all hosts of a process.
fn prepared(host: &Path, mocks: &[&str]) -> io::Result<Vec<u8>> {
    static STORE: Mutex<Option<Vec<u8>>> = Mutex::new(None);
    let mut store = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(store) = store.as_ref() {
        return Ok(store.clone());
    }
    prepare(host, mocks)?;
    let made = fs::read(host.join("aegis.db"))?;
    *store = Some(made.clone());
    Ok(made)
}

/// The host's own commands make the store that its configuration names.
fn prepare(host: &Path, mocks: &[&str]) -> io::Result<()> {
    let mut lines = Vec::new();
    for (name, tenant, key, rights) in [
        ("first", TENANT, KEY, ""),
        ("other", OTHER_TENANT, OTHER_KEY, ""),
        ("files", OTHER_TENANT, FILE_KEY, " --class generate --class file"),
    ] {
        let digest = hex::encode(Sha256::digest(key));
        lines.push(format!("tenant create {tenant} --exists-ok"));
        lines.push(format!("key create {name} --tenant {tenant} --sha256 {digest}{rights}"));
    }
    let credential = host.join("credential");
    fs::write(&credential, DEFAULT_KEY)?;
    for (number, name) in (1..).zip(mocks) {
        let (provider, credential) = (mock_row(name), credential.display());
        lines.push(format!(
            "account create {number} --provider {provider} --credential-file {credential}"
        ));
    }
    let config = host.join("host.toml");
    for line in lines {
        let words = line.split(' ').chain(["--config"]).map(OsStr::new);
        let words: Vec<&OsStr> = words.chain([config.as_os_str()]).collect();
        Program::output(Binary::Host, &words)?;
    }
    fs::remove_file(credential)
}
