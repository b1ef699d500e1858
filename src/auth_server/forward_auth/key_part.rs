//! The inputs of an auth server that an answer may be cached for, as they are configured.

use super::CookiePattern;
use crate::http::header;

/// The inputs that an answer is cached for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheKey {
    /// Everything that is sent, except tracing headers.
    Sent,
    /// These inputs, as far as they are sent.
    Parts(Vec<KeyPart>),
}

/// An input of the auth server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// `header:<name>`, in lower case; all values if it is repeated.
    Header(String),
    /// `cookie:<name>` or `cookie:<prefix>*`; all values if it is repeated.
    Cookie(CookiePattern),
    /// `method`
    Method,
    /// `host`
    Host,
    /// `path`: with the query.
    Path,
    /// `client_ip`
    ClientIp,
}

/// A text that is not a [`KeyPart`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is none of header:<name>, cookie:<name>, cookie:<prefix>*, method, host, path and client_ip",
    text.escape_default()
)]
pub struct KeyPartError {
    text: String,
}

impl KeyPart {
    /// Parses a part as typed.
    ///
    /// # Errors
    ///
    /// Fails if the text is not a part.
    pub fn parse(text: &str) -> Result<Self, KeyPartError> {
        let part = match text.split_once(':') {
            Some(("header", name)) if header::is_name(name) => Some(Self::Header(name.to_ascii_lowercase())),
            Some(("cookie", name)) => CookiePattern::parse(name).ok().map(Self::Cookie),
            Some(_) => None,
            None => match text {
                "method" => Some(Self::Method),
                "host" => Some(Self::Host),
                "path" => Some(Self::Path),
                "client_ip" => Some(Self::ClientIp),
                _ => None,
            },
        };
        part.ok_or_else(|| KeyPartError { text: text.to_owned() })
    }
}
