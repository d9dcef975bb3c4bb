//! Reads texts line by line and sections by length; nothing is searched for.

/// The rest of what is read.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next line without its newline; none when no newline follows or it is not UTF-8.
    pub(crate) fn line(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&self.0[..end]).ok()?;
        self.0 = &self.0[end + 1..];
        Some(line)
    }

    /// What follows `word` and a space on the next line, which is consumed only if it begins so.
    pub(crate) fn field(&mut self, word: &str) -> Option<&'a str> {
        let mut ahead = *self;
        let value = ahead.line()?.strip_prefix(word)?.strip_prefix(' ')?;
        *self = ahead;
        Some(value)
    }

    /// A decimal field, as [`Self::field`].
    pub(crate) fn number(&mut self, word: &str) -> Option<u64> {
        let mut ahead = *self;
        let number = decimal(ahead.field(word)?)?;
        *self = ahead;
        Some(number)
    }

    /// The next `length` bytes.
    pub(crate) fn bytes(&mut self, length: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

/// A number as ASCII decimal without sign or leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (digits && canonical).then(|| text.parse().ok()).flatten()
}
