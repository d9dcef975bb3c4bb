//! Virtual keys: made here, shown once, kept as a hash.

use aegis_wire::session::VIRTUAL_KEY_PREFIX;
use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::{
    Admin, AdminError, Change, Changes, changes, day, name, now_ms, shown_day, table, tenant::Named,
};
use crate::{
    config::{ConfigError, check},
    keys::KeyId,
    money::{Micro, NoAmount},
    store::{Value, Write},
    vault,
};

/// Random bytes of a key that is made here.
const KEY_BYTES: usize = 24;

/// What to do with virtual keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it, this once; the store keeps its hash alone.
    Create {
        /// What the ledger calls it.
        name: String,
        /// Whose it is.
        #[arg(long)]
        tenant: String,
        /// A team of that tenant.
        #[arg(long)]
        team: Option<String>,
        /// What it may do.
        #[command(flatten)]
        terms: Terms,
        /// SHA-256 of a key that exists already; nothing is printed then. It is the output of
        /// `printf %s "$KEY" | sha256sum` for a key that begins with `aegis-vk-`.
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
        /// Do nothing when that tenant and team have it already; its secret was printed when it
        /// was made. Refused when it is revoked, another one's, or has another SHA-256.
        #[arg(long)]
        exists_ok: bool,
    },
    /// Change what a key may do; what is not given stays as it is.
    Set {
        /// Its name.
        name: String,
        /// What it may do from now on.
        #[command(flatten)]
        terms: NewTerms,
    },
    /// Make a second secret for a key and print it, this once; the one before ends soon.
    Rotate {
        /// Its name.
        name: String,
        /// Hours for which the secrets before are valid still; 0 ends them now.
        #[arg(long, default_value_t = 24, value_name = "HOURS")]
        overlap: u32,
    },
    /// Show all keys.
    List,
    /// Show one key.
    Show(Named),
    /// End a key, for ever; open sessions get no further grant.
    Revoke(Named),
}

/// What a key may do.
#[derive(Debug, Args)]
pub struct Terms {
    /// A provider that it may use, by its name in the table; may be repeated. All without it.
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,
    /// A class of endpoints that it may use; may be repeated. Without it every class that leaves
    /// nothing behind in the account.
    #[arg(long = "class", value_name = "WORD")]
    classes: Vec<String>,
    /// The first day on which it is not valid any more, UTC.
    #[arg(long, value_name = "DAY", value_parser = day)]
    expires: Option<i64>,
    /// Amount reserved for each of its requests, in place of what they cost lately.
    #[arg(long, value_name = "AMOUNT")]
    reserve: Option<Micro>,
}

/// What a key may do from now on.
#[derive(Debug, Args)]
pub struct NewTerms {
    /// A provider that it may use; may be repeated. These take the place of all before; `any` lifts
    /// the restriction.
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,
    /// A class of endpoints that it may use; may be repeated. These take the place of all before;
    /// `any` is every class that leaves nothing behind in the account.
    #[arg(long = "class", value_name = "WORD")]
    classes: Vec<String>,
    /// The first day on which it is not valid any more, UTC, or `none`.
    #[arg(long, value_name = "DAY", value_parser = |text: &str| Change::read(text, day))]
    expires: Option<Change<i64>>,
    /// Amount reserved for each of its requests, or `none`: what they cost lately.
    #[arg(long, value_name = "AMOUNT", value_parser = |text: &str| Change::read(text, amount))]
    reserve: Option<Change<Micro>>,
}

fn amount(text: &str) -> Result<Micro, String> {
    text.parse().map_err(|error: NoAmount| error.to_string())
}

impl KeyCommand {
    /// Does it.
    pub async fn run(self, admin: &Admin) -> Result<(), AdminError> {
        match self {
            Self::Create { name, tenant, team, terms, sha256, exists_ok } => {
                let team = team.unwrap_or_default();
                let made = Made::new(sha256)?;
                let there = create(admin, &name, &tenant, &team, &terms, &made).await?;
                match there {
                    true => made.show(),
                    false if exists_ok => {
                        same(admin, &name, [&tenant, &team], &made).await?;
                        eprintln!("key {name} is there already; `key rotate` prints a new secret");
                    }
                    false => return Err(AdminError::Exists(format!("key {name}"))),
                }
                Ok(())
            }
            Self::Set { name, terms } => set(admin, &name, &terms).await,
            Self::Rotate { name, overlap } => rotate(admin, &name, overlap).await,
            Self::List => list(admin, "", &[]).await,
            Self::Show(Named { name }) => {
                admin.key(&name).await?;
                list(admin, "WHERE name = $1", &[&name]).await
            }
            Self::Revoke(Named { name }) => {
                admin.key(&name).await?;
                let text = "UPDATE virtual_keys SET revoked_ms = $1 WHERE name = $2";
                let mut write = admin.store.begin().await?;
                admin.run(&mut write, text, [now_ms().into(), name.as_str().into()]).await?;
                admin.commit(write).await
            }
        }
    }
}

/// A secret that was made, or only the hash of one that exists.
struct Made {
    secret: Option<Zeroizing<String>>,
    digest: String,
}

impl Made {
    fn new(sha256: Option<String>) -> Result<Self, AdminError> {
        if let Some(digest) = sha256 {
            // Not repeated: it may be the key itself, put there by mistake.
            hex::decode_to_slice(&digest, &mut [0; 32]).map_err(|_| {
                let next = "write the output of: printf %s \"$KEY\" | sha256sum";
                ConfigError::entry("--sha256", "it is not 64 hexadecimal digits", next)
            })?;
            return Ok(Self { secret: None, digest: digest.to_ascii_lowercase() });
        }
        let random = vault::random(KEY_BYTES)?;
        let secret = Zeroizing::new(format!("{VIRTUAL_KEY_PREFIX}{}", *random));
        let digest = hex::encode(KeyId::of(&secret).0);
        Ok(Self { secret: Some(secret), digest })
    }

    fn show(self) {
        if let Some(secret) = self.secret {
            eprintln!("This key is shown once; the store keeps its hash alone.");
            println!("{}", *secret);
        }
    }
}

impl Admin {
    async fn key(&self, name: &str) -> Result<(), AdminError> {
        let text = "SELECT revoked_ms FROM virtual_keys WHERE name = $1";
        self.lives(text, &[name], format!("key {name}")).await
    }
}

/// Words with commas between them, each known.
fn words(
    admin: &Admin,
    providers: &[String],
    classes: &[String],
) -> Result<[Option<String>; 2], AdminError> {
    for provider in providers {
        check::index_of("--provider", provider, &admin.config.providers)?;
    }
    for class in classes {
        check::class("--class", class)?;
    }
    Ok([providers, classes].map(|words| (!words.is_empty()).then(|| words.join(","))))
}

impl Terms {
    /// The columns: providers, classes, reserve, expires.
    fn values(&self, admin: &Admin) -> Result<[Value; 4], AdminError> {
        let [providers, classes] = words(admin, &self.providers, &self.classes)?;
        let reserve = self.reserve.map(|amount| amount.0);
        Ok([providers.into(), classes.into(), reserve.into(), self.expires.into()])
    }
}

impl NewTerms {
    fn changes(&self, admin: &Admin) -> Result<Changes, AdminError> {
        // `any` stands alone: beside a name it would be a mistake, and is no name itself.
        let listed = |words: &[String]| if words == ["any"] { Vec::new() } else { words.to_vec() };
        let (providers, classes) = (listed(&self.providers), listed(&self.classes));
        let [of_providers, of_classes] = words(admin, &providers, &classes)?;
        let reserve = self.reserve.map(|new| new.value().map(|amount| amount.0));
        Ok(changes([
            ("providers", (!self.providers.is_empty()).then(|| of_providers.into())),
            ("classes", (!self.classes.is_empty()).then(|| of_classes.into())),
            ("reserve", reserve.map(Value::from)),
            ("expires_ms", self.expires.map(|new| new.value().into())),
        ]))
    }
}

/// Whether the key that is there is the one that was asked for.
async fn same(
    admin: &Admin,
    key: &str,
    [tenant, team]: [&str; 2],
    made: &Made,
) -> Result<(), AdminError> {
    admin.key(key).await?;
    let text = "SELECT tenant, team FROM virtual_keys WHERE name = $1";
    for row in admin.rows(text, [key.into()]).await? {
        let of: (String, String) = (admin.get(&row, "tenant")?, admin.get(&row, "team")?);
        if (of.0.as_str(), of.1.as_str()) != (tenant, team) {
            return Err(AdminError::Exists(format!("key {key} of another tenant or team")));
        }
    }
    if made.secret.is_some() {
        return Ok(());
    }
    let text = "SELECT digest FROM key_secrets WHERE key_name = $1 AND digest = $2 \
                AND (expires_ms IS NULL OR expires_ms > $3)";
    let values = [key.into(), made.digest.as_str().into(), now_ms().into()];
    match admin.rows(text, values).await?.is_empty() {
        true => Err(AdminError::Exists(format!("key {key} with another SHA-256"))),
        false => Ok(()),
    }
}

/// Whether it was made; a key of that name that is there stays as it is.
async fn create(
    admin: &Admin,
    key: &str,
    tenant: &str,
    team: &str,
    terms: &Terms,
    made: &Made,
) -> Result<bool, AdminError> {
    name("key", key)?;
    admin.tenant(tenant).await?;
    if !team.is_empty() {
        admin.team(tenant, team).await?;
    }
    let text = "INSERT INTO virtual_keys \
        (providers, classes, reserve, expires_ms, name, tenant, team, created_ms) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING";
    let values = terms.values(admin)?.into_iter().chain([
        key.into(),
        tenant.into(),
        team.into(),
        now_ms().into(),
    ]);
    let mut write = admin.store.begin().await?;
    if admin.run(&mut write, text, values).await? == 0 {
        return Ok(false);
    }
    add_secret(admin, &mut write, key, &made.digest).await?;
    admin.commit(write).await?;
    Ok(true)
}

async fn add_secret(
    admin: &Admin,
    write: &mut Write,
    key: &str,
    digest: &str,
) -> Result<(), AdminError> {
    let text = "INSERT INTO key_secrets (digest, key_name, created_ms) VALUES ($1, $2, $3) \
                ON CONFLICT (digest) DO NOTHING";
    let values = [digest.into(), key.into(), now_ms().into()];
    match admin.run(write, text, values).await? {
        0 => Err(AdminError::Exists("a key with this hash".into())),
        _ => Ok(()),
    }
}

async fn set(admin: &Admin, key: &str, terms: &NewTerms) -> Result<(), AdminError> {
    admin.key(key).await?;
    let changes = terms.changes(admin)?;
    if changes.values.is_empty() {
        return Err(AdminError::Usage("give --provider, --class, --expires or --reserve"));
    }
    let (columns, place) = (changes.text(), changes.values.len() + 1);
    let text = format!("UPDATE virtual_keys SET {columns} WHERE name = ${place}");
    let values = changes.values.into_iter().chain([key.into()]);
    let mut write = admin.store.begin().await?;
    admin.run(&mut write, &text, values).await?;
    admin.commit(write).await
}

async fn rotate(admin: &Admin, key: &str, overlap_h: u32) -> Result<(), AdminError> {
    admin.key(key).await?;
    let made = Made::new(None)?;
    let ends = now_ms() + i64::from(overlap_h) * 3_600_000;
    let mut write = admin.store.begin().await?;
    // One that ends earlier anyway keeps its end.
    let text = "UPDATE key_secrets SET expires_ms = $1 \
                WHERE key_name = $2 AND (expires_ms IS NULL OR expires_ms > $1)";
    admin.run(&mut write, text, [ends.into(), key.into()]).await?;
    add_secret(admin, &mut write, key, &made.digest).await?;
    admin.commit(write).await?;
    made.show();
    Ok(())
}

pub(super) async fn list(admin: &Admin, filter: &str, values: &[&str]) -> Result<(), AdminError> {
    let text = format!("SELECT * FROM virtual_keys {filter} ORDER BY name");
    let mut cells = Vec::new();
    for row in admin.rows(&text, values.iter().map(|value| (*value).into())).await? {
        let (tenant, team): (String, String) =
            (admin.get(&row, "tenant")?, admin.get(&row, "team")?);
        let word = |text: Option<String>| text.unwrap_or_else(|| "all".into());
        cells.push([
            admin.get(&row, "name")?,
            if team.is_empty() { tenant } else { format!("{tenant}/{team}") },
            word(admin.get(&row, "providers")?),
            word(admin.get(&row, "classes")?),
            admin
                .get::<Option<i64>>(&row, "reserve")?
                .map_or_else(|| "-".into(), |amount| Micro(amount).to_string()),
            shown_day(admin.get(&row, "expires_ms")?),
            shown_day(admin.get(&row, "revoked_ms")?),
        ]);
    }
    table(["KEY", "OF", "PROVIDERS", "CLASSES", "RESERVE", "EXPIRES", "REVOKED"], &cells)
}
