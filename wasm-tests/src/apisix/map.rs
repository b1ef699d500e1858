//! A list of headers as it crosses the boundary to the module (proxy-wasm ABI 0.2.1, "serialized map"): the number of
//! headers, the lengths of each name and value, then the names and values, each followed by a zero byte. It is
//! separate from the filter's own code, so that a mistake is not made on both sides.

use super::exchange::Field;

pub(super) fn write(fields: &[Field]) -> Vec<u8> {
    let length =
        |bytes: &[u8]| u32::try_from(bytes.len()).expect("headers are shorter than 4 GiB").to_le_bytes();
    let count = u32::try_from(fields.len()).expect("fewer headers than 2^32");
    let mut bytes = count.to_le_bytes().to_vec();
    for (name, value) in fields {
        bytes.extend([length(name), length(value)].concat());
    }
    for (name, value) in fields {
        bytes.extend([name.as_slice(), b"\0", value, b"\0"].concat());
    }
    bytes
}

/// Parses a list; `None` if the bytes are not one.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<Field>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let count = number(0)?;
    let mut at = 4usize.checked_add(count.checked_mul(8)?)?;
    let mut part = |length: usize| {
        let part = bytes.get(at..at.checked_add(length)?)?.to_vec();
        at += length + 1;
        Some(part)
    };
    (0..count).map(|field| Some((part(number(4 + field * 8)?)?, part(number(8 + field * 8)?)?))).collect()
}
