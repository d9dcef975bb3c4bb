//! What a grant is charged at its end.

use aegis_wire::{
    control::{Custody, Source, Usage},
    table::Envelope,
};

use super::{LOST, Outcome, is_complete};
use crate::{
    money::Micro,
    prices::{Prices, Pricing, normalise},
};

/// A grant as the ledger has it.
#[derive(Debug, Clone)]
pub(super) struct Granted {
    pub(super) grant: i64,
    pub(super) at_ms: i64,
    pub(super) boot: String,
    pub(super) request: i64,
    pub(super) tenant: String,
    pub(super) team: String,
    pub(super) key: String,
    pub(super) provider: String,
    pub(super) class: String,
    pub(super) custody: String,
    pub(super) reserved: i64,
    pub(super) outcome: Option<String>,
    pub(super) source: Option<String>,
    pub(super) charged: i64,
}

/// How it ends.
#[derive(Debug, Clone)]
pub(super) struct Closing {
    /// `settled`, `aborted` or `void`.
    pub(super) word: &'static str,
    pub(super) report: Outcome,
    pub(super) charged: Micro,
    /// How the amount was come to.
    pub(super) pricing: &'static str,
}

impl Granted {
    /// `BOOT-REQUEST`.
    pub(super) fn request_name(&self) -> String {
        format!("{}-{}", self.boot, self.request)
    }

    /// Whether it has no outcome yet, or was given up as lost and may still be told better.
    pub(super) fn takes_a_report(&self) -> bool {
        self.outcome.is_none() || self.source.as_deref() == Some(LOST)
    }

    /// Ended by the enclave's word.
    pub(super) fn reported(&self, usage: &Usage, envelope: Envelope, prices: &Prices) -> Closing {
        let report = Outcome::reported(usage);
        let (charged, pricing) = self.price(usage, envelope, prices);
        let word = if is_complete(usage.source) { "settled" } else { "aborted" };
        Closing { word, report, charged, pricing }
    }

    fn price(&self, usage: &Usage, envelope: Envelope, prices: &Prices) -> (Micro, &'static str) {
        if self.custody != Custody::Host.word() {
            return (Micro(0), "own");
        }
        let reservation = (Micro(self.reserved), "reservation");
        let cost = || {
            let kinds = normalise(envelope, &usage.counts);
            prices.cost(&self.provider, usage.label.as_str(), self.at_ms, &kinds)
        };
        match usage.source {
            Source::NotDispatched => (Micro(0), "free"),
            // An answer that is no success costs nothing at any provider; a success without
            // metering costs what nobody reports.
            Source::Unmetered if usage.status_class == 2 => reservation,
            Source::Unmetered => (Micro(0), "free"),
            Source::Missing | Source::Aborted => reservation,
            Source::Partial => match cost() {
                (seen, pricing) if seen.0 > self.reserved => (seen, pricing.word()),
                _ => reservation,
            },
            Source::Provider => match cost() {
                // What has no price costs more than is known.
                (seen, Pricing::Unpriced) => {
                    (seen.max(Micro(self.reserved)), Pricing::Unpriced.word())
                }
                (cost, pricing) => (cost, pricing.word()),
            },
        }
    }

    /// Ended without the enclave's word.
    pub(super) fn lost(&self) -> Closing {
        let charged = Micro(self.reserved);
        Closing { word: "aborted", report: Outcome::lost(), charged, pricing: "reservation" }
    }

    /// Never handed out.
    pub(super) fn void(&self) -> Closing {
        let report = Outcome { source: "void", ..Outcome::lost() };
        Closing { word: "void", report, charged: Micro(0), pricing: "free" }
    }
}
