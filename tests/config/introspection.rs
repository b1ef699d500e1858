//! `jwt[].introspection`: each field, and each refusal. None of them shows a secret.

use std::time::Duration;

use authgear_filter::config::{AuthServer, Config, ConfigError, Introspection, Keys};
use authgear_filter::http::SecretText;
use serde_json::{Value, json};

/// Stands wherever a secret may stand.
const SECRET: &str = "hunter2";

fn parse(value: &Value) -> Result<Config, ConfigError> {
    Config::parse(value.to_string().as_bytes())
}

fn jwks() -> Value {
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})
}

/// One issuer without keys, and what else it has.
fn issuer(more: &Value) -> Value {
    let mut issuer = json!({"issuer": "https://login.example", "audiences": ["api"],
        "introspection": {"url": "http://login.example/introspect", "upstream": "login"}});
    issuer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    issuer
}

fn with(more: &Value) -> Value {
    json!({"jwt": [issuer(more)]})
}

/// With more under `introspection`.
fn asking(more: &Value) -> Value {
    let mut configuration = with(&json!({}));
    let fields = configuration["jwt"][0]["introspection"].as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    configuration
}

fn server(config: &Config) -> &Introspection {
    match &config.server {
        Some(AuthServer::Introspection(server)) => server,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_is_read_and_its_defaults_are_filled_in() {
    let config = parse(&with(&json!({}))).unwrap();
    let found = server(&config);
    assert_eq!(found.server.to_string(), "http://login.example/introspect (upstream `login`)");
    assert_eq!((&found.authorization, &found.token_type_hint, found.issuer), (&None, &None, 0));
    assert!(matches!(config.issuers[0].keys, Keys::Absent));
    assert_eq!(
        (config.cache.ttl, config.cache.negative_ttl),
        (Duration::from_secs(10), Duration::from_secs(1))
    );
    assert!(config.forward_auth().is_none() && config.resolver().is_none());

    let config = parse(&asking(
        &json!({"client_id": "a b", "client_secret": "c:d", "token_type_hint": "access_token"}),
    ))
    .unwrap();
    let found = server(&config);
    // a+b:c%3Ad
    assert_eq!(found.authorization, Some(SecretText::new("Basic YStiOmMlM0Fk")));
    assert_eq!(found.token_type_hint.as_deref(), Some("access_token"));

    let config = parse(&asking(&json!({"client_id": "api"}))).unwrap();
    assert_eq!(server(&config).authorization, Some(SecretText::new("Basic YXBpOg==")));
    let config = parse(&asking(&json!({"authorization": "Bearer x y"}))).unwrap();
    assert_eq!(server(&config).authorization, Some(SecretText::new("Bearer x y")));
}

#[test]
fn keys_may_stand_beside_it_and_then_types_and_algorithms_mean_something() {
    for keys in
        [json!({"jwks": jwks()}), json!({"jwks_uri": "https://login.example/keys", "upstream": "login"})]
    {
        let mut more = keys.clone();
        more.as_object_mut().unwrap().extend(
            json!({"types": ["JWT"], "algorithms": ["EdDSA"], "require_expiration": false})
                .as_object()
                .unwrap()
                .clone(),
        );
        let config = parse(&with(&more)).unwrap();
        assert!(!matches!(config.issuers[0].keys, Keys::Absent), "{keys}");
        assert_eq!(server(&config).issuer, 0);
    }
    let other = json!({"issuer": "https://other.example", "audiences": ["api"], "jwks": jwks()});
    let config = parse(&json!({"jwt": [other, issuer(&json!({}))]})).unwrap();
    assert_eq!(server(&config).issuer, 1);
}

#[test]
fn each_refusal_names_the_field_and_says_what_would_be_right() {
    let keys = json!({"jwks": jwks()});
    let two = json!({"jwt": [issuer(&keys), issuer(&json!({"issuer": "https://other.example"}))]});
    let forward_auth = json!({"url": "http://auth/", "upstream": "auth", "identity_headers": ["x-user"]});
    let mut beside = json!({"jwt": [{"issuer": "https://other.example", "audiences": ["api"], "jwks": jwks()},
        issuer(&json!({}))]});
    beside["forward_auth"] = forward_auth;
    let without = |field: &str| {
        let mut configuration = with(&json!({}));
        configuration["jwt"][0]["introspection"].as_object_mut().unwrap().remove(field);
        configuration
    };
    let cached = |cache: Value| {
        let mut configuration = with(&json!({}));
        configuration["cache"] = cache;
        configuration
    };
    for (configuration, path, expected) in [
        (two, "jwt[1].introspection", "jwt[0] has one already"),
        (beside, "jwt[1].introspection", "cannot be combined with `forward_auth`"),
        (without("url"), "jwt[0].introspection.url", "give the introspection endpoint"),
        (without("upstream"), "jwt[0].introspection.upstream", "give the Envoy cluster"),
        (
            asking(&json!({"url": "/introspect"})),
            "jwt[0].introspection.url",
            "not an http:// or https:// URL",
        ),
        (asking(&json!({"url": "http://a/#x"})), "jwt[0].introspection.url", "fragment"),
        (asking(&json!({"upstream": ""})), "jwt[0].introspection.upstream", "is empty"),
        (
            asking(&json!({"client_secret": SECRET})),
            "jwt[0].introspection.client_secret",
            "without `client_id`",
        ),
        (
            asking(&json!({"client_id": "a", "authorization": SECRET})),
            "jwt[0].introspection.authorization",
            "combined with `client_id`",
        ),
        (
            asking(&json!({"client_id": "a", "client_secret": "b", "authorization": SECRET})),
            "jwt[0].introspection.authorization",
            "combined with `client_id`",
        ),
        (
            asking(&json!({"client_secret": SECRET, "authorization": SECRET})),
            "jwt[0].introspection.client_secret",
            "without `client_id`",
        ),
        (asking(&json!({"client_id": ""})), "jwt[0].introspection.client_id", "is empty"),
        (
            asking(&json!({"client_id": "a", "client_secret": ""})),
            "jwt[0].introspection.client_secret",
            "is empty",
        ),
        (asking(&json!({"authorization": ""})), "jwt[0].introspection.authorization", "is empty"),
        (
            asking(&json!({"authorization": format!("Bearer {SECRET}\r\nx: y")})),
            "jwt[0].introspection.authorization",
            "control character",
        ),
        (
            asking(&json!({"authorization": format!("Bearer {SECRET} ")})),
            "jwt[0].introspection.authorization",
            "white space",
        ),
        (asking(&json!({"token_type_hint": ""})), "jwt[0].introspection.token_type_hint", "is empty"),
        (
            asking(&json!({"token": "x"})),
            "jwt[0].introspection.token",
            "unknown field `token`, expected one of `url`, `upstream`",
        ),
        (with(&json!({"introspection": {}})), "jwt[0].introspection.url", "missing"),
        (with(&json!({"introspection": null})), "jwt[0].introspection", "expected an object"),
        (with(&json!({"introspection": [SECRET]})), "jwt[0].introspection", "expected an object"),
        (with(&json!({"types": ["JWT"]})), "jwt[0].types", "does nothing where tokens are asked about"),
        (with(&json!({"types": []})), "jwt[0].types", "does nothing where tokens are asked about"),
        (
            with(&json!({"algorithms": ["RS256"]})),
            "jwt[0].algorithms",
            "does nothing where tokens are asked about",
        ),
        (
            with(&json!({"require_expiration": true})),
            "jwt[0].require_expiration",
            "does nothing where tokens are asked about",
        ),
        (with(&json!({"upstream": "login"})), "jwt[0].upstream", "`introspection` has its own"),
        (with(&json!({"jwks_uri": "https://login.example/keys"})), "jwt[0].upstream", "missing"),
        (cached(json!({"key": ["host"]})), "cache.key", "`forward_auth` alone"),
        (cached(json!({"ttl": "0s", "stale_if_error": "1s"})), "cache.stale_if_error", "does nothing"),
    ] {
        let error = parse(&configuration).unwrap_err();
        assert_eq!(error.path, path, "{error}");
        assert!(error.problem.to_string().contains(expected), "{error}");
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}

#[test]
fn whatever_stands_in_a_secret_s_place_is_in_no_message() {
    let number = 421_867_233;
    for odd in [
        json!(number),
        json!(-number),
        json!(421_867_233.5),
        json!([SECRET]),
        json!({SECRET: SECRET}),
        json!([number]),
    ] {
        for field in ["client_secret", "authorization"] {
            let error = parse(&asking(&json!({field: odd}))).unwrap_err();
            assert_eq!(error.path, format!("jwt[0].introspection.{field}"), "{error}");
            assert!(error.problem.to_string().contains("not a string"), "{error}");
            assert!(!error.to_string().contains(SECRET) && !error.to_string().contains("421"), "{error}");
        }
    }
    for odd in [json!(SECRET), json!(number), json!(-number), json!(421_867_233.5), json!(true)] {
        let error = parse(&with(&json!({"introspection": odd}))).unwrap_err();
        assert_eq!(error.path, "jwt[0].introspection");
        assert!(error.problem.to_string().contains("expected an object"), "{error}");
        assert!(!error.to_string().contains(SECRET) && !error.to_string().contains("421"), "{error}");
    }
    for url in [
        format!("http://filter:{SECRET}@login/"),
        format!("http://login/ x?key={SECRET}"),
        format!("/?{SECRET}"),
    ] {
        let error = parse(&asking(&json!({"url": url}))).unwrap_err().to_string();
        assert!(!error.contains(SECRET), "{error}");
    }
}

#[test]
fn the_log_is_told_which_tokens_are_asked_about() {
    let config = parse(&with(&json!({"jwks": jwks()}))).unwrap();
    assert_eq!(
        config.to_string(),
        "tokens of https://login.example verified with inline keys; other tokens of https://login.example by asking \
         http://login.example/introspect (upstream `login`)"
    );
}

#[test]
fn nothing_that_prints_a_configuration_prints_a_secret() {
    let encoded = "ZmlsdGVyOmh1bnRlcjI=";
    for more in [
        json!({"client_id": "filter", "client_secret": SECRET}),
        json!({"authorization": format!("Bearer {SECRET}")}),
        json!({"authorization": format!("Basic {encoded}")}),
    ] {
        let mut configuration = asking(&more);
        configuration["jwt"][0]["introspection"]["url"] = json!("http://login.example/introspect?realm=a");
        let config = parse(&configuration).unwrap();
        let printed = format!("{config} {config:?} {config:#?}");
        assert!(!printed.contains(SECRET) && !printed.contains(encoded), "{printed}");
        let line = config.to_string();
        assert_eq!(
            line,
            "tokens of https://login.example by asking http://login.example/introspect?… (upstream `login`)"
        );
    }
}
