//! The database: SQLite in a file of the operator's, or PostgreSQL for several hosts. One set of
//! migrations, one text for every statement; what differs between the two stands here.
//!
//! An empty database is set up by the first command that opens it. An older one is changed by
//! `aegis-host migrate` alone, since hosts of the older program may still use it; a newer one is
//! refused.

use std::{
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

use sqlx::{
    Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor, Row, Transaction,
    any::{AnyArguments, AnyConnectOptions, AnyPoolOptions, AnyRow},
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    query::Query,
};

use crate::folder;

mod address;
mod copy;

pub use address::Address;
pub use copy::CopyError;

/// Version, name and text of each step, oldest first. A step that was released never changes.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "books", include_str!("store/migrations/0001_books.sql")),
    (2, "sums", include_str!("store/migrations/0002_sums.sql")),
];

/// What this program writes and reads.
const LATEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Time for a connection, and for one statement on PostgreSQL.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The text of the configuration names none.
    #[error("store `{0}` is no address; write sqlite:FILE or postgres://USER@HOST/DATABASE")]
    Address(String),
    /// A character that ends the part of an address where passwords stand is in it as it is.
    #[error(
        "the store's address has `/`, `?` or `#` before its last `@`; write them in the password as \
         %2F, %3F, %23"
    )]
    Password,
    /// The file's folder is missing or takes no files.
    #[error("store {}: its folder takes no file: {source}; make the folder or name another", path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file cannot be made or opened.
    #[error("store {}: {source}; check the path and its permissions", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is a file, a folder or a pipe, and it is no database of ours.
    #[error("store {0}: this is no database of aegis-host; name another file")]
    Foreign(String),
    /// It was made by a newer program.
    #[error(
        "store {store}: its schema is version {found}, and this program knows {LATEST}; start the \
         newer aegis-host that made it"
    )]
    Newer {
        /// Where.
        store: String,
        /// Version found.
        found: i64,
    },
    /// It was made by an older program.
    #[error(
        "store {store}: its schema is version {found}, and this program needs {LATEST}; back it \
         up, stop older hosts, and run `aegis-host migrate`"
    )]
    Older {
        /// Where.
        store: String,
        /// Version found.
        found: i64,
    },
    /// A step that was applied has another text now.
    #[error("store {store}: {source}; use the aegis-host that made it")]
    Migrate {
        /// Where.
        store: String,
        /// What the steps say.
        source: MigrateError,
    },
    /// The database refuses or is away.
    #[error("store {store}: {source}; see that it runs and takes this user")]
    Database {
        /// Where.
        store: String,
        /// What it says.
        source: sqlx::Error,
    },
    /// A row has a value that this program never writes.
    #[error("store {store}: {what} cannot be read; somebody else changed it, restore a backup")]
    Row {
        /// Where.
        store: String,
        /// Which.
        what: String,
    },
}

impl StoreError {
    /// Whether a check refused, rather than the environment.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Foreign(_) | Self::Newer { .. } | Self::Older { .. } => true,
            Self::Migrate { .. } | Self::Row { .. } => true,
            Self::Address(_) | Self::Password => false,
            Self::Folder { .. } | Self::File { .. } | Self::Database { .. } => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

/// An open database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    kind: Kind,
    shown: String,
    is_copy: bool,
}

/// A transaction on either database.
pub type Write = Transaction<'static, Any>;

impl Store {
    /// Opens a database of this program's schema, and sets up an empty one.
    pub async fn open(address: &Address) -> Result<Self, StoreError> {
        let store = Self::connect(address).await?;
        match store.version().await? {
            None => store.apply().await?,
            Some(found) => store.fits(found)?,
        }
        Ok(store)
    }

    /// Whether [`Store::open`] would succeed; changes nothing. None when there is no database yet.
    pub async fn check(address: &Address) -> Result<Option<Self>, StoreError> {
        if let Some(path) = &address.path
            && !path.exists()
        {
            let folder = |source| StoreError::Folder { path: path.clone(), source };
            return folder::takes_files(path).map(|()| None).map_err(folder);
        }
        let store = Self::connect(address).await?;
        let Some(found) = store.version().await? else { return Ok(None) };
        store.fits(found)?;
        Ok(Some(store))
    }

    /// Opens a backup, which is only read: nothing is made, nothing is changed.
    pub async fn open_copy(path: &Path) -> Result<Self, StoreError> {
        let (address, file) = (Address::copy(path), path.to_owned());
        let found = std::fs::metadata(path);
        let found = found.map_err(|source| StoreError::File { path: file, source })?;
        if !found.is_file() || found.len() == 0 {
            return Err(StoreError::Foreign(address.shown));
        }
        let store = Self::connect(&address).await?;
        let found = store.version().await?;
        store.fits(found.ok_or_else(|| StoreError::Foreign(address.shown.clone()))?)?;
        Ok(store)
    }

    /// Brings the schema up to this program's version; gives the version before and after.
    pub async fn migrate(address: &Address) -> Result<(i64, i64), StoreError> {
        let store = Self::connect(address).await?;
        let before = store.version().await?.unwrap_or(0);
        if before > LATEST {
            store.fits(before)?;
        }
        store.apply().await?;
        Ok((before, LATEST))
    }

    async fn connect(address: &Address) -> Result<Self, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let prepare = match address.is_copy {
            true => "PRAGMA query_only = ON",
            false => address.kind.prepare(),
        };
        if let Some(path) = address.path.as_ref().filter(|_| !address.is_copy) {
            make_private(path)?;
        }
        let options = AnyPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move { connection.execute(prepare).await.map(|_| ()) })
            });
        let failed = |source: sqlx::Error| match is_foreign(&source) {
            true => StoreError::Foreign(address.shown.clone()),
            false => StoreError::Database { store: address.shown.clone(), source },
        };
        // Statements say nothing that the log of a host should.
        let target = address.url.parse::<AnyConnectOptions>().map_err(failed)?;
        let target = target.disable_statement_logging();
        // One by itself first: a pool would try for a while and then say only that it did.
        let probe = async {
            let mut first = AnyConnection::connect_with(&target).await?;
            first.execute(prepare).await?;
            first.close().await
        };
        match tokio::time::timeout(PATIENCE, probe).await {
            Ok(probed) => probed.map_err(failed)?,
            Err(_) => return Err(failed(sqlx::Error::PoolTimedOut)),
        }
        let pool = options.connect_lazy_with(target);
        Ok(Self {
            pool,
            kind: address.kind,
            shown: address.shown.clone(),
            is_copy: address.is_copy,
        })
    }

    /// Version of the schema, none in an empty database.
    async fn version(&self) -> Result<Option<i64>, StoreError> {
        let (tables, steps) = match self.kind {
            Kind::Sqlite => {
                let from = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'";
                (from.to_owned(), format!("{from} AND name = '_sqlx_migrations'"))
            }
            Kind::Postgres => {
                let from = "SELECT COUNT(*) FROM information_schema.tables \
                            WHERE table_schema = current_schema()";
                (from.to_owned(), format!("{from} AND table_name = '_sqlx_migrations'"))
            }
        };
        if self.number(&tables).await? == 0 {
            return Ok(None);
        }
        if self.number(&steps).await? == 0 {
            return Err(StoreError::Foreign(self.shown.clone()));
        }
        let version = self.number("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations").await?;
        Ok((version > 0).then_some(version))
    }

    fn fits(&self, found: i64) -> Result<(), StoreError> {
        let store = self.shown.clone();
        match found.cmp(&LATEST) {
            std::cmp::Ordering::Less => Err(StoreError::Older { store, found }),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(StoreError::Newer { store, found }),
        }
    }

    async fn apply(&self) -> Result<(), StoreError> {
        let step = |(version, name, text): (i64, &'static str, &'static str)| {
            Migration::new(version, name.into(), MigrationType::Simple, text.into(), false)
        };
        let migrations = MIGRATIONS.map(step).to_vec();
        let migrator = Migrator { migrations: migrations.into(), ..Migrator::DEFAULT };
        let failed = |source| StoreError::Migrate { store: self.shown.clone(), source };
        let mut connection = self.pool.acquire().await.map_err(|error| self.failed(error))?;
        if self.kind == Kind::Postgres {
            // A new index on a large ledger takes longer than any statement of a host may.
            let done = connection.execute("SET statement_timeout = 0").await;
            done.map_err(|error| self.failed(error))?;
        }
        migrator.run(&mut connection).await.map_err(failed)?;
        // Nobody else gets a connection without that limit.
        connection.close().await.map_err(|error| self.failed(error))
    }

    async fn number(&self, text: &str) -> Result<i64, StoreError> {
        let row = sqlx::query(text).fetch_one(&self.pool).await.map_err(|e| self.failed(e))?;
        row.try_get(0).map_err(|e| self.failed(e))
    }

    /// Ends all connections. SQLite's file then holds everything: its log may be taken off later, when
    /// the threads of its connections have ended.
    pub async fn close(self) -> Result<(), StoreError> {
        if self.kind == Kind::Sqlite && !self.is_copy {
            let done = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pool).await;
            done.map_err(|error| self.failed(error))?;
        }
        self.pool.close().await;
        Ok(())
    }

    /// Connections, for statements outside a transaction.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// A transaction that writes. SQLite has one writer at a time; PostgreSQL locks the rows that
    /// [`Store::lock`] marks.
    pub async fn begin(&self) -> Result<Write, StoreError> {
        let begin = match self.kind {
            Kind::Sqlite => "BEGIN IMMEDIATE",
            Kind::Postgres => "BEGIN",
        };
        self.pool.begin_with(begin).await.map_err(|e| self.failed(e))
    }

    /// A transaction that sees one state of everything while others write, for as long as it takes.
    pub async fn snapshot(&self) -> Result<Write, StoreError> {
        let begin = match self.kind {
            Kind::Sqlite => "BEGIN",
            Kind::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let mut read = self.pool.begin_with(begin).await.map_err(|e| self.failed(e))?;
        if self.kind == Kind::Postgres {
            let patient = sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *read).await;
            patient.map_err(|e| self.failed(e))?;
        }
        Ok(read)
    }

    /// What a SELECT ends with so that its rows stay as they are until the commit.
    pub fn lock(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "",
            Kind::Postgres => " FOR UPDATE",
        }
    }

    /// What keeps other transactions from adding ledger rows (`alone`), or waits for one that does.
    pub fn ledger_lock(&self, alone: bool) -> Option<&'static str> {
        match (self.kind, alone) {
            (Kind::Sqlite, _) => None,
            (Kind::Postgres, true) => Some("LOCK TABLE ledger IN SHARE ROW EXCLUSIVE MODE"),
            (Kind::Postgres, false) => Some("LOCK TABLE ledger IN ROW EXCLUSIVE MODE"),
        }
    }

    /// Takes `count` numbers out of a counter, all of them at least `floor`; gives the first.
    pub async fn take(&self, counter: &str, floor: i64, count: i64) -> Result<i64, StoreError> {
        let text = "UPDATE counters SET value = $1 + \
                    CASE WHEN value < $2 THEN $2 ELSE value END WHERE name = $3 RETURNING value";
        let query = sqlx::query(text).bind(count).bind(floor).bind(counter);
        let row = query.fetch_one(&self.pool).await.map_err(|e| self.failed(e))?;
        row.try_get::<i64, _>(0).map(|next| next - count).map_err(|e| self.failed(e))
    }

    /// Counts changes of what hosts keep in memory.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        self.number("SELECT value FROM counters WHERE name = 'revision'").await
    }

    /// An error with the store's name.
    pub fn failed(&self, source: sqlx::Error) -> StoreError {
        StoreError::Database { store: self.shown.clone(), source }
    }

    /// A row that was changed by hand.
    pub fn odd(&self, what: impl Into<String>) -> StoreError {
        StoreError::Row { store: self.shown.clone(), what: what.into() }
    }

    /// For messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl Kind {
    /// What every connection begins with. SQLite: a commit is on the disk when it returns.
    fn prepare(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
            }
            Self::Postgres => "SET statement_timeout = 5000",
        }
    }
}

/// The file tells who used the router when: made for this user alone.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let path = path.to_owned();
    match std::fs::metadata(&path) {
        Ok(found) if !found.is_file() => {
            return Err(StoreError::Foreign(path.display().to_string()));
        }
        Ok(_) => {}
        Err(_) => {
            if let Err(source) = folder::takes_files(&path) {
                return Err(StoreError::Folder { path, source });
            }
        }
    }
    let mut options = std::fs::OpenOptions::new();
    let opened = options.read(true).append(true).create(true).mode(0o600).open(&path);
    opened.map(|_| ()).map_err(|source| StoreError::File { path, source })
}

/// SQLite's own word for a file that it did not write.
fn is_foreign(error: &sqlx::Error) -> bool {
    let text = error.as_database_error().map(|error| error.message().to_owned());
    text.is_some_and(|text| text.contains("not a database") || text.contains("malformed"))
}

/// A value of either type that columns have, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// BIGINT.
    Number(Option<i64>),
    /// TEXT.
    Text(Option<String>),
}

impl Value {
    /// Puts it in the next place of a statement.
    pub fn bind<'q>(
        self,
        query: Query<'q, Any, AnyArguments<'q>>,
    ) -> Query<'q, Any, AnyArguments<'q>> {
        match self {
            Self::Number(number) => query.bind(number),
            Self::Text(text) => query.bind(text),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

/// Columns of the ledger, in their order; `#` marks a number.
pub fn ledger_columns() -> Vec<&'static str> {
    let ledger = copy::TABLES.iter().find(|(table, _)| *table == "ledger");
    ledger.map(|(_, columns)| columns.split_whitespace().collect()).unwrap_or_default()
}

/// `($1, $2), ($3, $4)`: places for that many rows of that many columns.
pub fn places(rows: usize, columns: usize) -> String {
    let row = |at: usize| {
        let places: Vec<_> = (1..=columns).map(|n| format!("${}", at * columns + n)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// A column's value, with an error that names it.
pub fn get<'r, T>(store: &Store, row: &'r AnyRow, column: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
{
    row.try_get(column).map_err(|_| store.odd(format!("column {column}")))
}
