//! `token_from`: what is read, and each refusal.

use authgear_filter::config::{Config, ConfigError};
use authgear_filter::http::place::Place;
use serde_json::{Value, json};

fn parse(value: &Value) -> Result<Config, ConfigError> {
    Config::parse(value.to_string().as_bytes())
}

fn authgear(token_from: Value) -> Value {
    json!({"authgear": {"endpoint": "https://a.example", "upstream": "a", "token_from": token_from}})
}

fn issuer(name: &str, token_from: &Value) -> Value {
    let mut issuer = json!({"issuer": name, "audiences": ["a"], "jwks_uri": "http://a/", "upstream": "a", "headers": {"x-user": "sub"}});
    if !token_from.is_null() {
        issuer["token_from"] = token_from.clone();
    }
    issuer
}

fn header(name: &str, scheme: Option<&str>) -> Place {
    Place::Header { name: name.into(), scheme: scheme.map(Into::into) }
}

#[test]
fn every_kind_of_place_is_read() {
    let config = parse(&authgear(json!([
        {"header": "Authorization", "scheme": "bearer"}, {"header": "X-Token"}, {"cookie": "__Host-t"},
        {"query": "access token"}, {"websocket_protocol": "base64url.bearer."},
    ])))
    .unwrap();
    let expected = [
        header("authorization", Some("bearer")),
        header("x-token", None),
        Place::Cookie(b"__Host-t".to_vec()),
        Place::Query(b"access token".to_vec()),
        Place::WebSocketProtocol(b"base64url.bearer.".to_vec()),
    ];
    assert_eq!(config.token_from, expected);
    assert_eq!(config.issuers[0].token_from, expected);
    for mode in ["auto", "resolver", "local"] {
        let mut typed = authgear(json!([{"cookie": "t"}]));
        typed["authgear"]["mode"] = json!(mode);
        assert_eq!(parse(&typed).unwrap().token_from, [Place::Cookie(b"t".to_vec())], "{mode}");
    }
}

#[test]
fn by_default_a_token_stands_in_authorization_alone() {
    for typed in [
        json!({"authgear": {"endpoint": "https://a.example", "upstream": "a"}}),
        json!({"jwt": [issuer("a", &Value::Null)]}),
        json!({"forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"]}}),
    ] {
        assert_eq!(parse(&typed).unwrap().token_from, [header("authorization", Some("Bearer"))], "{typed}");
    }
}

#[test]
fn each_issuer_has_places_of_its_own_and_together_they_have_each_once() {
    let typed = json!({"jwt": [
        issuer("a", &json!([{"cookie": "t"}, {"header": "authorization", "scheme": "BEARER"}])),
        issuer("b", &Value::Null),
        issuer("c", &json!([{"query": "t"}, {"cookie": "t"}])),
    ]});
    let config = parse(&typed).unwrap();
    let [cookie, query] = [Place::Cookie(b"t".to_vec()), Place::Query(b"t".to_vec())];
    assert_eq!(config.token_from, [cookie.clone(), header("authorization", Some("BEARER")), query.clone()]);
    assert_eq!(config.issuers[1].token_from, [header("authorization", Some("Bearer"))]);
    assert_eq!(config.issuers[2].token_from, [query, cookie]);
}

#[test]
fn so_many_places_are_looked_at_and_no_more() {
    let cookies = |from: usize, to: usize| (from..to).map(|n| json!({"cookie": format!("c{n}")})).collect();
    let one = |places: Value| json!({"jwt": [issuer("a", &places)]});
    let several = |last: Value| json!({"jwt": [issuer("a", &cookies(0, 20)), issuer("b", &cookies(5, 31)), issuer("c", &last)]});
    let projects = |count: usize| {
        let mut typed = json!({"authgear": [{"endpoint": "https://a.example", "upstream": "a", "hosts": ["a"]},
            {"endpoint": "https://b.example", "upstream": "b"}]});
        typed["authgear"][1]["token_from"] = cookies(0, count);
        typed
    };
    for (typed, path) in [
        (one(cookies(0, 32)), None),
        (one(cookies(0, 33)), Some("jwt[0].token_from[32]")),
        (one(cookies(0, 1000)), Some("jwt[0].token_from[32]")),
        (authgear(cookies(0, 32)), None),
        (authgear(cookies(0, 33)), Some("authgear.token_from[32]")),
        (several(cookies(30, 32)), None),
        (several(cookies(30, 33)), Some("jwt[2].token_from[2]")),
    ] {
        let error = parse(&typed).err();
        assert_eq!(error.as_ref().map(|error| error.path.as_str()), path, "{typed}");
        if let Some(error) = error {
            assert!(error.problem.to_string().contains("at most 32 different ones"), "{error}");
        }
    }
    for (count, path) in [(32, None), (33, Some("authgear[1].token_from[32]"))] {
        let error = authgear_filter::config::Projects::parse(projects(count).to_string().as_bytes()).err();
        assert_eq!(error.map(|error| error.path).as_deref(), path, "{count}");
    }
}

#[test]
fn each_error_of_a_place_names_the_field_and_says_what_would_be_right() {
    #[rustfmt::skip]
    let cases = [
        (json!(null), "", "invalid type: null"),
        (json!("authorization"), "", "expected a list"),
        (json!([]), "", "empty"),
        (json!(["x-token"]), "[0]", "expected an object"),
        (json!([{"cookie": "t"}, {}]), "[1]", "names no place"),
        (json!([{"body": "t"}]), "[0].body", "expected one of `header`, `scheme`, `cookie`"),
        (json!([{"header": "x-a", "query": "t"}]), "[0].query", "combined with `header`"),
        (json!([{"query": "a", "websocket_protocol": "t"}]), "[0].websocket_protocol", "combined with `query`"),
        (json!([{"scheme": "Bearer"}]), "[0].scheme", "goes with `header`"),
        (json!([{"query": "a", "scheme": "Bearer"}]), "[0].scheme", "goes with `header`"),
        (json!([{"header": "x-a", "scheme": ""}]), "[0].scheme", "one word"),
        (json!([{"header": "x-a", "scheme": "Bearer "}]), "[0].scheme", "one word"),
        (json!([{"header": ""}]), "[0].header", "not a header name"),
        (json!([{"header": ":path"}]), "[0].header", "proxy's own"),
        (json!([{"header": "x a"}]), "[0].header", "not a header name"),
        (json!([{"header": "Cookie"}]), "[0].header", "`cookie`"),
        (json!([{"header": "DPoP"}]), "[0].header", "contains a proof"),
        (json!([{"header": "x-a", "scheme": "DPoP"}]), "[0].scheme", "`authorization` only"),
        (json!([{"header": "authorization", "scheme": "Bearer"}, {"header": "authorization", "scheme": "dpop"}]), "[1]", "already"),
        (json!([{"header": "Host"}]), "[0].header", "proxy's own"),
        (json!([{"header": "Transfer-Encoding"}]), "[0].header", "proxy's own"),
        (json!([{"header": "connection"}]), "[0].header", "proxy's own"),
        (json!([{"header": "proxy-authorization"}]), "[0].header", "proxy's own"),
        (json!([{"header": "Sec-WebSocket-Protocol"}]), "[0].header", "`websocket_protocol`"),
        (json!([{"cookie": ""}]), "[0].cookie", "not a cookie name"),
        (json!([{"cookie": "a=b"}]), "[0].cookie", "not a cookie name"),
        (json!([{"query": ""}]), "[0].query", "is empty"),
        (json!([{"query": 1}]), "[0].query", "invalid type"),
        (json!([{"websocket_protocol": ""}]), "[0].websocket_protocol", "begins no subprotocol"),
        (json!([{"websocket_protocol": "a, b"}]), "[0].websocket_protocol", "begins no subprotocol"),
        (json!([{"cookie": "a"}, {"cookie": "b"}, {"cookie": "a"}]), "[2]", "twice"),
        (json!([{"header": "X-A", "scheme": "A"}, {"header": "x-a", "scheme": "a"}]), "[1]", "twice"),
        (json!([{"query": "a"}, {"query": "a"}]), "[1]", "twice"),
        (json!([{"header": "x-user"}]), "[0].header", "identifies the user to the app"),
        (json!([{"cookie": "t"}, {"header": "X_User"}]), "[1].header", "identifies the user to the app"),
    ];
    for (token_from, path, problem) in cases {
        let typed = json!({"jwt": [issuer("a", &Value::Null), issuer("b", &json!([{"cookie": "c"}]))]});
        let mut typed = typed;
        typed["jwt"][1]["token_from"] = token_from.clone();
        let error = parse(&typed).unwrap_err();
        assert_eq!(error.path, format!("jwt[1].token_from{path}"), "{token_from}: {error}");
        assert!(error.problem.to_string().contains(problem), "{token_from}: {error}");
    }
    let bound = json!([{"cookie": "t"}, {"header": "authorization", "scheme": "DPoP"}]);
    for (mode, path) in [("auto", None), ("local", None), ("resolver", Some("authgear.token_from[1].scheme"))]
    {
        let mut typed = authgear(bound.clone());
        typed["authgear"]["mode"] = json!(mode);
        assert_eq!(parse(&typed).err().map(|error| error.path).as_deref(), path, "{mode}");
    }
    let error = parse(&authgear(json!([{"header": "x-authgear-user-id"}]))).unwrap_err();
    assert_eq!(error.path, "authgear.token_from[0].header");
    let beside = json!({"jwt": [issuer("a", &json!([{"header": "x-auth-token"}]))],
        "forward_auth": {"url": "http://a/", "upstream": "a", "identity_headers": ["authorization", "x-auth-*"]}});
    assert_eq!(parse(&beside).unwrap_err().path, "jwt[0].token_from[0].header");
    let mut beside = beside;
    beside["jwt"][0]["token_from"] = json!([{"header": "authorization", "scheme": "Bearer"}]);
    assert!(parse(&beside).is_ok(), "a credential and an identity");
}

#[test]
fn a_host_that_cannot_rewrite_a_path_refuses_to_strip_a_query() {
    for (place, strips, is_refused) in [
        (json!({"query": "t"}), true, true),
        (json!({"query": "t"}), false, false),
        (json!({"cookie": "t"}), true, false),
    ] {
        for mut typed in [authgear(json!([place])), json!({"jwt": [issuer("a", &json!([place]))]})] {
            typed["strip_credentials"] = json!(strips);
            assert!(parse(&typed).unwrap().on_proxy(true).is_ok(), "{typed}");
            let found = parse(&typed).unwrap().on_proxy(false);
            assert_eq!(
                found.as_ref().err().map(|error| error.path.as_str()),
                is_refused.then_some("strip_credentials")
            );
            assert!(found.err().is_none_or(|error| error.problem.to_string().contains("APISIX")), "{typed}");
        }
    }
}
