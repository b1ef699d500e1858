//! The field `authgear`: as typed, and checked into one issuer and the resolver of the same project.

use serde::Deserialize;

use super::deciders::Deciders;
use super::field::{Choice, Given, List, NonEmpty, Object, OneOf, Typed};
use super::login::RawLogin;
use super::problem::{AuthgearError, ConfigError, IdleMode};
use super::rules::{HostName, Sessions};
use super::token_from::{self, TokenFrom};
use super::typed::{CookiePrefix, NonEmptyText, Span, Upstream, UrlField};
use super::{
    ACCESS_TOKEN_TYPE, AuthServer, DEFAULT_LEEWAY, DEFAULT_REVALIDATE, DEFAULT_TTL, Identity, Issuer, Keys,
    Resolver, Server,
};
use crate::auth_server::authgear::{CookieNames, identity, resolver, token};
use crate::http;
use crate::jose::{Algorithm, IssuerName, MediaType, Policy};
use crate::rules::HostPattern;

/// An Authgear project.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Authgear", extend("required" = ["endpoint", "upstream"])))]
pub(super) struct RawAuthgear {
    /// The project's public origin, as browsers see it: scheme, host and perhaps port. It is the `iss` of tokens,
    /// and `Host` and `X-Forwarded-Host` of every call. Required.
    endpoint: Given<UrlField>,
    /// Where calls go: an Envoy cluster, or `host:port` on APISIX. Required.
    upstream: Given<Upstream>,
    /// Who decides. `auto`: JWT access tokens of this endpoint are verified locally, and the resolver decides about
    /// everything else. `resolver`: always ask. `local`: never ask; cookies are ignored. Default: `auto`.
    mode: Given<OneOf<Mode>>,
    /// The URL of the resolver, if it is self-hosted on a port of its own. Default: `<endpoint>/_resolver/resolve`.
    resolver_url: Given<UrlField>,
    /// Where the resolver is reached. Default: `upstream`.
    resolver_upstream: Given<Upstream>,
    /// The project's `http.cookie_prefix`. Default: empty.
    cookie_prefix: Given<CookiePrefix>,
    /// The accepted `aud` of tokens; not empty. Default: the endpoint.
    audiences: Given<NonEmpty<NonEmptyText>>,
    /// The accepted `client_id` of tokens; an empty list accepts any. Default: empty.
    client_ids: Given<List<NonEmptyText>>,
    /// The URL of the keys, fetched through `upstream`, such as that of a main server inside the cluster. `Host` and
    /// `X-Forwarded-Proto` of the call stay those of `endpoint`. Default: `<endpoint>/oauth2/jwks`.
    jwks_url: Given<UrlField>,
    /// The places of the token; the first one that holds a token decides. Default: `[{header: authorization, scheme:
    /// Bearer}]`.
    token_from: Given<TokenFrom>,
    /// In `auto`, how long after it was first seen or last confirmed a token in use is confirmed with the resolver
    /// again: at most `24h`; `0s` means never. Default: `60s`.
    revalidate: Given<Span>,
    /// Sends people without a session to log in at Authgear, and takes them back. Default: nobody is sent.
    login: Given<Object<RawLogin>>,
    /// The hosts whose requests belong to this project, written as in rules. Not empty. Default: all hosts of no
    /// other project.
    hosts: Given<NonEmpty<HostName>>,
}

impl Typed<RawAuthgear> {
    /// Checks each project, and that each host belongs to only one.
    pub(super) fn check(self) -> Result<Vec<Deciders>, ConfigError> {
        let projects = match self {
            Self::One(project) => vec![project.check(AUTHGEAR)?],
            Self::Many(projects) => {
                if projects.is_empty() {
                    return Err(ConfigError::new(AUTHGEAR, AuthgearError::NoProject));
                }
                let projects = projects.into_iter().enumerate();
                projects
                    .map(|(number, project)| project.check(&format!("{AUTHGEAR}[{number}]")))
                    .collect::<Result<Vec<_>, _>>()?
            }
        };
        let mut seen: Vec<&HostPattern> = Vec::new();
        let mut has_default = false;
        for Deciders { at, hosts, .. } in &projects {
            if hosts.is_empty() && std::mem::replace(&mut has_default, true) {
                return Err(ConfigError::new(at, AuthgearError::SecondDefault));
            }
            for (number, host) in hosts.iter().enumerate() {
                if seen.contains(&host) {
                    return Err(ConfigError::new(format!("{at}.hosts[{number}]"), AuthgearError::HostTwice));
                }
                seen.push(host);
            }
        }
        Ok(projects)
    }
}

/// The field with the projects.
const AUTHGEAR: &str = "authgear";

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

impl RawAuthgear {
    /// Checks the project at this path.
    fn check(self, at: &str) -> Result<Deciders, ConfigError> {
        let endpoint = self.endpoint.0.clone().ok_or_else(|| {
            ConfigError::missing(
                format!("{at}.endpoint"),
                "give the project's public origin, as https://myapp.authgear.cloud",
            )
        })?;
        if endpoint.path() != "/" {
            return Err(ConfigError::new(
                format!("{at}.endpoint"),
                AuthgearError::EndpointWithPath(endpoint.origin()),
            ));
        }
        let upstream = self.upstream.0.clone().ok_or_else(|| {
            ConfigError::missing(
                format!("{at}.upstream"),
                "give the Envoy cluster that reaches Authgear, or host:port on APISIX",
            )
        })?;
        self.refuse_idle_fields(at)?;
        let token_from = token_from::checked(self.token_from.0, &format!("{at}.token_from"))?;
        token_from::refuse_identities(&token_from, &identity::managed(), &format!("{at}.token_from"))?;
        let mode = self.mode.0.unwrap_or_default();
        if mode == Mode::Resolver {
            token_from::refuse_dpop(&token_from, &format!("{at}.token_from"))?;
        }
        let name = endpoint.origin();
        let issuer = Issuer {
            policy: Policy {
                issuer: IssuerName::exact(endpoint.origin()),
                audiences: self.audiences.0.unwrap_or_else(|| vec![endpoint.origin()]),
                algorithms: vec![Algorithm::Rs256],
                types: vec![MediaType::new(ACCESS_TOKEN_TYPE)],
                client_ids: self.client_ids.0.unwrap_or_default(),
                reads_azp: false,
                leeway: DEFAULT_LEEWAY,
                requires_expiration: true,
            },
            keys: Keys::Fetched {
                server: Server {
                    url: self.jwks_url.0.unwrap_or_else(|| endpoint.with_path(token::KEYS_PATH)),
                    upstream: upstream.clone(),
                },
                public: endpoint.clone(),
            },
            identity: Identity::Authgear,
            token_from: token_from.clone(),
        };
        let login = self.login.0.map(|login| login.check(&format!("{at}.login"), &endpoint)).transpose()?;
        let revalidate = self.revalidate.0.unwrap_or(DEFAULT_REVALIDATE);
        let resolver = Resolver {
            server: Server {
                url: match self.resolver_url.0 {
                    Some(url) => without_final_slash(&url),
                    None => endpoint.with_path(resolver::PATH),
                },
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
        Ok(Deciders {
            at: at.to_owned(),
            name: Some(name),
            hosts: self.hosts.0.unwrap_or_default(),
            issuers,
            server,
            token_from,
            login,
            ttl: DEFAULT_TTL,
            managed: identity::managed(),
            sessions,
        })
    }

    /// Refuses the fields that have no effect in the configured mode.
    fn refuse_idle_fields(&self, at: &str) -> Result<(), ConfigError> {
        let (mode, idle): (_, &[(&str, bool)]) = match self.mode.0.unwrap_or_default() {
            Mode::Auto => return Ok(()),
            Mode::Resolver => (
                IdleMode::Resolver,
                &[
                    ("audiences", self.audiences.0.is_some()),
                    ("client_ids", self.client_ids.0.is_some()),
                    ("jwks_url", self.jwks_url.0.is_some()),
                    ("revalidate", self.revalidate.0.is_some()),
                ],
            ),
            Mode::Local => (
                IdleMode::Local,
                &[
                    ("resolver_url", self.resolver_url.0.is_some()),
                    ("resolver_upstream", self.resolver_upstream.0.is_some()),
                    ("cookie_prefix", self.cookie_prefix.0.is_some()),
                    ("revalidate", self.revalidate.0.is_some()),
                    ("login", self.login.0.is_some()),
                ],
            ),
        };
        match idle.iter().find(|(_, is_there)| *is_there) {
            Some((name, _)) => Err(ConfigError::new(format!("{at}.{name}"), AuthgearError::Idle(mode))),
            None => Ok(()),
        }
    }
}

/// Removes a final slash, because Authgear redirects a path with one to the path without.
fn without_final_slash(url: &http::url::Url) -> http::url::Url {
    match url.path().strip_suffix('/') {
        Some(path) if !path.is_empty() => url.with_path(path),
        Some(_) | None => url.clone(),
    }
}
