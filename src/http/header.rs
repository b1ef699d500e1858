//! Header names and values: which names are equal once folded, which headers belong to the connection and never
//! travel, and which values may be set.

use std::fmt;

/// The headers that frame a message or concern one connection only (RFC 9110 section 7.6.1 and its predecessors). In
/// a call to an auth server, or in its answer, they describe that call, never the client's request or response.
const HOP_BY_HOP: [&[u8]; 12] = [
    b"connection",
    b"content-length",
    b"expect",
    b"http2-settings",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// Returns whether a header, in any spelling, frames a message, concerns one connection only, or is a pseudo header.
#[must_use]
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    name.first() == Some(&b':') || HOP_BY_HOP.iter().any(|known| is_same(known, name))
}

/// Returns whether two names are equal once folded.
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && begins_with(one, other)
}

/// Returns whether a name begins with `prefix` once both are folded.
#[must_use]
pub fn begins_with(name: &[u8], prefix: &[u8]) -> bool {
    name.len() >= prefix.len()
        && name
            .iter()
            .zip(prefix)
            .all(|(&byte, &expected)| byte == expected || folded(byte) == folded(expected))
}

/// Returns whether a value may become a header. It may not contain a control byte other than the tab (RFC 9110
/// section 5.5), so it cannot end the header and begin another one.
#[must_use]
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}

/// Returns whether a value contains an ASCII control byte.
#[must_use]
pub fn has_control(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_control)
}

/// Folds a byte of a name as the most lenient reader does. Some apps and gateways read `X_Authgear_User.Id` as
/// `x-authgear-user-id` (CGI turns everything but letters and digits into `_`).
const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// A text that is neither a header name nor a prefix of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is neither a header's name nor a beginning of names such as x-auth-*", text.escape_default())]
pub struct PatternError {
    text: String,
}

/// A header name, or a prefix of names. Matches every spelling. Displays as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// One name, in lower case.
    Name(String),
    /// All names with this prefix, which is in lower case and ends with a `-`.
    Prefix(String),
}

impl Pattern {
    /// Parses a name, or a prefix such as `x-auth-*`.
    ///
    /// # Errors
    ///
    /// Fails if the text is neither.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let lower = text.to_ascii_lowercase();
        if let Some(prefix) = lower.strip_suffix('*')
            && prefix.ends_with('-')
            && prefix.starts_with(|c: char| c.is_ascii_alphanumeric())
            && is_name(prefix)
        {
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        if lower.contains('*') || !is_name(&lower) {
            return Err(PatternError { text: text.to_owned() });
        }
        Ok(Self::Name(lower))
    }

    /// Returns whether the pattern matches a name.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Name(known) => is_same(known.as_bytes(), name),
            Self::Prefix(prefix) => begins_with(name, prefix.as_bytes()),
        }
    }

    /// Returns whether the pattern could match a name that begins with `prefix`.
    #[must_use]
    pub fn reaches(&self, prefix: &[u8]) -> bool {
        match self {
            Self::Name(name) => begins_with(name.as_bytes(), prefix),
            Self::Prefix(own) => begins_with(own.as_bytes(), prefix) || begins_with(prefix, own.as_bytes()),
        }
    }

    /// Returns the first hop-by-hop header that the pattern matches.
    #[must_use]
    pub fn hop_by_hop(&self) -> Option<&'static str> {
        let found = HOP_BY_HOP.iter().find(|known| self.matches(known))?;
        std::str::from_utf8(found).ok()
    }

    /// Returns whether two patterns match the same names.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) | (Self::Prefix(one), Self::Prefix(other)) => {
                is_same(one.as_bytes(), other.as_bytes())
            }
            (Self::Name(_), Self::Prefix(_)) | (Self::Prefix(_), Self::Name(_)) => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Returns whether a text can name a header or a cookie: a token (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token)
}

/// Returns whether a character may occur in a token.
#[must_use]
pub const fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '.' | '^' | '_' | '`' | '|' | '~'
        )
}

/// Splits at the first `separator`; `None` if there is none.
pub(crate) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(memchr::memchr(separator, bytes)?)?;
    Some((before, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_become_two_headers() {
        for value in [b"a\r\nx: y".as_slice(), b"a\nb", b"a\0", b"\x7f"] {
            assert!(!is_value(value), "{}", value.escape_ascii());
        }
        for value in [b"".as_slice(), b"a b\tc", "größe".as_bytes(), b"\xff"] {
            assert!(is_value(value), "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_control_byte_is_found_wherever_it_stands() {
        for byte in 0..=255u8 {
            for at in 0..20 {
                let mut value = [b' '; 20];
                value[at] = byte;
                assert_eq!(has_control(&value), byte.is_ascii_control(), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn what_is_of_a_connection_is_known_in_every_spelling() {
        for name in
            [b"connection".as_slice(), b"Transfer_Encoding", b"content.length", b"TE", b":path", b":new"]
        {
            assert!(is_hop_by_hop(name), "{}", name.escape_ascii());
        }
        for name in
            [b"host".as_slice(), b"cookie", b"content-type", b"te2", b"upgrade-insecure-requests", b""]
        {
            assert!(!is_hop_by_hop(name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_pattern_means_its_names_in_every_spelling_and_no_others() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("X-User", b"x-user", true),
            ("x-user", b"X_USER", true),
            ("x-user", b"x-user-id", false),
            ("x-user", b"x-use", false),
            ("x-auth-*", b"x-auth-", true),
            ("X-Auth-*", b"x-auth-user", true),
            ("x-auth-*", b"X.Auth_User", true),
            ("x-auth-*", b"x-auth", false),
            ("x-auth-*", b"x-author", false),
            ("x-auth-*", b"ax-auth-user", false),
            ("authorization", b"Authorization", true),
        ];
        for (pattern, name, expected) in cases {
            let found = Pattern::parse(pattern).unwrap().matches(name);
            assert_eq!(found, *expected, "{pattern}: {}", name.escape_ascii());
        }
    }

    #[test]
    fn what_is_neither_a_name_nor_a_beginning_of_names_is_refused() {
        for text in ["", "*", "-*", "x*", "x-*-y", "x-**", "x y", "x:", ":path", "ü", "x-\r\n", "**"] {
            let problem = Pattern::parse(text).unwrap_err().to_string();
            assert!(problem.contains("x-auth-*"), "{text:?}: {problem}");
        }
    }

    #[test]
    fn a_separator_is_on_neither_side() {
        let cases: &[(&[u8], Option<(&[u8], &[u8])>)] = &[
            (b".c", Some((b"", b"c"))),
            (b"a.c", Some((b"a", b"c"))),
            (b"a.c.d", Some((b"a", b"c.d"))),
            (b"a.", Some((b"a", b""))),
            (b".", Some((b"", b""))),
            (b"abc", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(split_once(bytes, b'.'), *expected, "{}", bytes.escape_ascii());
        }
    }
}
