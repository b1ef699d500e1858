//! Why an auth server, its login or its cache is refused.

use super::Quoted;
use crate::rules::PathPatternError;

/// Why a project is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthgearError {
    /// The list of projects is empty.
    #[error("is an empty list; give a project")]
    NoProject,
    /// Two projects would get all other requests.
    #[error("is the second project without `hosts`, and one alone gets all other requests; give it `hosts`")]
    SecondDefault,
    /// Two projects would get the requests of one host.
    #[error("is listed twice, and a host belongs to one project")]
    HostTwice,
    /// The endpoint has a path. States its origin.
    #[error("an origin has no path: `{0}` would be right")]
    EndpointWithPath(String),
    /// The field has no effect in this mode.
    #[error("does nothing with `mode` {0}; remove it, or choose another mode")]
    Idle(IdleMode),
}

/// A mode in which some fields have no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdleMode {
    /// The resolver alone decides.
    #[error("`resolver`, which asks about every token")]
    Resolver,
    /// The keys alone decide.
    #[error("`local`, which never asks the resolver")]
    Local,
}

/// Why the login is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The scope lacks `openid`.
    #[error("must contain `openid`, without which Authgear answers with an error")]
    NoOpenId,
    /// People would be sent to two places.
    #[error(
        "cannot be combined with `on_unauthenticated.redirect`, which sends people elsewhere; choose one (a rule may have a \
         redirect of its own)"
    )]
    BesideRedirect,
}

/// Why a path is refused as callback.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// It is more than a path.
    #[error("{0} has a query or a fragment; give the path alone")]
    NotAlone(Quoted),
    /// It is not a path.
    #[error(transparent)]
    Path(#[from] PathPatternError),
    /// It is where people continue after logging in.
    #[error("`/` is where people go on to after logging in; give a path of its own")]
    Root,
    /// It contains a character with an unclear spelling.
    #[error(
        "{path} has a '{}', which programs write in several ways; letters, digits and `-._~` are safe",
        odd.escape_default()
    )]
    UnclearCharacter {
        /// The path.
        path: Quoted,
        /// The character.
        odd: char,
    },
}

/// Why a field of `forward_auth`, or `cache.key`, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardAuthError {
    /// An answer to `HEAD` has no body that could be relayed.
    #[error("does nothing with `method` HEAD, whose answers have no body")]
    BodyOfHead,
    /// It is already in the list.
    #[error("{0} is listed twice")]
    Twice(Quoted),
    /// It is already in `cache.key`.
    #[error("is listed twice")]
    KeyTwice,
    /// The app would get one header from two of the answer's.
    #[error("the app gets {0} by `{1}` already, and could not tell which one it reads")]
    TwoSources(Quoted, String),
    /// Two headers of a call differ only in spelling.
    #[error("many servers read {0} and another one alike")]
    ReadAlike(Quoted),
    /// `original_request` sends this header.
    #[error("`original_request` sends `{0}` already; set that to `none`, or leave this out")]
    SentAlready(&'static str),
    /// The client's header of that name is sent too, because it is listed.
    #[error("{0} is in `request_headers` too, and only one of them can be sent; leave it out there")]
    InRequestHeaders(Quoted),
    /// The client's header of that name is sent too, by default.
    #[error(
        "{0} is by default one of `request_headers` too, and only one of them can be sent; leave it out there"
    )]
    AmongDefaultRequestHeaders(Quoted),
    /// No cookies are sent.
    #[error("does nothing while `request_headers` does not list `cookie`; add it there")]
    CookiesNotSent,
    /// The server reads more cookies than the key contains.
    #[error(
        "needs `forward_auth.cookies`: the server may read other cookies as this one; list there what is sent"
    )]
    KeyNeedsCookies,
    /// The server does not get what the key contains.
    #[error("is not sent to the auth server, so that no answer can depend on it; send it, or leave it out")]
    KeyNotSent,
}

/// Why a field of `cache` has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// There are no answers that this lifetime could apply to.
    #[error("does nothing where no server is asked; verified tokens are cached until they expire")]
    NoAnswers,
    /// There are no answers that could be stale.
    #[error("does nothing where no server is asked; remove it")]
    NoStaleAnswers,
    /// No answer is cached.
    #[error("does nothing with a `ttl` of 0s, which caches no answer; set `ttl`, or remove it")]
    NothingRemembered,
    /// There is no `forward_auth` whose answers it could distinguish.
    #[error("is for `forward_auth` alone; remove it")]
    KeyWithoutForwardAuth,
}
