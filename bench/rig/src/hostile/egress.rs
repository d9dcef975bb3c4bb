//! The adversary's end of the egress leg.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use aegis_wire::session::Egress;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::net::UnixStream;

use super::Seen;
use super::Shared;
use super::session::copy_both;
use crate::record::Leg;

/// What the adversary does when the enclave asks for a provider.
#[derive(Clone, Debug)]
pub enum Dial {
    /// Connects there, says so, and splices.
    To(SocketAddr),
    /// Writes these bytes, then reads until the enclave closes.
    Answer(Vec<u8>),
    /// Writes these bytes and closes.
    AnswerAndClose(Vec<u8>),
    /// Says nothing and keeps the connection open until the enclave closes it.
    Silent,
}

pub(super) async fn serve(shared: Arc<Shared>, listener: UnixListener) {
    let mut legs = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        legs.spawn(async move {
            // What the enclave makes of the end of a leg is what tests look at.
            let _ = leg(&shared, stream).await;
        });
    }
}

async fn leg(shared: &Shared, stream: UnixStream) -> io::Result<()> {
    let mut enclave = shared.record.tap(Leg::Egress, stream);
    let mut frame = [0; Egress::LEN];
    enclave.read_exact(&mut frame).await?;
    let Egress(provider) = Egress::decode(&frame).map_err(io::Error::other)?;
    let dial = (shared.plan().egress)(provider);
    shared.note(Seen::Egress(provider));
    match dial {
        Dial::To(address) => {
            let upstream = TcpStream::connect(address).await?;
            upstream.set_nodelay(true)?;
            enclave.write_all(&[0]).await?;
            copy_both(enclave, upstream).await
        }
        Dial::Answer(bytes) => {
            enclave.write_all(&bytes).await?;
            drain(enclave).await
        }
        Dial::AnswerAndClose(bytes) => enclave.write_all(&bytes).await,
        Dial::Silent => drain(enclave).await,
    }
}

async fn drain(mut stream: impl tokio::io::AsyncRead + Unpin) -> io::Result<()> {
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}
