//! HTTP at the far end: an echo, and streams that break.

use std::{convert::Infallible, io};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Notify;

use super::{InnerStream, Then};

/// One stream at a time waits for this in each test program.
static BREAK: Notify = Notify::const_new();

type Body = UnsyncBoxBody<Bytes, io::Error>;

pub async fn serve(inner: InnerStream, then: Then, session: usize) -> io::Result<()> {
    let served = match then {
        Then::Record => return Ok(()),
        Then::ResetFirst(reason) if session == 0 => return reset_first(inner, reason).await,
        Then::Http1 => {
            http1::Builder::new().serve_connection(TokioIo::new(inner), service_fn(answer)).await
        }
        Then::Http2 | Then::ResetFirst(_) => {
            http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(inner), service_fn(answer))
                .await
        }
    };
    served.map_err(io::Error::other)
}

/// `/broken` breaks after a chunk when `/break` is asked for, `/stalled` says nothing after a chunk, `/headers` tells what arrived, `/redirect` sends to the address
/// in the query, anything else comes back: body, path, host and custody.
async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/broken" {
        let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"first")))]);
        let broken = stream::once(async {
            BREAK.notified().await;
            Err(io::Error::other("the provider's stream broke"))
        });
        let body = StreamBody::new(first.chain(broken));
        return Ok(Response::new(body.boxed_unsync()));
    }
    if request.uri().path() == "/stalled" {
        let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"first")))]);
        return Ok(Response::new(StreamBody::new(first.chain(stream::pending())).boxed_unsync()));
    }
    if request.uri().path() == "/break" {
        BREAK.notify_one();
    }
    if request.uri().path() == "/headers" {
        let lines = request.headers().iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        return Ok(Response::new(whole(lines.collect::<String>())));
    }
    if request.uri().path() == "/redirect" {
        let response = Response::builder().status(307);
        let to = request.uri().query().unwrap().to_owned();
        let response = response.header("location", to).header("access-control-allow-origin", "*");
        return Ok(response.body(whole("moved")).unwrap());
    }
    let header = |name| request.headers().get(name).cloned();
    let mut response = Response::builder().header("x-target", request.uri().to_string());
    for (name, value) in [("x-host", header("host")), ("x-custody", header("aegis-custody"))] {
        if let Some(value) = value {
            response = response.header(name, value);
        }
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(response.body(whole(body)).unwrap())
}

fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

async fn reset_first(inner: InnerStream, reason: h2::Reason) -> io::Result<()> {
    let mut connection = h2::server::handshake(inner).await.map_err(io::Error::other)?;
    while let Some(stream) = connection.accept().await {
        let (_request, mut respond) = stream.map_err(io::Error::other)?;
        respond.send_reset(reason);
    }
    Ok(())
}
