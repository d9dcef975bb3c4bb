//! What requests of a key and class cost lately, from which a reservation is made.

use std::collections::{HashMap, VecDeque};

use crate::{
    money::Micro,
    store::{Store, StoreError, Write, get},
};

/// How many settled requests are remembered.
const REMEMBERED: usize = 200;

/// For so long what was read from the ledger is believed: other hosts settle requests too.
const FRESH_MS: i64 = 600_000;

/// Costs of the last settled requests in the operator's accounts, by key and class.
#[derive(Debug, Default)]
pub(super) struct History(HashMap<(String, &'static str), Costs>);

#[derive(Debug, Default)]
struct Costs {
    last: VecDeque<i64>,
    high: i64,
    read_ms: i64,
    /// It was read in the transaction under way, and so has what that settled.
    is_new: bool,
}

impl History {
    /// Reads what this host does not know of a key and class, or has not read for some time.
    pub(super) async fn know(
        &mut self,
        store: &Store,
        write: &mut Write,
        key: &str,
        class: &'static str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let at = (key.to_owned(), class);
        let age_ms = self.0.get(&at).map(|costs| now_ms.saturating_sub(costs.read_ms));
        // One that is ahead of the clock was read before the clock was set.
        if age_ms.is_some_and(|age_ms| (0..FRESH_MS).contains(&age_ms)) {
            return Ok(());
        }
        let text = "SELECT charged FROM ledger WHERE key_name = $1 AND class = $2 \
                    AND source = 'provider' AND custody = 'host' ORDER BY grant_id DESC LIMIT 200";
        let query = sqlx::query(text).bind(key.to_owned()).bind(class);
        let rows = query.fetch_all(&mut **write).await.map_err(|error| store.failed(error))?;
        let last: Result<VecDeque<i64>, _> =
            rows.iter().rev().map(|row| get(store, row, "charged")).collect();
        self.0.insert(at, Costs::read(last?, now_ms));
        Ok(())
    }

    /// The 99th percentile of what is known, none before the first request was settled.
    pub(super) fn high(&self, key: &str, class: &'static str) -> Micro {
        self.0.get(&(key.to_owned(), class)).map_or(Micro(0), |costs| Micro(costs.high))
    }

    /// The transaction is done, and these requests were settled by it. What nobody asked for yet
    /// is read later.
    pub(super) fn done<'a>(&mut self, costs: impl Iterator<Item = (&'a str, &'static str, Micro)>) {
        for (key, class, cost) in costs {
            let known = self.0.get_mut(&(key.to_owned(), class));
            if let Some(known) = known.filter(|known| !known.is_new) {
                known.add(cost);
            }
        }
        self.0.values_mut().for_each(|known| known.is_new = false);
    }

    /// The transaction failed: what was read in it may never have been.
    pub(super) fn failed(&mut self) {
        self.0.retain(|_, known| !known.is_new);
    }
}

impl Costs {
    fn read(last: VecDeque<i64>, read_ms: i64) -> Self {
        let high = percentile(&last);
        Self { last, high, read_ms, is_new: true }
    }

    fn add(&mut self, cost: Micro) {
        self.last.push_back(cost.0);
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
        self.high = percentile(&self.last);
    }
}

/// The smallest cost that 99 of 100 do not exceed.
fn percentile(costs: &VecDeque<i64>) -> i64 {
    let mut sorted: Vec<_> = costs.iter().copied().collect();
    if sorted.is_empty() {
        return 0;
    }
    let at = (sorted.len() * 99).div_ceil(100) - 1;
    *sorted.select_nth_unstable(at).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_leaves_out_one_in_a_hundred() {
        assert_eq!(percentile(&[].into()), 0);
        assert_eq!(percentile(&[7].into()), 7);
        assert_eq!(percentile(&(1..=100).collect()), 99);
        assert_eq!(percentile(&(1..=200).rev().collect()), 198);
    }

    #[test]
    fn only_the_last_two_hundred_count() {
        let mut history = History::default();
        let at = ("k".into(), "generate");
        history.0.insert(at, Costs::read([1_000_000; 5].into(), 0));
        assert_eq!(history.high("k", "generate"), Micro(1_000_000));
        history.done([("k", "generate", Micro(5_000_000))].into_iter());
        assert_eq!(history.high("k", "generate"), Micro(1_000_000), "what was read has it already");
        history.done([("k", "generate", Micro(10)); REMEMBERED].into_iter());
        assert_eq!(history.high("k", "generate"), Micro(10));
        history.done([("nobody", "generate", Micro(10))].into_iter());
        assert_eq!(history.high("nobody", "generate"), Micro(0));
    }

    #[test]
    fn what_a_failed_transaction_read_is_forgotten() {
        let mut history = History::default();
        history.0.insert(("old".into(), "generate"), Costs::read([7].into(), 0));
        history.done(std::iter::empty());
        history.0.insert(("new".into(), "generate"), Costs::read([7].into(), 0));
        history.failed();
        let high = |key| history.high(key, "generate");
        assert_eq!((high("old"), high("new")), (Micro(7), Micro(0)));
    }
}
