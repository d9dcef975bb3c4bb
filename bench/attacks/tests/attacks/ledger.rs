//! The ledger names exactly the attacks that are there, each with a test that exists.

use std::fs;
use std::path::Path;

use aegis_attacks::adaptive;
use aegis_attacks::attacks;
use aegis_attacks::ledger;

#[test]
fn rows_are_the_attacks() {
    let rows: Vec<String> = ledger::rows().into_iter().map(|row| row.id).collect();
    let there: Vec<&str> = attacks::all().iter().map(|attack| attack.id()).collect();
    assert_eq!(rows, there);
    let rows: Vec<String> = ledger::adaptive().into_iter().map(|row| row.id).collect();
    let there: Vec<&str> = adaptive::all().iter().map(|attack| attack.id).collect();
    assert_eq!(rows, there);
}

#[test]
fn every_file_is_an_attack() {
    for (folder, count) in
        [("attacks", attacks::all().len() + 2), ("adaptive", adaptive::all().len() + 1)]
    {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        let files = names.filter(|name| name != "mod.rs").count();
        assert_eq!(files, count, "{} has a file that is not in its list", folder.display());
    }
}

#[test]
fn every_test_exists() {
    let tests = ledger::rows().into_iter().map(|row| (row.id, row.test));
    let adaptive = ledger::adaptive().into_iter().map(|row| (row.id, row.test));
    for (id, test) in tests.chain(adaptive) {
        let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{id}: {test}"));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
        let text = fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
        assert!(text.contains(&format!("fn {name}(")), "{id}: there is no test {test}");
    }
}
