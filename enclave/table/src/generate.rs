//! A table as Rust constants.

use std::fmt::Write;

use aegis_wire::table::{Endpoint, Provider, Table};

use crate::{TableError, parse};

/// The expression of type `aegis_wire::table::Table` that the text stands for. Every name in it is
/// a full path, so that it can stand anywhere.
pub fn generate(text: &str) -> Result<String, TableError> {
    let Table { digest, providers, refusals } = parse(text)?;
    let mut out = format!("::aegis_wire::table::Table {{ digest: {digest:?}, providers: &[");
    for row in *providers {
        provider(&mut out, row);
    }
    // Writing to a string does not fail.
    let _ = write!(out, "], refusals: &{refusals:?} }}");
    Ok(out)
}

fn provider(out: &mut String, row: &Provider) {
    let Provider { name, authority, prefix, roots, envelope, credentials, endpoints } = row;
    let credentials: Vec<String> = credentials
        .iter()
        .map(|form| format!("::aegis_wire::table::Credential::{form:?}"))
        .collect();
    let _ = write!(
        out,
        "::aegis_wire::table::Provider {{ name: {name:?}, authority: {authority:?}, \
         prefix: {prefix:?}, roots: {roots:?}, \
         envelope: ::aegis_wire::table::Envelope::{envelope:?}, credentials: &[{}], endpoints: &[",
        credentials.join(", ")
    );
    for row in *endpoints {
        endpoint(out, row);
    }
    out.push_str("] },");
}

fn endpoint(out: &mut String, row: &Endpoint) {
    let Endpoint { method, pattern, class, meter, replayable } = row;
    let meter = meter.map_or("None".to_owned(), |rules| {
        let rule = |(slot, path): &(Option<_>, &[&str])| {
            let slot = slot.map_or("None".to_owned(), |slot| {
                format!("Some(::aegis_wire::control::Slot::{slot:?})")
            });
            format!("({slot}, &{path:?})")
        };
        let rules: Vec<String> = rules.iter().map(rule).collect();
        format!("Some(&[{}])", rules.join(", "))
    });
    let _ = write!(
        out,
        "::aegis_wire::table::Endpoint {{ method: {method:?}, pattern: {pattern:?}, \
         class: ::aegis_wire::control::Class::{class:?}, meter: {meter}, \
         replayable: {replayable:?} }},"
    );
}
