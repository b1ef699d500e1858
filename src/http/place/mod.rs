//! The places of a request that can hold a token: how to read one from each, and what remains of the request without
//! it. Does not judge tokens.
//!
//! A place with two tokens is unclear, even if they are equal: the programs behind could choose differently.

mod query;
mod scheme;

use std::borrow::Cow;
use std::fmt;

use self::query::Query;
use super::credential::{Secret, cookie_pairs, split_cookie};
use super::header::{self, is_name};
use super::{Field, Head};

const AUTHORIZATION: &[u8] = b"authorization";

/// The header in which a WebSocket client offers subprotocols (RFC 6455 section 11.3.4).
pub const WEBSOCKET_PROTOCOL: &[u8] = b"sec-websocket-protocol";

/// The most places of one project: each request is searched for a token in each of them.
pub const MAX_PLACES: usize = 32;

/// A place that can hold a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a header.
    Header {
        /// Its name, in lower case.
        name: Vec<u8>,
        /// The word before the token, in any case. `None` if the whole value is the token.
        scheme: Option<Vec<u8>>,
    },
    /// In the cookie with this name.
    Cookie(Vec<u8>),
    /// In the query parameter with this name, given decoded.
    Query(Vec<u8>),
    /// In the entry of `Sec-WebSocket-Protocol` with this prefix. The token follows the prefix.
    WebSocketProtocol(Vec<u8>),
}

/// The content of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// No token.
    Nothing,
    /// One token.
    Token(Carried<'a>),
    /// Several tokens, or bytes that no token has.
    Unclear,
}

/// A token as the request carries it, decoded. Prints as `[secret]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Carried<'a>(Cow<'a, [u8]>);

impl fmt::Debug for Carried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.secret().fmt(f)
    }
}

impl Carried<'_> {
    /// Returns the token.
    #[must_use]
    pub fn secret(&self) -> Secret<'_> {
        Secret::new(&self.0)
    }
}

impl<'a> Found<'a> {
    /// Reads a value that is a token as a whole, or empty. Tokens contain no comma (RFC 6750 section 2.1). With a
    /// comma, or with white space at an end, the value would be another token in the header of a call.
    fn whole(value: impl Into<Cow<'a, [u8]>>) -> Self {
        let value = value.into();
        let is_token = value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b',')
            && value.trim_ascii().len() == value.len();
        match value.is_empty() {
            true => Self::Nothing,
            false if is_token => Self::Token(Carried(value)),
            false => Self::Unclear,
        }
    }

    /// Combines the content of two parts of one place.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, found) | (found, Self::Nothing) => found,
            (Self::Token(_) | Self::Unclear, Self::Token(_) | Self::Unclear) => Self::Unclear,
        }
    }

    fn all(parts: impl Iterator<Item = Self>) -> Self {
        parts.fold(Self::Nothing, Self::and)
    }
}

impl Place {
    /// Returns `Authorization: Bearer` (RFC 6750 section 2.1), the default place.
    #[must_use]
    pub fn bearer() -> Self {
        Self::Header { name: AUTHORIZATION.to_vec(), scheme: Some(b"Bearer".to_vec()) }
    }

    /// Returns `Authorization: DPoP` (RFC 9449 section 7.1), the place of tokens that are bound to a key.
    #[must_use]
    pub fn dpop() -> Self {
        Self::Header { name: AUTHORIZATION.to_vec(), scheme: Some(b"DPoP".to_vec()) }
    }

    /// Returns whether this is the header of this name.
    #[must_use]
    pub fn is_header(&self, known: &[u8]) -> bool {
        matches!(self, Self::Header { name, .. } if name == known)
    }

    /// Returns whether two places are the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Header { name, scheme: Some(scheme) },
                Self::Header { name: other, scheme: Some(word) },
            ) => name == other && scheme.eq_ignore_ascii_case(word),
            _ => self == other,
        }
    }

    /// Returns whether a text can begin a subprotocol (RFC 6455 section 4.1: a token).
    #[must_use]
    pub fn is_protocol_prefix(text: &str) -> bool {
        is_name(text)
    }

    /// Finds the token in a request.
    #[must_use]
    #[inline(never)]
    pub fn find<'a>(&self, head: &Head<'a>) -> Found<'a> {
        match self {
            // Programs disagree about which of two counts, whatever they hold.
            Self::Header { name, .. } if name == AUTHORIZATION && head.values(name).nth(1).is_some() => {
                Found::Unclear
            }
            Self::Header { name, scheme } => {
                Found::all(head.values(name).map(|value| in_value(value, scheme.as_deref())))
            }
            Self::Cookie(wanted) => {
                let cookies = cookie_pairs(head).filter_map(split_cookie);
                Found::all(
                    cookies
                        .filter(|(name, _)| name == wanted)
                        .map(|(_, value)| Found::whole(unquoted(value))),
                )
            }
            Self::Query(wanted) => {
                let pairs = Query::of(head.path).pairs();
                Found::all(pairs.filter(|pair| pair.is_named(wanted)).map(|pair| Found::whole(pair.value())))
            }
            Self::WebSocketProtocol(prefix) => {
                let tokens = protocols(head).filter_map(|entry| entry.strip_prefix(prefix.as_slice()));
                Found::all(tokens.map(Found::whole))
            }
        }
    }

    /// Returns whether a header, in any spelling of its name, holds a token of this place.
    #[must_use]
    pub fn is_in(&self, field: Field<'_>) -> bool {
        let (known, value) = field;
        match self {
            Self::Header { name, scheme } => {
                header::is_same(known, name) && in_value(value, scheme.as_deref()) != Found::Nothing
            }
            Self::Cookie(_) | Self::Query(_) | Self::WebSocketProtocol(_) => false,
        }
    }
}

/// Reads one value of a header. Proxies join repeated headers with commas.
fn in_value<'a>(value: &'a [u8], scheme: Option<&[u8]>) -> Found<'a> {
    match scheme {
        Some(scheme) => scheme::read(value, scheme),
        None => Found::all(value.split(|&byte| byte == b',').map(|part| Found::whole(part.trim_ascii()))),
    }
}

/// Removes the quotes that may surround a cookie's value (RFC 6265 section 4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// Returns the subprotocols that a WebSocket client offers, from all lines.
fn protocols<'a>(head: &Head<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = head.values(WEBSOCKET_PROTOCOL).flat_map(|line| line.split(|&byte| byte == b','));
    lines.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty())
}

/// Returns the subprotocols that a WebSocket client offers, without tokens, joined as one header; `None` if none of
/// them is a token.
#[must_use]
pub fn protocols_without_tokens(head: &Head<'_>, places: &[Place]) -> Option<Vec<u8>> {
    let rest: Vec<_> = protocols(head).filter(|entry| !is_protocol_with_token(entry, places)).collect();
    let has_token = protocols(head).any(|entry| is_protocol_with_token(entry, places));
    has_token.then(|| rest.join(b", ".as_slice()))
}

/// Returns whether a header is one that some programs take for the subprotocols of a WebSocket client, by another
/// spelling of its name, and holds a token.
#[must_use]
pub fn is_other_protocols_with_token((name, value): Field<'_>, places: &[Place]) -> bool {
    name != WEBSOCKET_PROTOCOL
        && header::is_same(name, WEBSOCKET_PROTOCOL)
        && value.split(|&byte| byte == b',').any(|entry| is_protocol_with_token(entry.trim_ascii(), places))
}

fn is_protocol_with_token(entry: &[u8], places: &[Place]) -> bool {
    places.iter().any(|place| match place {
        Place::WebSocketProtocol(prefix) => entry.len() > prefix.len() && entry.starts_with(prefix),
        Place::Header { .. } | Place::Cookie(_) | Place::Query(_) => false,
    })
}

/// Returns a path and its query without tokens, otherwise unchanged. Everything that the filter builds from a
/// request's URL starts from this.
#[must_use]
pub fn path_without_tokens<'p>(path: &'p [u8], places: &[Place]) -> Cow<'p, [u8]> {
    let names = || {
        places.iter().filter_map(|place| match place {
            Place::Query(name) => Some(name),
            Place::Header { .. } | Place::Cookie(_) | Place::WebSocketProtocol(_) => None,
        })
    };
    if names().next().is_none() {
        return Cow::Borrowed(path);
    }
    let query = Query::of(path);
    query.without(|pair| !pair.is_empty() && names().any(|name| pair.is_named(name)))
}

#[cfg(test)]
mod tests;
