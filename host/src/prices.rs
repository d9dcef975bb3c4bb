//! What a request costs: the provider's own counts are brought to kinds that do not overlap, and
//! each kind has a price for its model from some day on.
//!
//! Conventions differ. OpenAI and Gemini count cached tokens inside the prompt, Anthropic beside
//! it; OpenAI's reasoning and Anthropic's thinking are inside the output, Gemini's thoughts come on
//! top. The table's envelope tells which of them a provider speaks.

use std::collections::BTreeMap;

use aegis_wire::{control::Slot, table::Envelope};

use crate::money::Micro;

/// What is priced. No token is counted under two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Input tokens that no cache had.
    Input,
    /// Output tokens, reasoning included unless that has a price of its own.
    Output,
    /// Input read from a cache.
    CacheRead,
    /// Input written to a cache for the usual time.
    CacheWrite,
    /// Input written to a cache for the longer time.
    CacheWriteLong,
    /// Reasoning, thinking, thoughts.
    Reasoning,
    /// Audio input.
    AudioInput,
    /// Audio output.
    AudioOutput,
    /// Input of tool use that the provider counts apart.
    ToolInput,
    /// Calls of tools that the provider runs, by the million like everything else.
    ToolCalls,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Input,
        Self::Output,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWriteLong,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioOutput,
        Self::ToolInput,
        Self::ToolCalls,
    ];

    /// The word in the store and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write",
            Self::CacheWriteLong => "cache_write_long",
            Self::Reasoning => "reasoning",
            Self::AudioInput => "audio_input",
            Self::AudioOutput => "audio_output",
            Self::ToolInput => "tool_input",
            Self::ToolCalls => "tool_calls",
        }
    }

    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The kind whose price holds when this one has none.
    fn otherwise(self) -> Option<Self> {
        match self {
            Self::Input | Self::Output | Self::ToolCalls => None,
            Self::CacheRead | Self::CacheWrite | Self::AudioInput => Some(Self::Input),
            Self::ToolInput => Some(Self::Input),
            Self::CacheWriteLong => Some(Self::CacheWrite),
            Self::Reasoning | Self::AudioOutput => Some(Self::Output),
        }
    }
}

/// Counts by kind.
pub type Kinds = BTreeMap<Kind, i64>;

/// Counts of one report, by slot.
pub type Counts = [Option<u32>; aegis_wire::control::COUNTS];

/// The provider's counts as kinds that do not overlap. A part that is larger than its whole, which
/// no provider sends, is believed as far as the whole goes.
pub fn normalise(envelope: Envelope, counts: &Counts) -> Kinds {
    let count = |slot: Slot| i64::from(counts[slot as usize].unwrap_or(0));
    let (mut input, mut output) = (count(Slot::Input), count(Slot::Output));
    let (cache_read, reasoning) = (count(Slot::CacheRead), count(Slot::Reasoning));
    let long = count(Slot::CacheWriteLong);
    // The total of writes is there with its split, without it, or not at all.
    let write = count(Slot::CacheWrite).max(count(Slot::CacheWriteShort) + long) - long;
    let part = |part: i64, whole: &mut i64| {
        let taken = part.min(*whole);
        *whole -= taken;
        taken
    };
    let mut kinds = Kinds::new();
    let (cache_read, write, long) = match envelope {
        Envelope::Anthropic => (cache_read, write, long),
        Envelope::OpenAi | Envelope::Gemini => {
            (part(cache_read, &mut input), part(write, &mut input), part(long, &mut input))
        }
    };
    kinds.insert(Kind::CacheRead, cache_read);
    kinds.insert(Kind::CacheWrite, write);
    kinds.insert(Kind::CacheWriteLong, long);
    kinds.insert(Kind::AudioInput, part(count(Slot::AudioInput), &mut input));
    kinds.insert(Kind::AudioOutput, part(count(Slot::AudioOutput), &mut output));
    let reasoning = match envelope {
        Envelope::Gemini => reasoning,
        Envelope::OpenAi | Envelope::Anthropic => part(reasoning, &mut output),
    };
    kinds.insert(Kind::Reasoning, reasoning);
    kinds.insert(Kind::Input, input);
    kinds.insert(Kind::Output, output);
    kinds.insert(Kind::ToolInput, count(Slot::ToolInput));
    kinds.insert(Kind::ToolCalls, count(Slot::ToolCalls));
    kinds.retain(|_, count| *count > 0);
    kinds
}

/// One price: micro-units for a million of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Name in the provider table, or `*`.
    pub provider: String,
    /// The model's label; `NAME*` is every label that begins so, `*` alone the fallback.
    pub model: String,
    /// Of what.
    pub kind: Kind,
    /// From when on.
    pub effective_ms: i64,
    /// How much.
    pub amount: Micro,
}

/// How an amount was come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pricing {
    /// The model's own prices.
    Listed,
    /// In part or in whole the fallback's: nobody priced this model.
    Fallback,
    /// The model was not named: each kind at the dearest price of any model.
    Dearest,
    /// For something there is no price at all: at least the reservation is charged.
    Unpriced,
}

impl Pricing {
    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Fallback => "fallback",
            Self::Dearest => "dearest",
            Self::Unpriced => "unpriced",
        }
    }
}

/// All prices.
#[derive(Debug, Clone, Default)]
pub struct Prices(pub Vec<Price>);

impl Prices {
    /// What these counts cost at that time, as far as there are prices for them. A part of a
    /// micro-unit counts as a whole one. Each kind is priced by the closest name that has a price
    /// for it or for its neighbour, so that nothing is free because a closer name says nothing of it.
    pub fn cost(&self, provider: &str, label: &str, at_ms: i64, kinds: &Kinds) -> (Micro, Pricing) {
        let in_force = InForce::new(&self.0, provider, at_ms);
        let names = in_force.names(label);
        // A label that nobody may see could be of any model.
        let mut pricing = match (names.is_empty(), label.is_empty()) {
            (true, _) => Pricing::Unpriced,
            (false, true) => Pricing::Dearest,
            (false, false) if names == ["*"] => Pricing::Fallback,
            (false, false) => Pricing::Listed,
        };
        let mut total: i128 = 0;
        for (kind, count) in kinds {
            let mut priced =
                names.iter().filter_map(|name| Some((in_force.price(name, *kind)?, *name)));
            let found = match label.is_empty() {
                true => priced.max_by_key(|(amount, _)| *amount),
                false => priced.next(),
            };
            match found {
                Some((_, "*")) => pricing = pricing.max(Pricing::Fallback),
                Some(_) => {}
                None => pricing = Pricing::Unpriced,
            }
            let amount = found.map_or(0, |(amount, _)| amount);
            total += i128::from(*count) * i128::from(amount);
        }
        let micro = i64::try_from((total + 999_999) / 1_000_000).unwrap_or(i64::MAX);
        (Micro(micro.min(crate::money::LARGEST.0)), pricing)
    }
}

/// The prices of a provider at a time.
struct InForce<'a> {
    provider: &'a str,
    prices: Vec<&'a Price>,
}

impl<'a> InForce<'a> {
    fn new(all: &'a [Price], provider: &'a str, at_ms: i64) -> Self {
        let of = |price: &&Price| price.provider == provider || price.provider == "*";
        let prices = all.iter().filter(of).filter(|price| price.effective_ms <= at_ms).collect();
        Self { provider, prices }
    }

    /// The names that fit a label, the closest first; every name for a label that is hidden.
    fn names(&self, label: &str) -> Vec<&'a str> {
        let fits = self.prices.iter().filter(|price| label.is_empty() || price.fits(label));
        let mut names: Vec<_> = fits.map(|price| price.model.as_str()).collect();
        names.sort_unstable_by_key(|name| (std::cmp::Reverse(rank(name)), *name));
        names.dedup();
        names
    }

    /// What a name says of a kind, or else of the kinds whose price holds then.
    fn price(&self, model: &str, kind: Kind) -> Option<i64> {
        let of = self.prices.iter().filter(|price| price.model == model && price.kind == kind);
        let best = of.max_by_key(|price| (price.provider == self.provider, price.effective_ms));
        match best {
            Some(price) => Some(price.amount.0),
            None => self.price(model, kind.otherwise()?),
        }
    }
}

/// A longer name is closer; of one length an exact one is.
fn rank(model: &str) -> (usize, bool) {
    (model.trim_end_matches('*').len(), !model.ends_with('*'))
}

impl Price {
    fn fits(&self, label: &str) -> bool {
        match self.model.strip_suffix('*') {
            Some(beginning) => label.starts_with(beginning),
            None => self.model == label,
        }
    }
}

#[cfg(test)]
mod tests;
