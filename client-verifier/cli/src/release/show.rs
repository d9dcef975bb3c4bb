//! What a list or a bundle says, believed by nobody.

use aegis_releases::{
    Bundle, List, Note, Status, checkpoint,
    limits::{BUNDLE_BYTES, LIST_BYTES},
};

use crate::{agent::start::say, args::release::ShowArgs, failure::Failure, files};

pub(super) fn run(args: &ShowArgs) -> Result<(), Failure> {
    let bytes = files::read(&args.file, BUNDLE_BYTES)?;
    let odd = |why: String| {
        let path = args.file.display();
        Failure::refused(format!("{path} is neither a signed list nor a bundle: {why}"))
    };
    let bundle = match bytes.starts_with(b"aegis-release-bundle/") {
        true => Some(Bundle::parse(&bytes).map_err(|e| odd(e.to_string()))?),
        false => None,
    };
    let signed = bundle.as_ref().map_or(bytes.as_slice(), |bundle| bundle.list);
    let note = Note::parse(signed, LIST_BYTES).map_err(|e| odd(e.to_string()))?;
    let said = List::parse(note.text()).map_err(|e| odd(e.to_string()))?;
    let mut text = "NOT CHECKED: anybody can write a file that says this.\n".to_owned();
    text += &list(&said);
    text += &format!("signature lines: {}\n", names(&note));
    if let Some(bundle) = &bundle {
        text += &proof(bundle);
    }
    say(&text);
    Ok(())
}

/// The content of a list.
pub(super) fn list(list: &List) -> String {
    let mut text = format!(
        "list {} of {}, valid {} to {}, minimum release {}\n",
        list.sequence(),
        list.origin(),
        list.not_before(),
        list.not_after(),
        list.minimum()
    );
    for release in list.releases() {
        let status = match list.status(release.number) {
            Status::Accepted => "accepted",
            Status::Withdrawn => "WITHDRAWN",
            Status::BelowMinimum => "below the minimum",
        };
        let commit = release.commit.as_deref().unwrap_or("no commit");
        text += &format!(
            "  release {} {status}, version {}, {commit}\n",
            release.number, release.version
        );
        for (index, pcr) in release.pcrs.iter().enumerate() {
            text += &format!("    pcr{index} {}\n", hex::encode(pcr));
        }
    }
    if !list.withdrawn().is_empty() {
        let numbers: Vec<_> = list.withdrawn().iter().map(u32::to_string).collect();
        text += &format!("  withdrawn: {}\n", numbers.join(", "));
    }
    text
}

fn names(note: &Note<'_>) -> String {
    let names: Vec<_> = note.lines().iter().map(|line| line.name).collect();
    names.join(", ")
}

fn proof(bundle: &Bundle<'_>) -> String {
    let note = Note::parse(bundle.proof.checkpoint, LIST_BYTES);
    let head = note.as_ref().ok().and_then(|note| checkpoint::parse_text(note.text()).ok());
    let (Ok(note), Some((origin, head))) = (&note, head) else {
        return "no checkpoint that can be read\n".to_owned();
    };
    let from: Vec<_> = bundle.consistency.iter().map(|proof| proof.from.to_string()).collect();
    format!(
        "entry {} of {origin}, {} entries, root {}\nsignature lines of the checkpoint: {}\n\
         consistency proofs from sizes: {}\n",
        bundle.proof.index,
        head.size,
        head.root,
        names(note),
        from.join(", ")
    )
}
