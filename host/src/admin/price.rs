//! Prices: what a million tokens of a kind cost for a model, from some day on. They hold for
//! requests granted from then on; what is settled stays as it is.

use clap::{Args, Subcommand};

use super::{Admin, AdminError, day, now_ms, shown_day, table};
use crate::{
    config::{ConfigError, check},
    money::Micro,
    prices::Kind,
};

/// What to do with prices.
#[derive(Debug, Subcommand)]
pub enum PriceCommand {
    /// Set prices of a model.
    #[command(after_help = HELP)]
    Set {
        /// Of what.
        #[command(flatten)]
        of: Of,
        /// The first day on which they hold, UTC; from now on without it.
        #[arg(long, value_name = "DAY", value_parser = day)]
        from: Option<i64>,
        /// KIND=AMOUNT for a million tokens, as in `input=2.50 output=10 cache_read=0.25`.
        #[arg(required = true, value_name = "KIND=AMOUNT")]
        prices: Vec<String>,
    },
    /// Show all prices, past and future.
    List,
    /// Show the prices of one model.
    Show(Of),
    /// Forget all prices of a model.
    Revoke(Of),
}

const HELP: &str = "\
Kinds: input, output, cache_read, cache_write, cache_write_long, reasoning, audio_input,
audio_output, tool_input, tool_calls (a million calls). A kind without a price takes that of input
or output. Counts never overlap: what was read from a cache is not counted as input again.

A model is the label of the provider's answer; `gpt-5*` is every label that begins so, and `*` is
the fallback for all. Each kind has the price of the longest name that says anything of it. What the
fallback priced the ledger marks by `fallback`. A kind that nobody prices makes a request cost its
reservation at least, marked `unpriced`: where tools cost nothing, say tool_calls=0. A model whose
name its user hides costs, kind by kind, as much as the dearest one here, marked `dearest`.";

/// A model of a provider.
#[derive(Debug, Args)]
pub struct Of {
    /// The model's label, a beginning with `*`, or `*` alone.
    model: String,
    /// Of this provider; of all without it.
    #[arg(long, default_value = "*", value_name = "NAME")]
    provider: String,
}

impl PriceCommand {
    /// Does it.
    pub async fn run(self, admin: &Admin) -> Result<(), AdminError> {
        match self {
            Self::Set { of, from, prices } => set(admin, &of, from, &prices).await,
            Self::List => list(admin, None).await,
            Self::Show(of) => list(admin, Some(of)).await,
            Self::Revoke(Of { model, provider }) => {
                let text = "DELETE FROM prices WHERE provider = $1 AND model = $2";
                let values = [provider.as_str().into(), model.as_str().into()];
                let mut write = admin.store.begin().await?;
                if admin.run(&mut write, text, values).await? == 0 {
                    return Err(AdminError::Unknown(format!("price of {model} at {provider}")));
                }
                admin.commit(write).await
            }
        }
    }
}

async fn set(
    admin: &Admin,
    Of { model, provider }: &Of,
    from: Option<i64>,
    prices: &[String],
) -> Result<(), AdminError> {
    if provider != "*" {
        check::index_of("--provider", provider, &admin.config.providers)?;
    }
    let label = model.strip_suffix('*').unwrap_or(model);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
    if model.is_empty() || label.len() > 64 || !label.bytes().all(fits) {
        let reason = "a model has 1 to 64 characters of A-Z, a-z, 0-9 and ._:/@-, or ends with `*`";
        return Err(ConfigError::entry("price", reason, "write it as answers name it").into());
    }
    let mut write = admin.store.begin().await?;
    for price in prices {
        let read = || {
            let (kind, amount) = price.split_once('=')?;
            Some((Kind::from_word(kind)?, amount.parse::<Micro>().ok()?))
        };
        let (kind, amount) = read().ok_or_else(|| {
            let reason = format!("{} is no KIND=AMOUNT", check::shown(price));
            ConfigError::entry("price", reason, "`aegis-host price set --help` lists the kinds")
        })?;
        let text = "INSERT INTO prices (provider, model, kind, effective_ms, amount) \
            VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (provider, model, kind, effective_ms) DO UPDATE SET amount = excluded.amount";
        let values = [
            provider.as_str().into(),
            model.as_str().into(),
            kind.word().into(),
            from.unwrap_or_else(now_ms).into(),
            amount.0.into(),
        ];
        admin.run(&mut write, text, values).await?;
    }
    admin.commit(write).await
}

async fn list(admin: &Admin, of: Option<Of>) -> Result<(), AdminError> {
    let filter = if of.is_some() { "WHERE model = $1 AND provider = $2" } else { "" };
    let text =
        format!("SELECT * FROM prices {filter} ORDER BY provider, model, kind, effective_ms");
    let values = of.into_iter().flat_map(|of| [of.model, of.provider]);
    let values: Vec<_> = values.map(|value| value.as_str().into()).collect();
    let mut cells = Vec::new();
    for row in admin.rows(&text, values).await? {
        cells.push([
            admin.get(&row, "provider")?,
            admin.get(&row, "model")?,
            admin.get(&row, "kind")?,
            Micro(admin.get(&row, "amount")?).to_string(),
            shown_day(Some(admin.get(&row, "effective_ms")?)),
        ]);
    }
    table(["PROVIDER", "MODEL", "KIND", "PER MILLION", "FROM"], &cells)
}
