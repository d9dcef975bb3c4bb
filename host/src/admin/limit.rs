//! Limits: rates, and how much at one time.

use clap::Subcommand;

use super::{Admin, AdminError, Change, Changes, budget::Of, changes, table};
use crate::store::Value;

/// What to do with limits.
#[derive(Debug, Subcommand)]
pub enum LimitCommand {
    /// Change the limits of a key, a team or a tenant; what is not given stays as it is, and `none`
    /// lifts a limit.
    Set {
        /// Whose.
        #[command(flatten)]
        of: Of,
        /// Requests in a minute.
        #[arg(long, value_name = "N", value_parser = number)]
        requests_per_minute: Option<Change<u32>>,
        /// Tokens in and out in a minute. The request that goes beyond passes, the next waits.
        #[arg(long, value_name = "N", value_parser = number)]
        tokens_per_minute: Option<Change<u32>>,
        /// Requests at one time.
        #[arg(long, value_name = "N", value_parser = number)]
        streams: Option<Change<u32>>,
        /// Sessions at one time.
        #[arg(long, value_name = "N", value_parser = number)]
        sessions: Option<Change<u32>>,
    },
    /// Show all limits.
    List,
    /// Lift all limits of a key, a team or a tenant.
    Revoke(Of),
}

impl LimitCommand {
    /// Does it.
    pub async fn run(self, admin: &Admin) -> Result<(), AdminError> {
        match self {
            Self::Set { of, requests_per_minute, tokens_per_minute, streams, sessions } => {
                let column = |limit: Option<Change<u32>>| {
                    limit.map(|limit| limit.value().map(i64::from).into())
                };
                let changes = changes([
                    ("requests_per_minute", column(requests_per_minute)),
                    ("tokens_per_minute", column(tokens_per_minute)),
                    ("streams", column(streams)),
                    ("sessions", column(sessions)),
                ]);
                set(admin, &of, changes).await
            }
            Self::List => list(admin).await,
            Self::Revoke(of) => {
                let text = "DELETE FROM limits WHERE scope = $1 AND name = $2";
                let values = [of.scope.word().into(), of.name.as_str().into()];
                let mut write = admin.store.begin().await?;
                if admin.run(&mut write, text, values).await? == 0 {
                    let whose = format!("limit of {} {}", of.scope.word(), of.name);
                    return Err(AdminError::Unknown(whose));
                }
                admin.commit(write).await
            }
        }
    }
}

fn number(text: &str) -> Result<Change<u32>, String> {
    Change::read(text, |text| text.parse().map_err(|_| "write a number".into()))
}

async fn set(admin: &Admin, of: &Of, changes: Changes) -> Result<(), AdminError> {
    of.lives(admin).await?;
    if changes.values.is_empty() {
        return Err(AdminError::Usage(
            "give --requests-per-minute, --tokens-per-minute, --streams or --sessions",
        ));
    }
    let names: [Value; 2] = [of.scope.word().into(), of.name.as_str().into()];
    let mut write = admin.store.begin().await?;
    let text = "INSERT INTO limits (scope, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    admin.run(&mut write, text, names.clone()).await?;
    let (columns, place) = (changes.text(), changes.values.len() + 1);
    let text =
        format!("UPDATE limits SET {columns} WHERE scope = ${place} AND name = ${}", place + 1);
    admin.run(&mut write, &text, changes.values.into_iter().chain(names)).await?;
    admin.commit(write).await
}

async fn list(admin: &Admin) -> Result<(), AdminError> {
    let mut cells = Vec::new();
    for row in admin.rows("SELECT * FROM limits ORDER BY scope, name", []).await? {
        let number = |column| -> Result<String, AdminError> {
            let number: Option<i64> = admin.get(&row, column)?;
            Ok(number.map_or_else(|| "-".into(), |number| number.to_string()))
        };
        cells.push([
            admin.get(&row, "scope")?,
            admin.get(&row, "name")?,
            number("requests_per_minute")?,
            number("tokens_per_minute")?,
            number("streams")?,
            number("sessions")?,
        ]);
    }
    table(["OF", "NAME", "REQUESTS/MIN", "TOKENS/MIN", "STREAMS", "SESSIONS"], &cells)
}
