//! The cache key of an answer: everything that is sent, or what the operator configures.

use super::call::{copied, sent_cookies};
use super::{CacheKey, CallHost, ForwardAuth, KeyPart, OriginalRequest, Piece};
use crate::auth_server::{Inputs, forwarded};
use crate::cache::{Key, Part};
use crate::http::Head;
use crate::http::credential;
use crate::http::header;
use crate::http::url::Url;

/// Headers that trace a request through a system and differ for each request; `x-b3-*` are matched separately. No
/// server decides by them.
const TRACING: [&[u8]; 4] = [b"traceparent", b"tracestate", b"baggage", b"x-request-id"];

/// Adds the inputs of a request to a key. `url` is given if it differs from the server's own.
pub fn key(forward_auth: &ForwardAuth, head: &Head<'_>, url: Option<&Url>, key: &mut Key) -> Inputs {
    // Another URL is another question, however narrow the key is.
    if let Some(url) = url {
        key.push(Part::AuthUrl, url.path_and_query().as_bytes());
    }
    match &forward_auth.key {
        CacheKey::Sent => {
            add_sent(forward_auth, head, key);
            let hold_credential = sent_cookies(forward_auth, head).next().is_some()
                || copied(forward_auth, head).any(|(name, _)| is_authorization(name));
            Inputs { identify: true, hold_credential }
        }
        CacheKey::Parts(parts) => {
            let mut inputs = Inputs { identify: false, hold_credential: false };
            for part in parts {
                let is_held = add_part(forward_auth, part, head, key);
                match part {
                    KeyPart::Header(name) => {
                        inputs.identify |= is_held;
                        let is_credential = is_authorization(name.as_bytes()) || is_cookie(name.as_bytes());
                        inputs.hold_credential |= is_held && is_credential;
                    }
                    KeyPart::Cookie(_) => {
                        inputs.identify |= is_held;
                        inputs.hold_credential |= is_held;
                    }
                    KeyPart::Method | KeyPart::Host | KeyPart::Path | KeyPart::ClientIp => {}
                }
            }
            inputs
        }
    }
}

fn is_authorization(name: &[u8]) -> bool {
    header::is_same(name, b"authorization")
}

fn is_cookie(name: &[u8]) -> bool {
    header::is_same(name, b"cookie")
}

/// Adds one part of a narrowed key, read from what is sent. Returns whether it was present.
fn add_part(forward_auth: &ForwardAuth, part: &KeyPart, head: &Head<'_>, key: &mut Key) -> bool {
    let mut found = false;
    let mut add = |part: Part<'_>, value: &[u8]| {
        key.push(part, value);
        found = true;
    };
    match part {
        KeyPart::Header(name) if is_cookie(name.as_bytes()) => {
            sent_cookies(forward_auth, head).for_each(|pair| add(Part::Header(b"cookie"), pair));
        }
        KeyPart::Header(name) => copied(forward_auth, head)
            .filter(|(sent, _)| header::is_same(sent, name.as_bytes()))
            .for_each(|(sent, value)| add(Part::Header(sent), value)),
        KeyPart::Cookie(pattern) => sent_cookies(forward_auth, head)
            .filter_map(credential::split_cookie)
            .filter(|(name, _)| pattern.matches(name))
            .for_each(|(name, value)| add(Part::Cookie(name), value)),
        KeyPart::Method => add(Part::Method, head.method),
        KeyPart::Host => add(Part::Host, head.authority),
        KeyPart::Path => add(Part::Path, head.path),
        KeyPart::ClientIp => {
            if let Some(address) = forwarded::client_address(head) {
                add(Part::ClientAddress, address.as_bytes());
            }
        }
    }
    found
}

fn add_sent(forward_auth: &ForwardAuth, head: &Head<'_>, key: &mut Key) {
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
    if told.address
        && let Some(address) = forwarded::client_address(head)
    {
        key.push(Part::ClientAddress, address.as_bytes());
    }
    for (name, value) in copied(forward_auth, head) {
        let is_tracing =
            TRACING.iter().any(|known| header::is_same(known, name)) || header::begins_with(name, b"x-b3-");
        if !is_tracing {
            key.push(Part::Header(name), value);
        }
    }
    for pair in sent_cookies(forward_auth, head) {
        key.push(Part::Header(b"cookie"), pair);
    }
}

/// What the server learns of the original request, from any header.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    method: bool,
    scheme: bool,
    host: bool,
    path: bool,
    address: bool,
}

impl Told {
    fn of(forward_auth: &ForwardAuth) -> Self {
        let mut told = match forward_auth.original_request {
            OriginalRequest::XForwarded => {
                Self { method: true, scheme: true, host: true, path: true, address: true }
            }
            OriginalRequest::XOriginal => Self { method: true, path: true, ..Self::default() },
            OriginalRequest::None => Self::default(),
        };
        told.host |= forward_auth.host == CallHost::Client;
        for piece in forward_auth.extra_headers.iter().flat_map(|(_, template)| template.pieces()) {
            match piece {
                Piece::Text(_) => {}
                Piece::ClientIp => told.address = true,
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

/// Returns whether a part is sent; an answer cannot depend on anything else. A cookie counts only if the sent cookies
/// are configured by name, because the filter does not know what a server folds into a cookie's name.
#[must_use]
pub fn is_sent(forward_auth: &ForwardAuth, part: &KeyPart) -> bool {
    let told = Told::of(forward_auth);
    match part {
        KeyPart::Header(name) if is_cookie(name.as_bytes()) => forward_auth.sends_cookies(),
        KeyPart::Header(name) => forward_auth.sends(name.as_bytes()),
        KeyPart::Cookie(pattern) => {
            let chosen = forward_auth.cookies.as_deref().unwrap_or_default();
            forward_auth.sends_cookies() && chosen.iter().any(|known| known.covers(pattern))
        }
        KeyPart::Method => told.method,
        KeyPart::Host => told.host,
        KeyPart::Path => told.path,
        KeyPart::ClientIp => told.address,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth_server::forward_auth::CookiePattern;
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
        key(forward_auth, head, None, &mut found);
        found
    }

    /// Returns whether a request that differs from the base in one thing has a different key.
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
    fn by_default_everything_that_is_sent_counts_but_what_only_traces_a_request() {
        let defaults = json!({});
        let original = json!({"original_request": "x-original"});
        let none = json!({"original_request": "none"});
        let to_client = json!({"original_request": "none", "host": "client"});
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
            (b"cookie", b"session=s; theme=a\tb", &chosen, false),
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
            (b"x-correlation-id", b"1", &more, true),
            (b"user-agent", b"curl", &more, true),
            (b"traceparent", b"00", &more, false),
            (b"accept", b"text/html", &defaults, false),
            (b"x-forwarded-for", b"10.0.0.1", &defaults, false),
            (b":address", b"", &defaults, true),
            (b":address", b"", &original, false),
            (b":address", b"", &none, false),
            (b":address", b"", &url, true),
            (b":method", b"POST", &defaults, true),
            (b":method", b"POST", &original, true),
            (b":method", b"POST", &none, false),
            (b":scheme", b"http", &defaults, true),
            (b":scheme", b"http", &original, false),
            (b":scheme", b"http", &url, true),
            (b":authority", b"other.example", &defaults, true),
            (b":authority", b"other.example", &original, false),
            (b":authority", b"other.example", &url, true),
            (b":authority", b"other.example", &none, false),
            (b":authority", b"other.example", &to_client, true),
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
        let config =
            json!({"cookies": ["session"], "key": ["header:Authorization", "cookie:session", "path"]});
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
        let whole = json!({"cookies": ["session"], "key": ["header:cookie"]});
        assert!(!differs(&whole, b"cookie", b"theme=light; session=s"), "what is not sent does not count");
        assert!(differs(&whole, b"cookie", b"session=t"));
        let unsent = json!({"request_headers": ["cookie"], "key": ["header:authorization"]});
        assert!(!differs(&unsent, b"authorization", b"Basic b"), "it is not sent");
        let prefix = json!({"cookies": ["s*"], "key": ["cookie:sess*"]});
        assert!(differs(&prefix, b"cookie", b"session=t") && !differs(&prefix, b"cookie", b"session=s; s=1"));
        assert!(differs(&json!({"key": ["client_ip"]}), b":address", b""));
        assert!(differs(&json!({"key": ["method"]}), b":method", b"POST"));
        assert!(differs(&json!({"key": ["host"]}), b":authority", b"other.example"));
        assert!(!differs(&json!({"key": ["host"]}), b"authorization", b"Basic b"), "the operator says so");
    }

    #[test]
    fn another_url_is_another_question_however_narrow_the_key_is() {
        for more in [json!({}), json!({"cookies": ["session"], "key": ["cookie:session"]})] {
            let forward_auth = config(&more);
            let of = |url: Option<&str>| {
                let url = url.map(|url| Url::parse_with_query(url).unwrap());
                let mut found = Key::new();
                key(&forward_auth, &base(), url.as_ref(), &mut found);
                found
            };
            let urls = [None, Some("http://auth/a"), Some("http://auth/a?x"), Some("http://auth/a?y")];
            for one in urls {
                for other in urls {
                    assert_eq!(of(one) == of(other), one == other, "{one:?} {other:?} {more}");
                }
            }
        }
    }

    #[test]
    fn a_key_says_whether_it_tells_one_client_from_another() {
        let bare: [Field<'static>; 1] = [(b"accept", b"*/*")];
        let other: [Field<'static>; 1] = [(b"cookie", b"theme=dark")];
        let by_cookie = json!({"cookies": ["session"], "key": ["cookie:session", "path"]});
        let by_both = json!({"key": ["header:cookie", "header:authorization"]});
        let by_path = json!({"key": ["path"]});
        let by_realm = json!({"request_headers": ["x-auth-realm"], "key": ["header:x-auth-realm"]});
        let by_default = json!({});
        #[rustfmt::skip]
        let cases: [(&Value, &[Field<'_>], bool, bool); 10] = [
            (&by_default, &FIELDS, true, true),
            (&by_default, &bare, true, false),
            (&by_cookie, &FIELDS, true, true),
            (&by_cookie, &other, false, false),
            (&by_both, &FIELDS, true, true),
            (&by_both, &other, true, true),
            (&by_both, &bare, false, false),
            (&by_path, &FIELDS, false, false),
            (&by_realm, &FIELDS, true, false),
            (&by_realm, &bare, false, false),
        ];
        for (more, fields, identify, hold_credential) in cases {
            let found = key(&config(more), &Head { fields, ..base() }, None, &mut Key::new());
            assert_eq!(found, Inputs { identify, hold_credential }, "{more} {fields:?}");
        }
    }

    #[test]
    fn a_part_is_read_as_it_is_typed() {
        for text in
            ["header:", "cookie:a=b", "header:x y", "headers:x", "Method", "", "header", "path:x", "query"]
        {
            let problem = KeyPart::parse(text).unwrap_err().to_string();
            assert!(problem.contains("header:<name>"), "{text}: {problem}");
        }
        assert_eq!(KeyPart::parse("header:X-Realm"), Ok(KeyPart::Header("x-realm".into())));
        assert_eq!(
            KeyPart::parse("cookie:Session"),
            Ok(KeyPart::Cookie(CookiePattern::parse("Session").unwrap()))
        );
    }
}
