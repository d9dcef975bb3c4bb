//! Further attempts (DESIGN 3.9): when there is one, what it settles, what the client gets at last.
#![allow(clippy::unwrap_used)]

use std::sync::OnceLock;

use aegis_core::{Action, Event, Exchange, Plan, Refusal, exchange::Step, plan::Request};
use aegis_wire::{
    control::{Deny, DenyCode, Source},
    table::Table,
};

fn exchange(method: &str, path: &str, custody: &[u8]) -> Exchange {
    static READ: OnceLock<&Table> = OnceLock::new();
    let table =
        READ.get_or_init(|| aegis_table::parse(include_str!("../../providers.table")).unwrap());
    let own: &[u8] = b"Bearer sk-made-up";
    let fields = [("aegis-custody", custody), ("authorization", own)];
    let authority = Some("api.openai.com");
    let request = Request { method, authority, path_and_query: path, fields: &fields };
    Exchange::new(&Plan::new(table, &request).unwrap())
}

fn chat() -> Exchange {
    exchange("POST", "/v1/chat/completions", b"host")
}

fn head(status: u16, held: bool) -> Event<'static> {
    Event::Head { status, content_type: b"", content_encoding: b"", held }
}

fn denied() -> Event<'static> {
    Event::Denied(Deny { request: 1, attempt: 2, code: DenyCode::Account, retry_after_s: 9 })
}

/// An exchange whose first attempt came to that.
fn after(mut exchange: Exchange, event: Event<'_>) -> (Exchange, Step) {
    assert_eq!(exchange.step(0, Event::Granted(1)).action, Action::Send);
    let step = exchange.step(20, event);
    (exchange, step)
}

#[test]
fn these_failures_are_tried_again() {
    for status in [429, 500, 502, 503, 529] {
        let (exchange, step) = after(chat(), head(status, true));
        let usage = step.settle.unwrap();
        assert_eq!((step.action, exchange.attempt()), (Action::Retry, 2), "{status}");
        assert_eq!((usage.grant, usage.source), (1, Source::Unmetered));
        assert_eq!((usage.status_class, usage.first_byte_ms), ((status / 100) as u8, 20));
    }
    let (_, step) = after(chat(), Event::Unreachable { held: true });
    assert_eq!(step.action, Action::Retry);
    assert_eq!(step.settle.unwrap().source, Source::NotDispatched);
}

#[test]
fn others_are_not() {
    let relayed = [200, 302, 400, 401, 403, 404, 408, 409, 413, 422, 501, 504, 520, 599];
    for status in relayed {
        let (_, step) = after(chat(), head(status, true));
        assert_eq!((step.action, step.settle), (Action::RelayHead, None), "{status}");
    }
    for event in [Event::Lost, Event::Timeout, Event::BadHead, Event::NotTheProvider] {
        let (exchange, step) = after(chat(), event);
        assert!(matches!(step.action, Action::Answer(_)), "dispatched, or no provider there");
        assert_eq!((step.settle.is_some(), exchange.attempt()), (true, 1));
    }
}

#[test]
fn a_body_that_is_not_held_is_sent_once() {
    assert_eq!(after(chat(), head(429, false)).1.action, Action::RelayHead);
    let (_, step) = after(chat(), Event::Unreachable { held: false });
    assert_eq!(step.action, Action::Answer(Refusal::UpstreamUnreachable));
}

#[test]
fn endpoints_without_the_mark_and_client_custody_are_sent_once() {
    let list = || exchange("GET", "/v1/models", b"host");
    let own = || exchange("POST", "/v1/chat/completions", b"client");
    for exchange in [list, own] {
        assert_eq!(after(exchange(), head(429, true)).1.action, Action::RelayHead);
        let (_, step) = after(exchange(), Event::Unreachable { held: true });
        assert_eq!(step.action, Action::Answer(Refusal::UpstreamUnreachable));
    }
}

#[test]
fn nothing_is_tried_again_once_a_head_is_relayed() {
    let (mut exchange, _) = after(chat(), head(200, true));
    let step = exchange.step(30, head(503, true));
    assert_eq!((step.action, exchange.attempt()), (Action::Break, 1));
}

#[test]
fn the_fourth_attempt_is_the_last() {
    let mut exchange = chat();
    for grant in 1..=3 {
        assert_eq!(exchange.step(0, Event::Granted(grant)).action, Action::Send);
        let step = exchange.step(0, head(503, true));
        assert_eq!((step.action, step.settle.unwrap().grant), (Action::Retry, grant));
    }
    assert_eq!(exchange.attempt(), 4);
    assert_eq!(exchange.step(0, Event::Granted(4)).action, Action::Send);
    let step = exchange.step(0, head(503, true));
    assert_eq!((step.action, step.settle), (Action::RelayHead, None));
    let usage = exchange.step(0, Event::End).settle.unwrap();
    assert_eq!((usage.grant, usage.source), (4, Source::Unmetered));
}

#[test]
fn without_a_further_grant_the_client_gets_what_the_provider_said() {
    for refused in [denied(), Event::HostLost, Event::HostTimeout] {
        let (mut exchange, _) = after(chat(), head(429, true));
        let mut say = |event| {
            let Step { action, settle } = exchange.step(30, event);
            assert_eq!(settle, None, "the first grant is settled, and there is no other");
            action
        };
        assert_eq!(say(refused), Action::RelayHead);
        assert_eq!(say(Event::Chunk(b"{}")), Action::RelayChunk);
        assert_eq!(say(Event::End), Action::Finish);
        assert_eq!(say(Event::End), Action::Break);
    }
    let (mut exchange, _) = after(chat(), head(429, true));
    exchange.step(30, denied());
    assert_eq!(exchange.step(31, Event::Lost).action, Action::Break, "never a clean end");
    let (mut exchange, _) = after(chat(), Event::Unreachable { held: true });
    let step = exchange.step(30, denied());
    assert_eq!(step.action, Action::Answer(Refusal::UpstreamUnreachable));
    assert_eq!(step.settle, None);
}
