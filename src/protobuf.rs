//! The part of protobuf's wire format that the filter needs: reads fields of bytes, varints and 64-bit numbers, and
//! writes fields of bytes.

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire<'a> {
    /// An integer, a boolean or an enum.
    Varint(u64),
    /// A double, or a fixed-width integer, in little-endian order.
    Fixed64([u8; 8]),
    /// A string, bytes, or a message.
    Bytes(&'a [u8]),
}

/// Iterates over the fields of a message, with their numbers. Yields `None` inside `Some` if the bytes are malformed.
#[derive(Debug, Clone)]
pub struct WireFields<'a>(&'a [u8]);

impl<'a> WireFields<'a> {
    /// Reads the fields of this message.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64u32).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.take(8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            _ => return None,
        };
        Some((tag >> 3, wire))
    }
}

impl<'a> Iterator for WireFields<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Appends a field of bytes. The field number must be below 16.
pub fn push_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push(low_bits(length) | 0x80);
        length >>= 7;
    }
    message.push(low_bits(length));
    message.extend_from_slice(bytes);
}

/// Returns the low seven bits, the payload of one byte of a varint.
fn low_bits(value: usize) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let fields = [(1, vec![]), (2, vec![1; 127]), (3, vec![2; 128]), (15, vec![3; 20_000])];
        let mut message = Vec::new();
        for (number, bytes) in &fields {
            push_bytes(&mut message, *number, bytes);
        }
        let read: Vec<_> = WireFields::new(&message).map(Option::unwrap).collect();
        let expected: Vec<_> =
            fields.iter().map(|(number, bytes)| (u64::from(*number), Wire::Bytes(bytes))).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_message_that_is_cut_short_is_none() {
        let mut message = Vec::new();
        push_bytes(&mut message, 1, &[1; 200]);
        for length in 1..message.len() {
            let cut = message.get(..length).unwrap();
            assert_eq!(WireFields::new(cut).collect::<Vec<_>>(), [None], "{length}");
        }
    }
}
