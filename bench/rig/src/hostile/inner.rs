//! Inner TLS as the adversary speaks it: towards the enclave as a client that checks nothing,
//! towards a client as an enclave that it is not.

use std::io;
use std::sync::Arc;

use aegis_wire::binding;
use aegis_wire::binding::Exporter;
use aegis_wire::session;
use aegis_wire::session::Evidence;
use aegis_wire::session::Mode;
use aegis_wire::session::Opening;
use rcgen::CertificateParams;
use rcgen::KeyPair;
use rcgen::PublicKeyData as _;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::TlsConnector;
use tokio_rustls::client;
use tokio_rustls::server;

/// A certificate and a key to present to a client.
pub struct Impostor {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Impostor {
    /// A self-signed certificate with a key of its own, shaped like an enclave's.
    pub fn generate() -> io::Result<Self> {
        let key = generate()?;
        let params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?.der().clone();
        Ok(Self { certificate, key })
    }

    /// Somebody else's certificate with a key that is not its own.
    pub fn with_stolen(certificate: CertificateDer<'static>) -> io::Result<Self> {
        Ok(Self { certificate, key: generate()? })
    }

    /// SubjectPublicKeyInfo of its key.
    pub fn spki(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    fn server_config(&self) -> io::Result<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let provider = aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key).map_err(io::Error::other)?;
        // Not `from_der`, which would refuse a key that is not the certificate's.
        let pair = CertifiedKey::new(vec![self.certificate.clone()], key);
        let resolver = Arc::new(SingleCertAndKey::from(pair));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![session::ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

fn generate() -> io::Result<KeyPair> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)
}

/// Takes a client's inner handshake in the enclave's place.
pub async fn accept_as<S>(impostor: &Impostor, client: S) -> io::Result<server::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    TlsAcceptor::from(Arc::new(impostor.server_config()?)).accept(client).await
}

/// Reads a client's opening.
pub async fn read_opening(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Opening> {
    let mut frame = [0; Opening::LEN];
    stream.read_exact(&mut frame).await?;
    Opening::decode(&frame).map_err(io::Error::other)
}

/// An inner session with an enclave, by somebody who verifies nothing.
pub struct Peer<S> {
    /// The session.
    pub tls: client::TlsStream<S>,
}

/// Shakes hands with an enclave without any check.
pub async fn connect_unverified<S>(enclave: S) -> io::Result<Peer<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NoCheck))
        .with_no_client_auth();
    config.alpn_protocols = vec![session::ALPN.to_vec()];
    config.enable_sni = false;
    let name = ServerName::try_from(super::OUTER_NAME).map_err(io::Error::other)?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, enclave).await?;
    Ok(Peer { tls })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// The certificate that the enclave presented.
    pub fn certificate(&self) -> io::Result<CertificateDer<'static>> {
        let (_, tls) = self.tls.get_ref();
        let chain = tls.peer_certificates().unwrap_or_default();
        let leaf = chain.first().ok_or_else(|| io::Error::other("no certificate"))?;
        Ok(leaf.clone().into_owned())
    }

    /// Asks for evidence with this opening.
    pub async fn evidence(&mut self, opening: &Opening) -> io::Result<Evidence> {
        self.tls.write_all(&opening.encode()).await?;
        self.tls.flush().await?;
        let mut held = Vec::new();
        loop {
            if let Some((evidence, _)) = Evidence::decode(&held).map_err(io::Error::other)? {
                return Ok(evidence);
            }
            if self.tls.read_buf(&mut held).await? == 0 {
                return Err(io::Error::other("the enclave closed before its evidence"));
            }
        }
    }
}

/// Somebody who has an attester of an accepted root at hand, and so can lie in one field only.
/// What an honest enclave would put into each field, for this session and this opening:
pub struct Insider {
    /// `public_key`
    pub public_key: Vec<u8>,
    /// `user_data`
    pub user_data: [u8; 48],
    /// `nonce`
    pub nonce: [u8; 48],
    /// The opening that the client sent.
    pub opening: Opening,
    /// Keying material exported from this very session.
    pub exporter: Exporter,
}

impl Insider {
    /// Reads the client's opening from a session accepted as `impostor` and works the fields out.
    pub async fn honest<S>(
        impostor: &Impostor,
        tls: &mut server::TlsStream<S>,
        receipt_key: &[u8],
    ) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let opening = read_opening(tls).await?;
        let (_, connection) = tls.get_ref();
        let exporter = connection
            .export_keying_material([0; 32], binding::EXPORTER_LABEL, Some(&opening.nonce))
            .map(Exporter)
            .map_err(io::Error::other)?;
        let public_key = impostor.spki();
        let spki = binding::Spki(&public_key);
        let nonce = binding::nonce(&opening.encode(), spki, &exporter);
        let user_data = binding::user_data(binding::Spki(receipt_key));
        Ok(Self { public_key, user_data, nonce, opening, exporter })
    }
}

/// An opening of the adversary's own.
pub fn opening(mode: Mode, nonce: [u8; 32]) -> Opening {
    Opening { mode, padding: false, nonce }
}

/// Accepts every certificate and every signature.
#[derive(Debug)]
struct NoCheck;

impl ServerCertVerifier for NoCheck {
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
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
