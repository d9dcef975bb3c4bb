//! One request's states: what each event leads to, and that every grant settles exactly once.
#![allow(clippy::unwrap_used)]

use std::sync::OnceLock;

use aegis_core::{
    Action, Event, Exchange, Plan, Refusal,
    exchange::{Observation, observable},
    plan::Request,
};
use aegis_wire::{
    control::{Deny, DenyCode, Slot, Source, Usage},
    table::{ProviderIndex, Table},
};
use proptest::prelude::*;

const ANSWER: &[u8] =
    br#"{"model":"mock-1","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;

fn exchange(path: &str, hide: bool) -> Exchange {
    static READ: OnceLock<&Table> = OnceLock::new();
    let table =
        READ.get_or_init(|| aegis_table::parse(include_str!("../../providers.table")).unwrap());
    let label: &[u8] = if hide { b"hide" } else { b"show" };
    let method = if path.ends_with("models") { "GET" } else { "POST" };
    let fields = [("aegis-custody", &b"host"[..]), ("aegis-model", label)];
    let authority = Some("api.openai.com");
    let request = Request { method, authority, path_and_query: path, fields: &fields };
    Exchange::new(&Plan::new(table, &request).unwrap())
}

fn chat() -> Exchange {
    exchange("/v1/chat/completions", false)
}

fn head(status: u16) -> Event<'static> {
    head_of(status, false)
}

fn head_of(status: u16, held: bool) -> Event<'static> {
    Event::Head { status, content_type: b"application/json", content_encoding: b"", held }
}

/// Feeds events, one each 10 ms; gives the last action and what was settled.
fn run(exchange: &mut Exchange, events: Vec<Event<'_>>) -> (Action, Vec<Usage>) {
    let (mut last, mut settled) = (Action::Break, Vec::new());
    for (at, event) in events.into_iter().enumerate() {
        let step = exchange.step(10 * at as u64, event);
        last = step.action;
        settled.extend(step.settle);
    }
    (last, settled)
}

fn sources(exchange: &mut Exchange, events: Vec<Event<'_>>) -> Vec<Source> {
    run(exchange, events).1.iter().map(|usage| usage.source).collect()
}

#[test]
fn the_whole_way() {
    let (mut exchange, grant) = (chat(), 9);
    let actions: Vec<Action> = [Event::Granted(grant), head(200), Event::Chunk(ANSWER), Event::End]
        .into_iter()
        .enumerate()
        .map(|(at, event)| {
            let step = exchange.step(10 * at as u64, event);
            assert_eq!(step.settle.is_some(), at == 3);
            if let Some(usage) = &step.settle {
                assert_eq!((usage.grant, usage.status_class), (grant, 2));
                assert_eq!(usage.source, Source::Provider);
                assert_eq!(usage.counts[Slot::Input as usize], Some(3));
                assert_eq!(usage.counts[Slot::Output as usize], Some(4));
                assert_eq!(usage.label.as_str(), "mock-1");
                assert_eq!((usage.first_byte_ms, usage.total_ms), (10, 30));
            }
            step.action
        })
        .collect();
    assert_eq!(actions, [Action::Send, Action::RelayHead, Action::RelayChunk, Action::Finish]);
}

#[test]
fn refusals_before_a_grant_settle_nothing() {
    let deny = Deny { request: 1, attempt: 1, code: DenyCode::Rate, retry_after_s: 7 };
    for (event, refusal) in [
        (Event::Denied(deny), Refusal::Denied(DenyCode::Rate, 7)),
        (Event::HostLost, Refusal::HostUnavailable),
        (Event::HostTimeout, Refusal::HostTimeout),
    ] {
        let (action, settled) = run(&mut chat(), vec![event]);
        assert_eq!((action, settled.len()), (Action::Answer(refusal), 0));
    }
}

#[test]
fn what_was_not_dispatched_is_told_from_what_was() {
    for (event, refusal, source) in [
        (Event::Unreachable { held: false }, Refusal::UpstreamUnreachable, Source::NotDispatched),
        (Event::NotTheProvider, Refusal::UpstreamTls, Source::NotDispatched),
        (Event::Lost, Refusal::UpstreamLost, Source::Aborted),
        (Event::BadHead, Refusal::UpstreamHead, Source::Aborted),
        (Event::Timeout, Refusal::UpstreamTimeout, Source::Aborted),
        (Event::ClientGone, Refusal::UpstreamLost, Source::Aborted),
        (Event::Granted(2), Refusal::UpstreamLost, Source::Aborted),
    ] {
        let (action, settled) = run(&mut chat(), vec![Event::Granted(1), event]);
        assert_eq!(action, Action::Answer(refusal));
        let found = (settled[0].grant, settled[0].source, settled[0].status_class);
        assert_eq!((settled.len(), found), (1, (1, source, 0)));
    }
}

#[test]
fn what_is_known_of_usage() {
    let way = |rest: Vec<Event<'static>>| {
        let mut events = vec![Event::Granted(1)];
        events.extend(rest);
        events
    };
    let (whole, cut) = (Event::Chunk(ANSWER), Event::Chunk(&ANSWER[..60]));
    assert_eq!(sources(&mut chat(), way(vec![head(200), whole, Event::Lost])), [Source::Partial]);
    let gone = way(vec![head(200), cut, Event::ClientGone]);
    assert_eq!(sources(&mut chat(), gone), [Source::Partial]);
    assert_eq!(sources(&mut chat(), way(vec![head(200), Event::Lost])), [Source::Aborted]);
    let silent = way(vec![head(200), Event::Chunk(b"{}"), Event::End]);
    assert_eq!(sources(&mut chat(), silent), [Source::Missing]);
    let error = way(vec![head(429), Event::Chunk(ANSWER), Event::End]);
    let (_, settled) = run(&mut chat(), error);
    assert_eq!((settled[0].source, settled[0].status_class), (Source::Unmetered, 4));
    assert_eq!(settled[0].counts[Slot::Input as usize], None, "only 2xx is metered");
    let list = way(vec![head(200), Event::Chunk(ANSWER), Event::End]);
    assert_eq!(sources(&mut exchange("/v1/models", false), list), [Source::Unmetered]);
}

#[test]
fn a_client_may_hide_the_label() {
    let events = vec![Event::Granted(1), head(200), Event::Chunk(ANSWER), Event::End];
    let (_, settled) = run(&mut exchange("/v1/chat/completions", true), events);
    assert_eq!(settled[0].label.as_str(), "");
    assert_eq!(settled[0].counts[Slot::Input as usize], Some(3));
}

#[test]
fn a_broken_answer_never_ends_cleanly() {
    for event in [
        Event::Lost,
        Event::Timeout,
        Event::ClientGone,
        Event::Unreachable { held: false },
        head(200),
    ] {
        let mut exchange = chat();
        let start = vec![Event::Granted(1), head(200), Event::Chunk(b"{")];
        run(&mut exchange, start);
        assert_eq!(exchange.step(99, event).action, Action::Break);
        assert_eq!(exchange.step(99, Event::End).action, Action::Break, "after the break");
    }
}

fn any_event() -> impl Strategy<Value = Event<'static>> {
    let deny = Deny { request: 1, attempt: 1, code: DenyCode::Key, retry_after_s: 0 };
    prop_oneof![
        Just(()).prop_map(|()| Event::Granted(1)),
        Just(()).prop_map(move |()| Event::Denied(deny.clone())),
        Just(()).prop_map(|()| Event::HostLost),
        any::<bool>().prop_map(|held| Event::Unreachable { held }),
        Just(()).prop_map(|()| Event::ClientGone),
        (100u16..600, any::<bool>()).prop_map(|(status, held)| head_of(status, held)),
        Just(()).prop_map(|()| Event::Chunk(ANSWER)),
        Just(()).prop_map(|()| Event::End),
        Just(()).prop_map(|()| Event::Lost),
    ]
}

proptest! {
    /// I8 on arbitrary orders of events: one send and one settling for each grant, at most four
    /// attempts, a further one only after a failure that allows it and before anything was told to
    /// the client, no way back from the end.
    #[test]
    fn one_send_and_one_settling_for_a_grant(
        events in proptest::collection::vec(any_event(), 0..40),
    ) {
        let mut exchange = chat();
        let (mut sends, mut settled, mut told, mut attempts) = (0, 0, false, 1);
        for event in events {
            let grants = matches!(event, Event::Granted(_));
            let transient = matches!(
                event,
                Event::Unreachable { held: true }
                    | Event::Head { status: 429 | 500 | 502 | 503 | 529, held: true, .. }
            );
            let step = exchange.step(1, event);
            settled += usize::from(step.settle.is_some());
            match step.action {
                Action::Send => {
                    prop_assert!(grants && settled == sends && !told);
                    sends += 1;
                }
                Action::Retry => {
                    prop_assert!(transient && settled == sends && !told);
                    attempts += 1;
                }
                Action::RelayHead | Action::RelayChunk => {
                    told = true;
                    prop_assert!(sends > 0);
                }
                Action::Answer(_) | Action::Finish | Action::Break => told = true,
            }
            prop_assert!(settled <= sends && sends <= settled + 1 && attempts <= 4);
            prop_assert_eq!(exchange.attempt(), attempts);
            let seen = observable(&step, ProviderIndex(2));
            let expected = match step.action {
                Action::Send => Some(Observation::Egress(ProviderIndex(2))),
                Action::Retry => Some(Observation::Attempt),
                _ => None,
            };
            prop_assert_eq!(&seen[0], &expected);
            prop_assert_eq!(seen[1].is_some(), step.settle.is_some());
        }
        settled += usize::from(exchange.step(1, Event::ClientGone).settle.is_some());
        prop_assert_eq!(settled, sends, "dropping settles what is open");
    }
}
