//! The facts about a session that rules can require.

use crate::http::UnixTime;

/// The facts that a valid session states about itself, as rules need them. Facts that it does not state are empty.
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
    /// The configured demands on claims that its token meets.
    pub claims: Vec<ClaimId>,
    /// The claims in which its token declares itself not to be an access token.
    pub other_use: UseClaims,
}

/// A demand on a claim, as its index among the configured ones. Rules need not know its content: each token is
/// checked against all demands when it is verified, and cached with those that it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimId(pub usize);

/// A subset of the claims in which issuers state what a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UseClaims {
    /// `typ`, which may be `ID` or `Refresh` (Keycloak).
    pub typ: bool,
    /// `token_use`, which may be `id` (Cognito).
    pub token_use: bool,
    /// `token_type`, which may be `refresh_token` in answers of introspection endpoints, `refresh` in tokens (Simple
    /// JWT).
    pub token_type: bool,
}
