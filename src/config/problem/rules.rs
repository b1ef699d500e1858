//! Why rules, or the terms beside them, are refused.

use super::Quoted;
use crate::http::url::UrlError;

/// Why a field of a rule, or of the terms beside the rules, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// `prefix` together with `path`.
    #[error("cannot be combined with `path`; a rule has one of the two")]
    BesidePath,
    /// `require` together with an `access` that lets people without a session pass.
    #[error("conflicts with `require`, which allows only `required`")]
    BesideRequire,
    /// No rule denies anybody for lack of a session.
    #[error("nothing is denied for it; say `access: required`, or give a rule that does")]
    NothingDenied,
    /// The rule denies nobody for lack of a session.
    #[error("nothing is denied for it here; say `access: required`")]
    NothingDeniedHere,
    /// Nothing is required of a session, and no server forbids.
    #[error("nothing is forbidden without a `require`; give one, or leave this out")]
    NothingForbidden,
    /// No server is asked on a public route.
    #[error("nobody is asked on a `public` route; leave it out")]
    NobodyAsked,
    /// There is no server to ask at another URL.
    #[error("needs a `forward_auth` beside the rules, whose server it asks")]
    NoServer,
    /// The URL is invalid.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The URL belongs to a server other than this one.
    #[error("is another server than that of `forward_auth.url`, {0}")]
    OtherServer(String),
    /// A forward-auth server decides, and provides nothing to check.
    #[error("cannot be checked with `forward_auth` alone: its server decides")]
    ServerDecides,
    /// A forward-auth server could provide roles, but does not.
    #[error("needs `forward_auth.roles_header`, the header of an accepting answer that lists them")]
    NoRolesHeader,
    /// No issuer names the claim with the roles.
    #[error(
        "no issuer of `jwt` says in `roles` which claim holds them, nor does `forward_auth.roles_header`"
    )]
    NoRolesClaim,
    /// The resolver's answers contain no scopes.
    #[error("the resolver states no scopes; leave `authgear.mode` at `auto`")]
    NoScopes,
    /// The resolver's answers contain no claims.
    #[error("the resolver states no claims; leave `authgear.mode` at `auto`")]
    NoClaims,
    /// Only Authgear's sessions state it.
    #[error("only sessions of `authgear` state it")]
    OnlyAuthgear,
    /// A role contains a comma, but roles are a list with commas.
    #[error("has a comma, which separates roles here")]
    RoleWithComma,
    /// A redirect has no status, body or type.
    #[error("allows no other field beside it; requests that are not navigations get the filter's own 401")]
    RedirectAlone,
    /// There is no body with this type.
    #[error("is the type of a `body`; give one")]
    NoBody,
}

/// Why a value of a rule's field is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleValueError {
    /// It is not the name of a role.
    #[error("a role's name is not empty, and has no control characters")]
    NoRole,
    /// It is not exactly one.
    #[error("{0} is not one scope, which has neither spaces nor quotes")]
    NoScope(Quoted),
    /// It is not exactly one.
    #[error("{0} is not one method of authentication, as \"otp\" is")]
    NoAuthMethod(Quoted),
    /// No authentication is that new.
    #[error("is met by nobody; give at least 1s")]
    NoTime,
    /// It is longer than a year.
    #[error("{0} is too long: at most 8760h")]
    LongerThanAYear(String),
    /// It is not a duration, or not a media type. States the expectation.
    #[error("{0} is not {1}")]
    Not(Quoted, &'static str),
    /// The body of an answer is empty.
    #[error("an answer is never empty; leave it out for the filter's own")]
    EmptyBody,
}
