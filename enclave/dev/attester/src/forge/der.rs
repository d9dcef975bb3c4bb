//! A writer of DER elements (X.690), enough for certificates.

/// An element: tag, length, content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..=0x7f => vec![tag, length as u8],
        0x80..=0xff => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head, content.to_vec()].concat()
}

/// A sequence of elements.
pub fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// A non-negative integer from its big-endian bytes.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let stripped = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    match stripped {
        [] => element(0x02, &[0]),
        [0x80..=0xff, ..] => element(0x02, &[&[0], stripped].concat()),
        _ => element(0x02, stripped),
    }
}

/// A bit string without unused bits.
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], bytes].concat())
}

/// Named bits: bit n of the value is bit n of the list, trailing zeros cut off.
pub fn named_bits(bits: u16) -> Vec<u8> {
    let Some(last) = bits.checked_ilog2() else {
        return element(0x03, &[0]);
    };
    let bytes = bits.reverse_bits().to_be_bytes();
    let used = &bytes[..=(last / 8) as usize];
    element(0x03, &[&[(7 - last % 8) as u8], used].concat())
}

/// A time: UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280, section 4.1.2.5).
pub fn time(unix_secs: u64) -> Vec<u8> {
    let (year, month, day) = date(unix_secs / 86_400);
    let second = unix_secs % 86_400;
    let rest =
        format!("{month:02}{day:02}{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60);
    match year {
        ..=2049 => element(0x17, format!("{:02}{rest}", year % 100).as_bytes()),
        _ => element(0x18, format!("{year:04}{rest}").as_bytes()),
    }
}

/// Year, month and day of a day number since 1970-01-01, by counting.
fn date(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while days >= 365 + leap_day(year) {
        days -= 365 + leap_day(year);
        year += 1;
    }
    let february = 28 + leap_day(year);
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

fn leap_day(year: u64) -> u64 {
    u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)))
}
