//! Writing a list, and signing one that somebody else wrote after showing what it says.

use std::path::Path;

use aegis_releases::{
    Draft, Kind, List, Note, Release, SignerKey, UnixSeconds, limits::LIST_BYTES, sign,
    signature_line,
};

use super::{key, now, show};
use crate::{agent::start::say, args::release::SignArgs, failure::Failure, files};

const DAY_S: u64 = 24 * 3600;

pub(super) fn run(args: &SignArgs) -> Result<(), Failure> {
    let key = key::read(&args.key, Kind::Signature)?;
    let signed = match args.release.is_empty() {
        true => one_more(&args.list, &key)?,
        false => write(args, &key)?,
    };
    // What a person signs, that person is shown.
    say(&show::list(&parsed(&args.list, signed.as_bytes())?));
    files::write(&args.list, signed.as_bytes())?;
    say(&format!("signed by {} in {}\n", key.verifier().name(), args.list.display()));
    Ok(())
}

fn write(args: &SignArgs, key: &SignerKey) -> Result<String, Failure> {
    if args.list.exists() {
        let list = args.list.display();
        return Err(Failure::usage(format!(
            "{list} is there already; name a new file, or leave out --release to sign that one"
        )));
    }
    let mut releases = Vec::new();
    for path in &args.release {
        releases.push(release(path)?);
    }
    releases.sort_by_key(|(number, _)| *number);
    let listed: Vec<_> = releases.iter().map(|(number, json)| (*number, json.as_str())).collect();
    let mut withdrawn = args.withdrawn.clone();
    withdrawn.sort_unstable();
    let not_before = args.not_before.map_or_else(now, UnixSeconds);
    let draft = Draft {
        // The command line asks for both with --release.
        origin: args.origin.as_deref().unwrap_or_default(),
        sequence: args.sequence.unwrap_or_default(),
        not_before,
        not_after: UnixSeconds(not_before.0.saturating_add(args.days * DAY_S)),
        minimum: args.minimum.unwrap_or(listed[0].0),
        withdrawn: &withdrawn,
        releases: &listed,
    };
    let text = draft
        .text()
        .map_err(|e| Failure::usage(format!("no client would take this list: {e}; change it")))?;
    Ok(sign(&text, key))
}

/// Number and text of a `release.json`; the text goes into the list as it is.
fn release(path: &Path) -> Result<(u32, String), Failure> {
    let odd = |why: String| {
        let path = path.display();
        Failure::usage(format!("{path} cannot be listed: {why}; give a release.json of aegis-eif"))
    };
    let bytes = files::read(path, LIST_BYTES)?;
    let release = Release::parse(&bytes).map_err(|e| odd(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|e| odd(e.to_string()))?;
    Ok((release.number, text))
}

fn one_more(path: &Path, key: &SignerKey) -> Result<String, Failure> {
    let bytes = files::read(path, LIST_BYTES)?;
    let note = note(path, &bytes)?;
    let own = key.verifier();
    if note.lines().iter().any(|line| line.name == own.name() && line.id == own.id()) {
        let (path, name) = (path.display(), own.name());
        return Err(Failure::usage(format!("{path} is signed by {name} already; nothing to do")));
    }
    // A note is UTF-8: parsing it said so.
    let text = String::from_utf8_lossy(&bytes);
    Ok(format!("{text}{}", signature_line(note.text(), key)))
}

fn parsed(path: &Path, bytes: &[u8]) -> Result<List, Failure> {
    List::parse(note(path, bytes)?.text()).map_err(|e| {
        let path = path.display();
        Failure::refused(format!("{path} is no release list: {e}; do not sign it"))
    })
}

fn note<'a>(path: &Path, bytes: &'a [u8]) -> Result<Note<'a>, Failure> {
    Note::parse(bytes, LIST_BYTES).map_err(|e| {
        let path = path.display();
        Failure::refused(format!("{path} is no signed list: {e}; write one with --release"))
    })
}
