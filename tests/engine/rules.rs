//! Rules at work: the same for sessions that were verified here and for those that the resolver knows.

use std::time::Duration;

use authgear_filter::engine::{Outcome, Verdict};
use authgear_filter::http::{CallError, Field, Head, Reply, Response};
use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};

use crate::issuer;
use crate::world::{APISIX, Answer, ENVOY, World, authgear, decide, replied, resolved, set};

/// Everything below `/open` is public, `/app` needs a session, `/admin` a role, the rest is optional.
fn configuration(mode: &str, change: &Value) -> Value {
    let mut configuration = authgear(mode);
    configuration["rules"] = json!([
        {"prefix": "/open", "access": "public"},
        {"prefix": "/app", "access": "required"},
        {"prefix": "/admin", "require": {"roles": ["admin", "owner"], "amr": ["pwd"]}},
        {"prefix": "/fresh", "require": {"max_auth_age": "5m", "verified": true, "anonymous": false}},
    ]);
    for (name, value) in change.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    configuration
}

fn request<'a>(path: &'a str, fields: &'a [Field<'a>]) -> Head<'a> {
    Head {
        method: b"GET",
        scheme: b"https",
        authority: b"shop.example",
        path: path.as_bytes(),
        fields,
        client_address: &|| None,
    }
}

/// What the resolver says of the issuer's user.
fn alice(change: &[(&str, &str)]) -> Answer {
    let mut fields = vec![
        ("x-authgear-session-valid", "true"),
        ("x-authgear-user-id", "8b1f7c0e-user"),
        ("x-authgear-user-anonymous", "false"),
        ("x-authgear-user-verified", "true"),
        ("x-authgear-user-roles", "admin,staff"),
        ("x-authgear-session-amr", "pwd"),
        ("x-authgear-session-authenticated-at", "1799999900"),
    ];
    for (name, value) in change {
        fields.retain(|(known, _)| known != name);
        if !value.is_empty() {
            fields.push((name, value));
        }
    }
    Ok(Response { status: 200, fields: fields.into_iter().collect(), body: vec![] })
}

fn header(reply: &Reply, name: &str) -> Option<String> {
    let field = reply.fields.iter().find(|(known, _)| known == name.as_bytes());
    field.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
}

const COOKIE: Field<'static> = (b"cookie", b"session=s");

#[test]
fn who_may_pass_where() {
    let alice = alice(&[]);
    let none = resolved(None);
    let refused: Field<'_> = (b"authorization", b"Bearer a,Bearer b");
    #[rustfmt::skip]
    let cases: &[(&str, &[Field<'_>], &Answer, Outcome, u16)] = &[
        // Path, credentials, what the resolver says, outcome, status (200: it goes on).
        ("/open/x", &[COOKIE], &alice, Outcome::Public, 200),
        ("/open/x", &[refused], &alice, Outcome::Public, 200),
        ("/rest", &[], &alice, Outcome::Anonymous, 200),
        ("/rest", &[COOKIE], &none, Outcome::NoSession, 200),
        ("/rest", &[refused], &none, Outcome::Refused, 200),
        ("/app", &[], &alice, Outcome::Anonymous, 401),
        ("/app", &[COOKIE], &none, Outcome::NoSession, 401),
        ("/app", &[refused], &alice, Outcome::Refused, 401),
        ("/app", &[COOKIE], &alice, Outcome::Session, 200),
        ("/admin", &[COOKIE], &alice, Outcome::Session, 200),
        ("/admin", &[], &alice, Outcome::Anonymous, 401),
        ("/open/../admin", &[], &alice, Outcome::Anonymous, 401),
        ("/open%2f..%2fadmin", &[], &alice, Outcome::Anonymous, 401),
        ("//app", &[], &alice, Outcome::Anonymous, 401),
        ("/fresh", &[COOKIE], &alice, Outcome::Session, 200),
    ];
    for background in [ENVOY, APISIX] {
        for (path, credentials, answer, outcome, status) in cases {
            let mut world = World::new(background, &configuration("resolver", &json!({})));
            let mut fields = credentials.to_vec();
            fields.push((b"x-authgear-user-id", b"forged"));
            let decision = decide(&mut world, &request(path, &fields), answer);
            assert_eq!(decision.outcome, *outcome, "{path}");
            match &decision.verdict {
                Verdict::Forward(edits) => {
                    assert_eq!(*status, 200, "{path}");
                    assert!(edits.remove.contains(&b"x-authgear-user-id".to_vec()), "{path}");
                    assert_eq!(
                        edits.set.is_empty(),
                        ![Outcome::Session, Outcome::Refused].contains(outcome),
                        "{path}"
                    );
                }
                Verdict::Reply(reply) => assert_eq!(reply.status, *status, "{path}"),
            }
        }
    }
}

#[test]
fn what_a_rule_requires_is_required_of_every_kind_of_session() {
    #[rustfmt::skip]
    let cases: &[(&str, &[(&str, &str)], Value, Option<&str>)] = &[
        // Path, change of the resolver's answer, the same change of a token, the challenge of the denial.
        ("/admin", &[("x-authgear-user-roles", "")], json!({"https://authgear.com/claims/user/roles": null}), Some("insufficient_scope")),
        ("/admin", &[("x-authgear-user-roles", "Admin")], json!({"https://authgear.com/claims/user/roles": ["Admin"]}), Some("insufficient_scope")),
        ("/admin", &[("x-authgear-user-roles", "xadmin,admins")], json!({"https://authgear.com/claims/user/roles": ["xadmin", "admins"]}), Some("insufficient_scope")),
        ("/admin", &[("x-authgear-session-amr", "otp")], json!({"amr": ["otp"]}), None),
        ("/fresh", &[("x-authgear-user-verified", "false")], json!({"https://authgear.com/claims/user/is_verified": false}), None),
        ("/fresh", &[("x-authgear-user-verified", "")], json!({"https://authgear.com/claims/user/is_verified": null}), None),
        ("/fresh", &[("x-authgear-user-anonymous", "true")], json!({"https://authgear.com/claims/user/is_anonymous": true}), None),
        ("/fresh", &[("x-authgear-session-authenticated-at", "1799999699")], json!({"auth_time": 1_799_999_699}), None),
        ("/fresh", &[("x-authgear-session-authenticated-at", "1800000031")], json!({"auth_time": 1_800_000_031}), None),
        ("/fresh", &[("x-authgear-session-authenticated-at", "")], json!({"auth_time": null}), None),
    ];
    for (path, answer, claims, challenge) in cases {
        let mut resolver = World::new(ENVOY, &configuration("resolver", &json!({})));
        let asked = decide(&mut resolver, &request(path, &[COOKIE]), &alice(answer));

        let mut local = World::with_keys(ENVOY, &configuration("local", &json!({})));
        let mut changed = issuer::claims();
        for (name, value) in claims.as_object().unwrap() {
            match value {
                Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                    changed[name] = value.clone();
                }
            }
        }
        let token = format!("Bearer {}", local.issuer.token(Algorithm::Rs256, &changed));
        let fields = [(b"authorization".as_slice(), token.as_bytes())];
        let verified = decide(&mut local, &request(path, &fields), &resolved(None));

        for decision in [asked, verified] {
            assert_eq!(decision.outcome, Outcome::Forbidden, "{path} {claims}");
            let reply = replied(&decision);
            assert_eq!(reply.status, 403);
            let said = header(reply, "www-authenticate");
            assert_eq!(said.is_some(), challenge.is_some(), "{claims}: {said:?}");
            assert!(challenge.is_none_or(|challenge| said.unwrap().contains(challenge)), "{claims}");
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(body["error"], "forbidden");
        }
    }
}

#[test]
fn a_machine_meets_scopes_and_nothing_else() {
    let mut configuration = authgear("auto");
    configuration["authgear"]["audiences"] = json!([issuer::ISSUER, "https://api.example.com"]);
    configuration["rules"] = json!([
        {"prefix": "/orders", "require": {"scopes": ["read", "write"]}},
        {"prefix": "/delete", "require": {"scopes": ["read", "delete"]}},
        {"prefix": "/people", "require": {"anonymous": false}},
        {"prefix": "/any", "access": "required"},
    ]);
    let mut world = World::with_keys(ENVOY, &configuration);
    let claims = json!({
        "iss": issuer::ISSUER, "aud": ["https://api.example.com"], "sub": "client_id_m2m", "client_id": "m2m",
        "scope": "read write", "iat": issuer::NOW, "exp": issuer::NOW + 600,
    });
    let token = format!("Bearer {}", world.issuer.token(Algorithm::Rs256, &claims));
    for (path, outcome) in [
        ("/orders", Outcome::Machine),
        ("/delete", Outcome::Forbidden),
        ("/people", Outcome::Forbidden),
        ("/any", Outcome::Machine),
    ] {
        let fields = [(b"authorization".as_slice(), token.as_bytes())];
        assert_eq!(decide(&mut world, &request(path, &fields), &resolved(None)).outcome, outcome, "{path}");
    }
}

#[test]
fn a_person_is_sent_to_log_in_and_a_program_is_told() {
    let change = json!({"on_unauthenticated": {"redirect": "https://shop.example/login?next={url}"}});
    let navigation: Field<'_> = (b"accept", b"text/html,*/*;q=0.8");
    for (credentials, fields) in [("none", vec![navigation]), ("bad", vec![navigation, COOKIE])] {
        let mut world = World::new(ENVOY, &configuration("resolver", &change));
        let decision = decide(&mut world, &request("/app/a?c=d&e", &fields), &resolved(None));
        let reply = replied(&decision);
        assert_eq!(reply.status, 302, "{credentials}");
        assert_eq!(
            header(reply, "location").as_deref(),
            Some("https://shop.example/login?next=https%3A%2F%2Fshop.example%2Fapp%2Fa%3Fc%3Dd%26e")
        );
        assert_eq!(header(reply, "cache-control").as_deref(), Some("no-store"));
        assert!(!reply.body.is_empty());
    }
    let mut world = World::new(ENVOY, &configuration("resolver", &change));
    for (path, fields) in [("/app", vec![]), ("/app", vec![(b"accept".as_slice(), b"*/*".as_slice())])] {
        let decision = decide(&mut world, &request(path, &fields), &resolved(None));
        assert_eq!(replied(&decision).status, 401);
    }
    let mut post = request("/app", &[]);
    let fields = [navigation];
    post.fields = &fields;
    post.method = b"POST";
    assert_eq!(replied(&decide(&mut world, &post, &resolved(None))).status, 401);
}

#[test]
fn denials_are_as_the_operator_wrote_them() {
    let change = json!({
        "on_unauthenticated": {"status": 404, "body": "Not here."},
        "on_forbidden": {"body": "<p>No.</p>", "content_type": "text/html; charset=utf-8"},
    });
    let mut world = World::new(ENVOY, &configuration("resolver", &change));
    let denied = decide(&mut world, &request("/app", &[]), &resolved(None));
    let reply = replied(&denied);
    assert_eq!((reply.status, reply.body.as_slice()), (404, b"Not here.".as_slice()));
    assert_eq!(header(reply, "content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(header(reply, "www-authenticate"), None, "a challenge belongs to a 401");
    let denied = decide(&mut world, &request("/admin", &[COOKIE]), &alice(&[("x-authgear-user-roles", "x")]));
    let reply = replied(&denied);
    assert_eq!((reply.status, reply.body.as_slice()), (403, b"<p>No.</p>".as_slice()));
    assert_eq!(header(reply, "content-type").as_deref(), Some("text/html; charset=utf-8"));
}

#[test]
fn a_clearing_cookie_reaches_the_client_with_a_denial_too() {
    let mut clearing = resolved(None);
    clearing.as_mut().unwrap().fields.push(b"set-cookie", b"session=; Max-Age=0");
    let mut world = World::new(ENVOY, &configuration("resolver", &json!({})));
    let denied = decide(&mut world, &request("/app", &[COOKIE]), &clearing);
    assert_eq!(header(replied(&denied), "set-cookie").as_deref(), Some("session=; Max-Age=0"));
}

#[test]
fn what_a_rule_requires_no_error_lets_through() {
    let change = json!({"on_error": {"action": "allow"}});
    for (path, outcome) in [
        ("/rest", Outcome::ErrorAllowed),
        ("/app", Outcome::ErrorAllowed),
        ("/admin", Outcome::ErrorDenied),
        ("/x/../admin", Outcome::ErrorDenied),
        ("/open", Outcome::Public),
    ] {
        let mut world = World::new(ENVOY, &configuration("resolver", &change));
        let decision = decide(&mut world, &request(path, &[COOKIE]), &Err(CallError::NoAnswer));
        assert_eq!(decision.outcome, outcome, "{path}");
    }
}

#[test]
fn a_preflight_passes_and_nothing_that_only_looks_like_one() {
    let origin: Field<'_> = (b"origin", b"https://other.example");
    let method: Field<'_> = (b"access-control-request-method", b"PUT");
    let cases: [(&[u8], &[Field<'_>], Value, bool); 5] = [
        (b"OPTIONS", &[origin, method], json!({}), true),
        (b"OPTIONS", &[origin, method], json!({"allow_cors_preflight": false}), false),
        (b"OPTIONS", &[origin], json!({}), false),
        (b"OPTIONS", &[method], json!({}), false),
        (b"GET", &[origin, method], json!({}), false),
    ];
    for (verb, fields, change, passes) in cases {
        let mut world = World::new(ENVOY, &configuration("resolver", &change));
        let mut fields = fields.to_vec();
        fields.push((b"x-authgear-user-id", b"forged"));
        let head = Head { method: verb, ..request("/app", &fields) };
        let decision = decide(&mut world, &head, &resolved(None));
        assert_eq!(decision.outcome == Outcome::Public, passes);
        if passes {
            assert_eq!(set(&decision), []);
        }
    }
}

#[test]
fn what_authenticates_is_removed_where_the_operator_wants_it_on_every_route() {
    let cases: &[(&[Field<'_>], &[&str], Option<&str>)] = &[
        (&[(b"authorization", b"Bearer x")], &["authorization"], None),
        (&[(b"authorization", b"Basic eDp5")], &[], None),
        (&[(b"authorization", b"Bearer a,Bearer b")], &["authorization"], None),
        (&[(b"cookie", b"theme=dark")], &[], None),
        (&[(b"cookie", b"session=s")], &["cookie"], None),
        (
            &[(b"cookie", b"a=1; session=s; b=2"), (b"cookie", b"app_session=t;c=3")],
            &["cookie"],
            Some("a=1; b=2; c=3"),
        ),
        (&[(b"cookie", b"session=\xff; a=1; session")], &["cookie"], Some("a=1")),
    ];
    for path in ["/open", "/rest"] {
        for (fields, removed, cookie) in cases {
            let mut world =
                World::new(ENVOY, &configuration("resolver", &json!({"strip_credentials": true})));
            let decision = decide(&mut world, &request(path, fields), &alice(&[]));
            let Verdict::Forward(edits) = decision.verdict else { panic!("{path}: {decision:?}") };
            let expected: Vec<_> = removed.iter().map(|name| name.as_bytes().to_vec()).collect();
            assert_eq!(edits.remove, expected, "{path}: {fields:?}");
            assert_eq!(edits.rewritten(b"cookie"), cookie.map(str::as_bytes), "{path}: {fields:?}");
        }
    }
}

#[test]
fn a_rule_looks_at_each_request_anew_though_the_answer_is_remembered() {
    let mut world = World::new(ENVOY, &configuration("resolver", &json!({})));
    let bob = alice(&[("x-authgear-user-roles", "")]);
    for (path, outcome) in [
        ("/rest", Outcome::Session),
        ("/admin", Outcome::Forbidden),
        ("/app", Outcome::Session),
        ("/open", Outcome::Public),
        ("/fresh", Outcome::Session),
    ] {
        assert_eq!(decide(&mut world, &request(path, &[COOKIE]), &bob).outcome, outcome, "{path}");
    }
    assert!(world.background_calls.is_empty());
    world.pass(Duration::from_secs(1));
}
