//! Limits: rates, and how much at one time.

use clap::Subcommand;

use super::{Admin, AdminError, budget::Of, table};

/// What to do with limits.
#[derive(Debug, Subcommand)]
pub enum LimitCommand {
    /// Replace the limits of a key, a team or a tenant; what is not given is not limited.
    Set {
        /// Whose.
        #[command(flatten)]
        of: Of,
        /// Requests in a minute.
        #[arg(long, value_name = "N")]
        requests_per_minute: Option<u32>,
        /// Tokens in and out in a minute. The request that goes beyond passes, the next waits.
        #[arg(long, value_name = "N")]
        tokens_per_minute: Option<u32>,
        /// Requests at one time.
        #[arg(long, value_name = "N")]
        streams: Option<u32>,
        /// Sessions at one time.
        #[arg(long, value_name = "N")]
        sessions: Option<u32>,
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
                of.lives(admin).await?;
                let text = "INSERT INTO limits (scope, name, requests_per_minute, \
                    tokens_per_minute, streams, sessions) VALUES ($1, $2, $3, $4, $5, $6) \
                    ON CONFLICT (scope, name) DO UPDATE SET \
                    requests_per_minute = excluded.requests_per_minute, \
                    tokens_per_minute = excluded.tokens_per_minute, \
                    streams = excluded.streams, sessions = excluded.sessions";
                let numbers = [requests_per_minute, tokens_per_minute, streams, sessions];
                let names = [of.scope.word().into(), of.name.as_str().into()];
                let numbers = numbers.map(|number| number.map(i64::from).into());
                let mut write = admin.store.begin().await?;
                admin.run(&mut write, text, names.into_iter().chain(numbers)).await?;
                admin.commit(write).await
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
