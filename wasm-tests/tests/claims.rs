//! Decisions and headers by claims, on every host: clients instead of audiences, tenants, uses, demands of rules,
//! roles, scopes, tokens without `exp`, and claims as JSON. Each request is sent twice, because a cached token must
//! be judged alike.

#[path = "../../tests/tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;

use authgear_filter::jose::Algorithm;
use issuer::{ISSUER, Issuer, base64url};
use serde_json::{Value, json};
use wasm_tests::authgear::{Endpoint, Fault, Options, StatusCode};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, Layout, seen};

on_each_host! {
    a_token_without_an_audience_is_told_by_its_client_and_no_id_token_passes,
    a_tenant_is_the_tokens_own,
    a_token_for_another_use_passes_only_where_a_rule_names_the_claim,
    a_rule_may_demand_claims_scopes_and_roles_in_whatever_form_they_are_stated,
    a_token_without_expiry_passes_by_choice_only,
    claims_reach_the_app_as_json_and_all_together_and_never_the_clients_own,
    authgears_tokens_meet_demands_on_claims_and_without_keys_nobody_does,
    what_is_no_issuer_and_what_could_do_nothing_is_refused,
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Sets members, or removes them where the new value is `null`.
fn with(mut object: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

/// One issuer with these fields, whose tokens may have any `typ`.
fn jwt(issuer: &Issuer, fields: &Value) -> Value {
    let one = json!({
        "issuer": ISSUER, "audiences": ["api"], "types": [], "algorithms": ["ES256"], "jwks": issuer.jwks(),
        "headers": {"x-user": "sub"},
    });
    json!({ "jwt": [with(one, fields)] })
}

/// The least that a token says, and this.
fn token(issuer: &Issuer, changes: &Value) -> String {
    let claims = json!({"iss": ISSUER, "aud": "api", "sub": "u", "iat": now(), "exp": now() + 600});
    issuer.token(Algorithm::Es256, &with(claims, changes))
}

async fn send<H: Host>(host: &H, path: &str, token: &str) -> Response {
    let request = || {
        Request::get(path)
            .header("authorization", format!("Bearer {token}"))
            .header("x-user", "forged")
            .header("X_User", "forged")
    };
    let first = client::send(host.address(), request()).await;
    let again = client::send(host.address(), request()).await;
    assert_eq!(first.status, again.status, "{path}: once it is remembered it ends otherwise");
    first
}

async fn status<H: Host>(host: &H, path: &str, token: &str) -> u16 {
    send(host, path, token).await.status
}

async fn start<H: Host>(app: &Echo, configuration: Value) -> H {
    H::start(H::builder(app, &[]), configuration).await
}

async fn a_token_without_an_audience_is_told_by_its_client_and_no_id_token_passes<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let fields = json!({"audiences": null, "client_ids": ["app", "batch"]});
    let host: H = start(&app, jwt(&issuer, &fields)).await;
    for (claims, expected) in [
        (json!({"aud": null, "client_id": "app"}), 200),
        (json!({"aud": null, "azp": "batch"}), 200),
        (json!({"aud": "account", "azp": "app"}), 200),
        (json!({"aud": null, "client_id": "other", "azp": "app"}), 401),
        (json!({"aud": null}), 401),
        (json!({"aud": "app", "azp": "app"}), 401),
        (json!({"aud": null, "client_id": "app", "at_hash": "x"}), 401),
        (json!({"aud": null, "client_id": "app", "c_hash": null, "typ": "ID"}), 401),
        (json!({"aud": null, "client_id": "app", "exp": now() - 60}), 401),
    ] {
        let answer = send(&host, "/", &token(&issuer, &claims)).await;
        assert_eq!(answer.status, expected, "{claims}");
        if expected == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{claims}");
        } else {
            let users: Vec<_> = seen(&answer)
                .headers
                .into_iter()
                .filter(|(name, _)| name.replace('_', "-") == "x-user")
                .collect();
            assert_eq!(users, [("x-user".to_owned(), "u".to_owned())], "{claims}");
        }
    }
}

async fn a_tenant_is_the_tokens_own<H: Host>() {
    const TENANTS: &str = "https://login.example/{tid}/v2.0";
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let mut configuration = jwt(&issuer, &json!({"issuer": TENANTS, "headers": {"x-user": "tid"}}));
    configuration["jwt"].as_array_mut().unwrap().push(json!({
        "issuer": "https://login.example/one/two/v2.0", "audiences": ["api"], "types": [], "algorithms": ["ES256"],
        "jwks": issuer.jwks(),
    }));
    let host: H = start(&app, configuration).await;
    for (iss, tid, expected) in [
        ("https://login.example/a-B_9/v2.0", json!("a-B_9"), 200),
        ("https://login.example/one/two/v2.0", json!("one/two"), 200),
        ("https://login.example/a/v2.0", json!("b"), 401),
        ("https://login.example/a/v2.0", Value::Null, 401),
        ("https://login.example/a/v2.0", json!(["a"]), 401),
        ("https://login.example/a/b/v2.0", json!("a/b"), 401),
        ("https://login.example/a.b/v2.0", json!("a.b"), 401),
        ("https://login.example/{tid}/v2.0", json!("{tid}"), 401),
        ("https://login.example//v2.0", json!(""), 401),
        ("https://login.example/a/v2.0/", json!("a"), 401),
        ("https://login.example.evil/a/v2.0", json!("a"), 401),
    ] {
        let token = token(&issuer, &json!({"iss": iss, "tid": tid}));
        assert_eq!(status(&host, "/", &token).await, expected, "{iss} {tid}");
    }
}

async fn a_token_for_another_use_passes_only_where_a_rule_names_the_claim<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let mut configuration = jwt(&issuer, &json!({}));
    configuration["rules"] = json!([
        {"prefix": "/id", "require": {"claims": [{"claim": "token_use", "any_of": ["id"]}]}},
        {"prefix": "/open", "access": "optional"},
    ]);
    let host: H = start(&app, configuration).await;
    for (claims, anywhere, at_id) in [
        (json!({}), 200, 403),
        (json!({"token_use": "access"}), 200, 403),
        (json!({"token_use": "id"}), 401, 200),
        (json!({"token_use": "refresh"}), 401, 403),
        (json!({"token_use": ["access"]}), 401, 403),
        (json!({"typ": "Bearer"}), 200, 403),
        (json!({"typ": "ID"}), 401, 401),
        (json!({"typ": "Refresh"}), 401, 401),
        (json!({"typ": "Offline", "token_use": "id"}), 401, 401),
    ] {
        let token = token(&issuer, &claims);
        assert_eq!(status(&host, "/", &token).await, anywhere, "{claims}");
        assert_eq!(status(&host, "/id", &token).await, at_id, "{claims}");
        let open = seen(&send(&host, "/open", &token).await);
        let is_told = open.headers.iter().any(|(name, _)| name.replace('_', "-") == "x-user");
        assert_eq!(is_told, anywhere == 200, "{claims}");
    }
}

async fn a_rule_may_demand_claims_scopes_and_roles_in_whatever_form_they_are_stated<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let mut configuration = jwt(&issuer, &json!({"roles": "urn:zitadel:iam:org:project:roles"}));
    let rule = |prefix: &str, claim: Value, any_of: Value| json!({"prefix": prefix, "require": {"claims": [{"claim": claim, "any_of": any_of}]}});
    configuration["rules"] = json!([
        rule("/text", json!("level"), json!(["3"])),
        rule("/number", json!("level"), json!([3, 4.5])),
        rule("/flag", json!("email_verified"), json!([true])),
        rule("/nested", json!(["org", "groups"]), json!(["ops", "dev"])),
        rule("/dotted", json!("https://example.com/plan"), json!(["pro"])),
        {"prefix": "/scope", "require": {"scopes": ["read", "write"]}},
        {"prefix": "/role", "require": {"roles": ["admin"]}},
    ]);
    let host: H = start(&app, configuration).await;
    let plan = "https://example.com/plan";
    for (claims, met) in [
        (json!({}), &[][..]),
        (json!({"level": "3"}), &["/text"]),
        (json!({"level": 3}), &["/number"]),
        (json!({"level": [1, "3", 45e-1]}), &["/text", "/number"]),
        (json!({"level": "33", "email_verified": "true"}), &[]),
        (json!({"email_verified": true}), &["/flag"]),
        (json!({"email_verified": 1, "org.groups": "ops", "org": {"groups": {"ops": true}}}), &[]),
        (json!({"org": {"groups": ["x", "ops"]}}), &["/nested"]),
        (json!({"org": {"groups": "dev"}, plan: "pro"}), &["/nested", "/dotted"]),
        (json!({"scp": "read write"}), &["/scope"]),
        (json!({"scp": ["write", "read"]}), &["/scope"]),
        (json!({"scope": "read write"}), &["/scope"]),
        (json!({"scope": "read", "scp": "read write"}), &[]),
        (json!({"urn:zitadel:iam:org:project:roles": {"admin": {"1": "a.example"}, "x": {}}}), &["/role"]),
        (json!({"urn:zitadel:iam:org:project:roles": ["admin"]}), &["/role"]),
        (json!({"urn:zitadel:iam:org:project:roles": {"administrator": "admin"}}), &[]),
    ] {
        let token = token(&issuer, &claims);
        for path in ["/text", "/number", "/flag", "/nested", "/dotted", "/scope", "/role"] {
            let answer = send(&host, path, &token).await;
            assert_eq!(answer.status, if met.contains(&path) { 200 } else { 403 }, "{path} {claims}");
            let insufficient =
                answer.header("www-authenticate") == Some("Bearer error=\"insufficient_scope\"");
            assert_eq!(insufficient, answer.status == 403 && matches!(path, "/scope" | "/role"), "{path}");
        }
        assert_eq!(status(&host, "/", &token).await, 200, "{claims}");
    }
}

async fn a_token_without_expiry_passes_by_choice_only<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let endless = token(&issuer, &json!({"exp": null}));
    for (fields, expected) in [
        (json!({}), 401),
        (json!({"require_expiration": true}), 401),
        (json!({"require_expiration": false}), 200),
    ] {
        let host: H = start(&app, jwt(&issuer, &fields)).await;
        assert_eq!(status(&host, "/", &endless).await, expected, "{fields}");
        for claims in
            [json!({"exp": now() - 60}), json!({"exp": null, "nbf": now() + 600}), json!({"exp": "never"})]
        {
            assert_eq!(status(&host, "/", &token(&issuer, &claims)).await, 401, "{fields} {claims}");
        }
    }
}

async fn claims_reach_the_app_as_json_and_all_together_and_never_the_clients_own<H: Host>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let fields = json!({
        "headers": {
            "x-user": "sub",
            "x-address": {"claim": "address", "as": "json"},
            "x-groups": {"claim": ["org", "groups"], "as": "base64"},
            "x-none": {"claim": "nothing", "as": "json"},
        },
        "payload_header": "X-Payload",
    });
    let mut configuration = jwt(&issuer, &fields);
    configuration["rules"] = json!([{"prefix": "/public", "access": "public"}]);
    let host: H = start(&app, configuration).await;
    let payload = format!(
        "{{\"iss\":\"{ISSUER}\",\"aud\":\"api\",\"exp\":{},\r\n \"sub\":\"u\",\
         \"address\":{{ \"city\":\n \"Bern\", \"line\":\"a\\r\\nx-user: admin\"}},\"org\":{{\"groups\":[ \"a,b\" ]}}}}",
        now() + 600
    );
    let header = json!({"alg": "ES256", "kid": "p256"}).to_string();
    let token = issuer.signed(Algorithm::Es256, &header, &payload);
    let request = |path: &str| {
        let names = ["x-payload", "X_PAYLOAD", "x-none", "x.none", "x-address", "x_groups"];
        names.iter().fold(Request::get(path), |request, name| request.header(name, "forged"))
    };
    let ours = |response: &Response| {
        let mut headers = seen(response).headers;
        headers.retain(|(name, _)| {
            let folded = name.replace(['_', '.'], "-");
            ["x-user", "x-address", "x-groups", "x-none", "x-payload"].contains(&folded.as_str())
        });
        headers.sort();
        headers
    };
    let expected = [
        ("x-address", r#"{"city":"Bern","line":"a\r\nx-user: admin"}"#.to_owned()),
        ("x-groups", base64url(r#"["a,b"]"#)),
        ("x-payload", base64url(&payload)),
        ("x-user", "u".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    for _ in 0..2 {
        let with_token = request("/").header("authorization", format!("Bearer {token}"));
        assert_eq!(ours(&client::send(host.address(), with_token).await), expected);
    }
    assert_eq!(
        ours(&client::send(host.address(), request("/public")).await),
        [],
        "nobody is told of anybody"
    );
    let control = self::token(&issuer, &json!({"address": "\u{7f}"}));
    assert_eq!(status(&host, "/", &control).await, 401);
    assert!(!host.log().contains(&token), "no token is logged");
}

async fn authgears_tokens_meet_demands_on_claims_and_without_keys_nobody_does<H: Host>() {
    let demand = |configuration: &mut Value| {
        configuration["authgear"]["mode"] = "auto".into();
        configuration["on_error"] = json!({"action": "allow"});
        let claims = json!([{"claim": "plan", "any_of": ["pro"]}]);
        configuration["rules"] = json!([{"prefix": "/app", "require": {"claims": claims}}]);
    };
    let options = || Options { public_origin: Some(H::ORIGIN.to_owned()), ..Options::default() };
    let scene = Layout::<H>::start_with(options(), demand, |host| host).await;
    let bearer =
        |path: &str, token: String| Request::get(path).header("authorization", format!("Bearer {token}"));
    for (plan, expected) in [("pro", 200), ("free", 403)] {
        let token =
            scene.authgear.jwt_with("alice", |claims, _| drop(claims.insert("plan".into(), json!(plan))));
        for _ in 0..2 {
            assert_eq!(scene.send(bearer("/app", token.clone())).await.status, expected, "{plan}");
        }
    }
    let session = scene.authgear.log_in("alice");
    let cookie = Request::get("/app").header("cookie", format!("session={session}"));
    assert_eq!(scene.send(cookie).await.status, 403, "the resolver states no claims");

    let faults = [(Endpoint::Jwks, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR))];
    let scene = Layout::<H>::start_failing(options(), faults, demand, |host| host).await;
    let token =
        scene.authgear.jwt_with("alice", |claims, _| drop(claims.insert("plan".into(), json!("pro"))));
    let answer = scene.send(bearer("/app", token)).await;
    assert_eq!(answer.status, 503, "on_error, and never let through");
    assert_eq!(
        scene.send(bearer("/", scene.authgear.jwt("alice"))).await.status,
        200,
        "elsewhere the resolver is asked"
    );
}

async fn what_is_no_issuer_and_what_could_do_nothing_is_refused<H: Host>() {
    let issuer = Issuer::new();
    let claims = json!({"claims": [{"claim": "hd", "any_of": ["a"]}]});
    for (configuration, expected) in [
        (jwt(&issuer, &json!({"issuer": "https://{a}/{b}"})), "jwt[0].issuer: has more than one placeholder"),
        (jwt(&issuer, &json!({"audiences": null})), "jwt[0].audiences: missing"),
        (jwt(&issuer, &json!({"client_ids": []})), "jwt[0].client_ids: is an empty list"),
        (
            jwt(&issuer, &json!({"payload_header": "X_User"})),
            "jwt[0].payload_header: `x_user` is one of `headers`",
        ),
        (
            json!({"authgear": {"endpoint": "https://a.example", "upstream": "a", "mode": "resolver"}, "require": claims}),
            "require.claims: the resolver states no claims",
        ),
    ] {
        let log = H::refuse(configuration.to_string()).await;
        assert!(log.contains(expected), "{expected}: {log}");
    }
}
