//! What was typed at the top and under `authgear`, and what becomes of it.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::forward_auth::{RawForwardAuth, RawKeyPart};
use super::jwt::RawIssuer;
use super::rules::{
    self, DEFAULT_ALLOW_CORS_PREFLIGHT, RawAnswer, RawOnUnauthenticated, RawRequire, RawRule, RawRules,
    Sessions,
};
use super::typed::{CookiePrefix, Count, NonEmpty, Object, Span, Status, Text, Typed, Upstream, present};
use super::url::Url;
use super::{
    ACCESS_TOKEN_TYPE, AUTHGEAR_KEYS_PATH, AuthServer, Cache, Config, ConfigError, DEFAULT_LEEWAY,
    DEFAULT_MAX_ENTRIES, DEFAULT_NEGATIVE_TTL, DEFAULT_REVALIDATE, DEFAULT_TIMEOUT, DEFAULT_TTL, Identity,
    Issuer, Keys, OnError, OnErrorAction, RESOLVER_PATH, Resolver, Server,
};
use crate::credential::CookieNames;
use crate::identity::Managed;
use crate::jwt::{Algorithm, MediaType, Policy};
use crate::rules::Access;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(default, deserialize_with = "present")]
    authgear: Option<Object<RawAuthgear>>,
    #[serde(default, deserialize_with = "present")]
    forward_auth: Option<Object<RawForwardAuth>>,
    #[serde(default, deserialize_with = "present")]
    jwt: Option<NonEmpty<Object<RawIssuer>>>,
    #[serde(default, deserialize_with = "present")]
    timeout: Option<Span>,
    #[serde(default)]
    on_error: Object<RawOnError>,
    #[serde(default)]
    cache: Object<RawCache>,
    #[serde(default)]
    rules: Vec<Object<RawRule>>,
    #[serde(default, deserialize_with = "present")]
    access: Option<rules::Text<Access>>,
    #[serde(default, deserialize_with = "present")]
    require: Option<Object<RawRequire>>,
    #[serde(default, deserialize_with = "present")]
    on_unauthenticated: Option<Object<RawOnUnauthenticated>>,
    #[serde(default, deserialize_with = "present")]
    on_forbidden: Option<Object<RawAnswer>>,
    #[serde(default, deserialize_with = "present")]
    allow_cors_preflight: Option<bool>,
    #[serde(default)]
    strip_credentials: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuthgear {
    #[serde(default, deserialize_with = "present")]
    endpoint: Option<Typed<Url>>,
    #[serde(default, deserialize_with = "present")]
    upstream: Option<Upstream>,
    #[serde(default)]
    mode: Mode,
    #[serde(default, deserialize_with = "present")]
    resolver_url: Option<Typed<Url>>,
    #[serde(default, deserialize_with = "present")]
    resolver_upstream: Option<Upstream>,
    #[serde(default, deserialize_with = "present")]
    cookie_prefix: Option<CookiePrefix>,
    #[serde(default, deserialize_with = "present")]
    audiences: Option<NonEmpty<Text>>,
    #[serde(default, deserialize_with = "present")]
    client_ids: Option<Vec<Text>>,
    #[serde(default, deserialize_with = "present")]
    revalidate: Option<Span>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Auto,
    Resolver,
    Local,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawOnError {
    #[serde(default)]
    action: Action,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Deny,
    Allow,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawCache {
    #[serde(default, deserialize_with = "present")]
    ttl: Option<Span>,
    #[serde(default, deserialize_with = "present")]
    negative_ttl: Option<Span>,
    #[serde(default, deserialize_with = "present")]
    stale_if_error: Option<Span>,
    #[serde(default, deserialize_with = "present")]
    max_entries: Option<Count>,
    #[serde(default, deserialize_with = "present")]
    key: Option<NonEmpty<RawKeyPart>>,
}

/// What `authgear` or `jwt` come to.
struct Believed {
    issuers: Vec<Issuer>,
    server: Option<AuthServer>,
    /// How long its accepting answers are used again where the configuration does not say.
    ttl: Duration,
    managed: Managed,
    sessions: Sessions,
}

impl RawConfig {
    pub(super) fn check(mut self) -> Result<Config, ConfigError> {
        let key = self.cache.0.key.take();
        let Believed { issuers, server, ttl, managed, sessions } =
            match (self.authgear, self.forward_auth, self.jwt) {
                (Some(_), Some(_), _) => {
                    return Err(ConfigError::new(
                        "forward_auth",
                        "cannot stand beside `authgear`; choose one",
                    ));
                }
                (Some(_), _, Some(_)) => {
                    return Err(ConfigError::new(
                        "jwt",
                        "cannot stand beside `authgear`, which has its own issuer",
                    ));
                }
                (None, None, None) => {
                    return Err(missing(
                        "authgear",
                        "give `authgear: {endpoint: https://…, upstream: …}`, `forward_auth` or `jwt`",
                    ));
                }
                (_, None, _) if key.is_some() => {
                    return Err(ConfigError::new("cache.key", "is for `forward_auth` alone; remove it"));
                }
                (Some(authgear), None, None) => authgear.0.check()?,
                (None, forward_auth, jwt) => {
                    let forward_auth =
                        forward_auth.map(|forward_auth| forward_auth.0.check(key)).transpose()?;
                    let (issuers, mut managed) =
                        jwt.map(|jwt| RawIssuer::check_all(jwt.0)).transpose()?.unwrap_or_default();
                    managed.extend(
                        forward_auth.iter().flat_map(|server| server.identity_headers.iter().cloned()),
                    );
                    let roles = issuers.iter().any(|issuer| issuer.identity.has_roles());
                    let sessions = match issuers.is_empty() {
                        true => Sessions::ForwardAuth,
                        false => Sessions::Jwt { roles, forward_auth: forward_auth.is_some() },
                    };
                    let server = forward_auth.map(|server| AuthServer::ForwardAuth(Box::new(server)));
                    Believed {
                        issuers,
                        server,
                        ttl: Duration::ZERO,
                        managed: Managed::Named(managed),
                        sessions,
                    }
                }
            };
        let timeout = self.timeout.map_or(DEFAULT_TIMEOUT, |span| span.0);
        if timeout.is_zero() {
            return Err(ConfigError::new("timeout", "a call needs some time: at least 1ms"));
        }
        let on_error = self.on_error.0;
        let action = match on_error.action {
            Action::Deny => OnErrorAction::Deny,
            Action::Allow => OnErrorAction::Allow,
        };
        let on_error = OnError { action, status: on_error.status.0 };
        let cache = self.cache.0.check(server.is_some().then_some(ttl), !issuers.is_empty())?;
        let rules = RawRules {
            rules: self.rules,
            access: self.access,
            require: self.require,
            on_unauthenticated: self.on_unauthenticated,
            on_forbidden: self.on_forbidden,
        };
        Ok(Config {
            issuers,
            server,
            managed,
            rules: rules.check(sessions)?,
            allow_cors_preflight: self.allow_cors_preflight.unwrap_or(DEFAULT_ALLOW_CORS_PREFLIGHT),
            strip_credentials: self.strip_credentials,
            cache,
            timeout,
            on_error,
        })
    }
}

impl RawCache {
    /// Nothing that cannot do anything is taken: what the auth server says is remembered only where it is asked
    /// (`default` is its `ttl` then), and nothing of it at all with a `ttl` of zero.
    fn check(self, default: Option<Duration>, verifies: bool) -> Result<Cache, ConfigError> {
        let (ttl, negative, stale) = (
            self.ttl.as_ref().map(|span| span.0),
            self.negative_ttl.as_ref().map(|span| span.0),
            self.stale_if_error.as_ref().map(|span| span.0),
        );
        let idle = |field: &str, why: &str| {
            Err(ConfigError::new(format!("cache.{field}"), format!("does nothing {why}")))
        };
        let Some(default) = default else {
            if ttl.is_some() {
                return idle(
                    "ttl",
                    "where nobody is asked; verified tokens are remembered until they expire",
                );
            }
            if stale.is_some() {
                return idle("stale_if_error", "where nobody is asked; remove it");
            }
            return Ok(self.cache(Duration::ZERO, negative.unwrap_or(DEFAULT_NEGATIVE_TTL), Duration::ZERO));
        };
        let ttl = ttl.unwrap_or(default);
        if ttl.is_zero() && stale.is_some() {
            return idle(
                "stale_if_error",
                "with a `ttl` of 0s, which remembers no answer; set `ttl`, or remove it",
            );
        }
        if ttl.is_zero() && negative.is_some() && !verifies {
            return idle(
                "negative_ttl",
                "with a `ttl` of 0s, which remembers no answer; set `ttl`, or remove it",
            );
        }
        let default_negative = if ttl.is_zero() { Duration::ZERO } else { DEFAULT_NEGATIVE_TTL };
        Ok(self.cache(ttl, negative.unwrap_or(default_negative), stale.unwrap_or_default()))
    }

    fn cache(self, ttl: Duration, negative_ttl: Duration, stale_if_error: Duration) -> Cache {
        let max_entries = self.max_entries.map_or(DEFAULT_MAX_ENTRIES, |count| count.0);
        Cache { ttl, negative_ttl, stale_if_error, max_entries }
    }
}

impl RawAuthgear {
    fn check(self) -> Result<Believed, ConfigError> {
        let endpoint = self.endpoint.as_ref().ok_or_else(|| {
            missing("authgear.endpoint", "give the project's public origin, as https://myapp.authgear.cloud")
        })?;
        let endpoint = endpoint.0.clone();
        if endpoint.path() != "/" {
            return Err(ConfigError::new(
                "authgear.endpoint",
                format!("an origin has no path: `{}` would be right", endpoint.origin()),
            ));
        }
        let upstream = self.upstream.as_ref().ok_or_else(|| {
            missing(
                "authgear.upstream",
                "give the Envoy cluster that reaches Authgear, or host:port on APISIX",
            )
        })?;
        let upstream = upstream.0.clone();
        self.refuse_idle_fields()?;
        let mode = self.mode;
        let issuer = Issuer {
            policy: Policy {
                issuer: endpoint.origin(),
                audiences: match self.audiences {
                    Some(audiences) => audiences.0.into_iter().map(|audience| audience.0).collect(),
                    None => vec![endpoint.origin()],
                },
                algorithms: vec![Algorithm::Rs256],
                types: vec![MediaType::new(ACCESS_TOKEN_TYPE)],
                client_ids: self.client_ids.into_iter().flatten().map(|id| id.0).collect(),
                leeway: DEFAULT_LEEWAY,
            },
            keys: Keys::Fetched {
                server: Server { url: endpoint.with_path(AUTHGEAR_KEYS_PATH), upstream: upstream.clone() },
                public: endpoint.clone(),
            },
            identity: Identity::Authgear,
        };
        let revalidate = self.revalidate.map_or(DEFAULT_REVALIDATE, |span| span.0);
        let resolver = Resolver {
            server: Server {
                url: self.resolver_url.map_or_else(|| endpoint.with_path(RESOLVER_PATH), |url| url.0),
                upstream: self.resolver_upstream.map_or(upstream, |upstream| upstream.0),
            },
            cookies: CookieNames::new(&self.cookie_prefix.map(|prefix| prefix.0).unwrap_or_default()),
            revalidate: (mode == Mode::Auto && !revalidate.is_zero()).then_some(revalidate),
            endpoint,
        };
        let sessions = match mode {
            Mode::Resolver => Sessions::Resolver,
            Mode::Auto | Mode::Local => Sessions::Authgear,
        };
        let server = AuthServer::Resolver(Box::new(resolver));
        let (issuers, server) = match mode {
            Mode::Auto => (vec![issuer], Some(server)),
            Mode::Resolver => (vec![], Some(server)),
            Mode::Local => (vec![issuer], None),
        };
        Ok(Believed { issuers, server, ttl: DEFAULT_TTL, managed: Managed::Authgear, sessions })
    }

    /// A field that cannot do anything would be believed to do something.
    fn refuse_idle_fields(&self) -> Result<(), ConfigError> {
        let (mode, idle): (_, &[(&str, bool)]) = match self.mode {
            Mode::Auto => return Ok(()),
            Mode::Resolver => (
                "`resolver`, which asks about every token",
                &[
                    ("audiences", self.audiences.is_some()),
                    ("client_ids", self.client_ids.is_some()),
                    ("revalidate", self.revalidate.is_some()),
                ],
            ),
            Mode::Local => (
                "`local`, which never asks the resolver",
                &[
                    ("resolver_url", self.resolver_url.is_some()),
                    ("resolver_upstream", self.resolver_upstream.is_some()),
                    ("cookie_prefix", self.cookie_prefix.is_some()),
                    ("revalidate", self.revalidate.is_some()),
                ],
            ),
        };
        match idle.iter().find(|(_, is_there)| *is_there) {
            Some((name, _)) => Err(ConfigError::new(
                format!("authgear.{name}"),
                format!("does nothing with `mode` {mode}; remove it, or choose another mode"),
            )),
            None => Ok(()),
        }
    }
}

/// What is typed in a document; an error names the field by its path.
pub(super) fn read<T: DeserializeOwned>(document: Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize::<_, Object<T>>(document).map(|object| object.0).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        ConfigError::new(path, error.into_inner().to_string())
    })
}

pub(super) fn missing(path: impl Into<String>, right: &str) -> ConfigError {
    ConfigError::new(path, format!("missing; {right}"))
}
