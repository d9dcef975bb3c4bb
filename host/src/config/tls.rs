//! Outer TLS: 1.3 only, no tickets, no resumption, so that a key that was revoked cannot come back
//! through an old session.

use std::{path::Path, sync::Arc};

use rustls::{ServerConfig, crypto::aws_lc_rs, server::NoServerSessionStorage, version::TLS13};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{ConfigError, error, file};

/// The server side with that certificate and key.
pub(super) fn server(tls: &file::Tls, folder: &Path) -> Result<Arc<ServerConfig>, ConfigError> {
    let (certificate, key) = (folder.join(&tls.certificate), folder.join(&tls.key));
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&error::read_bytes(&certificate)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let next = "write the certificate chain in PEM, leaf first";
    let missing = || ConfigError::entry("[tls] certificate", "no PEM certificate in it", next);
    let chain = chain.ok_or_else(missing)?;
    let next = "write an unencrypted private key in PEM";
    let key = PrivateKeyDer::from_pem_slice(&error::read_bytes(&key)?)
        .map_err(|_| ConfigError::entry("[tls] key", "no PEM private key in it", next))?;
    let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&TLS13])
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(|error| {
            let next = "use a certificate and the private key that belongs to it";
            ConfigError::entry("[tls]", error.to_string(), next)
        })?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
