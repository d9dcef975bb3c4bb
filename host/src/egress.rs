//! The egress leg (PROTOCOL.md, section 5): an enclave names a provider by index, the host dials
//! that provider's address and copies ciphertext. There is no way to name anything else.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aegis_wire::{limits, session::Egress};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{
    events::Event,
    fleet::EnclaveId,
    host::Host,
    legs::Stream,
    splice::{Moved, splice},
};

/// Time to resolve and connect: what SDKs allow for connecting.
const CONNECT: Duration = Duration::from_secs(5);

/// The byte that answers the enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Connected = 0,
    NoName = 1,
    Refused = 2,
    Timeout = 3,
    Failed = 4,
    NotServed = 5,
}

impl Answer {
    fn word(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::NoName => "no_name",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::NotServed => "not_served",
        }
    }
}

/// Serves one leg until it ends.
pub(crate) async fn serve(host: Arc<Host>, enclave: EnclaveId, mut stream: Stream) {
    let name = &host.enclave(enclave).name;
    let mut frame = [0; Egress::LEN];
    let read = timeout(limits::HOST_ANSWER, stream.read_exact(&mut frame)).await;
    let asked = match read {
        Ok(Ok(_)) => Egress::decode(&frame),
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(enclave = name, "egress leg without a whole request");
            return;
        }
    };
    match asked {
        Ok(Egress(index)) => relay(&host, index, stream).await,
        Err(reason) => tracing::warn!(enclave = name, %reason, "egress leg closed"),
    }
}

async fn relay(host: &Host, index: u16, mut stream: Stream) {
    let Some(provider) = host.providers.by_index(index) else {
        tracing::warn!(index, "egress to a provider that is not in the table");
        // A leg that is gone cannot be told, and need not be.
        let _ = stream.write_all(&[Answer::NotServed as u8]).await;
        return;
    };
    let mut report =
        Report { host, provider: &provider.name, outcome: Answer::Failed, moved: Moved::default() };
    let dialled = dial(&provider.address).await;
    report.outcome = dialled.as_ref().err().copied().unwrap_or(Answer::Connected);
    let told = stream.write_all(&[report.outcome as u8]).await;
    let (Ok(mut upstream), Ok(())) = (dialled, told) else {
        return;
    };
    if let Err(error) = splice(&mut stream, Bytes::new(), &mut upstream, &report.moved).await {
        tracing::debug!(provider = report.provider, %error, "egress ended early");
    }
}

async fn dial(address: &str) -> Result<TcpStream, Answer> {
    let connect = async {
        let found: Vec<_> = match lookup_host(address).await {
            Ok(found) => found.collect(),
            Err(_) => return Err(Answer::NoName),
        };
        if found.is_empty() {
            return Err(Answer::NoName);
        }
        let upstream = TcpStream::connect(&found[..]).await;
        upstream.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => Answer::Refused,
            io::ErrorKind::TimedOut => Answer::Timeout,
            _ => Answer::Failed,
        })
    };
    let upstream = timeout(CONNECT, connect).await.unwrap_or(Err(Answer::Timeout))?;
    upstream.set_nodelay(true).map_err(|_| Answer::Failed)?;
    Ok(upstream)
}

/// Shows the event when the leg ends, however it ends.
struct Report<'a> {
    host: &'a Host,
    provider: &'a str,
    outcome: Answer,
    moved: Moved,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.host.events.show(&Event::Egress {
            provider: self.provider.to_owned(),
            outcome: self.outcome.word(),
            bytes_to_provider: self.moved.forth.load(Ordering::Relaxed),
            bytes_from_provider: self.moved.back.load(Ordering::Relaxed),
        });
    }
}
