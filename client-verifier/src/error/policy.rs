//! Refusals of the steps from `age` on: a genuine document that is not the one asked for.

use alloc::vec::Vec;
use core::time::Duration;

use super::macros::refusals;
use crate::hex::Short;
use crate::pcr::PcrIndex;
use crate::time::UnixTime;

refusals! {
    /// Why the step `age` refused.
    AgeError {
        /// Older than the policy allows.
        TooOld {
            /// How old.
            age: Duration,
            /// The policy's limit.
            max_age: Duration,
        } = "too_old",
            "the document is {age:?} old, at most {max_age:?} is allowed; ask for a new one";
        /// From further in the future than two clocks may differ.
        FromTheFuture {
            /// When it says it was made.
            timestamp: UnixTime,
            /// The time of verification.
            now: UnixTime,
        } = "from_the_future",
            "the document is from {timestamp}, now is {now}; check this machine's clock";
    }
}

refusals! {
    /// Why the step `debug` refused.
    DebugError {
        /// PCR0 is all zero: the enclave runs in debug mode, its parent can read its console.
        DebugEnclave = "debug_enclave",
            "PCR0 is all zero, the enclave runs in debug mode; start it without --debug-mode";
        /// PCR0 is not listed, so nothing tells a debug enclave from another.
        Pcr0Missing = "pcr0_missing", "the document does not list PCR0";
    }
}

refusals! {
    /// Why the step `pcrs` refused.
    PcrError {
        /// The policy accepts no measurement at all.
        NothingAccepted = "nothing_accepted",
            "the policy holds no accepted measurements; give it the release's";
        /// A register every accepted set expects is not in the document. (Of several sets, the
        /// first one is reported.)
        Missing {
            /// Which.
            index: PcrIndex,
        } = "missing", "the document does not list {index}, which the policy expects";
        /// The registers equal no accepted set.
        NotAccepted {
            /// The first register that differs from the first set.
            index: PcrIndex,
            /// How many sets were compared.
            sets: usize,
        } = "not_accepted",
            "the measurements equal none of {sets} accepted ({index} differs from the first); \
             the enclave runs another image than those you accept";
    }
}

refusals! {
    /// Why one of the steps `nonce`, `public_key` and `user_data` refused.
    FieldError {
        /// The document does not have the field.
        Absent = "absent", "the document does not have the field";
        /// The field is not the one expected.
        Different {
            /// What was expected.
            expected: FieldBytes,
            /// What the document says.
            found: FieldBytes,
        } = "different", "expected {expected}, found {found}";
    }
}

/// Bytes in a refusal, shown in hexadecimal and cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldBytes(pub(crate) Vec<u8>);

impl FieldBytes {
    /// The bytes, whole.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Display for FieldBytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        Short(&self.0).fmt(f)
    }
}
