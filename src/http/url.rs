//! URLs of a configuration: `http` or `https`, a host, perhaps a port and a path, and a query only where one makes
//! sense.

use std::fmt;

use super::authority::{Authority, AuthorityError};

/// How a server is, or was, reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// Returns the scheme as in `:scheme` and `X-Forwarded-Proto`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(crate) const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// An absolute URL without user or fragment (RFC 3986). The host is in lower case, and the scheme's default port is
/// left out. Prints without the text of its query, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    authority: String,
    path: String,
    /// Begins with `?`, or is empty.
    query: String,
}

impl Url {
    /// Parses a URL without a query.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Self::parse_with_query(text)?;
        if !url.query.is_empty() {
            return Err(UrlError::Query(shown(text)));
        }
        Ok(url)
    }

    /// Parses a URL that may have a query.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong with it.
    pub fn parse_with_query(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            _ => return Err(UrlError::Scheme(shown(text))),
        };
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(*c)) {
            return Err(UrlError::Character(shown(text), odd));
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment(shown(text)));
        }
        let (rest, query) = rest.find('?').and_then(|mark| rest.split_at_checked(mark)).unwrap_or((rest, ""));
        let (authority, path) = match rest.find('/').and_then(|slash| rest.split_at_checked(slash)) {
            Some((authority, path)) => (authority, path),
            None => (rest, "/"),
        };
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let mut read = Authority::parse(authority.as_bytes())
            .map_err(|error| UrlError::Authority(shown(text), error))?;
        // A colon without a port, or port 0, is a typing mistake.
        if authority.ends_with(':') || read.port == Some(0) {
            return Err(UrlError::Authority(shown(text), AuthorityError::Port));
        }
        read.port = read.port.filter(|port| *port != scheme.default_port());
        let authority = read.to_string();
        Ok(Self { scheme, authority, path: path.to_owned(), query: query.to_owned() })
    }

    /// Returns the scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns `host`, or `host:port` if the port is not the scheme's default: the value of `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the path; `/` if there is none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path, with the query if there is one: the request target.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        format!("{}{}", self.path, self.query)
    }

    /// Returns a URL of the same server with another path, which begins with a slash, and without a query.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        Self { path: path.to_owned(), query: String::new(), ..self.clone() }
    }

    /// Returns `scheme://authority` (RFC 6454 section 6.2), as in `iss`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.authority)
    }
}

/// Shown in place of a query.
const HIDDEN_QUERY: &str = "?…";

/// Returns a text as it may be shown: without its query.
fn shown(text: &str) -> String {
    match text.split_once('?') {
        Some((shown, _)) => format!("{shown}{HIDDEN_QUERY}"),
        None => text.to_owned(),
    }
}

/// Why a text is not a [`Url`]. No variant holds the text of a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http://` nor `https://`.
    #[error("`{0}` is not an http:// or https:// URL")]
    Scheme(String),
    /// A character that no URL has.
    #[error("`{}` has a character that URLs cannot have: '{}'", .0.escape_default(), .1.escape_default())]
    Character(String, char),
    /// A query, where none makes sense.
    #[error("`{0}` has a query; only scheme, host, port and path are used")]
    Query(String),
    /// A fragment.
    #[error("`{0}` has a fragment, which is never sent")]
    Fragment(String),
    /// A user name or a password. It is not shown.
    #[error("a URL with a user name or password is refused")]
    User,
    /// The host is one that programs could read differently.
    #[error("`{0}` {1}")]
    Authority(String, #[source] AuthorityError),
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = if self.query.is_empty() { "" } else { HIDDEN_QUERY };
        write!(f, "{}://{}{}{query}", self.scheme.as_str(), self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        #[rustfmt::skip]
        let cases = [
            ("https://myapp.authgear.cloud", "https", "myapp.authgear.cloud", "/"),
            ("https://myapp.authgear.cloud/", "https", "myapp.authgear.cloud", "/"),
            ("HTTPS://MyApp.Authgear.Cloud:443/a/B", "https", "myapp.authgear.cloud", "/a/B"),
            ("http://localhost:3001/_resolver/resolve", "http", "localhost:3001", "/_resolver/resolve"),
            ("http://a:80", "http", "a", "/"),
            ("https://a:80", "https", "a:80", "/"),
            ("http://[::1]:8080/x", "http", "[::1]:8080", "/x"),
            ("http://auth_o.tron-1:8080", "http", "auth_o.tron-1:8080", "/"),
        ];
        for (text, scheme, authority, path) in cases {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.scheme().as_str(), url.authority(), url.path()),
                (scheme, authority, path),
                "{text}"
            );
        }
    }

    #[test]
    fn a_query_is_read_only_where_it_is_of_use() {
        for (text, path) in [
            ("http://a/auth?allowed_groups=x&y=/z?", "/auth?allowed_groups=x&y=/z?"),
            ("http://a?x=/y", "/?x=/y"),
            ("http://a/", "/"),
            ("http://a/?", "/?"),
        ] {
            let url = Url::parse_with_query(text).unwrap();
            assert_eq!((url.authority(), url.path_and_query().as_str()), ("a", path), "{text}");
            assert_eq!(Url::parse(text).is_err(), path.contains('?'), "{text}");
            assert_eq!(url.with_path("/b").to_string(), "http://a/b");
        }
        assert!(Url::parse_with_query("http://a/?x#y").unwrap_err().to_string().contains("fragment"));
        assert!(Url::parse_with_query("http://a/?<x>").unwrap_err().to_string().contains("character"));
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused_with_the_reason() {
        let cases = [
            ("", "not an http"),
            ("myapp.authgear.cloud", "not an http"),
            ("ftp://a", "not an http"),
            ("https://", "no valid host"),
            ("https:///path", "no valid host"),
            ("https://a b", "character"),
            ("https://a/\r\nx: y", "character"),
            ("https://münchen.example", "character"),
            ("https://user:pass@a", "user name"),
            ("https://a?x=y", "query"),
            ("https://a/#f", "fragment"),
            ("https://a:0", "port"),
            ("https://a:+1", "port"),
            ("https://a:65536", "port"),
            ("https://a:", "port"),
            ("https://[::1", "`]`"),
            ("https://[nope]", "IPv6"),
            ("https://[::1]x", "`]`"),
            ("https://a%41", "no valid host"),
        ];
        for (text, expected) in cases {
            let problem = Url::parse(text).unwrap_err().to_string();
            assert!(problem.contains(expected), "{text:?}: {problem}");
        }
    }
}
