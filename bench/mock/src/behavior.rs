//! The behaviours that a request chooses with `x-mock-behavior`.
//!
//! The value is a list, separated by commas, of `name` or `name;key=value;key=value`. A name or
//! key that the mock does not know is refused, so that a misspelt test cannot pass.

use http::HeaderMap;
use http::StatusCode;

use crate::api::Refusal;
use crate::api::Scripted;
use crate::api::UsageMode;

/// The request header that chooses behaviours.
pub const BEHAVIOR_HEADER: &str = "x-mock-behavior";

/// What the mock does with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) answer: Answer,
    pub(crate) ending: Option<Ending>,
    pub(crate) usage: UsageMode,
    pub(crate) thinking: bool,
    /// The only tool call that an answer may hold.
    pub(crate) call: Option<Scripted>,
    /// Server-sent events with CR LF line ends.
    pub(crate) crlf: bool,
    /// Body in pieces of this size.
    pub(crate) split_bytes: Option<usize>,
    pub(crate) hop_headers: bool,
    pub(crate) aegis_headers: bool,
    pub(crate) trailers: bool,
    /// Interim responses (100 and 103) before the answer.
    pub(crate) interim: bool,
    /// A header field of this size.
    pub(crate) huge_header_bytes: Option<usize>,
    /// All of it holds under this credential only; under another the API answers.
    pub(crate) for_key: Option<String>,
}

/// Where the answer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Api,
    Echo,
    Bytes { length_bytes: u64, chunk_bytes: usize, seed: u64, content_length: bool },
    Status { code: StatusCode, retry_after: Option<String>, should_retry: Option<String> },
    Redirect { code: StatusCode, location: String },
    EarlyClose,
    Silent,
    EndlessHeader,
    EofWithoutCloseNotify,
}

/// How a body ends other than cleanly, and after how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Reset { after_bytes: u64 },
    Stall { after_bytes: u64 },
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            answer: Answer::Api,
            ending: None,
            usage: UsageMode::Once,
            thinking: false,
            call: None,
            crlf: false,
            split_bytes: None,
            hop_headers: false,
            aegis_headers: false,
            trailers: false,
            interim: false,
            huge_header_bytes: None,
            for_key: None,
        }
    }
}

impl Plan {
    /// Reads the behaviour fields of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut plan = Self::default();
        for value in headers.get_all(BEHAVIOR_HEADER) {
            let text = value
                .to_str()
                .map_err(|_| Refusal::bad(format!("{BEHAVIOR_HEADER} must be visible ASCII.")))?;
            for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
                let mut parameters = Parameters::of(item)?;
                plan.add(&mut parameters)?;
                parameters.finish()?;
            }
        }
        Ok(plan)
    }

    fn add(&mut self, parameters: &mut Parameters<'_>) -> Result<(), Refusal> {
        match parameters.name {
            "usage-twice" => self.usage = UsageMode::Twice,
            "no-usage" => self.usage = UsageMode::Never,
            "thinking" => self.thinking = true,
            "call" => {
                self.call = Some(Scripted {
                    tool: parameters.required("tool")?.to_owned(),
                    argument: parameters.required("argument")?.to_owned(),
                    value: parameters.required("value")?.to_owned(),
                });
            }
            "crlf" => self.crlf = true,
            "split" => self.split_bytes = Some(parameters.number("n", Some(1))?.max(1)),
            "hop-headers" => self.hop_headers = true,
            "aegis-headers" => self.aegis_headers = true,
            "trailers" => self.trailers = true,
            "continue" => self.interim = true,
            "header" => self.huge_header_bytes = Some(parameters.number("bytes", Some(65_536))?),
            "for-key" => self.for_key = Some(parameters.required("key")?.to_owned()),
            "reset" => {
                self.ending = Some(Ending::Reset { after_bytes: parameters.number("after", None)? })
            }
            "stall" => {
                self.ending = Some(Ending::Stall { after_bytes: parameters.number("after", None)? })
            }
            _ => self.answer = answer(parameters)?,
        }
        Ok(())
    }
}

fn answer(parameters: &mut Parameters<'_>) -> Result<Answer, Refusal> {
    Ok(match parameters.name {
        "echo" => Answer::Echo,
        "bytes" => Answer::Bytes {
            length_bytes: parameters.number("n", None)?,
            chunk_bytes: parameters.number("chunk", Some(16_384))?.max(1),
            seed: parameters.number("seed", Some(0))?,
            content_length: parameters.number("length", Some(0_u8))? != 0,
        },
        "status" => Answer::Status {
            code: parameters.status(None)?,
            retry_after: parameters.take("retry-after").map(str::to_owned),
            should_retry: parameters.take("should-retry").map(str::to_owned),
        },
        "redirect" => Answer::Redirect {
            code: parameters.status(Some(StatusCode::TEMPORARY_REDIRECT))?,
            location: parameters.required("location")?.to_owned(),
        },
        "early-close" => Answer::EarlyClose,
        "silent" => Answer::Silent,
        "endless-header" => Answer::EndlessHeader,
        "eof-without-close-notify" => Answer::EofWithoutCloseNotify,
        name => {
            let message = format!("{BEHAVIOR_HEADER}: unknown behaviour '{name}'.");
            return Err(Refusal::bad(message));
        }
    })
}

/// One `name;key=value` item; what is not taken is refused at the end.
struct Parameters<'a> {
    name: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Parameters<'a> {
    fn of(item: &'a str) -> Result<Self, Refusal> {
        let mut fields = item.split(';').map(str::trim);
        let name = fields.next().unwrap_or("");
        let pair = |field: &'a str| {
            field.split_once('=').ok_or_else(|| {
                Refusal::bad(format!("{BEHAVIOR_HEADER}: '{field}' of '{name}' has no value."))
            })
        };
        Ok(Self { name, pairs: fields.map(pair).collect::<Result<_, _>>()? })
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        let index = self.pairs.iter().position(|(have, _)| *have == key)?;
        Some(self.pairs.remove(index).1)
    }

    fn required(&mut self, key: &str) -> Result<&'a str, Refusal> {
        let name = self.name;
        self.take(key)
            .ok_or_else(|| Refusal::bad(format!("{BEHAVIOR_HEADER}: '{name}' needs '{key}'.")))
    }

    fn number<T: std::str::FromStr>(
        &mut self,
        key: &str,
        default: Option<T>,
    ) -> Result<T, Refusal> {
        let value = match (self.take(key), default) {
            (Some(value), _) => value,
            (None, Some(default)) => return Ok(default),
            (None, None) => self.required(key)?,
        };
        value.parse().map_err(|_| {
            Refusal::bad(format!("{BEHAVIOR_HEADER}: '{key}={value}' of '{}'.", self.name))
        })
    }

    fn status(&mut self, default: Option<StatusCode>) -> Result<StatusCode, Refusal> {
        let code = self.number("code", default.map(|status| status.as_u16()))?;
        StatusCode::from_u16(code)
            .map_err(|_| Refusal::bad(format!("{BEHAVIOR_HEADER}: no status {code}.")))
    }

    fn finish(self) -> Result<(), Refusal> {
        match self.pairs.first() {
            None => Ok(()),
            Some((key, _)) => {
                let name = self.name;
                Err(Refusal::bad(format!("{BEHAVIOR_HEADER}: '{name}' has no '{key}'.")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn plan(value: &str) -> Result<Plan, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(BEHAVIOR_HEADER, value.parse().unwrap());
        Plan::of(&headers)
    }

    #[test]
    fn behaviours_combine() {
        let plan = plan("crlf, split;n=3,no-usage , reset;after=10").unwrap();
        assert!(plan.crlf);
        assert_eq!(plan.split_bytes, Some(3));
        assert_eq!(plan.usage, UsageMode::Never);
        assert_eq!(plan.ending, Some(Ending::Reset { after_bytes: 10 }));
        assert_eq!(plan.answer, Answer::Api);
    }

    #[test]
    fn misspelt_behaviours_are_refused() {
        for (value, part) in [
            ("ecko", "unknown behaviour 'ecko'"),
            ("split;m=1", "'split' has no 'm'"),
            ("split;n=x", "'n=x' of 'split'"),
            ("reset", "'reset' needs 'after'"),
            ("status;code=1000", "no status 1000"),
            ("split;n", "'n' of 'split' has no value"),
        ] {
            let refusal = plan(value).unwrap_err();
            assert!(refusal.message.contains(part), "{value}: {}", refusal.message);
        }
    }

    #[test]
    fn a_location_may_hold_an_equals_sign() {
        let location = "https://openai.mock.aegis.test/v1/x?a=b".to_owned();
        let expected = Answer::Redirect { code: StatusCode::TEMPORARY_REDIRECT, location };
        let plan = plan("redirect;location=https://openai.mock.aegis.test/v1/x?a=b").unwrap();
        assert_eq!(plan.answer, expected);
    }
}
