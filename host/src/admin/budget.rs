//! Budgets: what a key, a team or a tenant may spend in a day or a month.

use clap::{Args, Subcommand};

use super::{Admin, AdminError, now_ms, table, tenant::split};
use crate::{
    books::{Budget, Scope, used_since},
    money::{Micro, Period},
};

/// What to do with budgets.
#[derive(Debug, Subcommand)]
pub enum BudgetCommand {
    /// Set a budget, for a day, a month or both. What was spent in the period already counts.
    #[command(visible_alias = "create")]
    Set {
        /// Whose.
        #[command(flatten)]
        of: Of,
        /// For each day, from midnight UTC.
        #[arg(long, value_name = "AMOUNT")]
        day: Option<Micro>,
        /// For each month, from the first at midnight UTC.
        #[arg(long, value_name = "AMOUNT")]
        month: Option<Micro>,
    },
    /// Show all budgets with what is used of them.
    List,
    /// Show the budgets of one.
    Show(Of),
    /// Lift all budgets of one.
    Revoke(Of),
}

/// Whose it is.
#[derive(Debug, Args)]
pub struct Of {
    /// `key`, `team` or `tenant`.
    #[arg(value_parser = scope)]
    pub(super) scope: Scope,
    /// Its name; of a team TENANT/TEAM.
    pub(super) name: String,
}

fn scope(word: &str) -> Result<Scope, String> {
    Scope::from_word(word).ok_or_else(|| "write key, team or tenant".into())
}

impl Of {
    /// There is such a key, team or tenant.
    pub(super) async fn lives(&self, admin: &Admin) -> Result<(), AdminError> {
        match self.scope {
            Scope::Tenant => admin.tenant(&self.name).await,
            Scope::Team => {
                let (tenant, team) = split(&self.name)?;
                admin.team(tenant, team).await
            }
            Scope::Key => {
                let text = "SELECT revoked_ms FROM virtual_keys WHERE name = $1";
                admin.lives(text, &[&self.name], format!("key {}", self.name)).await
            }
        }
    }
}

impl BudgetCommand {
    /// Does it.
    pub async fn run(self, admin: &Admin) -> Result<(), AdminError> {
        match self {
            Self::Set { of, day, month } => {
                of.lives(admin).await?;
                if day.is_none() && month.is_none() {
                    return Err(AdminError::Usage("give --day, --month or both"));
                }
                set(admin, &of, [(Period::Day, day), (Period::Month, month)]).await
            }
            Self::List => list(admin, None).await,
            Self::Show(of) => list(admin, Some(of)).await,
            Self::Revoke(of) => {
                let text = "DELETE FROM budgets WHERE scope = $1 AND name = $2";
                let values = [of.scope.word().into(), of.name.as_str().into()];
                let mut write = admin.store.begin().await?;
                if admin.run(&mut write, text, values).await? == 0 {
                    let whose = format!("budget of {} {}", of.scope.word(), of.name);
                    return Err(AdminError::Unknown(whose));
                }
                admin.commit(write).await
            }
        }
    }
}

async fn set(
    admin: &Admin,
    of: &Of,
    amounts: [(Period, Option<Micro>); 2],
) -> Result<(), AdminError> {
    let store = &admin.store;
    let given = || amounts.iter().filter_map(|(period, amount)| Some((*period, (*amount)?.0)));
    let text = "SELECT period FROM budgets WHERE scope = $1 AND name = $2";
    let mut there = Vec::new();
    for row in admin.rows(text, [of.scope.word().into(), of.name.as_str().into()]).await? {
        there.push(admin.get::<String>(&row, "period")?);
    }
    let is_there = |period: Period| there.iter().any(|word| word == period.word());
    let mut write = store.begin().await?;
    // No host adds a row between the sum and the budget that starts from it. Taken before any
    // budget, as hosts do.
    if let Some(lock) = store.ledger_lock(true).filter(|_| given().any(|(p, _)| !is_there(p))) {
        admin.run(&mut write, lock, []).await?;
    }
    for (period, amount) in given() {
        // One that is there knows what is used of it.
        let text = "UPDATE budgets SET amount = $1 WHERE scope = $2 AND name = $3 AND period = $4";
        let names = [of.scope.word().into(), of.name.as_str().into(), period.word().into()];
        let values = [amount.into()].into_iter().chain(names);
        if is_there(period) {
            if admin.run(&mut write, text, values).await? == 0 {
                // Lifted since it was looked for, and without the lock there is no sum.
                let whose = format!("budget of {} {}", of.scope.word(), of.name);
                return Err(AdminError::Unknown(whose));
            }
            continue;
        }
        let (period_start, _) = period.around(now_ms());
        let (settled, reserved) =
            used_since(store, &mut write, of.scope, &of.name, period_start).await?;
        let (scope, name) = (of.scope, of.name.clone());
        let budget = Budget { scope, name, period, amount, period_start, settled, reserved };
        budget.save(store, &mut write).await?;
    }
    admin.commit(write).await
}

async fn list(admin: &Admin, of: Option<Of>) -> Result<(), AdminError> {
    let filter = if of.is_some() { "WHERE scope = $1 AND name = $2" } else { "" };
    let text = format!("SELECT * FROM budgets {filter} ORDER BY scope, name, period");
    let values = of.map(|of| [of.scope.word().into(), of.name.as_str().into()]);
    let mut cells = Vec::new();
    for row in admin.rows(&text, values.into_iter().flatten()).await? {
        let mut budget = Budget::read(&admin.store, &row)?;
        budget.roll(now_ms());
        let left = budget.amount - budget.settled - budget.reserved;
        cells.push([
            budget.scope.word().into(),
            budget.name.clone(),
            budget.period.word().into(),
            Micro(budget.amount).to_string(),
            Micro(budget.settled).to_string(),
            Micro(budget.reserved).to_string(),
            Micro(left).to_string(),
        ]);
    }
    table(["OF", "NAME", "PERIOD", "BUDGET", "SETTLED", "RESERVED", "LEFT"], &cells)
}
