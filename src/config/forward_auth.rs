//! What was typed under `forward_auth`, and what becomes of it: a server that is asked about requests.

use super::ConfigError;
use super::raw::missing;
use super::typed::{STRING, untouchable, upstream};
use super::value::Value;
use crate::auth_server::Server;
use crate::auth_server::forward_auth::{self, CacheKey, CookiePattern, KeyPart, Template, Withheld};
pub use crate::auth_server::forward_auth::{ForwardAuth, Method, OriginalRequest};
use crate::http::header::{self, Pattern};
use crate::http::url::Url;

/// The client's headers that are sent where the configuration does not say.
pub const DEFAULT_REQUEST_HEADERS: [&str; 2] = ["authorization", "cookie"];

/// The headers of a denial that the client gets where the configuration does not say.
pub const DEFAULT_CLIENT_HEADERS: [&str; 4] = ["www-authenticate", "location", "set-cookie", "content-type"];

pub(super) struct RawForwardAuth {
    url: Option<Url>,
    upstream: Option<String>,
    method: Method,
    request_headers: Option<Vec<Pattern>>,
    cookies: Option<Vec<CookiePattern>>,
    /// By their names in lower case.
    extra_headers: Vec<(String, Template)>,
    original_request: OriginalRequest,
    identity_headers: Option<Vec<Pattern>>,
    client_headers: Option<Vec<Pattern>>,
    relay_body: Option<bool>,
}

const METHODS: [(&str, Method); 2] = [("GET", Method::Get), ("HEAD", Method::Head)];

const ORIGINAL_REQUESTS: [(&str, OriginalRequest); 3] = [
    ("x-forwarded", OriginalRequest::XForwarded),
    ("x-original", OriginalRequest::XOriginal),
    ("none", OriginalRequest::None),
];

/// A header of the client's that is sent.
fn request_header(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::parse(text).map_err(|error| error.to_string())?;
    let (Pattern::Name(start) | Pattern::Prefix(start)) = &pattern;
    // Of names that begin alike, those that are withheld are just not sent, unless all of them are.
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
    Err(format!("`{pattern}` is never sent: it {problem}"))
}

/// A header of an accepting answer that the app gets.
fn identity_header(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::parse(text).map_err(|error| error.to_string())?;
    match untouchable(&pattern) {
        Some(problem) => Err(problem),
        None if pattern.matches(b"set-cookie") => Err("`set-cookie` goes to the client anyway".to_owned()),
        None => Ok(pattern),
    }
}

/// A header of a denial that the client gets.
fn client_header(text: &str) -> Result<Pattern, String> {
    match Pattern::parse(text).map_err(|error| error.to_string())? {
        Pattern::Name(name) if header::is_hop_by_hop(name.as_bytes()) => {
            Err(format!("`{name}` is never handed on: it concerns the connection to the server only"))
        }
        pattern @ (Pattern::Name(_) | Pattern::Prefix(_)) => Ok(pattern),
    }
}

/// The name of a header that the operator sets, in lower case.
fn extra_header(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    if !header::is_name(&name) {
        return Err(format!("`{}` is no name of a header", text.escape_default()));
    }
    match forward_auth::withheld(name.as_bytes()) {
        None | Some(Withheld::OriginalRequest) => Ok(name),
        Some(Withheld::Connection) => {
            Err(format!("`{name}` is the call's own; the host is that of `forward_auth.url`"))
        }
        Some(Withheld::Condition) => Err(format!("`{name}` would change what the answer means")),
        Some(Withheld::Proxy) => Err(format!("`{name}` would tell the proxy what to do with the call")),
    }
}

fn cookie(text: &str) -> Result<CookiePattern, String> {
    CookiePattern::parse(text).map_err(|error| error.to_string())
}

/// The parts of `cache.key`.
pub(super) fn key_parts(value: &Value) -> Result<Vec<KeyPart>, ConfigError> {
    value.non_empty(|part| part.parse(STRING, |text| KeyPart::parse(text).map_err(|error| error.to_string())))
}

fn extra_headers(value: &Value) -> Result<Vec<(String, Template)>, ConfigError> {
    let members = value.members()?;
    let headers = members.iter().map(|(name, value)| {
        let name = extra_header(name).map_err(|problem| value.wrong(problem))?;
        Ok((name, value.parse(STRING, |text| Template::parse(text).map_err(|error| error.to_string()))?))
    });
    headers.collect()
}

impl RawForwardAuth {
    pub(super) fn read(value: &Value) -> Result<Self, ConfigError> {
        let mut fields = value.fields()?;
        let raw = Self {
            url: fields.take("url", |url| url.parse(STRING, Url::parse_with_query)),
            upstream: fields.take("upstream", upstream),
            method: fields.take("method", |method| method.choice(&METHODS)).unwrap_or_default(),
            request_headers: fields
                .take("request_headers", |list| list.list(|one| one.parse(STRING, request_header))),
            cookies: fields.take("cookies", |list| list.non_empty(|one| one.parse(STRING, cookie))),
            extra_headers: fields.take("extra_headers", extra_headers).unwrap_or_default(),
            original_request: fields
                .take("original_request", |which| which.choice(&ORIGINAL_REQUESTS))
                .unwrap_or_default(),
            identity_headers: fields
                .take("identity_headers", |list| list.non_empty(|one| one.parse(STRING, identity_header))),
            client_headers: fields
                .take("client_headers", |list| list.list(|one| one.parse(STRING, client_header))),
            relay_body: fields.take("relay_body", Value::boolean),
        };
        fields.end(raw)
    }

    /// `key` is `cache.key`, where it is given.
    pub(super) fn check(self, key: Option<Vec<KeyPart>>) -> Result<ForwardAuth, ConfigError> {
        let url = self.url.ok_or_else(|| {
            missing("forward_auth.url", "give the endpoint that is asked, as http://auth:8080/authenticate")
        })?;
        let upstream = self.upstream.ok_or_else(|| {
            missing(
                "forward_auth.upstream",
                "give the Envoy cluster that reaches the auth server, or host:port on APISIX",
            )
        })?;
        let identity_headers = self.identity_headers.ok_or_else(|| {
            missing(
                "forward_auth.identity_headers",
                "list the headers of its answer that tell the app who asks, as [authorization, \"x-auth-*\"]",
            )
        })?;
        let is_default = self.request_headers.is_none();
        let request_headers =
            self.request_headers.unwrap_or_else(|| DEFAULT_REQUEST_HEADERS.map(named).to_vec());
        let client_headers =
            self.client_headers.unwrap_or_else(|| DEFAULT_CLIENT_HEADERS.map(named).to_vec());
        if self.method == Method::Head && self.relay_body.is_some() {
            return Err(ConfigError::new(
                "forward_auth.relay_body",
                "does nothing with `method` HEAD, whose answers have no body",
            ));
        }
        let checked = ForwardAuth {
            server: Server { url, upstream },
            method: self.method,
            request_headers,
            cookies: self.cookies,
            extra_headers: self.extra_headers,
            original_request: self.original_request,
            identity_headers,
            client_headers,
            relay_body: self.relay_body.unwrap_or(true),
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

/// The first element that is the same as one before it.
fn repeated<T>(list: &[T], is_same: impl Fn(&T, &T) -> bool) -> Option<(usize, &T)> {
    list.iter().enumerate().find(|(number, one)| list.iter().take(*number).any(|other| is_same(one, other)))
}

/// What would be said twice, or not at all.
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
        RawForwardAuth::read(&super::value::for_tests(&typed)).unwrap().check(None).unwrap()
    }
}

#[cfg(test)]
mod tests;
