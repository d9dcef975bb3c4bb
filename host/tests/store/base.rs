//! An empty database with the commands and a writer on it.

use std::{path::PathBuf, sync::Arc};

use aegis_host::{
    admin::{
        Admin, account::AccountCommand, budget::BudgetCommand, key::KeyCommand,
        limit::LimitCommand, price::PriceCommand, tenant::TeamCommand, tenant::TenantCommand,
    },
    books::{Books, Floors, Terms, Written},
    config::BooksConfig,
    directory::Directory,
    fleet::Boot,
    money::Micro,
    providers::{PRODUCTION_TABLE, Providers},
    store::{Address, Store},
};
use aegis_wire::control::{Class, Custody, Label, Source, Usage};
use clap::{Command, FromArgMatches, Subcommand};
use sqlx::Row;
use tempfile::TempDir;
use tokio::sync::watch;

/// A day in 2026, at noon.
pub(crate) const NOON: u64 = 1_795_176_000_000;

pub(crate) struct Base {
    pub(crate) address: Address,
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
}

impl Base {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::sqlite(&folder.path().join("aegis.db"));
        Self::at(address, folder).await
    }

    pub(crate) async fn postgres() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = crate::postgres::database().await;
        let address = Address::parse(&url, folder.path()).unwrap();
        Self::at(address, folder).await
    }

    async fn at(address: Address, folder: TempDir) -> Self {
        let store = Store::open(&address).await.unwrap();
        std::fs::write(folder.path().join("master.key"), "0f".repeat(32)).unwrap();
        Self { address, folder, store }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn admin(&self) -> Admin {
        let config = BooksConfig {
            address: self.address.clone(),
            master: aegis_host::config::MasterKey::File(self.path("master.key")),
            providers: providers(),
        };
        Admin { store: self.store.clone(), config }
    }

    /// A command line; its error's text if it is refused.
    pub(crate) async fn run(&self, line: &str) -> Result<(), String> {
        let admin = self.admin();
        let (kind, rest) = line.split_once(' ').unwrap();
        let done = match kind {
            "tenant" => parsed::<TenantCommand>(rest)?.run(&admin).await,
            "team" => parsed::<TeamCommand>(rest)?.run(&admin).await,
            "key" => parsed::<KeyCommand>(rest)?.run(&admin).await,
            "account" => parsed::<AccountCommand>(rest)?.run(&admin).await,
            "price" => parsed::<PriceCommand>(rest)?.run(&admin).await,
            "budget" => parsed::<BudgetCommand>(rest)?.run(&admin).await,
            "limit" => parsed::<LimitCommand>(rest)?.run(&admin).await,
            other => panic!("{other}"),
        };
        done.map_err(|error| error.to_string())
    }

    pub(crate) async fn all(&self, lines: &[&str]) {
        for line in lines {
            self.run(line).await.unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    pub(crate) async fn directory(&self) -> Directory {
        let vault = self.admin().config.master.vault().unwrap();
        Directory::load(&self.store, vault.as_ref(), &providers()).await.unwrap()
    }

    /// A host's writer with the directory of now.
    pub(crate) async fn books(&self, host: &str) -> Books {
        let (tell, directory) = watch::channel(Arc::new(self.directory().await));
        // The last state stays readable without its sender.
        drop(tell);
        let (store, floors) = (self.store.clone(), Floors::default());
        Books::start(store, host.into(), floors, &providers(), directory)
    }

    /// One number.
    pub(crate) async fn number(&self, text: &str) -> i64 {
        sqlx::query(text).fetch_one(self.store.pool()).await.unwrap().get(0)
    }

    /// One text, none for null.
    pub(crate) async fn word(&self, text: &str) -> Option<String> {
        sqlx::query(text).fetch_one(self.store.pool()).await.unwrap().get(0)
    }

    /// Settled and reserved of a budget.
    pub(crate) async fn used(&self, scope: &str, name: &str, period: &str) -> (i64, i64) {
        let text = "SELECT settled, reserved FROM budgets \
                    WHERE scope = $1 AND name = $2 AND period = $3";
        let query = sqlx::query(text).bind(scope.to_owned()).bind(name.to_owned());
        let row = query.bind(period.to_owned()).fetch_one(self.store.pool()).await.unwrap();
        (row.get(0), row.get(1))
    }
}

pub(crate) fn providers() -> Providers {
    Providers::parse(PRODUCTION_TABLE).unwrap()
}

fn parsed<C: Subcommand + FromArgMatches>(line: &str) -> Result<C, String> {
    let command = C::augment_subcommands(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(line.split(' ')).map_err(|e| e.to_string())?;
    C::from_arg_matches(&matches).map_err(|e| e.to_string())
}

pub(crate) const BOOT: Boot = Boot([1; 16]);

/// A request of key `laptop` of tenant `acme`.
pub(crate) fn terms(request: u64) -> Terms {
    Terms {
        boot: BOOT,
        request,
        attempt: 1,
        session: 9,
        tenant: "acme".into(),
        team: "acme/red".into(),
        key: "laptop".into(),
        enclave: "blue".into(),
        release: 7,
        provider: "openai".into(),
        class: Class::Generate,
        custody: Custody::Host,
        account: 4,
        reserve: None,
    }
}

/// The provider's figures: so many input tokens.
pub(crate) fn usage(grant: u64, input: u32) -> Usage {
    let mut counts = [None; 12];
    counts[0] = Some(input);
    Usage {
        grant,
        status_class: 2,
        source: Source::Provider,
        counts,
        label: Label::new(b"mock-1"),
        first_byte_ms: 1,
        total_ms: 2,
    }
}

/// As the enclave has it from now on.
pub(crate) fn sent(written: Written) -> u64 {
    let number = written.number();
    written.sent();
    number
}

/// Prices in which a token costs one micro-unit.
pub(crate) const PRICES: &str = "price set * --from 2026-01-01 input=1 output=1";

/// What [`Floors`] reserves for a request without a past.
pub(crate) fn floor() -> i64 {
    let Micro(floor) = Floors::default().0[&Class::Generate];
    floor
}
