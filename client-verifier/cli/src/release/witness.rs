//! A witness: it remembers the last tree head of a log and cosigns only what continues it.
//!
//! What it remembers is a checkpoint's text, without signatures: it is its own.

use std::fs;

use aegis_releases::{Kind, VerifierKey, checkpoint, cosign, merkle::TreeHead};

use super::{key, now, store::Store};
use crate::{agent::start::say, args::release::WitnessArgs, failure::Failure, files};

pub(super) fn run(args: &WitnessArgs) -> Result<(), Failure> {
    let key = key::read(&args.key, Kind::Witness)?;
    let mut lock = args.state.clone().into_os_string();
    lock.push(".lock");
    // Two runs at once must not remember different pasts.
    let _lock = files::lock(lock.as_ref())?;
    let seen = remembered(args)?;
    let mut store = Store::open(&args.folder)?;
    let proof = seen.and_then(|seen| store.tree.consistency(seen.size)).unwrap_or_default();
    let given = cosign(&store.checkpoint, &args.log, seen.as_ref(), &proof, &key, now());
    let given = given.map_err(|e| {
        let folder = args.folder.display();
        Failure::refused(format!("{folder} is not cosigned: {e}; keep it as evidence"))
    })?;
    // On disk before anybody has the line: a witness never forgets what it signed.
    let text = checkpoint::text(args.log.name(), &given.seen);
    files::write(&args.state, text.as_bytes())?;
    let others = without_lines_of(&store.checkpoint, &key.verifier());
    store.write_checkpoint((others + &given.line).into_bytes())?;
    let size = given.seen.size;
    say(&match seen {
        None => format!("cosigned {size} entries; nothing was remembered before: first use\n"),
        Some(seen) => format!("cosigned {size} entries, which continue the {} before\n", seen.size),
    });
    Ok(())
}

/// The checkpoint without an earlier cosignature of this witness.
fn without_lines_of(checkpoint: &[u8], key: &VerifierKey) -> String {
    let own = format!("\u{2014} {} ", key.name());
    let text = String::from_utf8_lossy(checkpoint);
    text.split_inclusive('\n').filter(|line| !line.starts_with(&own)).collect()
}

fn remembered(args: &WitnessArgs) -> Result<Option<TreeHead>, Failure> {
    let path = args.state.display();
    let text = match fs::read_to_string(&args.state) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => {
            return Err(Failure::environment(format!(
                "cannot read the witness's state {path}: {e}; give a file that you may read"
            )));
        }
    };
    let damaged = |why: &dyn std::fmt::Display| {
        Failure::refused(format!(
            "the witness's state {path} is damaged: {why}; restore it, for without it a log can show another past"
        ))
    };
    let (origin, head) = checkpoint::parse_text(&text).map_err(|e| damaged(&e))?;
    if origin != args.log.name() {
        return Err(damaged(&format!("it is of the log {origin}")));
    }
    Ok(Some(head))
}
