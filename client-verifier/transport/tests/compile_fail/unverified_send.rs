use aegis_client::{Tunnel, Unverified};
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;

async fn early(tunnel: Tunnel, unverified: Unverified) {
    let _ = tunnel.send(Request::new(Empty::<Bytes>::new())).await;
    let _ = unverified.send(Request::new(Empty::<Bytes>::new())).await;
}

fn main() {}
