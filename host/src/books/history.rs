//! What requests of a key and class cost lately, from which a reservation is made.

use std::collections::{HashMap, VecDeque};

use crate::{
    money::Micro,
    store::{Store, StoreError, Write, get},
};

/// How many settled requests are remembered.
const REMEMBERED: usize = 200;

/// Costs of the last settled requests, by key and class.
#[derive(Debug, Default)]
pub(super) struct History(HashMap<(String, &'static str), Costs>);

#[derive(Debug, Default)]
struct Costs {
    last: VecDeque<i64>,
    high: i64,
}

impl History {
    /// Reads what this host has not seen yet of a key and class.
    pub(super) async fn know(
        &mut self,
        store: &Store,
        write: &mut Write,
        key: &str,
        class: &'static str,
    ) -> Result<(), StoreError> {
        let at = (key.to_owned(), class);
        if self.0.contains_key(&at) {
            return Ok(());
        }
        let text = "SELECT charged FROM ledger WHERE key_name = $1 AND class = $2 \
                    AND source = 'provider' ORDER BY grant_id DESC LIMIT 200";
        let query = sqlx::query(text).bind(key.to_owned()).bind(class);
        let rows = query.fetch_all(&mut **write).await.map_err(|error| store.failed(error))?;
        let last: Result<VecDeque<i64>, _> =
            rows.iter().rev().map(|row| get(store, row, "charged")).collect();
        self.0.insert(at, Costs::of(last?));
        Ok(())
    }

    /// The 99th percentile of what is known, none before the first request was settled.
    pub(super) fn high(&self, key: &str, class: &'static str) -> Micro {
        self.0.get(&(key.to_owned(), class)).map_or(Micro(0), |costs| Micro(costs.high))
    }

    /// A request of that key and class was settled. One that nobody asked for yet is read later.
    pub(super) fn add(&mut self, key: &str, class: &'static str, cost: Micro) {
        if let Some(costs) = self.0.get_mut(&(key.to_owned(), class)) {
            costs.last.push_back(cost.0);
            if costs.last.len() > REMEMBERED {
                costs.last.pop_front();
            }
            costs.high = percentile(&costs.last);
        }
    }
}

impl Costs {
    fn of(last: VecDeque<i64>) -> Self {
        let high = percentile(&last);
        Self { last, high }
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
        history.0.insert(("k".into(), "generate"), Costs::of([1_000_000; 5].into()));
        assert_eq!(history.high("k", "generate"), Micro(1_000_000));
        for _ in 0..REMEMBERED {
            history.add("k", "generate", Micro(10));
        }
        assert_eq!(history.high("k", "generate"), Micro(10));
        history.add("nobody", "generate", Micro(10));
        assert_eq!(history.high("nobody", "generate"), Micro(0));
    }
}
