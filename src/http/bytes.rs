//! Byte strings, cut in two.

/// What stands before the first `separator`, and what behind it; `None` where there is none.
pub(crate) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    cut(bytes, memchr::memchr(separator, bytes))
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
