//! Decisions by claims: whose tokens pass without an audience, for which use, of which tenant, with which claims; and
//! the claims that the app gets. Each token is sent twice, because a cached one must be judged alike.

use std::cell::Cell;
use std::time::Duration;

use authgear_filter::engine::{Capabilities, Outcome, Step};
use authgear_filter::http::{CallError, Head, Response};
use authgear_filter::jose::{Algorithm, Backend};
use serde_json::{Value, json};

use crate::issuer::{self, ISSUER, Issuer, NOW, base64url};
use crate::world::{APISIX, ENVOY, World, authgear, called, done, replied, set, value};

/// One issuer with these fields, whose tokens may have any `typ`.
fn jwt(issuer: &Issuer, fields: &Value) -> Value {
    let mut one = json!({
        "issuer": ISSUER, "audiences": ["api"], "types": [], "algorithms": ["ES256"], "jwks": issuer.jwks(), "headers": {"x-user": "sub"},
    });
    put(&mut one, fields);
    json!({ "jwt": [one] })
}

/// Sets members, or removes them where the new value is `null`.
fn put(object: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
}

/// The least that a token says, and this.
fn token(issuer: &Issuer, changes: &Value) -> String {
    let mut claims = json!({"iss": ISSUER, "aud": "api", "sub": "u", "iat": NOW, "exp": NOW + 600});
    put(&mut claims, changes);
    issuer.token(Algorithm::Es256, &claims)
}

/// How a request for `path` ends, twice.
fn status_at(world: &mut World, path: &str, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    let fields = [(b"authorization".as_slice(), authorization.as_bytes())];
    let mut statuses = [0; 2].map(|_: i32| {
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: path.as_bytes(),
            fields: &fields,
            client_address: &|| None,
        };
        let decision = done(world.start_head(&head));
        if decision.outcome == Outcome::Session { 200 } else { replied(&decision).status }
    });
    statuses.sort_unstable();
    assert_eq!(statuses[0], statuses[1], "{path}: once it is remembered it ends otherwise");
    statuses[0]
}

fn status(world: &mut World, token: &str) -> u16 {
    status_at(world, "/", token)
}

#[test]
fn without_audiences_the_client_decides_and_no_id_token_passes() {
    let issuer = Issuer::new();
    let clients = json!({"audiences": null, "client_ids": ["app", "batch"]});
    let both = json!({"client_ids": ["app"]});
    for (fields, claims, expected) in [
        (&clients, json!({"aud": null, "client_id": "app"}), 200),
        (&clients, json!({"aud": [], "client_id": "batch"}), 200),
        (&clients, json!({"aud": "account", "client_id": "app"}), 200),
        (&clients, json!({"aud": null, "azp": "app"}), 200),
        (&clients, json!({"aud": null, "client_id": "app", "azp": "other"}), 200),
        (&clients, json!({"aud": null, "client_id": "other", "azp": "app"}), 401),
        (&clients, json!({"aud": null, "client_id": "", "azp": "app"}), 401),
        (&clients, json!({"aud": null, "client_id": "App"}), 401),
        (&clients, json!({"aud": null, "client_id": "app "}), 401),
        (&clients, json!({"aud": null, "client_id": ["app"]}), 401),
        (&clients, json!({"aud": null, "azp": ["app"]}), 401),
        (&clients, json!({"aud": null, "appid": "app", "cid": "app"}), 401),
        (&clients, json!({"aud": null}), 401),
        (&clients, json!({}), 401),
        // ID tokens, and what looks like one
        (&clients, json!({"aud": "app", "azp": "app"}), 401),
        (&clients, json!({"aud": ["api", "app"], "client_id": "app"}), 401),
        (&clients, json!({"aud": ["batch"], "client_id": "app"}), 401),
        (&clients, json!({"aud": null, "client_id": "app", "at_hash": "x"}), 401),
        (&clients, json!({"aud": null, "client_id": "app", "c_hash": "x"}), 401),
        (&clients, json!({"aud": null, "client_id": "app", "at_hash": false}), 401),
        (&clients, json!({"aud": {"a": "b"}, "client_id": "app"}), 401),
        // With audiences all of them say so, and the hashes say nothing.
        (&both, json!({"client_id": "app"}), 200),
        (&both, json!({"azp": "app", "at_hash": "x"}), 200),
        (&both, json!({"aud": ["api", "app"], "azp": "app"}), 200),
        (&both, json!({"client_id": "batch"}), 401),
        (&both, json!({"aud": "app", "client_id": "app"}), 401),
        (&both, json!({"aud": null, "client_id": "app"}), 401),
        (&json!({}), json!({"azp": 1}), 200),
    ] {
        let mut world = World::new(ENVOY, &jwt(&issuer, fields));
        assert_eq!(status(&mut world, &token(&issuer, &claims)), expected, "{fields} {claims}");
    }
}

#[test]
fn a_token_that_says_it_is_for_another_use_is_refused_where_no_rule_names_the_claim() {
    let issuer = Issuer::new();
    let any = |claim: &str, values: Value| json!({"claims": [{"claim": claim, "any_of": values}]});
    let mut configuration = jwt(&issuer, &json!({}));
    configuration["rules"] = json!([
        {"prefix": "/ids", "require": any("token_use", json!(["id"]))},
        {"prefix": "/typ", "require": any("typ", json!(["ID", "Bearer"]))},
        {"prefix": "/nested", "require": {"claims": [{"claim": ["typ", "token_use"], "any_of": ["id"]}]}},
        {"prefix": "/open", "access": "optional"},
    ]);
    let mut world = World::new(ENVOY, &configuration);
    for (claims, expected) in [
        (json!({}), 200),
        (json!({"token_use": "access"}), 200),
        (json!({"token_use": "access_token"}), 200),
        (json!({"token_use": "id"}), 401),
        (json!({"token_use": "Access"}), 401),
        (json!({"token_use": "refresh"}), 401),
        (json!({"token_use": ""}), 401),
        (json!({"token_use": ["access"]}), 401),
        (json!({"token_use": true}), 401),
        (json!({"typ": "Bearer"}), 200),
        (json!({"typ": "JWT"}), 200),
        (json!({"typ": "ID"}), 401),
        (json!({"typ": "id"}), 401),
        (json!({"typ": "Refresh"}), 401),
        (json!({"typ": "Offline"}), 401),
        (json!({"typ": ["Bearer", "ID"]}), 401),
        (json!({"token_type": "access"}), 200),
        (json!({"token_type": "Bearer"}), 200),
        (json!({"token_type": "of our own"}), 200),
        (json!({"token_type": ["refresh"]}), 200),
        (json!({"token_type": "refresh"}), 401),
        (json!({"token_type": "Refresh_Token"}), 401),
        (json!({"token_type": "id_token"}), 401),
        (json!({"token_type": "urn:ietf:params:oauth:token-type:refresh_token"}), 401),
        (json!({"token_type": "urn:ietf:params:oauth:token-type:access_token"}), 200),
    ] {
        assert_eq!(status(&mut world, &token(&issuer, &claims)), expected, "{claims}");
    }
    let id = token(&issuer, &json!({"token_use": "id"}));
    let typ = token(&issuer, &json!({"typ": "ID"}));
    let both = token(&issuer, &json!({"typ": "ID", "token_use": "id"}));
    let refresh = token(&issuer, &json!({"typ": "Refresh"}));
    let access = token(&issuer, &json!({"token_use": "access"}));
    for (path, token, expected) in [
        ("/ids", &id, 200),
        ("/ids", &access, 403),
        ("/ids", &typ, 401),
        ("/ids", &both, 401),
        ("/typ", &typ, 200),
        ("/typ", &refresh, 403),
        ("/typ", &id, 401),
        ("/typ", &both, 401),
        ("/nested", &id, 401),
        ("/", &id, 401),
        // A path that could be either must meet both, and what is no access token is one at neither alone.
        ("/typ/../ids", &both, 401),
        ("/ids/../x", &id, 401),
        ("/ids/../ids/x", &id, 200),
    ] {
        assert_eq!(status_at(&mut world, path, token), expected, "{path}");
    }
    let authorization = format!("Bearer {id}");
    let fields = [(b"authorization".as_slice(), authorization.as_bytes())];
    let head = Head {
        method: b"GET",
        scheme: b"https",
        authority: b"app.example",
        path: b"/open",
        fields: &fields,
        client_address: &|| None,
    };
    let decision = done(world.start_head(&head));
    assert_eq!((decision.outcome, set(&decision)), (Outcome::Refused, vec![]), "it is nobody there");
}

#[test]
fn a_tenant_is_the_tokens_own_and_a_token_of_another_shape_is_asked_about() {
    const TENANTS: &str = "https://login.example/{tid}/v2.0";
    let issuer = Issuer::new();
    let mut configuration = jwt(&issuer, &json!({"issuer": TENANTS, "headers": {"x-tenant": "tid"}}));
    let of = |tenant: &str, tid: &Value| {
        token(&issuer, &json!({"iss": TENANTS.replace("{tid}", tenant), "tid": tid}))
    };
    for (tenant, tid, expected) in [
        ("9188-a_B", json!("9188-a_B"), 200),
        ("a", json!("b"), 401),
        ("a", Value::Null, 401),
        ("a/b", json!("a/b"), 401),
        ("common", json!("common"), 200),
        ("{tid}", json!("{tid}"), 401),
    ] {
        let mut world = World::new(ENVOY, &configuration);
        assert_eq!(status(&mut world, &of(tenant, &tid)), expected, "{tenant} {tid}");
    }

    configuration["forward_auth"] =
        json!({"url": "http://auth/", "upstream": "auth", "identity_headers": ["x-user"]});
    let mut world = World::new(APISIX, &configuration);
    // Who claims to be of a tenant is judged here, whatever else the token says.
    assert_eq!(status(&mut world, &of("a", &json!("b"))), 401);
    let padded = format!("{}=", of("a", &json!("a")));
    assert_eq!(status(&mut world, &padded), 401);
    for iss in
        ["https://login.example/a/b/v2.0", "https://login.example//v2.0", "https://login.example/a/v2.0/"]
    {
        let token = token(&issuer, &json!({"iss": iss, "tid": "a"}));
        let (call, _) = called(world.bearer(&token));
        assert_eq!(call.upstream, "auth", "{iss}");
    }
}

#[test]
fn what_is_remembered_of_a_token_meets_what_the_token_meets() {
    let issuer = Issuer::new();
    let mut configuration = jwt(&issuer, &json!({"roles": ["project", "roles"]}));
    let claim = |claim: Value, values: Value| json!({"claim": claim, "any_of": values});
    configuration["rules"] = json!([
        {"prefix": "/hd", "require": {"claims": [claim(json!("hd"), json!(["example.com", "example.org"]))]}},
        {"prefix": "/level", "require": {"claims": [
            claim(json!("hd"), json!(["example.org", "example.com"])), claim(json!(["org", "level"]), json!([3, true])),
        ]}},
        {"prefix": "/text", "require": {"claims": [claim(json!(["org", "level"]), json!(["3"]))]}},
        {"prefix": "/groups", "require": {"claims": [claim(json!("groups"), json!(["b"]))], "scopes": ["read"]}},
        {"prefix": "/roles", "require": {"roles": ["admin"]}},
    ]);
    let mut world = World::new(APISIX, &configuration);
    let rich = token(
        &issuer,
        &json!({
            "hd": "example.com", "org": {"level": 3.0}, "groups": ["a", "b"], "scp": ["read"],
            "project": {"roles": {"admin": {"1": "a.example"}}},
        }),
    );
    let poor = token(&issuer, &json!({"hd": "example.net", "groups": "ab", "scope": "", "scp": "read"}));
    for (path, of_rich, of_poor) in [
        ("/hd", 200, 403),
        ("/level", 200, 403),
        ("/text", 403, 403),
        ("/groups", 200, 403),
        ("/roles", 200, 403),
        ("/text/../hd", 403, 403),
        ("/", 200, 200),
    ] {
        assert_eq!(status_at(&mut world, path, &rich), of_rich, "{path}");
        assert_eq!(status_at(&mut world, path, &poor), of_poor, "{path}");
    }
}

#[test]
fn authgears_tokens_meet_demands_on_their_claims_too_and_sessions_of_the_resolver_do_not() {
    for mode in ["auto", "local"] {
        let mut configuration = authgear(mode);
        let claim = "https://example.com/plan";
        configuration["rules"] = json!([{"require": {"claims": [{"claim": claim, "any_of": ["pro"]}]}}]);
        let mut world = World::with_keys(ENVOY, &configuration);
        for (plan, expected) in [(json!("pro"), 200), (json!(["pro"]), 200), (json!("free"), 403)] {
            let mut claims = issuer::claims();
            claims[claim] = plan.clone();
            let token = world.issuer.token(Algorithm::Rs256, &claims);
            assert_eq!(status(&mut world, &token), expected, "{mode} {plan}");
        }
        let mut claims = issuer::claims();
        (claims[claim], claims["token_use"]) = (json!("pro"), json!("id"));
        let token = world.issuer.token(Algorithm::Rs256, &claims);
        assert_eq!(status(&mut world, &token), 401, "{mode}");
        if mode == "auto" {
            let step = world.start(&[(b"cookie", b"session=s")]);
            let (_, waiting) = world.question(step);
            let answer = crate::world::resolved(Some("8b1f7c0e-user"));
            assert_eq!(replied(&done(world.answer(waiting, answer))).status, 403);
        }
    }
}

#[test]
fn while_there_are_no_keys_a_demand_on_claims_is_an_error_and_not_asked_about() {
    for on_error in ["deny", "allow"] {
        let mut configuration = authgear("auto");
        configuration["on_error"] = json!({ "action": on_error });
        configuration["rules"] = json!([{"require": {"claims": [{"claim": "hd", "any_of": ["a"]}]}}]);
        let mut world = World::new(APISIX, &configuration);
        let mut claims = issuer::claims();
        claims["hd"] = json!("a");
        for (token_use, expected) in [(None, 503), (Some("access"), 503), (Some("id"), 401)] {
            if let Some(token_use) = token_use {
                claims["token_use"] = json!(token_use);
            }
            let token = world.issuer.token(Algorithm::Rs256, &claims);
            let step = match world.bearer(&token) {
                Step::Call(call, waiting) => {
                    assert_eq!(value(&call, ":path"), Some("/oauth2/jwks"));
                    world.resume(waiting, Err(CallError::NoAnswer))
                }
                step @ (Step::Done(_) | Step::Park(..)) => step,
            };
            assert_eq!(replied(&done(step)).status, expected, "{on_error} {token_use:?}");
        }
    }
}

#[test]
fn a_token_without_expiry_passes_by_choice_and_is_remembered_no_longer_than_its_key() {
    let issuer = Issuer::new();
    let endless = token(&issuer, &json!({"exp": null}));
    let expired = token(&issuer, &json!({"exp": NOW - 60}));
    let mut world = World::new(ENVOY, &jwt(&issuer, &json!({})));
    assert_eq!(status(&mut world, &endless), 401);

    let fetched = json!({
        "jwks": null, "jwks_uri": "https://issuer.example/keys", "upstream": "issuer", "require_expiration": false,
    });
    let mut world = World::new(ENVOY, &jwt(&issuer, &fetched));
    let keys = issuer.jwks();
    let publish = |world: &mut World, keys: &Value| {
        world.tick();
        let body = keys.to_string().into_bytes();
        world.finish_all(|_| {
            Ok(Response { status: 200, fields: authgear_filter::http::Fields::default(), body: body.clone() })
        });
    };
    publish(&mut world, &keys);
    assert_eq!(status(&mut world, &endless), 200);
    for claims in [
        json!({"exp": NOW - 60}),
        json!({"exp": null, "nbf": NOW + 60}),
        json!({"exp": null, "iat": NOW + 60}),
        json!({"exp": "never"}),
    ] {
        assert_eq!(status(&mut world, &token(&issuer, &claims)), 401, "{claims}");
    }
    assert_eq!(status(&mut world, &expired), 401);
    for _ in 0..20 {
        world.pass(Duration::from_secs(24 * 60 * 60));
        publish(&mut world, &keys);
        assert_eq!(status(&mut world, &endless), 200, "years later");
    }
    let mut others = keys;
    others["keys"].as_array_mut().unwrap().retain(|key| key["kid"] != "p256");
    world.pass(Duration::from_secs(3600));
    publish(&mut world, &others);
    let step = world.bearer(&endless);
    assert!(
        !matches!(&step, Step::Done(decision) if decision.outcome == Outcome::Session),
        "its key is gone"
    );
}

#[test]
fn claims_become_headers_as_they_are_as_json_or_all_together() {
    let issuer = Issuer::new();
    let fields = json!({
        "headers": {
            "x-user": "sub",
            "x-address": {"claim": "address", "as": "json"},
            "x-groups": {"claim": ["org", "groups"], "as": "base64"},
            "x-none": {"claim": "nothing", "as": "json"},
        },
        "payload_header": "x-payload",
    });
    let mut world = World::new(ENVOY, &jwt(&issuer, &fields));
    let payload = format!(
        "{{\"iss\":\"{ISSUER}\",\"aud\":\"api\",\"exp\":{},\r\n \"sub\": \"u\",\"address\" : {{ \"city\":\n \"Zürich\" , \"zip\": 1e3}},\
         \"org\":{{\"groups\":[ \"a\", null ]}}}}",
        NOW + 600
    );
    let header = json!({"alg": "ES256", "kid": "p256"}).to_string();
    let token = issuer.signed(Algorithm::Es256, &header, &payload);
    for _ in 0..2 {
        let decision = done(world.start(&[
            (b"authorization", format!("Bearer {token}").as_bytes()),
            (b"x-payload", b"forged"),
            (b"X_Payload", b"forged"),
            (b"x-none", b"forged"),
        ]));
        let mut headers = set(&decision);
        headers.sort();
        assert_eq!(
            headers,
            [
                ("x-address", "{\"city\":\"Zürich\",\"zip\":1e3}".to_owned()),
                ("x-groups", issuer::base64url("[\"a\",null]")),
                ("x-payload", issuer::base64url(&payload)),
                ("x-user", "u".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
        );
        let authgear_filter::engine::Verdict::Forward(edits) = &decision.verdict else { panic!() };
        for name in ["x-payload", "X_Payload", "x-none"] {
            assert!(edits.remove.contains(&name.as_bytes().to_vec()), "{name}");
        }
    }
    for (claims, expected) in [
        (json!({"address": "\u{7f}"}), 401),
        (json!({"address": "a\r\nx-user: admin"}), 200),
        (json!({"sub": " u"}), 401),
        (json!({"sub": "u\n"}), 401),
    ] {
        assert_eq!(status(&mut world, &self::token(&issuer, &claims)), expected, "{claims}");
    }
}

#[test]
fn what_is_remembered_weighs_by_every_word_that_rules_may_demand() {
    thread_local! {
        static VERIFIED: Cell<usize> = const { Cell::new(0) };
    }
    fn right(_hash: &str, _key: &[u8], _signature: &[u8], _message: &[u8]) -> Option<bool> {
        VERIFIED.set(VERIFIED.get() + 1);
        Some(true)
    }
    const WORDS: usize = 4000;
    const TOKENS: usize = 420;
    let issuer = Issuer::new();
    let configuration = json!({"jwt": [{"issuer": ISSUER, "audiences": [ISSUER], "algorithms": ["ES256"],
        "jwks": issuer.jwks(), "headers": {"x-user": "sub"}, "roles": "roles"}]});
    // 420 times so many words of one letter are more than 32 MiB, and as many bytes in one word are not.
    for (claim, value, is_evicted) in [
        ("scope", json!("a ".repeat(WORDS)), true),
        ("scp", json!(vec!["a"; WORDS / 2]), false),
        ("scp", json!("a ".repeat(WORDS)), true),
        ("amr", json!("a".repeat(2 * WORDS)), false),
        ("amr", json!(vec!["a"; WORDS * 7 / 10]), true),
        ("roles", json!(vec!["a"; WORDS * 7 / 10]), true),
        ("other", json!(vec!["a"; WORDS * 7 / 10]), false),
    ] {
        VERIFIED.set(0);
        let host = Capabilities { background: true, signatures: Backend::Proxy(right) };
        let mut world = World::on(host, &configuration);
        let mut claims = issuer::claims();
        claims.as_object_mut().unwrap().remove("scope");
        claims[claim] = value;
        let signed = issuer.token(Algorithm::Es256, &claims);
        let (_, signature) = signed.rsplit_once('.').unwrap();
        let header = base64url(
            json!({"alg": "ES256", "kid": issuer::kid(Algorithm::Es256), "typ": "at+jwt"}).to_string(),
        );
        for number in (0..TOKENS).chain([0]) {
            claims["sub"] = json!(number.to_string());
            let token = format!("Bearer {header}.{}.{signature}", base64url(claims.to_string()));
            let decision = done(world.start(&[(b"authorization", token.as_bytes())]));
            assert_eq!(decision.outcome, Outcome::Session, "{claim}");
        }
        assert_eq!(VERIFIED.get(), TOKENS + usize::from(is_evicted), "{claim}");
    }
}
