//! `aegis up`: mock provider, host, enclave and agent on one machine.
//!
//! The three programs are the shipped ones, as children; the agent runs in this process. What it
//! prints about requests is what the host printed, nothing that this process knows besides.

use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use aegis_client::{
    Client, Config, Custodies, Custody, OuterRoots, Router, Session, Trust, VirtualKey,
};
use aegis_verifier::{RootFingerprint, TrustAnchor};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::oneshot, time::sleep};

use self::{
    child::{Child, command},
    report::{Beginning, Report},
    state::{Served, State},
};
use crate::{
    accept::Entry,
    agent::{
        Agent,
        keys::Keys,
        listen::Listener,
        routes::Routes,
        start::{base_url, stopped, walk},
    },
    args::UpArgs,
    failure::Failure,
};

mod books;
mod child;
mod report;
mod state;

/// Everything that runs.
struct Running {
    mock: Child,
    enclave: Child,
    host: Child,
    agent: Arc<Agent>,
    beginning: Beginning,
    /// Last, so that the folder outlives the programs that use it.
    _state: State,
}

/// What the enclave says when it is ready.
#[derive(Deserialize)]
struct EnclaveReady {
    root_sha256: String,
    pcr0: String,
    pcr1: String,
    pcr2: String,
}

/// Runs until Ctrl-C, or until a part ends by itself.
pub async fn run(args: &UpArgs) -> Result<(), Failure> {
    let stop = stopped()?;
    let mut stop = std::pin::pin!(stop);
    // First, because a port in use is the likeliest fault; nobody is answered before verification.
    let listener = Listener::bind(&args.listen).await?;
    let mut running = tokio::select! {
        started = start(args, &listener) => started?,
        () = &mut stop => return Ok(()),
    };
    let report = Report { json: args.json };
    report.begin(&running.beginning);
    let (tell, told) = oneshot::channel::<()>();
    let serving = tokio::spawn(Arc::clone(&running.agent).serve(listener, async {
        // Told or dropped: both mean that it is over.
        let _ = told.await;
    }));
    if let Some(path) = &args.ready_file {
        report::write_ready(path, &running.beginning.line())?;
    }
    let outcome = tokio::select! {
        () = &mut stop => Ok(()),
        dead = running.watch(report) => Err(dead),
    };
    drop(tell);
    // The agent does not panic, and its end is all that is waited for.
    let _ = serving.await;
    running.end(report).await;
    outcome
}

impl Running {
    /// Passes on what the host sees, until a part ends.
    async fn watch(&mut self, report: Report) -> Failure {
        loop {
            tokio::select! {
                line = self.host.line() => match line {
                    Some(line) => report.operator(&line),
                    None => return self.host.died().await,
                },
                dead = self.enclave.died() => return dead,
                dead = self.mock.died() => return dead,
            }
        }
    }

    /// Ends the parts: the host first, which waits until the enclave has said what was used.
    async fn end(&mut self, report: Report) {
        self.host.hang_up();
        while let Some(line) = self.host.line().await {
            report.operator(&line);
        }
        self.host.end().await;
        self.enclave.end().await;
        self.mock.end().await;
    }
}

async fn start(args: &UpArgs, listener: &Listener) -> Result<Running, Failure> {
    let state = State::open(args.state.as_deref())?;
    let served = Served::by_environment();
    let key = state.virtual_key()?;
    let ca = state.outer_tls()?;
    let table = table().await?;
    state.write("providers.table", &table)?;

    let mut mock = start_mock(&state, &served, args.pace_ms)?;
    let mock_ready = mock.ready().await?;
    let config = state.host_toml(&served, text(&mock_ready, "listening"))?;
    books::keep(&state, &config, &key, &served).await?;
    let mut host = start_host(&config)?;
    let host_ready = host.ready().await?;
    let mut enclave = start_enclave(&state, text(&mock_ready, "root"))?;
    let ready = serde_json::from_value(enclave.ready().await?).map_err(|e| {
        Failure::environment(format!("the enclave's first line is odd: {e}; build it anew"))
    })?;

    let url = format!("https://{}", text(&host_ready, "listen"));
    let agent = agent(&url, OuterRoots::File(&ca), &ready, &table, &served)?;
    let virtual_key = VirtualKey::new(&key)?;
    let session = tokio::select! {
        session = first_session(&agent, &virtual_key) => session?,
        dead = enclave.died() => return Err(dead),
        dead = mock.died() => return Err(dead),
    };
    Ok(Running {
        beginning: beginning(&agent, listener, &key, &served, &session),
        mock,
        enclave,
        host,
        agent: Arc::new(agent),
        _state: state,
    })
}

/// A verified session, once the enclave has reached its host: each says that it is ready for itself.
async fn first_session(agent: &Agent, key: &VirtualKey) -> Result<Arc<Session>, Failure> {
    let patience = Instant::now() + child::READY;
    loop {
        match agent.client.session(key).await {
            Ok(session) => return Ok(session),
            Err(error) if !error.is_away() => return Err(Failure::refused(error)),
            Err(error) if Instant::now() > patience => return Err(Failure::environment(error)),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The rows that this enclave measures.
async fn table() -> Result<String, Failure> {
    let bad = |e: &dyn std::fmt::Display| {
        Failure::environment(format!(
            "aegis-enclave-dev prints no provider table: {e}; build it anew"
        ))
    };
    let mut command = command("aegis-enclave-dev")?;
    let printed = command.arg("table").stdin(Stdio::null()).output().await.map_err(|e| bad(&e))?;
    if !printed.status.success() {
        return Err(bad(&printed.status));
    }
    String::from_utf8(printed.stdout).map_err(|e| bad(&e))
}

fn start_mock(state: &State, served: &[Served], pace_ms: u64) -> Result<Child, Failure> {
    let mut mock = command("aegis-mock")?;
    mock.arg("--exit-with-stdin")
        .arg("--state")
        .arg(state.path("mock"))
        .args(["--pace-ms", &pace_ms.to_string()]);
    for served in served {
        mock.args(["--name", &served.mock_name()]);
    }
    Child::start("aegis-mock", mock)
}

fn start_host(config: &std::path::Path) -> Result<Child, Failure> {
    let mut host = command("aegis-host")?;
    host.args(["run", "--exit-with-stdin", "--config"]).arg(config).env("RUST_LOG", "warn");
    Child::start("aegis-host", host)
}

fn start_enclave(state: &State, mock_root: &str) -> Result<Child, Failure> {
    let mut enclave = command("aegis-enclave-dev")?;
    enclave
        .args(["run", "--exit-with-stdin", "--legs"])
        .arg(state.legs())
        .arg("--state")
        .arg(state.path("enclave"))
        .args(["--mock-root", mock_root]);
    Child::start("aegis-enclave-dev", enclave)
}

fn agent(
    url: &str,
    roots: OuterRoots<'_>,
    ready: &EnclaveReady,
    table: &str,
    served: &[Served],
) -> Result<Agent, Failure> {
    let odd = || Failure::environment("the enclave's measurements are malformed; build it anew");
    let entry = Entry {
        release: 0,
        pcr0: ready.pcr0.clone(),
        pcr1: ready.pcr1.clone(),
        pcr2: ready.pcr2.clone(),
    };
    let release = entry.release().ok_or_else(odd)?;
    let root = RootFingerprint::from_hex(&ready.root_sha256).ok_or_else(odd)?;
    let anchor = TrustAnchor::dangerous_development_root(root);
    let overrides: Vec<_> = served
        .iter()
        .filter(|served| served.key.is_none())
        .map(|served| format!("{}={}", served.prefix, served.mock_name()))
        .collect();
    let config = Config {
        router: Router::new(url, roots)?.direct(),
        trust: Trust::new(anchor, &[release])?,
        custodies: Custodies::new(&[Custody::Host])?,
    };
    Ok(Agent {
        client: Client::new(config),
        routes: Routes::new(table, &overrides).map_err(Failure::usage)?,
        keys: Keys::FromSdk,
        receipts: None,
        require_usage: false,
    })
}

fn beginning(
    agent: &Agent,
    listener: &Listener,
    key: &str,
    served: &[Served],
    session: &Session,
) -> Beginning {
    let origin = listener.origin();
    let answers = |prefix: &str| {
        let real = served.iter().any(|s| s.prefix == &prefix[1..] && s.key.is_some());
        if real { "the real provider" } else { "the mock" }
    };
    let base_urls = agent
        .routes
        .iter()
        .map(|route| (base_url(route, &origin), answers(&route.prefix)))
        .collect();
    let findings = session.attested().enclave().findings();
    let curl = format!(
        "curl {}{origin}/openai/v1/chat/completions -H 'authorization: Bearer {key}' -H 'content-type: application/json' \
         -d '{{\"model\":\"gpt-5-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\"say hi\"}}]}}'",
        listener.curl_option()
    );
    Beginning {
        base_urls,
        hint: listener.hint(),
        curl,
        walk: walk(session),
        steps: findings
            .iter()
            .map(|finding| (finding.step().name(), finding.to_string()))
            .collect(),
        agent: origin,
        key: key.to_owned(),
    }
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_default()
}
