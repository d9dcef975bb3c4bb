//! What the store says about who may do what, in memory: keys, accounts, prices, limits. A task
//! looks every second whether somebody changed it, so a revoked key is dead within two.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use aegis_wire::{account::Owner, control::Class};
use sqlx::any::AnyRow;
use tokio::sync::watch;

use crate::{
    accounts::{Account, Accounts, State},
    books::Scope,
    keys::{Key, KeyId, Keys},
    limits::Limits,
    money::Micro,
    prices::{Kind, Price, Prices},
    providers::Providers,
    secret::Secret,
    store::{Store, StoreError, get},
    vault::{Vault, VaultError},
};

/// How often a host looks for changes.
const LOOK: Duration = Duration::from_secs(1);

/// One state of it.
#[derive(Debug, Default)]
pub struct Directory {
    /// Counts changes.
    pub revision: i64,
    /// Virtual keys.
    pub keys: Keys,
    /// Provider accounts.
    pub accounts: Accounts,
    /// Price table.
    pub prices: Prices,
    /// Limits of keys, teams and tenants.
    pub limits: BTreeMap<(Scope, String), Limits>,
}

/// Why the directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A credential.
    #[error("{0}")]
    Vault(#[from] VaultError),
    /// There are credentials, and no key to open them.
    #[error(
        "the store has accounts, and the configuration has no master key; name it in [store] by \
         master_key_file, master_key_env or master_key_command"
    )]
    NoVault,
}

impl Directory {
    /// Reads it. What cannot be opened is an error.
    pub async fn load(
        store: &Store,
        vault: Option<&Vault>,
        providers: &Providers,
    ) -> Result<Self, DirectoryError> {
        let (directory, mut closed) = Self::read(store, vault, providers, None).await?;
        match closed.pop() {
            Some(error) => Err(error),
            None => Ok(directory),
        }
    }

    /// Reads it while a host serves: an account that cannot be opened keeps the credential it had,
    /// or is left out, and the rest is as the store says.
    async fn read(
        store: &Store,
        vault: Option<&Vault>,
        providers: &Providers,
        before: Option<&Self>,
    ) -> Result<(Self, Vec<DirectoryError>), DirectoryError> {
        // Before the rest: what changes meanwhile is read again.
        let revision = store.revision().await?;
        let (mut closed, mut accounts) = (Vec::new(), Vec::new());
        for row in rows(store, "SELECT * FROM accounts ORDER BY number").await? {
            let sealed = Sealed::read(store, &row)?;
            if sealed.state == State::Revoked {
                continue;
            }
            let Some(provider) = providers.index_of(&sealed.provider) else {
                tracing::warn!(account = sealed.number, "its provider is not in the table");
                continue;
            };
            let opened = match vault {
                // The enclaves have it from its owner.
                _ if sealed.owner.is_some() => Ok(Secret::new(String::new())),
                Some(vault) => vault
                    .open(sealed.number, &sealed.provider, &sealed.record)
                    .map_err(DirectoryError::Vault),
                None => Err(DirectoryError::NoVault),
            };
            let credential = opened.or_else(|error| {
                let known = before.and_then(|before| before.accounts.by_number(sealed.number));
                let known = known.filter(|known| known.provider == provider);
                closed.push(error);
                known.map(|known| known.credential.clone()).ok_or(())
            });
            if let Ok(credential) = credential {
                accounts.push(sealed.account(provider, credential));
            }
        }
        let directory = Self {
            revision,
            keys: keys(store, providers).await?,
            accounts: Accounts(accounts),
            prices: prices(store).await?,
            limits: limits(store).await?,
        };
        Ok((directory, closed))
    }
}

/// Reads it again whenever it changed, for ever. A store that is away changes nothing here: no
/// grant can be given then either.
pub(crate) async fn follow(
    store: Store,
    vault: Option<Arc<Vault>>,
    providers: Providers,
    directory: watch::Sender<Arc<Directory>>,
) {
    loop {
        tokio::time::sleep(LOOK).await;
        let known = Arc::clone(&directory.borrow());
        let changed = match store.revision().await {
            Ok(revision) => revision != known.revision,
            Err(error) => {
                tracing::warn!(%error, "changes of keys and accounts cannot be seen");
                false
            }
        };
        if !changed {
            continue;
        }
        match Directory::read(&store, vault.as_deref(), &providers, Some(&known)).await {
            Ok((new, closed)) => {
                for error in closed {
                    tracing::error!(%error, "a credential cannot be opened");
                }
                tracing::info!(revision = new.revision, keys = new.keys.len(), "directory read");
                directory.send_replace(Arc::new(new));
            }
            Err(error) => tracing::error!(%error, "the directory cannot be read"),
        }
    }
}

/// An account as it is stored.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) number: u32,
    pub(crate) provider: String,
    pub(crate) record: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) state: State,
    pub(crate) weight: u32,
    pub(crate) priority: u32,
}

impl Sealed {
    pub(crate) fn read(store: &Store, row: &AnyRow) -> Result<Self, StoreError> {
        let small = |column| -> Result<u32, StoreError> {
            let value: i64 = get(store, row, column)?;
            u32::try_from(value).map_err(|_| store.odd(format!("{column} of an account")))
        };
        let state: String = get(store, row, "state")?;
        let owner: Option<String> = get(store, row, "owner")?;
        let owner = owner.map(|text| {
            let mut owner = Owner::default();
            let read = hex::decode_to_slice(text, &mut owner);
            read.map(|()| owner).map_err(|_| store.odd("owner of an account"))
        });
        Ok(Self {
            number: small("number")?,
            provider: get(store, row, "provider")?,
            record: get(store, row, "sealed")?,
            owner: owner.transpose()?,
            state: State::from_word(&state).ok_or_else(|| store.odd("state of an account"))?,
            weight: small("weight")?,
            priority: small("priority")?,
        })
    }

    fn account(&self, provider: u16, credential: Secret) -> Account {
        Account {
            number: self.number,
            provider,
            credential,
            owner: self.owner,
            state: self.state,
            weight: self.weight,
            priority: self.priority,
        }
    }
}

async fn rows(store: &Store, text: &str) -> Result<Vec<AnyRow>, StoreError> {
    sqlx::query(text).fetch_all(store.pool()).await.map_err(|error| store.failed(error))
}

async fn keys(store: &Store, providers: &Providers) -> Result<Keys, StoreError> {
    let mut digests: HashMap<String, Vec<(KeyId, Option<u64>)>> = HashMap::new();
    for row in rows(store, "SELECT digest, key_name, expires_ms FROM key_secrets").await? {
        let (text, name): (String, String) =
            (get(store, &row, "digest")?, get(store, &row, "key_name")?);
        let mut digest = [0; 32];
        hex::decode_to_slice(&text, &mut digest).map_err(|_| store.odd("digest of a key"))?;
        let ends: Option<i64> = get(store, &row, "expires_ms")?;
        digests.entry(name).or_default().push((KeyId(digest), ends.map(i64::unsigned_abs)));
    }
    let text = "SELECT k.name, k.tenant, k.team, k.providers, k.classes, k.reserve, k.expires_ms, \
        COALESCE(k.revoked_ms, g.revoked_ms, t.revoked_ms) AS revoked_ms FROM virtual_keys k \
        JOIN tenants t ON t.name = k.tenant \
        LEFT JOIN teams g ON g.tenant = k.tenant AND g.name = k.team ORDER BY k.name";
    let mut keys = Keys::default();
    for row in rows(store, text).await? {
        // Of what is revoked nothing is needed any more.
        if get::<Option<i64>>(store, &row, "revoked_ms")?.is_none() {
            let key = key(store, providers, &row)?;
            let known = digests.remove(&key.name).unwrap_or_default();
            keys.add(key, known);
        }
    }
    Ok(keys)
}

fn key(store: &Store, providers: &Providers, row: &AnyRow) -> Result<Key, StoreError> {
    let (name, tenant, team): (String, String, String) =
        (get(store, row, "name")?, get(store, row, "tenant")?, get(store, row, "team")?);
    let words = |column| -> Result<Option<Vec<String>>, StoreError> {
        let text: Option<String> = get(store, row, column)?;
        Ok(text.map(|text| text.split(',').map(str::to_owned).collect()))
    };
    // A word that means nothing here restricts as much as one that does.
    let provider = |name: &String| {
        let index = providers.index_of(name);
        if index.is_none() {
            tracing::warn!(provider = name, "a key names a provider that is not in the table");
        }
        index
    };
    let team = if team.is_empty() { team } else { format!("{tenant}/{team}") };
    Ok(Key {
        providers: words("providers")?.map(|names| names.iter().filter_map(provider).collect()),
        classes: words("classes")?
            .map(|words| words.iter().filter_map(|word| Class::from_word(word)).collect()),
        reserve: get::<Option<i64>>(store, row, "reserve")?.map(Micro),
        ends_ms: get::<Option<i64>>(store, row, "expires_ms")?.map(i64::unsigned_abs),
        name,
        tenant,
        team,
    })
}

async fn prices(store: &Store) -> Result<Prices, StoreError> {
    let found = rows(store, "SELECT * FROM prices ORDER BY provider, model, kind").await?;
    let price = |row: &AnyRow| {
        let kind: String = get(store, row, "kind")?;
        Ok(Price {
            provider: get(store, row, "provider")?,
            model: get(store, row, "model")?,
            kind: Kind::from_word(&kind).ok_or_else(|| store.odd("kind of a price"))?,
            effective_ms: get(store, row, "effective_ms")?,
            amount: Micro(get(store, row, "amount")?),
        })
    };
    Ok(Prices(found.iter().map(price).collect::<Result<_, StoreError>>()?))
}

async fn limits(store: &Store) -> Result<BTreeMap<(Scope, String), Limits>, StoreError> {
    let mut limits = BTreeMap::new();
    for row in rows(store, "SELECT * FROM limits").await? {
        let scope: String = get(store, &row, "scope")?;
        let scope = Scope::from_word(&scope).ok_or_else(|| store.odd("scope of a limit"))?;
        let number = |column| -> Result<Option<u32>, StoreError> {
            let value: Option<i64> = get(store, &row, column)?;
            let value = value.map(|value| u32::try_from(value).ok());
            value.map(|value| value.ok_or_else(|| store.odd("a limit"))).transpose()
        };
        let set = Limits {
            requests_per_minute: number("requests_per_minute")?,
            tokens_per_minute: number("tokens_per_minute")?,
            streams: number("streams")?,
            sessions: number("sessions")?,
        };
        limits.insert((scope, get(store, &row, "name")?), set);
    }
    Ok(limits)
}
