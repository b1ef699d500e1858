//! Lists of headers in the form in which they cross the boundary to the proxy: the number of headers, the lengths of
//! each name and value (32-bit little-endian), then the names and values, each followed by a zero byte (proxy-wasm
//! ABI 0.2.1, "serialized map").

use crate::http::Field;

/// Decodes a proxy's list. `None` if the bytes are malformed.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let (count, rest) = length(bytes)?;
    let (lengths, mut data) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut fields = Vec::with_capacity(count);
    for pair in lengths.chunks_exact(8) {
        let (name_length, rest) = length(pair)?;
        let (value_length, _) = length(rest)?;
        let name = terminated(&mut data, name_length)?;
        let value = terminated(&mut data, value_length)?;
        fields.push((name, value));
    }
    Some(fields)
}

/// Encodes a list for the proxy. `None` if a length does not fit into 32 bits.
#[must_use]
pub fn encode<'a>(fields: impl Iterator<Item = Field<'a>> + Clone) -> Option<Vec<u8>> {
    let (count, size) = fields.clone().fold((0usize, 4usize), |(count, size), (name, value)| {
        let size = size.saturating_add(name.len()).saturating_add(value.len()).saturating_add(10);
        (count.saturating_add(1), size)
    });
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    for (name, value) in fields.clone() {
        bytes.extend_from_slice(&u32::try_from(name.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
    }
    for part in fields.flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    Some(bytes)
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*length)).ok()?, rest))
}

fn terminated<'a>(data: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (part, rest) = data.split_at_checked(length)?;
    *data = rest.strip_prefix(b"\0")?;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;

    fn fields() -> Fields {
        [(b"a".as_slice(), b"b".as_slice()), (b"", b""), (b"cookie", b"\0\xff"), (b"cookie", b"x")]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_list_crosses_the_boundary_unchanged_whatever_bytes_it_holds() {
        for fields in [fields(), Fields::default()] {
            let bytes = encode(fields.iter()).unwrap();
            let read: Fields = decode(&bytes).unwrap().into_iter().collect();
            assert_eq!(read, fields);
        }
        assert_eq!(decode(b""), Some(Vec::new()), "a proxy's empty list may be no bytes at all");
    }

    #[test]
    fn a_list_that_is_cut_or_lies_about_its_lengths_is_none() {
        let whole = encode(fields().iter()).unwrap();
        for cut in 1..whole.len() {
            assert_eq!(decode(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(decode(&[0xff; 64]), None);
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None);
    }
}
