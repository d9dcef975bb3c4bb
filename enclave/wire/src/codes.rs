//! The enumerations of the control leg: each value with its code and its word.

use crate::{
    Malformed,
    control::{Field, Wire},
};

/// An enumeration of one-byte codes: listed once, with no others. The first is the default.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $(#[$doc0:meta])* $first:ident = $code0:literal, $word0:literal;
        $($(#[$doc:meta])* $variant:ident = $code:literal, $word:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $(#[$doc0])* #[default] $first = $code0, $($(#[$doc])* $variant = $code),* }

        impl $name {
            /// Every value, in order of its code.
            pub const ALL: &'static [Self] = &[Self::$first, $(Self::$variant),*];

            /// The word that tables, ledgers and messages use for this value.
            pub const fn word(self) -> &'static str {
                match self { Self::$first => $word0, $(Self::$variant => $word),* }
            }

            /// The value of that word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }

        impl Field for $name {
            fn visit(&mut self, wire: &mut Wire<'_>) -> Result<(), Malformed> {
                let mut code = *self as u8;
                code.visit(wire)?;
                let known = Self::ALL.iter().find(|value| **value as u8 == code);
                *self = *known.ok_or(Malformed(stringify!($name)))?;
                Ok(())
            }
        }
    };
}

codes! {
    /// What kind of work an endpoint does; reservations go by it.
    Class {
        /// A model's answer.
        Generate = 1, "generate";
        /// Counting tokens without an answer.
        Count = 2, "count";
        /// Listings of models.
        List = 3, "list";
        /// Embeddings.
        Embed = 4, "embed";
        /// Files and uploads.
        File = 5, "file";
        /// Batches.
        Batch = 6, "batch";
        /// Images and audio.
        Media = 7, "media";
        /// Objects that the provider stores: responses, conversations.
        Stored = 8, "stored";
        /// A WebSocket.
        Realtime = 9, "realtime";
    }
}

impl Class {
    /// Whether such a request reaches what earlier ones left in the provider's account, so that all
    /// who use one account could reach each other's (DESIGN 3.6).
    pub const fn is_account_scoped(self) -> bool {
        match self {
            Self::File | Self::Batch | Self::Stored => true,
            Self::Generate | Self::Count | Self::List => false,
            Self::Embed | Self::Media | Self::Realtime => false,
        }
    }
}

codes! {
    /// Whose credential reaches the provider.
    Custody {
        /// The caller's own, end to end.
        Client = 1, "client";
        /// The operator's, handed over in the grant.
        Host = 2, "host";
        /// An account owner's, which the owner sealed to this enclave.
        Sealed = 3, "sealed";
    }
}

codes! {
    /// What is known of a request's usage.
    Source {
        /// No byte of the request left for the provider.
        NotDispatched = 0, "not_dispatched";
        /// The provider's complete figures.
        Provider = 1, "provider";
        /// Some figures were seen, then the stream broke.
        Partial = 2, "partial";
        /// A complete answer without figures.
        Missing = 3, "missing";
        /// The exchange broke before any figure.
        Aborted = 4, "aborted";
        /// An endpoint without metering, or an answer other than 2xx.
        Unmetered = 5, "unmetered";
    }
}

codes! {
    /// Why the host refuses a request.
    DenyCode {
        /// The key is not valid any more.
        Key = 1, "key";
        /// The budget is used up.
        Budget = 2, "budget";
        /// A rate limit.
        Rate = 3, "rate";
        /// No account for this provider is available.
        Account = 4, "account";
        /// This key may not use this endpoint.
        Endpoint = 5, "endpoint";
        /// This host does not serve this custody.
        Custody = 6, "custody";
        /// The host sheds load.
        Overload = 7, "overload";
    }
}

codes! {
    /// Which figure of the provider's answer a count is; the index in `Usage::counts`.
    Slot {
        /// Input or prompt tokens.
        Input = 0, "input";
        /// Output, completion or candidate tokens.
        Output = 1, "output";
        /// The provider's own total.
        Total = 2, "total";
        /// Input tokens read from a cache.
        CacheRead = 3, "cache_read";
        /// Input tokens written to a cache.
        CacheWrite = 4, "cache_write";
        /// Of these, kept for the shorter time.
        CacheWriteShort = 5, "cache_write_short";
        /// Of these, kept for the longer time.
        CacheWriteLong = 6, "cache_write_long";
        /// Reasoning, thinking or thought tokens.
        Reasoning = 7, "reasoning";
        /// Audio input tokens.
        AudioInput = 8, "audio_input";
        /// Audio output tokens.
        AudioOutput = 9, "audio_output";
        /// Input tokens of tool use.
        ToolInput = 10, "tool_input";
        /// Calls of tools that the provider runs.
        ToolCalls = 11, "tool_calls";
    }
}
