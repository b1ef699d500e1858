use serde_json::{Value, json};

use super::*;
use crate::http::credential::CookieNames;
use crate::http::header::Pattern;
use crate::jose::{Algorithm, MediaType};
use crate::rules::Access;

/// Who may pass where no rule says.
fn access(config: &Config) -> Access {
    config.rules.decide(b"GET", b"a", b"/").access()
}

fn parse(value: &Value) -> Result<Config, ConfigError> {
    Config::parse(value.to_string().as_bytes())
}

#[test]
fn the_smallest_configuration_has_every_default() {
    let config =
        parse(&json!({"authgear": {"endpoint": "https://myapp.authgear.cloud", "upstream": "authgear"}}))
            .unwrap();
    let [Issuer { policy, keys: Keys::Fetched { server, public }, identity: Identity::Authgear }] =
        config.issuers.as_slice()
    else {
        panic!("{config:?}");
    };
    let expected = Policy {
        issuer: "https://myapp.authgear.cloud".into(),
        audiences: vec!["https://myapp.authgear.cloud".into()],
        algorithms: vec![Algorithm::Rs256],
        types: vec![MediaType::new("at+jwt")],
        client_ids: vec![],
        leeway: Duration::from_secs(30),
    };
    assert_eq!(*policy, expected);
    assert_eq!(server.to_string(), "https://myapp.authgear.cloud/oauth2/jwks (upstream `authgear`)");
    assert_eq!(public.origin(), "https://myapp.authgear.cloud");
    let resolver = config.resolver().unwrap();
    assert_eq!(
        resolver.server.to_string(),
        "https://myapp.authgear.cloud/_resolver/resolve (upstream `authgear`)"
    );
    assert_eq!(resolver.cookies, CookieNames::new(""));
    assert_eq!(resolver.revalidate, Some(Duration::from_secs(60)));
    assert_eq!((&config.managed, access(&config)), (&Managed::Authgear, Access::Optional));
    assert_eq!((config.allow_cors_preflight, config.strip_credentials), (true, false));
    let expected = Cache {
        ttl: Duration::from_secs(10),
        negative_ttl: Duration::from_secs(1),
        stale_if_error: Duration::ZERO,
        max_entries: DEFAULT_MAX_ENTRIES,
    };
    assert_eq!(config.cache, expected);
    assert_eq!(config.timeout, Duration::from_secs(3));
    assert_eq!(config.on_error, OnError { action: OnErrorAction::Deny, status: 503 });
}

#[test]
fn every_field_of_authgear_is_read() {
    let config = parse(&json!({
        "authgear": {
            "endpoint": "https://accounts.example.com/",
            "upstream": "authgear",
            "mode": "auto",
            "resolver_url": "http://authgear-resolver:3001/resolve",
            "resolver_upstream": "authgear-resolver",
            "cookie_prefix": "myapp_",
            "audiences": ["https://accounts.example.com", "https://api.example.com"],
            "client_ids": ["web", "cli"],
            "revalidate": "5m",
        },
        "timeout": "500ms",
        "on_error": {"action": "allow", "status": 500.0},
    }))
    .unwrap();
    let policy = &config.issuers[0].policy;
    assert_eq!(policy.issuer, "https://accounts.example.com");
    assert_eq!(policy.audiences, ["https://accounts.example.com", "https://api.example.com"]);
    assert_eq!(policy.client_ids, ["web", "cli"]);
    let resolver = config.resolver().unwrap();
    assert_eq!(resolver.endpoint.authority(), "accounts.example.com");
    assert_eq!(
        resolver.server.to_string(),
        "http://authgear-resolver:3001/resolve (upstream `authgear-resolver`)"
    );
    assert_eq!(resolver.cookies, CookieNames::new("myapp_"));
    assert_eq!(resolver.revalidate, Some(Duration::from_secs(300)));
    assert_eq!(config.timeout, Duration::from_millis(500));
    assert_eq!(config.on_error, OnError { action: OnErrorAction::Allow, status: 500 });
}

#[test]
fn a_mode_settles_who_is_believed_and_who_is_asked() {
    for (mode, issuers, asked) in [("auto", 1, true), ("resolver", 0, true), ("local", 1, false)] {
        let config = parse(&with("authgear.mode", json!(mode))).unwrap();
        assert_eq!((config.issuers.len(), config.resolver().is_some()), (issuers, asked), "{mode}");
    }
    let never = parse(&with("authgear.revalidate", json!("0s"))).unwrap();
    assert_eq!(never.resolver().unwrap().revalidate, None);
}

/// A key set with one key, of RFC 8037 appendix A.2.
fn jwks() -> Value {
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})
}

#[test]
fn every_field_of_an_issuer_is_read() {
    let config = parse(&json!({"jwt": [
        {
            "issuer": "https://one.example/",
            "audiences": ["api"],
            "jwks_uri": "https://one.example/keys",
            "upstream": "one",
            "algorithms": ["ES256", "PS512"],
            "types": [],
            "leeway": "0s",
            "headers": {"X-User": "sub", "x-city": ["address", "city"]},
            "roles": ["realm_access", "roles"],
        },
        {"issuer": "two", "audiences": ["api"], "jwks": jwks()},
    ]}))
    .unwrap();
    let [one, two] = config.issuers.as_slice() else { panic!("{config:?}") };
    assert_eq!(
        (one.policy.issuer.as_str(), one.policy.audiences.as_slice()),
        ("https://one.example/", &["api".to_owned()][..])
    );
    assert_eq!(one.policy.algorithms, [Algorithm::Es256, Algorithm::Ps512]);
    assert_eq!((one.policy.types.as_slice(), one.policy.leeway), (&[][..], Duration::ZERO));
    let nested = |names: &[&str]| ClaimPath::nested(names.iter().map(|name| (*name).to_owned()));
    let expected = Identity::Claims {
        headers: vec![
            (b"x-user".to_vec(), ClaimPath::top("sub")),
            (b"x-city".to_vec(), nested(&["address", "city"]).unwrap()),
        ],
        roles: nested(&["realm_access", "roles"]),
    };
    assert_eq!(one.identity, expected);
    assert_eq!(
        (two.policy.algorithms.as_slice(), two.policy.leeway),
        (&[Algorithm::Rs256][..], DEFAULT_LEEWAY)
    );
    assert_eq!(two.policy.types, [MediaType::new("at+jwt")]);
    assert!(matches!(two.keys, Keys::Inline(_)));
    assert_eq!(
        config.managed,
        Managed::Named(vec![Pattern::Name("x-user".into()), Pattern::Name("x-city".into())])
    );
    assert_eq!(access(&config), Access::Required);
    assert!(config.resolver().is_none());
}

/// The smallest configuration with one field, given by its path, set to something else.
fn with(path: &str, value: Value) -> Value {
    let config = json!({"authgear": {"endpoint": "https://a.example", "upstream": "a"}});
    changed(config, path, value)
}

fn changed(mut config: Value, path: &str, value: Value) -> Value {
    let mut at = &mut config;
    for name in path.split('.') {
        at = match name.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[name],
        };
    }
    *at = value;
    config
}

#[test]
fn each_error_names_the_field_and_says_what_would_be_right() {
    #[rustfmt::skip]
    let cases = [
        ("authgear", Value::Null, "null"),
        ("authgear", json!("x"), "expected an object"),
        ("authgear", json!(["https://a.example", "a", "resolver"]), "expected an object"),
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
        ("forward_auth", json!({}), "beside `authgear`"),
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
        ("jwt", json!([{"issuer": "a"}]), "beside `authgear`"),
    ];
    for (path, value, expected) in cases {
        // The value is that of the outermost field where the path goes deeper.
        let field = match path.split_once(['[', '.']) {
            Some((field @ ("rules" | "cache" | "require"), _)) => field,
            _ => path.split('[').next().unwrap(),
        };
        let error = parse(&with(field, value.clone())).unwrap_err();
        assert_eq!(error.path, path, "{value}: {error}");
        assert!(error.problem.contains(expected), "{value}: {error}");
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
        ("jwt.1.jwks_uri", json!("https://a.example/keys"), "jwt[1].jwks", "beside"),
        ("jwt.1.upstream", json!("a"), "jwt[1].upstream", "nothing"),
        ("jwt.1.headers", json!(["x-user"]), "jwt[1].headers", "an object"),
        ("jwt.1.headers", json!({"x user": "sub"}), "jwt[1].headers.x user", "no name of a header"),
        ("jwt.1.headers", json!({":path": "sub"}), "jwt[1].headers.:path", "no name of a header"),
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
        assert!(error.problem.contains(expected), "{field} = {value}: {error}");
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
        assert!(error.problem.starts_with("missing"), "{error}");
    }
}

#[test]
fn a_field_that_can_do_nothing_in_the_mode_is_refused() {
    let url = json!("http://a:3001/resolve");
    let cases = [
        ("resolver", "audiences", json!(["a"])),
        ("resolver", "client_ids", json!([])),
        ("resolver", "revalidate", json!("60s")),
        ("local", "resolver_url", url),
        ("local", "resolver_upstream", json!("a")),
        ("local", "cookie_prefix", json!("p_")),
        ("local", "revalidate", json!("0s")),
    ];
    for (mode, field, value) in cases {
        let path = format!("authgear.{field}");
        let error = parse(&changed(with("authgear.mode", json!(mode)), &path, value)).unwrap_err();
        assert_eq!(error.path, path);
        assert!(error.problem.contains(&format!("`{mode}`")), "{error}");
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
        assert!(error.problem.contains("duplicate field"), "{text}: {error}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for bytes in [b"".as_slice(), b"null", b"[]", b"1", b"\"authgear\"", b"{", b"\xff"] {
        let error = Config::parse(bytes).unwrap_err();
        assert_eq!(error.path, "", "{error}");
    }
}

#[test]
fn the_log_is_told_who_is_believed_and_who_is_asked() {
    let line = |config| parse(&config).unwrap().to_string();
    assert_eq!(
        line(with("authgear.mode", json!("auto"))),
        "tokens of https://a.example verified with the keys at https://a.example/oauth2/jwks (upstream `a`); \
         other sessions of https://a.example by asking https://a.example/_resolver/resolve (upstream `a`)"
    );
    assert_eq!(
        line(with("authgear.mode", json!("resolver"))),
        "sessions of https://a.example by asking https://a.example/_resolver/resolve (upstream `a`)"
    );
    assert_eq!(
        line(json!({"jwt": [{"issuer": "one", "audiences": ["api"], "jwks": jwks()}]})),
        "tokens of one verified with inline keys"
    );
}
