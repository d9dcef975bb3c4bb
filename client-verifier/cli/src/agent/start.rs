//! `aegis agent`: verification first, the port after it.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aegis_client::{
    Client, Config, Custodies, Custody, Followed, OuterRoots, Router, Session, Trust, VirtualKey,
};
use aegis_verifier::TrustAnchor;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::{
    Agent,
    keep::Folder,
    keys::{Keys, LOCAL_TOKEN_PREFIX, LocalToken},
    listen::Listener,
    routes::{PRODUCTION_TABLE, Route, Routes},
};
use crate::{
    accepting::Accepting,
    args::AgentArgs,
    failure::Failure,
    lists::Teller,
    patience::{Wait, patiently},
    secret_file,
};

/// Runs the agent until it is told to stop.
pub async fn run(args: &AgentArgs) -> Result<(), Failure> {
    let stop = stopped()?;
    let mut stop = std::pin::pin!(stop);
    let plan = Plan::of(args)?;
    if !plan.anchor.is_aws_nitro() {
        let root = plan.anchor.fingerprint();
        say(&format!(
            "DANGER: evidence is accepted under the development root {root}, not under AWS's. Whoever has its key can read everything.\n"
        ));
    }
    let believed = tokio::select! {
        believed = plan.accepting.believe_patiently(&plan.router) => believed?,
        () = &mut stop => return Ok(()),
    };
    let every = Duration::from_secs(args.releases_every);
    let agent = Arc::new(plan.agent(believed.trust.clone()));
    if let Some(warning) = believed.list().and_then(|list| agent.routes.unlike(list.releases())) {
        say(&format!("{warning}\n"));
    }
    match start_key(&agent.keys)? {
        Some(key) => tokio::select! {
            verified = first_session(&agent.client, &key) => say(&walk(&*verified?)),
            () = &mut stop => return Ok(()),
        },
        None => say(
            "no key to begin with: verification happens at the first request (set AEGIS_VIRTUAL_KEY to have it happen now)\n",
        ),
    }
    let listener = Listener::bind(&args.listen).await?;
    say(&banner(&agent, &listener));
    let serving = Arc::clone(&agent).serve(listener, stop);
    let teller = Teller::default();
    let told = |followed: &Followed| {
        teller.tell(followed);
        if let Followed::Changed(list) = followed
            && let Some(warning) = agent.routes.unlike(list.releases())
        {
            tracing::warn!("{warning}");
        }
    };
    tokio::select! {
        () = serving => {}
        () = believed.follow(&agent.client, every, told) => {}
    }
    Ok(())
}

/// The agent before it knows which enclaves it accepts.
struct Plan {
    router: Router,
    anchor: TrustAnchor,
    custodies: Custodies,
    routes: Routes,
    keys: Keys,
    padding: bool,
    require_usage: bool,
    receipts: Option<Folder>,
    accepting: Accepting,
}

impl Plan {
    /// Everything that the command line and its files say.
    fn of(args: &AgentArgs) -> Result<Self, Failure> {
        let owners: Vec<_> = args.owner.iter().map(|owner| owner.0).collect();
        let custodies = Custodies::with_owners(&args.custody, &owners)?;
        let table = match &args.table {
            Some(path) => fs::read_to_string(path).map_err(|e| {
                let path = path.display();
                Failure::environment(format!("cannot read the provider table {path}: {e}"))
            })?,
            None => PRODUCTION_TABLE.to_owned(),
        };
        let roots = args.router_ca.as_deref().map_or(OuterRoots::Web, OuterRoots::File);
        let anchor = args
            .dangerous_development_root
            .map_or_else(TrustAnchor::aws_nitro, TrustAnchor::dangerous_development_root);
        let router = Router::new(&args.router, roots)?;
        let accepting = Accepting::of(&args.accepting, anchor.clone())?;
        let routes = Routes::new(&table, &args.route).map_err(Failure::usage)?;
        let keys = keys(args, custodies)?;
        let receipts = args.receipts.as_deref().map(receipts).transpose()?;
        let AgentArgs { padding, require_usage, .. } = *args;
        Ok(Self {
            router,
            anchor,
            custodies,
            padding,
            require_usage,
            routes,
            keys,
            receipts,
            accepting,
        })
    }

    fn agent(self, trust: Trust) -> Agent {
        let Self { router, custodies, padding, require_usage, routes, keys, receipts, .. } = self;
        let client = Client::new(Config { router, trust, custodies }).padded(padding);
        Agent { client, routes, keys, receipts, require_usage }
    }
}

/// Completes at Ctrl-C or SIGTERM.
pub fn stopped() -> Result<impl Future<Output = ()>, Failure> {
    let bad = |e| Failure::environment(format!("cannot wait for signals: {e}; start it again"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(bad)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(bad)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A verified session, as soon as the router can be reached.
async fn first_session(client: &Client, key: &VirtualKey) -> Result<Arc<Session>, Failure> {
    patiently(async || client.session(key).await.map_err(Wait::of)).await
}

/// The verification just made, step by step.
pub fn walk(session: &Session) -> String {
    let attested = session.attested();
    let mut text = format!(
        "verified: an enclave of release {}, {}\n",
        attested.release(),
        attested.enclave().module_id()
    );
    for finding in attested.enclave().findings() {
        text += &format!("  {:<11} {finding}\n", finding.step().name());
    }
    text
}

/// Base URLs and the key to use with them.
fn banner(agent: &Agent, listener: &Listener) -> String {
    let origin = listener.origin();
    let mut text = match listener {
        Listener::Tcp(..) => format!("listening on {origin}\n"),
        Listener::Unix(..) => String::new(),
    };
    text += &listener.hint().map_or_else(String::new, |hint| format!("{hint}\n"));
    for route in agent.routes.iter() {
        text += &format!("  {}\n", base_url(route, &origin));
    }
    let custodies = agent.client.custodies();
    text += match &agent.keys {
        Keys::FromSdk => "API key for the SDKs: the router's virtual key, aegis-vk-...\n",
        Keys::Held { .. } if custodies.accepts(Custody::Client) => {
            "API key for the SDKs: your own provider keys (custody client)\n"
        }
        Keys::Held { .. } => "",
    };
    if let Keys::Held { token: Some(token), .. } = &agent.keys {
        let path = token.path.display();
        text += &format!("API key for the SDKs: the content of {path}\n");
    }
    text
}

/// What to set in the SDK for a route.
pub fn base_url(route: &Route, origin: &str) -> String {
    let name = match route.prefix.as_str() {
        "/openai" => "OPENAI_BASE_URL=",
        "/anthropic" => "ANTHROPIC_BASE_URL=",
        "/gemini" => "GOOGLE_GEMINI_BASE_URL=",
        _ => "base URL ",
    };
    format!("{name}{origin}{}", route.base_path())
}

fn receipts(path: &Path) -> Result<Folder, Failure> {
    if path.is_dir() {
        return Ok(Folder(path.to_owned()));
    }
    let path = path.display();
    Err(Failure::environment(format!("--receipts {path} is no folder; make it, or name another")))
}

fn keys(args: &AgentArgs, custodies: Custodies) -> Result<Keys, Failure> {
    let Some(path) = &args.key_file else {
        if custodies.accepts(Custody::Client) {
            return Err(Failure::usage(
                "custody client needs the agent to hold the virtual key, because the SDK sends \
                 your provider's; give --key-file FILE, or --custody host to use the operator's \
                 accounts",
            ));
        }
        return Ok(Keys::FromSdk);
    };
    let text = secret_file::read(path).map_err(|e| {
        let path = path.display();
        Failure::environment(format!("cannot read the key file {path}: {e}"))
    })?;
    let token = match custodies.without_key() {
        Some(_) => Some(local_token(args, path)?),
        None => None,
    };
    Ok(Keys::Held { key: VirtualKey::new(&text)?, token })
}

/// The local token; a new one on the first start.
fn local_token(args: &AgentArgs, key_file: &Path) -> Result<LocalToken, Failure> {
    let beside = || PathBuf::from(format!("{}.token", key_file.display()));
    let path = args.token_file.clone().unwrap_or_else(beside);
    let bad = |e: io::Error| {
        let path = path.display();
        Failure::environment(format!("cannot use the token file {path}: {e}"))
    };
    if !path.exists() {
        let token = secret_file::random(LOCAL_TOKEN_PREFIX).map_err(bad)?;
        secret_file::create(&path, &token).map_err(bad)?;
    }
    let text = secret_file::read(&path).map_err(bad)?;
    if !text.starts_with(LOCAL_TOKEN_PREFIX) || text.len() < LOCAL_TOKEN_PREFIX.len() + 32 {
        let path = path.display();
        return Err(Failure::usage(format!(
            "{path} holds no local token; remove it and a new one is made"
        )));
    }
    Ok(LocalToken { text, path })
}

/// The key for the verification at the start.
fn start_key(keys: &Keys) -> Result<Option<VirtualKey>, Failure> {
    match (keys, env::var("AEGIS_VIRTUAL_KEY")) {
        (Keys::Held { key, .. }, _) => Ok(Some(key.clone())),
        (Keys::FromSdk, Ok(text)) => Ok(Some(VirtualKey::new(&Zeroizing::new(text))?)),
        (Keys::FromSdk, Err(_)) => Ok(None),
    }
}

/// Standard output may be closed: that is no reason to stop serving.
pub fn say(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
