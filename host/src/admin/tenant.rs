//! Tenants and their teams: whose keys, budgets and limits are counted together.

use clap::{Args, Subcommand};

use super::{Admin, AdminError, name, now_ms, shown_day, table};

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Make a tenant.
    Create {
        /// 1 to 64 characters of A-Z, a-z, 0-9, `.`, `_`, `@`, `-`.
        name: String,
        /// Do nothing when it is there already.
        #[arg(long)]
        exists_ok: bool,
    },
    /// Show all tenants.
    List,
    /// Show one tenant with its teams and keys.
    Show(Named),
    /// End a tenant and all its keys, for ever; its ledger stays.
    Revoke(Named),
}

/// What to do with teams.
#[derive(Debug, Subcommand)]
pub enum TeamCommand {
    /// Make a team.
    Create {
        /// TENANT/TEAM.
        name: String,
        /// Do nothing when it is there already.
        #[arg(long)]
        exists_ok: bool,
    },
    /// Show all teams.
    List,
    /// Show one team with its keys.
    Show(Named),
    /// End a team and all its keys, for ever; its ledger stays.
    Revoke(Named),
}

/// One of them.
#[derive(Debug, Args)]
pub struct Named {
    /// Its name; of a team TENANT/TEAM.
    pub name: String,
}

impl TenantCommand {
    /// Does it.
    pub async fn run(self, admin: &Admin) -> Result<(), AdminError> {
        match self {
            Self::Create { name: tenant, exists_ok } => {
                name("tenant", &tenant)?;
                let text = "INSERT INTO tenants (name, created_ms) VALUES ($1, $2) \
                            ON CONFLICT (name) DO NOTHING";
                let mut write = admin.store.begin().await?;
                let values = [tenant.as_str().into(), now_ms().into()];
                if admin.run(&mut write, text, values).await? == 0 && !exists_ok {
                    return Err(AdminError::Exists(format!("tenant {tenant}")));
                }
                admin.commit(write).await
            }
            Self::List => list(admin, "", "").await,
            Self::Show(Named { name }) => {
                admin.tenant(&name).await?;
                list(admin, "WHERE t.name = $1", &name).await?;
                super::key::list(admin, "WHERE tenant = $1", &[&name]).await
            }
            Self::Revoke(Named { name }) => {
                admin.tenant(&name).await?;
                let text = "UPDATE tenants SET revoked_ms = $1 WHERE name = $2";
                let mut write = admin.store.begin().await?;
                admin.run(&mut write, text, [now_ms().into(), name.as_str().into()]).await?;
                admin.commit(write).await
            }
        }
    }
}

impl TeamCommand {
    /// Does it.
    pub async fn run(self, admin: &Admin) -> Result<(), AdminError> {
        match self {
            Self::Create { name: full, exists_ok } => {
                let (tenant, team) = split(&full)?;
                name("team", team)?;
                admin.tenant(tenant).await?;
                let text = "INSERT INTO teams (tenant, name, created_ms) VALUES ($1, $2, $3) \
                            ON CONFLICT (tenant, name) DO NOTHING";
                let mut write = admin.store.begin().await?;
                let values = [tenant.into(), team.into(), now_ms().into()];
                if admin.run(&mut write, text, values).await? == 0 && !exists_ok {
                    return Err(AdminError::Exists(format!("team {full}")));
                }
                admin.commit(write).await
            }
            Self::List => teams(admin).await,
            Self::Show(Named { name }) => {
                let (tenant, team) = split(&name)?;
                admin.team(tenant, team).await?;
                let keys = "WHERE tenant = $1 AND team = $2";
                super::key::list(admin, keys, &[tenant, team]).await
            }
            Self::Revoke(Named { name }) => {
                let (tenant, team) = split(&name)?;
                admin.team(tenant, team).await?;
                let text = "UPDATE teams SET revoked_ms = $1 WHERE tenant = $2 AND name = $3";
                let values = [now_ms().into(), tenant.into(), team.into()];
                let mut write = admin.store.begin().await?;
                admin.run(&mut write, text, values).await?;
                admin.commit(write).await
            }
        }
    }
}

impl Admin {
    /// That tenant is there and not revoked.
    pub(super) async fn tenant(&self, name: &str) -> Result<(), AdminError> {
        let text = "SELECT revoked_ms FROM tenants WHERE name = $1";
        self.lives(text, &[name], format!("tenant {name}")).await
    }

    /// That team is there and not revoked.
    pub(super) async fn team(&self, tenant: &str, team: &str) -> Result<(), AdminError> {
        let text = "SELECT revoked_ms FROM teams WHERE tenant = $1 AND name = $2";
        self.lives(text, &[tenant, team], format!("team {tenant}/{team}")).await
    }

    pub(super) async fn lives(
        &self,
        text: &str,
        values: &[&str],
        what: String,
    ) -> Result<(), AdminError> {
        let rows = self.rows(text, values.iter().map(|value| (*value).into())).await?;
        match rows.first() {
            None => Err(AdminError::Unknown(what)),
            Some(row) => match self.get::<Option<i64>>(row, "revoked_ms")? {
                Some(_) => Err(AdminError::Revoked(what)),
                None => Ok(()),
            },
        }
    }
}

/// Tenant and team of a full name.
pub(super) fn split(full: &str) -> Result<(&str, &str), AdminError> {
    full.split_once('/').ok_or(AdminError::Usage("a team is named TENANT/TEAM; write it so"))
}

async fn list(admin: &Admin, filter: &str, value: &str) -> Result<(), AdminError> {
    let text = format!(
        "SELECT t.name, t.created_ms, t.revoked_ms, \
         (SELECT COUNT(*) FROM teams g WHERE g.tenant = t.name) AS teams, \
         (SELECT COUNT(*) FROM virtual_keys k WHERE k.tenant = t.name) AS keys_of \
         FROM tenants t {filter} ORDER BY t.name"
    );
    let values = (!filter.is_empty()).then(|| value.into());
    let mut cells = Vec::new();
    for row in admin.rows(&text, values).await? {
        cells.push([
            admin.get(&row, "name")?,
            admin.get::<i64>(&row, "teams")?.to_string(),
            admin.get::<i64>(&row, "keys_of")?.to_string(),
            shown_day(Some(admin.get(&row, "created_ms")?)),
            shown_day(admin.get(&row, "revoked_ms")?),
        ]);
    }
    table(["TENANT", "TEAMS", "KEYS", "CREATED", "REVOKED"], &cells)
}

async fn teams(admin: &Admin) -> Result<(), AdminError> {
    let mut cells = Vec::new();
    for row in admin.rows("SELECT * FROM teams ORDER BY tenant, name", []).await? {
        let (tenant, team): (String, String) =
            (admin.get(&row, "tenant")?, admin.get(&row, "name")?);
        let (created, revoked) = (admin.get(&row, "created_ms")?, admin.get(&row, "revoked_ms")?);
        cells.push([format!("{tenant}/{team}"), shown_day(Some(created)), shown_day(revoked)]);
    }
    table(["TEAM", "CREATED", "REVOKED"], &cells)
}
