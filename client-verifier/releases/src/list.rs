//! The text of a release list (SPEC.md, section 1): read strictly, and written by [`Draft`].

use crate::{
    cursor::Cursor,
    entry::Release,
    error::{EntryError, ListError, ValidityError},
    limits::{RELEASES, SKEW_S, VALIDITY_S, WITHDRAWN},
    time::UnixSeconds,
};

/// First line of a list.
const HEADER: &str = "aegis-releases/1";

/// What a list says. From [`Accepted::list`](crate::Accepted::list) it is believed; from
/// [`List::parse`] it is a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    origin: String,
    sequence: u64,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    minimum: u32,
    withdrawn: Vec<u32>,
    releases: Vec<Release>,
}

/// Whether an enclave of a release may be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Accepted,
    /// It was accepted once.
    Withdrawn,
    /// It is older than the minimum release.
    BelowMinimum,
}

impl List {
    /// Reads the text of a list; nothing is believed.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let mut rest = Cursor(text.as_bytes());
        let line = |expected| ListError::Line { expected };
        if rest.line() != Some(HEADER) {
            return Err(line(HEADER));
        }
        let origin = rest.field("origin").filter(|name| crate::key::is_name(name));
        let origin = origin.ok_or(line("origin NAME"))?.to_owned();
        let sequence = rest.number("sequence").ok_or(line("sequence NUMBER"))?;
        let not_before = rest.number("not-before").ok_or(line("not-before SECONDS"))?;
        let not_after = rest.number("not-after").ok_or(line("not-after SECONDS"))?;
        let minimum = short(rest.number("minimum")).ok_or(line("minimum NUMBER"))?;
        let withdrawn = withdrawn(&mut rest)?;
        let releases = releases(&mut rest)?;
        Ok(Self {
            origin,
            sequence,
            not_before: UnixSeconds(not_before),
            not_after: UnixSeconds(not_after),
            minimum,
            withdrawn,
            releases,
        })
    }

    /// Which product's list it is.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Counts the lists of this origin; a client never goes back.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// From when on it is valid.
    pub fn not_before(&self) -> UnixSeconds {
        self.not_before
    }

    /// From when on it is not valid any more.
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }

    /// Releases below this number are not accepted.
    pub fn minimum(&self) -> u32 {
        self.minimum
    }

    /// Releases that are not accepted any more, in ascending order.
    pub fn withdrawn(&self) -> &[u32] {
        &self.withdrawn
    }

    /// All releases listed, accepted or not, in ascending order.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// Whether this release number is accepted, were it listed.
    pub fn status(&self, number: u32) -> Status {
        match number {
            _ if self.withdrawn.contains(&number) => Status::Withdrawn,
            _ if number < self.minimum => Status::BelowMinimum,
            _ => Status::Accepted,
        }
    }

    /// The releases whose enclaves may be talked to.
    pub fn accepted(&self) -> impl Iterator<Item = &Release> {
        self.releases.iter().filter(|release| self.status(release.number) == Status::Accepted)
    }

    /// Whether its validity is in order and includes `now`.
    pub(crate) fn is_valid_at(&self, now: UnixSeconds) -> Result<(), ValidityError> {
        let Self { not_before, not_after, .. } = self;
        if not_after <= not_before {
            return Err(ValidityError::Empty);
        }
        let seconds = not_after.0 - not_before.0;
        if seconds > VALIDITY_S {
            return Err(ValidityError::TooLong { seconds });
        }
        if now.0.saturating_add(SKEW_S) < not_before.0 {
            return Err(ValidityError::NotYet { not_before: not_before.0 });
        }
        if now >= *not_after {
            return Err(ValidityError::Frozen { not_after: not_after.0 });
        }
        Ok(())
    }
}

fn short(number: Option<u64>) -> Option<u32> {
    u32::try_from(number?).ok()
}

fn withdrawn(rest: &mut Cursor<'_>) -> Result<Vec<u32>, ListError> {
    let mut withdrawn: Vec<u32> = Vec::new();
    while rest.0.starts_with(b"withdrawn ") {
        let number = short(rest.number("withdrawn"));
        let number = number.ok_or(ListError::Line { expected: "withdrawn NUMBER" })?;
        if withdrawn.last().is_some_and(|last| number <= *last) {
            return Err(ListError::WithdrawnOrder { number });
        }
        if withdrawn.len() == WITHDRAWN {
            return Err(ListError::WithdrawnCount);
        }
        withdrawn.push(number);
    }
    Ok(withdrawn)
}

fn releases(rest: &mut Cursor<'_>) -> Result<Vec<Release>, ListError> {
    let mut releases: Vec<Release> = Vec::new();
    while !rest.is_at_end() {
        let release = release(rest)?;
        let number = release.number;
        if releases.last().is_some_and(|last| number <= last.number) {
            return Err(ListError::ReleaseOrder { number });
        }
        if let Some(same) = releases.iter().find(|other| other.pcrs == release.pcrs) {
            return Err(ListError::SameImage { one: same.number, other: number });
        }
        releases.push(release);
        if releases.len() > RELEASES {
            return Err(ListError::ReleaseCount);
        }
    }
    if releases.is_empty() {
        return Err(ListError::ReleaseCount);
    }
    Ok(releases)
}

/// `release NUMBER BYTES`, then a `release.json` of so many bytes.
fn release(rest: &mut Cursor<'_>) -> Result<Release, ListError> {
    let announced = rest.field("release").and_then(|fields| {
        let (number, bytes) = fields.split_once(' ')?;
        Some((short(crate::cursor::decimal(number))?, crate::cursor::decimal(bytes)?))
    });
    let expected = "release NUMBER BYTES";
    let (number, bytes) = announced.ok_or(ListError::Line { expected })?;
    if number == 0 {
        return Err(ListError::NumberZero);
    }
    let entry = rest.bytes(bytes).filter(|entry| entry.ends_with(b"\n"));
    let entry = entry.ok_or(ListError::ReleaseBytes { number })?;
    let bad = |error| ListError::Entry { number, error };
    let release = Release::parse(entry).map_err(bad)?;
    if release.number != number {
        return Err(bad(EntryError::Number { found: release.number.to_string() }));
    }
    Ok(release)
}

/// A list to be written.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// See [`List::origin`].
    pub origin: &'a str,
    /// See [`List::sequence`].
    pub sequence: u64,
    /// See [`List::not_before`].
    pub not_before: UnixSeconds,
    /// See [`List::not_after`].
    pub not_after: UnixSeconds,
    /// See [`List::minimum`].
    pub minimum: u32,
    /// See [`List::withdrawn`].
    pub withdrawn: &'a [u32],
    /// Number and bytes of each `release.json`, in ascending order.
    pub releases: &'a [(u32, &'a str)],
}

impl Draft<'_> {
    /// The text, which is one that [`List::parse`] reads and that is valid for a time.
    pub fn text(&self) -> Result<String, crate::Error> {
        let Self { origin, sequence, not_before, not_after, minimum, withdrawn, releases } = self;
        let mut text = format!(
            "{HEADER}\norigin {origin}\nsequence {sequence}\nnot-before {}\nnot-after {}\nminimum {minimum}\n",
            not_before.0, not_after.0
        );
        for number in *withdrawn {
            text += &format!("withdrawn {number}\n");
        }
        for (number, entry) in *releases {
            text += &format!("release {number} {}\n{entry}", entry.len());
        }
        List::parse(&text)?.is_valid_at(*not_before)?;
        Ok(text)
    }
}
