//! Changes of bytes that are bytes themselves. Shared by
//! the fuzzing of the verifier and of release lists.

/// Applies a list of edits, each `KIND PLACE PLACE ARGUMENT` and what follows: a byte replaced, up to
/// 15 bytes put in, a range removed, a range repeated, the rest cut off.
pub(crate) fn edit(bytes: &mut Vec<u8>, mut edits: &[u8]) {
    while let [kind, high, low, argument, rest @ ..] = edits {
        edits = rest;
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (bytes.len() + 1);
        let end = (at + usize::from(*argument)).min(bytes.len());
        match kind % 5 {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = *argument),
            1 => {
                let (new, rest) = edits.split_at(edits.len().min(usize::from(argument % 16)));
                bytes.splice(at..at, new.iter().copied());
                edits = rest;
            }
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend_from_within(at..end),
            _ => bytes.truncate(at),
        }
    }
}
