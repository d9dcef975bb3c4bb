//! The ledger's file across crashes: numbers never return, open grants are known, a torn line is
//! cut off, anything else that is wrong refuses the start.
//!
//! A program of its own: a child that another test forks would keep a file's lock for a moment.
#![allow(clippy::unwrap_used)]

use std::{fs, io::Write, path::Path};

use aegis_host::{
    fleet::Boot,
    ledger::{Ledger, LedgerError, Settled, Terms},
};
use aegis_wire::control::{Label, Source, Usage};
use tempfile::TempDir;

const BOOT: Boot = Boot([1; 16]);

fn terms(request: u64) -> Terms {
    Terms {
        request: format!("{BOOT}-{request}"),
        attempt: 1,
        session: 40 + request,
        tenant: "acme".into(),
        key: "laptop".into(),
        enclave: "blue".into(),
        release: 7,
        provider: "openai".into(),
        class: "generate".into(),
        custody: "host".into(),
        account: 4,
    }
}

fn usage(grant: u64) -> Usage {
    let mut counts = [None; 12];
    (counts[0], counts[1]) = (Some(11), Some(0));
    Usage {
        grant,
        status_class: 2,
        source: Source::Provider,
        counts,
        label: Label::new(b"mock-1"),
        first_byte_ms: 120,
        total_ms: 4500,
    }
}

fn file() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    (folder, path)
}

/// Three grants, the second settled.
fn written(path: &Path) {
    let (mut ledger, _) = Ledger::open(path).unwrap();
    for request in 1..=3 {
        assert_eq!(ledger.grant(1000 + request, terms(request)).unwrap(), request);
    }
    assert_eq!(ledger.settle(2000, BOOT, &usage(2)).unwrap(), Settled::Now(terms(2)));
}

#[test]
fn a_restart_knows_open_grants_and_the_next_number() {
    let (_folder, path) = file();
    written(&path);
    let (mut ledger, replayed) = Ledger::open(&path).unwrap();
    assert_eq!(replayed.open.keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert_eq!((replayed.last_grant, replayed.last_session), (3, 43));
    assert_eq!(replayed.torn_bytes, 0);
    assert_eq!(ledger.settle(3000, BOOT, &usage(2)).unwrap(), Settled::Before);
    assert_eq!(ledger.settle(3000, BOOT, &usage(4)).unwrap(), Settled::Unknown);
    assert_eq!(ledger.settle(3000, BOOT, &usage(0)).unwrap(), Settled::Unknown);
    assert_eq!(ledger.settle(3000, Boot([2; 16]), &usage(1)).unwrap(), Settled::Unknown);
    assert_eq!(ledger.settle(3000, BOOT, &usage(1)).unwrap(), Settled::Now(terms(1)));
    assert_eq!(ledger.grant(3000, terms(9)).unwrap(), 4);
}

/// Wherever the last line is cut, the lines before it count and the file goes on whole.
#[test]
fn a_line_torn_at_any_byte_is_cut_off_and_reported() {
    let (_folder, path) = file();
    written(&path);
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in last..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (mut ledger, replayed) = Ledger::open(&path).unwrap();
        assert_eq!(replayed.torn_bytes, (cut - last) as u64);
        assert_eq!(replayed.open.len(), 3, "the torn settlement was never acknowledged");
        assert_eq!(ledger.settle(2000, BOOT, &usage(2)).unwrap(), Settled::Now(terms(2)));
        drop(ledger);
        assert!(fs::read(&path).unwrap() == whole, "cut at {cut}");
    }
}

#[test]
fn a_torn_grant_was_never_sent_so_its_number_is_free() {
    let (_folder, path) = file();
    written(&path);
    let whole = fs::read(&path).unwrap();
    let (mut ledger, _) = Ledger::open(&path).unwrap();
    assert_eq!(ledger.grant(3000, terms(4)).unwrap(), 4);
    drop(ledger);
    let longer = fs::read(&path).unwrap();
    fs::write(&path, &longer[..whole.len() + 30]).unwrap();
    let (mut ledger, replayed) = Ledger::open(&path).unwrap();
    assert_eq!((replayed.torn_bytes, replayed.last_grant), (30, 3));
    assert_eq!(ledger.grant(3000, terms(5)).unwrap(), 4);
}

#[test]
fn a_changed_file_refuses_the_start_and_names_the_line() {
    let (_folder, path) = file();
    written(&path);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let join = |order: &[usize]| order.iter().map(|at| format!("{}\n", lines[*at])).collect();
    let changed: [(String, usize); 6] = [
        (join(&[0, 2, 3]), 2),
        (join(&[0, 1, 1]), 3),
        (join(&[3, 0]), 1),
        (join(&[0, 1, 2, 3, 3]), 5),
        (text.replacen("laptop", "lap\ntop", 1), 1),
        (text.replacen("\"tenant\":", "\"extra\":1,\"tenant\":", 1), 1),
    ];
    for (content, expected) in changed {
        fs::write(&path, &content).unwrap();
        match Ledger::open(&path) {
            Err(LedgerError::Corrupt { line, .. }) => assert_eq!(line, expected, "{content}"),
            other => panic!("{content}: {other:?}"),
        }
        assert!(fs::read_to_string(&path).unwrap() == content, "a refusal changes nothing");
    }
}

#[test]
fn a_device_is_no_ledger() {
    let refused = Ledger::open(Path::new("/dev/null"));
    assert!(matches!(refused, Err(LedgerError::NoFile { .. })), "{refused:?}");
}

#[test]
fn two_hosts_cannot_share_a_ledger() {
    let (_folder, path) = file();
    let (_held, _) = Ledger::open(&path).unwrap();
    assert!(matches!(Ledger::open(&path), Err(LedgerError::InUse { .. })));
}

#[test]
fn what_a_failed_write_left_behind_is_cut_off_before_the_next_line() {
    let (_folder, path) = file();
    let (mut ledger, _) = Ledger::open(&path).unwrap();
    ledger.grant(1000, terms(1)).unwrap();
    let mut other = fs::OpenOptions::new().append(true).open(&path).unwrap();
    other.write_all(b"{\"line\":\"grant\",\"at_").unwrap();
    assert_eq!(ledger.grant(1001, terms(2)).unwrap(), 2);
    drop(ledger);
    let (_, replayed) = Ledger::open(&path).unwrap();
    assert_eq!((replayed.open.len(), replayed.torn_bytes), (2, 0));
}

#[test]
fn a_file_that_somebody_cut_takes_no_further_grant() {
    let (_folder, path) = file();
    let (mut ledger, _) = Ledger::open(&path).unwrap();
    ledger.grant(1000, terms(1)).unwrap();
    fs::write(&path, "").unwrap();
    let refused = ledger.grant(1001, terms(2)).unwrap_err().to_string();
    assert!(refused.contains("somebody else cut the file"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn grants_past_their_deadline_are_lost_exactly_once() {
    let (_folder, path) = file();
    written(&path);
    let (mut ledger, _) = Ledger::open(&path).unwrap();
    assert_eq!(ledger.expire(9000, 1000).unwrap().len(), 0);
    assert_eq!(ledger.expire(9000, 1001).unwrap().len(), 1);
    assert_eq!(ledger.expire(9000, 1003).unwrap().len(), 1);
    assert_eq!(ledger.expire(9000, u64::MAX).unwrap().len(), 0);
    assert_eq!(ledger.settle(9001, BOOT, &usage(1)).unwrap(), Settled::Before);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("\"source\":\"lost\"").count(), 2);
}

#[test]
fn a_new_boot_loses_only_its_own_enclaves_grants() {
    let (_folder, path) = file();
    written(&path);
    let (mut ledger, _) = Ledger::open(&path).unwrap();
    let other = Boot([2; 16]);
    assert_eq!(ledger.enclave_restarted(9000, "green", other).unwrap().len(), 0);
    assert_eq!(ledger.enclave_restarted(9000, "blue", BOOT).unwrap().len(), 0);
    assert_eq!(ledger.enclave_restarted(9000, "blue", other).unwrap().len(), 2);
}
