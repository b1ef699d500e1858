//! Byte strings, compared and cut where every request has it done.

/// Whether two are the same. Eight bytes at a time, because the module's `memcmp` takes one: 0.5 µs more for a token
/// of 1 KB.
pub(crate) fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    one.len() == other.len()
        && words
            .iter()
            .zip(other_words)
            .all(|(one, other)| u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other))
        && rest.iter().zip(other_rest).all(|(one, other)| one == other)
}

/// What stands before the byte at a place, and what behind it; `None` where there is no such place.
pub(crate) fn cut(bytes: &[u8], at: Option<usize>) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(at?)?;
    Some((before, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_in_any_byte_or_in_length_are_not_the_is_equal() {
        for length in 0..40 {
            let key: Vec<u8> = (0..length).map(|at: u8| at.wrapping_mul(37)).collect();
            assert!(is_equal(&key, &key.clone()));
            assert!(!is_equal(&key, &[key.as_slice(), &[0]].concat()));
            assert!(!is_equal(&[key.as_slice(), &[0; 8]].concat(), &key));
            for bit in 0..key.len() * 8 {
                let mut other = key.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_equal(&key, &other), "bit {bit} of {length} bytes");
            }
        }
    }

    #[test]
    fn the_byte_that_is_cut_at_is_on_neither_side() {
        for (at, expected) in [
            (Some(0), Some((b"".as_slice(), b".c".as_slice()))),
            (Some(1), Some((b"a", b"c"))),
            (Some(2), Some((b"a.", b""))),
            (Some(3), None),
            (Some(4), None),
            (None, None),
        ] {
            assert_eq!(cut(b"a.c", at), expected, "{at:?}");
        }
    }
}
