//! Keeping a log: lists in, bundles out.

use aegis_releases::{Kind, List, Note, check_unlogged, checkpoint, limits::LIST_BYTES, log::TILE};

use super::{key, now, store::Store};
use crate::{
    agent::start::say,
    args::release::{AppendArgs, BundleArgs, LogShowArgs},
    failure::Failure,
    files, lists,
};

pub(super) fn append(args: &AppendArgs) -> Result<(), Failure> {
    let key = key::read(&args.key, Kind::Signature)?;
    let trust = lists::trust(Some(&args.trust))?;
    if key.verifier() != *trust.log() {
        let (given, known) = (key.verifier(), trust.log());
        return Err(Failure::usage(format!(
            "--key is {given}, and the trust file names the log {known}; give the log's own key"
        )));
    }
    let signed = files::read(&args.list, LIST_BYTES)?;
    let path = args.list.display();
    let refused = |why: String| Failure::refused(format!("{path} is not taken up: {why}"));
    let list = check_unlogged(&signed, &trust, now()).map_err(|e| refused(e.to_string()))?;
    let mut store = Store::open_or_new(&args.log)?;
    if let Some(last) = store.last()?
        && let Some(before) = sequence(&last)
        && list.sequence() <= before
    {
        let sequence = list.sequence();
        return Err(refused(format!(
            "its sequence number is {sequence} and the log's last is {before}; write a list with a higher one"
        )));
    }
    store.append(signed, |head| checkpoint::sign(head, &key))?;
    let (sequence, size) = (list.sequence(), store.head().size);
    say(&format!("list {sequence} is entry {} of {} entries\n", size - 1, size));
    Ok(())
}

/// The number of a list, if the entry is one.
fn sequence(entry: &[u8]) -> Option<u64> {
    let note = Note::parse(entry, LIST_BYTES).ok()?;
    Some(List::parse(note.text()).ok()?.sequence())
}

pub(super) fn bundle(args: &BundleArgs) -> Result<(), Failure> {
    let store = Store::open(&args.log)?;
    let empty = || Failure::refused("the log has no entry; append a list first");
    let last = store.last()?.ok_or_else(empty)?;
    let index = store.head().size - 1;
    if let Some(since) = args.since
        && !(1..=index + 1).contains(&since)
    {
        return Err(Failure::usage(format!(
            "--since {since} is no size of this log; it had 1 to {} entries",
            index + 1
        )));
    }
    let bundle = store.tree.bundle(index, &last, &store.checkpoint, args.since);
    let bundle = bundle.ok_or_else(empty)?;
    files::write(&args.out, &bundle)?;
    let number = sequence(&last).map_or_else(|| "?".to_owned(), |number| number.to_string());
    say(&format!("the bundle of list {number} is in {}\n", args.out.display()));
    Ok(())
}

pub(super) fn show(args: &LogShowArgs) -> Result<(), Failure> {
    let store = Store::open(&args.log)?;
    let head = store.head();
    let mut text = String::new();
    for bundle in 0..head.size.div_ceil(TILE) {
        for (entry, at) in store.entries(bundle)?.iter().zip(bundle * TILE..) {
            text += &format!("entry {at}: {}\n", described(entry));
        }
    }
    let note = String::from_utf8_lossy(&store.checkpoint);
    text += &format!("all files fit the checkpoint, whose signatures were not checked:\n{note}");
    say(&text);
    Ok(())
}

fn described(entry: &[u8]) -> String {
    let list = Note::parse(entry, LIST_BYTES).ok().and_then(|note| List::parse(note.text()).ok());
    match list {
        None => "no release list".to_owned(),
        Some(list) => {
            let accepted: Vec<_> =
                list.accepted().map(|release| release.number.to_string()).collect();
            format!(
                "list {} of {}, until {}, accepts {}",
                list.sequence(),
                list.origin(),
                list.not_after(),
                if accepted.is_empty() { "none".to_owned() } else { accepted.join(", ") }
            )
        }
    }
}
