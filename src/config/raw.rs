//! What was typed at the top and under `authgear`, and what becomes of it.

use std::time::Duration;

use serde::Deserialize;

use super::field::{Bool, Choice, Given, List, NonEmpty, Object, OneOf};
use super::forward_auth::{KeyPartText, RawForwardAuth};
use super::jwt::RawIssuer;
use super::rules::{
    DEFAULT_ALLOW_CORS_PREFLIGHT, RawAnswer, RawOnUnauthenticated, RawRequire, RawRule, RawRules, RawTerms,
    Sessions,
};
use super::typed::{CookiePrefix, Count, NonEmptyText, Span, Status, Upstream, Url};
use super::{
    ACCESS_TOKEN_TYPE, AUTHGEAR_KEYS_PATH, AuthServer, Cache, Config, ConfigError, DEFAULT_ERROR_STATUS,
    DEFAULT_LEEWAY, DEFAULT_MAX_ENTRIES, DEFAULT_NEGATIVE_TTL, DEFAULT_REVALIDATE, DEFAULT_TIMEOUT,
    DEFAULT_TTL, Identity, Issuer, Keys, OnError, OnErrorAction, RESOLVER_PATH, Resolver, Server,
};
use crate::auth_server::authgear::identity::Managed;
use crate::http::credential::CookieNames;
use crate::jose::{Algorithm, MediaType, Policy};
use crate::rules::Access;

/// The configuration of the filter. At least one of `authgear`, `forward_auth` and `jwt` is required.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct RawConfig {
    /// An Authgear project. Stands alone: `forward_auth` and `jwt` are refused beside it.
    authgear: Given<Object<RawAuthgear>>,
    /// Any server that answers whether a request may pass.
    forward_auth: Given<Object<RawForwardAuth>>,
    /// Issuers whose tokens are verified here. Not empty.
    jwt: Given<NonEmpty<Object<RawIssuer>>>,
    /// The limit of each call to the auth server: `1ms` to `24h`. Default: `3s`.
    timeout: Given<Span>,
    /// What becomes of a request while the auth server, or the keys for its token, cannot be reached in time and
    /// nothing usable is cached.
    on_error: Given<Object<RawOnError>>,
    /// What is remembered, and for how long. Each worker remembers its own.
    cache: Given<Object<RawCache>>,
    /// What is demanded of which request. The first rule that matches decides.
    rules: Given<List<Object<RawRule>>>,
    /// Who may pass, for requests that match no rule and for rules that do not say: `public` (not authenticated,
    /// identity headers removed), `optional` (authenticated if possible, the app decides), or `required` (denied
    /// unless valid). Default: `optional` with `authgear`, else `required`.
    access: Given<OneOf<Access>>,
    /// What a session must be, for requests that match no rule and for rules that do not say. Implies
    /// `access: required`.
    require: Given<Object<RawRequire>>,
    /// The answer to a request without a valid session.
    on_unauthenticated: Given<Object<RawOnUnauthenticated>>,
    /// The answer to a request whose session does not meet `require`.
    on_forbidden: Given<Object<RawAnswer>>,
    /// Whether a real CORS preflight is `public`. Default: `true`.
    allow_cors_preflight: Given<Bool>,
    /// Whether what authenticates is removed from requests before they are forwarded. Default: `false`.
    strip_credentials: Given<Bool>,
}

/// An Authgear project.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("required" = ["endpoint", "upstream"])))]
struct RawAuthgear {
    /// The project's public origin, as browsers see it: scheme, host and perhaps port. It is the `iss` of tokens,
    /// and `Host` and `X-Forwarded-Host` of every call. Required.
    endpoint: Given<Url>,
    /// Where calls go: an Envoy cluster, or `host:port` on APISIX. Required.
    upstream: Given<Upstream>,
    /// Who decides. `auto`: a JWT access token of this endpoint is verified locally, all else goes to the
    /// resolver. `resolver`: always ask. `local`: never ask; cookies are ignored. Default: `auto`.
    mode: Given<OneOf<Mode>>,
    /// Where the resolver answers, when it is self-hosted on a port of its own. Default:
    /// `<endpoint>/_resolver/resolve`.
    resolver_url: Given<Url>,
    /// Where the resolver is reached. Default: `upstream`.
    resolver_upstream: Given<Upstream>,
    /// The project's `http.cookie_prefix`. Default: empty.
    cookie_prefix: Given<CookiePrefix>,
    /// The accepted `aud` of tokens; not empty. Default: the endpoint.
    audiences: Given<NonEmpty<NonEmptyText>>,
    /// The accepted `client_id` of tokens; an empty list accepts any. Default: empty.
    client_ids: Given<List<NonEmptyText>>,
    /// In `auto`, how long after it was first seen or last confirmed a token in use is confirmed with the resolver
    /// again: at most `24h`; `0s` is never. Default: `60s`.
    revalidate: Given<Span>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Mode {
    #[default]
    Auto,
    Resolver,
    Local,
}

impl Choice for Mode {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("resolver", Self::Resolver), ("local", Self::Local)];
    const EXPECTED: &'static str = "one of `auto`, `resolver`, `local`";
}

impl Choice for OnErrorAction {
    const CHOICES: &'static [(&'static str, Self)] = &[("deny", Self::Deny), ("allow", Self::Allow)];
    const EXPECTED: &'static str = "`deny` or `allow`";
}

/// What becomes of a request while the auth server, or the keys for its token, cannot be reached in time and
/// nothing usable is cached. Never applies to what the request itself caused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct RawOnError {
    /// `deny` answers with `status`. `allow` forwards without identity headers, except where a rule has a
    /// `require`. Default: `deny`.
    action: Given<OneOf<OnErrorAction>>,
    /// The status of a denial: 400 to 599. Default: 503.
    status: Given<Status>,
}

/// What is remembered, and for how long.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct RawCache {
    /// How long an accepting answer of the auth server is reused, never past the token's own expiry: at most
    /// `24h`; `0s` is not at all. Default: `10s` with `authgear`, else `0s`.
    ttl: Given<Span>,
    /// How long "no session" or a denial is reused: at most `24h`. Default: `1s`.
    negative_ttl: Given<Span>,
    /// How long past its `ttl` an accepting answer may still serve while the auth server cannot answer: at most
    /// `24h`. Default: `0s`.
    stale_if_error: Given<Span>,
    /// How many entries of each kind a worker remembers: 1 to 10,000,000. Default: 10,000.
    max_entries: Given<Count>,
    /// What requests must have in common to share an answer of `forward_auth`: `header:<name>`, `cookie:<name>`
    /// or `cookie:<prefix>*`, `method`, `host`, `path`, `client_ip`. Default: everything that is sent to the auth server.
    key: Given<NonEmpty<KeyPartText>>,
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
    /// What it says of rules.
    pub(super) fn rules(&mut self) -> RawRules {
        RawRules {
            rules: self.rules.0.take().unwrap_or_default(),
            terms: RawTerms {
                access: self.access.0,
                require: self.require.0.take(),
                on_unauthenticated: self.on_unauthenticated.0.take(),
                on_forbidden: self.on_forbidden.0.take(),
            },
        }
    }

    pub(super) fn check(mut self) -> Result<Config, ConfigError> {
        let rules = self.rules();
        let mut cache = self.cache.0.take().unwrap_or_default();
        let key = cache.key.0.take();
        let Believed { issuers, server, ttl, managed, sessions } =
            match (self.authgear.0, self.forward_auth.0, self.jwt.0) {
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
        let timeout = self.timeout.0.unwrap_or(DEFAULT_TIMEOUT);
        if timeout.is_zero() {
            return Err(ConfigError::new("timeout", "a call needs some time: at least 1ms"));
        }
        let cache = cache.check(server.is_some().then_some(ttl), !issuers.is_empty())?;
        Ok(Config {
            issuers,
            server,
            managed,
            rules: rules.check(sessions)?,
            allow_cors_preflight: self.allow_cors_preflight.0.unwrap_or(DEFAULT_ALLOW_CORS_PREFLIGHT),
            strip_credentials: self.strip_credentials.0.unwrap_or(false),
            cache,
            timeout,
            on_error: self.on_error.0.unwrap_or_default().check(),
        })
    }
}

impl RawOnError {
    fn check(self) -> OnError {
        OnError {
            action: self.action.0.unwrap_or(OnErrorAction::Deny),
            status: self.status.0.unwrap_or(DEFAULT_ERROR_STATUS),
        }
    }
}

impl RawCache {
    /// Nothing that cannot do anything is taken: what the auth server says is remembered only where it is asked
    /// (`default` is its `ttl` then), and nothing of it at all with a `ttl` of zero.
    fn check(self, default: Option<Duration>, verifies: bool) -> Result<Cache, ConfigError> {
        let (ttl, negative, stale) = (self.ttl.0, self.negative_ttl.0, self.stale_if_error.0);
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
        let max_entries = self.max_entries.0.unwrap_or(DEFAULT_MAX_ENTRIES);
        Cache { ttl, negative_ttl, stale_if_error, max_entries }
    }
}

impl RawAuthgear {
    fn check(self) -> Result<Believed, ConfigError> {
        let endpoint = self.endpoint.0.clone().ok_or_else(|| {
            missing("authgear.endpoint", "give the project's public origin, as https://myapp.authgear.cloud")
        })?;
        if endpoint.path() != "/" {
            return Err(ConfigError::new(
                "authgear.endpoint",
                format!("an origin has no path: `{}` would be right", endpoint.origin()),
            ));
        }
        let upstream = self.upstream.0.clone().ok_or_else(|| {
            missing(
                "authgear.upstream",
                "give the Envoy cluster that reaches Authgear, or host:port on APISIX",
            )
        })?;
        self.refuse_idle_fields()?;
        let mode = self.mode.0.unwrap_or_default();
        let issuer = Issuer {
            policy: Policy {
                issuer: endpoint.origin(),
                audiences: self.audiences.0.unwrap_or_else(|| vec![endpoint.origin()]),
                algorithms: vec![Algorithm::Rs256],
                types: vec![MediaType::new(ACCESS_TOKEN_TYPE)],
                client_ids: self.client_ids.0.unwrap_or_default(),
                leeway: DEFAULT_LEEWAY,
            },
            keys: Keys::Fetched {
                server: Server { url: endpoint.with_path(AUTHGEAR_KEYS_PATH), upstream: upstream.clone() },
                public: endpoint.clone(),
            },
            identity: Identity::Authgear,
        };
        let revalidate = self.revalidate.0.unwrap_or(DEFAULT_REVALIDATE);
        let resolver = Resolver {
            server: Server {
                url: self.resolver_url.0.unwrap_or_else(|| endpoint.with_path(RESOLVER_PATH)),
                upstream: self.resolver_upstream.0.unwrap_or(upstream),
            },
            cookies: CookieNames::new(&self.cookie_prefix.0.unwrap_or_default()),
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
        let (mode, idle): (_, &[(&str, bool)]) = match self.mode.0.unwrap_or_default() {
            Mode::Auto => return Ok(()),
            Mode::Resolver => (
                "`resolver`, which asks about every token",
                &[
                    ("audiences", self.audiences.0.is_some()),
                    ("client_ids", self.client_ids.0.is_some()),
                    ("revalidate", self.revalidate.0.is_some()),
                ],
            ),
            Mode::Local => (
                "`local`, which never asks the resolver",
                &[
                    ("resolver_url", self.resolver_url.0.is_some()),
                    ("resolver_upstream", self.resolver_upstream.0.is_some()),
                    ("cookie_prefix", self.cookie_prefix.0.is_some()),
                    ("revalidate", self.revalidate.0.is_some()),
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

/// The first element that is the same as one before it.
pub(super) fn repeated<T>(list: &[T], is_same: impl Fn(&T, &T) -> bool) -> Option<(usize, &T)> {
    list.iter().enumerate().find(|(number, one)| list.iter().take(*number).any(|other| is_same(one, other)))
}
