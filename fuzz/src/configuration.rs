//! Configurations: good ones, changed at random, as JSON and as the bytes of a `google.protobuf.Struct`.

use std::sync::LazyLock;

use authgear_filter::config::{ConfigError, Projects};
use authgear_filter::engine::Capabilities;
use authgear_filter::engine::projects::Engines;
use authgear_filter::http::{Field, Head, UnixTime};
use authgear_filter::protobuf::push_bytes;
use serde_json::{Map, Value, json};

use crate::input::Input;
use crate::issuer::{ISSUER, NOW, PROXY, jwks};

/// What stands for each secret: no message shows it.
const SECRET: &str = "hunter2";

static GOOD: LazyLock<Vec<Value>> = LazyLock::new(|| {
    vec![
        json!({"authgear": {"endpoint": ISSUER, "upstream": "authgear"}}),
        json!({
            "authgear": {"endpoint": ISSUER, "upstream": "authgear", "mode": "auto", "cookie_prefix": "p_",
                "resolver_url": "http://r:3001/resolve", "resolver_upstream": "r", "audiences": [ISSUER],
                "client_ids": ["a"], "jwks_url": "http://m:3000/oauth2/jwks", "revalidate": "60s",
                "token_from": [{"header": "authorization", "scheme": "Bearer"}, {"cookie": "t"}, {"query": "t"}],
                "login": {"client_id": "web", "callback": "/.authgear/login", "scope": ["openid"]}},
            "timeout": "3s", "access": "optional", "cache": {"ttl": "10s", "negative_ttl": "1s", "stale_if_error": "1m",
                "max_entries": 100}, "on_error": {"action": "deny", "status": 503}, "allow_cors_preflight": true,
            "strip_overrides": true, "strip_credentials": false, "log_level": "info",
            "rules": [
                {"path": "/healthz", "access": "public"},
                {"prefix": "/admin", "methods": ["GET", "POST"], "hosts": ["a.example", "*.b.example"],
                 "require": {"roles": ["admin"], "verified": true, "amr": ["otp"], "max_auth_age": "1h"},
                 "on_unauthenticated": {"redirect": "https://login.example/?to={url}"}, "on_forbidden": {"status": 404}},
            ],
        }),
        json!({"authgear": [
            {"endpoint": ISSUER, "upstream": "a", "hosts": ["a.example", "*.a.example"]},
            {"endpoint": "https://b.example", "upstream": "b", "mode": "resolver", "hosts": ["b.example"]},
        ]}),
        json!({
            "forward_auth": {"url": "http://auth/check?secret=hunter2", "upstream": "auth", "method": "GET",
                "request_headers": ["authorization", "x-*"], "cookies": ["s", "p*"], "host": "url",
                "client_headers_on_success": ["set-cookie"], "extra_headers": {"x-a": "{method} {url}"},
                "original_request": "x-forwarded", "identity_headers": ["x-auth-*", {"header": "x-u", "from": "x-v"}],
                "roles_header": "x-groups", "client_headers": ["location"], "relay_body": true},
            "cache": {"ttl": "1s", "key": ["header:authorization", "cookie:s", "method", "host", "path", "client_ip"]},
            "rules": [{"prefix": "/a", "forward_auth": {"url": "http://auth/check?x=y"}, "require": {"roles": ["a"]}}],
        }),
        json!({"jwt": [
            {"issuer": "https://idp.example/{tid}/v2.0", "audiences": ["a"], "client_ids": ["c"], "jwks": jwks("k"),
             "algorithms": ["RS256", "EdDSA"], "types": ["at+jwt"], "leeway": "30s", "require_expiration": true,
             "headers": {"x-user": "sub", "x-r": ["realm_access", "roles"], "x-j": {"claim": "c", "as": "json"}},
             "payload_header": "x-payload", "roles": ["realm_access", "roles"]},
            {"issuer": ISSUER, "client_ids": ["c"], "jwks_uri": "https://idp.example/jwks?a=b", "upstream": "idp"},
        ], "rules": [{"prefix": "/", "require": {"scopes": ["a"], "claims": [{"claim": "tid", "any_of": ["1", 1, true]}]}}]}),
        json!({"jwt": [{"issuer": ISSUER, "audiences": ["a"], "introspection": {"url": "http://h/i", "upstream": "h",
            "client_id": "me", "client_secret": "hunter2", "token_type_hint": "access_token"}}]}),
        json!({"jwt": [{"issuer": ISSUER, "audiences": ["a"], "introspection": {"url": "http://h/i", "upstream": "h",
            "authorization": "Bearer hunter2"}}]}),
    ]
});

const STRINGS: [&str; 30] = [
    "",
    "a",
    "auto",
    "resolver",
    "local",
    "public",
    "optional",
    "required",
    "deny",
    "allow",
    "0s",
    "1ms",
    "10s",
    "25h",
    "1.5s",
    "-1s",
    "https://a.example",
    "http://a.example/x?y",
    "ftp://a",
    "/a",
    "/a/../b",
    "x-*",
    "*",
    "host",
    "authorization",
    "{claim}",
    "https://x/{url}",
    "*.a.example",
    "a\r\nb",
    "é",
];

const NAMES: [&str; 26] = [
    "authgear",
    "forward_auth",
    "jwt",
    "rules",
    "cache",
    "timeout",
    "access",
    "require",
    "path",
    "prefix",
    "hosts",
    "headers",
    "mode",
    "unknown",
    "",
    "ttl",
    "login",
    "token_from",
    "roles",
    "introspection",
    "jwks",
    "key",
    "endpoint",
    "upstream",
    "issuer",
    "on_error",
];

fn any(input: &mut Input<'_>, depth: usize) -> Value {
    match input.below(if depth == 0 { 6 } else { 9 }) {
        0 => Value::Null,
        1 => json!(input.one_in(2)),
        2 => json!(input.pick(&[0_i64, 1, -1, 401, 503, 444, 600, 1 << 40])),
        3 => json!(input.pick(&[0.5, 600.0, -0.0, 1e300])),
        4 | 5 => json!(input.pick(&STRINGS)),
        6 => Value::Array((0..input.below(4)).map(|_| any(input, depth - 1)).collect()),
        7 => (0..input.below(4)).map(|_| (input.pick(&NAMES).to_owned(), any(input, depth - 1))).collect(),
        _ => {
            // Deeper than any reader should go.
            let deep = input.pick(&[1, 60, 200]);
            (0..deep).fold(json!(1), |inner, _| json!([inner]))
        }
    }
}

/// Changes something somewhere below.
fn change(input: &mut Input<'_>, value: &mut Value) {
    let goes_on = !input.one_in(4);
    match value {
        Value::Object(members) if goes_on && !members.is_empty() => {
            let at = input.below(members.len());
            let name = members.keys().nth(at).cloned().unwrap_or_default();
            match input.below(8) {
                0 => drop(members.remove(&name)),
                1 => drop(members.insert(input.pick(&NAMES).to_owned(), any(input, 2))),
                2 => {
                    let other = GOOD[input.below(GOOD.len())].clone();
                    if let Value::Object(other) = other {
                        members.extend(other);
                    }
                }
                _ => change(input, &mut members[&name]),
            }
        }
        Value::Array(items) if goes_on && !items.is_empty() => {
            let at = input.below(items.len());
            match input.below(6) {
                0 => drop(items.remove(at)),
                1 => items.push(any(input, 2)),
                2 => {
                    let again = items[at].clone();
                    items.push(again);
                }
                _ => change(input, &mut items[at]),
            }
        }
        // A secret stays what it is, or is none.
        Value::String(text) if text.contains(SECRET) => {}
        value => *value = any(input, 2),
    }
}

/// The encoding of a Struct, whose numbers are all doubles.
fn encode_struct(members: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in members {
        let mut entry = Vec::new();
        push_bytes(&mut entry, 1, name.as_bytes());
        push_bytes(&mut entry, 2, &encode_value(value));
        push_bytes(&mut bytes, 1, &entry);
    }
    bytes
}

fn encode_value(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value {
        Value::Null => bytes.extend([0x08, 0]),
        Value::Bool(truth) => bytes.extend([0x20, u8::from(*truth)]),
        Value::Number(number) => {
            bytes.push(0x11);
            bytes.extend(number.as_f64().unwrap_or(0.0).to_le_bytes());
        }
        Value::String(text) => push_bytes(&mut bytes, 3, text.as_bytes()),
        Value::Object(members) => push_bytes(&mut bytes, 5, &encode_struct(members)),
        Value::Array(items) => {
            let mut list = Vec::new();
            for item in items {
                push_bytes(&mut list, 1, &encode_value(item));
            }
            push_bytes(&mut bytes, 6, &list);
        }
    }
    bytes
}

/// See the crate.
pub fn check(data: &[u8]) {
    let _ = Projects::parse(data);
    let mut input = Input::new(data);
    let mut value = GOOD[input.below(GOOD.len())].clone();
    for _ in 0..input.below(4) {
        change(&mut input, &mut value);
    }
    let text = value.to_string();
    let parsed = Projects::parse(text.as_bytes());
    holds(&parsed, &text);
    if let Value::Object(members) = &value {
        let bytes = encode_struct(members);
        // Only what says something is told from JSON; and the deepest nesting is another.
        if bytes.contains(&0x12) && !is_deep(&value, 30) {
            let as_struct = Projects::parse(&bytes);
            holds(&as_struct, &text);
            assert_eq!(
                as_struct.is_ok(),
                parsed.is_ok(),
                "{text}: {:?}, as a Struct {:?}",
                parsed.err(),
                as_struct.err()
            );
        }
        let damaged = input.damage(&bytes, 3, b"\x0a\x12\x1a\0\xff");
        let _ = Projects::parse(&damaged);
    }
    let damaged = input.damage(text.as_bytes(), 3, b"\"{}[],:\\ 0\xff");
    // Damage can put a secret where none belongs.
    let _ = Projects::parse(&damaged).map_err(|error| error.to_string());
    if let Ok(projects) = parsed {
        can_serve(&mut input, projects, &text);
    }
}

fn is_deep(value: &Value, most: usize) -> bool {
    match (value, most.checked_sub(1)) {
        (_, None) => true,
        (Value::Array(items), Some(most)) => items.iter().any(|item| is_deep(item, most)),
        (Value::Object(members), Some(most)) => members.values().any(|item| is_deep(item, most)),
        _ => false,
    }
}

fn holds(parsed: &Result<Projects, ConfigError>, text: &str) {
    let shown = match parsed {
        Ok(projects) => projects.to_string(),
        Err(error) => {
            assert!(!error.problem.to_string().is_empty(), "{text}");
            error.to_string()
        }
    };
    assert!(!shown.contains(SECRET), "{shown}: {text}");
    if let Ok(projects) = parsed {
        assert!(!projects.configs().is_empty(), "{text}");
        assert!(!format!("{projects:?}").contains(SECRET), "{text}");
    }
}

fn can_serve(input: &mut Input<'_>, projects: Projects, text: &str) {
    let background = input.one_in(2);
    let Ok(projects) = projects.on_proxy(background) else { return };
    let managed = projects.configs()[0].managed.clone();
    let engines = Engines::new(projects, Capabilities { background, signatures: PROXY });
    let mut memory = engines.memory(input.number());
    let fields: [Field<'_>; 5] = [
        (b"authorization", b"Bearer a.b.c"),
        (b"cookie", b"session=s; p_session=s; s=1"),
        (b"x-authgear-user-id", b"forged"),
        (b"x-user", b"forged"),
        (b"x-auth-user", b"forged"),
    ];
    let head = Head {
        method: b"GET",
        scheme: b"https",
        authority: b"a.example",
        path: input.pick(&[b"/", b"/admin", b"/healthz", b"/.authgear/login?state=/x", b"/a%2fb?t=a.b.c"]),
        fields: &fields,
        client_address: &|| None,
    };
    let step = engines.start(&mut memory, &head, UnixTime::from_secs(NOW));
    if let authgear_filter::engine::Step::Done(decision) = step
        && let authgear_filter::engine::Verdict::Forward(edits) = decision.verdict
    {
        for (name, _) in fields {
            let is_gone = edits.remove.iter().any(|gone| gone == name);
            assert!(
                is_gone || !managed.contains(name) || name == b"authorization",
                "{} survives: {text}",
                name.escape_ascii()
            );
        }
    }
}
