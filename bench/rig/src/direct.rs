//! The way without Aegis: HTTP/2 over TLS straight to the mock, for comparison.

use std::io;
use std::sync::Arc;

use aegis_mock::MockHandle;
use aegis_mock::MockRoot;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection to the mock under its OpenAI name.
pub async fn connect(
    mock: &MockHandle,
    root: &MockRoot,
) -> io::Result<http2::SendRequest<Full<Bytes>>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.der().map_err(io::Error::other)?).map_err(io::Error::other)?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(crate::world::MOCK_NAMES[0]).map_err(io::Error::other)?;
    let stream = TcpStream::connect(mock.addr()).await?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let io = TokioIo::new(tls);
    let shake = http2::handshake(TokioExecutor::new(), io).await;
    let (sender, connection) = shake.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}
