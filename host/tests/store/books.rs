//! Every grant has one number and one outcome.

use std::{collections::BTreeSet, task::Poll};

use aegis_host::{
    books::{Books, NoGrant, Settled},
    fleet::Boot,
    store::ledger_columns,
};
use aegis_wire::control::{Custody, Source};

use crate::base::{BOOT, Base, NOON, PRICES, floor, sent, terms, usage};

async fn prepared(base: &Base) {
    base.all(&["tenant create acme", PRICES]).await;
}

async fn outcome(base: &Base, grant: u64) -> (Option<String>, Option<String>, i64) {
    let of = |column| format!("SELECT {column} FROM ledger WHERE grant_id = {grant}");
    (
        base.word(&of("outcome")).await,
        base.word(&of("source")).await,
        base.number(&of("COALESCE(charged, -1)")).await,
    )
}

fn ended(outcome: &str, source: &str, charged: i64) -> (Option<String>, Option<String>, i64) {
    (Some(outcome.into()), Some(source.into()), charged)
}

async fn hosts_of_one_store_never_give_a_number_twice(base: Base) {
    let mut given = BTreeSet::new();
    let (one, other) = (base.books("one").await, base.books("other").await);
    let ask = |request| {
        let books = if request % 2 == 0 { one.clone() } else { other.clone() };
        tokio::spawn(async move { sent(books.grant(NOON, terms(request)).await.unwrap()) })
    };
    let asked: Vec<_> = (1..=100).map(ask).collect();
    for asked in asked {
        assert!(given.insert(asked.await.unwrap()), "a number came twice");
    }
    drop((one, other));
    let third = base.books("one").await;
    let next = sent(third.grant(NOON, terms(1)).await.unwrap());
    assert!(given.last().is_some_and(|last| next > *last));
    assert_eq!(base.number("SELECT COUNT(*) FROM ledger").await, 101);
}

async fn a_report_is_applied_once_and_only_for_its_boot(base: Base) {
    prepared(&base).await;
    let books = base.books("one").await;
    let grant = sent(books.grant(NOON, terms(1)).await.unwrap());
    assert_eq!(outcome(&base, grant).await.0, None);
    let other = books.settle(NOON, Boot([2; 16]), &usage(grant, 5)).await.unwrap();
    assert_eq!(other, Settled::Unknown);
    assert_eq!(books.settle(NOON, BOOT, &usage(grant + 1, 5)).await.unwrap(), Settled::Unknown);
    assert_eq!(books.settle(NOON, BOOT, &usage(u64::MAX, 5)).await.unwrap(), Settled::Unknown);
    let settled = books.settle(NOON, BOOT, &usage(grant, 70)).await.unwrap();
    assert_eq!(settled, Settled::Now(format!("{BOOT}-1")));
    let again = books.settle(NOON, BOOT, &usage(grant, 5_000)).await.unwrap();
    assert_eq!(again, Settled::Before);
    // Two at one time, in one transaction.
    let grant = sent(books.grant(NOON, terms(2)).await.unwrap());
    let twice = usage(grant, 8);
    let both = tokio::join!(books.settle(NOON, BOOT, &twice), books.settle(NOON, BOOT, &twice));
    let both = [both.0.unwrap(), both.1.unwrap()];
    assert!(both.contains(&Settled::Before) && both.contains(&Settled::Now(format!("{BOOT}-2"))));
    assert_eq!(outcome(&base, grant).await, ended("settled", "provider", 8));
    assert_eq!(base.number("SELECT COUNT(*) FROM ledger WHERE outcome IS NULL").await, 0);
}

async fn each_source_has_its_outcome_and_price(base: Base) {
    prepared(&base).await;
    let books = base.books("one").await;
    let cases = [
        (Source::Provider, 2, 70, "settled", 70),
        (Source::Provider, 2, 999_999, "settled", 999_999),
        (Source::Missing, 2, 0, "settled", floor()),
        (Source::NotDispatched, 0, 0, "settled", 0),
        (Source::Unmetered, 4, 0, "settled", 0),
        (Source::Unmetered, 2, 0, "settled", floor()),
        (Source::Aborted, 0, 0, "aborted", floor()),
        (Source::Partial, 2, 70, "aborted", floor()),
        (Source::Partial, 2, 999_999, "aborted", 999_999),
    ];
    for (source, status_class, input, word, charged) in cases {
        let mut asked = terms(1);
        asked.reserve = Some(aegis_host::money::Micro(floor()));
        let grant = sent(books.grant(NOON, asked).await.unwrap());
        let mut usage = usage(grant, input);
        (usage.source, usage.status_class) = (source, status_class);
        books.settle(NOON, BOOT, &usage).await.unwrap();
        assert_eq!(outcome(&base, grant).await, ended(word, source.word(), charged), "{source:?}");
    }
    let mut own = terms(1);
    own.custody = Custody::Client;
    let grant = sent(books.grant(NOON, own).await.unwrap());
    books.settle(NOON, BOOT, &usage(grant, 70)).await.unwrap();
    assert_eq!(outcome(&base, grant).await, ended("settled", "provider", 0), "their own account");
}

async fn what_is_lost_is_charged_its_reservation_until_somebody_knows_better(base: Base) {
    prepared(&base).await;
    let books = base.books("one").await;
    let mut grants = Vec::new();
    for request in 1..=3 {
        grants.push(sent(books.grant(NOON, terms(request)).await.unwrap()));
    }
    books.settle(NOON, BOOT, &usage(grants[0], 70)).await.unwrap();
    assert!(books.enclave_restarted(NOON, "blue", BOOT).await.unwrap().lost.is_empty());
    assert!(books.enclave_restarted(NOON, "green", Boot([2; 16])).await.unwrap().lost.is_empty());
    let other = base.books("other").await;
    assert!(other.enclave_restarted(NOON, "blue", Boot([2; 16])).await.unwrap().lost.is_empty());
    assert!(books.expire(NOON, NOON - 1).await.unwrap().lost.is_empty());
    let lost = books.enclave_restarted(NOON, "blue", Boot([2; 16])).await.unwrap().lost;
    assert_eq!(lost.iter().map(|lost| lost.grant).collect::<Vec<_>>(), grants[1..]);
    assert_eq!(outcome(&base, grants[1]).await, ended("aborted", "lost", floor()));
    assert!(books.expire(NOON, NOON).await.unwrap().lost.is_empty(), "an outcome is given once");
    // The boot was believed dead and was not.
    let late = books.settle(NOON, BOOT, &usage(grants[1], 70)).await.unwrap();
    assert!(matches!(late, Settled::Now(_)));
    assert_eq!(outcome(&base, grants[1]).await, ended("settled", "provider", 70));
    assert_eq!(books.settle(NOON, BOOT, &usage(grants[1], 9)).await.unwrap(), Settled::Before);
    assert_eq!(outcome(&base, grants[2]).await, ended("aborted", "lost", floor()));
}

async fn a_grant_that_is_not_sent_is_void(base: Base) {
    prepared(&base).await;
    base.all(&["budget set tenant acme --day 1"]).await;
    let books = base.books("one").await;
    let unsent = books.grant(NOON, terms(1)).await.unwrap();
    let number = unsent.number();
    drop(unsent);
    // Whoever asks and goes away before the answer takes nothing either.
    let mut asking = Box::pin(books.grant(NOON, terms(2)));
    let asked = std::future::poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx))).await;
    drop((asked, asking));
    // Written in their order, so what comes after sees both.
    let kept = sent(books.grant(NOON, terms(3)).await.unwrap());
    books.settle(NOON, BOOT, &usage(kept, 70)).await.unwrap();
    books.settle(NOON, BOOT, &usage(kept, 70)).await.unwrap();
    assert_eq!(outcome(&base, number).await, ended("void", "void", 0));
    assert_eq!(base.number("SELECT COUNT(*) FROM ledger WHERE outcome IS NULL").await, 0);
    assert_eq!(base.used("tenant", "acme", "day").await, (70, 0));
    assert_eq!(books.settle(NOON, BOOT, &usage(number, 9)).await.unwrap(), Settled::Before);
}

async fn a_reservation_is_what_requests_cost_lately(base: Base) {
    prepared(&base).await;
    let books = base.books("one").await;
    let reserved = async |grant: u64| {
        base.number(&format!("SELECT reserved FROM ledger WHERE grant_id = {grant}")).await
    };
    for (request, cost) in (1..).zip([10, 50_000, 30_000]) {
        let grant = sent(books.grant(NOON, terms(request)).await.unwrap());
        books.settle(NOON, BOOT, &usage(grant, cost)).await.unwrap();
    }
    let grant = sent(books.grant(NOON, terms(4)).await.unwrap());
    assert_eq!(reserved(grant).await, 50_000);
    // A host that starts knows it from the ledger.
    let other = base.books("two").await;
    let grant = sent(other.grant(NOON, terms(5)).await.unwrap());
    assert_eq!(reserved(grant).await, 50_000);
    let mut class = terms(6);
    class.class = aegis_wire::control::Class::List;
    let grant = sent(books.grant(NOON, class).await.unwrap());
    assert_eq!(reserved(grant).await, 0, "another class has a past of its own");
    let mut own = terms(7);
    own.reserve = Some(aegis_host::money::Micro(7));
    let grant = sent(books.grant(NOON, own).await.unwrap());
    assert_eq!(reserved(grant).await, 7, "the key's own amount holds");
}

async fn requests_of_other_accounts_and_hosts_are_told_apart_and_learnt(base: Base) {
    prepared(&base).await;
    let books = base.books("one").await;
    let grant = sent(books.grant(NOON, terms(1)).await.unwrap());
    books.settle(NOON, BOOT, &usage(grant, 50_000)).await.unwrap();
    // What callers paid themselves says nothing of what the operator's accounts are charged.
    copy(&base, 150, &[("custody", "'client'"), ("charged", "0")]).await;
    let other = base.books("two").await;
    let reserved = async |books: &Books, at_ms| {
        let grant = sent(books.grant(at_ms, terms(2)).await.unwrap());
        base.number(&format!("SELECT reserved FROM ledger WHERE grant_id = {grant}")).await
    };
    assert_eq!(reserved(&other, NOON).await, 50_000);
    let grant = sent(books.grant(NOON, terms(3)).await.unwrap());
    books.settle(NOON, BOOT, &usage(grant, 90_000)).await.unwrap();
    assert_eq!(reserved(&other, NOON + 599_999).await, 50_000);
    assert_eq!(reserved(&other, NOON + 600_000).await, 90_000, "another host settled it");
}

/// The one row of the ledger so many times more, with some columns changed.
async fn copy(base: &Base, count: u32, changed: &[(&str, &str)]) {
    let columns = ledger_columns();
    let names: Vec<_> = columns.iter().map(|column| column.trim_start_matches('#')).collect();
    let value = |name: &&str| match changed.iter().find(|(changed, _)| changed == name) {
        Some((_, value)) => (*value).to_owned(),
        None if *name == "grant_id" => "grant_id + 1000000 + i".into(),
        None => (*name).to_owned(),
    };
    let values: Vec<_> = names.iter().map(value).collect();
    let text = format!(
        "INSERT INTO ledger ({}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
         WHERE i < {count}) SELECT {} FROM ledger, n",
        names.join(", "),
        values.join(", ")
    );
    execute(base, &text).await;
}

async fn execute(base: &Base, text: &str) {
    sqlx::query(text).execute(base.store.pool()).await.unwrap();
}

async fn thousands_of_grants_are_given_up_in_turns(base: Base) {
    prepared(&base).await;
    base.all(&["budget set tenant acme --month 1000000"]).await;
    execute(&base, "UPDATE budgets SET period_start = 0").await;
    let books = base.books("one").await;
    sent(books.grant(NOON, terms(1)).await.unwrap());
    copy(&base, 6_000, &[]).await;
    execute(&base, "UPDATE budgets SET reserved = 6001 * reserved").await;
    let mut turns = Vec::new();
    loop {
        let some = books.enclave_restarted(NOON, "blue", Boot([2; 16])).await.unwrap();
        turns.push(some.lost.len());
        if !some.more {
            break;
        }
    }
    assert_eq!(turns, [1024, 1024, 1024, 1024, 1024, 881]);
    let lost = "SELECT COUNT(*) FROM ledger WHERE source = 'lost' AND charged = reserved";
    assert_eq!(base.number(lost).await, 6001);
    assert_eq!(base.used("tenant", "acme", "month").await, (6001 * floor(), 0));
}

async fn a_store_that_fails_for_a_while_works_afterwards(base: Base) {
    prepared(&base).await;
    let books = base.books("one").await;
    let unsent = books.grant(NOON, terms(1)).await.unwrap();
    let number = unsent.number();
    execute(&base, "ALTER TABLE ledger RENAME TO elsewhere").await;
    drop(unsent);
    // If each failure doubled what is to become void, no statement would hold it any more.
    for request in 2..16 {
        books.grant(NOON, terms(request)).await.unwrap_err();
    }
    execute(&base, "ALTER TABLE elsewhere RENAME TO ledger").await;
    sent(books.grant(NOON, terms(16)).await.unwrap());
    assert_eq!(outcome(&base, number).await, ended("void", "void", 0));
}

async fn more_voids_than_a_statement_holds_are_written_in_turns(base: Base) {
    prepared(&base).await;
    let books = base.books("one").await;
    execute(&base, "ALTER TABLE ledger RENAME TO elsewhere").await;
    for _ in 0..80 {
        let ask = |request| {
            let books = books.clone();
            tokio::spawn(async move { books.grant(NOON, terms(request)).await.is_err() })
        };
        let asked: Vec<_> = (0..256).map(ask).collect();
        for asked in asked {
            assert!(asked.await.unwrap());
        }
    }
    execute(&base, "ALTER TABLE elsewhere RENAME TO ledger").await;
    sent(books.grant(NOON, terms(1)).await.unwrap());
}

async fn a_store_that_is_gone_gives_no_grant(base: Base) {
    let books = base.books("one").await;
    sqlx::query("DROP TABLE ledger").execute(base.store.pool()).await.unwrap();
    let refused = books.grant(NOON, terms(1)).await.unwrap_err();
    assert!(matches!(refused, NoGrant::Books(_)), "{refused}");
    assert!(books.settle(NOON, BOOT, &usage(1, 1)).await.is_err(), "nor an acknowledgement");
}

crate::on_both! {
    hosts_of_one_store_never_give_a_number_twice
    a_report_is_applied_once_and_only_for_its_boot
    each_source_has_its_outcome_and_price
    what_is_lost_is_charged_its_reservation_until_somebody_knows_better
    a_grant_that_is_not_sent_is_void
    a_reservation_is_what_requests_cost_lately
    requests_of_other_accounts_and_hosts_are_told_apart_and_learnt
    thousands_of_grants_are_given_up_in_turns
    a_store_that_fails_for_a_while_works_afterwards
    more_voids_than_a_statement_holds_are_written_in_turns
    a_store_that_is_gone_gives_no_grant
}
