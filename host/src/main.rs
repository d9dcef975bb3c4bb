//! The command `aegis-host`.

use std::{io::Read, path::Path, process::ExitCode, sync::Arc};

use aegis_host::{
    Host, StartError,
    config::{Config, ConfigError},
    events::Events,
};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::timeout,
};
use tracing_subscriber::EnvFilter;

use crate::cli::{Arguments, Command};

mod cli;

/// What the program says when it fails, and how it exits.
struct Failure(u8, String);

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,sqlx=warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let done = match Arguments::parse().command {
        Command::Run { config, exit_with_stdin } => {
            load(&config.config).and_then(|config| run(config, exit_with_stdin))
        }
        Command::CheckConfig(file) => check(&file.config),
        command => runtime().and_then(|runtime| runtime.block_on(cli::run(command))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, message)) => {
            eprintln!("aegis-host: {message}");
            ExitCode::from(code)
        }
    }
}

fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|error: ConfigError| {
        let code = if error.is_environment() { 3 } else { 2 };
        Failure(code, error.to_string())
    })
}

fn check(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    for warning in &config.warnings {
        eprintln!("aegis-host: warning: {warning}");
    }
    let checked = runtime()?.block_on(Host::check(&config)).map_err(not_startable)?;
    println!(
        "{}: good; {}, {}, {}",
        path.display(),
        counted(config.enclaves.len(), "enclave"),
        counted(checked.keys, "key"),
        counted(checked.accounts, "account")
    );
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let failed = |error: std::io::Error| Failure(3, format!("cannot start: {error}"));
    tokio::runtime::Runtime::new().map_err(failed)
}

fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn not_startable(error: StartError) -> Failure {
    Failure(if error.is_refusal() { 1 } else { 3 }, error.to_string())
}

/// A session with a request under way costs four descriptors, and soft limits are for programs that use
/// few: what the hard one allows is the operator's word.
fn raise_descriptors() {
    let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn run(config: Config, exit_with_stdin: bool) -> Result<(), Failure> {
    raise_descriptors();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = runtime()?;
    let events = Arc::new(Events::to(std::io::stdout()));
    let served = runtime.block_on(serve(config, Arc::clone(&events), exit_with_stdin));
    // Sessions that are still open end here, and their last events are written before the exit.
    drop(runtime);
    events.finish();
    served
}

async fn serve(config: Config, events: Arc<Events>, exit_with_stdin: bool) -> Result<(), Failure> {
    let environment = |error: std::io::Error| Failure(3, format!("cannot start: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(environment)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(environment)?;
    let limit = config.drain;
    let mut running = Host::start(config, events).await.map_err(not_startable)?;
    let reason = tokio::select! {
        () = running.serve() => "nothing is left to serve",
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        () = stdin_ended(exit_with_stdin) => "standard input ended",
    };
    tracing::info!(
        reason,
        ?limit,
        "stopping: requests that run may end; a second signal ends them"
    );
    tokio::select! {
        ended = timeout(limit, running.drain()) => if ended.is_err() {
            tracing::warn!(
                "requests still ran after {limit:?}; their usage is booked when their enclaves \
                 report it to the next start"
            );
        },
        _ = interrupt.recv() => tracing::warn!("requests that ran were ended by SIGINT"),
        _ = terminate.recv() => tracing::warn!("requests that ran were ended by SIGTERM"),
    }
    Ok(())
}

/// Waits until standard input ends, for ever when that is not asked for. Reading has a thread of
/// its own, because a read that never returns must not hold up the exit.
async fn stdin_ended(asked: bool) {
    let (ended, wait) = oneshot::channel();
    if !asked {
        return std::future::pending().await;
    }
    std::thread::spawn(move || {
        let mut space = [0; 1024];
        while std::io::stdin().read(&mut space).is_ok_and(|read| read > 0) {}
        // Nobody waits any more when another reason to stop came first.
        let _ = ended.send(());
    });
    let _ = wait.await;
}
