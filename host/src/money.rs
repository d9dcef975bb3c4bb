//! Money as whole micro-units of the operator's one currency, and the periods of budgets. Nothing
//! here rounds in secret: amounts are integers, and a text that has more digits is refused.

use std::{fmt, str::FromStr};

use time::{Date, Duration, Month, UtcDateTime};

/// Millionths of one unit of the operator's currency.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micro(pub i64);

/// Largest amount that can be written: a thousand million units. Sums of many stay in range.
pub const LARGEST: Micro = Micro(1_000_000_000_000_000);

const UNIT: i64 = 1_000_000;

impl fmt::Display for Micro {
    /// Units with a point and at least two digits after it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) =
            (self.0.unsigned_abs() / UNIT as u64, self.0.unsigned_abs() % UNIT as u64);
        let part = format!("{part:06}");
        let digits = part.trim_end_matches('0').len().max(2);
        write!(f, "{sign}{whole}.{}", &part[..digits])
    }
}

/// A text that is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an amount is digits with at most six after one point, up to 1000000000; write it like 12.50"
)]
pub struct NoAmount;

impl FromStr for Micro {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Self, NoAmount> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 6 {
            return Err(NoAmount);
        }
        let whole: i64 = whole.parse().map_err(|_| NoAmount)?;
        let part: i64 = format!("{part:0<6}").parse().map_err(|_| NoAmount)?;
        let amount = whole.checked_mul(UNIT).and_then(|units| units.checked_add(part));
        amount.map(Self).filter(|amount| *amount <= LARGEST).ok_or(NoAmount)
    }
}

/// How long a budget lasts before it is full again; both begin at midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

impl Period {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// The word in the store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The period of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.word() == word)
    }

    /// When the period that contains this time began, and when it ends.
    pub fn around(self, at_ms: i64) -> (i64, i64) {
        let date = date_of(at_ms);
        match self {
            Self::Day => (midnight(date), midnight(date + Duration::DAY)),
            Self::Month => {
                let first = first_of(date.year(), date.month());
                let next = first + Duration::days(i64::from(date.month().length(date.year())));
                (midnight(first), midnight(next))
            }
        }
    }
}

/// The day of that time; a time that no calendar has is the first day of 1970.
pub fn date_of(at_ms: i64) -> Date {
    UtcDateTime::from_unix_timestamp(at_ms.div_euclid(1000))
        .unwrap_or(UtcDateTime::UNIX_EPOCH)
        .date()
}

fn first_of(year: i32, month: Month) -> Date {
    // Every month has a first day.
    Date::from_calendar_date(year, month, 1).unwrap_or(Date::MIN)
}

/// The first millisecond of a day.
pub fn midnight(date: Date) -> i64 {
    date.midnight().assume_utc().unix_timestamp() * 1000
}

/// Reads `YYYY-MM-DD`.
pub fn date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month: u8 = parts.next().filter(|month| month.len() == 2)?.parse().ok()?;
    let day = parts.next().filter(|day| day.len() == 2)?.parse().ok()?;
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn amounts_are_exact_both_ways() {
        for (text, micro, shown) in [
            ("0", 0, "0.00"),
            ("12.5", 12_500_000, "12.50"),
            ("0.000001", 1, "0.000001"),
            ("1000000000", LARGEST.0, "1000000000.00"),
            ("3.140000", 3_140_000, "3.14"),
        ] {
            assert_eq!(text.parse(), Ok(Micro(micro)), "{text}");
            assert_eq!(Micro(micro).to_string(), shown);
        }
        assert_eq!(Micro(-1_500_000).to_string(), "-1.50");
        for text in ["", ".", "1.", ".5", "-1", "+1", "1.0000001", "1e3", "1,5", "1000000000.01"] {
            assert_eq!(text.parse::<Micro>(), Err(NoAmount), "{text}");
        }
    }

    #[test]
    fn periods_begin_at_midnight_and_on_the_first() {
        let at = |text: &str| midnight(date(text).unwrap());
        let noon = at("2028-02-29") + 43_200_000;
        assert_eq!(Period::Day.around(noon), (at("2028-02-29"), at("2028-03-01")));
        assert_eq!(Period::Month.around(noon), (at("2028-02-01"), at("2028-03-01")));
        assert_eq!(Period::Month.around(at("2026-12-31")), (at("2026-12-01"), at("2027-01-01")));
        assert_eq!(Period::Day.around(at("2026-12-31") - 1).1, at("2026-12-31"));
    }

    #[test]
    fn dates_are_strict() {
        for text in ["2026-13-01", "2026-02-30", "26-01-01", "2026-1-1", "2026-01-01T00", ""] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
