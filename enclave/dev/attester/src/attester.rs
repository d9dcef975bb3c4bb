//! The attester itself: a root on disk, a chain below it, documents.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use sha2::Digest;
use sha2::Sha256;

use crate::forge::CertificateSpec;
use crate::forge::ChainSpec;
use crate::forge::DocumentSpec;
use crate::forge::IssuedCertificate;
use crate::forge::IssuedChain;
use crate::forge::ROOT_VALIDITY_SECS;
use crate::measure::PcrBank;

/// The most bytes of each optional field, as the NSM has it.
const MAX_FIELD_BYTES: usize = 1024;

/// The kinds of PEM blocks in the state folder.
const PRIVATE_KEY: &str = "PRIVATE KEY";
const CERTIFICATE: &str = "CERTIFICATE";

/// A new chain is issued when the leaf has less than this left.
const RENEW_BEFORE_SECS: u64 = 300;

/// What an enclave asks to be in its document.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttestRequest<'a> {
    /// 1 to 1024 bytes.
    pub public_key: Option<&'a [u8]>,
    /// At most 1024 bytes.
    pub user_data: Option<&'a [u8]>,
    /// At most 1024 bytes.
    pub nonce: Option<&'a [u8]>,
}

/// Why there is no attester, or no document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttesterError {
    /// The state folder or a file in it cannot be used.
    #[error("{path} of the development root cannot be used: {source}")]
    State {
        /// What was read or written.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The key file can be read by others.
    #[error("{path} holds the development root's key and has mode {mode:o}; run chmod 600 on it")]
    KeyReadable {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file of the state folder has something else in it.
    #[error("{path} is not what this program wrote; move the folder away to get a new root")]
    Corrupt {
        /// Which file.
        path: PathBuf,
    },
    /// A time at which the root itself is not valid.
    #[error(
        "it is {now_secs} s after 1970, outside the development root's validity; set the clock"
    )]
    Clock {
        /// The time given.
        now_secs: u64,
    },
    /// A field that no NSM would put in a document.
    #[error("{field} has {found_bytes} bytes, the NSM takes at most 1024 and no empty public_key")]
    FieldLength {
        /// Which field.
        field: &'static str,
        /// Its length.
        found_bytes: usize,
    },
}

/// Makes documents like the Nitro hypervisor's, under a root of its own.
pub struct DevelopmentAttester {
    root: IssuedCertificate,
    /// The certificates below the root, made for the first document and again when they run out.
    issued: Mutex<Option<Issued>>,
}

struct Issued {
    chain: IssuedChain,
    module_id: String,
    /// The leaf's validity, seconds since the epoch.
    valid_secs: std::ops::Range<u64>,
}

impl DevelopmentAttester {
    /// The attester whose root is in `folder`; the first time, a new root is made there.
    ///
    /// `root.key.pem` (mode 0600) holds key and certificate; `root.der` and `root.pem` are copies
    /// of the certificate for whoever wants its fingerprint. Several processes may start at once
    /// with one folder: all get the same root.
    pub fn open_or_create(folder: &Path) -> Result<Self, AttesterError> {
        let path = folder.join("root.key.pem");
        if !path.exists() {
            fs::create_dir_all(folder).map_err(state(folder))?;
            create_root(&path)?;
        }
        let root = load_root(&path)?;
        let certificate = pem::encode(&pem::Pem::new(CERTIFICATE, root.der()));
        write_copy(&folder.join("root.der"), root.der())?;
        write_copy(&folder.join("root.pem"), certificate.as_bytes())?;
        Ok(Self { root, issued: Mutex::new(None) })
    }

    /// The attester whose `root.key.pem` has this content: of an image that has no state folder.
    pub fn from_pem(text: &[u8]) -> Result<Self, AttesterError> {
        let root = parse_root(text).ok_or_else(|| AttesterError::Corrupt { path: "PEM".into() })?;
        Ok(Self { root, issued: Mutex::new(None) })
    }

    /// An attester whose root nobody else has, kept nowhere.
    pub fn ephemeral() -> Self {
        Self { root: CertificateSpec::development_root().issue(None), issued: Mutex::new(None) }
    }

    /// The root certificate.
    pub fn root_der(&self) -> &[u8] {
        self.root.der()
    }

    /// SHA-256 of the root certificate: what a client names to accept it.
    pub fn root_fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.root.der()).into()
    }

    /// A document with these PCRs and fields, made at `now_ms` milliseconds since the epoch.
    pub fn attest(
        &self,
        pcrs: &PcrBank,
        request: &AttestRequest<'_>,
        now_ms: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        let AttestRequest { public_key, user_data, nonce } = *request;
        check_field("public_key", public_key, 1)?;
        check_field("user_data", user_data, 0)?;
        check_field("nonce", nonce, 0)?;

        let now_secs = now_ms / 1000;
        if !ROOT_VALIDITY_SECS.contains(&now_secs) {
            return Err(AttesterError::Clock { now_secs });
        }

        // A panic while this lock is held leaves a chain that is whole or none at all.
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = match issued.take() {
            Some(current) if current.valid_secs.contains(&now_secs) => issued.insert(current),
            _ => issued.insert(Issued::new(&self.root, now_secs)),
        };
        let mut document = DocumentSpec::like_aws(&issued.chain, now_ms);
        document.set_module_id(&issued.module_id);
        document.set_pcrs(pcrs.iter().map(<[u8; 48]>::as_slice));
        document.set_public_key(public_key);
        document.set_user_data(user_data);
        document.set_nonce(nonce);
        Ok(document.sign(&issued.chain).encode())
    }
}

impl std::fmt::Debug for DevelopmentAttester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevelopmentAttester").finish_non_exhaustive()
    }
}

impl Issued {
    fn new(root: &IssuedCertificate, now_secs: u64) -> Self {
        let spec = ChainSpec::like_aws(now_secs);
        let leaf = spec.leaf();
        Self {
            valid_secs: leaf.not_before_secs..leaf.not_after_secs - RENEW_BEFORE_SECS,
            module_id: spec.module_id().to_owned(),
            chain: spec.issue_under(root),
        }
    }
}

fn check_field(
    field: &'static str,
    value: Option<&[u8]>,
    min_bytes: usize,
) -> Result<(), AttesterError> {
    match value.map(<[u8]>::len) {
        Some(found_bytes) if !(min_bytes..=MAX_FIELD_BYTES).contains(&found_bytes) => {
            Err(AttesterError::FieldLength { field, found_bytes })
        }
        _ => Ok(()),
    }
}

/// Makes a root and puts it at `path`, unless another process has put one there.
fn create_root(path: &Path) -> Result<(), AttesterError> {
    let root = CertificateSpec::development_root().issue(None);
    let blocks =
        [pem::Pem::new(PRIVATE_KEY, root.key_pkcs8()), pem::Pem::new(CERTIFICATE, root.der())];
    let temporary = write_beside(path, pem::encode_many(&blocks).as_bytes(), 0o600)?;
    // Unlike a rename, a link never replaces what is there: the first one wins.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).map_err(state(&temporary))?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(state(path)(error)),
        _ => Ok(()),
    }
}

fn load_root(path: &Path) -> Result<IssuedCertificate, AttesterError> {
    let mode = fs::metadata(path).map_err(state(path))?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(AttesterError::KeyReadable { path: path.to_owned(), mode });
    }
    let text = fs::read(path).map_err(state(path))?;
    parse_root(&text).ok_or_else(|| AttesterError::Corrupt { path: path.to_owned() })
}

fn parse_root(text: &[u8]) -> Option<IssuedCertificate> {
    let blocks = pem::parse_many(text).ok()?;
    let [key, certificate] = blocks.as_slice() else { return None };
    if (key.tag(), certificate.tag()) != (PRIVATE_KEY, CERTIFICATE) {
        return None;
    }
    let spec = CertificateSpec::development_root();
    IssuedCertificate::restore(spec, certificate.contents(), key.contents())
}

/// Writes a public copy, if it is not there already.
fn write_copy(path: &Path, content: &[u8]) -> Result<(), AttesterError> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let temporary = write_beside(path, content, 0o644)?;
    fs::rename(&temporary, path).map_err(state(path))
}

/// Writes a new file beside `path`, under a name that no other thread of any process uses.
fn write_beside(path: &Path, content: &[u8], mode: u32) -> Result<PathBuf, AttesterError> {
    let mut temporary = path.as_os_str().to_owned();
    let thread = std::thread::current().id();
    temporary.push(format!(".{}.{thread:?}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(&temporary).map_err(state(&temporary))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(state(&temporary))?;
    Ok(temporary)
}

fn state(path: &Path) -> impl FnOnce(io::Error) -> AttesterError {
    let path = path.to_owned();
    move |source| AttesterError::State { path, source }
}
