//! Content encodings: each reads as the plain body does, and none can be made to eat memory or time.

use std::io::Write;

use super::{Api, Metered, Slot, counts, every_cut, read};

const ENCODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];
/// As `decode` has it.
const FREE_BYTES: usize = 1024 * 1024;

/// Encodes the parts with a flush after each, as servers do with event streams.
pub(super) fn encode<'a>(encoding: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    fn fill<'a>(mut to: impl Write, parts: impl IntoIterator<Item = &'a [u8]>) {
        for part in parts {
            to.write_all(part).unwrap();
            to.flush().unwrap();
        }
    }
    let mut out = Vec::new();
    let level = flate2::Compression::default();
    match encoding {
        "gzip" => fill(flate2::write::GzEncoder::new(&mut out, level), parts),
        "deflate" => fill(flate2::write::ZlibEncoder::new(&mut out, level), parts),
        "br" => fill(brotli::CompressorWriter::new(&mut out, 4096, 5, 22), parts),
        "zstd" => {
            let mut encoder = zstd::Encoder::new(&mut out, 3).unwrap();
            encoder.include_checksum(true).unwrap();
            fill(&mut encoder, parts);
            encoder.finish().unwrap();
        }
        other => panic!("{other}"),
    }
    out
}

fn chat(encoding: &str, body: &[u8]) -> Metered {
    read(Api::Chat.rules(), "application/json", encoding, body.chunks(16 * 1024))
}

fn usage_behind(filler: &[u8]) -> Vec<u8> {
    let usage = br#"","usage":{"prompt_tokens":5}}"#;
    [b"{\"x\":\"", filler, usage].concat()
}

/// Bytes that hardly compress and stand in a JSON string.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b"abcdefghijklmnopqrstuvwxyzABCDEF"[(state >> 59) as usize]
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn every_encoding_reads_as_the_plain_body_under_every_cut() {
    let body = include_bytes!("../data/messages.sse").as_slice();
    let rules = Api::Messages.rules();
    let plain = read(rules, "text/event-stream", "identity", [body]);
    assert_eq!(plain.counts[Slot::Output as usize], Some(89));
    for encoding in ENCODINGS {
        for size in [100, body.len()] {
            let encoded = encode(encoding, body.chunks(size));
            let metered = every_cut(rules, "text/event-stream", encoding, &encoded);
            assert_eq!(metered, plain, "{encoding}");
        }
    }
}

#[test]
fn a_stream_cut_short_says_so_and_a_flushed_event_is_not_lost() {
    let body = include_bytes!("../data/messages.sse").as_slice();
    let rules = Api::Messages.rules();
    for encoding in ENCODINGS {
        let encoded = encode(encoding, body.chunks(400));
        for end in 1..encoded.len() {
            let metered = read(rules, "text/event-stream", encoding, [&encoded[..end]]);
            assert!(metered.broken, "{encoding} {end}");
        }
        let most = read(rules, "text/event-stream", encoding, [&encoded[..encoded.len() - 9]]);
        // zstd's library keeps a window back.
        let expected = (encoding != "zstd").then_some(89);
        assert_eq!(most.counts[Slot::Output as usize], expected, "{encoding}");
    }
}

#[test]
fn large_bodies_of_any_kind_are_read() {
    for len in [40_000, 300_000, 3_000_000] {
        let body = usage_behind(&noise(len));
        for encoding in ENCODINGS {
            let metered = chat(encoding, &encode(encoding, [body.as_slice()]));
            assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{encoding} {len}");
            assert!(!metered.broken);
        }
    }
}

#[test]
fn an_event_stream_of_like_events_stays_within_the_ratio() {
    let event = r#"data: {"id":"chatcmpl-MadeUp2","object":"chat.completion.chunk","created":1795000000,"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":null}"#;
    let event = format!("{event}\n\n");
    let last = "data: {\"usage\":{\"prompt_tokens\":5}}\n\n";
    let events = || std::iter::repeat_n(event.as_bytes(), 20_000).chain([last.as_bytes()]);
    for encoding in ENCODINGS {
        let encoded = encode(encoding, events());
        assert!(events().map(<[u8]>::len).sum::<usize>() > 3 * FREE_BYTES);
        let metered = read(Api::Chat.rules(), "text/event-stream", encoding, [encoded.as_slice()]);
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{encoding}");
        assert!(!metered.broken);
    }
}

#[test]
fn a_bomb_ends_metering_before_it_goes_off() {
    let bomb = usage_behind(&vec![b'a'; 64 << 20]);
    for encoding in ENCODINGS {
        let encoded = encode(encoding, [bomb.as_slice()]);
        let metered = chat(encoding, &encoded);
        assert_eq!(metered.counts, counts(&[]), "{encoding}");
        assert!(metered.broken);
    }
    let small = usage_behind(&vec![b'a'; FREE_BYTES - 100]);
    for encoding in ENCODINGS {
        let metered = chat(encoding, &encode(encoding, [small.as_slice()]));
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{encoding}");
    }
}

#[test]
fn a_window_above_the_bound_ends_metering() {
    let body = usage_behind(&noise(12 << 20));
    let zstd_of = |window_log: u32| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(&body).unwrap();
        encoder.finish().unwrap()
    };
    let br_of = |window_log: u32| {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 1 << 20, 3, window_log);
        encoder.write_all(&body).unwrap();
        encoder.into_inner()
    };
    for (encoding, at_bound, above) in
        [("zstd", zstd_of(23), zstd_of(24)), ("br", br_of(23), br_of(24))]
    {
        let metered = chat(encoding, &at_bound);
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{encoding}");
        assert!(!metered.broken);
        let metered = chat(encoding, &above);
        assert_eq!((metered.counts, metered.broken), (counts(&[]), true), "{encoding}");
    }
}

#[test]
fn members_of_gzip_may_follow_each_other() {
    let body = usage_behind(&noise(100));
    let (head, tail) = body.split_at(50);
    let mut encoded = encode("gzip", [head]);
    encoded.extend(encode("gzip", [tail]));
    let metered = every_cut(Api::Chat.rules(), "application/json", "gzip", &encoded);
    assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]));
    assert!(!metered.broken);
    encoded.push(0);
    assert!(chat("gzip", &encoded).broken);
}

#[test]
fn what_is_not_of_its_encoding_ends_metering() {
    let body = usage_behind(&noise(1000));
    for encoding in ENCODINGS {
        let metered = chat(encoding, &body);
        assert_eq!((metered.counts, metered.broken), (counts(&[]), true), "{encoding}");
        let mut damaged = encode(encoding, [body.as_slice()]);
        damaged[1] ^= 0x55;
        assert!(chat(encoding, &damaged).broken, "{encoding}");
    }
    let mut named = encode("gzip", [body.as_slice()]);
    named[3] = 8;
    assert!(chat("gzip", &named).broken);
}

#[test]
fn encodings_that_are_not_known_end_metering() {
    let body = usage_behind(b"");
    for unknown in ["compress", "gzip, br", "gzip,gzip", "dcz", "x-zstd", "identity, gzip", "*"] {
        let metered = chat(unknown, &body);
        assert_eq!((metered.counts, metered.broken), (counts(&[]), true), "{unknown}");
    }
    for known in ["GZip", "X-GZIP", "Deflate", "BR", "ZStd"] {
        let plain = known.to_lowercase().replace("x-", "");
        let metered = chat(known, &encode(&plain, [body.as_slice()]));
        assert_eq!(metered.counts, counts(&[(Slot::Input, 5)]), "{known}");
    }
    for nothing in ["", "identity", "Identity"] {
        assert_eq!(chat(nothing, &body).counts, counts(&[(Slot::Input, 5)]));
    }
}

/// A second frame could hold the last figures, which alone count.
#[test]
fn text_behind_the_end_breaks_the_figures() {
    let [first, second] = [&b"{\"usage\":{\"prompt_tokens\":5}}"[..], b"{}"];
    for encoding in ["br", "zstd"] {
        let mut twice = encode(encoding, [first]);
        assert!(!chat(encoding, &twice).broken, "{encoding}");
        twice.extend(encode(encoding, [second]));
        for chunk in [1, 7, 1 << 14] {
            let rules = Api::Chat.rules();
            let metered = read(rules, "application/json", encoding, twice.chunks(chunk));
            assert!(metered.broken, "{encoding} in pieces of {chunk}");
        }
    }
}

#[test]
fn an_empty_body_is_whole_in_every_encoding() {
    for encoding in ENCODINGS {
        let rules = Api::Chat.rules();
        for chunks in [&[][..], &[&b""[..], b""]] {
            let metered = read(rules, "application/json", encoding, chunks.iter().copied());
            assert!(!metered.broken, "{encoding}");
        }
    }
    for encoding in &ENCODINGS[..3] {
        assert!(!chat(encoding, &encode(encoding, [])).broken, "{encoding}");
    }
    // The head of an empty zstd frame is shorter than what the meter waits for.
    assert!(chat("zstd", &encode("zstd", [])).broken);
}
