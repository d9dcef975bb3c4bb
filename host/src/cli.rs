//! The command line: what can be asked, and what each command does.

use std::path::{Path, PathBuf};

use aegis_host::{
    admin::{
        Admin, AdminError, account::AccountCommand, budget::BudgetCommand, key::KeyCommand,
        ledger::LedgerCommand, limit::LimitCommand, master, master::MasterKeyCommand,
        price::PriceCommand, tenant::TeamCommand, tenant::TenantCommand,
    },
    config::{BooksConfig, EXAMPLE},
    store::Store,
};
use clap::{Args, Parser, Subcommand};

use crate::Failure;

/// The untrusted host of Aegis: takes clients, carries their sealed sessions to an enclave, lets
/// the enclave use the operator's accounts, dials providers, keeps the books. It sees ciphertext.
#[derive(Parser)]
#[command(version, after_help = format!("{EXIT_CODES}\n\n{FIRST_START}\n\nA whole configuration:\n\n{EXAMPLE}"))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGINT or SIGTERM.
    ///
    /// At the signal it takes no further client, grants no further request (clients get 503), and
    /// ends when every grant is settled, or after `drain_s` of the configuration. A second signal
    /// ends it at once: what enclaves report later is booked by the next start.
    ///
    /// Events go to standard output, one JSON object per line: `ready` first, then what the
    /// operator may know of each session and request. Logs go to standard error; RUST_LOG sets
    /// their level (info without it).
    #[command(after_help = format!("{EXIT_CODES}\n\nA whole configuration:\n\n{EXAMPLE}"))]
    Run {
        #[command(flatten)]
        config: ConfigFile,
        /// Stop when standard input ends, as a child of another program does.
        #[arg(long)]
        exit_with_stdin: bool,
    },
    /// Check a configuration and everything it names, and start nothing.
    #[command(after_help = format!("{EXIT_CODES}\n\nA whole configuration:\n\n{EXAMPLE}"))]
    CheckConfig(ConfigFile),
    /// Tenants: whose keys are billed together.
    Tenant(Books<TenantCommand>),
    /// Teams within tenants.
    Team(Books<TeamCommand>),
    /// Virtual keys, with which clients come.
    Key(Books<KeyCommand>),
    /// Accounts at providers, whose credentials enclaves are lent.
    Account(Books<AccountCommand>),
    /// Prices, by model and kind of token.
    Price(Books<PriceCommand>),
    /// Budgets of keys, teams and tenants.
    Budget(Books<BudgetCommand>),
    /// Rates and concurrency of keys, teams and tenants.
    Limit(Books<LimitCommand>),
    /// The ledger: every grant with its one outcome.
    Ledger(Books<LedgerCommand>),
    /// The key under which credentials are sealed.
    MasterKey {
        #[command(subcommand)]
        command: MasterKeyCommand,
        /// The configuration; `new` needs none.
        #[arg(long, value_name = "FILE", global = true, env = "AEGIS_HOST_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Bring an older store to this program's schema. Stop older hosts and back it up first.
    Migrate(ConfigFile),
    /// Write everything in the store to a new SQLite file, as it is at one moment, while hosts
    /// serve. Credentials in it stay sealed.
    Backup {
        #[command(flatten)]
        config: ConfigFile,
        /// The file to make.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Fill an empty store from a backup: after a loss, or to move to another database.
    Restore {
        #[command(flatten)]
        config: ConfigFile,
        /// The backup; it is only read.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
}

/// The configuration of a host.
#[derive(Args)]
pub(crate) struct ConfigFile {
    /// The configuration, a TOML file; relative paths in it start at its folder.
    #[arg(long, value_name = "FILE", env = "AEGIS_HOST_CONFIG")]
    pub(crate) config: PathBuf,
}

/// A command on the books.
#[derive(Args)]
pub(crate) struct Books<C: Subcommand> {
    #[command(subcommand)]
    command: C,
    /// The configuration, which names the store.
    #[arg(long, value_name = "FILE", global = true, env = "AEGIS_HOST_CONFIG")]
    config: Option<PathBuf>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or stopped as asked
  1  refused by a check: a name that is taken or unknown, a store of another program or version, a
     credential under another master key
  2  usage or configuration
  3  environment: a port, a socket, a file or a database cannot be used";

const FIRST_START: &str = "\
First start, with the configuration below in host.toml:
  export AEGIS_HOST_CONFIG=host.toml
  (umask 077; aegis-host master-key new > master.key)
  aegis-host tenant create research
  aegis-host key create alice-laptop --tenant research      prints the key, this once
  aegis-host account create 1 --provider openai --credential-env OPENAI_API_KEY
  aegis-host price set '*' input=5 output=20                for models without a price
  aegis-host budget set tenant research --month 500
  aegis-host run";

impl<C: Subcommand> Books<C> {
    async fn open(self) -> Result<(C, Admin), AdminError> {
        let missing =
            AdminError::Usage("name the configuration: --config FILE, or AEGIS_HOST_CONFIG");
        let config = self.config.ok_or(missing)?;
        Ok((self.command, Admin::open(&config).await?))
    }
}

/// Opens the books and does the command.
macro_rules! on {
    ($books:expr) => {
        match $books.open().await {
            Ok((command, admin)) => {
                let done = command.run(&admin).await;
                done.and(admin.store.close().await.map_err(AdminError::from))
            }
            Err(error) => Err(error),
        }
    };
}

/// Does a command that is neither `run` nor `check-config`.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    let done = match command {
        Command::Run { .. } | Command::CheckConfig(_) => Ok(()),
        Command::Tenant(books) => on!(books),
        Command::Team(books) => on!(books),
        Command::Key(books) => on!(books),
        Command::Account(books) => on!(books),
        Command::Price(books) => on!(books),
        Command::Budget(books) => on!(books),
        Command::Limit(books) => on!(books),
        Command::Ledger(books) => on!(books),
        Command::MasterKey { command, config } => master_key(command, config).await,
        Command::Migrate(file) => migrate(&file.config).await,
        Command::Backup { config, to } => backup(&config.config, &to).await,
        Command::Restore { config, from } => restore(&config.config, &from).await,
    };
    done.map_err(|error| Failure(error.exit_code(), error.to_string()))
}

async fn master_key(command: MasterKeyCommand, config: Option<PathBuf>) -> Result<(), AdminError> {
    match command {
        MasterKeyCommand::New => MasterKeyCommand::print_new(),
        MasterKeyCommand::Rotate { to } => {
            let missing =
                AdminError::Usage("name the configuration: --config FILE, or AEGIS_HOST_CONFIG");
            let admin = Admin::open(&config.ok_or(missing)?).await?;
            let shown = to.display().to_string();
            let count = master::rotate(&admin, to).await?;
            admin.store.close().await?;
            println!("{count} credentials are sealed anew; name {shown} in [store] now");
            Ok(())
        }
    }
}

async fn migrate(config: &Path) -> Result<(), AdminError> {
    let config = BooksConfig::load(config)?;
    let (before, after) = Store::migrate(&config.address).await?;
    match before == after {
        true => println!("the schema is version {after} already"),
        false => println!("the schema went from version {before} to {after}"),
    }
    Ok(())
}

async fn backup(config: &Path, to: &Path) -> Result<(), AdminError> {
    let admin = Admin::open(config).await?;
    let rows = admin.store.backup(to).await?;
    admin.store.close().await?;
    println!("{}: {rows} rows", to.display());
    Ok(())
}

async fn restore(config: &Path, from: &Path) -> Result<(), AdminError> {
    let admin = Admin::open(config).await?;
    let rows = admin.store.restore(from).await?;
    admin.store.close().await?;
    println!("{rows} rows from {}", from.display());
    Ok(())
}
