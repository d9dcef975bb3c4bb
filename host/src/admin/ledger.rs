//! The ledger as a file for other programs.

use std::io::{BufWriter, Write};

use clap::{Args, Subcommand};
use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use sqlx::any::AnyRow;

use super::{Admin, AdminError, day};
use crate::store::ledger_columns;

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Print every grant with its outcome, oldest first. Times are milliseconds since 1970, amounts
    /// micro-units; what is empty or null in an open grant is not known yet.
    Export(Export),
}

/// Which grants, and how.
#[derive(Debug, Args)]
pub struct Export {
    /// One JSON object per line.
    #[arg(long, required_unless_present = "csv", conflicts_with = "csv")]
    json: bool,
    /// Comma-separated values under a line of names.
    #[arg(long)]
    csv: bool,
    /// Grants of this day and later, UTC.
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<i64>,
    /// Grants before this day, UTC.
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<i64>,
}

impl LedgerCommand {
    /// Does it.
    pub async fn run(self, admin: &Admin) -> Result<(), AdminError> {
        let Self::Export(export) = self;
        let columns = ledger_columns();
        let names: Vec<_> = columns.iter().map(|column| column.trim_start_matches('#')).collect();
        let text = format!(
            "SELECT {} FROM ledger WHERE at_ms >= $1 AND at_ms < $2 ORDER BY grant_id",
            names.join(", ")
        );
        let mut read = admin.store.snapshot().await?;
        let mut rows = sqlx::query(&text)
            .bind(export.from.unwrap_or(0))
            .bind(export.until.unwrap_or(i64::MAX))
            .fetch(&mut *read);
        let mut out = BufWriter::new(std::io::stdout().lock());
        if export.csv {
            writeln!(out, "{}", names.join(","))?;
        }
        loop {
            let row = rows.try_next().await.map_err(|error| admin.store.failed(error))?;
            let Some(row) = row else { break };
            let values = values(admin, &row, &columns)?;
            if export.csv {
                let cells: Vec<_> = values.iter().map(cell).collect();
                writeln!(out, "{}", cells.join(","))?;
            } else {
                let object: Map<String, Value> =
                    names.iter().map(|name| (*name).to_owned()).zip(values).collect();
                writeln!(out, "{}", Value::Object(object))?;
            }
        }
        Ok(out.flush()?)
    }
}

fn values(admin: &Admin, row: &AnyRow, columns: &[&str]) -> Result<Vec<Value>, AdminError> {
    let value = |column: &&str| match column.strip_prefix('#') {
        Some(name) => Ok(admin.get::<Option<i64>>(row, name)?.into()),
        // Counts are JSON in the store already.
        None if *column == "counts" => {
            let text: Option<String> = admin.get(row, column)?;
            let counts = text.map(|text| serde_json::from_str(&text)).transpose();
            Ok(counts.map_err(|_| admin.store.odd("counts"))?.unwrap_or(Value::Null))
        }
        None => Ok(admin.get::<Option<String>>(row, column)?.into()),
    };
    columns.iter().map(value).collect()
}

/// RFC 4180: what holds a comma or a quote stands in quotes.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_with_a_comma_or_a_quote_is_quoted() {
        assert_eq!(cell(&Value::Null), "");
        assert_eq!(cell(&"a".into()), "a");
        assert_eq!(cell(&serde_json::json!({ "input": 1 })), "\"{\"\"input\"\":1}\"");
    }
}
