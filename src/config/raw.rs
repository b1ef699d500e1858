//! The top of a configuration: as typed, and checked.

use std::time::Duration;

use log::LevelFilter;
use serde::Deserialize;

use super::authgear::RawAuthgear;
use super::cache::RawCache;
use super::deciders::Deciders;
use super::field::{Bool, Choice, Given, List, NonEmpty, Object, OneOf, OneOrMany};
use super::forward_auth::RawForwardAuth;
use super::jwt::{Issuers, RawIssuer};
use super::problem::{CacheError, CombinationError, ConfigError, LoginError, PlaceError};
use super::rules::{
    DEFAULT_ALLOW_CORS_PREFLIGHT, RawCustomReply, RawOnUnauthenticated, RawRequire, RawRule, RawRules,
    RawTerms, Sessions,
};
use super::token_from;
use super::typed::{Span, StatusField};
use super::{
    AuthServer, Config, DEFAULT_ERROR_STATUS, DEFAULT_LOG_LEVEL, DEFAULT_TIMEOUT, DEFAULT_TTL, Issuer,
    OnError, OnErrorAction, Projects,
};
use crate::http::managed::Managed;
use crate::http::place::{MAX_PLACES, Place};
use crate::rules::Access;

/// The configuration of the filter. At least one of `authgear`, `forward_auth` and `jwt` is required.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Configuration"))]
pub(super) struct RawConfig {
    /// An Authgear project, or a list of projects to which requests belong by their `hosts`. Cannot be combined with
    /// `forward_auth` or `jwt`.
    authgear: Given<OneOrMany<RawAuthgear>>,
    /// A server that decides whether a request may pass.
    forward_auth: Given<Object<RawForwardAuth>>,
    /// Issuers whose tokens are verified locally. Not empty.
    jwt: Given<NonEmpty<Object<RawIssuer>>>,
    /// The limit of each call to the auth server: `1ms` to `24h`. Default: `3s`.
    timeout: Given<Span>,
    /// What happens to a request while the auth server, or the keys for its token, cannot be reached in time and
    /// nothing usable is cached.
    on_error: Given<Object<RawOnError>>,
    /// What is cached, and for how long. Each worker has its own cache.
    cache: Given<Object<RawCache>>,
    /// The demands on requests. The first rule that matches decides.
    rules: Given<List<Object<RawRule>>>,
    /// Who may pass, for requests that match no rule and for rules that do not say: `public` (not authenticated,
    /// identity headers removed), `optional` (authenticated if possible, the app decides), or `required` (denied
    /// unless valid). Default: `optional` with `authgear`, else `required`.
    access: Given<OneOf<Access>>,
    /// What a session must meet, for requests that match no rule and for rules that do not say. Implies `access:
    /// required`.
    require: Given<Object<RawRequire>>,
    /// The answer to a request without a valid session.
    on_unauthenticated: Given<Object<RawOnUnauthenticated>>,
    /// The answer to a request whose session does not meet `require`.
    on_forbidden: Given<Object<RawCustomReply>>,
    /// Whether a real CORS preflight is `public`. Default: `true`.
    allow_cors_preflight: Given<Bool>,
    /// Whether credentials are removed from requests before they are forwarded. Default: `false`.
    strip_credentials: Given<Bool>,
    /// Whether to remove headers from which some frameworks take a path or method other than the request's:
    /// `x-original-url`, `x-rewrite-url`, `x-http-method`, `x-http-method-override` and `x-method-override`. Default:
    /// `true` if a rule names a path, a prefix or methods, else `false`.
    strip_overrides: Given<Bool>,
    /// The least important log lines that are written: `error`, `warn`, `info` or `debug`. The proxy's own level
    /// filters after that. Default: `info`.
    log_level: Given<OneOf<LevelFilter>>,
    /// Whether the access log may show for each request its outcome and the reason, whether the cache decided, the
    /// user and the issuer, how long the filter took, and the worker. Default: `false`.
    access_log: Given<Bool>,
}

impl Choice for LevelFilter {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("error", Self::Error), ("warn", Self::Warn), ("info", Self::Info), ("debug", Self::Debug)];
    const EXPECTED: &'static str = "one of `error`, `warn`, `info`, `debug`";
}

impl Choice for OnErrorAction {
    const CHOICES: &'static [(&'static str, Self)] = &[("deny", Self::Deny), ("allow", Self::Allow)];
    const EXPECTED: &'static str = "`deny` or `allow`";
}

/// What happens to a request while the auth server, or the keys for its token, cannot be reached in time and nothing
/// usable is cached. Never applies to failures that the request itself caused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "OnError"))]
struct RawOnError {
    /// `deny` answers with `status`. `allow` forwards without identity headers, unless a rule has a `require`.
    /// Default: `deny`.
    action: Given<OneOf<OnErrorAction>>,
    /// The status of a denial: 400 to 599, but not 444 and 499. Default: 503.
    status: Given<StatusField>,
}

/// The headers from which Symfony, Zend, IIS, Rack, ASP.NET and others take a path or method other than the
/// request's.
const OVERRIDES: [&str; 5] =
    ["x-original-url", "x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override"];

impl RawConfig {
    /// Takes the fields about rules.
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

    pub(super) fn check(mut self) -> Result<Projects, ConfigError> {
        let rules = self.rules();
        let strip_overrides = self.strip_overrides.0.unwrap_or_else(|| rules.name_path_or_method());
        let on_error = self.on_error.0.take().unwrap_or_default().check();
        let mut cache = self.cache.0.take().unwrap_or_default();
        let key = cache.key.0.take();
        let projects = match (self.authgear.0, self.forward_auth.0, self.jwt.0) {
            (Some(_), Some(_), _) => {
                return Err(ConfigError::new("forward_auth", CombinationError::ForwardAuthBesideAuthgear));
            }
            (Some(_), _, Some(_)) => {
                return Err(ConfigError::new("jwt", CombinationError::JwtBesideAuthgear));
            }
            (None, None, None) => {
                return Err(ConfigError::missing(
                    "authgear",
                    "give `authgear: {endpoint: https://…, upstream: …}`, `forward_auth` or `jwt`",
                ));
            }
            (_, None, _) if key.is_some() => {
                return Err(ConfigError::new("cache.key", CacheError::KeyWithoutForwardAuth));
            }
            (Some(authgear), None, None) => authgear.check()?,
            (None, forward_auth, jwt) => {
                let forward_auth = forward_auth.map(|forward_auth| forward_auth.check(key)).transpose()?;
                let jwt = jwt.map(|jwt| RawIssuer::check_all(jwt, forward_auth.is_some())).transpose()?;
                let Issuers { issuers, headers: mut managed, introspection } = jwt.unwrap_or_default();
                managed.extend(forward_auth.iter().flat_map(|server| server.managed()));
                let roles = issuers.iter().any(|issuer| issuer.identity.has_roles())
                    || forward_auth.iter().any(|server| server.roles_header.is_some());
                let sessions = match issuers.is_empty() {
                    true => Sessions::ForwardAuth { roles },
                    false => Sessions::Jwt { roles, forward_auth: forward_auth.is_some() },
                };
                let ttl = if introspection.is_some() { DEFAULT_TTL } else { Duration::ZERO };
                // At most one of the two is present.
                let introspection = introspection.map(|server| AuthServer::Introspection(Box::new(server)));
                let server =
                    forward_auth.map(|server| AuthServer::ForwardAuth(Box::new(server))).or(introspection);
                let managed = Managed::new(managed);
                let token_from = of_all(&issuers, &managed)?;
                vec![Deciders {
                    at: String::new(),
                    name: None,
                    hosts: Vec::new(),
                    issuers,
                    server,
                    token_from,
                    login: None,
                    ttl,
                    managed,
                    sessions,
                }]
            }
        };
        if let Some(Deciders { at, .. }) = projects.iter().find(|project| project.login.is_some())
            && rules.terms.redirects()
        {
            return Err(ConfigError::new(format!("{at}.login"), LoginError::BesideRedirect));
        }
        let timeout = self.timeout.0.unwrap_or(DEFAULT_TIMEOUT);
        if timeout.is_zero() {
            return Err(ConfigError::new("timeout", CombinationError::NoTime));
        }
        let asks = projects.iter().find(|project| project.server.is_some());
        let verifies = projects.iter().any(|project| !project.issuers.is_empty());
        let cache = cache.check(asks.map(|project| project.ttl), verifies)?;
        let asked = projects.iter().find_map(|project| match &project.server {
            Some(AuthServer::ForwardAuth(server)) => Some(&server.server.url),
            Some(AuthServer::Resolver(_) | AuthServer::Introspection(_)) | None => None,
        });
        let (rules, claim_tests) = rules.check(sessions(&projects), asked)?;
        let session_cookies: Vec<_> = projects
            .iter()
            .filter_map(|project| match &project.server {
                Some(AuthServer::Resolver(resolver)) => Some(resolver.cookies.clone()),
                Some(AuthServer::ForwardAuth(_) | AuthServer::Introspection(_)) | None => None,
            })
            .collect();
        let is_one_of_several = projects.len() > 1;
        let configs = projects.into_iter().map(|project| {
            let Deciders { hosts, issuers, server, token_from, login, managed, name, .. } = project;
            let config = Config {
                project: name.filter(|_name| is_one_of_several),
                issuers,
                server,
                token_from,
                login,
                session_cookies: session_cookies.clone(),
                managed: if strip_overrides { managed.and(OVERRIDES) } else { managed },
                rules: rules.clone(),
                claim_tests: claim_tests.clone(),
                allow_cors_preflight: self.allow_cors_preflight.0.unwrap_or(DEFAULT_ALLOW_CORS_PREFLIGHT),
                strip_credentials: self.strip_credentials.0.unwrap_or(false),
                log_level: self.log_level.0.unwrap_or(DEFAULT_LOG_LEVEL),
                access_log: self.access_log.0.unwrap_or(false),
                cache,
                timeout,
                on_error,
            };
            (config, hosts)
        });
        Ok(Projects::new(configs))
    }
}

/// Returns the source of sessions, for all projects together. A rule may apply to the hosts of one alone.
fn sessions(projects: &[Deciders]) -> Sessions {
    let mut sessions = projects.iter().map(|project| project.sessions);
    let first = sessions.next().unwrap_or(Sessions::Resolver);
    sessions.fold(first, |all, one| if all == Sessions::Resolver { one } else { all })
}

/// Returns the places of all issuers, each once; the default if there are none.
fn of_all(issuers: &[Issuer], managed: &Managed) -> Result<Vec<Place>, ConfigError> {
    if issuers.is_empty() {
        return Ok(vec![Place::bearer()]);
    }
    let mut all: Vec<Place> = Vec::new();
    for (number, issuer) in issuers.iter().enumerate() {
        token_from::refuse_identities(&issuer.token_from, managed, &format!("jwt[{number}].token_from"))?;
        for (at, place) in issuer.token_from.iter().enumerate() {
            if all.iter().any(|known| known.is_same(place)) {
                continue;
            }
            if all.len() == MAX_PLACES {
                return Err(ConfigError::new(format!("jwt[{number}].token_from[{at}]"), PlaceError::TooMany));
            }
            all.push(place.clone());
        }
    }
    Ok(all)
}

impl RawOnError {
    fn check(self) -> OnError {
        OnError {
            action: self.action.0.unwrap_or(OnErrorAction::Deny),
            status: self.status.0.unwrap_or(DEFAULT_ERROR_STATUS),
        }
    }
}
