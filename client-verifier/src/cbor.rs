//! A strict reader of the CBOR that a Nitro document is made of (RFC 8949).
//!
//! Not a general decoder: the caller asks for the item it expects and gets that one or an error
//! with its place. Lengths must be in their shortest form and fit in the input, so nothing is
//! allocated and there is no recursion. Indefinite lengths are refused, but for the one map that
//! real hardware emits so; floats, simple values other than null, and tags inside are never asked
//! for.

use crate::error::CborError;
use crate::error::CborFault;

/// The major types of CBOR (RFC 8949, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CborType {
    /// Major type 0.
    Unsigned,
    /// Major type 1.
    Negative,
    /// Major type 2.
    Bytes,
    /// Major type 3.
    Text,
    /// Major type 4.
    Array,
    /// Major type 5.
    Map,
    /// Major type 6.
    Tag,
    /// Major type 7: null, booleans, floats, break.
    Simple,
}

const NULL: u8 = 0xf6;
const BREAK: u8 = 0xff;
const INDEFINITE_MAP: u8 = 0xbf;

/// How many entries a map has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapLength {
    Definite(u64),
    /// Entries until the break byte.
    Indefinite,
}

/// A place in the input and what follows it.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    input: &'a [u8],
    /// Offset of the next byte. Never beyond `input.len()`.
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.input.len() - self.at
    }

    /// Offset of the next byte.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The bytes read since `start`, an earlier [`Self::offset`].
    pub(crate) fn read_since(&self, start: usize) -> &'a [u8] {
        self.input.get(start..self.at).unwrap_or_default()
    }

    /// A tag number, if a tag is next; otherwise nothing is read.
    pub(crate) fn tag(&mut self) -> Result<Option<u64>, CborFault> {
        match self.peek()? >> 5 {
            6 => self.argument_of(CborType::Tag).map(Some),
            _ => Ok(None),
        }
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, CborFault> {
        self.argument_of(CborType::Unsigned)
    }

    /// An integer of either sign. Values beyond `i64` are not integers anybody sends here.
    pub(crate) fn integer(&mut self) -> Result<i64, CborFault> {
        let start = self.at;
        let negative = self.peek()? >> 5 == 1;
        let kind = if negative { CborType::Negative } else { CborType::Unsigned };
        let value = i64::try_from(self.argument_of(kind)?)
            .map_err(|_| CborFault { offset: start, error: CborError::IntegerTooLarge })?;
        Ok(if negative { -1 - value } else { value })
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], CborFault> {
        let length = self.argument_of(CborType::Bytes)?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CborFault> {
        let start = self.at;
        let length = self.argument_of(CborType::Text)?;
        core::str::from_utf8(self.take(length)?)
            .map_err(|_| CborFault { offset: start, error: CborError::TextNotUtf8 })
    }

    /// The number of elements of an array, which follow.
    pub(crate) fn array(&mut self) -> Result<u64, CborFault> {
        self.argument_of(CborType::Array)
    }

    /// The number of entries of a map, which follow.
    pub(crate) fn map(&mut self) -> Result<u64, CborFault> {
        self.argument_of(CborType::Map)
    }

    /// As [`Self::map`], but the map may also be of indefinite length.
    pub(crate) fn map_of_any_length(&mut self) -> Result<MapLength, CborFault> {
        match self.next_is(INDEFINITE_MAP) {
            true => Ok(MapLength::Indefinite),
            false => self.map().map(MapLength::Definite),
        }
    }

    /// Reads null, if it is next.
    pub(crate) fn null(&mut self) -> bool {
        self.next_is(NULL)
    }

    /// Reads the end of a map of indefinite length, if it is next.
    pub(crate) fn end_of_map(&mut self) -> bool {
        self.next_is(BREAK)
    }

    fn next_is(&mut self, byte: u8) -> bool {
        let is_next = self.input.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn peek(&self) -> Result<u8, CborFault> {
        self.input.get(self.at).copied().ok_or(self.fault(CborError::Truncated))
    }

    fn fault(&self, error: CborError) -> CborFault {
        CborFault { offset: self.at, error }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborFault> {
        let bytes = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length))
            .and_then(|end| self.input.get(self.at..end))
            .ok_or(self.fault(CborError::Truncated))?;
        self.at += bytes.len();
        Ok(bytes)
    }

    /// Reads the head of an item of the expected type and returns its argument.
    fn argument_of(&mut self, expected: CborType) -> Result<u64, CborFault> {
        let start = self.clone();
        let head = self.peek()?;
        let found = major_type(head);
        if found != expected {
            return Err(start.fault(CborError::UnexpectedType { expected, found }));
        }
        self.at += 1;
        let argument_bytes = match head & 0x1f {
            immediate @ 0..=23 => return Ok(u64::from(immediate)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            31 => return Err(start.fault(CborError::IndefiniteLength)),
            _ => return Err(start.fault(CborError::ReservedHead)),
        };
        let value = self.take(argument_bytes)?.iter().fold(0, |sum, b| (sum << 8) | u64::from(*b));
        let shortest = match value {
            0..=23 => 0,
            24..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        };
        match argument_bytes == shortest {
            true => Ok(value),
            false => Err(start.fault(CborError::NotShortestForm)),
        }
    }
}

fn major_type(head: u8) -> CborType {
    match head >> 5 {
        0 => CborType::Unsigned,
        1 => CborType::Negative,
        2 => CborType::Bytes,
        3 => CborType::Text,
        4 => CborType::Array,
        5 => CborType::Map,
        6 => CborType::Tag,
        _ => CborType::Simple,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloc::vec::Vec;

    use super::*;

    /// The least and greatest argument of each length of head.
    const BOUNDARIES: [u64; 10] =
        [0, 23, 24, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];

    /// The head with the argument in so many bytes.
    fn head(major_type: u8, value: u64, argument_bytes: usize) -> Vec<u8> {
        let (additional, argument) = match argument_bytes {
            0 => (u8::try_from(value).unwrap(), &[][..]),
            1 => (24, &value.to_be_bytes()[7..]),
            2 => (25, &value.to_be_bytes()[6..]),
            4 => (26, &value.to_be_bytes()[4..]),
            _ => (27, &value.to_be_bytes()[..]),
        };
        [&[major_type << 5 | additional], argument].concat()
    }

    #[test]
    fn integers_are_read_as_another_writer_writes_them() {
        for value in BOUNDARIES {
            let mut written = Vec::new();
            ciborium::into_writer(&value, &mut written).unwrap();
            let mut reader = Reader::new(&written);
            assert_eq!(reader.unsigned(), Ok(value));
            assert_eq!(reader.remaining(), 0);
        }
        for value in [0, -1, -24, -25, -256, -257, i64::MIN, i64::MAX] {
            let mut written = Vec::new();
            ciborium::into_writer(&value, &mut written).unwrap();
            assert_eq!(Reader::new(&written).integer(), Ok(value));
        }
    }

    #[test]
    fn every_longer_form_of_a_head_is_refused() {
        for value in BOUNDARIES {
            let shortest = match value {
                0..24 => 0,
                24..0x100 => 1,
                0x100..0x1_0000 => 2,
                0x1_0000..0x1_0000_0000 => 4,
                _ => 8,
            };
            assert_eq!(Reader::new(&head(0, value, shortest)).unsigned(), Ok(value));
            for longer in [1, 2, 4, 8].into_iter().filter(|longer| *longer > shortest) {
                let fault = Reader::new(&head(0, value, longer)).unsigned().unwrap_err();
                assert_eq!(fault, CborFault { offset: 0, error: CborError::NotShortestForm });
            }
        }
    }

    #[test]
    fn strings_of_boundary_lengths_are_read_whole_and_not_beyond() {
        for (length, argument_bytes) in [(0, 0), (23, 0), (24, 1), (255, 1), (256, 2), (65_535, 2)]
        {
            let content: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let item = [head(2, length, argument_bytes), content.clone()].concat();
            assert_eq!(Reader::new(&item).bytes(), Ok(content.as_slice()));
            let cut = &item[..item.len() - 1];
            let error = Reader::new(cut).bytes().map(drop).map_err(|fault| fault.error);
            assert_eq!(error, Err(CborError::Truncated));
        }
    }

    #[test]
    fn faults_name_the_place_of_the_item() {
        let mut reader = Reader::new(&[0x01, 0x18]);
        assert_eq!(reader.unsigned(), Ok(1));
        let fault = reader.unsigned().unwrap_err();
        // The item at byte 1 lacks its argument, which would stand at byte 2.
        assert_eq!(fault, CborFault { offset: 2, error: CborError::Truncated });
        for reserved in 28..=30 {
            let fault = Reader::new(&[reserved]).unsigned().unwrap_err();
            assert_eq!(fault, CborFault { offset: 0, error: CborError::ReservedHead });
        }
    }
}
