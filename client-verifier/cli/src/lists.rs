//! Release lists as the commands use them: the trust file, the state file, and where they are when
//! nobody says.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use aegis_client::{Followed, Releases, Source, StateError, StateFile};
use aegis_releases::{Accepted, Trust, UnixSeconds, check, limits::BUNDLE_BYTES};
use aws_lc_rs::digest::{SHA256, digest};

use crate::{args::ListArgs, failure::Failure, files};

/// The lists that these options speak of; at the router unless a file is given.
pub fn releases(args: &ListArgs) -> Result<Releases, Failure> {
    let trust = trust(args.trust.as_deref())?;
    let state = state(args.release_state.as_deref(), &trust)?;
    let source = args.releases.clone().map_or(Source::Router, Source::File);
    Ok(Releases { source, trust, state })
}

/// The bundle of `--releases`, which is a file or `-`, and whom to judge it by; nothing is believed.
pub fn bundle(args: &ListArgs) -> Result<(Releases, Vec<u8>), Failure> {
    let path = args.releases.as_deref().unwrap_or("-".as_ref());
    Ok((releases(args)?, files::read(path, BUNDLE_BYTES)?))
}

/// Judges a bundle: now and against what is remembered, or as of `at`, and nothing is remembered.
pub fn judge(releases: &Releases, bundle: &[u8], at: Option<u64>) -> Result<Accepted, StateError> {
    match at {
        Some(at) => Ok(check(bundle, &releases.trust, None, UnixSeconds(at))?),
        None => releases.state.accept(bundle, &releases.trust, UnixSeconds::of(SystemTime::now())),
    }
}

/// The trust file, given or at its usual place.
pub fn trust(given: Option<&Path>) -> Result<Trust, Failure> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => usual("XDG_CONFIG_HOME", ".config", "trust.toml").ok_or_else(|| {
            Failure::usage("there is no home folder to look for a trust file in; give --trust TOML")
        })?,
    };
    let shown = path.display();
    let text = fs::read_to_string(&path).map_err(|e| {
        Failure::environment(format!(
            "cannot read the trust file {shown}: {e}; give --trust TOML, as the publisher of the releases hands it out"
        ))
    })?;
    Trust::parse(&text).map_err(|e| {
        Failure::usage(format!(
            "{shown} is no trust file: {e}; take it from the publisher of the releases as it is"
        ))
    })
}

/// The state file, given or at its usual place: one for each origin.
pub fn state(given: Option<&Path>, trust: &Trust) -> Result<StateFile, Failure> {
    if let Some(path) = given {
        return Ok(StateFile::new(path));
    }
    let origin = hex::encode(&digest(&SHA256, trust.origin().as_bytes()).as_ref()[..8]);
    let name = format!("releases-{origin}.state");
    let path = usual("XDG_STATE_HOME", ".local/state", &name).ok_or_else(|| {
        Failure::usage(
            "there is no home folder to remember release lists in; give --release-state FILE",
        )
    })?;
    Ok(StateFile::new(path))
}

/// `$VARIABLE/aegis/NAME`, or the same below the home folder; relative values do not count.
fn usual(variable: &str, below_home: &str, name: &str) -> Option<PathBuf> {
    let folder = |variable: &str| env::var_os(variable).map(PathBuf::from);
    let absolute = |path: &PathBuf| path.is_absolute();
    let base = folder(variable)
        .filter(absolute)
        .or_else(|| Some(folder("HOME").filter(absolute)?.join(below_home)))?;
    Some(base.join("aegis").join(name))
}

/// The walk through a list that was accepted.
pub fn walk(accepted: &Accepted) -> String {
    let lines = accepted.findings().into_iter();
    lines.map(|finding| format!("  {:<11} {}\n", finding.step.name(), finding.found)).collect()
}

/// Says what following lists brings, and the same complaint only once.
#[derive(Default)]
pub struct Teller {
    said: std::sync::Mutex<String>,
}

impl Teller {
    /// Says it on standard error.
    pub fn tell(&self, followed: &Followed) {
        let complaint = match followed {
            Followed::Changed(list) => {
                tracing::info!("another release list is in force:\n{}", walk(list));
                String::new()
            }
            Followed::Kept(error) => format!("the release list in force stays: {error}"),
            Followed::Ended(error) => format!(
                "the release list has ended, so no enclave is accepted until there is another: {error}"
            ),
            other => format!("{other:?}"),
        };
        // The text under the lock is whole whatever happens.
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !complaint.is_empty() && *said != complaint {
            tracing::warn!("{complaint}");
        }
        *said = complaint;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn trust_file_that_is_missing_or_none_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust.toml");
        let missing = trust(Some(&path)).unwrap_err();
        assert_eq!(missing.exit, Exit::Environment, "{missing}");
        fs::write(&path, "[releases]\n").unwrap();
        let odd = trust(Some(&path)).unwrap_err();
        assert_eq!(odd.exit, Exit::Usage, "{odd}");
        assert!(odd.message.contains("trust.toml"), "{odd}");
    }
}
