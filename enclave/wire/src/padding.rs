//! Padded frames (PROTOCOL.md, section 3.3): what passes on a session in frames of a few sizes, so
//! that an observer sees how many of which there are, and no lengths. `formal/coq/Padding.v` has the
//! names `top`, `class`, `fill` and `opened` too; its `class` leaves the head out.

use alloc::vec::Vec;

use crate::Malformed;

/// Bytes of a frame's head: how many it carries.
pub const HEAD: usize = 2;
/// Sizes of whole frames: a token's event, a tool call, a page, the largest record of TLS.
pub const CLASSES: [usize; 4] = [512, 2048, 8192, 16_384];
/// What the largest frame carries.
pub const TOP: usize = CLASSES[3] - HEAD;

/// The size of the frame that carries so many bytes, of which there are at most [`TOP`].
pub fn class(carried: usize) -> usize {
    CLASSES.into_iter().find(|size| carried + HEAD <= *size).unwrap_or(CLASSES[3])
}

/// Makes a frame of 1 to [`TOP`] bytes that stand behind room for the head.
pub fn fill(frame: &mut Vec<u8>) {
    let carried = frame.len() - HEAD;
    // At most `TOP`, so it fits 16 bits.
    frame[..HEAD].copy_from_slice(&(carried as u16).to_be_bytes());
    frame.resize(class(carried), 0);
}

/// How many bytes the frame with this head carries. A frame larger than its class shows here too:
/// what follows it begins with zeros.
pub fn carries(head: [u8; HEAD]) -> Result<usize, Malformed> {
    match usize::from(u16::from_be_bytes(head)) {
        0 => Err(Malformed("padded frame: empty, or behind one of a wrong class")),
        carried if carried > TOP => Err(Malformed("padded frame: too long")),
        carried => Ok(carried),
    }
}

/// What a whole frame carries.
pub fn opened(frame: &[u8]) -> Result<&[u8], Malformed> {
    let (head, rest) = frame.split_first_chunk().ok_or(Malformed("padded frame: cut"))?;
    let carried = carries(*head)?;
    if frame.len() != class(carried) {
        return Err(Malformed("padded frame: wrong class"));
    }
    let (bytes, padding) = rest.split_at(carried);
    match padding.iter().all(|byte| *byte == 0) {
        true => Ok(bytes),
        false => Err(Malformed("padded frame: padding that is not zero")),
    }
}
