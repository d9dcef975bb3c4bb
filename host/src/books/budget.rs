//! Budgets: what a key, a team or a tenant may spend in a day or a month. A request counts in the
//! period in which it was granted.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;

use super::NoGrant;
use crate::{
    money::{Micro, Period},
    store::{Store, StoreError, Write, get},
};

/// Whose budget or limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One virtual key.
    Key,
    /// All keys of a team; named `TENANT/TEAM`.
    Team,
    /// All keys of a tenant.
    Tenant,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Key, Self::Team, Self::Tenant];

    /// The word in the store and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::Tenant => "tenant",
        }
    }

    /// The scope of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }

    /// The ledger's column that says whose a row is.
    fn column(self) -> &'static str {
        match self {
            Self::Key => "key_name",
            Self::Team => "team",
            Self::Tenant => "tenant",
        }
    }
}

/// One budget with what is used of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Whose.
    pub scope: Scope,
    /// Their name.
    pub name: String,
    /// For how long.
    pub period: Period,
    /// How much.
    pub amount: i64,
    /// Since when the two below count.
    pub period_start: i64,
    /// Charged for what has ended.
    pub settled: i64,
    /// Reserved for what is open.
    pub reserved: i64,
}

/// What a row of the ledger means for budgets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) at_ms: i64,
    pub(super) key: &'a str,
    pub(super) team: &'a str,
    pub(super) tenant: &'a str,
}

impl Entry<'_> {
    /// Whether the budget is one of its key, its team or its tenant.
    fn is_of(&self, budget: &Budget) -> bool {
        let name = match budget.scope {
            Scope::Key => self.key,
            Scope::Team => self.team,
            Scope::Tenant => self.tenant,
        };
        budget.name == name
    }
}

/// How far a host's clock may be behind the start of a budget's period, which another host or an
/// earlier time of its own has begun. Within it a grant counts in that period.
pub const CLOCK_SKEW_MS: i64 = 60_000;

/// The budgets that a transaction touches, locked until it ends.
pub(super) struct Budgets(Vec<(Budget, bool)>);

impl Budgets {
    /// Every budget of these names, brought into the present.
    pub(super) async fn load(
        store: &Store,
        write: &mut Write,
        names: &BTreeSet<&str>,
        now_ms: i64,
    ) -> Result<Self, StoreError> {
        let Some(last) = names.last() else { return Ok(Self(Vec::new())) };
        // A power of two of places, so that there are few different statements to prepare.
        let len = names.len().next_power_of_two();
        let places: Vec<_> = (1..=len).map(|n| format!("${n}")).collect();
        let text = format!(
            "SELECT scope, name, period, amount, period_start, settled, reserved FROM budgets \
             WHERE name IN ({}) ORDER BY scope, name, period{}",
            places.join(", "),
            store.lock()
        );
        let padded = names.iter().chain(std::iter::repeat(last)).take(len);
        let query = padded.fold(sqlx::query(&text), |query, name| query.bind(name.to_string()));
        let rows = query.fetch_all(&mut **write).await.map_err(|error| store.failed(error))?;
        let budget = |row| {
            let mut budget = Budget::read(store, row)?;
            let rolled = budget.roll(now_ms);
            Ok((budget, rolled))
        };
        Ok(Self(rows.iter().map(budget).collect::<Result<_, StoreError>>()?))
    }

    /// Budgets that a row of the ledger counts in: those whose period has its time.
    fn of<'a>(&'a mut self, entry: Entry<'a>) -> impl Iterator<Item = &'a mut (Budget, bool)> {
        let counts = move |budget: &Budget| entry.at_ms >= budget.period_start;
        self.0.iter_mut().filter(move |(budget, _)| entry.is_of(budget) && counts(budget))
    }

    /// The time at which a new grant counts: now, or the start of a period that has begun although
    /// this clock says not yet. A clock that is further behind gets no grant, since it would count
    /// in no budget.
    pub(super) fn time_of(&self, entry: Entry<'_>) -> Result<i64, NoGrant> {
        let of_entry = self.0.iter().filter(|(budget, _)| entry.is_of(budget));
        let begun_ms = of_entry.map(|(budget, _)| budget.period_start).max();
        let begun_ms = begun_ms.unwrap_or(entry.at_ms);
        match begun_ms.saturating_sub(entry.at_ms) {
            behind_ms if behind_ms > CLOCK_SKEW_MS => Err(NoGrant::Clock { behind_ms }),
            _ => Ok(begun_ms.max(entry.at_ms)),
        }
    }

    /// Reserves in all budgets of an entry, or in none.
    pub(super) fn reserve(&mut self, entry: Entry<'_>, amount: Micro) -> Result<(), NoGrant> {
        if let Some((full, _)) = self.of(entry).find(|(budget, _)| !budget.takes(amount)) {
            let (_, end_ms) = full.period.around(entry.at_ms);
            let wait_s = (end_ms - entry.at_ms).max(0) / 1000 + 1;
            return Err(NoGrant::Budget {
                scope: format!("{}'s {}", full.scope.word(), full.period.word()),
                name: full.name.clone(),
                retry_after_s: u32::try_from(wait_s)
                    .unwrap_or(u32::MAX)
                    .min(aegis_wire::limits::RETRY_AFTER_S),
            });
        }
        self.change(entry, 0, amount.0);
        Ok(())
    }

    /// Adds to what is settled and reserved in all budgets of an entry.
    pub(super) fn change(&mut self, entry: Entry<'_>, settled: i64, reserved: i64) {
        for (budget, changed) in self.of(entry) {
            budget.settled += settled;
            budget.reserved += reserved;
            *changed = true;
        }
    }

    /// Writes what changed.
    pub(super) async fn save(&self, store: &Store, write: &mut Write) -> Result<(), StoreError> {
        for (budget, _) in self.0.iter().filter(|(_, changed)| *changed) {
            budget.save(store, write).await?;
        }
        Ok(())
    }
}

impl Budget {
    /// Reads a row with all columns.
    pub fn read(store: &Store, row: &AnyRow) -> Result<Self, StoreError> {
        let (scope, period): (String, String) =
            (get(store, row, "scope")?, get(store, row, "period")?);
        Ok(Self {
            scope: Scope::from_word(&scope).ok_or_else(|| store.odd("scope of a budget"))?,
            name: get(store, row, "name")?,
            period: Period::from_word(&period).ok_or_else(|| store.odd("period of a budget"))?,
            amount: get(store, row, "amount")?,
            period_start: get(store, row, "period_start")?,
            settled: get(store, row, "settled")?,
            reserved: get(store, row, "reserved")?,
        })
    }

    /// Begins anew when its period is over.
    pub fn roll(&mut self, now_ms: i64) -> bool {
        let (start, _) = self.period.around(now_ms);
        if start <= self.period_start {
            return false;
        }
        (self.period_start, self.settled, self.reserved) = (start, 0, 0);
        true
    }

    /// A budget that is used up takes nothing, not even what costs nothing.
    fn takes(&self, amount: Micro) -> bool {
        self.settled + self.reserved + amount.0.max(1) <= self.amount
    }

    /// Writes it, whether it is there or not.
    pub async fn save(&self, store: &Store, write: &mut Write) -> Result<(), StoreError> {
        let text = "INSERT INTO budgets \
            (scope, name, period, amount, period_start, settled, reserved) \
            VALUES ($1, $2, $3, $4, $5, $6, $7) \
            ON CONFLICT (scope, name, period) DO UPDATE SET amount = excluded.amount, \
            period_start = excluded.period_start, settled = excluded.settled, \
            reserved = excluded.reserved";
        let query = sqlx::query(text)
            .bind(self.scope.word())
            .bind(self.name.clone())
            .bind(self.period.word())
            .bind(self.amount)
            .bind(self.period_start)
            .bind(self.settled)
            .bind(self.reserved);
        query.execute(&mut **write).await.map(|_| ()).map_err(|error| store.failed(error))
    }
}

/// What the ledger says of a scope since a time: settled and reserved. The caller holds the ledger
/// against new rows.
pub async fn used_since(
    store: &Store,
    write: &mut Write,
    scope: Scope,
    name: &str,
    since_ms: i64,
) -> Result<(i64, i64), StoreError> {
    let text = format!(
        "SELECT CAST(COALESCE(SUM(charged), 0) AS BIGINT) AS settled, \
         CAST(COALESCE(SUM(CASE WHEN outcome IS NULL THEN reserved ELSE 0 END), 0) AS BIGINT) \
         AS reserved FROM ledger WHERE at_ms >= $1 AND {} = $2",
        scope.column()
    );
    let query = sqlx::query(&text).bind(since_ms).bind(name.to_owned());
    let row = query.fetch_one(&mut **write).await.map_err(|error| store.failed(error))?;
    Ok((get(store, &row, "settled")?, get(store, &row, "reserved")?))
}
