//! Where clients come in (PROTOCOL.md, section 2): outer TLS 1.3, one CONNECT with a virtual key,
//! then bytes are copied to an enclave of a release that the client accepts.
//!
//! Until a client has shown its key it costs at most one place in the [`doorway`], of which an
//! address has its share, one deadline and one head buffer.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use aegis_wire::session::Preface;
use bytes::Bytes;
use http::{Method, Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    events::{Event, State},
    fleet::{EnclaveId, NoPick},
    host::Host,
    keys::{Key, KeyId},
    legs::{Stream, connect_session, pause_after},
    sessions::OpenSession,
    splice::{Moved, splice},
};

mod answer;
mod doorway;
mod head;

use answer::{Answer, Refused};
use doorway::{Doorway, Place};
use head::Asked;

/// Largest head of a CONNECT: the longest virtual key and release list fit many times.
const HEAD_BYTES: usize = 16 * 1024;
/// Most header fields of a CONNECT.
const HEAD_FIELDS: usize = 64;
/// Time for an enclave on the same machine to take a connection.
const ENCLAVE_CONNECT: Duration = Duration::from_secs(2);

/// Accepts clients until the task ends.
pub(crate) fn serve(
    host: Arc<Host>,
    listener: TcpListener,
    tasks: &mut JoinSet<()>,
) -> AbortHandle {
    let door = Arc::new(Doorway::default());
    tasks.spawn(async move {
        loop {
            let (tcp, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error, "ingress").await;
                    continue;
                }
            };
            match door.enter(peer.ip()) {
                Ok(place) => drop(tokio::spawn(client(Arc::clone(&host), tcp, place))),
                Err(reason) => tracing::warn!(%reason, "a client was turned away"),
            }
        }
    })
}

async fn client(host: Arc<Host>, tcp: TcpStream, place: Place) {
    let deadline = Instant::now() + host.handshake;
    let tunnel = timeout_at(deadline, knock(&host, tcp, &place)).await;
    drop(place);
    match tunnel {
        Ok(Ok(Some(tunnel))) => tunnel.carry(&host).await,
        Ok(Ok(None)) => {}
        Ok(Err(reason)) => tracing::info!(%reason, "a client got no tunnel"),
        Err(_) => tracing::info!("a client was too slow with its handshake or head"),
    }
}

/// Why a client never got to ask.
#[derive(Debug, thiserror::Error)]
enum NoTunnel {
    #[error("outer TLS: {0}")]
    Tls(io::Error),
    #[error("head: {0}")]
    Http(#[from] hyper::Error),
}

/// What a connection is after its answer.
enum Answered {
    Tunnel(Box<Tunnel>),
    Refused(OnUpgrade),
}

/// A client with a session of its own, on its way to the enclave.
struct Tunnel {
    outer: OnUpgrade,
    inner: Stream,
    session: OpenSession,
    holder: Key,
}

/// Handshake and head; none when the client was answered and is done.
async fn knock(
    host: &Arc<Host>,
    tcp: TcpStream,
    place: &Place,
) -> Result<Option<Tunnel>, NoTunnel> {
    tcp.set_nodelay(true).map_err(NoTunnel::Tls)?;
    let acceptor = TlsAcceptor::from(Arc::clone(&host.tls));
    let tls = acceptor.accept(tcp).await.map_err(NoTunnel::Tls)?;
    let answered = Mutex::new(None);
    let slot = &answered;
    let service = service_fn(move |request| async move {
        Ok::<_, Infallible>(respond(host, place, request, slot).await)
    });
    http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .timer(TokioTimer::new())
        .header_read_timeout(host.handshake)
        .serve_connection(TokioIo::new(tls), service)
        .with_upgrades()
        .await?;
    match answered.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(Answered::Tunnel(tunnel)) => Ok(Some(*tunnel)),
        Some(Answered::Refused(outer)) => {
            // hyper hands over the stream after any answer to a CONNECT; ending it in order is
            // then ours. Elsewhere it did so itself and there is nothing to have.
            if let Ok(outer) = outer.await {
                let ended = TokioIo::new(outer).shutdown().await;
                ended.map_err(NoTunnel::Tls)?;
            }
            Ok(None)
        }
        None => Ok(None),
    }
}

/// Answers the one request of a connection, and leaves in `slot` what comes after the answer.
async fn respond(
    host: &Arc<Host>,
    place: &Place,
    mut request: Request<Incoming>,
    slot: &Mutex<Option<Answered>>,
) -> Answer {
    let directory = host.directory();
    let read = match place.wait_s(Instant::now()) {
        Some(wait_s) if request.method() == Method::CONNECT => Err(Refused::WrongKeys(wait_s)),
        _ => head::read(&request, &directory.keys, crate::now_ms()),
    };
    if read == Err(Refused::UnknownKey) {
        place.wrong_key(Instant::now());
    }
    let opened = match read {
        Ok(Asked::Livez) => return answer::alive(),
        Ok(Asked::Releases) => return answer::releases(host.releases.clone()).await,
        Ok(Asked::Tunnel { key, releases }) => open(host, key, &releases).await,
        Err(refused) => Err(refused),
    };
    let outer = hyper::upgrade::on(&mut request);
    let (answered, answer) = match opened {
        Ok((inner, session, holder)) => {
            let release = host.enclave(session.session.enclave).release;
            let tunnel = Tunnel { outer, inner, session, holder };
            (Answered::Tunnel(Box::new(tunnel)), answer::connected(release))
        }
        Err(refused) => {
            tracing::info!(code = refused.code(), "a client was refused");
            (Answered::Refused(outer), refused.answer())
        }
    };
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(answered);
    answer
}

/// Opens a session on the first enclave that takes it.
async fn open(
    host: &Arc<Host>,
    id: KeyId,
    releases: &[u32],
) -> Result<(Stream, OpenSession, Key), Refused> {
    let directory = host.directory();
    let key = directory.keys.holder(id, crate::now_ms()).ok_or(Refused::UnknownKey)?;
    let limiter = host.policy.limiter();
    let permit = limiter.session(&directory.limits, key).ok_or(Refused::TooManySessions)?;
    let fitting = host.fleet.pick(releases).map_err(|none| match none {
        NoPick::Release => Refused::NoRelease,
        NoPick::Enclave => Refused::NoEnclave,
    })?;
    let mut permit = Some(permit);
    for enclave in fitting {
        let session = host.sessions.open(id, enclave);
        let number = session.session.number;
        match timeout(ENCLAVE_CONNECT, greet(host, enclave, number)).await {
            Ok(Ok(stream)) => return Ok((stream, session.with(permit.take()), key.clone())),
            Ok(Err(error)) => {
                tracing::warn!(enclave = host.enclave(enclave).name, %error, "session leg failed");
            }
            Err(_) => tracing::warn!(enclave = host.enclave(enclave).name, "session leg timed out"),
        }
    }
    Err(Refused::NoEnclave)
}

async fn greet(host: &Host, enclave: EnclaveId, session: u64) -> io::Result<Stream> {
    let mut stream = connect_session(&host.enclave(enclave).place).await?;
    stream.write_all(&Preface(session).encode()).await?;
    stream.flush().await?;
    Ok(stream)
}

impl Tunnel {
    /// Copies until both sides are done.
    async fn carry(self, host: &Host) {
        let Self { outer, mut inner, session, holder } = self;
        let report = Report::new(host, session, holder);
        // The head was parsed by hyper over exactly this type, so the downcast finds it again.
        let parts = match outer.await.map(|upgraded| upgraded.downcast::<Outer>()) {
            Ok(Ok(parts)) => parts,
            Ok(Err(_)) | Err(_) => return tracing::error!("a tunnel was lost after its head"),
        };
        let (mut outer, ahead): (_, Bytes) = (parts.io.into_inner(), parts.read_buf);
        if let Err(error) = splice(&mut outer, ahead, &mut inner, &report.moved).await {
            let session = report.session.session.number;
            tracing::debug!(session, %error, "session ended early");
        }
    }
}

type Outer = TokioIo<TlsStream<TcpStream>>;

/// Shows the session's beginning, and its end when it is dropped.
struct Report<'a> {
    host: &'a Host,
    session: OpenSession,
    holder: Key,
    moved: Moved,
}

impl<'a> Report<'a> {
    fn new(host: &'a Host, session: OpenSession, holder: Key) -> Self {
        let moved = Moved::default();
        let report = Self { host, session, holder, moved };
        report.show(State::Opened);
        report
    }

    fn show(&self, state: State) {
        let session = self.session.session;
        let enclave = self.host.enclave(session.enclave);
        self.host.events.show(&Event::Session {
            state,
            session: session.number,
            tenant: self.holder.tenant.clone(),
            key: self.holder.name.clone(),
            enclave: enclave.name.clone(),
            release: enclave.release,
            bytes_from_client: self.moved.forth.load(Ordering::Relaxed),
            bytes_to_client: self.moved.back.load(Ordering::Relaxed),
        });
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.show(State::Closed);
    }
}
