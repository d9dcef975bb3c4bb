//! The certificate authority of the mock and the certificates it issues.

use std::fs;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::MockError;

/// File name of the root certificate in a state folder.
pub const ROOT_FILE: &str = "mock-root.pem";
/// File name of the root's private key in a state folder.
pub const ROOT_KEY_FILE: &str = "mock-root.key.pem";

/// A root of trust made for tests; it signs the certificates that the mock presents.
#[derive(Debug)]
pub struct MockRoot {
    certificate_pem: String,
    key: KeyPair,
}

impl MockRoot {
    /// A new root with a new key.
    pub fn generate() -> Result<Self, MockError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Aegis mock provider root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { certificate_pem, key })
    }

    /// The root kept in `folder`; when there is none, a new one is made and kept there.
    pub fn load_or_generate(folder: &Path) -> Result<Self, MockError> {
        if folder.join(ROOT_FILE).exists() {
            return Self::load(folder);
        }
        let root = Self::generate()?;
        root.save(folder)?;
        Ok(root)
    }

    /// Reads the root that [`MockRoot::save`] wrote.
    pub fn load(folder: &Path) -> Result<Self, MockError> {
        let certificate_pem = read(&folder.join(ROOT_FILE))?;
        let key = KeyPair::from_pem(&read(&folder.join(ROOT_KEY_FILE))?)?;
        // Parsing now names the broken file now, not at the first handshake.
        Issuer::from_ca_cert_pem(&certificate_pem, &key)?;
        Ok(Self { certificate_pem, key })
    }

    /// Writes certificate and key (mode 0600) into `folder`, which is made when missing. The
    /// certificate comes last, so that a folder with a certificate is complete.
    pub fn save(&self, folder: &Path) -> Result<(), MockError> {
        fs::create_dir_all(folder).map_err(|error| file_error(folder, error))?;
        write(&folder.join(ROOT_KEY_FILE), &self.key.serialize_pem(), 0o600)?;
        write(&folder.join(ROOT_FILE), &self.certificate_pem, 0o644)
    }

    /// The root certificate.
    pub fn pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The root certificate in DER, for a client's trust anchors.
    pub fn der(&self) -> Result<CertificateDer<'static>, MockError> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .map_err(|_| MockError::RootUnreadable)
    }

    /// A server configuration with a fresh key and a certificate for `names`.
    pub fn server_config(
        &self,
        names: &[String],
        alpn: Vec<Vec<u8>>,
    ) -> Result<Arc<ServerConfig>, MockError> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, &self.key)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, "Aegis mock provider");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
        config.alpn_protocols = alpn;
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<String, MockError> {
    fs::read_to_string(path).map_err(|error| file_error(path, error))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), MockError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(path).map_err(|error| file_error(path, error))?;
    file.write_all(text.as_bytes()).map_err(|error| file_error(path, error))
}

fn file_error(path: &Path, source: io::Error) -> MockError {
    MockError::File { path: PathBuf::from(path), source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_saved_root_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let made = MockRoot::load_or_generate(folder.path()).unwrap();
        let found = MockRoot::load_or_generate(folder.path()).unwrap();
        assert_eq!(made.pem(), found.pem());
        let mode = fs::metadata(folder.path().join(ROOT_KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_missing_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        MockRoot::load_or_generate(folder.path()).unwrap();
        fs::remove_file(folder.path().join(ROOT_KEY_FILE)).unwrap();
        let error = MockRoot::load_or_generate(folder.path()).unwrap_err();
        assert!(error.to_string().contains(ROOT_KEY_FILE), "{error}");
    }
}
