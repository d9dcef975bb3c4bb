//! The adversary: a program in the host's place, on the real sockets and frames.
//!
//! It does by default what an honest host does, and a [`Plan`] changes any single step of it, at
//! any time: what happens to a client's bytes, what the enclave's questions get as an answer,
//! what is sent unasked, where egress leads. It records every byte it sees on every leg.

mod control;
mod crossing;
mod egress;
mod inner;
mod session;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use aegis_wire::control::Authorize;
use aegis_wire::control::DenyCode;
use aegis_wire::control::Hello;
use aegis_wire::control::Usage;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use control::Desk;
pub use control::ack;
pub use control::deny;
pub use control::grant_bytes;
pub use control::raw;
pub use crossing::Crossing;
pub use egress::Dial;
pub use inner::Impostor;
pub use inner::Insider;
pub use inner::Peer;
pub use inner::accept_as;
pub use inner::connect_unverified;
pub use inner::opening;
pub use inner::read_opening;
pub use session::Client;
pub use session::Door;
pub use session::OUTER_NAME;
pub use session::OuterTls;
pub use session::Session;
pub use session::copy_both;

use crate::record::Record;

/// A boxed future, the result of a hook.
pub type Task = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

type OnSession = Arc<dyn Fn(Session) -> Task + Send + Sync>;
type OnAuthorize = Arc<dyn Fn(&Authorize, &Desk) -> Vec<Vec<u8>> + Send + Sync>;
type OnUsage = Arc<dyn Fn(&Usage) -> Vec<Vec<u8>> + Send + Sync>;
type OnEgress = Arc<dyn Fn(u16) -> Dial + Send + Sync>;

/// What the adversary does at each step; each can be changed while it runs.
#[derive(Clone)]
pub struct Plan {
    session: OnSession,
    authorize: OnAuthorize,
    usage: OnUsage,
    egress: OnEgress,
}

/// Something the adversary saw on the control channel.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A channel was opened.
    Hello(Hello),
    /// The enclave asked for a grant.
    Authorize(Authorize),
    /// The enclave settled a grant.
    Usage(Usage),
    /// The enclave closed the channel, after so many channels.
    Closed,
    /// The enclave asked for a connection to the provider of this index.
    Egress(u16),
}

/// The running adversary. It ends when dropped.
pub struct Hostile {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    plan: Mutex<Plan>,
    desk: Desk,
    record: Record,
    seen: watch::Sender<Vec<Seen>>,
    channel: watch::Sender<Option<control::Channel>>,
    outer: OuterTls,
    address: SocketAddr,
    legs: PathBuf,
}

impl Hostile {
    /// Listens on the host's sockets in `legs` and on a port for clients. Egress leads to
    /// `upstream`, whatever provider is asked for.
    pub async fn start(legs: &Path, upstream: SocketAddr) -> io::Result<Self> {
        let control = tokio::net::UnixListener::bind(legs.join(session::CONTROL_SOCKET))?;
        let egress = tokio::net::UnixListener::bind(legs.join(session::EGRESS_SOCKET))?;
        let ingress = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let desk = Desk::default();
        let plan = Plan {
            session: Arc::new(|session| Box::pin(session.splice())),
            // As a host with one account for each provider.
            authorize: Arc::new(|ask, desk| match ask.attempt {
                1 => vec![desk.grant(ask)],
                _ => vec![control::deny(ask, DenyCode::Account, 0)],
            }),
            usage: Arc::new(|usage| vec![control::ack(usage.grant)]),
            egress: Arc::new(move |_| Dial::To(upstream)),
        };
        let shared = Arc::new(Shared {
            plan: Mutex::new(plan),
            desk,
            record: Record::new(),
            seen: watch::Sender::new(Vec::new()),
            channel: watch::Sender::new(None),
            outer: OuterTls::generate()?,
            address: ingress.local_addr()?,
            legs: legs.to_path_buf(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(control::serve(Arc::clone(&shared), control));
        tasks.spawn(egress::serve(Arc::clone(&shared), egress));
        tasks.spawn(session::serve(Arc::clone(&shared), ingress));
        Ok(Self { shared, _tasks: tasks })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The outer TLS that clients meet.
    pub fn outer(&self) -> &OuterTls {
        &self.shared.outer
    }

    /// Everything seen so far.
    pub fn record(&self) -> &Record {
        &self.shared.record
    }

    /// What hands out grants.
    pub fn desk(&self) -> &Desk {
        &self.shared.desk
    }

    /// The way into the enclave's session socket.
    pub fn door(&self) -> Door {
        Door::new(&self.shared.legs, &self.shared.record)
    }

    /// Changes what happens to a client's session from its CONNECT on.
    pub fn on_session<F>(&self, hook: impl Fn(Session) -> F + Send + Sync + 'static)
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        self.change(|plan| plan.session = Arc::new(move |session| Box::pin(hook(session))));
    }

    /// Changes what the enclave's `Authorize` gets: raw bytes, written in order.
    pub fn on_authorize(
        &self,
        hook: impl Fn(&Authorize, &Desk) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) {
        self.change(|plan| plan.authorize = Arc::new(hook));
    }

    /// Changes what a `Usage` gets.
    pub fn on_usage(&self, hook: impl Fn(&Usage) -> Vec<Vec<u8>> + Send + Sync + 'static) {
        self.change(|plan| plan.usage = Arc::new(hook));
    }

    /// Changes where egress leads.
    pub fn on_egress(&self, hook: impl Fn(u16) -> Dial + Send + Sync + 'static) {
        self.change(|plan| plan.egress = Arc::new(hook));
    }

    fn change(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes bytes on the control channel, unasked.
    pub async fn inject(&self, bytes: &[u8]) -> io::Result<()> {
        self.channel().await?.send(vec![bytes.to_vec()])
    }

    /// Ends the control channel from the host's side.
    pub async fn drop_control(&self) -> io::Result<()> {
        self.channel().await?.close();
        Ok(())
    }

    async fn channel(&self) -> io::Result<control::Channel> {
        let mut channel = self.shared.channel.subscribe();
        let open = bounded(channel.wait_for(Option::is_some)).await?;
        let open = open.map_err(io::Error::other)?;
        open.clone().ok_or_else(|| io::Error::other("no control channel"))
    }

    /// Everything seen on the control and egress legs.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    /// Waits until `find` finds what it looks for in what was seen.
    pub async fn wait<T>(&self, find: impl Fn(&[Seen]) -> Option<T>) -> io::Result<T> {
        let mut seen = self.shared.seen.subscribe();
        let all = bounded(seen.wait_for(|seen| find(seen).is_some())).await?;
        let all = all.map_err(io::Error::other)?;
        find(&all).ok_or_else(|| io::Error::other("it was seen a moment ago"))
    }

    /// Waits for the `count`th Hello.
    pub async fn wait_hello(&self, count: usize) -> io::Result<Hello> {
        self.wait(|seen| seen.iter().filter_map(Seen::hello).nth(count - 1).cloned()).await
    }

    /// Waits until `count` grants were settled, and gives all usages.
    pub async fn wait_usage(&self, count: usize) -> io::Result<Vec<Usage>> {
        self.wait(|seen| {
            let usages: Vec<Usage> = seen.iter().filter_map(Seen::usage).cloned().collect();
            (usages.len() >= count).then_some(usages)
        })
        .await
    }
}

impl Seen {
    /// The Hello that it is.
    pub fn hello(&self) -> Option<&Hello> {
        match self {
            Self::Hello(hello) => Some(hello),
            _ => None,
        }
    }

    /// The question that it is.
    pub fn authorize(&self) -> Option<&Authorize> {
        match self {
            Self::Authorize(ask) => Some(ask),
            _ => None,
        }
    }

    /// The usage that it is.
    pub fn usage(&self) -> Option<&Usage> {
        match self {
            Self::Usage(usage) => Some(usage),
            _ => None,
        }
    }
}

impl Shared {
    fn plan(&self) -> Plan {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, seen: Seen) {
        self.seen.send_modify(|all| all.push(seen));
    }
}

/// A bound on a hang, longer than every limit of the protocol that a test runs into.
async fn bounded<T>(wait: impl Future<Output = T>) -> io::Result<T> {
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, wait).await.map_err(io::Error::from)
}
