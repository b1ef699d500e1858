//! What is shown of calls and headers. Nothing that lets anybody in: of a header that nobody is known to read aloud,
//! only where it comes from.

use authgear_filter::http::Call;
use serde::Serialize;

use super::Request;

/// Headers whose values are shown: they say where a request goes, or come from the client and are no credential.
const SHOWN: [&str; 22] = [
    ":method",
    ":scheme",
    ":authority",
    ":path",
    "host",
    "accept",
    "accept-encoding",
    "content-type",
    "origin",
    "user-agent",
    "traceparent",
    "tracestate",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-uri",
    "x-original-method",
    "x-original-uri",
    "sec-fetch-mode",
    "x-requested-with",
];

/// Headers that carry credentials, whoever sent them.
const SECRET: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "set-cookie", "dpop"];

/// A call that the filter makes.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ToldCall {
    /// What for.
    pub(super) purpose: &'static str,
    /// The cluster, or `host:port` on APISIX.
    pub(super) upstream: String,
    /// The method.
    pub(super) method: String,
    /// The URL, by the host that the call names.
    pub(super) url: String,
    /// The other headers.
    pub(super) headers: Vec<ToldHeader>,
    /// The names in its form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) form: Vec<String>,
}

/// A header, without what is secret of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ToldHeader {
    /// Its name.
    pub(super) name: String,
    /// Its value, or in brackets what it is.
    pub(super) value: String,
}

/// Knows what must not be shown.
pub(crate) struct Redactor<'a> {
    request: &'a Request,
    token: Option<&'a [u8]>,
}

impl<'a> Redactor<'a> {
    pub(super) const fn new(request: &'a Request, token: Option<&'a [u8]>) -> Self {
        Self { request, token }
    }

    /// A call of the filter's own.
    pub(super) fn call(&self, call: &Call, fetches_keys: bool) -> ToldCall {
        let pseudo = |name: &[u8]| call.fields.value(name).map(lossy).unwrap_or_default();
        let path = pseudo(b":path");
        // The query of a configured URL may be a secret.
        let path = match path.split_once('?') {
            Some((path, _)) => format!("{path}?[as configured]"),
            None => path,
        };
        let headers = call.fields.iter().filter(|(name, _)| name.first() != Some(&b':'));
        let form = call.form.as_ref().map(|form| lossy(form.reveal())).unwrap_or_default();
        let names = form.split('&').filter_map(|pair| pair.split('=').next());
        ToldCall {
            purpose: if fetches_keys { "keys" } else { "question" },
            upstream: call.upstream.clone(),
            method: pseudo(b":method"),
            url: format!("{}://{}{path}", pseudo(b":scheme"), pseudo(b":authority")),
            headers: headers.map(|(name, value)| self.sent(name, value)).collect(),
            form: names.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        }
    }

    /// A header of a call.
    fn sent(&self, name: &[u8], value: &[u8]) -> ToldHeader {
        let (name, text) = (lossy(name), lossy(value));
        let is_clients = self.request.headers.iter().any(|(known, sent)| *known == name && *sent == text);
        let value = match name.as_str() {
            "cookie" => cookies(&text),
            _ if self.has_token(value) => "[the token]".to_owned(),
            _ if SHOWN.contains(&name.as_str()) => text,
            _ if is_clients => "[as the client sent it]".to_owned(),
            _ => "[as configured]".to_owned(),
        };
        ToldHeader { name, value }
    }

    /// A header for the app or for the client.
    pub(super) fn identity(&self, name: &[u8], value: &[u8]) -> ToldHeader {
        let name = lossy(name);
        let is_placeholder = value.starts_with(b"<");
        let value = match name.as_str() {
            _ if self.has_token(value) => "[of the token]".to_owned(),
            "cookie" | "set-cookie" => cookies(&lossy(value)),
            secret if SECRET.contains(&secret) && !is_placeholder => "[secret]".to_owned(),
            _ => lossy(value),
        };
        ToldHeader { name, value }
    }

    /// Of the names that are removed, those that the client sent: proxies differ in how many others they are told.
    pub(super) fn removed(&self, names: &[Vec<u8>]) -> Vec<String> {
        let sent = self.request.headers.iter().map(|(name, _)| name.clone());
        let mut removed: Vec<_> =
            sent.filter(|name| names.iter().any(|known| known == name.as_bytes())).collect();
        removed.dedup();
        removed
    }

    /// A header of the client that gets another value.
    pub(super) fn rewritten(&self, name: &[u8], value: &[u8]) -> ToldHeader {
        self.identity(name, value)
    }

    /// Whether a value holds the token, or a part of it that could be put together again.
    fn has_token(&self, value: &[u8]) -> bool {
        let contains =
            |whole: &[u8], part: &[u8]| whole.windows(part.len().max(1)).any(|window| window == part);
        self.token.is_some_and(|token| {
            let mut parts = token.split(|&byte| byte == b'.').filter(|part| part.len() >= 8);
            !token.is_empty() && (contains(value, token) || parts.any(|part| contains(value, part)))
        })
    }
}

/// The names of cookies, with their attributes where they are set.
fn cookies(value: &str) -> String {
    let pairs = value.split(';').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{}=[secret]", name.trim()),
        None => pair.trim().to_owned(),
    });
    pairs.collect::<Vec<_>>().join("; ")
}

/// Bytes as text, with `U+FFFD` for what is no UTF-8.
pub(super) fn lossy(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(bytes.as_ref()).into_owned()
}
