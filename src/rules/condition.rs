//! Which requests a rule applies to. Where a request is unclear, so is the answer: the demands of such a rule apply
//! too, but it never hides the rules after it.

use super::host::HostPattern;
use super::path::PathPattern;
use crate::http::authority::Host;
use crate::http::header::is_name;

/// Whether a rule applies to a request, in order of certainty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    No,
    /// Some program could think so.
    Maybe,
    Yes,
}

/// One reading of a request. `None` means that the value is unclear.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) method: &'a [u8],
    pub(super) host: Option<Host<'a>>,
    pub(super) path: Option<&'a [u8]>,
}

/// The requests that a rule applies to. The default applies to all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// The path; any if `None`.
    pub path: Option<PathPattern>,
    /// One of these methods; any if empty.
    pub methods: Vec<Method>,
    /// One of these hosts; any if empty.
    pub hosts: Vec<HostPattern>,
}

impl Condition {
    pub(super) fn matches(&self, reading: &Reading<'_>) -> Match {
        let path = match (&self.path, reading.path) {
            (None, _) => Match::Yes,
            (Some(pattern), None) => {
                if pattern.is_met_by_all() {
                    Match::Yes
                } else {
                    Match::Maybe
                }
            }
            (Some(pattern), Some(path)) => {
                if pattern.is_met_by(path) {
                    Match::Yes
                } else {
                    Match::No
                }
            }
        };
        if path == Match::No {
            return Match::No;
        }
        let method = self.methods.iter().map(|method| method.matches(reading.method)).max();
        let host = match reading.host {
            _ if self.hosts.is_empty() => Match::Yes,
            None => Match::Maybe,
            Some(host) => {
                if self.hosts.iter().any(|pattern| pattern.is_met_by(host)) {
                    Match::Yes
                } else {
                    Match::No
                }
            }
        };
        path.min(method.unwrap_or(Match::Yes)).min(host)
    }
}

/// Why a text is not a [`Method`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// It is not a token (RFC 9110 section 9.1).
    #[error("`{0}` is not a method; right would be GET or POST")]
    NoToken(String),
    /// It has lower-case letters. In upper case it would be right.
    #[error("`{0}` is not as methods are sent; right would be {1}")]
    LowerCase(String, String),
}

/// A method, in upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method(String);

impl Method {
    /// Parses a method.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, MethodError> {
        if !is_name(text) {
            return Err(MethodError::NoToken(text.escape_default().to_string()));
        }
        let upper = text.to_ascii_uppercase();
        if upper != text {
            return Err(MethodError::LowerCase(text.to_owned(), upper));
        }
        Ok(Self(upper))
    }

    /// Matches a method. GET includes HEAD, which asks for the same resource. By RFC 9110 section 9.1 a method in
    /// lower case is a different method, but some programs treat it as the same.
    fn matches(&self, method: &[u8]) -> Match {
        let expected = self.0.as_bytes();
        if method == expected || (expected == b"GET" && method == b"HEAD") {
            Match::Yes
        } else if method.eq_ignore_ascii_case(expected)
            || (expected == b"GET" && method.eq_ignore_ascii_case(b"HEAD"))
        {
            Match::Maybe
        } else {
            Match::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_itself_and_get_includes_head() {
        let matches = |rule, method: &str| Method::parse(rule).unwrap().matches(method.as_bytes());
        assert_eq!(matches("GET", "GET"), Match::Yes);
        assert_eq!(matches("GET", "HEAD"), Match::Yes);
        assert_eq!(matches("HEAD", "GET"), Match::No);
        assert_eq!(matches("GET", "GETS"), Match::No);
        assert_eq!(matches("GET", "get"), Match::Maybe);
        assert_eq!(matches("GET", "Head"), Match::Maybe);
        assert_eq!(matches("M-SEARCH", "M-SEARCH"), Match::Yes);
    }

    #[test]
    fn what_could_never_be_a_requests_method_is_refused() {
        for (text, expected) in
            [("", "not a method"), ("GET POST", "not a method"), ("GET,POST", "not a method"), ("get", "GET")]
        {
            let problem = Method::parse(text).unwrap_err().to_string();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
