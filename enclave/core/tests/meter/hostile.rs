//! Bodies made to hurt: nothing panics, nothing counts that should not, what ends metering says so.

use super::{Api, Slot, counts, every_cut, label};

const USAGE: &str = r#""usage":{"prompt_tokens":5}"#;

#[test]
fn nesting_is_followed_to_its_bound_and_not_beyond() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        let body = format!("{{\"x\":{open}{close},{USAGE}}}");
        Api::Chat.json([body.as_bytes()])
    };
    let deepest = nested(127);
    assert_eq!((deepest.counts, deepest.broken), (counts(&[(Slot::Input, 5)]), false));
    let deeper = nested(128);
    assert_eq!((deeper.counts, deeper.broken), (counts(&[]), true));
}

#[test]
fn a_depth_bomb_ends_metering_and_keeps_what_was_seen() {
    for open in ["[", "{\"\":", "[{\"usage\":", "{"] {
        let body = format!("{{{USAGE},\"x\":{}", open.repeat(1_000_000));
        let metered = Api::Chat.json(body.as_bytes().chunks(16 * 1024));
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]));
        assert!(metered.broken);
        let bomb = format!("data: {}\n\ndata: {{{USAGE}}}\n\n", open.repeat(1000));
        let metered = Api::Chat.events([bomb.as_bytes()]);
        assert_eq!((metered.counts, metered.broken), (counts(&[]), true));
    }
}

#[test]
fn more_closed_than_opened_harms_nothing() {
    let body = format!("{}{{{USAGE}}}", "]}".repeat(1000));
    let metered = Api::Chat.json([body.as_bytes()]);
    assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]));
}

#[test]
fn huge_keys_numbers_and_strings_are_passed_over() {
    let mega = 4 << 20;
    let key = "usage".repeat(mega / 5);
    let digits = "9".repeat(mega);
    for before in [
        format!("\"{key}\":{{\"prompt_tokens\":6}}"),
        format!("\"usage\":{{\"{key}\":6,\"prompt_tokens\":{digits}}}"),
        format!("\"x\":\"{}\"", "\\\"".repeat(mega)),
        format!("\"x\":{digits}.{digits}e{digits}"),
        format!("\"x\":[{}0]", "0,".repeat(mega)),
        format!("\"model\":\"{key}\""),
    ] {
        let body = format!("{{{before},{USAGE}}}");
        let metered = Api::Chat.json(body.as_bytes().chunks(10_007));
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{before:.20}");
        assert!(!metered.broken);
    }
}

#[test]
fn bytes_that_are_no_utf8_are_just_bytes() {
    let mut body =
        b"{\"x\":\"\xff\xfe\x80\0\x01\",\"\xc3\":\"\xed\xa0\x80\",\"model\":\"\xff\",".to_vec();
    body.extend_from_slice(USAGE.as_bytes());
    body.push(b'}');
    let metered = every_cut(Api::Chat.rules(), "application/json", "", &body);
    assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]));
    assert_eq!(label(&metered), Some("other"));
}

#[test]
fn text_that_looks_like_usage_inside_a_string_does_not_count() {
    for text in [
        r#"\"},\"usage\":{\"prompt_tokens\":9}}"#,
        r#"\\\"},\"usage\":{\"prompt_tokens\":9},\"x\":\""#,
        r#"\n\ndata: {\"usage\":{\"prompt_tokens\":9}}\n\n"#,
        r#"\u0022},\u0022usage\u0022:{\u0022prompt_tokens\u0022:9}"#,
        "},'usage':{'prompt_tokens':9}",
    ] {
        let body = format!("{{\"x\":\"{text}\",{USAGE},\"y\":\"{text}\"}}");
        let rules = Api::Chat.rules();
        let metered = every_cut(rules, "application/json", "", body.as_bytes());
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{text}");
        let event = format!("data: {body}\n\n");
        let metered = every_cut(rules, "text/event-stream", "", event.as_bytes());
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{text}");
    }
}

#[test]
fn an_answer_that_ends_too_early_says_so() {
    let body = format!("{{{USAGE},\"x\":[\"y\"]}}");
    for end in 1..body.len() {
        assert!(Api::Chat.json([&body.as_bytes()[..end]]).broken, "{end}");
    }
    assert!(!Api::Chat.json([body.as_bytes()]).broken);
    assert!(!Api::Chat.json([]).broken);
    let event = format!("data: {body}\n\n: a comment that stays open");
    assert!(!Api::Chat.events([event.as_bytes()]).broken);
}
