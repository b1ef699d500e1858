//! Every field, and its default.

use std::time::Duration;

use serde_json::{Value, json};

use authgear_filter::auth_server::authgear::{CookieNames, identity};
use authgear_filter::config::{
    Cache, ClaimHeader, Config, ConfigError, DEFAULT_LEEWAY, DEFAULT_LOG_LEVEL, DEFAULT_MAX_ENTRIES,
    Identity, Issuer, Keys, OnError, OnErrorAction,
};
use authgear_filter::http::header::Pattern;
use authgear_filter::http::managed::Managed;
use authgear_filter::jose::{Algorithm, ClaimForm, ClaimPath, IssuerName, MediaType, Policy};
use authgear_filter::rules::Access;

/// Who may pass where no rule says.
fn access(config: &Config) -> Access {
    config.rules.decide(b"GET", b"a", b"/").access()
}

pub(crate) fn parse(value: &Value) -> Result<Config, ConfigError> {
    Config::parse(value.to_string().as_bytes())
}

#[test]
fn the_smallest_configuration_has_every_default() {
    let config =
        parse(&json!({"authgear": {"endpoint": "https://myapp.authgear.cloud", "upstream": "authgear"}}))
            .unwrap();
    let [Issuer { policy, keys: Keys::Fetched { server, public }, identity: Identity::Authgear, .. }] =
        config.issuers.as_slice()
    else {
        panic!("{config:?}");
    };
    let expected = Policy {
        issuer: IssuerName::exact("https://myapp.authgear.cloud"),
        audiences: vec!["https://myapp.authgear.cloud".into()],
        algorithms: vec![Algorithm::Rs256],
        types: vec![MediaType::new("at+jwt")],
        client_ids: vec![],
        reads_azp: false,
        leeway: Duration::from_secs(30),
        requires_expiration: true,
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
    assert_eq!((&config.managed, access(&config)), (&identity::managed(), Access::Optional));
    assert_eq!(
        (config.allow_cors_preflight, config.strip_credentials, config.access_log),
        (true, false, false)
    );
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
    assert_eq!(policy.issuer.to_string(), "https://accounts.example.com");
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
fn a_final_slash_of_endpoint_or_resolver_url_does_not_matter() {
    let urls = |endpoint: &str, resolver: &str| {
        let config = json!({"authgear": {"endpoint": endpoint, "upstream": "a", "resolver_url": resolver}});
        let config = parse(&config).unwrap();
        let resolver = config.resolver().unwrap();
        (resolver.endpoint.clone(), resolver.server.url.clone(), config.issuers[0].policy.issuer.clone())
    };
    let without = urls("https://a.example", "http://a:3001/_resolver/resolve");
    assert_eq!(urls("https://a.example/", "http://a:3001/_resolver/resolve/"), without);
    assert_eq!(urls("https://a.example", "http://a:3001/").1.to_string(), "http://a:3001/");
}

#[test]
fn keys_of_authgear_may_be_fetched_elsewhere_in_the_name_of_its_endpoint() {
    let config = parse(&with("authgear.jwks_url", json!("http://authgear-main:3000/oauth2/jwks"))).unwrap();
    let Keys::Fetched { server, public } = &config.issuers[0].keys else { panic!("{config:?}") };
    assert_eq!(server.to_string(), "http://authgear-main:3000/oauth2/jwks (upstream `a`)");
    assert_eq!(public.origin(), "https://a.example");
}

#[test]
fn headers_that_override_are_removed_where_a_rule_names_what_they_override() {
    for (rules, expected) in [
        (json!([]), false),
        (json!([{"access": "required"}, {"hosts": ["a.example"]}]), false),
        (json!([{"access": "required"}, {"path": "/a"}]), true),
        (json!([{"prefix": "/a"}]), true),
        (json!([{"methods": ["POST"]}]), true),
    ] {
        let mut config = with("rules", rules.clone());
        let is_removed = |config: &Value| {
            let managed = parse(config).unwrap().managed;
            let names: [&[u8]; 6] = [
                b"x-original-url",
                b"X_Rewrite_URL",
                b"x-http-method",
                b"x.http.method-override",
                b"x-method-override",
                b"x-method_override",
            ];
            let is_removed = managed.contains(names[0]);
            assert!(names.iter().all(|name| managed.contains(name) == is_removed));
            assert!(managed.contains(b"x-authgear-user-id") && !managed.contains(b"x-http-methods"));
            is_removed
        };
        assert_eq!(is_removed(&config), expected, "{rules}");
        config["strip_overrides"] = json!(!expected);
        assert_eq!(is_removed(&config), !expected, "{rules}");
    }
}

#[test]
fn the_access_log_is_switched_on_for_all_projects() {
    for typed in [true, false] {
        assert_eq!(parse(&with("access_log", json!(typed))).unwrap().access_log, typed);
    }
}

#[test]
fn the_log_level_is_read() {
    for (typed, expected) in [("error", "ERROR"), ("warn", "WARN"), ("info", "INFO"), ("debug", "DEBUG")] {
        let config = parse(&with("log_level", json!(typed))).unwrap();
        assert_eq!(config.log_level.to_string(), expected);
    }
    assert_eq!(parse(&with("timeout", json!("1s"))).unwrap().log_level, DEFAULT_LOG_LEVEL);
}

#[test]
fn remembering_nothing_may_be_said_of_each_kind() {
    for mode in ["auto", "resolver"] {
        let mut config = with("authgear.mode", json!(mode));
        config["cache"] = json!({"ttl": "0s", "negative_ttl": "0s", "stale_if_error": "0s"});
        let cache = parse(&config).unwrap().cache;
        assert_eq!((cache.ttl, cache.negative_ttl, cache.stale_if_error), Default::default(), "{mode}");
    }
}

#[test]
fn a_whole_number_may_be_written_as_any_number_of_that_value() {
    for text in ["503", "503.0", "5.03e2", "50300E-2"] {
        let text = format!(
            r#"{{"authgear": {{"endpoint": "https://a", "upstream": "a"}}, "on_error": {{"status": {text}}}}}"#
        );
        assert_eq!(Config::parse(text.as_bytes()).unwrap().on_error.status, 503, "{text}");
    }
    let thousand =
        r#"{"authgear": {"endpoint": "https://a", "upstream": "a"}, "cache": {"max_entries": 1e3}}"#;
    assert_eq!(Config::parse(thousand.as_bytes()).unwrap().cache.max_entries.get(), 1_000);
}

#[test]
fn the_query_of_a_url_is_used_and_never_shown() {
    let config = json!({
        "forward_auth": {"url": "https://a.example/auth?key=s3cr3t", "upstream": "a", "identity_headers": ["x-user"]},
        "jwt": [{"issuer": "one", "audiences": ["api"], "jwks_uri": "https://a.example/keys?p=s3cr3t", "upstream": "a"}],
    });
    let parsed = parse(&config).unwrap();
    assert!(!parsed.to_string().contains("s3cr3t"), "{parsed}");
    assert!(!format!("{parsed:?}").contains("s3cr3t"));
    assert_eq!(parsed.forward_auth().unwrap().server.url.path_and_query(), "/auth?key=s3cr3t");
    let Keys::Fetched { server, .. } = &parsed.issuers[0].keys else { panic!("{parsed:?}") };
    assert_eq!(server.url.path_and_query(), "/keys?p=s3cr3t");
    for url in [
        "a.example/?s3cr3t",
        "https://a.example/?s3cr3t#x",
        "https://a.example/?s3cr3t ",
        "https://a b/?s3cr3t",
    ] {
        for field in ["forward_auth.url", "jwt.0.jwks_uri"] {
            let error = parse(&changed(config.clone(), field, json!(url))).unwrap_err();
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
    }
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
pub(crate) fn jwks() -> Value {
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
            "headers": {
                "X-User": "sub", "x-city": ["address", "city"],
                "x-address": {"claim": "address", "as": "json"}, "x-org": {"claim": ["org", "all"], "as": "base64"},
            },
            "payload_header": "X-Claims",
            "client_ids": ["app"],
            "require_expiration": false,
            "roles": ["realm_access", "roles"],
        },
        {"issuer": "two/{tid}", "client_ids": ["app"], "jwks": jwks()},
    ]}))
    .unwrap();
    let [one, two] = config.issuers.as_slice() else { panic!("{config:?}") };
    assert_eq!(
        (one.policy.issuer.to_string().as_str(), one.policy.audiences.as_slice()),
        ("https://one.example/", &["api".to_owned()][..])
    );
    assert_eq!(one.policy.algorithms, [Algorithm::Es256, Algorithm::Ps512]);
    assert_eq!((one.policy.types.as_slice(), one.policy.leeway), (&[][..], Duration::ZERO));
    let nested = |names: &[&str]| ClaimPath::nested(names.iter().map(|name| (*name).to_owned()));
    let expected = Identity::Claims {
        headers: [
            ("x-user", ClaimPath::top("sub"), ClaimForm::Plain),
            ("x-address", ClaimPath::top("address"), ClaimForm::Json),
            ("x-city", nested(&["address", "city"]).unwrap(), ClaimForm::Plain),
            ("x-org", nested(&["org", "all"]).unwrap(), ClaimForm::Base64),
        ]
        .map(|(name, claim, form)| ClaimHeader { name: name.into(), claim, form })
        .to_vec(),
        payload_header: Some(b"x-claims".to_vec()),
        roles: nested(&["realm_access", "roles"]),
    };
    assert_eq!(one.identity, expected);
    assert_eq!(
        (one.policy.client_ids.as_slice(), one.policy.requires_expiration),
        (&["app".to_owned()][..], false)
    );
    assert_eq!((two.policy.audiences.len(), two.policy.requires_expiration), (0, true));
    assert_eq!(two.policy.issuer.to_string(), "two/{tid}");
    assert_eq!(
        (two.policy.algorithms.as_slice(), two.policy.leeway),
        (&[Algorithm::Rs256][..], DEFAULT_LEEWAY)
    );
    assert_eq!(two.policy.types, [MediaType::new("at+jwt")]);
    assert!(matches!(two.keys, Keys::Inline(_)));
    assert_eq!(
        config.managed,
        Managed::new(
            ["x-user", "x-address", "x-city", "x-org", "x-claims"]
                .map(|name| Pattern::Name(name.into()))
                .to_vec()
        )
    );
    assert_eq!(access(&config), Access::Required);
    assert!(config.resolver().is_none());
}

/// The smallest configuration with one field, given by its path, set to something else.
pub(crate) fn with(path: &str, value: Value) -> Value {
    let config = json!({"authgear": {"endpoint": "https://a.example", "upstream": "a"}});
    changed(config, path, value)
}

pub(crate) fn changed(mut config: Value, path: &str, value: Value) -> Value {
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

#[cfg(feature = "schema")]
#[test]
fn the_schema_describes_every_field_and_knows_no_other() {
    fn check(path: &str, schema: &Value, fields: &mut usize) {
        if let Some(properties) = schema["properties"].as_object() {
            for (name, field) in properties {
                *fields += 1;
                let is_described = field["description"].as_str().is_some_and(|text| text.ends_with('.'));
                assert!(is_described, "{path}.{name}: {field}");
                assert!(
                    !field["type"].as_array().is_some_and(|types| types.contains(&json!("null"))),
                    "{path}.{name}"
                );
            }
            assert_eq!(schema["additionalProperties"], false, "{path}");
        }
    }
    let schema = serde_json::to_value(Config::schema()).unwrap();
    let mut fields = 0;
    check("", &schema, &mut fields);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        check(name, definition, &mut fields);
    }
    assert!(fields > 50, "{fields}");
    assert_eq!(schema["$defs"]["Authgear"]["required"], json!(["endpoint", "upstream"]));
    assert_eq!(schema["properties"]["log_level"]["enum"], json!(["error", "warn", "info", "debug"]));
}
