//! Fields of `forward_auth`, and each refusal.

use serde_json::{Value, json};

use authgear_filter::auth_server::Server;
use authgear_filter::auth_server::forward_auth::{
    CacheKey, CallHost, CallMethod, CookiePattern, ForwardAuth, IdentityHeader, KeyPart, OriginalRequest,
};
use authgear_filter::config::{Config, ConfigError};
use authgear_filter::http::header::Pattern;
use authgear_filter::http::url::Url;

fn parse(config: Value) -> Result<ForwardAuth, ConfigError> {
    Config::parse(config.to_string().as_bytes()).map(|config| config.forward_auth().unwrap().clone())
}

fn smallest() -> Value {
    json!({"forward_auth": {"url": "http://auth:8080/authenticate", "upstream": "auth-o-tron",
        "identity_headers": ["authorization", "x-auth-*"]}})
}

fn patterns(list: &[&str]) -> Vec<Pattern> {
    list.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn same(list: &[&str]) -> Vec<IdentityHeader> {
    patterns(list).into_iter().map(IdentityHeader::Same).collect()
}

fn renamed(header: &str, from: &str) -> IdentityHeader {
    IdentityHeader::Renamed { header: header.into(), from: from.into() }
}

#[test]
fn the_smallest_configuration_has_every_default() {
    let found = parse(smallest()).unwrap();
    let expected = ForwardAuth {
        server: Server {
            url: Url::parse("http://auth:8080/authenticate").unwrap(),
            upstream: "auth-o-tron".into(),
        },
        method: CallMethod::Get,
        request_headers: patterns(&["authorization", "cookie"]),
        cookies: None,
        extra_headers: vec![],
        original_request: OriginalRequest::XForwarded,
        host: CallHost::Url,
        identity_headers: same(&["authorization", "x-auth-*"]),
        roles_header: None,
        client_headers_on_success: patterns(&["set-cookie"]),
        client_headers: patterns(&[
            "www-authenticate",
            "location",
            "set-cookie",
            "content-type",
            "retry-after",
        ]),
        relay_body: true,
        key: CacheKey::Sent,
    };
    assert_eq!(found, expected);
    assert_eq!(
        found.to_string(),
        "http://auth:8080/authenticate (upstream `auth-o-tron`), which sets authorization, x-auth-*"
    );
}

#[test]
fn every_field_is_read() {
    let found = parse(json!({
        "forward_auth": {
            "url": "https://auth.example/oauth2/auth?allowed_groups=x",
            "upstream": "auth",
            "method": "HEAD",
            "request_headers": ["Cookie", "X-Auth-*"],
            "cookies": ["session"],
            "extra_headers": {"Authorization": "Basic abc", "X-Forwarded-Uri": "{path}"},
            "original_request": "x-original",
            "host": "client",
            "identity_headers": ["X-User", {"header": "X-Mail", "from": "X-Auth-Request-Email"}],
            "roles_header": "X-Auth-Request-Groups",
            "client_headers": [],
            "client_headers_on_success": ["X-Session-*"],
        },
        "cache": {"key": ["cookie:session", "header:x-auth-realm", "method", "path"]},
    }))
    .unwrap();
    assert_eq!(
        found.server.to_string(),
        "https://auth.example/oauth2/auth?… (upstream `auth`)",
        "a query may be a secret, and is not shown"
    );
    assert_eq!(found.server.url.path_and_query(), "/oauth2/auth?allowed_groups=x");
    assert_eq!((found.method, found.original_request), (CallMethod::Head, OriginalRequest::XOriginal));
    assert_eq!(found.request_headers, patterns(&["cookie", "x-auth-*"]));
    assert_eq!(found.cookies, Some(vec![CookiePattern::Name("session".to_owned())]));
    let names: Vec<_> = found.extra_headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["authorization", "x-forwarded-uri"]);
    assert_eq!(found.host, CallHost::Client);
    let renamed = renamed("x-mail", "x-auth-request-email");
    assert_eq!(found.identity_headers, [same(&["x-user"]), vec![renamed]].concat());
    assert_eq!(found.roles_header.as_deref(), Some("x-auth-request-groups"));
    let managed: Vec<_> = found.managed().map(|name| name.to_string()).collect();
    assert_eq!(managed, ["x-user", "x-mail", "x-auth-request-email", "x-auth-request-groups"]);
    assert_eq!(found.client_headers, vec![]);
    assert_eq!(found.client_headers_on_success, patterns(&["x-session-*"]));
    let parts = ["cookie:session", "header:x-auth-realm", "method", "path"];
    assert_eq!(found.key, CacheKey::Parts(parts.map(|part| KeyPart::parse(part).unwrap()).to_vec()));
}

#[test]
fn each_error_names_the_field_and_says_what_would_be_right() {
    #[rustfmt::skip]
    let cases = [
        ("url", json!("auth:8080"), "url", "http"),
        ("url", json!("http://auth/#x"), "url", "fragment"),
        ("url", Value::Null, "url", "null"),
        ("upstream", json!(""), "upstream", "empty"),
        ("method", json!("POST"), "method", "`HEAD`"),
        ("method", json!("get"), "method", "`GET`"),
        ("request_headers", Value::Null, "request_headers", "null"),
        ("request_headers", json!("cookie"), "request_headers", "a list"),
        ("request_headers", json!(["*"]), "request_headers[0]", "x-auth-*"),
        ("request_headers", json!(["x", "a b"]), "request_headers[1]", "x-auth-*"),
        ("request_headers", json!(["x", ":path"]), "request_headers[1]", "x-auth-*"),
        ("request_headers", json!(["host"]), "request_headers[0]", "connection"),
        ("request_headers", json!(["Content_Length"]), "request_headers[0]", "connection"),
        ("request_headers", json!(["upgrade"]), "request_headers[0]", "connection"),
        ("request_headers", json!(["X-Forwarded-For"]), "request_headers[0]", "original_request"),
        ("request_headers", json!(["x-forwarded-*"]), "request_headers[0]", "original_request"),
        ("request_headers", json!(["x-original-uri"]), "request_headers[0]", "original_request"),
        ("request_headers", json!(["x-real-ip"]), "request_headers[0]", "{client_ip}"),
        ("request_headers", json!(["if-none-match"]), "request_headers[0]", "means"),
        ("request_headers", json!(["x-a", "X_A"]), "request_headers[1]", "twice"),
        ("cookies", json!([]), "cookies", "empty"),
        ("cookies", json!(["a=b"]), "cookies[0]", "cookie"),
        ("cookies", json!([""]), "cookies[0]", "cookie"),
        ("cookies", json!(["a", "b", "a"]), "cookies[2]", "twice"),
        ("extra_headers", json!(["x"]), "extra_headers", "an object"),
        ("extra_headers", json!({"x y": "a"}), "extra_headers.x y", "not a header name"),
        ("extra_headers", json!({":path": "a"}), "extra_headers.:path", "not a header name"),
        ("extra_headers", json!({"Host": "a"}), "extra_headers.Host", "forward_auth.url"),
        ("extra_headers", json!({"te": "a"}), "extra_headers.te", "call's own"),
        ("extra_headers", json!({"range": "a"}), "extra_headers.range", "means"),
        ("extra_headers", json!({"x": "{user}"}), "extra_headers.x", "{client_ip}"),
        ("extra_headers", json!({"x": "a\nb"}), "extra_headers.x", "control"),
        ("extra_headers", json!({"x": 1}), "extra_headers.x", "string"),
        ("extra_headers", json!({"x-a": "", "X_A": ""}), "extra_headers", "alike"),
        ("extra_headers", json!({"cookie": "a=b"}), "extra_headers.cookie", "by default"),
        ("extra_headers", json!({"X-Forwarded-Uri": "{path}"}), "extra_headers.x-forwarded-uri", "`none`"),
        ("original_request", json!("nginx"), "original_request", "`x-original`"),
        ("identity_headers", json!([]), "identity_headers", "empty"),
        ("identity_headers", json!("x-user"), "identity_headers", "a list"),
        ("identity_headers", json!(["*"]), "identity_headers[0]", "x-auth-*"),
        ("identity_headers", json!(["-*"]), "identity_headers[0]", "x-auth-*"),
        ("identity_headers", json!(["x*"]), "identity_headers[0]", "x-auth-*"),
        ("identity_headers", json!(["x-user", "host"]), "identity_headers[1]", "proxy's own"),
        ("identity_headers", json!(["Cookie"]), "identity_headers[0]", "proxy's own"),
        ("identity_headers", json!(["x-*"]), "identity_headers[0]", "x-forwarded-*"),
        ("identity_headers", json!(["x-forwarded-user"]), "identity_headers[0]", "proxy's own"),
        ("identity_headers", json!(["X_Forwarded-*"]), "identity_headers[0]", "x-forwarded-*"),
        ("identity_headers", json!(["x-forwarded-user-*"]), "identity_headers[0]", "x-forwarded-*"),
        ("identity_headers", json!(["content-*"]), "identity_headers[0]", "content-length"),
        ("identity_headers", json!(["transfer-*"]), "identity_headers[0]", "transfer-encoding"),
        ("identity_headers", json!(["proxy-*"]), "identity_headers[0]", "proxy-"),
        ("identity_headers", json!([":authority"]), "identity_headers[0]", "x-auth-*"),
        ("identity_headers", json!(["set-cookie"]), "identity_headers[0]", "client"),
        ("identity_headers", json!(["x-a", "x-a"]), "identity_headers[1]", "twice"),
        ("host", json!("server"), "host", "`client`"),
        ("host", json!("Client"), "host", "`url`"),
        ("host", json!("app.example"), "host", "`client`"),
        ("host", Value::Null, "host", "null"),
        ("identity_headers", json!(["x-user", 1]), "identity_headers[1]", "from"),
        ("identity_headers", json!([null]), "identity_headers[0]", "from"),
        ("identity_headers", json!([["x-user"]]), "identity_headers[0]", "from"),
        ("identity_headers", json!([{}]), "identity_headers[0].header", "missing"),
        ("identity_headers", json!([{"header": "x-user"}]), "identity_headers[0].from", "missing"),
        ("identity_headers", json!([{"from": "x-user"}]), "identity_headers[0].header", "missing"),
        ("identity_headers", json!([{"header": "x-a", "from": "x-b", "to": "x"}]), "identity_headers[0].to", "unknown"),
        ("identity_headers", json!([{"header": null, "from": "x-b"}]), "identity_headers[0].header", "null"),
        ("identity_headers", json!([{"header": "x-*", "from": "x-b"}]), "identity_headers[0].header", "whole name"),
        ("identity_headers", json!([{"header": "x y", "from": "x-b"}]), "identity_headers[0].header", "not a header name"),
        ("identity_headers", json!([{"header": "", "from": "x-b"}]), "identity_headers[0].header", "not a header name"),
        ("identity_headers", json!([{"header": ":path", "from": "x-b"}]), "identity_headers[0].header", "not a header name"),
        ("identity_headers", json!([{"header": "Host", "from": "x-b"}]), "identity_headers[0].header", "proxy's own"),
        ("identity_headers", json!([{"header": "cookie", "from": "x-b"}]), "identity_headers[0].header", "proxy's own"),
        ("identity_headers", json!([{"header": "X_Forwarded_User", "from": "x-b"}]), "identity_headers[0].header", "proxy's own"),
        ("identity_headers", json!([{"header": "content_length", "from": "x-b"}]), "identity_headers[0].header", "proxy's own"),
        ("identity_headers", json!([{"header": "set-cookie", "from": "x-b"}]), "identity_headers[0].header", "request"),
        ("identity_headers", json!(["x", {"header": "x-a", "from": ":status"}]), "identity_headers[1].from", "not a header name"),
        ("identity_headers", json!([{"header": "x-a", "from": "x-*"}]), "identity_headers[0].from", "whole name"),
        ("identity_headers", json!([{"header": "x-a", "from": ""}]), "identity_headers[0].from", "not a header name"),
        ("identity_headers", json!([{"header": "x-a", "from": "Content_Length"}]), "identity_headers[0].from", "frames"),
        ("identity_headers", json!([{"header": "x-a", "from": "transfer-encoding"}]), "identity_headers[0].from", "frames"),
        ("identity_headers", json!([{"header": "x-a", "from": "connection"}]), "identity_headers[0].from", "connection"),
        ("identity_headers", json!([{"header": "x-a", "from": "content-type"}]), "identity_headers[0].from", "body"),
        ("identity_headers", json!([{"header": "x-a", "from": "Set-Cookie"}]), "identity_headers[0].from", "client"),
        ("identity_headers", json!([{"header": "x-a", "from": "host"}]), "identity_headers[0].from", "request"),
        ("identity_headers", json!([{"header": "x-a", "from": "x-forwarded-for"}]), "identity_headers[0].from", "request"),
        ("identity_headers", json!([{"header": "x-a", "from": "x-b"}, {"header": "X_A", "from": "x-c"}]), "identity_headers[1].header", "already"),
        ("identity_headers", json!(["x-a", {"header": "X-A", "from": "x-c"}]), "identity_headers[1].header", "already"),
        ("identity_headers", json!(["x-auth-*", {"header": "x-auth-user", "from": "x-c"}]), "identity_headers[1].header", "`x-auth-*`"),
        ("identity_headers", json!([{"header": "x-auth-user", "from": "x-c"}, "x-auth-*"]), "identity_headers[1]", "already"),
        ("roles_header", json!(["x-a"]), "roles_header", "string"),
        ("roles_header", json!("x-*"), "roles_header", "whole name"),
        ("roles_header", json!(""), "roles_header", "not a header name"),
        ("roles_header", json!(":status"), "roles_header", "not a header name"),
        ("roles_header", json!("Authorization"), "roles_header", "credential"),
        ("roles_header", json!("set-cookie"), "roles_header", "client"),
        ("roles_header", json!("te"), "roles_header", "frames"),
        ("roles_header", json!("x-forwarded-host"), "roles_header", "request"),
        ("roles_header", Value::Null, "roles_header", "null"),
        ("client_headers_on_success", json!("x"), "client_headers_on_success", "a list"),
        ("client_headers_on_success", Value::Null, "client_headers_on_success", "null"),
        ("client_headers_on_success", json!(["*"]), "client_headers_on_success[0]", "x-auth-*"),
        ("client_headers_on_success", json!(["x", ":status"]), "client_headers_on_success[1]", "x-auth-*"),
        ("client_headers_on_success", json!(["Content-Type"]), "client_headers_on_success[0]", "app's"),
        ("client_headers_on_success", json!(["content_length"]), "client_headers_on_success[0]", "app's"),
        ("client_headers_on_success", json!(["content-*"]), "client_headers_on_success[0]", "content-length"),
        ("client_headers_on_success", json!(["content-x-*"]), "client_headers_on_success[0]", "content-*"),
        ("client_headers_on_success", json!(["Connection"]), "client_headers_on_success[0]", "connection"),
        ("client_headers_on_success", json!(["keep_alive"]), "client_headers_on_success[0]", "connection"),
        ("client_headers_on_success", json!(["transfer-*"]), "client_headers_on_success[0]", "transfer-encoding"),
        ("client_headers_on_success", json!(["proxy-*"]), "client_headers_on_success[0]", "proxy-"),
        ("client_headers_on_success", json!(["http2-*"]), "client_headers_on_success[0]", "http2-settings"),
        ("client_headers_on_success", json!(["upgrade"]), "client_headers_on_success[0]", "connection"),
        ("client_headers_on_success", json!(["trailer"]), "client_headers_on_success[0]", "connection"),
        ("client_headers_on_success", json!(["x-a", "x_a"]), "client_headers_on_success[1]", "twice"),
        ("client_headers", json!(["Connection"]), "client_headers[0]", "connection"),
        ("client_headers", json!(["content-length"]), "client_headers[0]", "connection"),
        ("client_headers", json!(["a", "A"]), "client_headers[1]", "twice"),
        ("client_headers", Value::Null, "client_headers", "null"),
        ("relay_body", json!("yes"), "relay_body", "boolean"),
        ("relay_body", Value::Null, "relay_body", "null"),
        ("urls", json!("http://a"), "urls", "unknown field"),
    ];
    for (field, value, path, expected) in cases {
        let mut config = smallest();
        config["forward_auth"][field] = value.clone();
        let error = parse(config).err().unwrap_or_else(|| panic!("{field}: {value} is accepted"));
        assert_eq!(error.path, format!("forward_auth.{path}"), "{value}: {error}");
        assert!(error.problem.to_string().contains(expected), "{value}: {error}");
    }
    assert_eq!(parse(json!({"forward_auth": null})).unwrap_err().path, "forward_auth");
}

#[test]
fn a_required_field_that_is_missing_is_named() {
    for field in ["url", "upstream", "identity_headers"] {
        let mut config = smallest();
        config["forward_auth"].as_object_mut().unwrap().remove(field);
        let error = parse(config).unwrap_err();
        assert_eq!(error.path, format!("forward_auth.{field}"));
        assert!(error.problem.to_string().starts_with("missing"), "{error}");
    }
}

#[test]
fn an_option_that_can_do_nothing_beside_another_is_refused() {
    #[rustfmt::skip]
    let cases = [
        (json!({"cookies": ["a"], "request_headers": ["authorization"]}), "forward_auth.cookies", "request_headers"),
        (json!({"method": "HEAD", "relay_body": true}), "forward_auth.relay_body", "HEAD"),
        (json!({"extra_headers": {"x-a": "b"}, "request_headers": ["X-A"]}), "forward_auth.extra_headers.x-a", "is in"),
        (json!({"extra_headers": {"x-original-uri": ""}, "original_request": "x-original"}), "forward_auth.extra_headers.x-original-uri", "`none`"),
    ];
    for (more, path, expected) in cases {
        let mut config = smallest();
        config["forward_auth"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = parse(config).unwrap_err();
        assert_eq!(error.path, path, "{error}");
        assert!(error.problem.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_cache_key_of_what_is_not_sent_is_refused() {
    let none = json!({"original_request": "none", "cookies": ["session"], "request_headers": ["cookie", "x-*"],
        "extra_headers": {"x-path": "{path}", "x-key": "k"}});
    #[rustfmt::skip]
    let cases = [
        (json!({}), json!([]), "cache.key", "empty"),
        (json!({}), json!(["path", "query"]), "cache.key[1]", "header:<name>"),
        (json!({}), json!(["header:x y"]), "cache.key[0]", "header:<name>"),
        (json!({}), json!(["path", "path"]), "cache.key[1]", "twice"),
        (json!({}), json!(["header:X-A"]), "cache.key[0]", "not sent"),
        (none.clone(), json!(["path", "cookie:theme"]), "cache.key[1]", "not sent"),
        (none.clone(), json!(["host"]), "cache.key[0]", "not sent"),
        (none.clone(), json!(["method"]), "cache.key[0]", "not sent"),
        (none.clone(), json!(["header:x-key"]), "cache.key[0]", "not sent"),
        (none.clone(), json!(["header:x-forwarded-for"]), "cache.key[0]", "not sent"),
    ];
    for (more, key, path, expected) in cases {
        let mut config = smallest();
        config["forward_auth"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config["cache"] = json!({"key": key});
        let error = parse(config).unwrap_err();
        assert_eq!(error.path, path, "{key}: {error}");
        assert!(error.problem.to_string().contains(expected), "{key}: {error}");
    }
    let mut config = smallest();
    config["forward_auth"].as_object_mut().unwrap().extend(none.as_object().unwrap().clone());
    config["cache"] = json!({"key": ["path", "cookie:session", "header:cookie", "header:x-a"]});
    parse(config).unwrap();
}

#[test]
fn names_that_the_app_and_the_server_may_have_are_accepted() {
    for identity_headers in [
        json!(["x-auth-request-*", {"header": "x-user", "from": "x-auth-request-user"}]),
        json!([{"header": "x-user", "from": "x-forwarded-user"}]),
        json!([{"header": "x-user", "from": "x-name"}, {"header": "x-login", "from": "x-name"}]),
        json!([{"header": "authorization", "from": "x-auth-request-access-token"}]),
        json!([{"header": "x-token", "from": "authorization"}]),
    ] {
        let mut config = smallest();
        config["forward_auth"]["identity_headers"] = identity_headers.clone();
        assert!(parse(config).is_ok(), "{identity_headers}");
    }
    for client_headers_on_success in [json!([]), json!(["x-*", "cache-control", "set-cookie"])] {
        let mut config = smallest();
        config["forward_auth"]["client_headers_on_success"] = client_headers_on_success.clone();
        assert!(parse(config).is_ok(), "{client_headers_on_success}");
    }
}

#[test]
fn a_key_may_hold_the_host_where_the_call_goes_to_it() {
    let mut config = smallest();
    config["forward_auth"]["original_request"] = json!("none");
    config["cache"] = json!({"key": ["host"]});
    assert_eq!(parse(config.clone()).unwrap_err().path, "cache.key[0]");
    config["forward_auth"]["host"] = json!("client");
    parse(config).unwrap();
}
