//! The statements that write to the ledger.

use super::{
    Terms,
    charge::{Closing, Granted},
};
use crate::{
    money::Micro,
    store::{Store, StoreError, Write, places},
};

/// A grant to write.
pub(super) struct New<'a> {
    pub(super) number: u64,
    pub(super) at_ms: i64,
    pub(super) terms: &'a Terms,
    pub(super) reserved: Micro,
}

const COLUMNS: usize = 17;

/// Rows in one statement. Always a power of two, so that there are few to prepare.
const AT_ONCE: usize = 64;

pub(super) async fn grants(
    store: &Store,
    write: &mut Write,
    host: &str,
    mut rows: &[New<'_>],
) -> Result<(), StoreError> {
    while !rows.is_empty() {
        let largest = 1 << rows.len().ilog2();
        let (now, later) = rows.split_at(largest.min(AT_ONCE));
        let text = format!(
            "INSERT INTO ledger (grant_id, at_ms, host, enclave, boot, request, attempt, \
             session_no, tenant, team, key_name, release_no, provider, class, custody, account, \
             reserved) VALUES {}",
            places(now.len(), COLUMNS)
        );
        let mut query = sqlx::query(&text);
        for New { number, at_ms, terms, reserved } in now {
            query = query
                .bind(integer(*number))
                .bind(*at_ms)
                .bind(host.to_owned())
                .bind(terms.enclave.clone())
                .bind(terms.boot.to_string())
                .bind(integer(terms.request))
                .bind(i64::from(terms.attempt))
                .bind(integer(terms.session))
                .bind(terms.tenant.clone())
                .bind(terms.team.clone())
                .bind(terms.key.clone())
                .bind(i64::from(terms.release))
                .bind(terms.provider.clone())
                .bind(terms.class.word())
                .bind(terms.custody.word())
                .bind(i64::from(terms.account))
                .bind(reserved.0);
        }
        query.execute(&mut **write).await.map_err(|error| store.failed(error))?;
        rows = later;
    }
    Ok(())
}

pub(super) async fn outcome(
    store: &Store,
    write: &mut Write,
    grant: i64,
    at_ms: i64,
    closing: &Closing,
) -> Result<(), StoreError> {
    let text = "UPDATE ledger SET settled_ms = $1, outcome = $2, source = $3, status_class = $4, \
        counts = $5, label = $6, first_byte_ms = $7, total_ms = $8, charged = $9, pricing = $10 \
        WHERE grant_id = $11 AND (outcome IS NULL OR source = 'lost')";
    let report = &closing.report;
    // Names and numbers: there is nothing that JSON cannot say.
    let counts = serde_json::to_string(&report.counts).unwrap_or_default();
    let query = sqlx::query(text)
        .bind(at_ms)
        .bind(closing.word)
        .bind(report.source)
        .bind(i64::from(report.status_class))
        .bind(counts)
        .bind(report.label.clone())
        .bind(i64::from(report.first_byte_ms))
        .bind(i64::from(report.total_ms))
        .bind(closing.charged.0)
        .bind(closing.pricing)
        .bind(grant);
    let written = query.execute(&mut **write).await.map_err(|error| store.failed(error))?;
    match written.rows_affected() {
        1 => Ok(()),
        _ => Err(store.odd(format!("grant {grant}"))),
    }
}

/// Gives up open grants, all with one statement: an outcome without a report, at the reservation of
/// each.
pub(super) async fn lost(
    store: &Store,
    write: &mut Write,
    at_ms: i64,
    rows: &[Granted],
) -> Result<(), StoreError> {
    let Some(last) = rows.last() else { return Ok(()) };
    let Closing { word, report, charged: _, pricing } = last.lost();
    // A power of two of places, so that there are few different statements to prepare.
    let len = rows.len().next_power_of_two();
    let places: Vec<_> = (5..5 + len).map(|n| format!("${n}")).collect();
    let text = format!(
        "UPDATE ledger SET settled_ms = $1, outcome = $2, source = $3, pricing = $4, \
         charged = reserved, status_class = 0, counts = '{{}}', label = '', first_byte_ms = 0, \
         total_ms = 0 WHERE outcome IS NULL AND grant_id IN ({})",
        places.join(", ")
    );
    let query = sqlx::query(&text).bind(at_ms).bind(word).bind(report.source).bind(pricing);
    let padded = rows.iter().chain(std::iter::repeat(last)).take(len);
    let query = padded.fold(query, |query, row| query.bind(row.grant));
    let written = query.execute(&mut **write).await.map_err(|error| store.failed(error))?;
    match written.rows_affected() == rows.len() as u64 {
        true => Ok(()),
        false => Err(store.odd("grants that are given up")),
    }
}

/// Numbers of a protocol frame that no ledger holds are shown as the largest one.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
