//! A world with a hostile host: shipped client, shipped enclave, the adversary between them, and
//! the mock provider behind.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use aegis_client::Trust;
use aegis_mock::DEFAULT_KEY;
use aegis_mock::Mock;
use aegis_mock::MockConfig;
use aegis_mock::MockHandle;
use aegis_mock::MockRoot;
use tempfile::TempDir;

use crate::agent;
use crate::enclave::Enclave;
use crate::enclave::Image;
use crate::hostile::Hostile;
use crate::program::Program;
use crate::user::KEY;
use crate::user::User;

/// The names under which the development table has the mock.
pub const MOCK_NAMES: [&str; 4] = [
    "openai.mock.aegis.test",
    "anthropic.mock.aegis.test",
    "gemini.mock.aegis.test",
    "openrouter.mock.aegis.test",
];

/// Everything of one test. It ends when dropped.
pub struct World {
    /// The enclave.
    pub enclave: Enclave,
    /// The adversary.
    pub hostile: Hostile,
    /// The provider.
    pub mock: MockHandle,
    /// The provider's root.
    pub mock_root: Arc<MockRoot>,
    folder: TempDir,
}

impl World {
    /// Starts everything; the adversary behaves until told otherwise.
    pub async fn start() -> io::Result<Self> {
        Self::with_mock(|config| config).await
    }

    /// The same with another mock.
    pub async fn with_mock(change: impl FnOnce(MockConfig) -> MockConfig) -> io::Result<Self> {
        let folder = TempDir::new()?;
        let mock_root = Arc::new(MockRoot::generate().map_err(io::Error::other)?);
        mock_root.save(folder.path()).map_err(io::Error::other)?;
        let config = change(MockConfig::tls(Arc::clone(&mock_root), &MOCK_NAMES));
        let mock = Mock::start(config).await.map_err(io::Error::other)?;
        let legs = subfolder(&folder, "legs")?;
        let hostile = Hostile::start(&legs, mock.addr()).await?;
        hostile.desk().set_credential(DEFAULT_KEY.as_bytes());
        std::fs::write(folder.path().join("outer.pem"), &hostile.outer().root_pem)?;
        let enclave = enclave_in(&folder, Image::Shipped, &legs, "state").await?;
        hostile.wait_hello(1).await?;
        Ok(Self { enclave, hostile, mock, mock_root, folder })
    }

    /// Another enclave, which the adversary also runs: its root is that of the state folder
    /// `state` (`"state"` is the first enclave's), its legs are the folder that is returned.
    pub async fn another_enclave(
        &self,
        image: Image<'_>,
        state: &str,
    ) -> io::Result<(Enclave, PathBuf)> {
        let legs = subfolder(&self.folder, "other-legs")?;
        let enclave = enclave_in(&self.folder, image, &legs, state).await?;
        Ok((enclave, legs))
    }

    /// A folder that lives as long as the world.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// State folder of the enclave, with its development root.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A user who trusts exactly this enclave.
    pub fn user(&self) -> io::Result<User> {
        self.user_trusting(self.enclave.trust()?)
    }

    /// Starts an agent that trusts exactly this enclave and goes through the adversary. Gives the
    /// address at which it listens.
    pub async fn start_agent(&self) -> io::Result<(Program, SocketAddr)> {
        agent::start(&self.enclave, self.hostile.address(), self.folder.path(), &[]).await
    }

    /// A user who trusts something else.
    pub fn user_trusting(&self, trust: Trust) -> io::Result<User> {
        let root = self.folder.path().join("outer.pem");
        User::new(self.hostile.address(), &root, trust, KEY)
    }
}

async fn enclave_in(
    folder: &TempDir,
    image: Image<'_>,
    legs: &Path,
    state: &str,
) -> io::Result<Enclave> {
    let mock_root = folder.path().join(aegis_mock::ROOT_FILE);
    Enclave::start(image, legs, &folder.path().join(state), &mock_root).await
}

fn subfolder(folder: &TempDir, name: &str) -> io::Result<PathBuf> {
    let path = folder.path().join(name);
    std::fs::create_dir(&path)?;
    Ok(path)
}
