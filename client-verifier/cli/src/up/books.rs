//! The host's books of `aegis up`: one tenant, one key, an account for each provider, entered by
//! the host's own commands.

use std::{ffi::OsStr, path::Path, process::Stdio};

use aws_lc_rs::digest::{SHA256, digest};

use super::{
    child::{command, exit, unnamed},
    state::{MOCK_KEY, Served, State},
};
use crate::{failure::Failure, secret_file};

/// The name under which a virtual key's owner appears in the host's books.
const TENANT: &str = "local";
/// Through which variable the host's command reads what the mock accepts.
const MOCK_VARIABLE: &str = "AEGIS_UP_MOCK_KEY";

/// Makes the books on the first start, and enters today's accounts on every one.
pub(super) async fn keep(
    state: &State,
    config: &Path,
    key: &str,
    served: &[Served],
) -> Result<(), Failure> {
    let master = state.path("master.key");
    if !master.exists() {
        let made = secret_file::random("").and_then(|key| secret_file::create(&master, &key));
        made.map_err(|e| {
            let master = master.display();
            Failure::environment(format!("cannot use {master}: {e}; choose another --state"))
        })?;
    }
    let config = ["--config".as_ref(), config.as_os_str()];
    let run = async |words: &[&str], variable| {
        let words = words.iter().map(AsRef::as_ref).chain(config);
        host(words, variable).await.map(|_| ())
    };
    run(&["tenant", "create", TENANT, "--exists-ok"], None).await?;
    let hash = hex::encode(digest(&SHA256, key.as_bytes()));
    let of = ["--tenant", TENANT, "--sha256", &hash, "--exists-ok"];
    run(&[&["key", "create", "aegis-up"], &of[..]].concat(), None).await?;
    for (number, served) in (1..).zip(served) {
        let (number, provider) = (number.to_string(), served.name());
        let variable = served.key.unwrap_or(MOCK_VARIABLE);
        let of = ["--provider", &provider, "--credential-env", variable];
        run(&[&["account", "set", &number], &of[..]].concat(), Some(variable)).await?;
    }
    Ok(())
}

/// Runs the host to its end and gives what it printed. Of the keys in the environment it gets the
/// one that is named.
async fn host(
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
    variable: Option<&str>,
) -> Result<String, Failure> {
    let mut command = command("aegis-host")?;
    command.args(words).env("RUST_LOG", "warn").stdin(Stdio::null());
    match variable {
        Some(MOCK_VARIABLE) => drop(command.env(MOCK_VARIABLE, MOCK_KEY)),
        Some(name) => {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        None => {}
    }
    let output = command
        .output()
        .await
        .map_err(|e| Failure::environment(format!("cannot run aegis-host: {e}; build it anew")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = unnamed("aegis-host", said.trim());
    let from = match variable {
        None | Some(MOCK_VARIABLE) => String::new(),
        Some(name) => format!(" with {name}"),
    };
    let message = format!("the host's books cannot be made{from}: {said}");
    Err(Failure { exit: exit(output.status), message })
}
