//! Parses the configuration into [`Config`], with every default filled in, or into an error that names the field.
//!
//! serde reads the text into structures that refuse unknown fields (`raw`, `authgear`, `forward_auth`, `jwt`,
//! `cache`, `rules`). Each of them is checked against the others and becomes a type that is always valid, so nothing
//! checks it again. `problem` owns the words of every refusal. The same structures yield the JSON Schema, with the
//! feature `schema`.

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

/// The default path to which Authgear sends people back.
pub const DEFAULT_CALLBACK: &str = "/.authgear/login";

/// The scope without which Authgear logs nobody in.
pub const OPENID: &str = "openid";

/// The default time after which a locally verified token is confirmed.
pub const DEFAULT_REVALIDATE: Duration = Duration::from_secs(60);

/// How long an accepting answer of Authgear, or of an introspection endpoint, is reused by default.
pub const DEFAULT_TTL: Duration = Duration::from_secs(10);

/// How long "no session", a denial or a refused token is cached by default.
pub const DEFAULT_NEGATIVE_TTL: Duration = Duration::from_secs(1);

/// How many entries of each kind are cached by default.
pub const DEFAULT_MAX_ENTRIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// The least important log lines that are written by default.
pub const DEFAULT_LOG_LEVEL: log::LevelFilter = log::LevelFilter::Info;

/// How far the clocks of an issuer and this machine may differ by default.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// The `typ` of an access token (RFC 9068 section 2.1), which distinguishes it from an ID token.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// The settings for the requests of one project; for all requests, unless `authgear` is a list. Tokens of the issuers
/// are judged locally; the auth server, if there is one, decides everything else.
#[derive(Debug, Clone)]
pub struct Config {
    /// The project's name in the log, if there are several.
    pub project: Option<String>,
    /// The issuers whose tokens are verified locally. Empty if the auth server decides everything.
    pub issuers: Vec<Issuer>,
    /// The server that decides what is not decided locally.
    pub server: Option<AuthServer>,
    /// The places of tokens, in order, of all issuers together and each place once. Never empty.
    pub token_from: Vec<Place>,
    /// How people log in at Authgear, if the filter sends them there.
    pub login: Option<Login>,
    /// The session cookies of all projects.
    pub session_cookies: Vec<CookieNames>,
    /// The headers that are removed from a client's request: those that only the filter may set, and with
    /// `strip_overrides` those from which some frameworks take another path or method.
    pub managed: Managed,
    /// The demands on requests.
    pub rules: Rules,
    /// All demands on claims in `rules`, which refer to them by index.
    pub claim_tests: Vec<ClaimTest>,
    /// Whether a real CORS preflight is public.
    pub allow_cors_preflight: bool,
    /// Whether credentials are removed from requests before they are forwarded.
    pub strip_credentials: bool,
    /// Returns the least important level of log lines that are written.
    pub log_level: log::LevelFilter,
    /// Whether the access log may show the outcome and the user of each request.
    pub access_log: bool,
    /// What is cached, and for how long.
    pub cache: Cache,
    /// The limit of each call to the auth server: at least 1 ms, at most a day.
    pub timeout: Duration,
    /// What happens to requests while the auth server cannot answer.
    pub on_error: OnError,
}

/// What is cached, and for how long. Each worker has its own cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// How long an accepting answer of the auth server is reused; zero means not at all.
    pub ttl: Duration,
    /// How long "no session", a denial or a refused token is cached; zero means not at all.
    pub negative_ttl: Duration,
    /// How long past its `ttl` an accepting answer may serve while the auth server cannot answer; zero means not at
    /// all.
    pub stale_if_error: Duration,
    /// How many entries of each kind are cached.
    pub max_entries: NonZeroUsize,
}

/// An issuer whose tokens are verified locally.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The requirements on its tokens.
    pub policy: Policy,
    /// The keys that sign its tokens.
    pub keys: Keys,
    /// What the app learns from a token.
    pub identity: Identity,
    /// The places of its tokens, in order. Never empty.
    pub token_from: Vec<Place>,
}

/// The source of an issuer's keys.
#[derive(Debug, Clone)]
pub enum Keys {
    /// There are none: a server is asked about its tokens.
    Absent,
    /// The configuration contains them.
    Inline(KeySet),
    /// They are fetched.
    Fetched {
        /// The server of the key set.
        server: Server,
        /// The public URL of the server: its authority is the `Host` of the call, its scheme the `X-Forwarded-Proto`.
        /// Authgear answers anything else with a redirect.
        public: Url,
    },
}

/// What the app learns from a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The same as from Authgear's resolver.
    Authgear,
    /// These claims.
    Claims {
        /// Headers with one claim each.
        headers: Vec<ClaimHeader>,
        /// The header with all claims, by its name in lower case.
        payload_header: Option<Vec<u8>>,
        /// The claim with the roles.
        roles: Option<ClaimPath>,
    },
}

/// A header for the app with the value of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeader {
    /// Its name, in lower case.
    pub name: Vec<u8>,
    /// The claim.
    pub claim: ClaimPath,
    /// The form of the claim.
    pub form: ClaimForm,
}

impl Identity {
    /// Returns whether it includes the roles of a user.
    #[must_use]
    pub const fn has_roles(&self) -> bool {
        match self {
            Self::Authgear => true,
            Self::Claims { roles, .. } => roles.is_some(),
        }
    }
}

/// What happens to requests while the auth server cannot answer. Never applies to failures that a request itself
/// caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnError {
    /// Whether they are denied or let through.
    pub action: OnErrorAction,
    /// The status of a denial, 400 to 599.
    pub status: u16,
}

/// The choice of [`OnError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnErrorAction {
    /// The request is answered with the status.
    Deny,
    /// The request is forwarded without identity headers.
    Allow,
}

/// Describes the issuers and the auth server in one line for the log.
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
    /// Parses a plugin configuration as the proxy passes it: JSON text, or an encoded `google.protobuf.Struct`.
    ///
    /// # Errors
    ///
    /// Fails with the first field that is wrong, and what would be right.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        document::read::<Object<RawConfig>>(bytes)?.check()
    }
}

impl Config {
    /// Returns Authgear's resolver, if it is asked.
    #[must_use]
    pub const fn resolver(&self) -> Option<&Resolver> {
        match &self.server {
            Some(AuthServer::Resolver(resolver)) => Some(resolver),
            Some(AuthServer::ForwardAuth(_) | AuthServer::Introspection(_)) | None => None,
        }
    }

    /// Returns the forward-auth server, if one is asked.
    #[must_use]
    pub const fn forward_auth(&self) -> Option<&ForwardAuth> {
        match &self.server {
            Some(AuthServer::ForwardAuth(server)) => Some(server),
            Some(AuthServer::Resolver(_) | AuthServer::Introspection(_)) | None => None,
        }
    }

    /// Parses the configuration of a single project, like [`Projects::parse`].
    ///
    /// # Errors
    ///
    /// Fails with the first field that is wrong, and what would be right.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let (mut configs, _) = Projects::parse(bytes)?.into_parts();
        match (configs.pop(), configs.is_empty()) {
            (Some(config), true) => Ok(config),
            (Some(_) | None, _) => Err(ConfigError::new("authgear", CombinationError::SeveralProjects)),
        }
    }

    /// Returns the configuration if a proxy supports it. APISIX cannot rewrite paths.
    ///
    /// # Errors
    ///
    /// Fails with the field that the proxy does not support.
    pub fn on_proxy(self, rewrites_paths: bool) -> Result<Self, ConfigError> {
        let has_query = self.token_from.iter().any(|place| matches!(place, Place::Query(_)));
        if self.strip_credentials && has_query && !rewrites_paths {
            return Err(ConfigError::new("strip_credentials", CombinationError::QueryCannotBeStripped));
        }
        Ok(self)
    }

    /// Returns the JSON Schema of a configuration.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(RawConfig)
    }
}
