//! Random orders of grants, reports, losses, crashes and midnight against a model of a few lines:
//! the store says what the model says, after every step.

use std::collections::BTreeMap;

use aegis_host::{
    books::{Books, NoGrant, Settled},
    fleet::Boot,
    money::Micro,
};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::base::{BOOT, Base, NOON, PRICES, sent, terms, usage};

const BUDGET: i64 = 1000;
const DAY_MS: u64 = 86_400_000;

#[derive(Debug, Clone)]
enum Step {
    /// Reserve that much; whether it is sent.
    Grant(i64, bool),
    /// Report the n-th grant that was sent, at that cost.
    Report(usize, u32),
    /// The enclave starts anew.
    Restart,
    /// The host is killed and starts anew.
    Crash,
    /// The next day begins.
    Midnight,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1_i64..400, prop::bool::weighted(0.9)).prop_map(|(r, sent)| Step::Grant(r, sent)),
        6 => (any::<usize>(), 0_u32..800).prop_map(|(at, cost)| Step::Report(at, cost)),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        1 => Just(Step::Midnight),
    ];
    prop::collection::vec(step, 1..40)
}

/// What a grant is in the model.
#[derive(Debug, Clone)]
struct Grant {
    day: u64,
    boot: u8,
    reserved: i64,
    /// None while it is open.
    charged: Option<i64>,
    lost: bool,
}

#[derive(Default)]
struct Model {
    day: u64,
    boot: u8,
    grants: BTreeMap<u64, Grant>,
    sent: Vec<u64>,
}

impl Model {
    /// Settled and reserved of today.
    fn used(&self) -> (i64, i64) {
        let today = || self.grants.values().filter(|grant| grant.day == self.day);
        let settled = today().filter_map(|grant| grant.charged).sum();
        let reserved = today().filter(|g| g.charged.is_none()).map(|g| g.reserved).sum();
        (settled, reserved)
    }

    fn lose(&mut self) {
        for grant in self.grants.values_mut().filter(|grant| grant.charged.is_none()) {
            (grant.charged, grant.lost) = (Some(grant.reserved), true);
        }
    }
}

async fn play(base: &Base, books: &mut Books, model: &mut Model, step: &Step) {
    let now_ms = NOON + model.day * DAY_MS;
    match step {
        Step::Grant(reserve, is_sent) => {
            let mut asked = terms(1);
            (asked.boot, asked.reserve) = (Boot([model.boot; 16]), Some(Micro(*reserve)));
            let (settled, reserved) = model.used();
            let fits = settled + reserved + reserve <= BUDGET;
            match books.grant(now_ms, asked).await {
                Ok(written) => {
                    assert!(fits, "a grant beyond the budget");
                    let charged = (!is_sent).then_some(0);
                    let (day, boot) = (model.day, model.boot);
                    let grant = Grant { day, boot, reserved: *reserve, charged, lost: false };
                    let number = written.number();
                    assert!(model.grants.insert(number, grant).is_none());
                    if *is_sent {
                        model.sent.push(sent(written));
                    }
                }
                Err(NoGrant::Budget { .. }) => assert!(!fits, "a false refusal"),
                Err(error) => panic!("{error}"),
            }
        }
        Step::Report(at, cost) if !model.sent.is_empty() => {
            let number = model.sent[at % model.sent.len()];
            let grant = model.grants.get_mut(&number).unwrap();
            let report = usage(number, *cost);
            let told = books.settle(now_ms, Boot([grant.boot; 16]), &report).await.unwrap();
            match grant.charged.is_none() || grant.lost {
                true => {
                    assert!(matches!(told, Settled::Now(_)), "{told:?}");
                    (grant.charged, grant.lost) = (Some(i64::from(*cost)), false);
                }
                false => assert_eq!(told, Settled::Before),
            }
        }
        Step::Report(..) => {}
        Step::Restart => {
            model.boot += 1;
            let boot = Boot([model.boot; 16]);
            books.enclave_restarted(now_ms, "blue", boot).await.unwrap();
            model.lose();
        }
        Step::Crash => *books = base.books("one").await,
        Step::Midnight => model.day += 1,
    }
}

async fn agrees(base: &Base, books: &Books, model: &Model) {
    // What was not sent becomes void with the next transaction, and this one is after it.
    books.settle(NOON, BOOT, &usage(1, 0)).await.unwrap();
    let text = "SELECT CAST(COALESCE(SUM(charged), 0) AS BIGINT) FROM ledger";
    let charged: i64 = model.grants.values().filter_map(|grant| grant.charged).sum();
    assert_eq!(base.number(text).await, charged);
    let open = model.grants.values().filter(|grant| grant.charged.is_none()).count();
    let text = "SELECT COUNT(*) FROM ledger WHERE outcome IS NULL";
    assert_eq!(base.number(text).await, open as i64);
    // A budget is brought into a new day by the first grant of that day.
    let start = base.number("SELECT period_start FROM budgets").await as u64;
    if start == (NOON - DAY_MS / 2) + model.day * DAY_MS || model.day == 0 {
        assert_eq!(base.used("tenant", "acme", "day").await, model.used());
    }
}

async fn random_orders_agree_with_the_model(base: Base) {
    base.all(&["tenant create acme", "budget set tenant acme --day 0.001", PRICES]).await;
    let runtime = tokio::runtime::Handle::current();
    let cases = ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() };
    let done = tokio::task::spawn_blocking(move || {
        TestRunner::new(cases).run(&steps(), |steps| {
            runtime.block_on(async {
                for text in [
                    "DELETE FROM ledger",
                    "UPDATE budgets SET period_start = 0, \
                              settled = 0, reserved = 0",
                ] {
                    sqlx::query(text).execute(base.store.pool()).await.unwrap();
                }
                let (mut books, mut model) = (base.books("one").await, Model::default());
                model.boot = 1;
                for step in &steps {
                    play(&base, &mut books, &mut model, step).await;
                    agrees(&base, &books, &model).await;
                }
            });
            Ok(())
        })
    });
    done.await.unwrap().unwrap();
}

crate::on_both! { random_orders_agree_with_the_model }
