//! The commands that change the store or show what is in it. Each is one transaction; hosts that
//! serve see the change within two seconds.

use std::path::Path;

use sqlx::any::AnyRow;

use crate::{
    config::{BooksConfig, ConfigError, check},
    store::{CopyError, Store, StoreError, Value, Write},
    vault::{Vault, VaultError},
};

pub mod account;
pub mod budget;
pub mod key;
pub mod ledger;
pub mod limit;
pub mod master;
pub mod price;
pub mod tenant;

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The configuration or a word of the command line.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A backup or its return.
    #[error("{0}")]
    Copy(#[from] CopyError),
    /// A credential.
    #[error("{0}")]
    Vault(#[from] VaultError),
    /// It is there already.
    #[error("{0} is there already; use another name, or change it with `set`")]
    Exists(String),
    /// It is not there.
    #[error("there is no {0}; `list` shows all")]
    Unknown(String),
    /// It was revoked, which is final.
    #[error("{0} was revoked; make another one")]
    Revoked(String),
    /// Nothing to do was given.
    #[error("{0}")]
    Usage(&'static str),
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
}

impl AdminError {
    /// The program's exit code for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) if error.is_environment() => 3,
            Self::Config(_) | Self::Usage(_) => 2,
            Self::Store(error) | Self::Copy(CopyError::Store(error)) if !error.is_refusal() => 3,
            Self::Print(_) | Self::Copy(CopyError::File { .. }) => 3,
            Self::Store(_) | Self::Copy(_) | Self::Vault(_) => 1,
            Self::Exists(_) | Self::Unknown(_) | Self::Revoked(_) => 1,
        }
    }
}

/// An open store with the configuration that named it.
#[derive(Debug)]
pub struct Admin {
    /// The database.
    pub store: Store,
    /// Where it is, and what opens its credentials.
    pub config: BooksConfig,
}

impl Admin {
    /// Opens the store of that configuration.
    pub async fn open(path: &Path) -> Result<Self, AdminError> {
        let config = BooksConfig::load(path)?;
        Ok(Self { store: Store::open(&config.address).await?, config })
    }

    /// The configured master key.
    fn vault(&self) -> Result<Vault, AdminError> {
        let next = "name it by master_key_file, master_key_env or master_key_command";
        let missing = || ConfigError::entry("[store]", "it has no master key", next);
        Ok(self.config.master.vault()?.ok_or_else(missing)?)
    }

    /// One statement; gives the number of rows that it changed.
    async fn run(
        &self,
        write: &mut Write,
        text: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, AdminError> {
        let query = values.into_iter().fold(sqlx::query(text), |query, value| value.bind(query));
        let done = query.execute(&mut **write).await;
        Ok(done.map(|done| done.rows_affected()).map_err(|error| self.store.failed(error))?)
    }

    /// The rows of one question.
    async fn rows(
        &self,
        text: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<AnyRow>, AdminError> {
        let query = values.into_iter().fold(sqlx::query(text), |query, value| value.bind(query));
        let rows = query.fetch_all(self.store.pool()).await;
        Ok(rows.map_err(|error| self.store.failed(error))?)
    }

    /// Commits a change of what hosts keep in memory.
    async fn commit(&self, mut write: Write) -> Result<(), AdminError> {
        let text = "UPDATE counters SET value = value + 1 WHERE name = 'revision'";
        self.run(&mut write, text, []).await?;
        Ok(write.commit().await.map_err(|error| self.store.failed(error))?)
    }

    fn get<'r, T>(&self, row: &'r AnyRow, column: &str) -> Result<T, AdminError>
    where
        T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
    {
        Ok(crate::store::get(&self.store, row, column)?)
    }
}

/// A name that may stand in logs and in the ledger.
fn name(kind: &str, text: &str) -> Result<(), AdminError> {
    Ok(check::named(kind, text).map(|_| ())?)
}

fn now_ms() -> i64 {
    i64::try_from(crate::now_ms()).unwrap_or(i64::MAX)
}

/// What a command says of one restriction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<T> {
    /// `none`: there is none from now on.
    Lift,
    /// It is this from now on.
    To(T),
}

impl<T> Change<T> {
    /// Reads `none`, or what `read` makes of the text.
    fn read(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::Lift),
            text => read(text).map(Self::To).map_err(|error| format!("{error}, or none")),
        }
    }

    /// What the column is to hold.
    fn value(self) -> Option<T> {
        match self {
            Self::Lift => None,
            Self::To(value) => Some(value),
        }
    }
}

/// What is given, of all columns.
fn changes(columns: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Changes {
    let given = columns.into_iter().filter_map(|(column, value)| Some((column, value?)));
    let (columns, values) = given.unzip();
    Changes { columns, values }
}

/// The columns that a command changes, with what they are to hold.
#[derive(Debug)]
struct Changes {
    columns: Vec<&'static str>,
    values: Vec<Value>,
}

impl Changes {
    /// `column = $n, ...` with places from 1 on.
    fn text(&self) -> String {
        let one = |(at, column): (usize, &&str)| format!("{column} = ${}", at + 1);
        self.columns.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// `YYYY-MM-DD` as the first millisecond of that day, UTC.
fn day(text: &str) -> Result<i64, String> {
    let date = crate::money::date(text).ok_or("write a day like 2026-12-31")?;
    Ok(crate::money::midnight(date))
}

/// A time in a list.
fn shown_day(at_ms: Option<i64>) -> String {
    at_ms.map_or_else(|| "-".into(), |at_ms| crate::money::date_of(at_ms).to_string())
}

/// Prints columns under their names.
fn table<const N: usize>(names: [&str; N], rows: &[[String; N]]) -> Result<(), AdminError> {
    use std::io::Write;
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].len());
        cells.chain([names[at].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = std::io::stdout().lock();
    let mut line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let text = padded.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", text.trim_end())
    };
    line(names)?;
    for row in rows {
        line(std::array::from_fn(|at| row[at].as_str()))?;
    }
    Ok(())
}
