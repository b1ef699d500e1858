//! The value of a credentials header: a scheme and a token (RFC 9110 section 11.4), read as Authgear reads it.

use super::{Carried, Found};
use crate::http::header::split_once;

/// Reads the token after a scheme. Any other scheme counts as nothing.
pub(super) fn read<'a>(value: &'a [u8], scheme: &[u8]) -> Found<'a> {
    let token = |token: &'a [u8]| Found::Token(Carried(token.into()));
    // Almost every request with a token takes this path. The rest is read byte by byte.
    if let Some(rest) = value.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(b" "))
        && !rest.is_empty()
        && rest.iter().all(|byte| matches!(byte, b'-'..=b'~'))
    {
        return token(rest);
    }
    let value = value.trim_ascii();
    if value.iter().any(|&byte| !byte.is_ascii() || byte.is_ascii_control() && byte != b'\t') {
        return Found::Unclear;
    }
    if value.split(|&byte| byte == b',').skip(1).any(starts_credentials) {
        return Found::Unclear;
    }
    // Authgear separates them by exactly one space. A second space belongs to the token, and a tab is not a space.
    let Some((word, rest)) = split_once(value, b' ') else {
        return Found::Nothing;
    };
    if !word.eq_ignore_ascii_case(scheme) || rest.is_empty() {
        return Found::Nothing;
    }
    // Tokens contain no comma (RFC 6750: b64token), so these are two headers after all.
    if rest.contains(&b',') || rest.contains(&b'\t') {
        return Found::Unclear;
    }
    token(rest)
}

/// Returns whether an element of a comma-separated list begins new credentials (`Bearer abc`) rather than continuing
/// the parameters of the scheme before it (`realm="x"`, as in Digest).
fn starts_credentials(element: &[u8]) -> bool {
    let element = element.trim_ascii();
    match split_once(element, b' ') {
        Some((word, rest)) => {
            !word.is_empty()
                && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte))
                && rest.trim_ascii_start().first() != Some(&b'=')
        }
        None => false,
    }
}
