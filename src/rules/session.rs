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
    /// Which of the configured demands on claims its token meets.
    pub claims: Vec<ClaimId>,
    /// By which claims its token says that it is no access token.
    pub other_use: UseClaims,
}

/// A demand on a claim, by its place among those of the configuration. What it demands is not for rules to know: a
/// token is held against all of them when it is verified, and remembered with what it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimId(pub usize);

/// Some of the claims by which issuers say what a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UseClaims {
    /// `typ`, which may be `ID` or `Refresh` (Keycloak).
    pub typ: bool,
    /// `token_use`, which may be `id` (Cognito).
    pub token_use: bool,
}
