//! The servers that know who a request is from: the calls to each, and the meaning of their answers. One folder per
//! server; all knowledge of Authgear is in `authgear`. Decides nothing about a request.

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

/// The `User-Agent` of calls that the filter makes for itself.
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
    /// Checks whether the server can be asked about the request at all, whatever is cached.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong with the request.
    pub fn check(&self, head: &Head<'_>) -> Result<(), BadHead> {
        match self {
            Self::Resolver(_) | Self::Introspection(_) => Ok(()),
            Self::ForwardAuth(server) => forward_auth::check_host(server, head),
        }
    }

    /// Adds to a key everything that an answer about the request depends on. `url` is given if a rule names one that
    /// differs from the server's own.
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

    /// Builds the call that asks about the request. `url` is as for [`AuthServer::key`].
    ///
    /// # Errors
    ///
    /// Fails if the request contains something that cannot be sent.
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

    /// Reads the answer to a call. `judge` judges the claims that an introspection endpoint states; it gets the
    /// claims and their source in base64url.
    ///
    /// # Errors
    ///
    /// Fails if there is no usable answer.
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

/// Describes it for the log.
impl fmt::Display for AuthServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver(resolver) => resolver.server.fmt(f),
            Self::ForwardAuth(server) => server.server.fmt(f),
            Self::Introspection(server) => server.server.fmt(f),
        }
    }
}

/// The properties of a request's key that determine who may share the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// Whether an accepting answer applies to other requests with this key. If no `header:` or `cookie:` part of a
    /// narrowed key was sent, the key is that of everybody without a credential, whatever they request.
    pub identify: bool,
    /// Whether the key contains a credential of the request.
    pub hold_credential: bool,
}

/// An auth server's answer about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The identity, or that the request may not pass.
    pub said: Said,
    /// When it expires, however long answers are cached; `None` if it does not state this.
    pub ends: Option<UnixTime>,
    /// The headers for the client's response: cookies are added, other headers replace the app's. A denial's own
    /// headers are in its reply.
    pub respond: ResponseEdits,
    /// Who else may get it.
    pub scope: Scope,
}

/// The identity of a request, or that it may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is from a valid session.
    Session(Session),
    /// There is no session. The headers tell this to the app.
    NoSession(Rc<Fields>),
    /// It may not pass.
    Denied(Rc<Denied>),
    /// Its token is bad.
    Refused(Refusal),
}

/// A good token, judged by its claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The session that it proves.
    pub session: Session,
    /// When it expires; `None` if it does not state this.
    pub ends: Option<UnixTime>,
}

/// Who may get an answer besides the client that was asked about: other requests with the same key, while it is
/// cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everyone, unchanged.
    Everyone,
    /// Everyone, but without its cookies, which belong to the client that was asked about.
    WithoutCookies,
    /// Nobody.
    AskerAlone,
}

/// A valid session, or an equivalent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The headers that identify the user to the app.
    pub identity: Rc<Fields>,
    /// The facts that rules may require.
    pub facts: Rc<SessionFacts>,
    /// Its owner.
    pub holder: Holder,
    /// Its issuer, if the access log shows it (`access_log`).
    pub issuer: Option<Rc<str>>,
}

/// The owner of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// This Authgear user. Never empty.
    User(Rc<[u8]>),
    /// A machine with its own token.
    Machine,
    /// The user that the identity headers name. Contains the token's `sub` if the access log shows it (`access_log`).
    Named(Option<Rc<[u8]>>),
}

impl Holder {
    /// Returns the user's id, if known.
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
    /// Returns the heap memory that it owns, in bytes: its headers, owner and issuer, the same amount again for the
    /// facts, and the roles, scopes and methods, which not every server has among those headers.
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

/// A URL, and the proxy's name for the server behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The URL of the calls. Its scheme determines the protocol.
    pub url: Url,
    /// An Envoy cluster, or `host:port` on APISIX.
    pub upstream: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (upstream `{}`)", self.url, self.upstream)
    }
}

/// Returns `Set-Cookie` headers with these values, to be added to a response.
fn set_cookies(values: Vec<Vec<u8>>) -> Rc<[OwnedField]> {
    values.into_iter().map(|value| (b"set-cookie".to_vec(), value)).collect()
}
