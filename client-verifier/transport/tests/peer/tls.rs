//! Keys and certificates of a peer, honest ones and others.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::{default_provider, sign::any_supported_type},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

use super::ca_file;

/// A certificate with a key: the one in it, or another.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub spki: Vec<u8>,
    key: Vec<u8>,
    /// The ALPN token it agrees to; none: it knows nothing of ALPN.
    pub alpn: Option<&'static [u8]>,
}

impl Identity {
    pub fn p256() -> Self {
        Self::of(&KeyPair::generate().unwrap())
    }

    pub fn p384() -> Self {
        Self::of(&KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap())
    }

    fn of(key: &KeyPair) -> Self {
        let certificate = CertificateParams::default().self_signed(key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            spki: key.subject_public_key_info(),
            key: key.serialize_der(),
            alpn: Some(b"aegis/1"),
        }
    }

    /// This certificate, held by somebody who lacks its key.
    pub fn without_its_key(&self) -> Self {
        Self { key: KeyPair::generate().unwrap().serialize_der(), ..self.clone() }
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        let key = PrivatePkcs8KeyDer::from(self.key.clone()).into();
        let key = any_supported_type(&key).unwrap();
        let certified = CertifiedKey::new(vec![self.certificate.clone()], key);
        let mut config = tls13().with_cert_resolver(Arc::new(Always(Arc::new(certified))));
        config.alpn_protocols = self.alpn.iter().map(|token| token.to_vec()).collect();
        config.send_tls13_tickets = 0;
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Presents one certificate, without looking whether the key is its own.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        assert_eq!(hello.server_name(), None, "the inner hello names nobody");
        Some(Arc::clone(&self.0))
    }
}

/// The host's certificate and the authority that vouches for it.
pub struct Outer {
    pub ca: NamedTempFile,
    config: Arc<ServerConfig>,
}

impl Outer {
    pub fn new() -> Self {
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = ca_file(&ca.self_signed(&ca_key).unwrap().pem());
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = tls13().with_single_cert(vec![leaf.der().clone()], key).unwrap();
        Self { ca: authority, config: Arc::new(config) }
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

fn tls13() -> rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert> {
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
}
