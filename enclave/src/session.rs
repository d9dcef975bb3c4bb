//! A session: preface, inner handshake, evidence, then HTTP. Nothing is served before evidence.

use std::pin::Pin;
use std::sync::Arc;

use aegis_padding::Padded;
use aegis_wire::binding::{EXPORTER_LABEL, Exporter};
use aegis_wire::limits;
use aegis_wire::session::{self, Evidence, Mode, Opening, Preface};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::{sync::Semaphore, time};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::legs::Leg;
use crate::receipt::Receipts;
use crate::upstream::{CONNECTION_WINDOW, Upstreams, WINDOW};
use crate::{Enclave, relay};

/// Most requests under way in one session.
const STREAMS: u32 = 256;
/// Held of each answer for a client that does not read: a hundred events of a model, and with all
/// streams of a session 16 MiB.
const SEND_BYTES: usize = 64 * 1024;

/// A client whose evidence has been handed out.
pub(crate) struct Session {
    pub(crate) enclave: &'static Enclave,
    pub(crate) number: u64,
    pub(crate) mode: Mode,
    /// The nonce of its evidence: no other session has it.
    pub(crate) nonce: [u8; 48],
    pub(crate) upstreams: Upstreams,
    pub(crate) receipts: Receipts,
    /// Places for questions that the host has not answered.
    pub(crate) questions: Arc<Semaphore>,
}

/// Serves one leg to its end. Whatever fails before HTTP closes it without a word.
pub(crate) async fn serve(enclave: &'static Enclave, leg: Leg) {
    let opened = time::timeout(limits::HANDSHAKE, open(enclave, leg)).await;
    match opened {
        Ok(Some((session, true, tls))) => serve_http(Arc::new(session), Padded::new(tls)).await,
        Ok(Some((session, false, tls))) => serve_http(Arc::new(session), tls).await,
        Ok(None) | Err(_) => {}
    }
}

/// The session, and whether its client wants padding.
async fn open(enclave: &'static Enclave, mut leg: Leg) -> Option<(Session, bool, TlsStream<Leg>)> {
    let mut preface = [0; Preface::LEN];
    leg.read_exact(&mut preface).await.ok()?;
    let Preface(number) = Preface::decode(&preface).ok()?;
    let acceptor = TlsAcceptor::from(enclave.identity.server.clone());
    let mut tls = acceptor.accept(leg).await.ok()?;
    if tls.get_ref().1.alpn_protocol() != Some(session::ALPN) {
        return None;
    }
    let mut bytes = [0; Opening::LEN];
    tls.read_exact(&mut bytes).await.ok()?;
    let opening = Opening::decode(&bytes).ok()?;
    let exporter =
        tls.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, Some(&opening.nonce));
    let nonce = enclave.identity.nonce(&bytes, &Exporter(exporter.ok()?));
    let evidence = move || enclave.identity.evidence(&nonce);
    let evidence = tokio::task::spawn_blocking(evidence).await.ok()?;
    tls.write_all(evidence.as_deref().unwrap_or(&Evidence::UNAVAILABLE)).await.ok()?;
    tls.flush().await.ok()?;
    evidence?;
    let (upstreams, receipts) = (Upstreams::default(), Receipts::default());
    let questions = Arc::new(Semaphore::new(STREAMS as usize));
    let Opening { mode, padding, .. } = opening;
    Some((Session { enclave, number, mode, nonce, upstreams, receipts, questions }, padding, tls))
}

async fn serve_http<S>(session: Arc<Session>, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (io, mode) = (TokioIo::new(stream), session.mode);
    let service = service_fn(|request| relay::handle(session.clone(), request));
    let life = time::sleep(limits::SESSION);
    match mode {
        Mode::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::IDLE)
                .auto_date_header(false)
                .max_headers(2 * limits::HEAD_FIELDS)
                .max_buf_size(2 * limits::HEAD_BYTES)
                .serve_connection(io, service);
            drive(connection, life, |connection| connection.graceful_shutdown()).await;
        }
        Mode::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .auto_date_header(false)
                .max_concurrent_streams(STREAMS)
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_send_buf_size(SEND_BYTES)
                .max_header_list_size(2 * limits::HEAD_BYTES as u32)
                .serve_connection(io, service);
            drive(connection, life, |connection| connection.graceful_shutdown()).await;
        }
    }
}

/// Runs a connection; when its life is over it takes no more requests, and those under way have as
/// long again.
async fn drive<C: Future>(connection: C, life: time::Sleep, shut_down: impl FnOnce(Pin<&mut C>)) {
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => return,
        () = life => shut_down(connection.as_mut()),
    }
    // Streams in flight finish; one whose client does not read would otherwise never end.
    let _ = time::timeout(limits::SESSION, connection).await;
}
