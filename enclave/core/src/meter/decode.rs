//! The content encodings of answers, undone in small pieces: gzip, deflate, br and zstd.
//!
//! Metering ends at bytes that are not of their encoding, need a larger window or expand more than
//! answers do. Checksums are left to TLS.

use alloc::{boxed::Box, vec, vec::Vec};

use brotli_decompressor::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper, SliceWrapperMut,
};
use miniz_oxide::{
    DataFormat, MZError, MZFlush, MZStatus,
    inflate::stream::{InflateState, inflate},
};
use ruzstd::{decoding::FrameDecoder, io::Read};

use super::Text;

/// Most decoded bytes for each one that arrived, once the answer has more than [`FREE_BYTES`]: an
/// event stream is flushed event by event, which keeps even one of like events under 100.
const RATIO: u64 = 200;
const FREE_BYTES: u64 = 1024 * 1024;
/// Largest window: what RFC 9659 has every receiver of zstd accept. br and zstd take only as much
/// memory as they have text to remember.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// How much is decoded at a time.
const PIECE_BYTES: usize = 4096;

pub(super) struct Decoder {
    /// `None` is identity.
    coding: Option<Box<dyn Coding>>,
    taken: u64,
    given: u64,
    /// The body could end here.
    pub(super) at_end: bool,
}

/// Bytes taken from the input and made in the room, and whether the body could end here.
type Step = (usize, usize, bool);

trait Coding: Send {
    /// Goes on as far as input and room allow. Nothing taken and made asks for more input, `None`
    /// is an error.
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Option<Step>;
}

impl Decoder {
    /// `None` for what is not one known encoding.
    pub(super) fn new(content_encoding: &[u8]) -> Option<Self> {
        let coding: Option<Box<dyn Coding>> = match &content_encoding.to_ascii_lowercase()[..] {
            b"" | b"identity" => None,
            b"gzip" | b"x-gzip" => Some(Box::new(Deflate::new(DataFormat::Raw, TRAILER))),
            b"deflate" => Some(Box::new(Deflate::new(DataFormat::Zlib, GZIP.len()))),
            b"br" => Some(Box::new(BrotliState::new_strict(Heap, Heap, Heap))),
            b"zstd" => Some(Box::new(Zstd::new())),
            _ => return None,
        };
        Some(Self { coding, taken: 0, given: 0, at_end: true })
    }

    /// Hands on what the next bytes decode to; `None` ends metering.
    pub(super) fn decode(&mut self, mut input: &[u8], text: &mut Text) -> Option<()> {
        let Some(coding) = &mut self.coding else {
            return text.push(input);
        };
        let mut piece = [0; PIECE_BYTES];
        loop {
            let (used, made, at_end) = coding.step(input, &mut piece)?;
            self.taken += used as u64;
            self.given += made as u64;
            self.at_end = at_end || self.taken == 0;
            if (used, made) == (0, 0) {
                // Text behind the end could hold other figures than those seen.
                return input.is_empty().then_some(());
            }
            input = input.get(used..)?;
            if self.given > FREE_BYTES + RATIO * self.taken {
                return None;
            }
            text.push(piece.get(..made)?)?;
        }
    }
}

/// Between two members of gzip: checksum and length of one, then the head of the next, where a dot
/// is any byte. Optional fields of the head (RFC 1952, FLG) are refused; answers have none.
const GZIP: &[u8] = b"........\x1f\x8b\x08\0......";
const TRAILER: usize = 8;

struct Deflate {
    state: Box<InflateState>,
    format: DataFormat,
    /// Place in [`GZIP`]; compressed data is behind it.
    place: usize,
}

impl Deflate {
    fn new(format: DataFormat, place: usize) -> Self {
        let state = InflateState::new_boxed(format);
        Self { state, format, place }
    }
}

impl Coding for Deflate {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Option<Step> {
        if let Some(expected) = GZIP.get(self.place) {
            let Some(byte) = input.first() else {
                return Some((0, 0, self.place == TRAILER));
            };
            self.place += 1;
            return (*expected == b'.' || expected == byte).then_some((1, 0, false));
        }
        let result = inflate(&mut self.state, input, room, MZFlush::None);
        match result.status {
            Ok(MZStatus::StreamEnd) => {
                self.place = if self.format == DataFormat::Raw { 0 } else { TRAILER };
                self.state.reset(self.format);
            }
            // Nothing to do without more input.
            Ok(_) | Err(MZError::Buf) => {}
            Err(_) => return None,
        }
        Some((result.bytes_consumed, result.bytes_written, false))
    }
}

impl Coding for BrotliState<Heap, Heap, Heap> {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Option<Step> {
        let (mut left, mut used) = (input.len(), 0);
        let (mut free, mut made, mut total) = (room.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut left, &mut used, input, &mut free, &mut made, room, &mut total, self,
        );
        match result {
            BrotliResult::ResultFailure => None,
            BrotliResult::ResultSuccess => Some((used, made, true)),
            _ => Some((used, made, false)),
        }
    }
}

/// Memory for the brotli decoder, which fails on a cell shorter than it asked for.
struct Heap;

#[derive(Default)]
struct Cell<T>(Vec<T>);

impl<T: Clone + Default> Allocator<T> for Heap {
    type AllocatedMemory = Cell<T>;

    fn alloc_cell(&mut self, len: usize) -> Cell<T> {
        // The decoder asks for the window and less than 1 KiB around it.
        let allowed = len <= (WINDOW_BYTES + 1024) / size_of::<T>();
        Cell(if allowed { vec![T::default(); len] } else { Vec::new() })
    }

    fn free_cell(&mut self, _: Cell<T>) {}
}

impl<T> SliceWrapper<T> for Cell<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Cell<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// One frame. The library takes only whole parts (the frame's head, a block), gathered here, and
/// gives text once its window is full or the frame complete: a stream cut before tells nothing.
struct Zstd {
    frame: FrameDecoder,
    part: Vec<u8>,
}

impl Zstd {
    /// Longest head of a frame (RFC 8878, 3.1.1.1).
    const HEAD_BYTES: usize = 18;
    /// Taken at a time. Blocks can be 4 bytes for 128 KiB of text: this bounds what is held.
    const STEP_BYTES: usize = 64;

    fn new() -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(WINDOW_BYTES as u64);
        Self { frame, part: Vec::new() }
    }
}

impl Coding for Zstd {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Option<Step> {
        let made = self.frame.read(room).ok()?;
        let at_end = self.frame.blocks_decoded() > 0 && self.frame.is_finished();
        if made > 0 || at_end {
            // What was gathered beyond the end is another frame.
            return (!at_end || self.part.is_empty()).then_some((0, made, at_end));
        }
        let used = input.len().min(Self::STEP_BYTES);
        self.part.extend_from_slice(input.get(..used)?);
        if self.part.len() >= Self::HEAD_BYTES || self.frame.bytes_read_from_source() > 0 {
            let (read, _) = self.frame.decode_from_to(&self.part, &mut []).ok()?;
            // If it reads more than there is, it waits for the checksum.
            self.part.drain(..if read > self.part.len() { 0 } else { read });
        }
        Some((used, 0, false))
    }
}
