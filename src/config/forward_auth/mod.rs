//! The field `forward_auth`: as typed, and checked into the server that is asked about requests.

mod text;

use serde::Deserialize;

pub(super) use self::text::KeyPartText;
use self::text::{
    ClientHeader, Cookie, ExtraHeader, ExtraValue, IdentityHeaderField, RequestHeader, RolesHeader,
    SuccessHeader, TypedIdentityHeader,
};
use super::field::{Bool, Given, List, Map, NonEmpty, OneOf, repeated};
use super::problem::{ConfigError, ForwardAuthError};
use super::typed::{Upstream, UrlWithQuery};
use crate::auth_server::Server;
use crate::auth_server::forward_auth::{self, CacheKey, CookiePattern, IdentityHeader, KeyPart};
pub use crate::auth_server::forward_auth::{CallHost, CallMethod, ForwardAuth, OriginalRequest};
use crate::http::header::{self, Pattern};

/// The client's headers that are sent by default.
pub const DEFAULT_REQUEST_HEADERS: [&str; 2] = ["authorization", "cookie"];

/// The headers of a denial that the client gets by default.
pub const DEFAULT_CLIENT_HEADERS: [&str; 5] =
    ["www-authenticate", "location", "set-cookie", "content-type", "retry-after"];

/// The headers of an accepting answer that the client gets by default.
pub const DEFAULT_CLIENT_HEADERS_ON_SUCCESS: [&str; 1] = ["set-cookie"];

/// A server that decides whether a request may pass.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "ForwardAuth", extend("required" = ["url", "upstream", "identity_headers"]))
)]
pub(super) struct RawForwardAuth {
    /// The endpoint that is called; it may have a query. Required.
    url: Given<UrlWithQuery>,
    /// Where calls go: an Envoy cluster, or `host:port` on APISIX. Required.
    upstream: Given<Upstream>,
    /// The method of the calls: `GET` or `HEAD`. Default: `GET`.
    method: Given<OneOf<CallMethod>>,
    /// The client's headers that are sent: names, or prefixes such as `x-auth-*`. Default: `[authorization, cookie]`.
    request_headers: Given<List<RequestHeader>>,
    /// The cookies that are sent: names, or prefixes such as `_oauth2_proxy*`. Not empty. Default: all.
    cookies: Given<NonEmpty<Cookie>>,
    /// Additional headers. Values may contain `{method}`, `{scheme}`, `{host}`, `{path}` (with the query), `{url}`
    /// and `{client_ip}`. Default: none.
    extra_headers: Given<Map<ExtraHeader, ExtraValue>>,
    /// The headers that describe the original request: `x-forwarded` (X-Forwarded-Method, -Proto, -Host, -Uri and
    /// -For), `x-original` (X-Original-Method and -URI), or `none`. Default: `x-forwarded`.
    original_request: Given<OneOf<OriginalRequest>>,
    /// The `Host` of a call: `url` (the host of `url`) or `client` (the one that the client requested). Default:
    /// `url`.
    host: Given<OneOf<CallHost>>,
    /// The headers of an accepting answer that the app gets: names, prefixes such as `x-auth-*`, or `{header: x-user,
    /// from: x-auth-request-user}` to rename one for the app. They are always removed from the client's request
    /// first. Required, and not empty.
    identity_headers: Given<NonEmpty<IdentityHeaderField>>,
    /// A header of an accepting answer that lists roles or groups, separated by commas. `require.roles` needs it. It
    /// is removed from the client's request first, and reaches the app only if `identity_headers` lists it. Default:
    /// none.
    roles_header: Given<RolesHeader>,
    /// The headers of an accepting answer that the client gets with the app's response, in place of the app's own;
    /// `set-cookie` is added. Default: `[set-cookie]`.
    client_headers_on_success: Given<List<SuccessHeader>>,
    /// The headers of a denial that the client gets. Default:
    /// `[www-authenticate, location, set-cookie, content-type, retry-after]`.
    client_headers: Given<List<ClientHeader>>,
    /// Whether the client gets a denial's body too. Default: `true`.
    relay_body: Given<Bool>,
}

impl RawForwardAuth {
    /// Checks the fields. `key` is `cache.key`, if given.
    pub(super) fn check(self, key: Option<Vec<KeyPart>>) -> Result<ForwardAuth, ConfigError> {
        let url = self.url.0.ok_or_else(|| {
            ConfigError::missing(
                "forward_auth.url",
                "give its endpoint, such as http://auth:8080/authenticate",
            )
        })?;
        let upstream = self.upstream.0.ok_or_else(|| {
            ConfigError::missing(
                "forward_auth.upstream",
                "give the Envoy cluster that reaches the auth server, or host:port on APISIX",
            )
        })?;
        let identity_headers = self.identity_headers.0.ok_or_else(|| {
            ConfigError::missing(
                "forward_auth.identity_headers",
                "list the headers of its answer that identify the user to the app, as [authorization, \"x-auth-*\"]",
            )
        })?;
        let method = self.method.0.unwrap_or_default();
        let is_default = self.request_headers.0.is_none();
        let request_headers =
            self.request_headers.0.unwrap_or_else(|| DEFAULT_REQUEST_HEADERS.map(named).to_vec());
        let client_headers =
            self.client_headers.0.unwrap_or_else(|| DEFAULT_CLIENT_HEADERS.map(named).to_vec());
        if method == CallMethod::Head && self.relay_body.0.is_some() {
            return Err(ConfigError::new("forward_auth.relay_body", ForwardAuthError::BodyOfHead));
        }
        let checked = ForwardAuth {
            server: Server { url, upstream },
            method,
            request_headers,
            cookies: self.cookies.0,
            extra_headers: self.extra_headers.0.unwrap_or_default(),
            original_request: self.original_request.0.unwrap_or_default(),
            host: self.host.0.unwrap_or_default(),
            identity_headers: checked_identity(identity_headers)?,
            roles_header: self.roles_header.0,
            client_headers_on_success: self
                .client_headers_on_success
                .0
                .unwrap_or_else(|| DEFAULT_CLIENT_HEADERS_ON_SUCCESS.map(named).to_vec()),
            client_headers,
            relay_body: self.relay_body.0.unwrap_or(true),
            key: CacheKey::Sent,
        };
        refuse_twice(&checked)?;
        refuse_clashes(&checked, is_default)?;
        Ok(ForwardAuth { key: checked_key(&checked, key)?, ..checked })
    }
}

fn named(name: &str) -> Pattern {
    Pattern::Name(name.to_owned())
}

/// Returns the headers that identify the user to the app. Refuses two entries for one of the app's names.
fn checked_identity(typed: Vec<TypedIdentityHeader>) -> Result<Vec<IdentityHeader>, ConfigError> {
    let path = |number: usize, field: &str| format!("forward_auth.identity_headers[{number}]{field}");
    let mut checked: Vec<IdentityHeader> = Vec::new();
    for (number, typed) in typed.into_iter().enumerate() {
        let header = match typed {
            TypedIdentityHeader::Same(pattern) => IdentityHeader::Same(pattern),
            TypedIdentityHeader::Renamed(renamed) => IdentityHeader::Renamed {
                header: renamed.header.0.ok_or_else(|| {
                    ConfigError::missing(path(number, ".header"), "give the app's name for it")
                })?,
                from: renamed.from.0.ok_or_else(|| {
                    ConfigError::missing(path(number, ".from"), "give the auth server's name for it")
                })?,
            },
        };
        if let Some(clash) = checked.iter().find_map(|other| clash(other, &header)) {
            let field = if matches!(header, IdentityHeader::Renamed { .. }) { ".header" } else { "" };
            return Err(ConfigError::new(path(number, field), clash));
        }
        checked.push(header);
    }
    Ok(checked)
}

/// Returns why two entries of `identity_headers` exclude each other: they are the same, or the app would get one
/// header from two of the answer's.
fn clash(one: &IdentityHeader, other: &IdentityHeader) -> Option<ForwardAuthError> {
    use IdentityHeader::{Renamed, Same};
    let two_sources = |name: &str| ForwardAuthError::TwoSources(name.into(), one.to_string());
    match (one, other) {
        (Same(one), Same(other)) => {
            one.is_same(other).then(|| ForwardAuthError::Twice(other.to_string().into()))
        }
        (Same(pattern), Renamed { header, .. }) | (Renamed { header, .. }, Same(pattern)) => {
            pattern.matches(header.as_bytes()).then(|| two_sources(header))
        }
        (Renamed { header: one, .. }, Renamed { header: other, .. }) => {
            header::is_same(one.as_bytes(), other.as_bytes()).then(|| two_sources(other))
        }
    }
}

fn refuse_twice(forward_auth: &ForwardAuth) -> Result<(), ConfigError> {
    for (field, patterns) in [
        ("request_headers", &forward_auth.request_headers),
        ("client_headers", &forward_auth.client_headers),
        ("client_headers_on_success", &forward_auth.client_headers_on_success),
    ] {
        if let Some((number, pattern)) = repeated(patterns, Pattern::is_same) {
            let path = format!("forward_auth.{field}[{number}]");
            return Err(ConfigError::new(path, ForwardAuthError::Twice(pattern.to_string().into())));
        }
    }
    if let Some(names) = &forward_auth.cookies
        && let Some((number, name)) = repeated(names, CookiePattern::eq)
    {
        let path = format!("forward_auth.cookies[{number}]");
        return Err(ConfigError::new(path, ForwardAuthError::Twice(name.to_string().into())));
    }
    let is_same =
        |one: &(String, _), other: &(String, _)| header::is_same(one.0.as_bytes(), other.0.as_bytes());
    match repeated(&forward_auth.extra_headers, is_same) {
        Some((_, (name, _))) => Err(ConfigError::new(
            "forward_auth.extra_headers",
            ForwardAuthError::ReadAlike(name.as_str().into()),
        )),
        None => Ok(()),
    }
}

/// Refuses headers that would be sent twice, and options that have no effect beside others.
fn refuse_clashes(forward_auth: &ForwardAuth, are_defaults: bool) -> Result<(), ConfigError> {
    for (name, _) in &forward_auth.extra_headers {
        let path = || format!("forward_auth.extra_headers.{name}");
        let own = forward_auth
            .original_request
            .names()
            .iter()
            .find(|own| header::is_same(own.as_bytes(), name.as_bytes()));
        if let Some(own) = own {
            return Err(ConfigError::new(path(), ForwardAuthError::SentAlready(own)));
        }
        if forward_auth.request_headers.iter().any(|pattern| pattern.is_same(&named(name))) {
            let problem = match are_defaults {
                true => ForwardAuthError::AmongDefaultRequestHeaders(name.as_str().into()),
                false => ForwardAuthError::InRequestHeaders(name.as_str().into()),
            };
            return Err(ConfigError::new(path(), problem));
        }
    }
    if forward_auth.cookies.is_some() && !forward_auth.sends_cookies() {
        return Err(ConfigError::new("forward_auth.cookies", ForwardAuthError::CookiesNotSent));
    }
    Ok(())
}

fn checked_key(forward_auth: &ForwardAuth, parts: Option<Vec<KeyPart>>) -> Result<CacheKey, ConfigError> {
    let Some(parts) = parts else { return Ok(CacheKey::Sent) };
    let path = |number: usize| format!("cache.key[{number}]");
    if let Some((number, _)) = repeated(&parts, KeyPart::eq) {
        return Err(ConfigError::new(path(number), ForwardAuthError::KeyTwice));
    }
    let is_cookie = |part: &KeyPart| matches!(part, KeyPart::Cookie(_));
    if let Some(number) = parts.iter().position(is_cookie).filter(|_| forward_auth.cookies.is_none()) {
        return Err(ConfigError::new(path(number), ForwardAuthError::KeyNeedsCookies));
    }
    match parts.iter().position(|part| !forward_auth::is_sent(forward_auth, part)) {
        Some(number) => Err(ConfigError::new(path(number), ForwardAuthError::KeyNotSent)),
        None => Ok(CacheKey::Parts(parts)),
    }
}

#[cfg(test)]
impl ForwardAuth {
    /// Checks a typed `forward_auth`.
    pub(crate) fn for_tests(typed: serde_json::Value) -> Self {
        let typed =
            super::document::read::<super::field::Object<RawForwardAuth>>(typed.to_string().as_bytes());
        typed.unwrap().check(None).unwrap()
    }
}
