//! The adaptive attacks, each as its row in the ledger says.

use aegis_attacks::adaptive;
use aegis_attacks::ledger;

async fn as_the_ledger_says(id: &str) {
    let attack = adaptive::all().into_iter().find(|attack| attack.id == id).unwrap();
    let row = ledger::adaptive().into_iter().find(|row| row.id == id).unwrap();
    assert_eq!((attack.run)().await.unwrap().to_string(), row.expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn record_tampering() {
    as_the_ledger_says("record-tampering").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_stream() {
    as_the_ledger_says("partial-stream").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timing_trigger() {
    as_the_ledger_says("timing-trigger").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_swap() {
    as_the_ledger_says("session-swap").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_replay() {
    as_the_ledger_says("session-replay").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_relay() {
    as_the_ledger_says("evidence-relay").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malicious_update() {
    as_the_ledger_says("malicious-update").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_downgrade() {
    as_the_ledger_says("plaintext-downgrade").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn egress_lies() {
    as_the_ledger_says("egress-lies").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_substitution() {
    as_the_ledger_says("account-substitution").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_splicing() {
    as_the_ledger_says("grant-splicing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credential_injection() {
    as_the_ledger_says("credential-injection").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deny_text() {
    as_the_ledger_says("deny-text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_release() {
    as_the_ledger_says("stale-release").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forked_log() {
    as_the_ledger_says("forked-log").await;
}
