//! Framing of event streams (WHATWG HTML, 9.2.6), as far as data lines go.

use super::{Api, Slot, counts, every_cut};

fn chat(body: &str) -> super::Metered {
    every_cut(Api::Chat.rules(), "text/event-stream", "", body.as_bytes())
}

#[test]
fn data_lines_of_one_event_are_one_text() {
    for end in ["\n", "\r\n", "\r"] {
        let lines =
            ["data: {\"usage\":", "data:{\"prompt_tokens\" : 5", "data", "data: }}", "", ""];
        assert_eq!(chat(&lines.join(end)).counts, counts(&[(Slot::Input, 5)]));
    }
}

#[test]
fn lines_joined_are_kept_apart_by_a_line_end() {
    let metered = chat("data: {\"usage\":{\"prompt_tokens\":1\ndata: 2}}\n\n");
    assert_ne!(metered.counts, counts(&[(Slot::Input, 12)]));
}

#[test]
fn an_empty_line_ends_an_event_and_a_line_end_of_two_bytes_is_one() {
    let halves = ["data: {\"usage\":{\"prompt_tokens\":5", "data: }}"];
    let apart = |between: &str| chat(&format!("{}{between}{}\n\n", halves[0], halves[1]));
    for one_line_end in ["\n", "\r", "\r\n"] {
        assert_eq!(apart(one_line_end).counts, counts(&[(Slot::Input, 5)]));
    }
    for two_line_ends in ["\n\n", "\r\r", "\n\r", "\r\n\n", "\r\n\r", "\r\n\r\n"] {
        assert_eq!(apart(two_line_ends).counts, counts(&[]), "{two_line_ends:?}");
    }
}

#[test]
fn other_fields_and_comments_are_no_data() {
    let usage = r#"{"usage":{"prompt_tokens":5}}"#;
    for field in
        [":", ": data:", "event:", "id:", "retry:", "Data:", "datum:", " data:", "data :", ""]
    {
        assert_eq!(chat(&format!("{field} {usage}\n\n")).counts, counts(&[]), "{field:?}");
    }
    let between =
        format!("event: x\ndata: {}\n:ping\nid: 7\ndata: {}\n\n", &usage[..10], &usage[10..]);
    assert_eq!(chat(&between).counts, counts(&[(Slot::Input, 5)]));
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_start_only() {
    let event = "data: {\"usage\":{\"prompt_tokens\":5}}\n\n";
    let read = |start: &str| chat(&format!("{start}{event}")).counts;
    assert_eq!(read("\u{feff}"), counts(&[(Slot::Input, 5)]));
    assert_eq!(read("\u{feff}\u{feff}"), counts(&[]));
    assert_eq!(read(":\n\n\u{feff}"), counts(&[]));
    let partial = [&b"\xEF\xBB"[..], event.as_bytes()];
    assert_eq!(Api::Chat.events(partial).counts, counts(&[]));
}

#[test]
fn data_that_is_no_json_yields_nothing_and_harms_nothing() {
    for data in
        ["[DONE]", "keep-alive", "{\"usage\":{\"prompt_tokens\":", "\"", "}}}]", "\\\"", "{[}"]
    {
        let body = format!("data: {data}\n\ndata: {{\"usage\":{{\"prompt_tokens\":5}}}}\n\n");
        let metered = chat(&body);
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{data:?}");
        assert!(!metered.broken);
    }
}

#[test]
fn usage_null_absent_or_given_twice() {
    let with = |usages: &[&str]| {
        let events = usages.iter().map(|usage| format!("data: {{\"usage\":{usage}}}\n\n"));
        chat(&events.collect::<String>()).counts
    };
    let (five, six) = ("{\"prompt_tokens\":5}", "{\"prompt_tokens\":6}");
    assert_eq!(with(&["null", "null"]), counts(&[]));
    assert_eq!(with(&["null", five]), counts(&[(Slot::Input, 5)]));
    assert_eq!(with(&[five, "null"]), counts(&[(Slot::Input, 5)]));
    assert_eq!(with(&[five, six]), counts(&[(Slot::Input, 6)]));
    assert_eq!(with(&[six, "{\"prompt_tokens\":0}"]), counts(&[(Slot::Input, 0)]));
    assert_eq!(
        with(&["{\"completion_tokens\":1}", five]),
        counts(&[(Slot::Output, 1), (Slot::Input, 5)])
    );
}
