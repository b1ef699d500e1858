//! What was typed at the top and under `authgear`, and what becomes of it.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::forward_auth::{RawForwardAuth, key_parts};
use super::jwt::RawIssuer;
use super::rules::{DEFAULT_ALLOW_CORS_PREFLIGHT, RawRules, Sessions};
use super::typed::{self, span, text, upstream};
use super::value::Value;
use super::{
    ACCESS_TOKEN_TYPE, AUTHGEAR_KEYS_PATH, AuthServer, Cache, Config, ConfigError, DEFAULT_ERROR_STATUS,
    DEFAULT_LEEWAY, DEFAULT_MAX_ENTRIES, DEFAULT_NEGATIVE_TTL, DEFAULT_REVALIDATE, DEFAULT_TIMEOUT,
    DEFAULT_TTL, Identity, Issuer, Keys, OnError, OnErrorAction, RESOLVER_PATH, Resolver, Server,
};
use crate::auth_server::authgear::identity::Managed;
use crate::auth_server::forward_auth::KeyPart;
use crate::http::credential::CookieNames;
use crate::http::url::Url;
use crate::jose::{Algorithm, MediaType, Policy};

pub(super) struct RawConfig {
    authgear: Option<RawAuthgear>,
    forward_auth: Option<RawForwardAuth>,
    jwt: Option<Vec<RawIssuer>>,
    timeout: Option<Duration>,
    on_error: OnError,
    cache: RawCache,
    rules: RawRules,
    allow_cors_preflight: Option<bool>,
    strip_credentials: Option<bool>,
}

struct RawAuthgear {
    endpoint: Option<Url>,
    upstream: Option<String>,
    mode: Mode,
    resolver_url: Option<Url>,
    resolver_upstream: Option<String>,
    cookie_prefix: Option<String>,
    audiences: Option<Vec<String>>,
    client_ids: Option<Vec<String>>,
    revalidate: Option<Duration>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Mode {
    #[default]
    Auto,
    Resolver,
    Local,
}

const MODES: [(&str, Mode); 3] = [("auto", Mode::Auto), ("resolver", Mode::Resolver), ("local", Mode::Local)];

const ACTIONS: [(&str, OnErrorAction); 2] = [("deny", OnErrorAction::Deny), ("allow", OnErrorAction::Allow)];

#[derive(Default)]
struct RawCache {
    ttl: Option<Duration>,
    negative_ttl: Option<Duration>,
    stale_if_error: Option<Duration>,
    max_entries: Option<NonZeroUsize>,
    key: Option<Vec<KeyPart>>,
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
    pub(super) fn read(document: &Value) -> Result<Self, ConfigError> {
        let mut fields = document.fields()?;
        let raw = Self {
            authgear: fields.take("authgear", RawAuthgear::read),
            forward_auth: fields.take("forward_auth", RawForwardAuth::read),
            jwt: fields.take("jwt", |list| list.non_empty(RawIssuer::read)),
            timeout: fields.take("timeout", span),
            on_error: fields.take("on_error", on_error).unwrap_or(DEFAULT_ON_ERROR),
            cache: fields.take("cache", RawCache::read).unwrap_or_default(),
            rules: RawRules::take(&mut fields),
            allow_cors_preflight: fields.take("allow_cors_preflight", Value::boolean),
            strip_credentials: fields.take("strip_credentials", Value::boolean),
        };
        fields.end(raw)
    }

    pub(super) fn check(mut self) -> Result<Config, ConfigError> {
        let key = self.cache.key.take();
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
                (Some(authgear), None, None) => authgear.check()?,
                (None, forward_auth, jwt) => {
                    let forward_auth =
                        forward_auth.map(|forward_auth| forward_auth.check(key)).transpose()?;
                    let (issuers, mut managed) =
                        jwt.map(RawIssuer::check_all).transpose()?.unwrap_or_default();
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
        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        if timeout.is_zero() {
            return Err(ConfigError::new("timeout", "a call needs some time: at least 1ms"));
        }
        let cache = self.cache.check(server.is_some().then_some(ttl), !issuers.is_empty())?;
        Ok(Config {
            issuers,
            server,
            managed,
            rules: self.rules.check(sessions)?,
            allow_cors_preflight: self.allow_cors_preflight.unwrap_or(DEFAULT_ALLOW_CORS_PREFLIGHT),
            strip_credentials: self.strip_credentials.unwrap_or(false),
            cache,
            timeout,
            on_error: self.on_error,
        })
    }
}

const DEFAULT_ON_ERROR: OnError = OnError { action: OnErrorAction::Deny, status: DEFAULT_ERROR_STATUS };

fn on_error(value: &Value) -> Result<OnError, ConfigError> {
    let mut fields = value.fields()?;
    let on_error = OnError {
        action: fields.take("action", |action| action.choice(&ACTIONS)).unwrap_or(DEFAULT_ON_ERROR.action),
        status: fields.take("status", typed::status).unwrap_or(DEFAULT_ON_ERROR.status),
    };
    fields.end(on_error)
}

impl RawCache {
    fn read(value: &Value) -> Result<Self, ConfigError> {
        let mut fields = value.fields()?;
        let cache = Self {
            ttl: fields.take("ttl", span),
            negative_ttl: fields.take("negative_ttl", span),
            stale_if_error: fields.take("stale_if_error", span),
            max_entries: fields.take("max_entries", typed::count),
            key: fields.take("key", key_parts),
        };
        fields.end(cache)
    }

    /// Nothing that cannot do anything is taken: what the auth server says is remembered only where it is asked
    /// (`default` is its `ttl` then), and nothing of it at all with a `ttl` of zero.
    fn check(self, default: Option<Duration>, verifies: bool) -> Result<Cache, ConfigError> {
        let (ttl, negative, stale) = (self.ttl, self.negative_ttl, self.stale_if_error);
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
        let max_entries = self.max_entries.unwrap_or(DEFAULT_MAX_ENTRIES);
        Cache { ttl, negative_ttl, stale_if_error, max_entries }
    }
}

impl RawAuthgear {
    fn read(value: &Value) -> Result<Self, ConfigError> {
        let mut fields = value.fields()?;
        let authgear = Self {
            endpoint: fields.take("endpoint", typed::url),
            upstream: fields.take("upstream", upstream),
            mode: fields.take("mode", |mode| mode.choice(&MODES)).unwrap_or_default(),
            resolver_url: fields.take("resolver_url", typed::url),
            resolver_upstream: fields.take("resolver_upstream", upstream),
            cookie_prefix: fields.take("cookie_prefix", typed::cookie_prefix),
            audiences: fields.take("audiences", |list| list.non_empty(text)),
            client_ids: fields.take("client_ids", |list| list.list(text)),
            revalidate: fields.take("revalidate", span),
        };
        fields.end(authgear)
    }

    fn check(self) -> Result<Believed, ConfigError> {
        let endpoint = self.endpoint.clone().ok_or_else(|| {
            missing("authgear.endpoint", "give the project's public origin, as https://myapp.authgear.cloud")
        })?;
        if endpoint.path() != "/" {
            return Err(ConfigError::new(
                "authgear.endpoint",
                format!("an origin has no path: `{}` would be right", endpoint.origin()),
            ));
        }
        let upstream = self.upstream.clone().ok_or_else(|| {
            missing(
                "authgear.upstream",
                "give the Envoy cluster that reaches Authgear, or host:port on APISIX",
            )
        })?;
        self.refuse_idle_fields()?;
        let mode = self.mode;
        let issuer = Issuer {
            policy: Policy {
                issuer: endpoint.origin(),
                audiences: self.audiences.unwrap_or_else(|| vec![endpoint.origin()]),
                algorithms: vec![Algorithm::Rs256],
                types: vec![MediaType::new(ACCESS_TOKEN_TYPE)],
                client_ids: self.client_ids.unwrap_or_default(),
                leeway: DEFAULT_LEEWAY,
            },
            keys: Keys::Fetched {
                server: Server { url: endpoint.with_path(AUTHGEAR_KEYS_PATH), upstream: upstream.clone() },
                public: endpoint.clone(),
            },
            identity: Identity::Authgear,
        };
        let revalidate = self.revalidate.unwrap_or(DEFAULT_REVALIDATE);
        let resolver = Resolver {
            server: Server {
                url: self.resolver_url.unwrap_or_else(|| endpoint.with_path(RESOLVER_PATH)),
                upstream: self.resolver_upstream.unwrap_or(upstream),
            },
            cookies: CookieNames::new(&self.cookie_prefix.unwrap_or_default()),
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

pub(super) fn missing(path: impl Into<String>, right: &str) -> ConfigError {
    ConfigError::new(path, format!("missing; {right}"))
}
