//! The configuration: its text → [`Config`], with every default filled in, or an error that names the field.
//!
//! What is typed is read by serde into structures that refuse unknown fields (`raw`, `authgear`, `forward_auth`,
//! `jwt`, `cache`, `rules`). Each of them is then checked against the others and becomes a type that cannot be wrong:
//! nothing checks it again; `problem` holds the words of every refusal. The same structures give the JSON Schema, with
//! the feature `schema`.

mod authgear;
mod cache;
mod claims;
mod deciders;
mod document;
mod field;
pub mod forward_auth;
mod introspection;
mod jwt;
mod login;
pub mod problem;
mod projects;
mod raw;
pub mod rules;
mod token_from;
mod typed;

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use self::field::Object;
use self::problem::CombinationError;
pub use self::problem::ConfigError;
pub use self::projects::{Hosts, Projects};
use self::raw::RawConfig;
pub use crate::auth_server::authgear::{CookieNames, Login, Resolver};
pub use crate::auth_server::forward_auth::ForwardAuth;
pub use crate::auth_server::introspection::Introspection;
pub use crate::auth_server::{AuthServer, Server};
use crate::http::managed::Managed;
use crate::http::place::Place;
use crate::http::url::Url;
use crate::jose::KeySet;
use crate::jose::{ClaimForm, ClaimPath, ClaimTest, Policy};
use crate::rules::Rules;

/// The default limit of a call to the auth server.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);

/// The default status of a denial while the auth server cannot answer.
pub const DEFAULT_ERROR_STATUS: u16 = 503;

/// The path to which Authgear sends people back by default.
pub const DEFAULT_CALLBACK: &str = "/.authgear/login";

/// The scope without which Authgear logs nobody in.
pub const OPENID: &str = "openid";

/// How long a locally verified token goes unconfirmed by default.
pub const DEFAULT_REVALIDATE: Duration = Duration::from_secs(60);

/// How long an accepting answer of Authgear, or of an introspection endpoint, is reused by default.
pub const DEFAULT_TTL: Duration = Duration::from_secs(10);

/// How long "no session", a denial or a refused token is remembered by default.
pub const DEFAULT_NEGATIVE_TTL: Duration = Duration::from_secs(1);

/// How many entries of each kind are remembered by default.
pub const DEFAULT_MAX_ENTRIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// The least important log lines that are written by default.
pub const DEFAULT_LOG_LEVEL: log::LevelFilter = log::LevelFilter::Info;

/// How far the clocks of an issuer and this machine may differ by default.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// The `typ` of an access token (RFC 9068 section 2.1), which tells it from an ID token.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// What holds for the requests of one project; where `authgear` is no list, for all requests. A token of one of the
/// issuers is decided locally; the auth server, where there is one, decides everything else.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the log calls the project, where there are several.
    pub project: Option<String>,
    /// The issuers whose tokens are verified locally. Empty where the auth server decides everything.
    pub issuers: Vec<Issuer>,
    /// The server that decides what is not decided locally.
    pub server: Option<AuthServer>,
    /// Where tokens may stand, in order: of all issuers together, each place once. Never empty.
    pub token_from: Vec<Place>,
    /// How people log in at Authgear, where the filter sends them there.
    pub login: Option<Login>,
    /// The cookies by which any project knows a session.
    pub session_cookies: Vec<CookieNames>,
    /// The headers of a client that are removed: those that only the filter may set, and with `strip_overrides` those
    /// by which some frameworks take another path or method than that of the request.
    pub managed: Managed,
    /// What is demanded of which request.
    pub rules: Rules,
    /// All demands on claims that stand in `rules`, which name them by their place.
    pub claim_tests: Vec<ClaimTest>,
    /// Whether a real CORS preflight is public.
    pub allow_cors_preflight: bool,
    /// Whether credentials are removed from requests before they are forwarded.
    pub strip_credentials: bool,
    /// The least important log lines that are written.
    pub log_level: log::LevelFilter,
    /// Whether the access log may tell of each request what became of it, and whose it is.
    pub access_log: bool,
    /// What is remembered, and for how long.
    pub cache: Cache,
    /// The limit of each call to the auth server: at least 1 ms, at most a day.
    pub timeout: Duration,
    /// What becomes of requests while the auth server cannot answer.
    pub on_error: OnError,
}

/// What is remembered, and for how long. Each worker remembers its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// How long an accepting answer of the auth server is reused; zero for not at all.
    pub ttl: Duration,
    /// How long "no session", a denial or a refused token is remembered; zero for not at all.
    pub negative_ttl: Duration,
    /// How long past its `ttl` an accepting answer may serve while the auth server cannot answer; zero for not at all.
    pub stale_if_error: Duration,
    /// How many entries of each kind are remembered.
    pub max_entries: NonZeroUsize,
}

/// An issuer whose tokens are verified locally.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// What a token must be.
    pub policy: Policy,
    /// The keys that sign its tokens.
    pub keys: Keys,
    /// What the app is told about a token.
    pub identity: Identity,
    /// Where its tokens may stand, in order; never empty.
    pub token_from: Vec<Place>,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone)]
pub enum Keys {
    /// There are none: its tokens are asked about.
    Absent,
    /// The configuration holds them.
    Inline(KeySet),
    /// They are fetched.
    Fetched {
        /// Where the key set is reached.
        server: Server,
        /// The public URL of the server: its authority is the `Host` of the call, its scheme the `X-Forwarded-Proto`.
        /// Authgear answers anything else with a redirect.
        public: Url,
    },
}

/// What the app is told about a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// What Authgear's resolver would say.
    Authgear,
    /// These claims.
    Claims {
        /// One claim each.
        headers: Vec<ClaimHeader>,
        /// The name, in lower case, of the header that gets all claims.
        payload_header: Option<Vec<u8>>,
        /// The claim that holds the roles.
        roles: Option<ClaimPath>,
    },
}

/// A header for the app that tells a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeader {
    /// Its name, in lower case.
    pub name: Vec<u8>,
    /// The claim.
    pub claim: ClaimPath,
    /// What of the claim it tells.
    pub form: ClaimForm,
}

impl Identity {
    /// Whether it tells the roles of a user.
    #[must_use]
    pub const fn has_roles(&self) -> bool {
        match self {
            Self::Authgear => true,
            Self::Claims { roles, .. } => roles.is_some(),
        }
    }
}

/// What becomes of requests while the auth server cannot answer. Never applies to what a request itself caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnError {
    /// Whether they are denied or let through.
    pub action: OnErrorAction,
    /// The status of a denial, 400 to 599.
    pub status: u16,
}

/// See [`OnError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnErrorAction {
    /// The request is answered with the status.
    Deny,
    /// The request is forwarded without identity headers.
    Allow,
}

/// One line for the log: the issuers, and the server that is asked.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_alone = true;
        for Issuer { policy, keys, .. } in &self.issuers {
            let start = if is_alone { "tokens of " } else { ", " };
            match keys {
                Keys::Absent => continue,
                Keys::Inline(_) => write!(f, "{start}{} verified with inline keys", policy.issuer)?,
                Keys::Fetched { server, .. } => {
                    write!(f, "{start}{} verified with the keys at {server}", policy.issuer)?;
                }
            }
            is_alone = false;
        }
        match &self.server {
            Some(AuthServer::Resolver(resolver)) => {
                let Resolver { endpoint, server, .. } = resolver.as_ref();
                let rest = if is_alone { "sessions of " } else { "; other sessions of " };
                write!(f, "{rest}{} by asking {server}", endpoint.origin())
            }
            Some(AuthServer::ForwardAuth(server)) => {
                write!(f, "{}by asking {server}", if is_alone { "requests " } else { "; other requests " })
            }
            Some(AuthServer::Introspection(server)) => {
                f.write_str(if is_alone { "tokens" } else { "; other tokens" })?;
                if let Some(issuer) = self.issuers.get(server.issuer) {
                    write!(f, " of {}", issuer.policy.issuer)?;
                }
                write!(f, " by asking {}", server.server)
            }
            None => Ok(()),
        }
    }
}

impl Projects {
    /// Reads a plugin configuration as the proxy hands it over: JSON text, or an encoded `google.protobuf.Struct`.
    ///
    /// # Errors
    ///
    /// Names the first field that is wrong, and what would be right.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        document::read::<Object<RawConfig>>(bytes)?.check()
    }
}

impl Config {
    /// Authgear's resolver, if it is asked.
    #[must_use]
    pub const fn resolver(&self) -> Option<&Resolver> {
        match &self.server {
            Some(AuthServer::Resolver(resolver)) => Some(resolver),
            Some(AuthServer::ForwardAuth(_) | AuthServer::Introspection(_)) | None => None,
        }
    }

    /// The forward-auth server, if one is asked.
    #[must_use]
    pub const fn forward_auth(&self) -> Option<&ForwardAuth> {
        match &self.server {
            Some(AuthServer::ForwardAuth(server)) => Some(server),
            Some(AuthServer::Resolver(_) | AuthServer::Introspection(_)) | None => None,
        }
    }

    /// Reads the configuration of one project: [`Projects::parse`], where there are no more.
    ///
    /// # Errors
    ///
    /// Names the first field that is wrong, and what would be right.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let (mut configs, _) = Projects::parse(bytes)?.into_parts();
        match (configs.pop(), configs.is_empty()) {
            (Some(config), true) => Ok(config),
            (Some(_) | None, _) => Err(ConfigError::new("authgear", CombinationError::SeveralProjects)),
        }
    }

    /// The configuration, if a proxy can do what it asks for. APISIX cannot rewrite paths.
    ///
    /// # Errors
    ///
    /// Names the field that the proxy cannot serve.
    pub fn on_proxy(self, rewrites_paths: bool) -> Result<Self, ConfigError> {
        let has_query = self.token_from.iter().any(|place| matches!(place, Place::Query(_)));
        if self.strip_credentials && has_query && !rewrites_paths {
            return Err(ConfigError::new("strip_credentials", CombinationError::QueryCannotBeStripped));
        }
        Ok(self)
    }

    /// The JSON Schema of a configuration.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(RawConfig)
    }
}
