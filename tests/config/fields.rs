//! Every field, and each refusal.

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

fn parse(value: &Value) -> Result<Config, ConfigError> {
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
        ("on_error.status", json!(444), "closes the connection"),
        ("on_error.status", json!(499.0), "closes the connection"),
        ("authgear.jwks_url", json!("/keys"), "http"),
        ("strip_overrides", json!("yes"), "boolean"),
        ("access_log", json!("yes"), "boolean"),
        ("access_log", json!({"format": "json"}), "boolean"),
        ("access_log", Value::Null, "null"),
        ("log_level", json!("trace"), "`debug`"),
        ("log_level", Value::Null, "`debug`"),
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
        ("jwt.1.issuer", json!("https://login.example/{tid/v2.0"), "jwt[1].issuer", "no placeholder"),
        ("jwt.1.issuer", json!("https://login.example/{}/v2.0"), "jwt[1].issuer", "no placeholder"),
        ("jwt.1.issuer", json!("{iss}"), "jwt[1].issuer", "any issuer"),
        ("jwt.1.issuer", json!("https://*.example"), "jwt[1].issuer", "placeholder"),
        ("jwt.1.issuer", json!("on{x}"), "jwt[1].issuer", "jwt[0]"),
        ("jwt.1.client_ids", json!([]), "jwt[1].client_ids", "empty"),
        ("jwt.1.client_ids", json!([""]), "jwt[1].client_ids[0]", "empty"),
        ("jwt.1.require_expiration", json!("no"), "jwt[1].require_expiration", "boolean"),
        ("jwt.1.payload_header", json!("X Y"), "jwt[1].payload_header", "no name of a header"),
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
