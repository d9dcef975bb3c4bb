//! A writer of CBOR items (RFC 8949) that can also write them wrong.

/// Null.
pub const NULL: &[u8] = &[0xf6];

/// The head of an item: major type and argument, in shortest form.
pub fn head(major_type: u8, argument: u64) -> Vec<u8> {
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => head_with(major_type, bytes[7], &[]),
        24..=0xff => head_with(major_type, 24, &bytes[7..]),
        0x100..=0xffff => head_with(major_type, 25, &bytes[6..]),
        0x1_0000..=0xffff_ffff => head_with(major_type, 26, &bytes[4..]),
        _ => head_with(major_type, 27, &bytes),
    }
}

/// The head of an item in its longest form: nine bytes, whatever the argument.
pub fn longest_head(major_type: u8, argument: u64) -> Vec<u8> {
    head_with(major_type, 27, &argument.to_be_bytes())
}

fn head_with(major_type: u8, additional: u8, argument: &[u8]) -> Vec<u8> {
    [&[major_type << 5 | additional], argument].concat()
}

/// An unsigned integer.
pub fn unsigned(value: u64) -> Vec<u8> {
    head(0, value)
}

/// An integer of either sign.
pub fn integer(value: i64) -> Vec<u8> {
    match u64::try_from(value) {
        Ok(value) => head(0, value),
        Err(_) => head(1, value.unsigned_abs() - 1),
    }
}

/// A byte string.
pub fn bytes(value: &[u8]) -> Vec<u8> {
    [&head(2, value.len() as u64), value].concat()
}

/// A text string.
pub fn text(value: &str) -> Vec<u8> {
    [&head(3, value.len() as u64), value.as_bytes()].concat()
}

/// An array of encoded items.
pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

/// A map of encoded keys and values.
pub fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let entries_bytes: Vec<u8> = entries
        .iter()
        .flat_map(|(key, value)| [key.as_slice(), value])
        .flatten()
        .copied()
        .collect();
    [head(5, entries.len() as u64), entries_bytes].concat()
}

/// A byte string, or null.
pub fn bytes_or_null(value: Option<&[u8]>) -> Vec<u8> {
    value.map_or(NULL.to_vec(), bytes)
}
