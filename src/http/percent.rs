//! Percent-encoding (RFC 3986 section 2.1). The `percent-encoding` crate encodes. It decodes either every escape or
//! none, and paths need only some decoded, so decoding is done here.

use std::borrow::Cow;
use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// Everything but unreserved characters (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes everything but unreserved characters, so that the bytes stay one value anywhere in a URL.
pub(crate) fn encode(bytes: &[u8]) -> impl Display + '_ {
    percent_encode(bytes, RESERVED)
}

/// Returns whether a byte is an unreserved character (RFC 3986 section 2.3), which means the same as its escape.
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Decodes the escapes of the wanted bytes, once; `None` if there are none.
pub(crate) fn decode(path: &[u8], wanted: fn(u8) -> bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    loop {
        match rest {
            [] => break,
            [b'%', high, low, tail @ ..] if unescape(*high, *low).is_some_and(wanted) => {
                out.extend(unescape(*high, *low));
                rest = tail;
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    (out.len() != path.len()).then_some(out)
}

/// Decodes a name or value of a query like a form (URL standard): `+` is a space, every escape is decoded once, and a
/// `%` that begins no escape stays.
pub(crate) fn decode_form(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    Cow::Owned(decode(&spaced, |_byte| true).unwrap_or(spaced))
}

/// Decodes the two hexadecimal digits of an escape (RFC 3986 section 2.1).
pub(crate) fn unescape(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// Returns whether some `%` begins no escape. Some programs drop it, some refuse the path, some read `%u002f`.
pub(crate) fn has_stray_percent(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'%').skip(1).any(|after| !after.first_chunk().is_some_and(is_escape))
}

fn is_escape(digits: &[u8; 2]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
}
