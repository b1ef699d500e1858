//! The key that a token is bound to.

use super::base64url;
use super::members::{Members, value};

/// The SHA-256 of a public key's canonical form (RFC 7638). A token names the key that it is bound to by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thumbprint(pub(super) [u8; 32]);

impl Thumbprint {
    /// Parses the base64url text of a `jkt`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        base64url(text)?.try_into().ok().map(Self)
    }
}

/// What a token states about the key that its bearer must have (RFC 7800 section 3, RFC 9449 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Nothing: it is a bearer token.
    None,
    /// The bearer must prove possession of this key.
    Key(Thumbprint),
    /// The bearer must prove something else, or the claim is unclear.
    Unknown,
}

impl Binding {
    /// Reads the claim `cnf`.
    pub(super) fn of(cnf: Option<&str>) -> Self {
        let Some(cnf) = cnf else { return Self::None };
        let jkt = Members::parse(cnf).and_then(|members| members.get("jkt").and_then(value::<String>));
        jkt.and_then(|jkt| Thumbprint::parse(&jkt)).map_or(Self::Unknown, Self::Key)
    }
}
