//! An attack against the plaintext baseline: agent, router with the attacker in it, provider.

use std::io;
use std::sync::Arc;

use aegis_mock::DEFAULT_KEY;
use aegis_mock::Mock;
use aegis_mock::MockConfig;
use aegis_mock::MockHandle;
use aegis_mock::MockRoot;
use aegis_rig::world::MOCK_NAMES;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::agent;
use crate::agent::Base;
use crate::router::Http;
use crate::router::Router;

/// The key that callers of the plaintext router send.
const CALLER_KEY: &str = "router-key-made-up";

/// A plaintext router between an agent and the mock. It ends when dropped.
pub struct Baseline {
    /// The provider.
    pub mock: MockHandle,
    /// The router.
    pub router: Arc<Router>,
    /// What the agent is given.
    pub base: Base,
    /// The root of the router's certificate.
    pub root: MockRoot,
    tasks: JoinSet<()>,
}

impl Baseline {
    /// Starts both; the attacker is switched off.
    pub async fn start() -> io::Result<Self> {
        Self::with_mock(|config| config).await
    }

    /// The same with another mock.
    pub async fn with_mock(change: impl FnOnce(MockConfig) -> MockConfig) -> io::Result<Self> {
        let provider = Arc::new(MockRoot::generate().map_err(io::Error::other)?);
        let provider_root = provider.der().map_err(io::Error::other)?;
        let config = change(MockConfig::tls(provider, &MOCK_NAMES));
        let mock = Mock::start(config).await.map_err(io::Error::other)?;
        let root = MockRoot::generate().map_err(io::Error::other)?;
        let router = Router::new(mock.addr(), provider_root, CALLER_KEY, DEFAULT_KEY);
        let mut tasks = JoinSet::new();
        let address = router.listen(&root, &["localhost", "127.0.0.1"], &mut tasks).await?;
        let der = root.der().map_err(io::Error::other)?;
        let base = Base {
            address,
            root: Some(der),
            key: CALLER_KEY.to_owned(),
            patience: agent::PATIENCE,
        };
        Ok(Self { mock, router, base, root, tasks })
    }

    /// A port on loopback without TLS, as an agent's machine would have in front of the router.
    pub async fn listen_in_the_clear(&mut self) -> io::Result<Base> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, router) = (listener.local_addr()?, Arc::clone(&self.router));
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(Arc::clone(&router).serve(stream, Http::One));
            }
        });
        Ok(Base { address, root: None, ..self.base.clone() })
    }
}
