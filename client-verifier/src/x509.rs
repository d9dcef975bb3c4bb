//! The fields of a certificate that rustls-webpki does not look at, or does not tell.
//!
//! Not a verifier of certificates: issuer names, signatures, basic constraints and path lengths are
//! checked by rustls-webpki, which reads the same bytes again.

use alloc::vec::Vec;

use crate::der::Elements;
use crate::der::tag;
use crate::time::UnixTime;
use crate::time::Validity;

/// The head of a SubjectPublicKeyInfo with an uncompressed P-384 point (RFC 5480): id-ecPublicKey,
/// secp384r1, a bit string of 97 bytes that begins with 4.
const P384_SPKI_HEAD: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04,
];

/// Length of a point of P-384: the format byte and two coordinates.
const P384_POINT_BYTES: usize = 97;

/// An INTEGER of 2, which is version 3 (RFC 5280, section 4.1.2.1).
const VERSION_3: &[u8] = &[tag::INTEGER, 1, 2];

/// The longest serial number (RFC 5280, section 4.1.2.2).
const MAX_SERIAL_NUMBER_BYTES: usize = 20;

/// Object identifiers below id-ce, 2.5.29.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];

/// Key usage bits: bit n of RFC 5280, section 4.2.1.3, is `1 << n`.
pub(crate) mod key_usage {
    pub(crate) const DIGITAL_SIGNATURE: u16 = 1;
    pub(crate) const NON_REPUDIATION: u16 = 1 << 1;
    pub(crate) const KEY_CERT_SIGN: u16 = 1 << 5;
    pub(crate) const CRL_SIGN: u16 = 1 << 6;
}

/// What a certificate says.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    pub(crate) validity: Validity,
    /// SubjectPublicKeyInfo with its head.
    spki: &'a [u8],
    pub(crate) key_usage: Option<u16>,
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) has_extended_key_usage: bool,
}

/// Whether a certificate may issue others (RFC 5280, section 4.2.1.9).
#[derive(Clone, Copy, Debug)]
pub(crate) struct BasicConstraints {
    pub(crate) is_ca: bool,
    /// How many CAs may stand between this one and a leaf.
    pub(crate) path_length: Option<u8>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate (RFC 5280, section 4.1). None: it is not one.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Elements::new(der);
        let mut certificate = outer.sequence()?;
        let mut tbs = certificate.sequence()?;
        certificate.sequence()?;
        certificate.content(tag::BIT_STRING)?;
        if !certificate.is_empty() || !outer.is_empty() {
            return None;
        }

        if tbs.content(tag::CONTEXT_0)? != VERSION_3 {
            return None;
        }
        read_serial_number(tbs.content(tag::INTEGER)?)?;
        let _signature_algorithm = tbs.sequence()?;
        let _issuer = tbs.sequence()?;
        let validity = read_validity(tbs.sequence()?)?;
        let _subject = tbs.sequence()?;
        let spki = tbs.whole_sequence()?;
        let mut parsed = Self {
            validity,
            spki,
            key_usage: None,
            basic_constraints: None,
            has_extended_key_usage: false,
        };
        let mut explicit = Elements::new(tbs.content(tag::CONTEXT_3)?);
        let mut extensions = explicit.sequence()?;
        let mut seen = Vec::new();
        while !extensions.is_empty() {
            let identifier = parsed.read_extension(extensions.sequence()?)?;
            // Two of one kind would let two readers see two certificates (section 4.2).
            if seen.contains(&identifier) {
                return None;
            }
            seen.push(identifier);
        }
        (tbs.is_empty() && explicit.is_empty()).then_some(parsed)
    }

    /// The point of the key, if it is an uncompressed one on P-384.
    pub(crate) fn p384_point(&self) -> Option<&'a [u8]> {
        let coordinates = self.spki.strip_prefix(P384_SPKI_HEAD)?;
        if coordinates.len() + 1 != P384_POINT_BYTES {
            return None;
        }
        self.spki.get(P384_SPKI_HEAD.len() - 1..)
    }

    /// Takes what is of interest from an extension, and returns its identifier.
    fn read_extension(&mut self, mut extension: Elements<'a>) -> Option<&'a [u8]> {
        let identifier = extension.content(tag::OBJECT_IDENTIFIER)?;
        if extension.next_is(tag::BOOLEAN) {
            extension.content(tag::BOOLEAN)?;
        }
        let value = extension.content(tag::OCTET_STRING)?;
        match identifier {
            KEY_USAGE => self.key_usage = Some(read_key_usage(value)?),
            BASIC_CONSTRAINTS => self.basic_constraints = Some(read_basic_constraints(value)?),
            EXTENDED_KEY_USAGE => self.has_extended_key_usage = true,
            _ => {}
        }
        extension.is_empty().then_some(identifier)
    }
}

/// A positive number of at most 20 bytes (section 4.1.2.2), before which DER puts a zero where it
/// would be a negative one.
fn read_serial_number(content: &[u8]) -> Option<()> {
    let number = match content {
        [0, number @ ..] => number,
        [0x80..=0xff, ..] => return None,
        number => number,
    };
    (1..=MAX_SERIAL_NUMBER_BYTES).contains(&number.len()).then_some(())
}

/// BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }
fn read_basic_constraints(value: &[u8]) -> Option<BasicConstraints> {
    let mut outer = Elements::new(value);
    let mut constraints = outer.sequence()?;
    let is_ca = constraints.next_is(tag::BOOLEAN) && constraints.content(tag::BOOLEAN)? == [0xff];
    let path_length = match constraints.is_empty() {
        true => None,
        // In DER a byte from 0x80 on would be negative.
        false => match *constraints.content(tag::INTEGER)? {
            [length @ 0..=0x7f] => Some(length),
            _ => return None,
        },
    };
    let ends = constraints.is_empty() && outer.is_empty();
    ends.then_some(BasicConstraints { is_ca, path_length })
}

/// KeyUsage ::= BIT STRING, in DER: no trailing zero bits, unused bits zero.
fn read_key_usage(value: &[u8]) -> Option<u16> {
    let mut outer = Elements::new(value);
    let content = outer.content(tag::BIT_STRING)?;
    let (unused, bytes) = content.split_first()?;
    let bits = match bytes {
        [first] => u16::from_be_bytes([*first, 0]),
        [first, second] => u16::from_be_bytes([*first, *second]),
        _ => return None,
    };
    if *unused > 7 || !outer.is_empty() {
        return None;
    }
    // Sixteen bits were read from the most significant end; bit 0 of the section is the first.
    let bits = bits.reverse_bits();
    let last_bit = u32::try_from(bytes.len()).ok()? * 8 - 1 - u32::from(*unused);
    (bits.checked_ilog2()? == last_bit).then_some(bits)
}

fn read_validity(mut validity: Elements<'_>) -> Option<Validity> {
    let not_before = read_time(&mut validity)?;
    let not_after = read_time(&mut validity)?;
    validity.is_empty().then_some(Validity { not_before, not_after })
}

/// Time ::= UTCTime | GeneralizedTime, both in UTC, to the second (RFC 5280, section 4.1.2.5).
fn read_time(elements: &mut Elements<'_>) -> Option<UnixTime> {
    let (century, digits) = match elements.any()? {
        (tag::UTC_TIME, digits) => (None, digits),
        (tag::GENERALIZED_TIME, digits) => {
            let (century, digits) = digits.split_at_checked(2)?;
            (Some(two_digits(century)?), digits)
        }
        _ => return None,
    };
    let digits = digits.strip_suffix(b"Z")?;
    if digits.len() != 12 {
        return None;
    }
    let mut fields = digits.chunks_exact(2).map(two_digits);
    let mut field = || fields.next().flatten();
    let short_year = field()?;
    let year = match century {
        Some(century) => century * 100 + short_year,
        None if short_year < 50 => 2000 + short_year,
        None => 1900 + short_year,
    };
    let (month, day) = (field()?, field()?);
    let (hour, minute, second) = (field()?, field()?, field()?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_since_epoch(year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    Some(UnixTime::from_secs(seconds))
}

fn two_digits(digits: &[u8]) -> Option<u64> {
    match digits {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(u64::from(tens - b'0') * 10 + u64::from(ones - b'0'))
        }
        _ => None,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. None: no such date, or an earlier one.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    const IN_MONTH: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let month_index = usize::try_from(month.checked_sub(1)?).ok()?;
    let leap_day_in_month = u64::from(is_leap && month == 2);
    if year < 1970 || day == 0 || day > IN_MONTH.get(month_index)? + leap_day_in_month {
        return None;
    }
    let leap_days_before = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let years_days = (year - 1970) * 365 + leap_days_before(year) - leap_days_before(1970);
    let leap_day_before = u64::from(is_leap && month > 2);
    Some(years_days + BEFORE_MONTH.get(month_index)? + leap_day_before + day - 1)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn time(tag: u8, text: &str) -> Option<u64> {
        let length = u8::try_from(text.len()).ok()?;
        let element = [&[tag, length], text.as_bytes()].concat();
        read_time(&mut Elements::new(&element)).map(UnixTime::as_secs)
    }

    #[test]
    fn dates_have_the_seconds_that_date_prints() {
        for (text, expected) in [
            ("700101000000Z", Some(0)),
            ("000229000000Z", Some(951_782_400)),
            ("000301000000Z", Some(951_868_800)),
            ("191028132805Z", Some(1_572_269_285)),
            ("491028142805Z", Some(2_519_044_085)),
            ("241231235959Z", Some(1_735_689_599)),
            ("991231235959Z", Some(946_684_799)),
            ("500101000000Z", None),
            ("690101000000Z", None),
            ("230229000000Z", None),
            ("230431000000Z", None),
            ("231301000000Z", None),
            ("230001000000Z", None),
            ("230100000000Z", None),
            ("230101240000Z", None),
            ("230101006000Z", None),
            ("230101000060Z", None),
            ("230101000000", None),
            ("2301010000Z", None),
            ("2301010000+1Z", None),
        ] {
            assert_eq!(time(tag::UTC_TIME, text), expected, "{text}");
        }
        assert_eq!(time(tag::GENERALIZED_TIME, "20501231235959Z"), Some(2_556_143_999));
        assert_eq!(time(tag::GENERALIZED_TIME, "21000301000000Z"), Some(4_107_542_400));
        assert_eq!(time(tag::GENERALIZED_TIME, "2"), None);
    }

    #[test]
    fn a_validity_is_two_times_and_nothing_more() {
        let time = [&[tag::UTC_TIME, 13][..], b"230101000000Z"].concat();
        let read = |elements: &[u8]| read_validity(Elements::new(elements)).is_some();
        assert!(read(&time.repeat(2)));
        assert!(!read(&time));
        assert!(!read(&time.repeat(3)));
    }

    #[test]
    fn an_extension_ends_with_its_value() {
        let read = |elements: &[u8]| {
            let (never, spki) = (UnixTime::from_secs(0), &[][..]);
            let mut certificate = Certificate {
                validity: Validity { not_before: never, not_after: never },
                spki,
                key_usage: None,
                basic_constraints: None,
                has_extended_key_usage: false,
            };
            certificate.read_extension(Elements::new(elements)).map(<[u8]>::to_vec)
        };
        let extension = [&[tag::OBJECT_IDENTIFIER, 1, 42][..], &[tag::OCTET_STRING, 0]].concat();
        assert_eq!(read(&extension), Some(vec![42]));
        assert_eq!(read(&[&extension[..], &[0x05, 0]].concat()), None);
    }

    #[test]
    fn key_usage_is_read_in_its_one_encoding() {
        for (value, expected) in [
            (&[3, 2, 7, 0x80][..], Some(key_usage::DIGITAL_SIGNATURE)),
            (&[3, 2, 2, 0x04], Some(key_usage::KEY_CERT_SIGN)),
            (&[3, 2, 1, 0x86], Some(1 | 1 << 5 | 1 << 6)),
            (&[3, 3, 7, 0x00, 0x80], Some(1 << 8)),
            // A set bit among the unused, a trailing zero bit, no bit at all, too many bytes.
            (&[3, 2, 7, 0xc0], None),
            (&[3, 2, 6, 0x80], None),
            (&[3, 2, 8, 0x80], None),
            (&[3, 1, 0], None),
            (&[3, 2, 0, 0], None),
            (&[3, 4, 0, 0, 0, 1], None),
            (&[3, 0], None),
            (&[3, 2, 7, 0x80, 0], None),
        ] {
            assert_eq!(read_key_usage(value), expected, "{value:02x?}");
        }
    }
}
