//! The mock provider as a program: prints one JSON line when it is ready, then serves.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aegis_mock::DEFAULT_KEY;
use aegis_mock::Mock;
use aegis_mock::MockConfig;
use aegis_mock::MockError;
use aegis_mock::MockRoot;
use aegis_mock::ROOT_FILE;
use clap::Parser;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

/// A mock LLM provider that speaks the native APIs over real TLS.
///
/// Exit codes: 0 done, 2 usage, 3 environment (address or file).
#[derive(Debug, Parser)]
#[command(
    version,
    override_usage = "aegis-mock --state DIR [OPTIONS]\n       aegis-mock --plain-http [OPTIONS]"
)]
struct Arguments {
    /// Address to listen on; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Folder of the root certificate and its key; made when missing. Needed, but for --plain-http.
    #[arg(long, value_name = "DIR", required_unless_present = "plain_http")]
    state: Option<PathBuf>,
    /// DNS name in the certificate; may be given several times.
    #[arg(long = "name", value_name = "DNS", default_value = "localhost")]
    names: Vec<String>,
    /// Provider key that is right; may be given several times.
    #[arg(long = "key", value_name = "KEY", default_value = DEFAULT_KEY)]
    keys: Vec<String>,
    /// Milliseconds between two pieces of a streamed answer.
    #[arg(long, default_value_t = 0)]
    pace_ms: u64,
    /// Compress answers when the client accepts gzip.
    #[arg(long)]
    gzip: bool,
    /// Serve plain HTTP/1.1 with the prefixes /openai, /anthropic, /gemini and /openrouter.
    #[arg(long, conflicts_with = "state")]
    plain_http: bool,
    /// Exit when standard input ends, as it does when the starting process dies.
    #[arg(long)]
    exit_with_stdin: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => {
            // A read of standard input cannot be cancelled; do not wait for it.
            runtime.shutdown_background();
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("aegis-mock: {message}");
    ExitCode::from(3)
}

async fn run(arguments: Arguments) -> Result<(), MockError> {
    let root = match &arguments.state {
        Some(folder) => Some(Arc::new(MockRoot::load_or_generate(folder)?)),
        None => None,
    };
    let root_file = arguments.state.as_ref().map(|folder| folder.join(ROOT_FILE));
    let config = MockConfig {
        listen: arguments.listen,
        root,
        names: arguments.names,
        keys: arguments.keys,
        pace: Duration::from_millis(arguments.pace_ms),
        gzip: arguments.gzip,
        // Nobody can ask this process for its record.
        record: false,
        ..MockConfig::plain_http()
    };
    let mock = Mock::start(config).await?;
    let ready = json!({"listening": mock.addr().to_string(), "root": root_file});
    // Nobody reads the line: the mock serves all the same.
    let _ = writeln!(std::io::stdout(), "{ready}");
    wait_for_end(arguments.exit_with_stdin).await;
    mock.shutdown().await;
    Ok(())
}

/// Waits for Ctrl-C, or for the end of standard input when that was asked for.
async fn wait_for_end(exit_with_stdin: bool) {
    let stdin_ends = async {
        if !exit_with_stdin {
            return std::future::pending().await;
        }
        let mut stdin = tokio::io::stdin();
        let mut buffer = [0; 256];
        while matches!(stdin.read(&mut buffer).await, Ok(count) if count > 0) {}
    };
    tokio::select! {
        () = stdin_ends => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
