//! The host that a request or a URL names, split into its parts.

use std::fmt;
use std::net::Ipv6Addr;

use super::header::split_once;

/// The longest name that DNS knows (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// `Host` or `:authority`: a host, and perhaps a port (RFC 9110 section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port, if one is given.
    pub port: Option<u16>,
}

/// A host.
#[derive(Debug, Clone, Copy, Eq)]
pub enum Host<'a> {
    /// A name or an IPv4 address as sent, without a final dot. Compared case-insensitively.
    Name(&'a [u8]),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => one.eq_ignore_ascii_case(other),
            (Self::V6(one), Self::V6(other)) => one == other,
            (Self::Name(_), Self::V6(_)) | (Self::V6(_), Self::Name(_)) => false,
        }
    }
}

impl<'a> Authority<'a> {
    /// Splits an authority into host and port.
    ///
    /// # Errors
    ///
    /// Fails if programs could disagree about the host: user names, characters that names do not have, empty labels,
    /// several ports.
    pub fn parse(text: &'a [u8]) -> Result<Self, AuthorityError> {
        let (host, port) = if let Some(rest) = text.strip_prefix(b"[") {
            let (address, after) = split_once(rest, b']').ok_or(AuthorityError::Bracket)?;
            let address = std::str::from_utf8(address).ok().and_then(|address| address.parse().ok());
            if !matches!(after, [] | [b':', ..]) {
                return Err(AuthorityError::AfterBracket);
            }
            (Host::V6(address.ok_or(AuthorityError::Ipv6)?), after)
        } else {
            let end = text.iter().position(|&byte| byte == b':').unwrap_or(text.len());
            let (name, port) = text.split_at_checked(end).unwrap_or((text, b""));
            let name = name.strip_suffix(b".").unwrap_or(name);
            if !is_host_name(name) {
                return Err(AuthorityError::Host);
            }
            (Host::Name(name), port)
        };
        Ok(Self { host, port: parse_port(port).ok_or(AuthorityError::Port)? })
    }
}

/// Writes the name in lower case, and the port if there is one.
impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Name(name) => f.write_str(&String::from_utf8_lossy(&name.to_ascii_lowercase()))?,
            Host::V6(address) => write!(f, "[{address}]")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Why a text is not an [`Authority`]. Each message continues a sentence that begins with the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// A `[` without a `]`.
    #[error("has a `[` without `]`")]
    Bracket,
    /// The text after the `]` is not a port.
    #[error("has something after the `]` that is not a port")]
    AfterBracket,
    /// The text in brackets is not an IPv6 address.
    #[error("has a wrong IPv6 address")]
    Ipv6,
    /// The host is not a valid name.
    #[error("has no valid host")]
    Host,
    /// The port is not a number up to 65535.
    #[error("has a wrong port")]
    Port,
}

/// Returns whether a text can be a host name (RFC 1123 section 2.1, plus `_`, which some networks use).
pub(crate) fn is_host_name(name: &[u8]) -> bool {
    name.len() <= MAX_NAME
        && name.split(|&byte| byte == b'.').all(|label| {
            !label.is_empty()
                && label.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

/// Parses what follows a host: nothing, a colon, or a colon and a port. Returns `None` for anything else.
fn parse_port(text: &[u8]) -> Option<Option<u16>> {
    match text {
        [] | [b':'] => Some(None),
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(digits).ok()?.parse().ok().map(Some)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_programs_could_read_differently_is_none() {
        let long = "a".repeat(254);
        let hosts: &[&[u8]] = &[
            b"",
            b".",
            b"a..",
            b"a..b",
            b".a",
            b"a b",
            b"user@a",
            b"a@b",
            b"a,b",
            b"a/b",
            b"a\\b",
            b"a?b",
            b"a#b",
            b"a%2eb",
            b"a\0",
            b"a\xff",
            b"a:b",
            b"a:1:2",
            b"a:+1",
            b"a:65536",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[::1].",
            b"[fe80::1%25eth0]",
            b"[a]",
            long.as_bytes(),
        ];
        for host in hosts {
            assert!(Authority::parse(host).is_err(), "{}", host.escape_ascii());
        }
    }

    #[test]
    fn an_authority_keeps_its_port() {
        let port = |text: &str| Authority::parse(text.as_bytes()).unwrap().port;
        assert_eq!(port("a:8080"), Some(8080));
        assert_eq!(port("[::1]:8080"), Some(8080));
        assert_eq!(port("a"), None);
    }
}
