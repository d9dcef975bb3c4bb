//! The parts put together: what all connections share, and the start.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{net::TcpListener, task::JoinSet, time::Instant};

use crate::{
    config::{Config, Enclave},
    control, egress,
    events::{Event, Events},
    fleet::{EnclaveId, Fleet},
    ingress,
    ledger::{Ledger, LedgerError, Lost, Outcome, Replayed},
    legs::{Door, Doors, LegError},
    policy::Policy,
    providers::Providers,
    sessions::Sessions,
};

/// What all connections share.
#[derive(Debug)]
pub struct Host {
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) handshake: Duration,
    pub(crate) releases: Option<PathBuf>,
    pub(crate) providers: Providers,
    pub(crate) policy: Policy,
    pub(crate) fleet: Fleet,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) events: Arc<Events>,
    enclaves: Vec<Enclave>,
    ledger: Mutex<Ledger>,
    usage_deadline: Duration,
}

/// A host that serves until this is dropped. Connections that are open by then end with the
/// runtime.
#[derive(Debug)]
pub struct Running {
    /// Where clients connect.
    pub address: SocketAddr,
    tasks: JoinSet<()>,
}

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The ledger cannot be used.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// A leg to an enclave cannot be listened on.
    #[error("{0}")]
    Leg(#[from] LegError),
    /// The port for clients cannot be had.
    #[error("cannot listen on {address}: {source}; free the port or change `listen`")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl StartError {
    /// Whether a check refused, rather than the environment.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Ledger(LedgerError::Corrupt { .. }))
    }
}

impl Host {
    /// Looks at the ledger and at the folders that a start would write to, and keeps nothing open.
    /// A host that runs with the same configuration is no obstacle.
    pub fn check(config: &Config) -> Result<(), StartError> {
        Ledger::check(&config.ledger)?;
        for enclave in &config.enclaves {
            enclave.place.check()?;
        }
        Ok(())
    }

    /// Opens ledger and sockets, shows `ready`, and serves.
    pub async fn start(config: Config, events: Arc<Events>) -> Result<Running, StartError> {
        let (ledger, replayed) = Ledger::open(&config.ledger)?;
        tell(&config.ledger, &replayed);
        let places = || config.enclaves.iter().map(|enclave| &enclave.place);
        let control = Doors::open(Door::Control, places())?;
        let egress = Doors::open(Door::Egress, places())?;
        let address = config.listen;
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let host = Arc::new(Self::new(config, ledger, &replayed, events));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&host);
        control.serve(&mut tasks, move |enclave, stream| {
            tokio::spawn(control::serve(Arc::clone(&shared), enclave, stream));
        });
        let shared = Arc::clone(&host);
        egress.serve(&mut tasks, move |enclave, stream| {
            tokio::spawn(egress::serve(Arc::clone(&shared), enclave, stream));
        });
        ingress::serve(Arc::clone(&host), listener, &mut tasks);
        tasks.spawn(sweep(Arc::clone(&host)));
        host.events.show(&Event::Ready { listen: address });
        Ok(Running { address, tasks })
    }

    fn new(config: Config, ledger: Ledger, replayed: &Replayed, events: Arc<Events>) -> Self {
        let Config {
            listen: _,
            tls,
            ledger: _,
            providers,
            enclaves,
            keys,
            accounts,
            custodies,
            handshake,
            releases,
            usage_deadline,
            warnings: _,
        } = config;
        let now_s = crate::now_ms() / 1000;
        Self {
            tls,
            handshake,
            releases,
            providers,
            policy: Policy::new(keys, accounts, custodies, Instant::now()),
            fleet: Fleet::new(&enclaves),
            sessions: Arc::new(Sessions::new(replayed.last_session, now_s)),
            events,
            enclaves,
            ledger: Mutex::new(ledger),
            usage_deadline,
        }
    }

    /// Ids are made from this very list, so there is always one.
    pub(crate) fn enclave(&self, id: EnclaveId) -> &Enclave {
        &self.enclaves[id.0]
    }

    /// Shows grants that were settled without the enclave's word.
    pub(crate) fn show_lost(&self, lost: Vec<Lost>) {
        for Lost { grant, terms } in lost {
            let (request, outcome) = (terms.request, Outcome::lost());
            tracing::warn!(grant, request, "a grant without usage is settled as lost");
            self.events.show(&Event::Usage { request, grant, outcome });
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Waits for ever: serving ends only by dropping this.
    pub async fn serve(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

fn tell(path: &Path, replayed: &Replayed) {
    let (ledger, open) = (path.display(), replayed.open.len());
    if replayed.torn_bytes > 0 {
        let bytes = replayed.torn_bytes;
        tracing::warn!(%ledger, bytes, "the last line was torn and does not count");
    }
    tracing::info!(%ledger, last_grant = replayed.last_grant, open, "ledger read");
}

/// Settles grants past their deadline.
async fn sweep(host: Arc<Host>) {
    let pause = host.usage_deadline.min(Duration::from_secs(60)) / 2;
    let deadline_ms = u64::try_from(host.usage_deadline.as_millis()).unwrap_or(u64::MAX);
    loop {
        tokio::time::sleep(pause).await;
        let now_ms = crate::now_ms();
        let until_ms = now_ms.saturating_sub(deadline_ms);
        let expired = host.ledger().expire(now_ms, until_ms);
        match expired {
            Ok(lost) => host.show_lost(lost),
            Err(error) => tracing::error!(%error, "grants past their deadline stay open"),
        }
    }
}
