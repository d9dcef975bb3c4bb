//! Each provider's convention with figures as it reports them, and which price holds.

use super::{Counts, Envelope, Kind, Kinds, Micro, Price, Prices, Pricing, Slot, normalise};

fn kinds(envelope: Envelope, given: &[(Slot, u32)]) -> Vec<(Kind, i64)> {
    let mut counts: Counts = Default::default();
    for (slot, count) in given {
        counts[*slot as usize] = Some(*count);
    }
    normalise(envelope, &counts).into_iter().collect()
}

#[test]
fn openai_counts_cached_and_reasoning_inside() {
    let given = [
        (Slot::Input, 1000),
        (Slot::CacheRead, 600),
        (Slot::AudioInput, 100),
        (Slot::Output, 500),
        (Slot::Reasoning, 300),
        (Slot::AudioOutput, 50),
        (Slot::Total, 1500),
    ];
    let expected = [
        (Kind::Input, 300),
        (Kind::Output, 150),
        (Kind::CacheRead, 600),
        (Kind::Reasoning, 300),
        (Kind::AudioInput, 100),
        (Kind::AudioOutput, 50),
    ];
    assert_eq!(kinds(Envelope::OpenAi, &given), expected);
}

#[test]
fn anthropic_counts_caches_beside_the_input() {
    let given = [
        (Slot::Input, 10),
        (Slot::Output, 100),
        (Slot::CacheRead, 9000),
        (Slot::CacheWrite, 500),
        (Slot::CacheWriteShort, 300),
        (Slot::CacheWriteLong, 200),
        (Slot::Reasoning, 40),
        (Slot::ToolCalls, 2),
    ];
    let expected = [
        (Kind::Input, 10),
        (Kind::Output, 60),
        (Kind::CacheRead, 9000),
        (Kind::CacheWrite, 300),
        (Kind::CacheWriteLong, 200),
        (Kind::Reasoning, 40),
        (Kind::ToolCalls, 2),
    ];
    assert_eq!(kinds(Envelope::Anthropic, &given), expected);
    let total = [(Slot::CacheWrite, 500)];
    assert_eq!(kinds(Envelope::Anthropic, &total), [(Kind::CacheWrite, 500)]);
}

#[test]
fn gemini_counts_thoughts_on_top_and_caches_inside() {
    let given = [
        (Slot::Input, 1000),
        (Slot::CacheRead, 400),
        (Slot::Output, 80),
        (Slot::Reasoning, 300),
        (Slot::ToolInput, 7),
    ];
    let expected = [
        (Kind::Input, 600),
        (Kind::Output, 80),
        (Kind::CacheRead, 400),
        (Kind::Reasoning, 300),
        (Kind::ToolInput, 7),
    ];
    assert_eq!(kinds(Envelope::Gemini, &given), expected);
}

#[test]
fn a_part_beyond_its_whole_never_makes_a_count_negative() {
    let given = [(Slot::Input, 5), (Slot::CacheRead, 9), (Slot::Output, 1), (Slot::Reasoning, 9)];
    let expected = [(Kind::CacheRead, 5), (Kind::Reasoning, 1)];
    assert_eq!(kinds(Envelope::OpenAi, &given), expected);
}

fn price(provider: &str, model: &str, kind: Kind, effective_ms: i64, amount: i64) -> Price {
    let (provider, model) = (provider.into(), model.into());
    Price { provider, model, kind, effective_ms, amount: Micro(amount) }
}

fn cost(list: &[Price], model: &str, at_ms: i64, kinds: &[(Kind, i64)]) -> (i64, Pricing) {
    let kinds: Kinds = kinds.iter().copied().collect();
    let (Micro(cost), pricing) = Prices(list.to_vec()).cost("openai", model, at_ms, &kinds);
    (cost, pricing)
}

#[test]
fn the_closest_name_and_the_latest_date_hold() {
    let list = [
        price("*", "*", Kind::Input, 0, 9_000_000),
        price("openai", "gpt-5*", Kind::Input, 0, 2_000_000),
        price("openai", "gpt-5*", Kind::Input, 100, 1_000_000),
        price("openai", "gpt-5-mini", Kind::Input, 0, 500_000),
        price("anthropic", "gpt-5-mini", Kind::Input, 50, 7),
    ];
    let at = |model, at_ms| cost(&list, model, at_ms, &[(Kind::Input, 1000)]);
    assert_eq!(at("gpt-5-2026-01-01", 99), (2000, Pricing::Listed));
    assert_eq!(at("gpt-5-2026-01-01", 100), (1000, Pricing::Listed));
    assert_eq!(at("gpt-5-mini", 100), (500, Pricing::Listed));
    assert_eq!(at("nobody-knows", 100), (9000, Pricing::Fallback));
    assert_eq!(cost(&list[1..], "nobody-knows", 100, &[]), (0, Pricing::Unpriced));
}

#[test]
fn kinds_without_a_price_take_their_neighbours_and_parts_count_whole() {
    let list = [
        price("*", "m", Kind::Input, 0, 3_000_000),
        price("*", "m", Kind::Output, 0, 15_000_000),
        price("*", "m", Kind::CacheRead, 0, 300_000),
    ];
    let of = |kinds: &[(Kind, i64)]| cost(&list, "m", 0, kinds);
    let listed = |cost| (cost, Pricing::Listed);
    assert_eq!(of(&[(Kind::CacheWriteLong, 10), (Kind::Reasoning, 10)]), listed(180));
    assert_eq!(of(&[(Kind::CacheRead, 1)]), listed(1), "0.3 micro-units are charged as one");
    assert_eq!(of(&[(Kind::Output, i64::from(u32::MAX))]), listed(64_424_509_425));
    assert_eq!(of(&[]), listed(0));
}

#[test]
fn a_kind_that_the_closest_name_does_not_price_is_not_free() {
    let list = [
        price("openai", "gpt-5-mini", Kind::Input, 0, 1_000_000),
        price("*", "gpt-5*", Kind::Output, 0, 20_000_000),
        price("*", "*", Kind::Output, 0, 70_000_000),
        price("*", "*", Kind::ToolCalls, 0, 5_000_000),
    ];
    let of = |model, kinds: &[(Kind, i64)]| cost(&list, model, 0, kinds);
    let both = [(Kind::Input, 10), (Kind::Output, 10)];
    assert_eq!(of("gpt-5-mini", &both), (210, Pricing::Listed), "the next longest name");
    assert_eq!(of("gpt-5-mini", &[(Kind::CacheRead, 3)]), (3, Pricing::Listed));
    assert_eq!(of("gpt-5-mini", &[(Kind::ToolCalls, 3)]), (15, Pricing::Fallback));
    assert_eq!(of("gpt-5-large", &both), (200, Pricing::Unpriced), "nobody prices its input");
    assert_eq!(cost(&list[..1], "gpt-5-mini", 0, &both), (10, Pricing::Unpriced));
}

#[test]
fn a_hidden_model_costs_as_much_as_the_dearest() {
    let list = [
        price("*", "*", Kind::Input, 0, 1_000_000),
        price("openai", "dear", Kind::Input, 0, 30_000_000),
        price("openai", "dear", Kind::Output, 0, 90_000_000),
        price("openai", "cheap*", Kind::Output, 0, 2_000_000),
        price("openai", "cheap*", Kind::Reasoning, 0, 2_000_000),
        price("openai", "later", Kind::Input, 100, 99_000_000),
        price("gemini", "other", Kind::Input, 0, 99_000_000),
    ];
    let of = |kinds: &[(Kind, i64)]| cost(&list, "", 50, kinds);
    assert_eq!(of(&[(Kind::Input, 1)]), (30, Pricing::Dearest));
    // The dear model has no price for reasoning, which is output there.
    assert_eq!(of(&[(Kind::Output, 1), (Kind::Reasoning, 1)]), (180, Pricing::Dearest));
    assert_eq!(of(&[(Kind::ToolCalls, 1)]), (0, Pricing::Unpriced));
    assert_eq!(cost(&list[1..4], "", 50, &[(Kind::CacheRead, 2)]), (60, Pricing::Dearest));
    assert_eq!(cost(&[], "", 50, &[]), (0, Pricing::Unpriced));
}
