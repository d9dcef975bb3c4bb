//! The books of a boot: what a host's frames may do to them.
#![allow(clippy::unwrap_used)]

use std::sync::OnceLock;

use aegis_core::{Control, Plan, control::Received, exchange::not_dispatched, plan::Request};
use aegis_wire::{
    control::{Custody, Deny, DenyCode, Grant, Secret, ToEnclave},
    table::Table,
};

fn plan() -> Plan<'static> {
    static READ: OnceLock<&Table> = OnceLock::new();
    let table =
        READ.get_or_init(|| aegis_table::parse(include_str!("../../providers.table")).unwrap());
    let request = Request {
        method: "GET",
        authority: Some("api.openai.com"),
        path_and_query: "/v1/models",
        fields: &[("aegis-custody", b"host")],
    };
    Plan::new(table, &request).unwrap()
}

fn asked() -> (Control, u64) {
    let mut books = Control::default();
    let request = books.number();
    let question = books.authorize(&plan(), 7, (request, 1)).unwrap();
    assert_eq!((question.session, question.request, question.attempt), (7, request, 1));
    (books, request)
}

fn grant(request: u64, grant: u64) -> Grant {
    let credential = Secret(b"sk-made-up".to_vec());
    Grant { request, attempt: 1, grant, account: 1, custody: Custody::Host, credential }
}

fn deny(request: u64) -> ToEnclave {
    let (code, retry_after_s) = (DenyCode::Rate, 3);
    ToEnclave::Deny(Deny { request, attempt: 1, code, retry_after_s })
}

#[test]
fn a_grant_answers_its_request_once() {
    let (mut books, request) = asked();
    let answer = books.receive(ToEnclave::Grant(grant(request, 5))).unwrap();
    assert_eq!(answer, Received::Answer((request, 1), Ok(grant(request, 5))));
    assert!(books.receive(ToEnclave::Grant(grant(request, 6))).is_err(), "answered twice");
    assert!(books.receive(deny(request)).is_err(), "granted, then denied");
}

#[test]
fn answers_to_nothing_end_the_channel() {
    let (mut books, request) = asked();
    assert!(books.receive(ToEnclave::Grant(grant(request + 1, 5))).is_err(), "another request");
    let (mut books, request) = asked();
    let late = Grant { attempt: 2, ..grant(request, 5) };
    assert!(books.receive(ToEnclave::Grant(late)).is_err(), "another attempt");
    let (mut books, request) = asked();
    let other =
        Grant { custody: Custody::Client, credential: Secret::default(), ..grant(request, 5) };
    assert!(books.receive(ToEnclave::Grant(other)).is_err(), "another custody");
    let (mut books, _) = asked();
    assert!(books.receive(ToEnclave::Ack(5)).is_err(), "an ack of nothing");
}

/// The channel ends over a bad answer, and with it the request that the answer named.
#[test]
fn a_bad_answer_leaves_its_question_open_to_be_failed() {
    let client = |request| Grant {
        custody: Custody::Client,
        credential: Secret::default(),
        ..grant(request, 5)
    };
    for bad in [client, |request| Grant { attempt: 2, ..grant(request, 5) }] {
        let (mut books, request) = asked();
        assert!(books.receive(ToEnclave::Grant(bad(request))).is_err());
        assert_eq!(books.lost(), [(request, 1)]);
    }
    let (mut books, first) = asked();
    books.receive(ToEnclave::Grant(grant(first, 5))).unwrap();
    let second = books.number();
    books.authorize(&plan(), 7, (second, 1)).unwrap();
    assert!(books.receive(ToEnclave::Grant(grant(second, 5))).is_err());
    assert_eq!(books.lost(), [(second, 1)]);
}

#[test]
fn a_grant_number_in_use_ends_the_channel() {
    let (mut books, first) = asked();
    books.receive(ToEnclave::Grant(grant(first, 5))).unwrap();
    let second = books.number();
    books.authorize(&plan(), 7, (second, 1)).unwrap();
    assert!(books.receive(ToEnclave::Grant(grant(second, 5))).is_err(), "while unsettled");
    books.settle(&not_dispatched(5));
    let third = books.number();
    books.authorize(&plan(), 7, (third, 1)).unwrap();
    assert!(books.receive(ToEnclave::Grant(grant(third, 5))).is_err(), "while unacknowledged");
}

#[test]
fn a_late_grant_is_settled_as_not_dispatched() {
    let (mut books, request) = asked();
    books.give_up((request, 1));
    let answer = books.receive(ToEnclave::Grant(grant(request, 5))).unwrap();
    assert_eq!(answer, Received::Settle(not_dispatched(5)));
    let (mut books, request) = asked();
    books.give_up((request, 1));
    assert_eq!(books.receive(deny(request)).unwrap(), Received::Nothing);
}

#[test]
fn usage_is_owed_until_acknowledged() {
    let (mut books, request) = asked();
    books.receive(ToEnclave::Grant(grant(request, 5))).unwrap();
    assert_eq!(books.unacknowledged().count(), 0);
    books.settle(&not_dispatched(5));
    books.settle(&not_dispatched(5));
    books.settle(&not_dispatched(99));
    assert!(books.lost().is_empty());
    let owed: Vec<_> = books.unacknowledged().map(|usage| usage.grant).collect();
    assert_eq!(owed, [5], "once, and only what was granted");
    assert_eq!(books.receive(ToEnclave::Ack(5)).unwrap(), Received::Nothing);
    assert_eq!(books.unacknowledged().count(), 0);
    assert!(books.receive(ToEnclave::Ack(5)).is_err(), "acknowledged twice");
}

#[test]
fn a_lost_channel_answers_whoever_waits() {
    let (mut books, request) = asked();
    assert_eq!(books.lost(), [(request, 1)]);
    assert!(books.lost().is_empty());
    assert!(books.receive(ToEnclave::Grant(grant(request, 5))).is_err(), "from an old channel");
}

#[test]
fn what_is_open_is_bounded() {
    let mut books = Control::default();
    let plan = plan();
    let open = |books: &mut Control| {
        let request = books.number();
        books.authorize(&plan, 7, (request, 1))
    };
    let granted = (0..65_536).filter(|_| open(&mut books).is_some()).count();
    assert_eq!(granted, 65_536);
    assert!(open(&mut books).is_none());
}
