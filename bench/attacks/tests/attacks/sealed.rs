//! The same attackers in the host's place: what the ledger expects is what is found.

use aegis_attacks::attacks;
use aegis_attacks::ledger;
use aegis_attacks::place::Place;
use aegis_attacks::place::Trust;
use aegis_attacks::report;
use aegis_attacks::report::Found;
use aegis_attacks::run;
use aegis_attacks::run::Ending;

/// Runs the attacks with these names and compares with their rows.
async fn as_the_ledger_says(names: &[&str]) {
    let mut count = 0;
    for (number, attack) in attacks::all().into_iter().enumerate() {
        if !names.contains(&attack.id()) {
            continue;
        }
        let variants = report::two_variants(number);
        let found = Found::run(attack.as_ref(), &variants, Trust::Kept).await.unwrap();
        let row = ledger::rows().into_iter().find(|row| row.id == attack.id()).unwrap();
        assert_eq!(found.baseline.words(), row.baseline, "{}", row.id);
        assert_eq!(found.at(Place::Wire).words(), row.wire, "{} on the wire", row.id);
        assert_eq!(found.at(Place::Enclave).words(), row.enclave, "{} as the enclave", row.id);
        assert_eq!(found.at(Place::Provider).words(), row.provider, "{} as the provider", row.id);
        assert!(!found.through());
        count += 1;
    }
    assert_eq!(count, names.len(), "an attack of {names:?} is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_calls_cannot_be_rewritten() {
    as_the_ledger_says(&["AC-1-rewrite", "AC-1.a-typosquat", "AC-1.a-quoted", "AC-1.a-url"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_do_not_help() {
    let kinds = ["count", "fingerprint", "keyword", "tool", "window"];
    let names = kinds.map(|kind| format!("AC-1.b-{kind}"));
    as_the_ledger_says(&names.each_ref().map(String::as_str)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_cannot_be_taken() {
    as_the_ledger_says(&["AC-2-header", "AC-2-request", "AC-2-response"]).await;
}

/// The shipped host, its memory, files, output and legs, searched with the thief's own patterns.
/// They find the operator's credential, which is there, and nothing of the user's.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_in_the_hosts_memory() {
    for attack in report::chosen(&["AC-2-request".to_owned()]) {
        let (endings, looked) =
            run::against_memory(attack.as_ref(), &report::two_variants(1)).await.unwrap();
        assert!(looked, "the thief did not find what is there");
        assert_eq!(endings, vec![Ending::Unharmed; 2]);
    }
}

/// The bench's own control: with what the sealed path stands on taken away, the same attackers in
/// the same places get through.
#[tokio::test(flavor = "multi_thread")]
async fn attacks_get_through_when_trust_is_broken() {
    let (mut found, only) = (Vec::new(), ["AC-1.a-url", "AC-1.b-tool", "AC-2-request"]);
    for (number, attack) in report::chosen(&only.map(str::to_owned)).into_iter().enumerate() {
        let variants = report::two_variants(number);
        found.push(Found::run(attack.as_ref(), &variants, Trust::Broken).await.unwrap());
    }
    for row in &found {
        assert!(row.at(Place::Enclave).all_succeed(), "{}: {row:?}", row.id);
        assert!(row.at(Place::Provider).all_succeed(), "{}: {row:?}", row.id);
    }
    let last = "3 attacks: 3 succeed against the baseline, 3 through the sealed path";
    assert_eq!(report::last_line(&found), last);
}
