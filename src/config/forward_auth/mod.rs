//! What is typed under `forward_auth`, and what becomes of it: the server that is asked about requests.

use serde::Deserialize;

use super::ConfigError;
use super::field::{Bool, Choice, Given, List, Map, NonEmpty, OneOf, Problem};
use super::raw::{missing, repeated};
use super::typed::{Upstream, UrlWithQuery, texts, untouchable};
use crate::auth_server::Server;
use crate::auth_server::forward_auth::{self, CacheKey, CookiePattern, KeyPart, Template, Withheld};
pub use crate::auth_server::forward_auth::{CallMethod, ForwardAuth, OriginalRequest};
use crate::http::header::{self, Pattern};

/// The client's headers that are sent by default.
pub const DEFAULT_REQUEST_HEADERS: [&str; 2] = ["authorization", "cookie"];

/// The headers of a denial that the client gets by default.
pub const DEFAULT_CLIENT_HEADERS: [&str; 5] =
    ["www-authenticate", "location", "set-cookie", "content-type", "retry-after"];

/// Any server that answers whether a request may pass.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "ForwardAuth", extend("required" = ["url", "upstream", "identity_headers"]))
)]
pub(super) struct RawForwardAuth {
    /// The endpoint that is asked; it may have a query. Required.
    url: Given<UrlWithQuery>,
    /// Where it is reached: an Envoy cluster, or `host:port` on APISIX. Required.
    upstream: Given<Upstream>,
    /// How it is asked: `GET` or `HEAD`. Default: `GET`.
    method: Given<OneOf<CallMethod>>,
    /// The client's headers that are sent: names, or beginnings of names such as `x-auth-*`. Default:
    /// `[authorization, cookie]`.
    request_headers: Given<List<RequestHeader>>,
    /// The cookies that are sent: names, or beginnings of names such as `_oauth2_proxy*`. Not empty. Default: all.
    cookies: Given<NonEmpty<Cookie>>,
    /// Headers that are sent beside them. Values may hold `{method}`, `{scheme}`, `{host}`, `{path}` (with the
    /// query), `{url}` and `{client_ip}`. Default: none.
    extra_headers: Given<Map<ExtraHeader, ExtraValue>>,
    /// Which headers describe the original request: `x-forwarded` (X-Forwarded-Method, -Proto, -Host, -Uri and
    /// -For), `x-original` (X-Original-Method and -URI), or `none`. Default: `x-forwarded`.
    original_request: Given<OneOf<OriginalRequest>>,
    /// The headers of an accepting answer that the app gets: names, or beginnings of names such as `x-auth-*`.
    /// They are always removed from the client's request first. Required, and not empty.
    identity_headers: Given<NonEmpty<IdentityHeader>>,
    /// The headers of a denial that the client gets. Default:
    /// `[www-authenticate, location, set-cookie, content-type, retry-after]`.
    client_headers: Given<List<ClientHeader>>,
    /// Whether the client gets a denial's body too. Default: `true`.
    relay_body: Given<Bool>,
}

impl Choice for CallMethod {
    const CHOICES: &'static [(&'static str, Self)] = &[("GET", Self::Get), ("HEAD", Self::Head)];
    const EXPECTED: &'static str = "`GET` or `HEAD`";
}

impl Choice for OriginalRequest {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("x-forwarded", Self::XForwarded), ("x-original", Self::XOriginal), ("none", Self::None)];
    const EXPECTED: &'static str = "one of `x-forwarded`, `x-original`, `none`";
}

texts! {
    /// A header of the client's that is sent.
    RequestHeader: Pattern, "a string", request_header;

    /// A header of an accepting answer that the app gets.
    IdentityHeader: Pattern, "a string", identity_header;

    /// A header of a denial that the client gets.
    ClientHeader: Pattern, "a string", client_header;

    /// The name of a header that the operator sets, in lower case.
    ExtraHeader: String, "a string", extra_header;

    /// Its value.
    ExtraValue: Template, "a string", Template::parse;

    /// A cookie, or all cookies whose names begin alike.
    Cookie: CookiePattern, "a string", CookiePattern::parse;

    /// A part of `cache.key`.
    KeyPartText: KeyPart, "a string", KeyPart::parse;
}

/// A header of the client's that is sent.
fn request_header(text: &str) -> Result<Pattern, Problem> {
    let pattern = Pattern::parse(text).map_err(Problem::new)?;
    let (Pattern::Name(start) | Pattern::Prefix(start)) = &pattern;
    // A prefix may cover names that are never sent, as long as it covers others too.
    let problem = match forward_auth::withheld(start.as_bytes()) {
        None => return Ok(pattern),
        Some(Withheld::Connection) => "concerns the client's connection only",
        Some(Withheld::OriginalRequest) => {
            "tells of the original request, which a client could forge; see `original_request`, or set it in \
             `extra_headers`, where {client_ip} and others stand for what is so"
        }
        Some(Withheld::Condition) => "would change what the answer means",
        Some(Withheld::Proxy) => "would tell the proxy what to do with the call",
    };
    Err(Problem::new(format!("`{pattern}` is never sent: it {problem}")))
}

/// A header of an accepting answer that the app gets.
fn identity_header(text: &str) -> Result<Pattern, Problem> {
    let pattern = Pattern::parse(text).map_err(Problem::new)?;
    match untouchable(&pattern) {
        Some(problem) => Err(Problem::new(problem)),
        None if pattern.matches(b"set-cookie") => Err(Problem::new("`set-cookie` goes to the client anyway")),
        None => Ok(pattern),
    }
}

/// A header of a denial that the client gets.
fn client_header(text: &str) -> Result<Pattern, Problem> {
    match Pattern::parse(text).map_err(Problem::new)? {
        Pattern::Name(name) if header::is_hop_by_hop(name.as_bytes()) => Err(Problem::new(format!(
            "`{name}` is never handed on: it concerns the connection to the server only"
        ))),
        pattern @ (Pattern::Name(_) | Pattern::Prefix(_)) => Ok(pattern),
    }
}

/// The name of a header that the operator sets, in lower case.
fn extra_header(text: &str) -> Result<String, Problem> {
    let name = text.to_ascii_lowercase();
    if !header::is_name(&name) {
        return Err(Problem::new(format!("`{}` is no name of a header", text.escape_default())));
    }
    match forward_auth::withheld(name.as_bytes()) {
        None | Some(Withheld::OriginalRequest) => Ok(name),
        Some(Withheld::Connection) => {
            Err(Problem::new(format!("`{name}` is the call's own; the host is that of `forward_auth.url`")))
        }
        Some(Withheld::Condition) => {
            Err(Problem::new(format!("`{name}` would change what the answer means")))
        }
        Some(Withheld::Proxy) => {
            Err(Problem::new(format!("`{name}` would tell the proxy what to do with the call")))
        }
    }
}

impl RawForwardAuth {
    /// Checks it. `key` is `cache.key`, if that is given.
    pub(super) fn check(self, key: Option<Vec<KeyPart>>) -> Result<ForwardAuth, ConfigError> {
        let url = self.url.0.ok_or_else(|| {
            missing("forward_auth.url", "give the endpoint that is asked, as http://auth:8080/authenticate")
        })?;
        let upstream = self.upstream.0.ok_or_else(|| {
            missing(
                "forward_auth.upstream",
                "give the Envoy cluster that reaches the auth server, or host:port on APISIX",
            )
        })?;
        let identity_headers = self.identity_headers.0.ok_or_else(|| {
            missing(
                "forward_auth.identity_headers",
                "list the headers of its answer that tell the app who asks, as [authorization, \"x-auth-*\"]",
            )
        })?;
        let method = self.method.0.unwrap_or_default();
        let is_default = self.request_headers.0.is_none();
        let request_headers =
            self.request_headers.0.unwrap_or_else(|| DEFAULT_REQUEST_HEADERS.map(named).to_vec());
        let client_headers =
            self.client_headers.0.unwrap_or_else(|| DEFAULT_CLIENT_HEADERS.map(named).to_vec());
        if method == CallMethod::Head && self.relay_body.0.is_some() {
            return Err(ConfigError::new(
                "forward_auth.relay_body",
                "does nothing with `method` HEAD, whose answers have no body",
            ));
        }
        let checked = ForwardAuth {
            server: Server { url, upstream },
            method,
            request_headers,
            cookies: self.cookies.0,
            extra_headers: self.extra_headers.0.unwrap_or_default(),
            original_request: self.original_request.0.unwrap_or_default(),
            identity_headers,
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

fn refuse_twice(forward_auth: &ForwardAuth) -> Result<(), ConfigError> {
    for (field, patterns) in [
        ("request_headers", &forward_auth.request_headers),
        ("identity_headers", &forward_auth.identity_headers),
        ("client_headers", &forward_auth.client_headers),
    ] {
        if let Some((number, pattern)) = repeated(patterns, Pattern::is_same) {
            let path = format!("forward_auth.{field}[{number}]");
            return Err(ConfigError::new(path, format!("`{pattern}` is listed twice")));
        }
    }
    if let Some(names) = &forward_auth.cookies
        && let Some((number, name)) = repeated(names, CookiePattern::eq)
    {
        let path = format!("forward_auth.cookies[{number}]");
        return Err(ConfigError::new(path, format!("`{name}` is listed twice")));
    }
    let is_same =
        |one: &(String, _), other: &(String, _)| header::is_same(one.0.as_bytes(), other.0.as_bytes());
    match repeated(&forward_auth.extra_headers, is_same) {
        Some((_, (name, _))) => Err(ConfigError::new(
            "forward_auth.extra_headers",
            format!("many servers read `{name}` and another one alike"),
        )),
        None => Ok(()),
    }
}

/// Refuses headers that would be sent twice, and options that have no effect beside another.
fn refuse_clashes(forward_auth: &ForwardAuth, are_defaults: bool) -> Result<(), ConfigError> {
    for (name, _) in &forward_auth.extra_headers {
        let path = || format!("forward_auth.extra_headers.{name}");
        let own = forward_auth
            .original_request
            .names()
            .iter()
            .find(|own| header::is_same(own.as_bytes(), name.as_bytes()));
        if let Some(own) = own {
            return Err(ConfigError::new(
                path(),
                format!("`original_request` sends `{own}` already; set that to `none`, or leave this out"),
            ));
        }
        if forward_auth.request_headers.iter().any(|pattern| pattern.is_same(&named(name))) {
            let listed = if are_defaults { "is by default one of" } else { "stands in" };
            return Err(ConfigError::new(
                path(),
                format!(
                    "`{name}` {listed} `request_headers` too, and only one of them can be sent; leave it out there"
                ),
            ));
        }
    }
    if forward_auth.cookies.is_some() && !forward_auth.sends_cookies() {
        return Err(ConfigError::new(
            "forward_auth.cookies",
            "does nothing while `request_headers` does not list `cookie`; add it there",
        ));
    }
    Ok(())
}

fn checked_key(forward_auth: &ForwardAuth, parts: Option<Vec<KeyPart>>) -> Result<CacheKey, ConfigError> {
    let Some(parts) = parts else { return Ok(CacheKey::Sent) };
    let path = |number: usize| format!("cache.key[{number}]");
    if let Some((number, _)) = repeated(&parts, KeyPart::eq) {
        return Err(ConfigError::new(path(number), "is listed twice"));
    }
    let is_cookie = |part: &KeyPart| matches!(part, KeyPart::Cookie(_));
    if let Some(number) = parts.iter().position(is_cookie).filter(|_| forward_auth.cookies.is_none()) {
        return Err(ConfigError::new(
            path(number),
            "needs `forward_auth.cookies`: the server may read other cookies as this one; list there what is sent",
        ));
    }
    match parts.iter().position(|part| !forward_auth::is_sent(forward_auth, part)) {
        Some(number) => Err(ConfigError::new(
            path(number),
            "is not sent to the auth server, so that no answer can depend on it; send it, or leave it out",
        )),
        None => Ok(CacheKey::Parts(parts)),
    }
}

#[cfg(test)]
impl ForwardAuth {
    /// What is typed under `forward_auth`, checked.
    pub(crate) fn for_tests(typed: serde_json::Value) -> Self {
        let typed =
            super::document::read::<super::field::Object<RawForwardAuth>>(typed.to_string().as_bytes());
        typed.unwrap().check(None).unwrap()
    }
}
