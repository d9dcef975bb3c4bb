//! The `aegis` command.

use std::{io, process::ExitCode};

use aegis::{
    account, agent,
    args::{AccountCommand, Cli, Command, ReceiptCommand},
    failure::{Exit, Failure},
    receipt, release, up, verify,
};
use clap::Parser;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Up(args) => on_runtime("warn", up::run(args)),
        Command::Agent(args) => on_runtime("info", agent::start::run(args)),
        Command::Verify(args) => on_runtime("warn", verify::run(args)),
        Command::Account(AccountCommand::Key { file }) => account::key(file),
        Command::Account(AccountCommand::Seal(args)) => on_runtime("warn", account::seal(args)),
        Command::Account(AccountCommand::Serve(args)) => on_runtime("warn", account::serve(args)),
        Command::Receipt(ReceiptCommand::Verify(args)) => receipt::verify(args),
        Command::Explain(args) => verify::explain(args),
        Command::Release(args) => release::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("aegis: {failure}");
            failure.exit.into()
        }
    }
}

fn on_runtime(level: &str, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_env("AEGIS_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(false)
        .with_writer(io::stderr)
        .init();
    let runtime = Runtime::new().map_err(|e| Failure {
        exit: Exit::Environment,
        message: format!("cannot start: {e}; check the limits on threads and open files"),
    })?;
    runtime.block_on(work)
}
