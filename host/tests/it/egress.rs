//! The egress leg: only indexes, only addresses of the table, a typed byte for each outcome.

use aegis_wire::session::Egress;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::rig::{Rig, Setup, TABLE, carries, soon};

/// A host that dials that address for the provider of index 0.
async fn dialling(address: &str) -> Rig {
    let mut setup = Setup::new();
    setup.tail = format!("[[dial]]\nprovider = \"openai\"\naddress = \"{address}\"");
    setup.start().await
}

async fn answer(rig: &Rig, frame: &[u8]) -> Option<u8> {
    let mut leg = rig.enclave.egress(frame).await;
    soon(leg.read_u8()).await.ok()
}

#[tokio::test]
async fn a_provider_is_dialled_and_carried() {
    let provider = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut rig = dialling(&provider.local_addr().unwrap().to_string()).await;
    let mut leg = rig.enclave.egress(&Egress(0).encode()).await;
    let (mut upstream, _) = soon(provider.accept()).await.unwrap();
    assert_eq!(soon(leg.read_u8()).await.unwrap(), 0);
    let sealed: Vec<u8> = (0..200_000u32).map(|i| (i % 241) as u8).collect();
    carries(&mut leg, &mut upstream, &sealed).await;
    carries(&mut upstream, &mut leg, b"answer").await;
    leg.shutdown().await.unwrap();
    assert_eq!(soon(upstream.read(&mut [0; 1])).await.unwrap(), 0);
    drop(upstream);
    assert_eq!(soon(leg.read(&mut [0; 1])).await.unwrap(), 0);
    let shown = json!({
        "provider": "openai", "outcome": "connected",
        "bytes_to_provider": 200_000, "bytes_from_provider": 6,
    });
    assert_eq!(rig.event_of("egress").await, shown);
}

#[tokio::test]
async fn a_refused_connection_is_told() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let mut rig = dialling(&address).await;
    assert_eq!(answer(&rig, &Egress(0).encode()).await, Some(2));
    assert_eq!(rig.event_of("egress").await["outcome"], "refused");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told() {
    let rig = dialling("no-such-name.invalid:443").await;
    assert_eq!(answer(&rig, &Egress(0).encode()).await, Some(1));
}

#[tokio::test]
async fn an_index_beyond_the_table_is_not_served() {
    let rig = Setup::new().start().await;
    let rows = TABLE.lines().filter(|line| line.starts_with("provider ")).count() as u16;
    for index in [rows, rows + 1, 999, u16::MAX] {
        assert_eq!(answer(&rig, &Egress(index).encode()).await, Some(5), "{index}");
    }
}

#[tokio::test]
async fn anything_but_the_frame_is_closed_unanswered_and_undialled() {
    let provider = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = dialling(&provider.local_addr().unwrap().to_string()).await;
    let whole = Egress(0).encode();
    for bit in 0..48 {
        let mut frame = whole;
        frame[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(answer(&rig, &frame).await, None, "bit {bit}");
    }
    let connect = b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n";
    assert_eq!(answer(&rig, connect).await, None);
    // The only connection that the provider ever sees is the one of the valid frame.
    let mut leg = rig.enclave.egress(&whole).await;
    let (mut first, _) = soon(provider.accept()).await.unwrap();
    assert_eq!(soon(leg.read_u8()).await.unwrap(), 0);
    carries(&mut leg, &mut first, b"the valid one").await;
}

#[tokio::test]
async fn a_leg_without_a_whole_request_is_closed() {
    let rig = Setup::new().start().await;
    // Time stands still from here and jumps to the next deadline when everybody waits.
    tokio::time::pause();
    for len in [0, 7] {
        assert_eq!(answer(&rig, &Egress(0).encode()[..len]).await, None, "{len} bytes");
    }
}
