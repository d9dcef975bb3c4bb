//! The live question: a router's enclave is asked for evidence over a connection of its own, with a
//! fresh nonce. No request can be sent on it.

use std::env;

use aegis_client::{Mode, OuterRoots, ReleasesError, Router, Tunnel, VirtualKey};
use aegis_releases::Accepted;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Question, refused_list};
use crate::{agent::start::say, args::VerifyArgs, failure::Failure, lists, secret_file};

/// Most releases that a client names to the host (PROTOCOL.md, section 2).
const RELEASES: usize = 16;

/// The router, if one is to be asked.
pub(super) fn url(args: &VerifyArgs) -> Option<&str> {
    args.file.to_str().filter(|file| file.starts_with("https://"))
}

/// Refuses options that mean nothing for a file.
pub(super) fn is_not_asked(args: &VerifyArgs) -> Result<(), Failure> {
    let live = &args.live;
    let given = [
        (live.router_ca.is_some(), "--router-ca"),
        (live.key_file.is_some(), "--key-file"),
        (live.dangerous_development_root.is_some(), "--dangerous-development-root"),
        (!live.release.is_empty(), "--release"),
    ];
    if let Some((_, option)) = given.iter().find(|(given, _)| *given) {
        return Err(Failure::usage(format!(
            "{option} is for a router; give https://NAME, or leave it out for a file"
        )));
    }
    let alone = args.list.trust.is_some() || args.list.release_state.is_some();
    if alone && args.list.releases.is_none() {
        return Err(Failure::usage(
            "--trust and --release-state need a list; give it with --releases LIST",
        ));
    }
    Ok(())
}

/// Asks, and gives what came back with the list that it is to be compared with.
pub(super) async fn ask(
    args: &VerifyArgs,
    url: &str,
) -> Result<(Question, Option<Accepted>), Failure> {
    is_asked_soundly(args)?;
    let roots = args.live.router_ca.as_deref().map_or(OuterRoots::Web, OuterRoots::File);
    let router = Router::new(url, roots)?;
    let key = key(args)?;
    let list = match args.list.trust.is_some() || args.list.releases.is_some() {
        true => Some(look(args, &router).await?),
        false => None,
    };
    let numbers = numbers(args, list.as_ref())?;
    let shown = async {
        let tunnel = Tunnel::open_to(&router, &key, &numbers).await?;
        tunnel.handshake().await?.evidence(Mode::Http2).await
    };
    let shown = shown.await.map_err(|error| {
        if args.json {
            let step = error.step();
            let name = step.unwrap_or("no_evidence");
            let message = error.to_string();
            say(&format!(
                "{}\n",
                json!({"verified": false, "step": step, "error": name, "message": message, "document": null})
            ));
        }
        Failure::from(error)
    })?;
    let question = Question {
        document: shown.document,
        nonce: Some(shown.nonce.to_vec()),
        public_key: Some(shown.public_key),
        user_data: Some(shown.user_data.to_vec()),
    };
    Ok((question, list))
}

/// Refuses options that the live question answers itself.
fn is_asked_soundly(args: &VerifyArgs) -> Result<(), Failure> {
    let given = [
        (args.root.is_some(), "--root"),
        (args.at.is_some(), "--at"),
        (args.nonce.is_some(), "--nonce"),
        (args.public_key.is_some(), "--public-key"),
        (args.user_data.is_some(), "--user-data"),
    ];
    match given.iter().find(|(given, _)| *given) {
        None => Ok(()),
        Some((_, "--root")) => Err(Failure::usage(
            "a router's development root is given by --dangerous-development-root SHA256, not by --root",
        )),
        Some((_, option)) => Err(Failure::usage(format!(
            "{option} is for a file: a router is asked now, with a nonce of its own; leave it out"
        ))),
    }
}

fn key(args: &VerifyArgs) -> Result<VirtualKey, Failure> {
    let text = match &args.live.key_file {
        Some(path) => secret_file::read(path).map_err(|e| {
            let path = path.display();
            Failure::environment(format!("cannot read the key file {path}: {e}"))
        })?,
        None => Zeroizing::new(env::var("AEGIS_VIRTUAL_KEY").map_err(|_| {
            Failure::usage(
                "a router opens no tunnel without a virtual key; give --key-file FILE, or set AEGIS_VIRTUAL_KEY",
            )
        })?),
    };
    Ok(VirtualKey::new(&text)?)
}

async fn look(args: &VerifyArgs, router: &Router) -> Result<Accepted, Failure> {
    let releases = lists::releases(&args.list)?;
    releases.look(router).await.map_err(|error| match error {
        ReleasesError::State(error) => refused_list(args, error),
        error => error.into(),
    })
}

/// The releases that the host is asked for.
fn numbers(args: &VerifyArgs, list: Option<&Accepted>) -> Result<Vec<u32>, Failure> {
    let given = &args.live.release;
    if given.len() > RELEASES {
        return Err(Failure::usage("--release is given more than 16 times; ask for fewer"));
    }
    if !given.is_empty() {
        return Ok(given.clone());
    }
    match list {
        Some(list) if list.releases().next().is_none() => Err(Failure::refused(
            "the release list withdraws every release, so no enclave is accepted; wait for a new one",
        )),
        Some(list) => Ok(list.releases().map(|release| release.number).collect()),
        None if args.live.dangerous_development_root.is_some() => Ok(vec![0]),
        None => Err(Failure::usage(
            "a router is asked for an enclave by its release; give --trust TRUST.toml, or --release N",
        )),
    }
}
