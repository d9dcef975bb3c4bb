//! Connections to providers: dialled by the host, authenticated here. A connection belongs to one
//! session, one provider and one account.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use aegis_core::Event;
use aegis_wire::table::{Provider, ProviderIndex, Table};
use aegis_wire::{limits, session::Egress, session::legs::EGRESS_PORT};
use http_body_util::combinators::MapFrame;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls::{pki_types::ServerName, version::TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time;
use tokio_rustls::TlsConnector;

use crate::identity::{self, Identity};
use crate::{BootError, Enclave};

/// Flow-control window of an HTTP/2 stream: one round trip of 100 ms at 80 Mbit/s.
pub(crate) const WINDOW: u32 = 1024 * 1024;

/// TLS settings and names, by provider index.
pub(crate) struct Providers(Vec<(TlsConnector, ServerName<'static>)>);

impl Providers {
    pub(crate) fn new(
        table: &'static Table,
        roots: &[(&str, RootCertStore)],
        identity: &Arc<Identity>,
    ) -> Result<Self, BootError> {
        let provider = |row: &Provider| {
            let (_, roots) = roots.iter().find(|(name, _)| *name == row.roots)?;
            let config = client_config(roots.clone(), identity.clone())?;
            Some((TlsConnector::from(Arc::new(config)), ServerName::try_from(row.host()).ok()?))
        };
        let rows = table.providers.iter();
        let all = rows.map(|row| provider(row).ok_or("a provider has unknown roots or a bad name"));
        all.collect::<Result<_, _>>().map(Self)
    }
}

fn client_config(roots: RootCertStore, time: Arc<Identity>) -> Option<ClientConfig> {
    let mut config = ClientConfig::builder_with_details(identity::crypto(), time)
        .with_protocol_versions(&[&TLS13])
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Some(config)
}

/// The connections of one session.
#[derive(Default)]
pub(crate) struct Upstreams(Mutex<HashMap<Key, Vec<Sender>>>);

/// Provider and account.
pub(crate) type Key = (ProviderIndex, u32);

/// A request's body on its way to the provider, without its trailers.
pub(crate) type Upload = MapFrame<Incoming, fn(Frame<Bytes>) -> Frame<Bytes>>;

/// Where requests enter a connection.
pub(crate) enum Sender {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
}

/// What became of a request that was handed to a connection.
pub(crate) enum Sent {
    Answered(Response<Incoming>),
    /// Given back whole: no byte of it was written.
    Unsent(Request<Upload>),
    BadHead,
    Lost,
}

impl Upstreams {
    /// A connection, and whether it carried requests before.
    pub(crate) async fn connect(
        &self,
        enclave: &'static Enclave,
        key: Key,
        fresh: bool,
    ) -> Result<(Sender, bool), Event<'static>> {
        let reused = if fresh { None } else { self.take(key) };
        match reused {
            Some(sender) => Ok((sender, true)),
            None => Ok((dial(enclave, key.0).await?, false)),
        }
    }

    /// Sends a request once; the connection is kept for the session's later requests.
    pub(crate) async fn send(
        self: &Arc<Self>,
        key: Key,
        mut sender: Sender,
        request: Request<Upload>,
    ) -> Sent {
        let answer = match &mut sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        };
        if answer.is_ok() {
            tokio::spawn(keep(Arc::downgrade(self), key, sender));
        }
        answer.map_or_else(Sent::from, Sent::Answered)
    }

    fn take(&self, key: Key) -> Option<Sender> {
        let mut idle = self.lock();
        let senders = idle.get_mut(&key)?;
        senders.retain(|sender| !sender.is_closed());
        let sender = senders.pop()?;
        if let Sender::Http2(shared) = &sender {
            senders.push(Sender::Http2(shared.clone()));
        }
        Some(sender)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Sender>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Whether requests name the authority in their target, as HTTP/2 does.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }
}

impl From<TrySendError<Request<Upload>>> for Sent {
    fn from(mut error: TrySendError<Request<Upload>>) -> Self {
        match error.take_message() {
            Some(request) => Self::Unsent(request),
            None if error.error().is_parse() => Self::BadHead,
            None => Self::Lost,
        }
    }
}

/// Puts a connection back once it can take a request, if its session still lives.
async fn keep(upstreams: Weak<Upstreams>, key: Key, mut sender: Sender) {
    let ready = match &mut sender {
        Sender::Http1(sender) => sender.ready().await,
        Sender::Http2(sender) => sender.ready().await,
    };
    if let (Ok(()), Some(upstreams)) = (ready, upstreams.upgrade()) {
        let mut idle = upstreams.lock();
        let senders = idle.entry(key).or_default();
        if !(sender.is_http2() && senders.iter().any(Sender::is_http2)) {
            senders.push(sender);
        }
    }
}

async fn dial(enclave: &Enclave, index: ProviderIndex) -> Result<Sender, Event<'static>> {
    let unreachable = |_: io::Error| Event::Unreachable;
    let late = |_: time::error::Elapsed| Event::Unreachable;
    let (connector, name) =
        enclave.providers.0.get(usize::from(index.0)).ok_or(Event::Unreachable)?;
    let answer = async {
        let mut leg = enclave.legs.dial(EGRESS_PORT).await?;
        leg.write_all(&Egress(index.0).encode()).await?;
        Ok((leg.read_u8().await?, leg))
    };
    let answer = time::timeout(limits::HOST_ANSWER, answer).await.map_err(late)?;
    let (0, leg) = answer.map_err(unreachable)? else {
        return Err(Event::Unreachable);
    };
    enclave.identity.refresh_clock();
    let handshake = time::timeout(limits::HANDSHAKE, connector.connect(name.clone(), leg));
    let tls = handshake.await.map_err(late)?.map_err(|error| {
        let proof = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        if proof { Event::NotTheProvider } else { Event::Unreachable }
    })?;
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let failed = |_: hyper::Error| Event::Unreachable;
    let io = TokioIo::new(tls);
    if http2 {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .max_header_list_size(2 * limits::HEAD_BYTES as u32)
            .handshake(io)
            .await
            .map_err(failed)?;
        tokio::spawn(connection);
        return Ok(Sender::Http2(sender));
    }
    let (sender, connection) = http1::Builder::new()
        .max_headers(limits::HEAD_FIELDS)
        .max_buf_size(2 * limits::HEAD_BYTES)
        .handshake(io)
        .await
        .map_err(failed)?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}
