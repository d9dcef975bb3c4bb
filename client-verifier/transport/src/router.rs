//! Where the router is and by which roots its outer certificate is judged.
//!
//! The outer TLS protects the virtual key on its way to the operator; what is in a request is
//! protected by the inner one, against the operator too.

use std::{path::Path, sync::Arc};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};

use crate::{ConfigError, inner};

/// The authorities that may vouch for the host.
#[derive(Debug, Clone, Copy)]
pub enum OuterRoots<'a> {
    /// The public web's.
    Web,
    /// Those of a PEM file, and no others.
    File(&'a Path),
}

/// A router's address with everything needed to dial it.
#[derive(Clone)]
pub struct Router {
    pub(crate) uri: Uri,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) name: ServerName<'static>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) proxies: Arc<Matcher>,
}

impl Router {
    /// A router by URL: `https://NAME[:PORT]`. `HTTPS_PROXY` and `NO_PROXY` are read here.
    pub fn new(url: &str, roots: OuterRoots<'_>) -> Result<Self, ConfigError> {
        let bad = |reason| ConfigError::RouterUrl { url: url.to_owned(), reason };
        let uri: Uri = url.parse().map_err(|_| bad("it is not a URL"))?;
        let (Some("https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(bad("it does not begin with https://"));
        };
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(bad("it has more than a name and a port"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| bad("its name is no name"))?;
        Ok(Self {
            port: authority.port_u16().unwrap_or(443),
            tls: Arc::new(tls(load(roots)?)?),
            proxies: Arc::new(Matcher::from_env()),
            uri,
            host,
            name,
        })
    }

    /// The same, dialled directly whatever the environment says: for a router on this machine.
    pub fn direct(mut self) -> Self {
        self.proxies = Arc::new(Matcher::builder().build());
        self
    }

    /// Name and port, as messages show them.
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn load(roots: OuterRoots<'_>) -> Result<RootCertStore, ConfigError> {
    let mut store = RootCertStore::empty();
    let OuterRoots::File(path) = roots else {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(store);
    };
    let pem = std::fs::read(path).map_err(|e| ConfigError::RouterRootsFile {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    let bad = |reason: String| ConfigError::RouterRoots { path: path.to_owned(), reason };
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| bad(e.to_string()))?;
        store.add(certificate).map_err(|e| bad(e.to_string()))?;
    }
    if store.is_empty() {
        return Err(bad("it holds no certificate".to_owned()));
    }
    Ok(store)
}

fn tls(roots: RootCertStore) -> Result<ClientConfig, ConfigError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(inner::provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| ConfigError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_router_is_named_by_host_and_port() {
        let router = Router::new("https://router.example", OuterRoots::Web).unwrap();
        assert_eq!(router.place(), "router.example:443");
        let router = Router::new("https://[::1]:8443", OuterRoots::Web).unwrap();
        assert_eq!((router.host.as_str(), router.port), ("::1", 8443));
    }

    #[test]
    fn what_is_no_router_url_is_refused() {
        for url in [
            "",
            "router.example",
            "http://router.example",
            "https://router.example/v1",
            "https://router.example/?a",
            "https://user@router.example",
        ] {
            assert!(Router::new(url, OuterRoots::Web).is_err(), "{url}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Router::new("https://r.example", OuterRoots::File(file.path())).err().unwrap();
        assert!(error.to_string().contains("no certificate"), "{error}");
    }
}
