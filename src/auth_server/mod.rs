//! The servers that know who a request is from: what each is asked, and what its answer means. One folder per
//! server; everything that is known of Authgear is in `authgear`. Decides nothing about a request.

pub mod authgear;
pub mod fault;
pub mod forward_auth;
pub mod forwarded;
pub mod introspection;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use self::authgear::{Resolver, resolver};
use self::fault::Fault;
use self::forward_auth::{Denied, ForwardAuth};
use self::introspection::Introspection;
use crate::cache::Key;
use crate::http::credential::Credentials;
use crate::http::url::Url;
use crate::http::{BadHead, Call, CallError, Fields, Head, OwnedField, Response, ResponseEdits, UnixTime};
use crate::jose::{Claims, Refusal};
use crate::rules::SessionFacts;

/// Who the filter says it is, in the calls that are its own affair.
pub const USER_AGENT: &str = concat!("authgear-filter/", env!("CARGO_PKG_VERSION"));

/// The server that decides what is not decided locally.
#[derive(Debug, Clone)]
pub enum AuthServer {
    /// Authgear's resolver.
    Resolver(Box<Resolver>),
    /// Any forward-auth server.
    ForwardAuth(Box<ForwardAuth>),
    /// An authorization server that knows its tokens.
    Introspection(Box<Introspection>),
}

impl AuthServer {
    /// Whether the server can be asked about the request at all, whatever is remembered.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the request.
    pub fn check(&self, head: &Head<'_>) -> Result<(), BadHead> {
        match self {
            Self::Resolver(_) | Self::Introspection(_) => Ok(()),
            Self::ForwardAuth(server) => forward_auth::check_host(server, head),
        }
    }

    /// Adds to a key what an answer about the request is given for. `url` is another one than the server's own, where
    /// a rule names one.
    pub fn key(
        &self,
        head: &Head<'_>,
        credentials: Credentials<'_>,
        url: Option<&Url>,
        key: &mut Key,
    ) -> Inputs {
        match self {
            Self::Resolver(_) => resolver::key(credentials, key),
            Self::ForwardAuth(server) => forward_auth::key(server, head, url, key),
            Self::Introspection(_) => introspection::key(credentials, key),
        }
    }

    /// The call that asks about the request; `url` as for [`AuthServer::key`].
    ///
    /// # Errors
    ///
    /// The request holds what cannot be sent.
    pub fn call(
        &self,
        timeout: Duration,
        head: &Head<'_>,
        credentials: Credentials<'_>,
        url: Option<&Url>,
    ) -> Result<Call, BadHead> {
        match self {
            Self::Resolver(resolver) => Ok(resolver::call(resolver, timeout, head, credentials)),
            Self::ForwardAuth(server) => forward_auth::call(server, timeout, head, url),
            Self::Introspection(server) => introspection::call(server, timeout, credentials),
        }
    }

    /// What the answer to a call says. `judge` says what becomes of the claims that an introspection endpoint states,
    /// given those, and what they were read from in base64url.
    ///
    /// # Errors
    ///
    /// There is no answer, or none that could be used.
    pub fn read(
        &self,
        inputs: Inputs,
        result: Result<Response, CallError>,
        judge: impl FnOnce(&Introspection, &Claims, &[u8]) -> Result<Judged, Refusal>,
    ) -> Result<Answer, Fault> {
        match self {
            Self::Resolver(_) => resolver::read(result),
            Self::ForwardAuth(server) => forward_auth::read(server, inputs, result),
            Self::Introspection(server) => {
                introspection::read(result, |claims, payload| judge(server, claims, payload))
            }
        }
    }
}

/// For the log.
impl fmt::Display for AuthServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver(resolver) => resolver.server.fmt(f),
            Self::ForwardAuth(server) => server.server.fmt(f),
            Self::Introspection(server) => server.server.fmt(f),
        }
    }
}

/// What a key tells of the request beyond itself: who may share the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// Whether an accepting answer says anything about other requests with this key. A narrowed key of which no
    /// `header:` or `cookie:` part was sent is that of everybody without a credential, whatever they ask for.
    pub identify: bool,
    /// Whether the request carried a credential that the key holds.
    pub hold_credential: bool,
}

/// What an auth server said about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who it is, or that it may not pass.
    pub said: Said,
    /// When it no longer holds, however long answers are remembered; `None` where it does not say.
    pub ends: Option<UnixTime>,
    /// What the client gets with the response: cookies are added to it, other headers replace those of the app. What
    /// a denial has for the client stands in its reply.
    pub respond: ResponseEdits,
    /// Whom it may serve beside the request that was asked about.
    pub scope: Scope,
}

/// Who a request is from, or that it may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is from a valid session.
    Session(Session),
    /// There is no session. The headers tell the app so.
    NoSession(Rc<Fields>),
    /// It may not pass.
    Denied(Rc<Denied>),
    /// Its token is no good.
    Refused(Refusal),
}

/// A good token, as its claims tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Whom it stands for.
    pub session: Session,
    /// When it expires; `None` where it does not say.
    pub ends: Option<UnixTime>,
}

/// Whom an answer may serve beside the request that was asked about: other requests with the same key, and as long as
/// it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everyone, as it is.
    Everyone,
    /// Everyone, but its cookies belong to the client that was asked about.
    WithoutCookies,
    /// Nobody.
    AskerAlone,
}

/// A valid session, or what is as good as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The headers that tell the app who it is.
    pub identity: Rc<Fields>,
    /// What rules may demand of it.
    pub facts: Rc<SessionFacts>,
    /// Whose it is.
    pub holder: Holder,
    /// Who says so, where that is to be told (`access_log`).
    pub issuer: Option<Rc<str>>,
}

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// This user's of Authgear; never empty.
    User(Rc<[u8]>),
    /// A machine's with a token of its own.
    Machine,
    /// Somebody's whom the identity headers name; the `sub` of the token where that is to be told (`access_log`).
    Named(Option<Rc<[u8]>>),
}

impl Holder {
    /// The user, as far as one is known by an id.
    #[must_use]
    pub const fn user(&self) -> Option<&Rc<[u8]>> {
        match self {
            Self::User(user) => Some(user),
            Self::Named(user) => user.as_ref(),
            Self::Machine => None,
        }
    }
}

impl Session {
    /// The memory that it owns, in bytes: its headers, whose it is and who says so, as much again for what rules demand, and the roles,
    /// scopes and methods, which not every server has among those headers.
    #[must_use]
    pub fn weight(&self) -> usize {
        let user = self.holder.user().map_or(0, |user| user.len());
        let issuer = self.issuer.as_ref().map_or(0, |issuer| issuer.len());
        let SessionFacts { roles, scopes, amr, .. } = self.facts.as_ref();
        let word =
            |sum: usize, word: &Vec<u8>| sum.saturating_add(size_of::<Vec<u8>>()).saturating_add(word.len());
        let words = roles.iter().chain(scopes).chain(amr).fold(0, word);
        self.identity
            .weight()
            .saturating_mul(2)
            .saturating_add(user)
            .saturating_add(issuer)
            .saturating_add(words)
    }
}

/// A URL, and the proxy's name for the server that it is asked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What is asked for. Its scheme says how the server is spoken to.
    pub url: Url,
    /// An Envoy cluster, or `host:port` on APISIX.
    pub upstream: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (upstream `{}`)", self.url, self.upstream)
    }
}

/// `Set-Cookie` headers by their values, to be added to a response.
fn set_cookies(values: Vec<Vec<u8>>) -> Rc<[OwnedField]> {
    values.into_iter().map(|value| (b"set-cookie".to_vec(), value)).collect()
}
