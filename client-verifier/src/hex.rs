//! Hexadecimal text for names of measurements and roots.

use core::fmt;

/// Writes `bytes` as lower-case digits.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Bytes shown as lower-case digits, cut after 64 of them.
pub(crate) struct Short<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..64).unwrap_or(self.0);
        write(f, shown)?;
        match self.0.len() - shown.len() {
            0 => write!(f, " ({} bytes)", self.0.len()),
            _ => write!(f, "... ({} bytes)", self.0.len()),
        }
    }
}

/// Reads exactly `N` bytes from `2 * N` digits of either case.
pub(crate) fn decode<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = (nibble(*high)? << 4) | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn digits_of_either_case_are_read_and_nothing_else() {
        assert_eq!(decode::<2>("00fF"), Some([0, 255]));
        assert_eq!(decode::<2>("00f"), None);
        assert_eq!(decode::<2>("00f00"), None);
        assert_eq!(decode::<2>("00fg"), None);
        assert_eq!(decode::<2>("+1-1"), None);
    }
}
