//! A consistent copy while hosts go on writing, and its way back. A copy is an SQLite store
//! whatever it was made from, so it also carries the books from one kind of database to the other.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Address, Store, StoreError, Value, Write, get, places};
use futures_util::TryStreamExt;

/// Every table with its columns, in an order in which references are met; `#` marks a number.
pub(super) const TABLES: [(&str, &str); 10] = [
    ("counters", "name #value"),
    ("tenants", "name #created_ms #revoked_ms"),
    ("teams", "tenant name #created_ms #revoked_ms"),
    (
        "virtual_keys",
        "name tenant team providers classes #reserve #created_ms #expires_ms #revoked_ms",
    ),
    ("key_secrets", "digest key_name #created_ms #expires_ms"),
    ("limits", "scope name #requests_per_minute #tokens_per_minute #streams #sessions"),
    ("accounts", "#number provider sealed owner state #weight #priority #created_ms"),
    ("prices", "provider model kind #effective_ms #amount"),
    ("budgets", "scope name period #amount #period_start #settled #reserved"),
    (
        "ledger",
        "#grant_id #at_ms host enclave boot #request #attempt #session_no tenant team key_name \
         #release_no provider class custody #account #reserved #settled_ms outcome source \
         #status_class counts label #first_byte_ms #total_ms #charged pricing",
    ),
];

/// Rows in one statement.
const AT_ONCE: usize = 100;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the two databases.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The file to restore from is a store: some of what it holds is in the log beside it.
    #[error(
        "{}: its changes lie in a log beside it, so it is a store and no backup; name a file that \
         `aegis-host backup` made",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The target is there already.
    #[error("{}: there is something already; name a new file", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The store to restore into is in use.
    #[error("store {0}: it has books already; restore into an empty store")]
    NotEmpty(String),
    /// The copy cannot be put in its place.
    #[error("{}: {source}; check the folder and the space on its disk", path.display())]
    File {
        /// The target.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Store {
    /// Writes everything to a new file, as it is at one moment; gives the number of rows.
    pub async fn backup(&self, to: &Path) -> Result<u64, CopyError> {
        if to.exists() {
            return Err(CopyError::Exists { path: to.into() });
        }
        let mut name = to.as_os_str().to_owned();
        name.push(".partial");
        let partial = PathBuf::from(name);
        let failed = |source| CopyError::File { path: to.into(), source };
        // Left by a backup that was interrupted.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let copy = Self::open(&Address::sqlite(&partial)).await?;
        let rows = self.copy_to(&copy).await?;
        copy.close().await?;
        fs::rename(&partial, to).map_err(failed)?;
        Ok(rows)
    }

    /// Fills this empty store with everything of a backup; gives the number of rows.
    pub async fn restore(&self, from: &Path) -> Result<u64, CopyError> {
        let mut log = from.as_os_str().to_owned();
        log.push("-wal");
        if fs::metadata(PathBuf::from(log)).is_ok_and(|log| log.len() > 0) {
            return Err(CopyError::InUse { path: from.into() });
        }
        let from = Self::open_copy(from).await?;
        for table in ["tenants", "accounts", "ledger", "prices"] {
            if self.number(&format!("SELECT COUNT(*) FROM {table}")).await? > 0 {
                return Err(CopyError::NotEmpty(self.shown.clone()));
            }
        }
        let rows = from.copy_to(self).await?;
        from.close().await?;
        Ok(rows)
    }

    async fn copy_to(&self, to: &Store) -> Result<u64, CopyError> {
        let mut read = self.snapshot().await?;
        let mut write = to.begin().await?;
        sqlx::query("DELETE FROM counters")
            .execute(&mut *write)
            .await
            .map_err(|error| to.failed(error))?;
        let mut rows = 0;
        for (table, columns) in TABLES {
            rows += self.copy_table(&mut read, to, &mut write, table, columns).await?;
        }
        write.commit().await.map_err(|error| to.failed(error))?;
        Ok(rows)
    }

    async fn copy_table(
        &self,
        read: &mut Write,
        to: &Store,
        write: &mut Write,
        table: &str,
        columns: &str,
    ) -> Result<u64, StoreError> {
        let columns: Vec<&str> = columns.split_whitespace().collect();
        let names: Vec<_> = columns.iter().map(|column| column.trim_start_matches('#')).collect();
        let names = names.join(", ");
        let select = format!("SELECT {names} FROM {table}");
        let mut found = sqlx::query(&select).fetch(&mut **read);
        let (mut rows, mut waiting) = (0, Vec::new());
        loop {
            let row = found.try_next().await.map_err(|error| self.failed(error))?;
            if let Some(row) = &row {
                let value = |column: &&str| match column.strip_prefix('#') {
                    Some(name) => get(self, row, name).map(Value::Number),
                    None => get(self, row, column).map(Value::Text),
                };
                waiting.push(columns.iter().map(value).collect::<Result<Vec<_>, _>>()?);
                rows += 1;
            }
            if waiting.len() == AT_ONCE || (row.is_none() && !waiting.is_empty()) {
                let places = places(waiting.len(), columns.len());
                let insert = format!("INSERT INTO {table} ({names}) VALUES {places}");
                let values = waiting.drain(..).flatten();
                let query = values.fold(sqlx::query(&insert), |query, value| value.bind(query));
                query.execute(&mut **write).await.map_err(|error| to.failed(error))?;
            }
            if row.is_none() {
                return Ok(rows);
            }
        }
    }
}
