//! A pattern of cookie names: one name, or all names with a prefix.

use std::fmt;

use crate::http::header;

/// A cookie name, or `prefix*` for all names with that prefix. Case-sensitive. Displays as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CookiePattern {
    /// One name.
    Name(String),
    /// All names with this prefix, which is never empty.
    Prefix(String),
}

/// A text that is neither a cookie name nor `prefix*`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is neither the name of a cookie nor a prefix such as _oauth2_proxy*", text.escape_default())]
pub struct CookiePatternError {
    text: String,
}

impl CookiePattern {
    /// Parses a pattern. Only its last character may be a `*`, and not its first.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a pattern.
    pub fn parse(text: &str) -> Result<Self, CookiePatternError> {
        let is_name = |name: &str| header::is_name(name) && !name.contains('*');
        match text.strip_suffix('*') {
            Some(prefix) if is_name(prefix) => Ok(Self::Prefix(prefix.to_owned())),
            None if is_name(text) => Ok(Self::Name(text.to_owned())),
            Some(_) | None => Err(CookiePatternError { text: text.to_owned() }),
        }
    }

    /// Returns whether the pattern matches a name.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Name(known) => known.as_bytes() == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_bytes()),
        }
    }

    /// Returns whether it matches every name that `other` matches.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => one == other,
            (Self::Name(_), Self::Prefix(_)) => false,
            (Self::Prefix(prefix), Self::Name(other) | Self::Prefix(other)) => {
                other.starts_with(prefix.as_str())
            }
        }
    }
}

impl fmt::Display for CookiePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_means_all_names_that_begin_so_and_nothing_else() {
        let pattern = |text| CookiePattern::parse(text).unwrap();
        for (text, name, is_meant) in [
            ("session", "session", true),
            ("session", "session2", false),
            ("session", "Session", false),
            ("_oauth2_proxy*", "_oauth2_proxy", true),
            ("_oauth2_proxy*", "_oauth2_proxy_1", true),
            ("_oauth2_proxy*", "_oauth2_prox", false),
        ] {
            assert_eq!(pattern(text).matches(name.as_bytes()), is_meant, "{text} {name}");
        }
        for text in ["*", "", "a*b", "**", "a**", "a=b", "a b"] {
            let problem = CookiePattern::parse(text).unwrap_err().to_string();
            assert!(problem.contains("prefix"), "{problem}");
        }
        for (one, other, covers) in [
            ("a*", "a", true),
            ("a*", "ab*", true),
            ("ab*", "a*", false),
            ("a", "a*", false),
            ("a", "a", true),
        ] {
            assert_eq!(pattern(one).covers(&pattern(other)), covers, "{one} {other}");
        }
    }
}
