//! The path of a rule: exact, or a prefix of whole segments. It is matched against one reading of a request's path at
//! a time.

use crate::http::percent::{decode, has_stray_percent, unescape};

/// The path of a rule. Always plain: paths that programs read differently are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    kind: Kind,
    /// Decoded. A prefix has no final slash, so `/` is empty.
    path: Vec<u8>,
    /// Whether it contains only characters that need no escape in a URL.
    is_literal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
}

impl PathPattern {
    /// Parses a path that must match byte for byte. Escapes are optional: `/hello%20world` is `/hello world`.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong and what would be right.
    pub fn exact(text: &str) -> Result<Self, PathPatternError> {
        parse(text).map(|path| Self::new(Kind::Exact, path))
    }

    /// Parses a prefix of whole segments: `/a` matches `/a`, `/a/` and `/a/b`, but not `/ab`. A final slash makes no
    /// difference.
    ///
    /// # Errors
    ///
    /// Fails for the same reasons as [`PathPattern::exact`].
    pub fn prefix(text: &str) -> Result<Self, PathPatternError> {
        let mut path = parse(text)?;
        if path.last() == Some(&b'/') {
            path.pop();
        }
        Ok(Self::new(Kind::Prefix, path))
    }

    fn new(kind: Kind, path: Vec<u8>) -> Self {
        Self { kind, is_literal: path.iter().all(|&byte| stands_in_urls(byte)), path }
    }

    /// Returns whether a reading of a request's path matches.
    #[must_use]
    pub fn is_met_by(&self, reading: &[u8]) -> bool {
        let ends_here = |rest: &[u8]| match self.kind {
            Kind::Exact => rest.is_empty(),
            Kind::Prefix => matches!(rest, [] | [b'/', ..]),
        };
        if !self.is_literal {
            return self.strip(reading).is_some_and(ends_here);
        }
        // Checks the end first: it distinguishes most rules with a common prefix without comparing that prefix.
        let split = reading.split_at_checked(self.path.len());
        split.is_some_and(|(start, rest)| ends_here(rest) && start == self.path)
    }

    /// Returns whether every path matches.
    #[must_use]
    pub const fn is_met_by_all(&self) -> bool {
        self.path.is_empty()
    }

    /// Returns what follows the pattern in `reading`. A character that must be escaped in URLs has two spellings: its
    /// escape and, in a decoded path, itself.
    fn strip<'r>(&self, reading: &'r [u8]) -> Option<&'r [u8]> {
        let mut rest = reading;
        for &byte in &self.path {
            rest = match rest {
                [first, tail @ ..] if *first == byte => tail,
                [b'%', high, low, tail @ ..]
                    if !stands_in_urls(byte) && unescape(*high, *low) == Some(byte) =>
                {
                    tail
                }
                _ => return None,
            };
        }
        Some(rest)
    }
}

/// Returns whether a byte is in `pchar` (RFC 3986 section 3.3), or the slash.
fn stands_in_urls(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte)
}

/// Parses a path and decodes its escapes.
fn parse(text: &str) -> Result<Vec<u8>, PathPatternError> {
    let shown = || text.escape_default().to_string();
    if !text.starts_with('/') {
        return Err(PathPatternError::NoSlash(shown()));
    }
    if let Some(odd) = text.chars().find(|c| "?#".contains(*c)) {
        return Err(PathPatternError::Query(shown(), odd));
    }
    if let Some(odd) = text.chars().find(|c| "*{}".contains(*c)) {
        return Err(PathPatternError::Wildcard(shown(), odd));
    }
    if has_stray_percent(text.as_bytes()) {
        return Err(PathPatternError::StrayPercent(shown()));
    }
    if let Some(odd) = "/.?#".chars().find(|odd| has_escaped(text, *odd)) {
        return Err(PathPatternError::Escaped(shown(), odd));
    }
    let path = decode(text.as_bytes(), |_byte| true).unwrap_or_else(|| text.as_bytes().to_vec());
    if path.iter().any(u8::is_ascii_control) || std::str::from_utf8(&path).is_err() {
        return Err(PathPatternError::NoText(shown()));
    }
    if let Some(odd) = path.iter().find(|byte| b"\\;%".contains(byte)) {
        return Err(PathPatternError::Ambiguous(shown(), char::from(*odd)));
    }
    let mut segments = path.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment == b"." || segment == b".." {
            return Err(PathPatternError::DotSegment(shown()));
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Err(PathPatternError::EmptySegment(shown()));
        }
    }
    Ok(path)
}

/// Returns whether a text contains a character in escaped form.
fn has_escaped(text: &str, character: char) -> bool {
    let escape = format!("%{:02x}", u32::from(character));
    text.to_ascii_lowercase().contains(&escape)
}

/// Why a text is not a [`PathPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// It does not begin with a slash.
    #[error("`{0}` does not begin with a slash, as every path does")]
    NoSlash(String),
    /// A query or a fragment.
    #[error("`{0}` has a `{1}`; rules see the path only, never a query or a fragment")]
    Query(String, char),
    /// Something that looks like a wildcard or a placeholder.
    #[error("`{0}` has a `{1}`, but there are no wildcards; `prefix` matches all below it")]
    Wildcard(String, char),
    /// A `%` without two hexadecimal digits.
    #[error("`{0}` has a `%` that begins no escape")]
    StrayPercent(String),
    /// An escaped character that some programs decode and others keep.
    #[error("`{0}` has an escaped `{1}`, which programs read differently")]
    Escaped(String, char),
    /// A control character, or bytes that are not UTF-8.
    #[error("`{0}` has a control character, or bytes that are not UTF-8")]
    NoText(String),
    /// A character that some programs read as a different one.
    #[error("`{0}` has a `{1}`, which programs read differently; leave it out")]
    Ambiguous(String, char),
    /// `.` or `..`.
    #[error("`{0}` has a dot segment; write the path that it leads to")]
    DotSegment(String),
    /// Two slashes in a row.
    #[error("`{0}` has two slashes in a row; leave one out")]
    EmptySegment(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_whole_segments_and_a_path_only_itself() {
        let prefix = |text| PathPattern::prefix(text).unwrap();
        let exact = |text| PathPattern::exact(text).unwrap();
        #[rustfmt::skip]
        let cases: &[(PathPattern, &[&str], &[&str])] = &[
            (prefix("/a"), &["/a", "/a/", "/a/b"], &["/", "/ab", "/A", "/b/a", "/a.", "/%61", ""]),
            (prefix("/a/"), &["/a", "/a/", "/a/b"], &["/", "/ab"]),
            (prefix("/a/b"), &["/a/b", "/a/b/c"], &["/a", "/a/", "/a/bc"]),
            (prefix("/"), &["/", "/a", "//", "/a/b"], &[]),
            (exact("/"), &["/"], &["//", "/a"]),
            (exact("/a"), &["/a"], &["/a/", "/a/b", "/ab", "/A"]),
            (exact("/a/"), &["/a/"], &["/a", "/a/b"]),
            (prefix("/b c"), &["/b c", "/b%20c/d"], &["/b+c", "/b%2520c", "/b"]),
            (prefix("/b%20c"), &["/b c/d", "/b%20c"], &["/b%2", "/b%20"]),
            (exact("/größe"), &["/größe", "/gr%C3%B6%C3%9Fe", "/gr%c3%b6ße"], &["/gr%F6%DFe", "/grosse"]),
            (exact("/%7Eme"), &["/~me"], &["/%7Eme"]),
        ];
        for (pattern, met, not_met) in cases {
            for reading in *met {
                assert!(pattern.is_met_by(reading.as_bytes()), "{pattern:?} {reading}");
            }
            for reading in *not_met {
                assert!(!pattern.is_met_by(reading.as_bytes()), "{pattern:?} {reading}");
            }
        }
    }

    #[test]
    fn a_path_that_no_plain_request_could_meet_is_refused() {
        for (text, expected) in [
            ("", "slash"),
            ("a", "slash"),
            ("*", "slash"),
            ("http://a/b", "slash"),
            ("/a?b", "`?`"),
            ("/a#b", "`#`"),
            ("/a/*", "wildcards"),
            ("/users/{id}", "wildcards"),
            ("//", "two slashes"),
            ("/a//b", "two slashes"),
            ("/a/../b", "dot segment"),
            ("/a/.", "dot segment"),
            ("/a/%2e%2e/b", "escaped `.`"),
            ("/a%2Fb", "escaped `/`"),
            ("/a%3Fb", "escaped `?`"),
            ("/a\\b", "`\\`"),
            ("/a%5cb", "`\\`"),
            ("/a;v=1", "`;`"),
            ("/a%3bv", "`;`"),
            ("/100%", "begins no escape"),
            ("/100%25", "`%`"),
            ("/a%u002f", "begins no escape"),
            ("/a\tb", "control"),
            ("/a%00", "control"),
            ("/a%ff", "UTF-8"),
        ] {
            for parse in [PathPattern::exact, PathPattern::prefix] {
                let problem = parse(text).unwrap_err();
                assert!(problem.to_string().contains(expected), "{text:?}: {problem}");
            }
        }
    }
}
