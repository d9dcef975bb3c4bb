//! Budgets hold under concurrency, are exact after settlement, and go over by no more than the
//! excess of what is open.

use aegis_host::{
    books::{Books, NoGrant},
    money::Micro,
};

use crate::base::{BOOT, Base, NOON, PRICES, sent, terms, usage};

const DAY_MS: u64 = 86_400_000;

async fn prepared(base: &Base, budgets: &[&str]) {
    let lines = ["tenant create acme", "team create acme/red", PRICES];
    let digest = "0a".repeat(32);
    let key = format!("key create laptop --tenant acme --team red --sha256 {digest}");
    base.all(&lines).await;
    base.all(&[key.as_str()]).await;
    base.all(budgets).await;
    // Budgets of tests begin in the day of their grants.
    sqlx::query("UPDATE budgets SET period_start = 0").execute(base.store.pool()).await.unwrap();
}

/// So many requests at one time, each reserving 100; the grants that were given.
async fn rush(books: &[Books], count: u64) -> Vec<u64> {
    let ask = |request: u64| {
        let books = books[request as usize % books.len()].clone();
        tokio::spawn(async move {
            let mut asked = terms(request);
            asked.reserve = Some(Micro(100));
            match books.grant(NOON, asked).await {
                Ok(written) => Some(sent(written)),
                Err(NoGrant::Budget { .. }) => None,
                Err(error) => panic!("{error}"),
            }
        })
    };
    let asked: Vec<_> = (1..=count).map(ask).collect();
    let mut given = Vec::new();
    for asked in asked {
        given.extend(asked.await.unwrap());
    }
    given
}

async fn hosts_together_never_reserve_beyond_a_budget(base: Base) {
    prepared(&base, &["budget set tenant acme --day 0.001"]).await;
    let hosts = [base.books("one").await, base.books("two").await, base.books("three").await];
    let given = rush(&hosts, 60).await;
    assert_eq!(given.len(), 10, "1000 micro-units are ten times 100");
    assert_eq!(base.used("tenant", "acme", "day").await, (0, 1000));
    for grant in &given {
        hosts[0].settle(NOON, BOOT, &usage(*grant, 40)).await.unwrap();
    }
    assert_eq!(base.used("tenant", "acme", "day").await, (400, 0));
    // No false refusals after settlement: six times 100 are left.
    assert_eq!(rush(&hosts, 60).await.len(), 6);
}

async fn answers_of_ten_times_the_reservation_overspend_by_their_excess(base: Base) {
    prepared(&base, &["budget set team acme/red --month 0.001"]).await;
    let books = [base.books("one").await];
    let given = rush(&books, 30).await;
    for grant in &given {
        books[0].settle(NOON, BOOT, &usage(*grant, 1000)).await.unwrap();
    }
    let (settled, reserved) = base.used("team", "acme/red", "month").await;
    assert_eq!((settled, reserved), (10_000, 0));
    // Open grants times the largest excess, and no more.
    assert!(settled <= 1000 + given.len() as i64 * 900);
    assert!(rush(&books, 5).await.is_empty(), "what was overspent is owed");
}

async fn the_first_full_budget_refuses_and_no_other_is_touched(base: Base) {
    let budgets = [
        "budget set key laptop --day 0.0003",
        "budget set team acme/red --day 1",
        "budget set tenant acme --day 1 --month 0.0002",
    ];
    prepared(&base, &budgets).await;
    let books = [base.books("one").await];
    assert_eq!(rush(&books, 20).await.len(), 2);
    for (scope, name, period) in [
        ("key", "laptop", "day"),
        ("team", "acme/red", "day"),
        ("tenant", "acme", "day"),
        ("tenant", "acme", "month"),
    ] {
        assert_eq!(base.used(scope, name, period).await, (0, 200), "{scope} {period}");
    }
    let refused = books[0].grant(NOON, terms(9)).await.unwrap_err();
    let NoGrant::Budget { retry_after_s, .. } = refused else { panic!("{refused}") };
    assert!(retry_after_s > 0 && retry_after_s <= 86_400);
}

async fn a_day_begins_anew_and_yesterdays_grants_stay_yesterdays(base: Base) {
    prepared(&base, &["budget set tenant acme --day 0.0002"]).await;
    let books = [base.books("one").await];
    let given = rush(&books, 5).await;
    assert_eq!(given.len(), 2);
    let mut tomorrow = terms(9);
    tomorrow.reserve = Some(Micro(100));
    let next = sent(books[0].grant(NOON + DAY_MS, tomorrow).await.unwrap());
    assert_eq!(base.used("tenant", "acme", "day").await, (0, 100));
    books[0].settle(NOON + DAY_MS, BOOT, &usage(given[0], 5000)).await.unwrap();
    assert_eq!(base.used("tenant", "acme", "day").await, (0, 100), "yesterday is over");
    books[0].settle(NOON + DAY_MS, BOOT, &usage(next, 60)).await.unwrap();
    assert_eq!(base.used("tenant", "acme", "day").await, (60, 0));
}

/// Another host's clock, or this one's after it was set back.
async fn a_clock_behind_a_period_spends_nothing_beside_the_budget(base: Base) {
    prepared(&base, &["budget set tenant acme --day 0.0002"]).await;
    let books = base.books("one").await;
    let ask = async |at_ms, request| {
        let mut asked = terms(request);
        asked.reserve = Some(Micro(100));
        books.grant(at_ms, asked).await.map(sent)
    };
    let midnight = NOON + DAY_MS / 2;
    ask(midnight, 1).await.unwrap();
    let early = ask(midnight - 60_000, 2).await.unwrap();
    assert_eq!(base.used("tenant", "acme", "day").await, (0, 200), "it counts in the new day");
    let full = ask(midnight - 1, 3).await.unwrap_err();
    assert!(matches!(full, NoGrant::Budget { .. }), "{full}");
    let behind = ask(midnight - 60_001, 4).await.unwrap_err();
    assert!(matches!(behind, NoGrant::Clock { behind_ms: 60_001 }), "{behind}");
    books.settle(midnight - 60_000, BOOT, &usage(early, 70)).await.unwrap();
    assert_eq!(base.used("tenant", "acme", "day").await, (70, 100));
}

async fn an_amount_is_changed_without_a_look_at_the_ledger(base: Base) {
    prepared(&base, &["budget set tenant acme --day 0.0002 --month 1"]).await;
    let books = [base.books("one").await];
    assert_eq!(rush(&books, 3).await.len(), 2);
    // A sum of this day would find nothing: the grants are of another one.
    base.run("budget set tenant acme --day 0.0003").await.unwrap();
    assert_eq!(base.used("tenant", "acme", "day").await, (0, 200));
    assert_eq!(rush(&books, 3).await.len(), 1);
}

async fn a_budget_that_is_set_late_knows_what_was_spent(base: Base) {
    prepared(&base, &[]).await;
    let books = [base.books("one").await];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now_ms = now.as_millis() as u64;
    let mut given = Vec::new();
    for request in 1..=3 {
        let mut asked = terms(request);
        asked.reserve = Some(Micro(100));
        given.push(sent(books[0].grant(now_ms, asked).await.unwrap()));
    }
    books[0].settle(now_ms, BOOT, &usage(given[0], 30)).await.unwrap();
    for line in ["budget set key laptop --month 1", "budget set team acme/red --month 1"] {
        base.run(line).await.unwrap();
    }
    assert_eq!(base.used("key", "laptop", "month").await, (30, 200));
    books[0].settle(now_ms, BOOT, &usage(given[1], 50)).await.unwrap();
    assert_eq!(base.used("team", "acme/red", "month").await, (80, 100));
    base.run("budget revoke team acme/red").await.unwrap();
    assert!(base.run("budget revoke team acme/red").await.is_err());
    assert!(base.run("budget set tenant nobody --day 1").await.is_err());
    assert!(base.run("budget set tenant acme").await.is_err(), "nothing to set");
}

crate::on_both! {
    hosts_together_never_reserve_beyond_a_budget
    answers_of_ten_times_the_reservation_overspend_by_their_excess
    the_first_full_budget_refuses_and_no_other_is_touched
    a_day_begins_anew_and_yesterdays_grants_stay_yesterdays
    a_clock_behind_a_period_spends_nothing_beside_the_budget
    an_amount_is_changed_without_a_look_at_the_ledger
    a_budget_that_is_set_late_knows_what_was_spent
}
