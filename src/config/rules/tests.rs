use super::*;
use crate::config::document;
use crate::config::raw::RawConfig;
use crate::rules::redirect::Redirect;
use serde_json::{Value, json};

const EVERYTHING: Sessions = Sessions::Authgear;

fn parse(value: Value, sessions: Sessions) -> Result<Rules, ConfigError> {
    document::read::<Object<RawConfig>>(value.to_string().as_bytes())?
        .rules()
        .check(sessions, Some(&asked()))
        .map(|(rules, _)| rules)
}

fn asked() -> Url {
    Url::parse_with_query("https://auth.example:8443/verify?x").unwrap()
}

fn access(rules: &Rules, method: &str, host: &str, path: &str) -> Access {
    rules.decide(method.as_bytes(), host.as_bytes(), path.as_bytes()).access()
}

#[test]
fn without_a_word_authgears_requests_may_be_anyones_and_others_not() {
    for (sessions, expected) in [
        (Sessions::Resolver, Access::Optional),
        (Sessions::Authgear, Access::Optional),
        (Sessions::ForwardAuth { roles: false }, Access::Required),
        (Sessions::Jwt { roles: false, forward_auth: false }, Access::Required),
    ] {
        let rules = parse(json!({"rules": [{"prefix": "/a"}]}), sessions).unwrap();
        for path in ["/a", "/b"] {
            assert_eq!(access(&rules, "GET", "h", path), expected, "{sessions:?}");
        }
    }
}

#[test]
fn every_field_is_read() {
    let rules = parse(
        json!({
            "rules": [
                {"path": "/health", "methods": ["GET"], "access": "public"},
                {"prefix": "/admin/", "hosts": ["*.example.com", "[::1]"], "require": {
                    "roles": ["admin"], "scopes": ["openid"], "verified": true, "anonymous": false,
                    "amr": ["otp"], "max_auth_age": "10m",
                    "claims": [
                        {"claim": "token_use", "any_of": ["access", 3.0, true]},
                        {"claim": ["org", "typ"], "any_of": ["a"]},
                    ],
                }, "on_forbidden": {"status": 404.0, "body": "<p>", "content_type": "text/html"}},
                {"prefix": "/page", "access": "required", "on_unauthenticated": {"redirect": "/login?to={url}"}},
            ],
            "access": "required",
            "on_unauthenticated": {"status": 403, "body": "no"},
        }),
        EVERYTHING,
    )
    .unwrap();
    assert_eq!(access(&rules, "HEAD", "a.example.com", "/health"), Access::Public);
    let demand = rules.decide(b"GET", b"a.example.com", b"/admin");
    let requirement = Requirement {
        roles: vec!["admin".to_owned()],
        scopes: vec!["openid".to_owned()],
        verified: true,
        not_anonymous: true,
        amr: vec!["otp".to_owned()],
        max_auth_age: Some(Duration::from_secs(600)),
        claims: vec![ClaimId(0), ClaimId(1)],
        names: UseClaims { token_use: true, ..UseClaims::default() },
    };
    assert_eq!(demand.access(), Access::Required);
    assert_eq!(demand.requirements().collect::<Vec<_>>(), [&requirement]);
    let body =
        |text: &str, kind: &str| Some(CustomBody { text: text.to_owned(), content_type: kind.to_owned() });
    assert_eq!(demand.on_forbidden(), Some(&CustomReply { status: 404, body: body("<p>", "text/html") }));
    let otherwise = CustomReply { status: 403, body: body("no", DEFAULT_CONTENT_TYPE) };
    assert_eq!(demand.on_unauthenticated(), Some(&OnUnauthenticated::Reply(otherwise)));
    let redirect = Redirect::parse("/login?to={url}").unwrap();
    let page = rules.decide(b"GET", b"a", b"/page");
    assert_eq!(page.on_unauthenticated(), Some(&OnUnauthenticated::Redirect(redirect)));
    assert_eq!(page.on_forbidden(), None);
}

#[test]
fn a_rule_that_does_not_say_takes_what_stands_beside_the_rules() {
    let rules = parse(
        json!({
            "rules": [
                {"prefix": "/public", "access": "public"},
                {"prefix": "/silent"},
                {"prefix": "/required", "access": "required"},
                {"prefix": "/other", "require": {"roles": ["other"]}},
                {"prefix": "/session", "require": {}},
            ],
            "require": {"roles": ["staff"]},
        }),
        EVERYTHING,
    )
    .unwrap();
    let roles = |path: &str| -> Vec<String> {
        let demand = rules.decide(b"GET", b"h", path.as_bytes());
        demand.requirements().flat_map(|require| require.roles.clone()).collect()
    };
    assert_eq!(access(&rules, "GET", "h", "/public"), Access::Public);
    for path in ["/silent", "/required", "/other", "/session", "/"] {
        assert_eq!(access(&rules, "GET", "h", path), Access::Required, "{path}");
    }
    assert_eq!(roles("/public"), [""; 0]);
    assert_eq!(
        (roles("/silent"), roles("/required"), roles("/")),
        (vec!["staff".to_owned()], vec!["staff".to_owned()], vec!["staff".to_owned()])
    );
    assert_eq!(roles("/other"), ["other"]);
    assert_eq!(roles("/session"), [""; 0]);
}

/// Returns a valid configuration, except for `value` at `path`.
fn with(path: &str, value: Value) -> Value {
    let mut config = json!({"rules": [{"prefix": "/a", "access": "required"}, {"hosts": ["a.example"]}]});
    let mut at = &mut config;
    for name in path.split(['.', '[']) {
        at = match name.strip_suffix(']').map(|index| index.parse::<usize>().unwrap()) {
            Some(index) => {
                if at.is_null() {
                    *at = json!([null]);
                }
                &mut at[index]
            }
            None => &mut at[name],
        };
    }
    *at = value;
    config
}

#[test]
fn each_error_names_the_field_and_says_what_would_be_right() {
    #[rustfmt::skip]
    let cases = [
        ("rules", Value::Null, "a list"),
        ("rules", json!({}), "a list"),
        ("rules[0]", Value::Null, "an object"),
        ("rules[0]", json!(["/a"]), "an object"),
        ("rules[0].acess", json!("public"), "unknown field"),
        ("rules[0].access", json!("open"), "`optional`"),
        ("rules[0].access", json!({"public": null}), "`optional`"),
        ("rules[0].access", Value::Null, "`optional`"),
        ("access", json!(true), "`optional`"),
        ("rules[1].path", json!("a"), "slash"),
        ("rules[1].path", json!("/a?b"), "query"),
        ("rules[1].path", json!("/a#b"), "fragment"),
        ("rules[1].path", Value::Null, "a path"),
        ("rules[1].path", json!(["/a"]), "a path"),
        ("rules[0].prefix", json!("/a/*"), "wildcards"),
        ("rules[0].prefix", json!("/a//b"), "slashes"),
        ("rules[0].methods", json!([]), "empty list"),
        ("rules[0].methods", json!("GET"), "a list"),
        ("rules[0].methods[0]", json!("get"), "GET"),
        ("rules[0].methods[0]", json!(1), "\"GET\""),
        ("rules[1].hosts", json!([]), "empty list"),
        ("rules[1].hosts[0]", json!("a.example:80"), "port"),
        ("rules[1].hosts[0]", json!("*"), "every host"),
        ("rules[0].require", json!([]), "an object"),
        ("rules[0].require", Value::Null, "an object"),
        ("rules[0].require.role", json!("a"), "unknown field"),
        ("rules[0].require.roles", json!("a"), "a list"),
        ("rules[0].require.roles", json!([]), "empty list"),
        ("rules[0].require.roles[0]", json!(""), "not empty"),
        ("rules[0].require.roles[0]", json!("a,b"), "comma"),
        ("rules[0].require.scopes[0]", json!("a b"), "one scope"),
        ("rules[0].require.amr[0]", json!("pwd otp"), "otp"),
        ("rules[0].require.verified", json!(false), "`true`"),
        ("rules[0].require.anonymous", json!(true), "`false`"),
        ("rules[0].require.verified", json!("true"), "boolean"),
        ("rules[0].require.max_auth_age", json!(600), "\"10m\""),
        ("rules[0].require.max_auth_age", json!("600"), "\"10m\""),
        ("rules[0].require.max_auth_age", json!("0s"), "1s"),
        ("rules[0].require.max_auth_age", json!("9000h"), "8760h"),
        ("rules[0].on_unauthenticated", json!("x"), "an object"),
        ("rules[0].on_unauthenticated.status", json!(302), "400 to 599"),
        ("rules[0].on_unauthenticated.body", json!(""), "never empty"),
        ("rules[0].on_unauthenticated.content_type", json!("text/html"), "`body`"),
        ("rules[0].on_unauthenticated.content_type", json!("html"), "media type"),
        ("rules[0].on_unauthenticated.content_type", json!("text/html\r\nx: y"), "media type"),
        ("rules[0].on_unauthenticated.redirect", json!("login"), "neither"),
        ("rules[0].on_unauthenticated.redirect", json!("/login?to={uri}"), "{url}"),
        ("rules[0].on_unauthenticated.redirect", json!("//a/{url}"), "https://"),
        ("rules[0].on_unauthenticated.location", json!("/"), "unknown field"),
        ("rules[0].on_forbidden.status", json!(600), "400 to 599"),
        ("rules[0].on_forbidden.status", json!(444), "closes the connection"),
        ("on_unauthenticated.status", json!(499), "closes the connection"),
        ("rules[0].on_forbidden.redirect", json!("/"), "unknown field"),
        ("on_forbidden", json!({}), "`require`"),
        ("rules[0].on_forbidden", json!({}), "`require`"),
        ("rules[1].on_unauthenticated", json!({}), "`access: required`"),
    ];
    for (path, value, expected) in cases {
        let error =
            parse(with(path, value.clone()), EVERYTHING).err().unwrap_or_else(|| panic!("{path} {value}"));
        assert_eq!(error.path, path, "{value}: {error}");
        assert!(error.problem.to_string().contains(expected), "{value}: {error}");
    }
}

#[test]
fn each_error_of_a_demand_on_claims_names_its_place() {
    #[rustfmt::skip]
    let cases = [
        ("", json!([]), "empty"),
        ("", json!({"hd": "a"}), "a list"),
        ("[0].claim", json!([{"any_of": ["a"]}]), "name the claim"),
        ("[0].claim", json!([{"claim": [], "any_of": ["a"]}]), "names"),
        ("[0].any_of", json!([{"claim": "hd"}]), "values"),
        ("[0].any_of", json!([{"claim": "hd", "any_of": []}]), "empty"),
        ("[0].any_of", json!([{"claim": "hd", "any_of": "a"}]), "a list"),
        ("[0].any_of[1]", json!([{"claim": "hd", "any_of": ["a", null]}]), "a string, a number or a boolean"),
        ("[0].any_of[0]", json!([{"claim": "hd", "any_of": [["a"]]}]), "a string, a number or a boolean"),
        ("[0].any_of[0]", json!([{"claim": "hd", "any_of": [{"a": 1}]}]), "a string, a number or a boolean"),
        ("[0].value", json!([{"claim": "hd", "value": "a"}]), "unknown field"),
    ];
    for (place, value, expected) in cases {
        for at in ["rules[0].require.claims", "require.claims"] {
            let error = parse(with(at, value.clone()), EVERYTHING).err().unwrap_or_else(|| panic!("{value}"));
            assert_eq!(error.path, format!("{at}{place}"), "{value}: {error}");
            assert!(error.problem.to_string().contains(expected), "{value}: {error}");
        }
    }
}

#[test]
fn what_contradicts_something_else_is_refused() {
    #[rustfmt::skip]
    let cases = [
        (json!({"rules": [{"path": "/a", "prefix": "/b"}]}), "rules[0].prefix"),
        (json!({"rules": [{"access": "public", "require": {}}]}), "rules[0].access"),
        (json!({"rules": [{"access": "optional", "require": {"verified": true}}]}), "rules[0].access"),
        (json!({"access": "optional", "require": {}}), "access"),
        (json!({"on_unauthenticated": {"redirect": "/login"}}), "on_unauthenticated"),
        (json!({"access": "required", "on_unauthenticated": {"redirect": "/login", "status": 401}}), "on_unauthenticated.redirect"),
    ];
    for (value, path) in cases {
        assert_eq!(parse(value.clone(), EVERYTHING).unwrap_err().path, path, "{value}");
    }
}

#[test]
fn what_the_configured_sessions_cannot_state_is_refused() {
    let jwt = |roles, forward_auth| Sessions::Jwt { roles, forward_auth };
    let forward_auth = |roles| Sessions::ForwardAuth { roles };
    #[rustfmt::skip]
    let cases = [
        (forward_auth(false), json!({}), Some("require")),
        (forward_auth(false), json!({"scopes": ["a"]}), Some("require")),
        (forward_auth(false), json!({"roles": ["a"]}), Some("require.roles")),
        (forward_auth(false), json!({"roles": ["a"], "scopes": ["a"]}), Some("require.roles")),
        (forward_auth(true), json!({}), None),
        (forward_auth(true), json!({"roles": ["a"]}), None),
        (forward_auth(true), json!({"roles": ["a", "b,c"]}), Some("require.roles[1]")),
        (forward_auth(true), json!({"scopes": ["a"]}), Some("require.scopes")),
        (forward_auth(true), json!({"roles": ["a"], "scopes": ["a"]}), Some("require.scopes")),
        (forward_auth(true), json!({"roles": ["a"], "verified": true}), Some("require.verified")),
        (forward_auth(true), json!({"roles": ["a"], "anonymous": false}), Some("require.anonymous")),
        (forward_auth(true), json!({"roles": ["a"], "amr": ["otp"]}), Some("require.amr")),
        (forward_auth(true), json!({"roles": ["a"], "max_auth_age": "1h"}), Some("require.max_auth_age")),
        (Sessions::Resolver, json!({"scopes": ["a"]}), Some("require.scopes")),
        (Sessions::Resolver, json!({"claims": [{"claim": "hd", "any_of": ["a"]}]}), Some("require.claims")),
        (forward_auth(false), json!({"claims": [{"claim": "hd", "any_of": ["a"]}]}), Some("require")),
        (forward_auth(true), json!({"roles": ["a"], "claims": [{"claim": "hd", "any_of": ["a"]}]}), Some("require.claims")),
        (Sessions::Authgear, json!({"claims": [{"claim": "hd", "any_of": ["a"]}]}), None),
        (jwt(false, true), json!({"claims": [{"claim": "hd", "any_of": ["a"]}]}), None),
        (Sessions::Resolver, json!({"roles": ["a"], "verified": true, "amr": ["otp"], "max_auth_age": "1h"}), None),
        (Sessions::Authgear, json!({"scopes": ["a"], "anonymous": false}), None),
        (jwt(true, true), json!({"verified": true}), Some("require.verified")),
        (jwt(true, true), json!({"anonymous": false}), Some("require.anonymous")),
        (jwt(false, true), json!({"roles": ["a"]}), Some("require.roles")),
        (jwt(true, true), json!({"roles": ["cn=a,ou=b"], "scopes": ["a"]}), None),
    ];
    for (sessions, require, expected) in cases {
        for in_rule in [true, false] {
            let value =
                if in_rule { json!({"rules": [{"require": require}]}) } else { json!({"require": require}) };
            let found = parse(value, sessions).err().map(|error| error.path);
            let at = if in_rule { "rules[0]." } else { "" };
            assert_eq!(found, expected.map(|field| format!("{at}{field}")), "{sessions:?} {require}");
        }
    }
    let answer =
        json!({"rules": [{"prefix": "/a", "access": "optional", "on_forbidden": {}}], "on_forbidden": {}});
    assert!(
        parse(answer.clone(), Sessions::ForwardAuth { roles: false }).is_ok(),
        "its server may answer 403"
    );
    assert!(parse(answer.clone(), jwt(false, true)).is_ok());
    assert_eq!(parse(answer, jwt(false, false)).unwrap_err().path, "rules[0].on_forbidden");
}

#[test]
fn a_rule_asks_another_url_of_the_same_server_and_no_other_server() {
    let forward_auth = Sessions::ForwardAuth { roles: false };
    let asked_about = |typed: &str, path: &str| {
        let rules = json!({"rules": [{"prefix": "/a", "forward_auth": {"url": typed}}]});
        let url = parse(rules, forward_auth).unwrap().decide(b"GET", b"h", path.as_bytes()).auth_url();
        url.unwrap().map(|url| format!("{}{}", url.origin(), url.path_and_query()))
    };
    for (typed, expected) in [
        (
            "https://auth.example:8443/auth?allowed_groups=x",
            Some("https://auth.example:8443/auth?allowed_groups=x"),
        ),
        ("HTTPS://AUTH.example:8443/verify", Some("https://auth.example:8443/verify")),
        ("/auth?allowed_groups=x", Some("https://auth.example:8443/auth?allowed_groups=x")),
        ("/verify?x", None),
        ("https://auth.example:8443/verify?x", None),
    ] {
        assert_eq!(asked_about(typed, "/a/b").as_deref(), expected, "{typed}");
        assert_eq!(asked_about(typed, "/b"), None, "{typed}");
    }
    #[rustfmt::skip]
    let cases = [
        (json!({"url": "http://auth.example:8443/verify"}), "rules[1].forward_auth.url", "another server"),
        (json!({"url": "https://auth.example/verify"}), "rules[1].forward_auth.url", "another server"),
        (json!({"url": "https://auth.example:8444/verify"}), "rules[1].forward_auth.url", "another server"),
        (json!({"url": "https://auth.example:84430/verify"}), "rules[1].forward_auth.url", "https"),
        (json!({"url": "https://evil.example:8443/verify"}), "rules[1].forward_auth.url", "another server"),
        (json!({"url": "//auth.example:8443/verify"}), "rules[1].forward_auth.url", "http"),
        (json!({"url": "verify"}), "rules[1].forward_auth.url", "http"),
        (json!({"url": "/verify#x"}), "rules[1].forward_auth.url", "fragment"),
        (json!({"url": "/ver ify"}), "rules[1].forward_auth.url", "character"),
        (json!({"url": "https://user@auth.example:8443/"}), "rules[1].forward_auth.url", "user"),
        (json!({"url": ""}), "rules[1].forward_auth.url", "empty"),
        (json!({"url": 1}), "rules[1].forward_auth.url", "string"),
        (json!({"url": null}), "rules[1].forward_auth.url", "null"),
        (json!({}), "rules[1].forward_auth.url", "missing"),
        (json!({"upstream": "other"}), "rules[1].forward_auth.upstream", "unknown field"),
        (json!("/verify"), "rules[1].forward_auth", "object"),
    ];
    for (typed, path, expected) in cases {
        let error = parse(json!({"rules": [{}, {"forward_auth": typed}]}), forward_auth).unwrap_err();
        assert_eq!(error.path, path, "{typed}: {error}");
        assert!(error.problem.to_string().contains(expected), "{typed}: {error}");
    }
    let public = json!({"rules": [{"access": "public", "forward_auth": {"url": "/verify"}}]});
    assert_eq!(parse(public, forward_auth).unwrap_err().path, "rules[0].forward_auth");
    let rule = json!({"rules": [{"forward_auth": {"url": "/verify"}}]});
    let raw = document::read::<Object<RawConfig>>(rule.to_string().as_bytes()).unwrap().rules();
    assert_eq!(raw.check(Sessions::Authgear, None).unwrap_err().path, "rules[0].forward_auth");
}
