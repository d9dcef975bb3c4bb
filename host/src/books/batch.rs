//! One transaction for everything that waits: ends first, since they free reservations, then new
//! grants, then the budgets.

use std::collections::{BTreeMap, BTreeSet};

use aegis_wire::{
    control::{Class, Custody, Usage},
    table::Envelope,
};
use sqlx::any::AnyRow;

use super::{
    Floors, GivenUp, Losing, Lost, NoGrant, Settled, Terms,
    budget::{Budgets, Entry},
    charge::{Closing, Granted},
    history::History,
    insert,
};
use crate::{
    fleet::Boot,
    money::Micro,
    prices::Prices,
    store::{Store, StoreError, Write, get},
};

/// What waits, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) grants: Vec<(i64, Terms)>,
    pub(super) settles: Vec<(i64, Boot, Usage)>,
    pub(super) losing: Vec<(i64, Losing)>,
    pub(super) voids: Vec<(i64, u64)>,
}

/// The answers, in the same order.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) grants: Vec<Result<u64, NoGrant>>,
    pub(super) settles: Vec<Settled>,
    pub(super) lost: Vec<GivenUp>,
    /// What requests cost, by key and class.
    pub(super) costs: Vec<(String, Class, Micro)>,
}

/// What a transaction is judged by.
pub(super) struct Rules<'a> {
    pub(super) host: &'a str,
    pub(super) floors: &'a Floors,
    pub(super) envelopes: &'a BTreeMap<String, Envelope>,
    pub(super) prices: &'a Prices,
}

/// A transaction under way.
pub(super) struct Batch<'a> {
    store: &'a Store,
    write: Write,
    rules: Rules<'a>,
    done: Done,
}

/// Most grants that one transaction gives up; an enclave may have had many thousands.
const LOST_AT_ONCE: usize = 1024;

const COLUMNS: &str = "grant_id, at_ms, boot, request, tenant, team, key_name, provider, class, \
                       custody, reserved, outcome, source, charged";

impl<'a> Batch<'a> {
    pub(super) async fn begin(store: &'a Store, rules: Rules<'a>) -> Result<Self, StoreError> {
        let mut write = store.begin().await?;
        if let Some(lock) = store.ledger_lock(false) {
            sqlx::query(lock).execute(&mut *write).await.map_err(|error| store.failed(error))?;
        }
        Ok(Self { store, write, rules, done: Done::default() })
    }

    /// Does all of it and commits. `numbers` has one for each grant.
    pub(super) async fn run(
        mut self,
        work: &Work,
        numbers: &[u64],
        history: &mut History,
    ) -> Result<Done, StoreError> {
        let mut named = self.granted(work).await?;
        let mut losing = Vec::new();
        for (_, which) in &work.losing {
            losing.push(self.open(which).await?);
        }
        let mut budgets = self.budgets(work, &named, &losing).await?;
        for (at_ms, boot, usage) in &work.settles {
            let settled = self.settle(*at_ms, *boot, usage, &mut named, &mut budgets).await?;
            self.done.settles.push(settled);
        }
        for (at_ms, grant) in &work.voids {
            let row = i64::try_from(*grant).ok().and_then(|grant| named.get_mut(&grant));
            if let Some(row) = row.filter(|row| row.outcome.is_none()) {
                let closing = row.void();
                self.close(*at_ms, row, closing, &mut budgets).await?;
            }
        }
        for ((at_ms, _), rows) in work.losing.iter().zip(losing) {
            let lost = self.lose(*at_ms, rows, &mut named, &mut budgets).await?;
            self.done.lost.push(lost);
        }
        self.grant(work, numbers, history, &mut budgets).await?;
        budgets.save(self.store, &mut self.write).await?;
        self.write.commit().await.map_err(|error| self.store.failed(error))?;
        Ok(self.done)
    }

    /// The rows that reports and voids name.
    async fn granted(&mut self, work: &Work) -> Result<BTreeMap<i64, Granted>, StoreError> {
        let named = work.settles.iter().map(|(_, _, usage)| usage.grant);
        let named = named.chain(work.voids.iter().map(|(_, grant)| *grant));
        let ids: BTreeSet<i64> = named.filter_map(|grant| i64::try_from(grant).ok()).collect();
        let Some(last) = ids.last() else { return Ok(BTreeMap::new()) };
        let len = ids.len().next_power_of_two();
        let places: Vec<_> = (1..=len).map(|n| format!("${n}")).collect();
        let text = format!(
            "SELECT {COLUMNS} FROM ledger WHERE grant_id IN ({}) ORDER BY grant_id{}",
            places.join(", "),
            self.store.lock()
        );
        let padded = ids.iter().chain(std::iter::repeat(last)).take(len);
        let query = padded.fold(sqlx::query(&text), |query, id| query.bind(*id));
        let rows = query.fetch_all(&mut *self.write).await;
        let rows = rows.map_err(|error| self.store.failed(error))?;
        let row = |row: &AnyRow| Granted::read(self.store, row).map(|row| (row.grant, row));
        rows.iter().map(row).collect()
    }

    /// The open rows that are to be given up.
    async fn open(&mut self, which: &Losing) -> Result<Vec<Granted>, StoreError> {
        let start = format!("SELECT {COLUMNS} FROM ledger WHERE outcome IS NULL AND");
        let end = format!("ORDER BY grant_id LIMIT {LOST_AT_ONCE}{}", self.store.lock());
        let text = match which {
            Losing::Restarted { .. } => {
                format!("{start} host = $1 AND enclave = $2 AND boot <> $3 {end}")
            }
            Losing::Expired { .. } => format!("{start} at_ms <= $1 {end}"),
        };
        let query = match which {
            Losing::Restarted { enclave, boot } => sqlx::query(&text)
                .bind(self.rules.host.to_owned())
                .bind(enclave.clone())
                .bind(boot.to_string()),
            Losing::Expired { until_ms } => sqlx::query(&text).bind(*until_ms),
        };
        let rows = query.fetch_all(&mut *self.write).await;
        let rows = rows.map_err(|error| self.store.failed(error))?;
        rows.iter().map(|row| Granted::read(self.store, row)).collect()
    }

    async fn budgets(
        &mut self,
        work: &Work,
        named: &BTreeMap<i64, Granted>,
        losing: &[Vec<Granted>],
    ) -> Result<Budgets, StoreError> {
        let mut names = BTreeSet::new();
        for row in named.values().chain(losing.iter().flatten()) {
            names.extend([row.key.as_str(), &row.team, &row.tenant]);
        }
        for (_, terms) in &work.grants {
            names.extend([terms.key.as_str(), &terms.team, &terms.tenant]);
        }
        let times = work.grants.iter().map(|(at_ms, _)| *at_ms);
        let times = times.chain(work.settles.iter().map(|(at_ms, _, _)| *at_ms));
        // Nothing but a grant or a report brings a budget into a new period.
        let now_ms = times.max().unwrap_or(0);
        Budgets::load(self.store, &mut self.write, &names, now_ms).await
    }

    async fn settle(
        &mut self,
        at_ms: i64,
        boot: Boot,
        usage: &Usage,
        named: &mut BTreeMap<i64, Granted>,
        budgets: &mut Budgets,
    ) -> Result<Settled, StoreError> {
        let row = i64::try_from(usage.grant).ok().and_then(|grant| named.get_mut(&grant));
        let Some(row) = row.filter(|row| row.boot == boot.to_string()) else {
            return Ok(Settled::Unknown);
        };
        if !row.takes_a_report() {
            return Ok(Settled::Before);
        }
        // A provider that left the table is priced like the one that most APIs imitate.
        let envelope = self.rules.envelopes.get(&row.provider).unwrap_or(&Envelope::OpenAi);
        let closing = row.reported(usage, *envelope, self.rules.prices);
        if closing.report.source == "provider"
            && row.custody == Custody::Host.word()
            && let Some(class) = Class::from_word(&row.class)
        {
            self.done.costs.push((row.key.clone(), class, closing.charged));
        }
        self.close(at_ms, row, closing, budgets).await?;
        Ok(Settled::Now(row.request_name()))
    }

    async fn lose(
        &mut self,
        at_ms: i64,
        mut rows: Vec<Granted>,
        named: &mut BTreeMap<i64, Granted>,
        budgets: &mut Budgets,
    ) -> Result<GivenUp, StoreError> {
        let more = rows.len() == LOST_AT_ONCE;
        // What was reported or given up a moment ago in this transaction stays so.
        rows.retain(|row| named.get(&row.grant).is_none_or(|row| row.outcome.is_none()));
        insert::lost(self.store, &mut self.write, at_ms, &rows).await?;
        let mut lost = Vec::new();
        for mut row in rows {
            let closing = row.lost();
            ended(&mut row, &closing, budgets);
            let grant = u64::try_from(row.grant).unwrap_or_default();
            lost.push(Lost { grant, request: row.request_name() });
            named.insert(row.grant, row);
        }
        Ok(GivenUp { lost, more })
    }

    /// Writes an outcome, and what it means for the budgets.
    async fn close(
        &mut self,
        at_ms: i64,
        row: &mut Granted,
        closing: Closing,
        budgets: &mut Budgets,
    ) -> Result<(), StoreError> {
        insert::outcome(self.store, &mut self.write, row.grant, at_ms, &closing).await?;
        ended(row, &closing, budgets);
        Ok(())
    }

    async fn grant(
        &mut self,
        work: &Work,
        numbers: &[u64],
        history: &mut History,
        budgets: &mut Budgets,
    ) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        for ((at_ms, terms), number) in work.grants.iter().zip(numbers) {
            let reserved = self.reservation(*at_ms, terms, history).await?;
            let entry =
                Entry { at_ms: *at_ms, key: &terms.key, team: &terms.team, tenant: &terms.tenant };
            // In the other custodies nothing is spent here, so no budget is asked.
            let at_ms = match terms.custody {
                Custody::Client | Custody::Sealed => Ok(*at_ms),
                Custody::Host => budgets.time_of(entry).and_then(|at_ms| {
                    budgets.reserve(Entry { at_ms, ..entry }, reserved).map(|()| at_ms)
                }),
            };
            self.done.grants.push(at_ms.map(|at_ms| {
                rows.push(insert::New { number: *number, at_ms, terms, reserved });
                *number
            }));
        }
        insert::grants(self.store, &mut self.write, self.rules.host, &rows).await
    }

    /// The key's own amount, or what its requests cost lately, at least the class's floor.
    async fn reservation(
        &mut self,
        at_ms: i64,
        terms: &Terms,
        history: &mut History,
    ) -> Result<Micro, StoreError> {
        if terms.custody != Custody::Host {
            return Ok(Micro(0));
        }
        if let Some(own) = terms.reserve {
            return Ok(own);
        }
        let class = terms.class.word();
        history.know(self.store, &mut self.write, &terms.key, class, at_ms).await?;
        let floor = self.rules.floors.0.get(&terms.class).copied().unwrap_or_default();
        Ok(history.high(&terms.key, class).max(floor))
    }
}

/// What an outcome means for the budgets, and the row as it is from now on.
fn ended(row: &mut Granted, closing: &Closing, budgets: &mut Budgets) {
    let entry = Entry { at_ms: row.at_ms, key: &row.key, team: &row.team, tenant: &row.tenant };
    match row.outcome {
        None => budgets.change(entry, closing.charged.0, -row.reserved),
        Some(_) => budgets.change(entry, closing.charged.0 - row.charged, 0),
    }
    row.outcome = Some(closing.word.into());
    row.source = Some(closing.report.source.into());
    row.charged = closing.charged.0;
}

impl Granted {
    fn read(store: &Store, row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            grant: get(store, row, "grant_id")?,
            at_ms: get(store, row, "at_ms")?,
            boot: get(store, row, "boot")?,
            request: get(store, row, "request")?,
            tenant: get(store, row, "tenant")?,
            team: get(store, row, "team")?,
            key: get(store, row, "key_name")?,
            provider: get(store, row, "provider")?,
            class: get(store, row, "class")?,
            custody: get(store, row, "custody")?,
            reserved: get(store, row, "reserved")?,
            outcome: get(store, row, "outcome")?,
            source: get(store, row, "source")?,
            charged: get::<Option<i64>>(store, row, "charged")?.unwrap_or(0),
        })
    }
}
