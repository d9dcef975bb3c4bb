//! TLS as a plaintext router speaks it towards providers, and as an agent speaks it towards one.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;

/// A client that trusts this root.
pub(crate) fn client(root: &CertificateDer<'static>, alpn: &[&[u8]]) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).map_err(io::Error::other)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|token| token.to_vec()).collect();
    Ok(config)
}
