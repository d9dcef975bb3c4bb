//! Connections to providers: dialled by the host, authenticated here. A connection belongs to one
//! session, one provider and one account; hyper-util keeps those of one such key. It hands a
//! request to another connection only when the first gave it back whole, no byte of it written;
//! nothing else is ever sent again.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use aegis_core::{Event, Refusal};
use aegis_wire::account::Owner;
use aegis_wire::control::Custody;
use aegis_wire::table::{Provider, ProviderIndex, Table};
use aegis_wire::{limits, session::Egress, session::legs::EGRESS_PORT};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls::{pki_types::ServerName, version::TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::{sync::TryAcquireError, time};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::identity::{self, Identity};
use crate::outgoing::{Outgoing, Upload};
use crate::{BootError, Enclave, legs::Leg};

/// Flow-control window of an HTTP/2 stream: one round trip of 100 ms at 20 Mbit/s.
pub(crate) const WINDOW: u32 = 256 * 1024;
/// What all streams of a connection may hold unread: 32 of them can stand still at full windows before
/// others feel it, and a client cannot make a connection cost more than this.
pub(crate) const CONNECTION_WINDOW: u32 = 32 * WINDOW;

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
        let all: Option<_> = table.providers.iter().map(provider).collect();
        all.map(Self).ok_or("a provider has unknown roots or a bad name")
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

/// Whose account it is and which: numbers are the operator's in custody host, and each owner's own
/// in custody sealed.
pub(crate) type AccountKey = (Custody, Owner, u32);

/// The connections of one session, by provider and account.
#[derive(Default)]
pub(crate) struct Upstreams(Mutex<HashMap<(ProviderIndex, AccountKey), Client<Dialer, Upload>>>);

impl Upstreams {
    /// Sends a request once. The host may choose the account; the provider it cannot.
    pub(crate) async fn send(
        &self,
        dialer: Dialer,
        account: AccountKey,
        request: Request<Upload>,
        body: &Outgoing,
    ) -> Result<Response<Incoming>, Failure> {
        let client = {
            let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (dialer.provider, account);
            clients.entry(key).or_insert_with(|| client(dialer)).clone()
        };
        let mut answer = pin!(client.request(request));
        loop {
            // A long upload is not idle.
            let moved = body.moved();
            match time::timeout_at(moved + limits::IDLE, &mut answer).await {
                Ok(answer) => return answer.map_err(|error| failure(&error, body)),
                Err(_) if body.moved() == moved => return Err(Event::Timeout.into()),
                Err(_) => {}
            }
        }
    }
}

/// Why there is no head, and what the client is told if not what that comes to.
pub(crate) struct Failure {
    pub(crate) event: Event<'static>,
    pub(crate) refusal: Option<Refusal>,
}

impl Failure {
    /// No byte left, for a reason of the enclave's own.
    pub(crate) fn unreachable(held: bool, refusal: Refusal) -> Self {
        Self { event: Event::Unreachable { held }, refusal: Some(refusal) }
    }
}

impl From<Event<'static>> for Failure {
    fn from(event: Event<'static>) -> Self {
        Self { event, refusal: None }
    }
}

fn client(dialer: Dialer) -> Client<Dialer, Upload> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .http1_max_headers(limits::HEAD_FIELDS)
        .http1_max_buf_size(2 * limits::HEAD_BYTES)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(2 * limits::HEAD_BYTES as u32)
        .build(dialer)
}

fn failure(error: &legacy::Error, body: &Outgoing) -> Failure {
    let unreachable = || Event::Unreachable { held: body.held(false) };
    let cause = error.source();
    let dial = cause.and_then(|cause| cause.downcast_ref::<io::Error>()?.get_ref());
    let http = cause.and_then(|cause| cause.downcast_ref::<hyper::Error>());
    let event = match (dial.filter(|_| error.is_connect()), http) {
        // Full: another attempt would find no place either.
        (Some(dial), _) if dial.is::<TryAcquireError>() => {
            return Failure::unreachable(false, Refusal::Overloaded);
        }
        (Some(dial), _) if dial.is::<rustls::Error>() => Event::NotTheProvider,
        _ if error.is_connect() => unreachable(),
        // hyper's word for a request that it gives back unwritten.
        (_, Some(error)) if error.is_canceled() => unreachable(),
        (_, Some(error)) if error.is_parse() => Event::BadHead,
        _ => Event::Lost,
    };
    event.into()
}

/// Opens connections to one provider, whatever a URI says.
#[derive(Clone, Copy)]
pub(crate) struct Dialer {
    pub(crate) enclave: &'static Enclave,
    pub(crate) provider: ProviderIndex,
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Leg>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Leg>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.dial())
    }
}

impl Dialer {
    async fn dial(self) -> io::Result<TokioIo<Leg>> {
        let Self { enclave, provider: ProviderIndex(index) } = self;
        let answer = async {
            let mut leg = enclave.legs.dial(EGRESS_PORT).await?;
            leg.write_all(&Egress(index).encode()).await?;
            match leg.read_u8().await? {
                0 => Ok(leg),
                _ => Err(io::Error::from(io::ErrorKind::HostUnreachable)),
            }
        };
        let permit = enclave.upstreams.try_acquire().map_err(io::Error::other)?;
        let leg = time::timeout(limits::HOST_ANSWER, answer).await??;
        enclave.identity.refresh_clock();
        let row = enclave.providers.0.get(usize::from(index));
        let (connector, name) = row.ok_or(io::ErrorKind::NotFound)?;
        let handshake = connector.connect(name.clone(), leg);
        let tls = time::timeout(limits::HANDSHAKE, handshake).await??;
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(TokioIo::new(Leg::upstream(tls, http2, permit)))
    }
}
