//! What rules demand of a session.

use crate::http::UnixTime;

/// What a valid session states about itself, for rules that require something of it. What it does not state
/// stays empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFacts {
    /// Whether the user is verified.
    pub verified: Option<bool>,
    /// Whether the user is anonymous.
    pub anonymous: Option<bool>,
    /// The user's roles.
    pub roles: Vec<Vec<u8>>,
    /// The scopes of the token.
    pub scopes: Vec<Vec<u8>>,
    /// How the user authenticated.
    pub amr: Vec<Vec<u8>>,
    /// When the user authenticated.
    pub authenticated_at: Option<UnixTime>,
}
