//! The parts put together: what all connections share, and the start.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    books::{Books, BooksError, Lost, Outcome},
    config::{Config, Enclave},
    control,
    directory::{self, Directory, DirectoryError},
    drain::Work,
    egress,
    events::{Event, Events},
    fleet::{Boot, EnclaveId, Fleet},
    grants::OpenGrants,
    ingress,
    legs::{Door, Doors, LegError},
    policy::Policy,
    providers::Providers,
    sessions::Sessions,
    store::{Store, StoreError},
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
    pub(crate) books: Books,
    directory: watch::Receiver<Arc<Directory>>,
    enclaves: Vec<Enclave>,
    pub(crate) work: Work,
    pub(crate) open: OpenGrants,
    usage_deadline: Duration,
}

/// Session numbers that one start has for itself.
const SESSION_NUMBERS: i64 = 1 << 32;

/// A host that serves until this is dropped. Connections that are open by then end with the
/// runtime.
#[derive(Debug)]
pub struct Running {
    /// Where clients connect.
    pub address: SocketAddr,
    host: Arc<Host>,
    ingress: AbortHandle,
    tasks: JoinSet<()>,
}

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// What it says about keys and accounts cannot be used.
    #[error("{0}")]
    Directory(#[from] DirectoryError),
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
        match self {
            Self::Store(error) | Self::Directory(DirectoryError::Store(error)) => {
                error.is_refusal()
            }
            Self::Directory(DirectoryError::Vault(_) | DirectoryError::NoVault) => true,
            Self::Leg(_) | Self::Listen { .. } => false,
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Virtual keys that are not revoked.
    pub keys: usize,
    /// Accounts whose credential opens.
    pub accounts: usize,
}

impl Host {
    /// Looks at the store and at the folders that a start would write to, and keeps nothing open.
    /// A host that runs with the same configuration is no obstacle.
    pub async fn check(config: &Config) -> Result<Checked, StartError> {
        let mut checked = Checked { keys: 0, accounts: 0 };
        if let Some(store) = Store::check(&config.books.address).await? {
            let vault = config.vault.as_deref();
            let directory = Directory::load(&store, vault, &config.books.providers).await?;
            checked.keys = directory.keys.len();
            checked.accounts = directory.accounts.0.len();
            store.close().await?;
        }
        for enclave in &config.enclaves {
            enclave.place.check()?;
        }
        Ok(checked)
    }

    /// Opens store and sockets, shows `ready`, and serves.
    pub async fn start(config: Config, events: Arc<Events>) -> Result<Running, StartError> {
        let store = Store::open(&config.books.address).await?;
        let vault = config.vault.clone();
        let directory = Directory::load(&store, vault.as_deref(), &config.books.providers).await?;
        let (tell, directory) = watch::channel(Arc::new(directory));
        let floor = crate::number_floor(crate::now_ms());
        let session = store.take("session", floor, SESSION_NUMBERS).await?.unsigned_abs();
        let places = || config.enclaves.iter().map(|enclave| &enclave.place);
        let control = Doors::open(Door::Control, places())?;
        let egress = Doors::open(Door::Egress, places())?;
        let address = config.listen;
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(store = store.shown(), "books open");
        let host = Arc::new(Self::new(config, &store, directory, session, events));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&host);
        control.serve(&mut tasks, move |enclave, stream| {
            tokio::spawn(control::serve(Arc::clone(&shared), enclave, stream));
        });
        let shared = Arc::clone(&host);
        egress.serve(&mut tasks, move |enclave, stream| {
            tokio::spawn(egress::serve(Arc::clone(&shared), enclave, stream));
        });
        let ingress = ingress::serve(Arc::clone(&host), listener, &mut tasks);
        tasks.spawn(sweep(Arc::clone(&host)));
        tasks.spawn(directory::follow(store, vault, host.providers.clone(), tell));
        host.events.show(&Event::Ready { listen: address });
        Ok(Running { address, host, ingress, tasks })
    }

    fn new(
        config: Config,
        store: &Store,
        directory: watch::Receiver<Arc<Directory>>,
        session: u64,
        events: Arc<Events>,
    ) -> Self {
        let Config {
            name,
            listen: _,
            tls,
            books,
            vault: _,
            floors,
            enclaves,
            custodies,
            handshake,
            releases,
            usage_deadline,
            drain: _,
            warnings: _,
        } = config;
        let providers = books.providers;
        let books = Books::start(store.clone(), name, floors, &providers, directory.clone());
        Self {
            tls,
            handshake,
            releases,
            providers,
            policy: Policy::new(custodies),
            fleet: Fleet::new(&enclaves),
            sessions: Arc::new(Sessions::new(session)),
            events,
            books,
            directory,
            enclaves,
            work: Work::default(),
            open: OpenGrants::default(),
            usage_deadline,
        }
    }

    /// Ids are made from this very list, so there is always one.
    pub(crate) fn enclave(&self, id: EnclaveId) -> &Enclave {
        &self.enclaves[id.0]
    }

    /// Keys, accounts, prices and limits as they are now.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.borrow())
    }

    /// Frees what grants hold that nobody will report any more.
    pub(crate) fn forget_gone(&self) {
        self.open.forget(&self.fleet, self.usage_deadline, Instant::now());
    }

    /// Settles as lost what that enclave was granted before this boot.
    pub(crate) async fn give_up_before(&self, enclave: &str, boot: Boot) -> Result<(), BooksError> {
        loop {
            let some = self.books.enclave_restarted(crate::now_ms(), enclave, boot).await?;
            self.show_lost(some.lost);
            if !some.more {
                return Ok(());
            }
        }
    }

    /// Settles as lost what is past its deadline.
    async fn give_up_expired(&self) -> Result<(), BooksError> {
        let deadline_ms = u64::try_from(self.usage_deadline.as_millis()).unwrap_or(u64::MAX);
        loop {
            let now_ms = crate::now_ms();
            let some = self.books.expire(now_ms, now_ms.saturating_sub(deadline_ms)).await?;
            self.show_lost(some.lost);
            if !some.more {
                return Ok(());
            }
        }
    }

    /// Shows grants that were settled without the enclave's word.
    fn show_lost(&self, lost: Vec<Lost>) {
        for Lost { grant, request } in lost {
            self.open.lost(grant);
            let outcome = Outcome::lost();
            tracing::warn!(grant, request, "a grant without usage is settled as lost");
            self.events.show(&Event::Usage { request, grant, outcome });
        }
    }
}

impl Running {
    /// Waits for ever: serving ends only by dropping this.
    pub async fn serve(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Takes no further client and grants no further request; waits until no grant is open, or no
    /// enclave is there to say what became of them.
    pub async fn drain(&self) {
        self.host.work.stop();
        self.ingress.abort();
        tokio::select! {
            () = self.host.work.ended() => {}
            () = self.host.fleet.gone() => {}
        }
    }
}

/// Settles grants past their deadline, and frees what is held for nobody.
async fn sweep(host: Arc<Host>) {
    let pause = host.usage_deadline.min(Duration::from_secs(60)) / 2;
    loop {
        tokio::time::sleep(pause).await;
        host.forget_gone();
        if let Err(error) = host.give_up_expired().await {
            tracing::error!(%error, "grants past their deadline stay open");
        }
    }
}
