//! Every error that the enclave makes itself (PROTOCOL.md, section 6). Its text is the table's, by
//! the code alone; no byte of a request or of the host enters it.

use alloc::{format, string::String};

use aegis_wire::control::DenyCode;
use aegis_wire::table::{Envelope, Table};

/// An error's code, HTTP status, and whether SDKs may try again by themselves.
macro_rules! refusals {
    ({$($(#[$doc:meta])* $name:ident = $row:expr;)*} denied {$($deny:ident = $deny_row:expr;)*}) => {
        /// Why a request gets an answer of the enclave's instead of the provider's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Refusal {
            $($(#[$doc])* $name,)*
            /// The host said no, and after how many seconds to try again.
            Denied(DenyCode, u32),
        }

        impl Refusal {
            /// Every one, without the wait.
            pub const ALL: &'static [Self] =
                &[$(Self::$name,)* $(Self::Denied(DenyCode::$deny, 0),)*];

            const fn row(self) -> (&'static str, u16, &'static str) {
                match self {
                    $(Self::$name => $row,)*
                    $(Self::Denied(DenyCode::$deny, _) => $deny_row,)*
                }
            }
        }
    };
}

refusals! {{
    /// The authority is not in the table.
    UnknownProvider = ("unknown_provider", 421, "false");
    /// Method and path are not in the table.
    UnknownEndpoint = ("unknown_endpoint", 404, "false");
    /// A head that two readers could read differently.
    BadRequest = ("bad_request", 400, "false");
    /// Over the limits of a head.
    HeadTooLarge = ("head_too_large", 431, "false");
    /// No custody stated.
    CustodyMissing = ("custody_missing", 400, "false");
    /// Client custody without a credential.
    CredentialMissing = ("credential_missing", 401, "false");
    /// Custody *sealed* where others who use the account could reach what was left in it.
    SealedScope = ("sealed_scope", 403, "false");
    /// A form of answer whose usage cannot be read, paid by somebody else.
    UsageHidden = ("usage_hidden", 400, "false");
    /// The record of a sealed account that is not for this enclave, not its owner's, or expired.
    AccountRefused = ("account_refused", 403, "false");
    /// No room for another sealed account.
    AccountsFull = ("accounts_full", 503, "true");
    /// No account here of an owner whom the client accepts.
    AccountMissing = ("account_missing", 503, "true");
    /// This session has no receipt of that request, or not any more.
    UnknownReceipt = ("unknown_receipt", 404, "false");
    /// No control channel.
    HostUnavailable = ("host_unavailable", 503, "true");
    /// The host did not answer in time.
    HostTimeout = ("host_timeout", 503, "true");
    /// As many connections to providers as there may be.
    Overloaded = ("overloaded", 503, "true");
    /// No connection, or none that took a byte of the request.
    UpstreamUnreachable = ("upstream_unreachable", 502, "true");
    /// The peer did not prove to be the provider.
    UpstreamTls = ("upstream_tls", 502, "false");
    /// Lost after dispatch, before a head.
    UpstreamLost = ("upstream_lost", 502, "false");
    /// The answer's head is malformed or too large.
    UpstreamHead = ("upstream_head", 502, "false");
    /// No head in time.
    UpstreamTimeout = ("upstream_timeout", 504, "false");
} denied {
    Key = ("denied_key", 401, "false");
    Budget = ("denied_budget", 429, "false");
    Rate = ("denied_rate", 429, "true");
    Account = ("denied_account", 503, "true");
    Endpoint = ("denied_endpoint", 403, "false");
    Custody = ("denied_custody", 403, "false");
    Overload = ("denied_overload", 503, "true");
}}

impl Refusal {
    /// What `aegis-error` says.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// HTTP status.
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// What `x-should-retry` says.
    pub const fn should_retry(self) -> &'static str {
        self.row().2
    }

    /// Seconds for `retry-after`, if any.
    pub const fn retry_after_s(self) -> Option<u32> {
        match self {
            Self::HostUnavailable | Self::HostTimeout | Self::Overloaded => Some(1),
            Self::Denied(_, seconds) if seconds > 0 => Some(seconds),
            _ => None,
        }
    }

    /// The body, JSON in the shape of the provider's own errors. Texts need no escapes: the table's
    /// reader refuses those that would.
    pub fn body(self, envelope: Envelope, table: &Table) -> String {
        let (code, status, _) = self.row();
        let text = table.refusals.iter().find(|row| row.0 == code).map_or("", |row| row.1);
        let (openai, anthropic, gemini) = kind(status);
        match envelope {
            Envelope::OpenAi => format!(
                r#"{{"error":{{"message":"{text}","type":"{openai}","param":null,"code":"{code}"}}}}"#
            ),
            Envelope::Anthropic => format!(
                r#"{{"type":"error","error":{{"type":"{anthropic}","message":"{text} ({code})"}}}}"#
            ),
            Envelope::Gemini => format!(
                r#"{{"error":{{"code":{status},"message":"{text} ({code})","status":"{gemini}"}}}}"#
            ),
        }
    }
}

/// What the three APIs call an error of this status.
const fn kind(status: u16) -> (&'static str, &'static str, &'static str) {
    match status {
        401 => ("authentication_error", "authentication_error", "UNAUTHENTICATED"),
        403 => ("permission_error", "permission_error", "PERMISSION_DENIED"),
        404 | 421 => ("invalid_request_error", "not_found_error", "NOT_FOUND"),
        429 => ("rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        504 => ("api_error", "timeout_error", "DEADLINE_EXCEEDED"),
        500.. => ("api_error", "api_error", "UNAVAILABLE"),
        _ => ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
    }
}
