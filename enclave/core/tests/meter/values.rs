//! What is a count, what is a label, and at which depth.

use super::{Api, Slot, counts, every_cut, label};

fn chat(body: &str) -> super::Metered {
    every_cut(Api::Chat.rules(), "application/json", "", body.as_bytes())
}

#[test]
fn only_plain_integers_of_32_bits_are_counts() {
    let count = |value: &str| {
        let metered = chat(&format!("{{\"usage\":{{\"prompt_tokens\":{value}}}}}"));
        metered.counts[Slot::Input as usize]
    };
    for (value, expected) in [("0", 0), ("7", 7), (" 7\n", 7), ("4294967295", u32::MAX)] {
        assert_eq!(count(value), Some(expected));
    }
    let others = [
        "4294967296",
        "99999999999999999999999999",
        "1.0",
        "1e3",
        "1E0",
        "-1",
        "-0",
        "+1",
        "007",
        "0x1",
        "\"5\"",
        "null",
        "true",
        "[5]",
        "{\"x\":5}",
        "{}",
        "[]",
        "5x",
        "",
        "Infinity",
        "\u{665}",
    ];
    for value in others {
        assert_eq!(count(value), None, "{value}");
    }
}

#[test]
fn whitespace_is_free_between_tokens() {
    let body =
        "\u{20}\t\r\n{ \"usage\"\n:\t{\r\"prompt_tokens\" : \n 5 \r\n\t } , \"model\" : \"m\" } \n";
    let metered = chat(body);
    assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]));
    assert_eq!(label(&metered), Some("m"));
    let indent = " ".repeat(300);
    let wide = format!("{{{indent}\"usage\"{indent}:{{\"prompt_tokens\":{indent}5{indent}}}}}");
    assert_eq!(chat(&wide).counts, counts(&[(Slot::Input, 5)]));
}

#[test]
fn of_duplicate_keys_the_last_count_wins() {
    let last =
        chat(r#"{"usage":{"prompt_tokens":5,"prompt_tokens":6},"usage":{"prompt_tokens":7}}"#);
    assert_eq!(last.counts, counts(&[(Slot::Input, 7)]));
    let no_count =
        chat(r#"{"usage":{"prompt_tokens":5,"prompt_tokens":null,"prompt_tokens":"6"}}"#);
    assert_eq!(no_count.counts, counts(&[(Slot::Input, 5)]));
    assert_eq!(label(&chat(r#"{"model":"a","model":7,"model":"b","model":null}"#)), Some("b"));
}

#[test]
fn usage_at_another_depth_does_not_count() {
    for body in [
        r#"{"x":{"usage":{"prompt_tokens":5}}}"#,
        r#"[{"usage":{"prompt_tokens":5}}]"#,
        r#"{"usage":[{"prompt_tokens":5}]}"#,
        r#"{"usage":{"x":{"prompt_tokens":5}}}"#,
        r#"{"usage":{"prompt_tokens_details":{"prompt_tokens":5}}}"#,
        r#"{"prompt_tokens":5}"#,
        r#"{"usage":{},"prompt_tokens":5}"#,
        r#"{"usage":{"x":1},"y":{"prompt_tokens":5}}"#,
        r#"{"usage":7,"x":{"prompt_tokens":5}}"#,
        r#"{"usage":"prompt_tokens","x":{"prompt_tokens":5}}"#,
        r#"{"usage":{"prompt_tokens":[5]}}"#,
        r#"{"usage":{"prompt_tokens":{"prompt_tokens":5}}}"#,
        r#"{"usage.prompt_tokens":5}"#,
        r#"{"x":[1,{"usage":{"prompt_tokens":5}}],"model":{"model":"m"}}"#,
        r#"{"usage":{"prompt_tokens ":5," prompt_tokens":5,"Prompt_Tokens":5,"":5}}"#,
    ] {
        let metered = chat(body);
        assert_eq!((metered.counts, metered.label), (counts(&[]), None), "{body}");
    }
}

#[test]
fn usage_counts_after_whatever_stands_before_it() {
    for before in [
        r#""x":{"usage":{"prompt_tokens":1}}"#,
        r#""usage":null"#,
        r#""usage":[[],{},[{}]]"#,
        r#""":[1,[2,[3,{"":[]}]],"a\\"]"#,
        r#""x":"}]\"","y":"\\","z":"\\\\\"{""#,
        r#""x":"\ud83d\ude00 \u0022usage\u0022:{""#,
    ] {
        let metered = chat(&format!(r#"{{{before},"usage":{{"prompt_tokens":5}}}}"#));
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{before}");
        assert!(!metered.broken);
    }
}

#[test]
fn any_element_of_an_array_counts_at_its_depth() {
    let usage = r#"{"usageMetadata":{"promptTokenCount":5}}"#;
    let read = |body: &str| Api::Gemini.json([body.as_bytes()]).counts;
    assert_eq!(read(&format!("[1,[],{{}},{usage}]")), counts(&[(Slot::Input, 5)]));
    assert_eq!(read(&format!("[[{usage}]]")), counts(&[]));
}

#[test]
fn a_key_with_an_escape_is_no_key_of_the_rules() {
    let escaped = chat(r#"{"us\u0061ge":{"prompt_tokens":5},"usage":{"prompt\u005ftokens":5}}"#);
    assert_eq!(escaped.counts, counts(&[]));
    let plain = chat(r#"{"usage":{"prompt_tokens":5},"us\u0061ge":{"prompt_tokens":6}}"#);
    assert_eq!(plain.counts, counts(&[(Slot::Input, 5)]));
}

#[test]
fn labels_are_short_names_or_other() {
    let model = |value: &str| {
        let metered = chat(&format!("{{\"model\":{value}}}"));
        metered.label.map(|label| label.as_str().to_owned())
    };
    let longest = "m".repeat(64);
    for plain in ["gpt-5.5", "meta-llama/llama-5:free", "x@y_z", longest.as_str()] {
        assert_eq!(model(&format!("\"{plain}\"")).as_deref(), Some(plain));
    }
    let (longer, huge) = ("m".repeat(65), "m".repeat(1000));
    for odd in [longer.as_str(), &huge, "a b", "a\\/b", "\\u0061", "caf\u{e9}", "\\\\", "\\"] {
        let expected = (odd != "\\").then_some("other");
        assert_eq!(model(&format!("\"{odd}\"")).as_deref(), expected, "{odd:.9}");
    }
    for no_string in ["5", "null", "{\"x\":\"y\"}", "[\"x\"]"] {
        assert_eq!(model(no_string), None);
    }
}
