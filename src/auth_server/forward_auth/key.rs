//! What an answer was given for: everything that was sent and can change it, or what the operator says.

use super::{ForwardAuth, OriginalRequest};
use crate::auth_server::forward_auth::Piece;
use crate::auth_server::forward_auth::call::{chosen_cookies, copied};
use crate::cache::{Key, Part};
use crate::http::Head;
use crate::http::credential;
use crate::http::header;

/// Which inputs an answer is remembered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheKey {
    /// All that is sent and can change an answer.
    Sent,
    /// These.
    Parts(Vec<KeyPart>),
}

/// An input of the auth server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// `header:<name>`, in lower case; all of them where it is repeated.
    Header(String),
    /// `cookie:<name>`; likewise.
    Cookie(String),
    /// `method`
    Method,
    /// `host`
    Host,
    /// `path`: with the query.
    Path,
}

impl KeyPart {
    /// Reads a part as it is typed.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let part = match text.split_once(':') {
            Some(("header", name)) if header::is_name(name) => Self::Header(name.to_ascii_lowercase()),
            Some(("cookie", name)) if header::is_name(name) => Self::Cookie(name.to_owned()),
            None if text == "method" => Self::Method,
            None if text == "host" => Self::Host,
            None if text == "path" => Self::Path,
            Some(_) | None => {
                return Err(format!(
                    "`{}` is none of header:<name>, cookie:<name>, method, host and path",
                    text.escape_default()
                ));
            }
        };
        Ok(part)
    }
}

/// Headers that follow a request through a system, or tell of the program that sent it: another one in every
/// request or for every client, and no server answers by them.
const UNINFORMATIVE: [&[u8]; 10] = [
    b"user-agent",
    b"x-request-id",
    b"x-correlation-id",
    b"traceparent",
    b"tracestate",
    b"baggage",
    b"b3",
    b"uber-trace-id",
    b"x-amzn-trace-id",
    b"x-cloud-trace-context",
];

/// Adds the inputs of a request to a key.
pub fn key(forward_auth: &ForwardAuth, head: &Head<'_>, key: &mut Key) {
    match &forward_auth.key {
        CacheKey::Sent => sent(forward_auth, head, key),
        CacheKey::Parts(parts) => parts.iter().for_each(|part| add(part, head, key)),
    }
}

fn add(part: &KeyPart, head: &Head<'_>, key: &mut Key) {
    match part {
        KeyPart::Header(name) => {
            for (sent, value) in head.fields.iter().filter(|(sent, _)| header::is_same(sent, name.as_bytes()))
            {
                key.push(Part::Header(sent), value);
            }
        }
        KeyPart::Cookie(name) => {
            for (name, value) in credential::all_cookies(head).filter(|(sent, _)| *sent == name.as_bytes()) {
                key.push(Part::Cookie(name), value);
            }
        }
        KeyPart::Method => key.push(Part::Method, head.method),
        KeyPart::Host => key.push(Part::Host, head.authority),
        KeyPart::Path => key.push(Part::Path, head.path),
    }
}

fn sent(forward_auth: &ForwardAuth, head: &Head<'_>, key: &mut Key) {
    let told = Told::of(forward_auth);
    if told.method {
        key.push(Part::Method, head.method);
    }
    if told.scheme {
        key.push(Part::Header(b":scheme"), head.scheme);
    }
    if told.host {
        key.push(Part::Host, head.authority);
    }
    if told.path {
        key.push(Part::Path, head.path);
    }
    for (name, value) in copied(forward_auth, head) {
        let is_uninformative = UNINFORMATIVE.iter().any(|known| header::is_same(known, name))
            || header::begins_with(name, b"x-b3-");
        if !is_uninformative {
            key.push(Part::Header(name), value);
        }
    }
    match &forward_auth.cookies {
        _ if !forward_auth.sends_cookies() => {}
        Some(names) => {
            for (name, value) in chosen_cookies(names, head) {
                key.push(Part::Cookie(name), value);
            }
        }
        None => {
            for line in head.values(b"cookie") {
                key.push(Part::Header(b"cookie"), line);
            }
        }
    }
}

/// What the server is told of the original request, by whichever headers. The address of the client is left
/// out: everybody behind one proxy has it, and nobody else keeps it.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    method: bool,
    scheme: bool,
    host: bool,
    path: bool,
}

impl Told {
    fn of(forward_auth: &ForwardAuth) -> Self {
        let mut told = match forward_auth.original_request {
            OriginalRequest::XForwarded => Self { method: true, scheme: true, host: true, path: true },
            OriginalRequest::XOriginal => Self { method: true, path: true, ..Self::default() },
            OriginalRequest::None => Self::default(),
        };
        for piece in forward_auth.extra_headers.iter().flat_map(|(_, template)| template.pieces()) {
            match piece {
                Piece::Text(_) | Piece::ClientIp => {}
                Piece::Method => told.method = true,
                Piece::Scheme => told.scheme = true,
                Piece::Host => told.host = true,
                Piece::Path => told.path = true,
                Piece::Url => (told.scheme, told.host, told.path) = (true, true, true),
            }
        }
        told
    }
}

/// Whether a part is among what is sent: an answer cannot depend on anything else.
#[must_use]
pub fn is_sent(forward_auth: &ForwardAuth, part: &KeyPart) -> bool {
    let told = Told::of(forward_auth);
    match part {
        KeyPart::Header(name) => {
            let is_cookie = header::is_same(name.as_bytes(), b"cookie");
            if is_cookie { forward_auth.sends_cookies() } else { forward_auth.sends(name.as_bytes()) }
        }
        KeyPart::Cookie(name) => {
            forward_auth.sends_cookies()
                && forward_auth.cookies.as_ref().is_none_or(|names| names.contains(name))
        }
        KeyPart::Method => told.method,
        KeyPart::Host => told.host,
        KeyPart::Path => told.path,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::Field;

    const FIELDS: [Field<'static>; 4] = [
        (b"authorization", b"Basic a"),
        (b"cookie", b"session=s; theme=dark"),
        (b"x-auth-realm", b"one"),
        (b"accept", b"*/*"),
    ];

    fn base() -> Head<'static> {
        Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: b"/a?b",
            fields: &FIELDS,
            client_address: &|| None,
        }
    }

    fn config(more: &Value) -> ForwardAuth {
        let mut config = json!({"url": "http://auth/", "upstream": "auth", "identity_headers": ["x-user"]});
        let key = more.get("key").cloned();
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config.as_object_mut().unwrap().remove("key");
        let mut forward_auth = ForwardAuth::for_tests(config);
        if let Some(parts) = key {
            let part = |part: &Value| KeyPart::parse(part.as_str().unwrap()).unwrap();
            forward_auth.key = CacheKey::Parts(parts.as_array().unwrap().iter().map(part).collect());
        }
        forward_auth
    }

    fn key_of(forward_auth: &ForwardAuth, head: &Head<'_>) -> Key {
        let mut found = Key::new();
        key(forward_auth, head, &mut found);
        found
    }

    /// Whether a request that differs from the base in one thing has another key.
    fn differs(more: &Value, name: &[u8], value: &[u8]) -> bool {
        let forward_auth = config(more);
        let mut fields = FIELDS.to_vec();
        fields.retain(|field| field.0 != name);
        let head = match name {
            b":method" => Head { method: value, ..base() },
            b":scheme" => Head { scheme: value, ..base() },
            b":authority" => Head { authority: value, ..base() },
            b":path" => Head { path: value, ..base() },
            b":address" => Head { client_address: &|| Some([192, 0, 2, 1].into()), ..base() },
            _ => {
                fields.push((name, value));
                Head { fields: &fields, ..base() }
            }
        };
        key_of(&forward_auth, &head) != key_of(&forward_auth, &base())
    }

    #[test]
    fn by_default_everything_that_is_sent_and_can_change_an_answer_counts_and_nothing_else() {
        let defaults = json!({});
        let original = json!({"original_request": "x-original"});
        let none = json!({"original_request": "none"});
        let url =
            json!({"original_request": "none", "extra_headers": {"x-url": "{url}", "x-ip": "{client_ip}"}});
        let more = json!({"request_headers": ["authorization", "user-agent", "traceparent", "x-*"]});
        let chosen = json!({"cookies": ["session"]});
        #[rustfmt::skip]
        let cases: &[(&[u8], &[u8], &Value, bool)] = &[
            (b"authorization", b"Basic b", &defaults, true),
            (b"authorization", b"", &defaults, true),
            (b"cookie", b"session=s; theme=light", &defaults, true),
            (b"cookie", b"session=s", &chosen, false),
            (b"cookie", b"x=y; session=s", &chosen, false),
            (b"cookie", b"session=t", &chosen, true),
            (b"cookie", b"session=s; session=t", &chosen, true),
            (b"cookie", b"session=t", &more, false),
            (b"x-auth-realm", b"two", &defaults, false),
            (b"x-auth-realm", b"two", &more, true),
            (b"x-new", b"", &more, true),
            (b"x-forwarded-user", b"forged", &more, false),
            (b"x-request-id", b"1", &more, false),
            (b"x-b3-traceid", b"1", &more, false),
            (b"user-agent", b"curl", &more, false),
            (b"traceparent", b"00", &more, false),
            (b"accept", b"text/html", &defaults, false),
            (b"x-forwarded-for", b"10.0.0.1", &defaults, false),
            (b":address", b"", &defaults, false),
            (b":address", b"", &url, false),
            (b":method", b"POST", &defaults, true),
            (b":method", b"POST", &original, true),
            (b":method", b"POST", &none, false),
            (b":scheme", b"http", &defaults, true),
            (b":scheme", b"http", &original, false),
            (b":scheme", b"http", &url, true),
            (b":authority", b"other.example", &defaults, true),
            (b":authority", b"other.example", &original, false),
            (b":authority", b"other.example", &url, true),
            (b":path", b"/a?c", &defaults, true),
            (b":path", b"/a?c", &original, true),
            (b":path", b"/a?c", &none, false),
            (b":path", b"/a?c", &url, true),
        ];
        for (name, value, config, expected) in cases {
            let told = (name.escape_ascii(), value.escape_ascii());
            assert_eq!(differs(config, name, value), *expected, "{told:?} with {config}");
        }
    }

    #[test]
    fn a_narrower_key_holds_what_it_names() {
        let config = json!({"key": ["header:Authorization", "cookie:session", "path"]});
        #[rustfmt::skip]
        let cases: &[(&[u8], &[u8], bool)] = &[
            (b"authorization", b"Basic b", true),
            (b"Authorization", b"Basic b", true),
            (b"cookie", b"theme=dark; session=s", false),
            (b"cookie", b"session=t", true),
            (b"cookie", b"theme=dark", true),
            (b"cookie", b"session=s; session=t", true),
            (b":path", b"/b", true),
            (b":method", b"POST", false),
            (b":authority", b"other.example", false),
            (b"x-auth-realm", b"two", false),
        ];
        for (name, value, expected) in cases {
            assert_eq!(differs(&config, name, value), *expected, "{}", value.escape_ascii());
        }
        assert!(differs(&json!({"key": ["method"]}), b":method", b"POST"));
        assert!(differs(&json!({"key": ["host"]}), b":authority", b"other.example"));
        assert!(!differs(&json!({"key": ["host"]}), b"authorization", b"Basic b"), "the operator says so");
    }

    #[test]
    fn a_part_is_read_as_it_is_typed() {
        for text in
            ["header:", "cookie:a=b", "header:x y", "headers:x", "Method", "", "header", "path:x", "query"]
        {
            let problem = KeyPart::parse(text).unwrap_err();
            assert!(problem.contains("header:<name>"), "{text}: {problem}");
        }
        assert_eq!(KeyPart::parse("header:X-Realm"), Ok(KeyPart::Header("x-realm".into())));
        assert_eq!(KeyPart::parse("cookie:Session"), Ok(KeyPart::Cookie("Session".into())));
    }
}
