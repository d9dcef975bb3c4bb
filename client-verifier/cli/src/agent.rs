//! The local agent: plain HTTP on loopback in, verified sessions out, so that every SDK works by
//! base URL alone (DESIGN, section 12).
//!
//! What passes is verbatim: method, path, query, headers and body bytes. Changed are hop-by-hop
//! headers and `expect` (consumed), `cookie` (dropped: it belongs to a browser), `host` (the
//! provider's), credentials ([`credential`], [`keys`]), and addresses in answers ([`redirect`]).
//!
//! | file | what it decides |
//! |---|---|
//! | [`listen`] | where to listen: loopback or a private Unix socket, nothing else |
//! | [`door`] | who may come in: no `Origin`, no foreign `Host` |
//! | [`routes`] | which prefix means which provider |
//! | [`keys`] | whose key opens the tunnel, and the custody |
//! | [`relay`] | one request from end to end |
//! | [`answer`] | the agent's own errors, in the provider's envelope |
//! | [`keep`] | receipts: fetched, verified, written |
//! | [`usage`] | whether an answer will tell its usage, if the user requires that |
//! | [`start`] | verification before the port opens |

use std::{sync::Arc, time::Duration};

use aegis_client::Client;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};

pub mod answer;
pub mod credential;
pub mod door;
pub mod keep;
pub mod keys;
pub mod listen;
pub mod redirect;
pub mod relay;
pub mod routes;
pub mod start;
pub mod usage;

use self::{
    door::Door,
    keep::Folder,
    keys::Keys,
    listen::{Listener, Stream},
    routes::Routes,
};

/// How long requests in flight may take to finish after the agent was told to stop.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long they may take before the one who waits is told why.
const TELL: Duration = Duration::from_millis(200);
/// Pause after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An agent, ready to serve.
pub struct Agent {
    /// Sends what comes in.
    pub client: Client,
    /// Where it goes.
    pub routes: Routes,
    /// Under whose key.
    pub keys: Keys,
    /// Where receipts are kept, if they are.
    pub receipts: Option<Folder>,
    /// Whether a request is refused whose stream will not tell its usage.
    pub require_usage: bool,
}

impl Agent {
    /// Serves until `stop` completes; then lets requests in flight finish for a moment, unless the
    /// program is told to stop once more.
    pub async fn serve(self: Arc<Self>, listener: Listener, stop: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let door = Arc::new(listener.door());
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok(stream) => Arc::clone(&self).attend(stream, Arc::clone(&door), &graceful),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
        drop(listener);
        farewell(graceful).await;
    }

    fn attend(self: Arc<Self>, stream: Stream, door: Arc<Door>, graceful: &GracefulShutdown) {
        let service = service_fn(move |request| {
            let (agent, door) = (Arc::clone(&self), Arc::clone(&door));
            async move { Ok::<_, std::convert::Infallible>(agent.relay(&door, request).await) }
        });
        let mut http = http1::Builder::new();
        http.auto_date_header(false).max_headers(aegis_wire::limits::HEAD_FIELDS);
        // A connection that fails has told its own client so.
        match stream {
            Stream::Tcp(stream) => {
                let serving = http.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(graceful.watch(serving));
            }
            Stream::Unix(stream) => {
                let serving = http.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(graceful.watch(serving));
            }
        }
    }
}

/// Waits for requests in flight. What is not finished in time breaks, and its client sees it break.
async fn farewell(graceful: GracefulShutdown) {
    let finished = tokio::time::timeout(FAREWELL, graceful.shutdown());
    let mut finished = std::pin::pin!(finished);
    if tokio::time::timeout(TELL, &mut finished).await.is_ok() {
        return;
    }
    let seconds = FAREWELL.as_secs();
    eprintln!(
        "aegis: requests are in flight and may take {seconds} s to finish; Ctrl-C again ends them now"
    );
    match start::stopped() {
        Ok(again) => tokio::select! {
            _ = finished => {}
            () = again => {}
        },
        // Without signals there is nothing to wait for but the end.
        Err(_) => drop(finished.await),
    }
}
