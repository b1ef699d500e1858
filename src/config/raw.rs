//! What was typed at the top and under `authgear`, and what becomes of it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::jwt::RawIssuer;
use super::typed::{CookiePrefix, Count, NonEmpty, Object, Span, Status, Text, Typed, Upstream, present};
use super::url::Url;
use super::{
    ACCESS_TOKEN_TYPE, AUTHGEAR_KEYS_PATH, Access, Cache, Config, ConfigError, DEFAULT_LEEWAY,
    DEFAULT_MAX_ENTRIES, DEFAULT_NEGATIVE_TTL, DEFAULT_REVALIDATE, DEFAULT_TIMEOUT, DEFAULT_TTL, Identity,
    Issuer, Keys, OnError, OnErrorAction, RESOLVER_PATH, Resolver, Server,
};
use crate::credential::CookieNames;
use crate::identity::Managed;
use crate::jwt::{Algorithm, MediaType, Policy};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(default, deserialize_with = "present")]
    authgear: Option<Object<RawAuthgear>>,
    #[serde(default, deserialize_with = "present")]
    jwt: Option<NonEmpty<Object<RawIssuer>>>,
    #[serde(default, deserialize_with = "present")]
    timeout: Option<Span>,
    #[serde(default)]
    on_error: Object<RawOnError>,
    #[serde(default)]
    cache: Object<RawCache>,
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
}

/// What `authgear` or `jwt` come to.
struct Believed {
    issuers: Vec<Issuer>,
    resolver: Option<Resolver>,
    managed: Managed,
    access: Access,
}

impl RawConfig {
    pub(super) fn read(document: Value) -> Result<Self, ConfigError> {
        serde_path_to_error::deserialize::<_, Object<Self>>(document).map(|object| object.0).map_err(
            |error| {
                let path = error.path().to_string();
                let path = if path == "." { String::new() } else { path };
                ConfigError::new(path, error.into_inner().to_string())
            },
        )
    }

    pub(super) fn check(self) -> Result<Config, ConfigError> {
        let Believed { issuers, resolver, managed, access } = match (self.authgear, self.jwt) {
            (Some(authgear), None) => authgear.0.check()?,
            (None, Some(issuers)) => {
                let (issuers, managed) = RawIssuer::check_all(issuers.0)?;
                Believed { issuers, resolver: None, managed, access: Access::Required }
            }
            (Some(_), Some(_)) => {
                return Err(ConfigError::new(
                    "jwt",
                    "cannot stand beside `authgear`, which has its own issuer",
                ));
            }
            (None, None) => {
                return Err(missing(
                    "authgear",
                    "give `authgear: {endpoint: https://…, upstream: …}`, or `jwt`",
                ));
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
        let cache = self.cache.0.check(resolver.is_some(), !issuers.is_empty())?;
        Ok(Config { issuers, resolver, managed, access, cache, timeout, on_error })
    }
}

impl RawCache {
    /// Nothing that cannot do anything is taken: what the auth server says is remembered only where it is asked,
    /// and nothing of it at all with `ttl: 0s`.
    fn check(self, asks: bool, verifies: bool) -> Result<Cache, ConfigError> {
        let (ttl, negative, stale) = (
            self.ttl.map(|span| span.0),
            self.negative_ttl.map(|span| span.0),
            self.stale_if_error.map(|span| span.0),
        );
        let is_off = asks && ttl.is_some_and(|ttl| ttl.is_zero());
        let idle = |field: &str, why: &str| {
            Err(ConfigError::new(format!("cache.{field}"), format!("does nothing {why}; remove it")))
        };
        if !asks && ttl.is_some() {
            return idle("ttl", "where nobody is asked; verified tokens are remembered until they expire");
        }
        if !asks && stale.is_some() {
            return idle("stale_if_error", "where nobody is asked");
        }
        if is_off && stale.is_some() {
            return idle("stale_if_error", "with `ttl: 0s`, which remembers no answer");
        }
        if is_off && !verifies && negative.is_some() {
            return idle("negative_ttl", "with `ttl: 0s`, which remembers no answer");
        }
        let default_negative = if is_off { Duration::ZERO } else { DEFAULT_NEGATIVE_TTL };
        Ok(Cache {
            ttl: if asks { ttl.unwrap_or(DEFAULT_TTL) } else { Duration::ZERO },
            negative_ttl: negative.unwrap_or(default_negative),
            stale_if_error: stale.unwrap_or_default(),
            max_entries: self.max_entries.map_or(DEFAULT_MAX_ENTRIES, |count| count.0),
        })
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
        let (issuers, resolver) = match mode {
            Mode::Auto => (vec![issuer], Some(resolver)),
            Mode::Resolver => (vec![], Some(resolver)),
            Mode::Local => (vec![issuer], None),
        };
        Ok(Believed { issuers, resolver, managed: Managed::Authgear, access: Access::Optional })
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
