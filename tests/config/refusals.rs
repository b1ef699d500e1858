//! Each refusal of a field, with its path and what would be right.

use authgear_filter::config::Config;
use serde_json::{Value, json};

use crate::fields::{changed, jwks, parse, with};

#[test]
fn each_error_names_the_field_and_says_what_would_be_right() {
    #[rustfmt::skip]
    let cases = [
        ("authgear", Value::Null, "null"),
        ("authgear", json!("x"), "expected an object"),
        ("authgear[0]", json!(["https://a.example", "a", "resolver"]), "expected an object"),
        ("authgear.endpoint", Value::Null, "null"),
        ("authgear.endpoint", json!("myapp.authgear.cloud"), "http"),
        ("authgear.endpoint", json!("https://a.example/path"), "path"),
        ("authgear.upstream", json!(""), "empty"),
        ("authgear.upstream", json!("a\nb"), "control"),
        ("authgear.upstream", json!(1), "expected a string"),
        ("authgear.mode", json!("resolve"), "`resolver`"),
        ("authgear.resolver_url", json!("/resolve"), "http"),
        ("authgear.resolver_upstream", json!(" "), "empty"),
        ("authgear.cookie_prefix", json!("a=b"), "cookie"),
        ("authgear.cookie_prefix", json!("a b"), "cookie"),
        ("authgear.audiences", json!([]), "empty"),
        ("authgear.audiences", json!("https://a.example"), "a list"),
        ("authgear.audiences[0]", json!([""]), "empty"),
        ("authgear.client_ids", Value::Null, "null"),
        ("authgear.revalidate", json!(60), "\"500ms\""),
        ("authgear.endpont", json!("https://a.example"), "unknown field"),
        ("forward_auth", json!({}), "combined with `authgear`"),
        ("rules", json!({}), "a list"),
        ("rules[0].acess", json!([{"acess": "public"}]), "unknown field"),
        ("rules[0].path", json!([{"path": "admin"}]), "slash"),
        ("access", json!("open"), "`required`"),
        ("require.roles", json!({"roles": []}), "empty"),
        ("on_unauthenticated", json!({"redirect": "/login?next={url}"}), "denied"),
        ("allow_cors_preflight", json!("yes"), "boolean"),
        ("strip_credentials", Value::Null, "null"),
        ("cache.ttl", json!({"ttl": 10}), "duration"),
        ("cache.max_entries", json!({"max_entries": 0}), "from 1"),
        ("cache.max_entries", json!({"max_entries": 1.5}), "whole"),
        ("cache.stale_if_error", json!({"ttl": "0s", "stale_if_error": "1s"}), "does nothing"),
        ("cache.key", json!({"key": ["host"]}), "`forward_auth` alone"),
        ("timeout", json!("0s"), "1ms"),
        ("timeout", json!(3), "\"500ms\""),
        ("timeout", json!("3"), "\"500ms\""),
        ("timeout", json!("-3s"), "\"500ms\""),
        ("timeout", json!("99999999999999999999s"), "\"500ms\""),
        ("timeout", json!("5000h"), "24h"),
        ("timeout", Value::Null, "null"),
        ("on_error", json!("deny"), "expected an object"),
        ("on_error", json!([]), "expected an object"),
        ("on_error", Value::Null, "expected an object"),
        ("on_error.action", json!("open"), "`allow`"),
        ("on_error.status", json!(200), "400 to 599"),
        ("on_error.status", json!(600), "400 to 599"),
        ("on_error.status", json!(503.5), "floating point `503.5`, expected a whole number"),
        ("on_error.status", json!(-503), "integer `-503`, expected a whole number"),
        ("on_error.status", json!("503"), "number"),
        ("on_error.status", json!(444), "closes the connection"),
        ("on_error.status", json!(499.0), "closes the connection"),
        ("authgear.jwks_url", json!("/keys"), "http"),
        ("strip_overrides", json!("yes"), "boolean"),
        ("access_log", json!("yes"), "boolean"),
        ("access_log", json!({"format": "json"}), "boolean"),
        ("access_log", Value::Null, "null"),
        ("log_level", json!("trace"), "`debug`"),
        ("log_level", Value::Null, "`debug`"),
        ("jwt", json!([{"issuer": "a"}]), "combined with `authgear`"),
    ];
    for (path, value, expected) in cases {
        // The value is that of the outermost field where the path goes deeper.
        let field = match path.split_once(['[', '.']) {
            Some((field @ ("rules" | "cache" | "require"), _)) => field,
            _ => path.split('[').next().unwrap(),
        };
        let error = parse(&with(field, value.clone())).unwrap_err();
        assert_eq!(error.path, path, "{value}: {error}");
        assert!(error.problem.to_string().contains(expected), "{value}: {error}");
    }
}

#[test]
fn each_error_of_an_issuer_names_which_one_and_the_field() {
    let issuer = |name: &str| json!({"issuer": name, "audiences": ["api"], "jwks": jwks()});
    let config = json!({"jwt": [issuer("one"), issuer("two")]});
    parse(&config).unwrap();
    #[rustfmt::skip]
    let cases = [
        ("jwt", json!([]), "jwt", "empty"),
        ("jwt", json!({}), "jwt", "a list"),
        ("jwt.1", json!("two"), "jwt[1]", "expected an object"),
        ("jwt.1.issuer", json!(""), "jwt[1].issuer", "empty"),
        ("jwt.1.issuer", json!("one"), "jwt[1].issuer", "twice"),
        ("jwt.1.issuer", json!("https://login.example/{tid}/{x}/v2.0"), "jwt[1].issuer", "more than one placeholder"),
        ("jwt.1.issuer", json!("https://login.example/{tid/v2.0"), "jwt[1].issuer", "not a placeholder"),
        ("jwt.1.issuer", json!("https://login.example/{}/v2.0"), "jwt[1].issuer", "not a placeholder"),
        ("jwt.1.issuer", json!("{iss}"), "jwt[1].issuer", "any issuer"),
        ("jwt.1.issuer", json!("https://*.example"), "jwt[1].issuer", "placeholder"),
        ("jwt.1.issuer", json!("on{x}"), "jwt[1].issuer", "jwt[0]"),
        ("jwt.1.client_ids", json!([]), "jwt[1].client_ids", "empty"),
        ("jwt.1.client_ids", json!([""]), "jwt[1].client_ids[0]", "empty"),
        ("jwt.1.require_expiration", json!("no"), "jwt[1].require_expiration", "boolean"),
        ("jwt.1.payload_header", json!("X Y"), "jwt[1].payload_header", "not a header name"),
        ("jwt.1.payload_header", json!("host"), "jwt[1].payload_header", "proxy's own"),
        ("jwt.1.headers", json!({"x-a": {}}), "jwt[1].headers.x-a.claim", "name the claim"),
        ("jwt.1.headers", json!({"x-a": {"claim": "a"}}), "jwt[1].headers.x-a.as", "its name alone"),
        ("jwt.1.headers", json!({"x-a": {"claim": "a", "as": "text"}}), "jwt[1].headers.x-a.as", "`json` or `base64`"),
        ("jwt.1.headers", json!({"x-a": {"claim": "a", "form": "json"}}), "jwt[1].headers.x-a.form", "unknown field"),
        ("jwt.1.audiences", json!([]), "jwt[1].audiences", "empty"),
        ("jwt.1.algorithms", json!([]), "jwt[1].algorithms", "empty"),
        ("jwt.1.algorithms", json!(["HS256"]), "jwt[1].algorithms[0]", "RS256"),
        ("jwt.1.algorithms", json!(["ES256", "none"]), "jwt[1].algorithms[1]", "RS256"),
        ("jwt.1.types", json!([""]), "jwt[1].types[0]", "empty"),
        ("jwt.1.leeway", json!(30), "jwt[1].leeway", "duration"),
        ("jwt.1.jwks", json!({"keys": []}), "jwt[1].jwks", "no usable key"),
        ("jwt.1.jwks", json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "jwt[1].jwks", "symmetric"),
        ("jwt.1.jwks", json!("x"), "jwt[1].jwks", "JSON Web Key Set"),
        ("jwt.1.jwks", Value::Null, "jwt[1].jwks", "JSON Web Key Set"),
        ("jwt.1.jwks_uri", json!("https://a.example/keys"), "jwt[1].jwks", "combined"),
        ("jwt.1.upstream", json!("a"), "jwt[1].upstream", "nothing"),
        ("jwt.1.headers", json!(["x-user"]), "jwt[1].headers", "an object"),
        ("jwt.1.headers", json!({"x user": "sub"}), "jwt[1].headers.x user", "not a header name"),
        ("jwt.1.headers", json!({":path": "sub"}), "jwt[1].headers.:path", "not a header name"),
        ("jwt.1.headers", json!({"Host": "sub"}), "jwt[1].headers.Host", "proxy's own"),
        ("jwt.1.headers", json!({"transfer_encoding": "sub"}), "jwt[1].headers.transfer_encoding", "proxy's own"),
        ("jwt.1.headers", json!({"X-Forwarded-User": "sub"}), "jwt[1].headers.X-Forwarded-User", "proxy's own"),
        ("jwt.1.headers", json!({"x-user": "sub", "X-User": "name"}), "jwt[1].headers", "alike"),
        ("jwt.1.headers", json!({"x-user": "sub", "x_user": "name"}), "jwt[1].headers", "alike"),
        ("jwt.1.headers", json!({"x-user": []}), "jwt[1].headers.x-user", "names"),
        ("jwt.1.headers", json!({"x-user": 1}), "jwt[1].headers.x-user", "name of a claim"),
        ("jwt.1.roles", json!([]), "jwt[1].roles", "names"),
        ("jwt.1.audience", json!("api"), "jwt[1].audience", "unknown field"),
    ];
    for (field, value, path, expected) in cases {
        let error = parse(&changed(config.clone(), field, value.clone())).unwrap_err();
        assert_eq!(error.path, path, "{field} = {value}: {error}");
        assert!(error.problem.to_string().contains(expected), "{field} = {value}: {error}");
    }
}

#[test]
fn a_header_that_would_tell_two_things_is_refused_at_the_payload() {
    for name in ["x-user", "X-User", "x_user", "X.USER"] {
        let error = parse(&json!({"jwt": [{
            "issuer": "one", "audiences": ["api"], "jwks": jwks(), "headers": {"x-user": "sub"},
            "payload_header": name,
        }]}));
        assert_eq!(error.unwrap_err().path, "jwt[0].payload_header", "{name}");
    }
}

#[test]
fn a_required_field_that_is_missing_is_named() {
    for (config, path) in [
        (json!({}), "authgear"),
        (json!({"authgear": {"upstream": "a"}}), "authgear.endpoint"),
        (json!({"authgear": {"endpoint": "https://a.example"}}), "authgear.upstream"),
        (json!({"jwt": [{"audiences": ["a"], "jwks": jwks()}]}), "jwt[0].issuer"),
        (json!({"jwt": [{"issuer": "a", "jwks": jwks()}]}), "jwt[0].audiences"),
        (json!({"jwt": [{"issuer": "a", "audiences": ["a"]}]}), "jwt[0].jwks_uri"),
        (
            json!({"jwt": [{"issuer": "a", "audiences": ["a"], "jwks_uri": "https://a.example/"}]}),
            "jwt[0].upstream",
        ),
    ] {
        let error = parse(&config).unwrap_err();
        assert_eq!(error.path, path, "{error}");
        assert!(error.problem.to_string().starts_with("missing"), "{error}");
    }
}

#[test]
fn a_field_that_can_do_nothing_in_the_mode_is_refused() {
    let url = json!("http://a:3001/resolve");
    let cases = [
        ("resolver", "audiences", json!(["a"])),
        ("resolver", "client_ids", json!([])),
        ("resolver", "revalidate", json!("60s")),
        ("resolver", "jwks_url", url.clone()),
        ("local", "resolver_url", url),
        ("local", "resolver_upstream", json!("a")),
        ("local", "cookie_prefix", json!("p_")),
        ("local", "revalidate", json!("0s")),
    ];
    for (mode, field, value) in cases {
        let path = format!("authgear.{field}");
        let error = parse(&changed(with("authgear.mode", json!(mode)), &path, value)).unwrap_err();
        assert_eq!(error.path, path);
        assert!(error.problem.to_string().contains(&format!("`{mode}`")), "{error}");
    }
}

#[test]
fn a_name_that_stands_twice_in_one_object_is_an_error_and_never_one_of_the_two() {
    for (text, path) in [
        (r#"{"timeout": "1s", "timeout": "2s"}"#, ""),
        (r#"{"authgear": {"mode": "auto", "mode": "local"}}"#, "authgear"),
        (r#"{"jwt": [{"headers": {"x-user": "sub", "x-user": "sub"}}]}"#, "jwt[0].headers"),
        (
            r#"{"rules": [{}, {"require": {"roles": ["a"], "amr": ["otp"], "roles": ["b"]}}]}"#,
            "rules[1].require",
        ),
    ] {
        let error = Config::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.path, path, "{text}: {error}");
        assert!(error.problem.to_string().contains("duplicate field"), "{text}: {error}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for bytes in [b"".as_slice(), b"null", b"[]", b"1", b"\"authgear\"", b"{", b"\xff"] {
        let error = Config::parse(bytes).unwrap_err();
        assert_eq!(error.path, "", "{error}");
    }
}
