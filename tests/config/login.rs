//! `authgear.login`: its defaults, and each refusal with the path of the field.

use serde_json::{Value, json};

use authgear_filter::config::{Config, ConfigError, Login};
use authgear_filter::http::url::Url;

fn parse(login: &Value, change: &Value) -> Result<Config, ConfigError> {
    let mut config = json!({"authgear": {"endpoint": "https://a.example", "upstream": "a", "login": login}});
    for (name, value) in change.as_object().unwrap() {
        match name.strip_prefix("authgear.") {
            Some(name) => config["authgear"][name] = value.clone(),
            None => config[name] = value.clone(),
        }
    }
    Config::parse(config.to_string().as_bytes())
}

#[test]
fn the_client_is_all_that_must_be_said() {
    let endpoint = Url::parse("https://a.example").unwrap();
    let login = |callback: &str, scopes: &[&str]| {
        let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Some(Login::new(&endpoint, "web", callback.to_owned(), &scopes))
    };
    #[rustfmt::skip]
    let cases = [
        (json!({"client_id": "web"}), login("/.authgear/login", &["openid"])),
        (json!({"client_id": "web", "callback": "/in"}), login("/in", &["openid"])),
        (json!({"client_id": "web", "callback": "/a/b-c_d~e.f/"}), login("/a/b-c_d~e.f/", &["openid"])),
        (json!({"client_id": "web", "scope": ["email", "openid"]}), login("/.authgear/login", &["email", "openid"])),
    ];
    for (typed, expected) in cases {
        assert_eq!(parse(&typed, &json!({})).unwrap().login, expected, "{typed}");
    }
    let none = Config::parse(br#"{"authgear": {"endpoint": "https://a.example", "upstream": "a"}}"#).unwrap();
    assert_eq!(none.login, None);
}

#[test]
fn each_mistake_is_refused_with_the_path_of_the_field() {
    let all = || json!({"client_id": "web"});
    let elsewhere = json!({"redirect": "/login?to={path}"});
    #[rustfmt::skip]
    let cases = [
        (Value::Null, json!({}), "authgear.login", "expected an object"),
        (json!("web"), json!({}), "authgear.login", "expected an object"),
        (json!({}), json!({}), "authgear.login.client_id", "missing"),
        (json!({"client_id": ""}), json!({}), "authgear.login.client_id", "empty"),
        (json!({"client_id": ["web"]}), json!({}), "authgear.login.client_id", "a string"),
        (json!({"client_id": "web", "scope": []}), json!({}), "authgear.login.scope", "empty"),
        (json!({"client_id": "web", "scope": "openid"}), json!({}), "authgear.login.scope", "a list"),
        (json!({"client_id": "web", "scope": ["email"]}), json!({}), "authgear.login.scope", "`openid`"),
        (json!({"client_id": "web", "scope": ["openid email"]}), json!({}), "authgear.login.scope[0]", "one scope"),
        (json!({"client_id": "web", "scope": ["openid", ""]}), json!({}), "authgear.login.scope[1]", "one scope"),
        (json!({"client_id": "web", "callback": ""}), json!({}), "authgear.login.callback", "slash"),
        (json!({"client_id": "web", "callback": "login"}), json!({}), "authgear.login.callback", "slash"),
        (json!({"client_id": "web", "callback": "/login?x"}), json!({}), "authgear.login.callback", "a query"),
        (json!({"client_id": "web", "callback": "/login#x"}), json!({}), "authgear.login.callback", "a fragment"),
        (json!({"client_id": "web", "callback": "/"}), json!({}), "authgear.login.callback", "path of its own"),
        (json!({"client_id": "web", "callback": "//login"}), json!({}), "authgear.login.callback", "//"),
        (json!({"client_id": "web", "callback": "/a/../login"}), json!({}), "authgear.login.callback", "dot segment"),
        (json!({"client_id": "web", "callback": "/log in"}), json!({}), "authgear.login.callback", "several ways"),
        (json!({"client_id": "web", "callback": "/l%6fgin"}), json!({}), "authgear.login.callback", "several ways"),
        (json!({"client_id": "web", "callback": "/größe"}), json!({}), "authgear.login.callback", "several ways"),
        (json!({"client_id": "web", "callback": "/a\\b"}), json!({}), "authgear.login.callback", "\\"),
        (json!({"client_id": "web", "callback": "https://a.example/login"}), json!({}), "authgear.login.callback", "slash"),
        (json!({"client_id": "web", "prompt": "none"}), json!({}), "authgear.login.prompt", "unknown field"),
        (all(), json!({"authgear.mode": "local"}), "authgear.login", "`local`"),
        (all(), json!({"access": "required", "on_unauthenticated": elsewhere}), "authgear.login", "choose one"),
    ];
    for (login, change, path, expected) in cases {
        let error = parse(&login, &change).unwrap_err();
        assert_eq!(error.path, path, "{login} {change}: {error}");
        assert!(error.problem.to_string().contains(expected), "{login} {change}: {error}");
    }
}

#[test]
fn an_answer_at_the_top_and_a_redirect_of_a_rule_may_stand_beside_it() {
    for change in [
        json!({"access": "required", "on_unauthenticated": {"status": 404}}),
        json!({"rules": [{"access": "required", "on_unauthenticated": {"redirect": "/login"}}]}),
        json!({"authgear.mode": "resolver"}),
        json!({"access": "public"}),
    ] {
        assert!(parse(&json!({"client_id": "web"}), &change).unwrap().login.is_some(), "{change}");
    }
}
