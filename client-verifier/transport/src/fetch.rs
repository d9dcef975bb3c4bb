//! The list of releases that a router serves at `/.well-known/aegis/releases`: bytes, believed no
//! more than those of a file.

use aegis_releases::limits::BUNDLE_BYTES;
use aegis_wire::limits;
use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::{
    Error, Router,
    error::Stage,
    tunnel::{dial, ended, outer_tls},
};

/// Where it is (DESIGN, section 4).
const PATH: &str = "/.well-known/aegis/releases";

/// Asks the router for its list. No key is sent.
pub(crate) async fn releases(router: &Router) -> Result<Vec<u8>, Error> {
    let tcp = dial(router).await?;
    let stream = outer_tls(router, tcp).await?;
    let lost = || ended(router.place(), Stage::Releases);
    let asked = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::get(PATH)
            .header(header::HOST, router.place())
            .body(Empty::<Bytes>::new())
            // Name and port of a URL that was parsed.
            .expect("a place makes a request");
        let answered = sender.send_request(request).await?;
        let read = read(answered).await;
        connection.abort();
        read
    };
    match timeout(limits::HANDSHAKE, asked).await {
        Ok(Ok(Ok(list))) => Ok(list),
        Ok(Ok(Err(reason))) => Err(Error::NoReleaseList { reason }),
        Ok(Err(_)) | Err(_) => Err(lost()),
    }
}

/// The body, or what is wrong with the answer.
async fn read(answered: http::Response<Incoming>) -> hyper::Result<Result<Vec<u8>, String>> {
    let (head, mut body) = answered.into_parts();
    if head.status != StatusCode::OK {
        return Ok(Err(format!("it answered {}", head.status)));
    }
    let mut list = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            list.extend_from_slice(data);
        }
        if list.len() > BUNDLE_BYTES {
            return Ok(Err("it sent more than any list has".to_owned()));
        }
    }
    Ok(Ok(list.into()))
}
