//! Runs exchanges of the shipped core with every byte of the bodies marked undefined.
//!
//! Under `valgrind --tool=memcheck` each branch and each address that depends on such a byte is
//! reported with its stack; `formal/run` says which of them may be. Without valgrind the marks do
//! nothing, and this program only says how much it drove. What it drives is `aegis_core`: the shell
//! moves bodies as `Bytes`, by handle.

mod bodies;
mod mark;

use std::hint::black_box;

use aegis_core::exchange::Step;
use aegis_core::head::Field;
use aegis_core::plan::Request;
use aegis_core::{Action, Event, Exchange, Plan};
use aegis_wire::control::Usage;
use aegis_wire::table::Table;

use crate::bodies::Body;
use crate::mark::{defined, secret, told};

/// Cut everywhere, into a few pieces, and not at all.
const CUTS: [usize; 4] = [1, 7, 64, usize::MAX];

fn main() {
    let table = aegis_table::parse(include_str!("../../../enclave/providers.table"))
        .expect("the shipped table is read at every build of the enclave");
    let table: &'static Table = Box::leak(Box::new(table));
    let (mut answers, mut bytes) = (0, 0);
    for body in bodies::all() {
        for (path, shown) in [(METERED, true), (METERED, false), (UNMETERED, true)] {
            for cut in CUTS {
                for end in [Event::End, Event::Lost, Event::ClientGone] {
                    bytes += relay(table, path, shown, &body, cut, end);
                    answers += 1;
                }
            }
        }
    }
    println!("{answers} answers, {bytes} body bytes, none of them defined");
}

const METERED: (&str, &str) = ("POST", "/v1/chat/completions");
const UNMETERED: (&str, &str) = ("GET", "/v1/models");

/// One exchange from its plan to its settling; gives how many bytes it relayed.
fn relay(
    table: &'static Table,
    (method, path_and_query): (&str, &str),
    shown: bool,
    body: &Body,
    cut: usize,
    end: Event<'_>,
) -> usize {
    let custody: Field<'_> = ("aegis-custody", b"host");
    let hide: Field<'_> = ("aegis-model", b"hide");
    let fields = if shown { vec![custody] } else { vec![custody, hide] };
    let authority = Some("api.openai.com");
    let request = Request { method, authority, path_and_query, fields: &fields };
    let plan = Plan::new(table, &request).expect("the row is in the table");
    let mut exchange = Exchange::new(&plan);
    assert_eq!(exchange.step(0, Event::Granted(1)).action, Action::Send);
    let (content_type, content_encoding) = (body.content_type, body.content_encoding);
    let head = Event::Head { status: 200, content_type, content_encoding, held: false };
    assert_eq!(exchange.step(1, head).action, Action::RelayHead);
    let mut relayed = Vec::with_capacity(body.bytes.len());
    for chunk in body.bytes.chunks(cut) {
        let chunk = secret(chunk);
        let step = exchange.step(2, Event::Chunk(&chunk));
        assert_eq!(step.action, Action::RelayChunk);
        relayed.extend_from_slice(&chunk);
    }
    let usage = found(exchange.step(3, end));
    // Nothing else of what the host is told may depend on the body.
    defined(&usage.grant);
    defined(&usage.status_class);
    defined(&usage.first_byte_ms);
    defined(&usage.total_ms);
    black_box(&relayed).len()
}

/// What the meter found is meant to be told: counts, label and source count as defined from here on.
#[inline(never)]
fn found(step: Step) -> Usage {
    let usage = step.settle.expect("whatever ends an answer settles it");
    told(&usage.counts);
    told(&usage.label);
    told(&usage.source);
    usage
}
