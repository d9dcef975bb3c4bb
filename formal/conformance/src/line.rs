//! What happens, as a line: the time in milliseconds, then words.
//!
//! ```text
//! up | down | grant R ATTEMPT G CUSTODY | deny R ATTEMPT CODE WAIT | ack G
//! ask SESSION PROVIDER CLASS CUSTODY METERED SHOWN | take R | slow R | gone R
//! happens R unreachable [held] | stranger | head STATUS CODING [held] | badhead | lost | timeout
//!           | chunk BYTE... | end | granted G | hostlost
//! ```
//!
//! `held` says that the request's body could be sent again.
//! A byte of the model is one event of the answer's stream: `n` without usage, or `INPUT.OUTPUT.MODEL`.

use std::collections::VecDeque;

/// The words of a line, taken one by one.
#[derive(Debug)]
pub struct Words<'a>(VecDeque<&'a str>);

impl<'a> Words<'a> {
    /// Of that line.
    pub fn of(line: &'a str) -> Self {
        Self(line.split(' ').collect())
    }

    /// The next word.
    pub fn word(&mut self) -> &'a str {
        self.0.pop_front().unwrap_or_default()
    }

    /// The next word as a number.
    ///
    /// # Panics
    /// Where it is none: lines are written by this crate.
    pub fn number<N: TryFrom<u64>>(&mut self) -> N {
        let word = self.word();
        let number = word.parse::<u64>().ok().and_then(|number| N::try_from(number).ok());
        number.unwrap_or_else(|| panic!("`{word}` is not a number that fits"))
    }

    /// What is left.
    pub fn rest(self) -> impl Iterator<Item = &'a str> {
        self.0.into_iter()
    }
}

/// The event of a stream that stands for a byte of the model. Its twin has the same length and the
/// same figures, and other text.
pub fn event(byte: &str, twin: bool) -> String {
    let mut parts = byte.splitn(3, '.');
    let (Some(input), Some(output), Some(model)) = (parts.next(), parts.next(), parts.next())
    else {
        return format!("data: {{\"{}\":[]}}\n\n", if twin { "secrets" } else { "choices" });
    };
    let (prompt, completion) =
        (format!("\"prompt_tokens\":{input}"), format!("\"completion_tokens\":{output}"));
    if twin {
        format!("data: {{\"usage\":{{{completion},{prompt}}},\"model\":\"{model}\"}}\n\n")
    } else {
        format!("data: {{\"model\":\"{model}\",\"usage\":{{{prompt},{completion}}}}}\n\n")
    }
}

/// Another status of the same class that allows another attempt or does not, as this one.
pub const fn twin_status(status: u16) -> u16 {
    match status {
        500 => 502,
        502 => 503,
        503 => 529,
        529 => 500,
        // The only one of its class.
        429 => 429,
        _ => status / 100 * 100 + (status + 5) % 100,
    }
}
