//! Every API's shapes (CLIENTS.md, "Metering") as recorded, under every cut and line end.

use super::{Api, Slot, counts, every_cut, label};

struct Recorded {
    api: Api,
    body: &'static str,
    label: &'static str,
    counts: &'static [(Slot, u32)],
}

const WHOLE: [Recorded; 6] = [
    Recorded {
        api: Api::Chat,
        body: include_str!("../data/chat.json"),
        label: "gpt-5.5-2026-08-01",
        counts: &[
            (Slot::Input, 2006),
            (Slot::Output, 300),
            (Slot::Total, 2306),
            (Slot::CacheRead, 1920),
            (Slot::CacheWrite, 64),
            (Slot::AudioInput, 0),
            (Slot::AudioOutput, 17),
            (Slot::Reasoning, 192),
        ],
    },
    Recorded {
        api: Api::Responses,
        body: include_str!("../data/responses.json"),
        label: "gpt-5.5-codex",
        counts: &[
            (Slot::Input, 5120),
            (Slot::Output, 640),
            (Slot::Total, 5760),
            (Slot::CacheRead, 4096),
            (Slot::CacheWrite, 512),
            (Slot::Reasoning, 576),
        ],
    },
    Recorded {
        api: Api::Messages,
        body: include_str!("../data/messages.json"),
        label: "claude-opus-5-20260801",
        counts: &[
            (Slot::Input, 3),
            (Slot::Output, 503),
            (Slot::CacheRead, 18432),
            (Slot::CacheWrite, 248),
            (Slot::CacheWriteShort, 148),
            (Slot::CacheWriteLong, 100),
            (Slot::Reasoning, 400),
            (Slot::ToolCalls, 2),
        ],
    },
    Recorded {
        api: Api::Gemini,
        body: include_str!("../data/gemini.json"),
        label: "gemini-3.5-pro",
        counts: &[
            (Slot::Input, 34),
            (Slot::Output, 55),
            (Slot::Total, 244),
            (Slot::CacheRead, 13),
            (Slot::Reasoning, 134),
            (Slot::ToolInput, 21),
        ],
    },
    Recorded {
        api: Api::Gemini,
        body: include_str!("../data/gemini-array.json"),
        label: "gemini-3.5-flash",
        counts: &[(Slot::Input, 8), (Slot::Output, 2), (Slot::Total, 20), (Slot::Reasoning, 10)],
    },
    Recorded {
        api: Api::Embeddings,
        body: include_str!("../data/embeddings.json"),
        label: "text-embedding-4-large",
        counts: &[(Slot::Input, 16), (Slot::Total, 16)],
    },
];

const STREAMED: [Recorded; 4] = [
    Recorded {
        api: Api::Chat,
        body: include_str!("../data/chat.sse"),
        label: "gpt-5.5-2026-08-01",
        counts: &[
            (Slot::Input, 11),
            (Slot::Output, 23),
            (Slot::Total, 34),
            (Slot::CacheRead, 0),
            (Slot::AudioInput, 0),
            (Slot::AudioOutput, 0),
            (Slot::Reasoning, 8),
        ],
    },
    Recorded {
        api: Api::Responses,
        body: include_str!("../data/responses.sse"),
        label: "gpt-5.5-codex",
        counts: &[
            (Slot::Input, 81),
            (Slot::Output, 1035),
            (Slot::Total, 1116),
            (Slot::CacheRead, 0),
            (Slot::Reasoning, 832),
        ],
    },
    Recorded {
        api: Api::Messages,
        body: include_str!("../data/messages.sse"),
        label: "claude-opus-5-20260801",
        counts: &[
            (Slot::Input, 480),
            (Slot::Output, 89),
            (Slot::CacheRead, 1000),
            (Slot::CacheWrite, 0),
            (Slot::CacheWriteShort, 0),
            (Slot::CacheWriteLong, 0),
            (Slot::Reasoning, 0),
            (Slot::ToolCalls, 1),
        ],
    },
    Recorded {
        api: Api::Gemini,
        body: include_str!("../data/gemini.sse"),
        label: "gemini-3.5-flash",
        counts: &[(Slot::Input, 8), (Slot::Output, 2), (Slot::Total, 20), (Slot::Reasoning, 10)],
    },
];

fn check(recorded: &Recorded, content_type: &str, body: &str) {
    let rules = recorded.api.rules();
    let metered = every_cut(rules, content_type, "", body.as_bytes());
    assert_eq!(metered.counts, counts(recorded.counts), "{:?}", recorded.api);
    assert_eq!(label(&metered), Some(recorded.label));
    assert!(!metered.broken);
}

#[test]
fn whole_answers_of_every_api_are_read_under_every_cut() {
    for recorded in &WHOLE {
        check(recorded, "application/json; charset=UTF-8", recorded.body);
    }
}

#[test]
fn event_streams_of_every_api_are_read_under_every_cut_and_line_end() {
    for recorded in &STREAMED {
        let lf = recorded.body.replace("\r\n", "\n");
        for line_end in ["\n", "\r\n", "\r"] {
            check(recorded, "text/event-stream", &lf.replace('\n', line_end));
        }
        check(recorded, "Text/Event-Stream;charset=utf-8", &format!("\u{feff}{lf}"));
        check(recorded, " text/event-stream ; charset=utf-8", lf.trim_end());
    }
}

#[test]
fn an_event_of_several_megabytes_is_read_to_its_end() {
    let text = "\\\"usage\\\":{\\\"input_tokens\\\":1},\\n".repeat(100_000);
    let item = format!(r#"{{"type":"message","content":[{{"text":"{text}"}}]}}"#);
    let body = format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":\
         {{\"output\":[{item},{item}],\"model\":\"m\",\"usage\":{{\"input_tokens\":12,\
         \"output_tokens\":34}}}}}}\n\n"
    );
    assert!(body.len() > 5_000_000);
    for size in [1000, 16 * 1024, body.len()] {
        let metered = Api::Responses.events(body.as_bytes().chunks(size));
        assert_eq!(metered.counts, counts(&[(Slot::Input, 12), (Slot::Output, 34)]));
        assert!(!metered.broken);
    }
}

#[test]
fn a_stream_cut_anywhere_tells_no_count_that_the_whole_never_told() {
    let body = include_str!("../data/messages.sse").as_bytes();
    let told = |slot: Slot| match slot {
        Slot::Input => vec![472, 480],
        Slot::Output => vec![2, 40, 89],
        Slot::CacheRead => vec![1000],
        Slot::ToolCalls => vec![1],
        _ => vec![0],
    };
    for at in 0..body.len() {
        let metered = Api::Messages.events([&body[..at]]);
        for slot in Slot::ALL {
            let count = metered.counts[*slot as usize];
            assert!(count.is_none_or(|count| told(*slot).contains(&count)), "{at} {slot:?}");
        }
    }
    // Cut inside the last usage: the one before it is still known, and the end is seen to miss.
    let at = body.windows(18).rposition(|window| window == b"\"output_tokens\":89").unwrap();
    let cut = Api::Messages.events([&body[..at + 18]]);
    assert_eq!(cut.counts[Slot::Output as usize], Some(40));
    assert!(cut.broken);
}
