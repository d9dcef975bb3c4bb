//! HTTP CONNECT as a client, over any stream: for the router and for a proxy on the way to it.

use bytes::Bytes;
use http::{HeaderMap, Request, response};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Largest head of an answer: ours has three short headers, a proxy's may have more.
const HEAD_BYTES: usize = 16 * 1024;

/// What came of a CONNECT.
pub(crate) enum Connected<T> {
    /// 2xx: the stream is the tunnel from here on.
    Open(T),
    /// Anything else; a body is not read.
    Refused(response::Parts),
}

/// Asks for a tunnel to `authority`.
pub(crate) async fn connect<T>(
    stream: T,
    authority: &str,
    headers: HeaderMap,
) -> Result<Connected<T>, hyper::Error>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::connect(authority)
        .header(http::header::HOST, authority)
        .body(Empty::<Bytes>::new())
        // Callers pass an authority that they have parsed or a constant.
        .expect("an authority makes a CONNECT request");
    request.headers_mut().extend(headers);
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Ok(Connected::Refused(response.into_parts().0));
    }
    let upgraded = hyper::upgrade::on(response).await?;
    // The type is the one given to the handshake above.
    let parts = upgraded.downcast::<TokioIo<T>>().expect("the stream is the one handed in");
    // Behind a tunnel nobody speaks before the client does: such bytes belong to no protocol of
    // ours, and dropping them makes the TLS handshake that follows fail.
    Ok(Connected::Open(parts.io.into_inner()))
}
