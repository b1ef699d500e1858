//! Why rules, or the terms beside them, are refused.

use super::Quoted;
use crate::http::url::UrlError;

/// Why a field of a rule, or of the terms beside the rules, cannot stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// `prefix` beside `path`.
    #[error("stands beside `path`; a rule has one of the two")]
    BesidePath,
    /// `require` beside an `access` that lets people without a session pass.
    #[error("`require` stands beside it, which only `required` can go with")]
    BesideRequire,
    /// No rule denies anybody for want of a session.
    #[error("nothing is denied for it; say `access: required`, or give a rule that does")]
    NothingDenied,
    /// The rule denies nobody for want of a session.
    #[error("nothing is denied for it here; say `access: required`")]
    NothingDeniedHere,
    /// Nothing is demanded of a session, and no server forbids.
    #[error("nothing is forbidden without a `require`; give one, or leave this out")]
    NothingForbidden,
    /// A public route asks nobody.
    #[error("nobody is asked on a `public` route; leave it out")]
    NobodyAsked,
    /// There is no server that could be asked by another URL.
    #[error("no `forward_auth` stands beside the rules, whose server it asks")]
    NoServer,
    /// The URL is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The URL is that of another server than this one.
    #[error("is another server than that of `forward_auth.url`, {0}")]
    OtherServer(String),
    /// A forward-auth server decides, and tells nothing that could be checked.
    #[error("cannot be checked with `forward_auth` alone: its server decides")]
    ServerDecides,
    /// A forward-auth server could tell roles, and does not.
    #[error("needs `forward_auth.roles_header`, the header of an accepting answer that lists them")]
    NoRolesHeader,
    /// No issuer says where roles stand.
    #[error(
        "no issuer of `jwt` says in `roles` which claim holds them, nor does `forward_auth.roles_header`"
    )]
    NoRolesClaim,
    /// The resolver's answers tell no scopes.
    #[error("the resolver tells no scopes; leave `authgear.mode` at `auto`")]
    NoScopes,
    /// The resolver's answers tell no claims.
    #[error("the resolver tells no claims; leave `authgear.mode` at `auto`")]
    NoClaims,
    /// Only Authgear's sessions state it.
    #[error("only sessions of `authgear` state it")]
    OnlyAuthgear,
    /// A role has a comma where roles are a list with commas.
    #[error("has a comma, which separates roles here")]
    RoleWithComma,
    /// A redirect has no status, body or type of its own.
    #[error("stands alone; what is no navigation gets the filter's own 401")]
    RedirectAlone,
    /// There is no body whose type it could be.
    #[error("is that of a `body`; give one")]
    NoBody,
}

/// Why a value of a rule's field is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleValueError {
    /// It is no role's name.
    #[error("a role's name is not empty, and has no control characters")]
    NoRole,
    /// It is none or several.
    #[error("{0} is not one scope, which has neither spaces nor quotes")]
    NoScope(Quoted),
    /// It is none or several.
    #[error("{0} is not one method of authentication, as \"otp\" is")]
    NoAuthMethod(Quoted),
    /// No authentication is that new.
    #[error("is met by nobody; give at least 1s")]
    NoTime,
    /// It is longer than a year.
    #[error("{0} is too long: at most 8760h")]
    LongerThanAYear(String),
    /// It is no duration, or no media type; what one is.
    #[error("{0} is not {1}")]
    Not(Quoted, &'static str),
    /// The body of an answer has nothing in it.
    #[error("an answer is never empty; leave it out for the filter's own")]
    EmptyBody,
}
