//! Every error that the enclave makes itself: code, status, text and envelope (PROTOCOL.md,
//! section 6). A text is chosen by its code alone; no byte of a request or of the host enters it.

use alloc::{format, string::String};

use aegis_wire::{control::DenyCode, table::Envelope};

/// Why a request gets an answer of the enclave's instead of the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The authority is not in the table.
    UnknownProvider,
    /// Method and path are not in the table.
    UnknownEndpoint,
    /// The endpoint needs client custody.
    AccountScoped,
    /// A head that two readers could read differently.
    BadRequest,
    /// Over the limits of a head.
    HeadTooLarge,
    /// No custody stated.
    CustodyMissing,
    /// Client custody without a credential.
    CredentialMissing,
    /// No control channel.
    HostUnavailable,
    /// The host did not answer in time.
    HostTimeout,
    /// The host said no.
    Denied(DenyCode, u32),
    /// No connection, or none that took a byte of the request.
    UpstreamUnreachable,
    /// The peer did not prove to be the provider.
    UpstreamTls,
    /// Lost after dispatch, before a head.
    UpstreamLost,
    /// The answer's head is malformed or too large.
    UpstreamHead,
    /// No head in time.
    UpstreamTimeout,
}

/// Code, status, whether SDKs may try again by themselves, and the text.
type Row = (&'static str, u16, bool, &'static str);

impl Refusal {
    const fn row(self) -> Row {
        match self {
            Self::UnknownProvider => (
                "unknown_provider",
                421,
                false,
                "Aegis serves no provider of this name; use a base URL of the agent or a host \
                 name of the provider table.",
            ),
            Self::UnknownEndpoint => (
                "unknown_endpoint",
                404,
                false,
                "Aegis does not serve this method and path for this provider; check the base \
                 URL, or ask the operator for a release whose provider table has it.",
            ),
            Self::AccountScoped => (
                "account_scoped",
                403,
                false,
                "This endpoint reads what the provider stores for a whole account, so it is \
                 served in client custody only; use your own provider key with custody client.",
            ),
            Self::BadRequest => (
                "bad_request",
                400,
                false,
                "The request head is ambiguous (host, content-length or transfer-encoding); \
                 send each once.",
            ),
            Self::HeadTooLarge => (
                "head_too_large",
                431,
                false,
                "The request head is over 256 fields or 64 KiB; send fewer or shorter headers.",
            ),
            Self::CustodyMissing => (
                "custody_missing",
                400,
                false,
                "The request states no custody; send the header aegis-custody: client or aegis- \
                 custody: host.",
            ),
            Self::CredentialMissing => (
                "credential_missing",
                401,
                false,
                "Custody client needs your own provider key in the form this provider takes, \
                 and none was sent.",
            ),
            Self::HostUnavailable => (
                "host_unavailable",
                503,
                true,
                "The router's control plane is away; nothing was sent to the provider, try \
                 again.",
            ),
            Self::HostTimeout => (
                "host_timeout",
                503,
                true,
                "The router's control plane did not answer in time; nothing was sent to the \
                 provider, try again.",
            ),
            Self::UpstreamUnreachable => (
                "upstream_unreachable",
                502,
                true,
                "The provider could not be reached through the router's network; nothing was \
                 sent to it, try again.",
            ),
            Self::UpstreamTls => (
                "upstream_tls",
                502,
                false,
                "Whoever answered in the provider's place could not prove to be the provider; \
                 nothing was sent to it. Tell the operator.",
            ),
            Self::UpstreamLost => (
                "upstream_lost",
                502,
                false,
                "The connection to the provider was lost after the request was sent; it may \
                 have been processed.",
            ),
            Self::UpstreamHead => (
                "upstream_head",
                502,
                false,
                "The provider's answer had a head that is malformed or over 256 fields or 64 \
                 KiB; the request may have been processed.",
            ),
            Self::UpstreamTimeout => (
                "upstream_timeout",
                504,
                false,
                "The provider sent no answer for 15 minutes; the request may have been \
                 processed.",
            ),
            Self::Denied(code, _) => denied(code),
        }
    }

    /// What `aegis-error` says.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// HTTP status.
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// What `x-should-retry` says.
    pub const fn should_retry(self) -> bool {
        self.row().2
    }

    /// Seconds for `retry-after`, if any.
    pub const fn retry_after_s(self) -> Option<u32> {
        match self {
            Self::HostUnavailable | Self::HostTimeout => Some(1),
            Self::Denied(_, seconds) if seconds > 0 => Some(seconds),
            _ => None,
        }
    }

    /// The body, JSON in the shape of the provider's own errors.
    pub fn body(self, envelope: Envelope) -> String {
        let (code, status, _, text) = self.row();
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

const fn denied(code: DenyCode) -> Row {
    match code {
        DenyCode::Key => (
            "denied_key",
            401,
            false,
            "The virtual key is not valid any more; ask the operator for a new one.",
        ),
        DenyCode::Budget => (
            "denied_budget",
            429,
            false,
            "The budget of this virtual key is used up; ask the operator.",
        ),
        DenyCode::Rate => (
            "denied_rate",
            429,
            true,
            "The rate limit of this virtual key is reached; try again later.",
        ),
        DenyCode::Account => (
            "denied_account",
            503,
            true,
            "The operator has no account for this provider available now; try again later.",
        ),
        DenyCode::Endpoint => (
            "denied_endpoint",
            403,
            false,
            "This virtual key may not use this endpoint; ask the operator.",
        ),
        DenyCode::Custody => (
            "denied_custody",
            403,
            false,
            "The operator does not serve this custody; choose another one.",
        ),
        DenyCode::Overload => (
            "denied_overload",
            503,
            true,
            "The router sheds load now; nothing was sent to the provider, try again.",
        ),
    }
}

/// What the three APIs call an error of this status.
const fn kind(status: u16) -> (&'static str, &'static str, &'static str) {
    match status {
        401 => (
            "authentication_error",
            "authentication_error",
            "UNAUTHENTICATED",
        ),
        403 => ("permission_error", "permission_error", "PERMISSION_DENIED"),
        404 | 421 => ("invalid_request_error", "not_found_error", "NOT_FOUND"),
        429 => ("rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        504 => ("api_error", "timeout_error", "DEADLINE_EXCEEDED"),
        500.. => ("api_error", "api_error", "UNAVAILABLE"),
        _ => (
            "invalid_request_error",
            "invalid_request_error",
            "INVALID_ARGUMENT",
        ),
    }
}
