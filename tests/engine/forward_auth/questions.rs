//! What the server is asked, and what is never asked.

use std::time::Duration;

use authgear_filter::engine::{Outcome, Step, Verdict};
use authgear_filter::http::{Field, Head};
use authgear_filter::jose::Algorithm;
use serde_json::json;

use super::{COOKIE, answer, configuration, pairs, request};
use crate::issuer::{self, ISSUER, Issuer};
use crate::world::{APISIX, ENVOY, World, called, done, parked, replied, set, value};

#[test]
fn what_is_too_large_for_the_auth_server_is_a_431_wherever_it_stands() {
    let large = "a".repeat(16 * 1024);
    let half = "a".repeat(8 * 1024);
    let of = |scheme: &str, rest: &str| format!("{scheme} {rest}");
    let (bearer, basic, bare) = (of("Bearer", &large), of("basic", &large), large.clone());
    let (dpop, list) = (of("DPoP", &large), of("Digest a=", &format!("{half},{half}")));
    let (bearer_half, cookie, cookie_half) = (of("Bearer", &half), format!("s={large}"), format!("s={half}"));
    let cases: [&[(&str, &str)]; 8] = [
        &[("authorization", &bearer)],
        &[("authorization", &basic)],
        &[("authorization", &bare)],
        &[("authorization", &dpop)],
        &[("authorization", &list)],
        &[("cookie", &cookie)],
        &[("cookie", &cookie_half), ("cookie", &cookie_half)],
        &[("authorization", &bearer_half), ("cookie", &cookie_half)],
    ];
    for background in [ENVOY, APISIX] {
        for access in ["required", "optional"] {
            for fields in cases {
                let mut configuration = configuration(&json!({}));
                (configuration["access"], configuration["on_error"]) =
                    (json!(access), json!({"action": "allow"}));
                let mut world = World::new(background, &configuration);
                let fields: Vec<Field<'_>> =
                    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
                let decision = done(world.start(&fields));
                let what = String::from_utf8_lossy(fields[0].1.get(..12).unwrap());
                assert_eq!(
                    (decision.outcome, replied(&decision).status),
                    (Outcome::BadRequest, 431),
                    "{what}"
                );
                assert!(String::from_utf8_lossy(&replied(&decision).body).contains("too_large"), "{what}");
                assert!(world.background_calls.is_empty());
            }
        }
        // Two are a 400 however large, and what is not sent may be anything.
        let mut world = World::new(background, &configuration(&json!({})));
        let two = [(b"authorization".as_slice(), bearer.as_bytes()), (b"authorization", b"Bearer a")];
        assert_eq!(replied(&done(world.start(&two))).status, 400);
        let unsent = configuration(&json!({"forward_auth": {"request_headers": ["x-key"]}}));
        let mut world = World::new(background, &unsent);
        let step = world.start(&[(b"authorization", bearer.as_bytes()), (b"cookie", cookie.as_bytes())]);
        let _asked = world.question(step);
    }
}

#[test]
fn an_answer_for_one_address_is_not_another_one_s() {
    let mut world = World::new(APISIX, &configuration(&json!({})));
    let ask = |world: &mut World, address: [u8; 4]| {
        let address = Some(address.into());
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: b"/",
            fields: &[COOKIE],
            client_address: &move || address,
        };
        world.start_head(&head)
    };
    let (_, waiting) = called(ask(&mut world, [192, 0, 2, 1]));
    let _accepted = done(world.resume(waiting, answer(200, &[("x-user", "trusted")])));
    assert_eq!(done(ask(&mut world, [192, 0, 2, 1])).outcome, Outcome::Session);
    let (_, waiting) = called(ask(&mut world, [192, 0, 2, 2]));
    assert_eq!(done(world.resume(waiting, answer(401, &[]))).outcome, Outcome::NoSession);
}

#[test]
fn two_authorizations_are_a_400() {
    let two: [&[Field<'_>]; 2] = [
        &[(b"authorization", b"Basic a"), (b"authorization", b"Bearer b")],
        &[(b"authorization", b"Basic a,Bearer b")],
    ];
    for fields in two {
        let mut world = World::new(ENVOY, &configuration(&json!({})));
        let decision = done(world.start(fields));
        assert_eq!((decision.outcome, replied(&decision).status), (Outcome::BadRequest, 400));
        assert!(world.background_calls.is_empty());
    }
}

#[test]
fn a_preflight_keeps_no_authorization_that_would_be_an_identity() {
    let preflight: [Field<'_>; 3] = [
        (b"authorization", b"Bearer forged"),
        (b"origin", b"https://shop.example"),
        (b"access-control-request-method", b"POST"),
    ];
    for (access, is_removed) in [("required", true), ("optional", true), ("public", false)] {
        let mut configuration = configuration(&json!({}));
        configuration["access"] = json!(access);
        let mut world = World::new(ENVOY, &configuration);
        let head = Head {
            method: b"OPTIONS",
            scheme: b"https",
            authority: b"app.example",
            path: b"/",
            fields: &preflight,
            client_address: &|| None,
        };
        let decision = done(world.start_head(&head));
        let Verdict::Forward(edits) = &decision.verdict else { panic!() };
        assert_eq!(edits.remove.contains(&b"authorization".to_vec()), is_removed, "{access}");
    }
}

#[test]
fn a_token_of_a_listed_issuer_is_never_asked_about_whatever_its_header_says() {
    let issuer = Issuer::new();
    let mut configuration = configuration(&json!({}));
    configuration["jwt"] = json!([{"issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks(), "headers": {"x-sub": "sub"}}]);
    let foreign = json!({"iss": "https://other.example", "exp": issuer::NOW + 60});
    let headers = [
        json!({"alg": "none", "typ": "at+jwt"}),
        json!({"alg": "HS256", "typ": "at+jwt"}),
        json!({"alg": "ES512", "typ": "at+jwt"}),
        json!({"alg": "RS256", "typ": "at+jwt", "crit": ["x"]}),
        json!({"alg": 7}),
    ];
    for header in headers {
        let mut world = World::new(ENVOY, &configuration);
        let token = issuer.signed(Algorithm::Rs256, &header.to_string(), &issuer::claims().to_string());
        for _ in 0..2 {
            let decision = done(world.bearer(&token));
            assert_eq!((decision.outcome, replied(&decision).status), (Outcome::Refused, 401), "{header}");
        }
        assert!(world.background_calls.is_empty(), "{header}");

        let token = issuer.signed(Algorithm::Rs256, &header.to_string(), &foreign.to_string());
        let (_, waiting) = parked(world.bearer(&token));
        let key = world.finish(answer(200, &[("x-user", "alice")])).unwrap();
        assert_eq!(done(world.wake(waiting)).outcome, Outcome::Session);
        world.told(key);
        world.pass(Duration::from_secs(50));
        assert_eq!(done(world.bearer(&token)).outcome, Outcome::Session);
        world.pass(Duration::from_secs(10));
        let _asked = parked(world.bearer(&token));
    }
}

#[test]
fn each_rule_asks_its_own_url_and_no_answer_of_one_serves_for_another() {
    let mut configuration = configuration(&json!({"forward_auth": {"original_request": "none",
        "cookies": ["session"]}, "cache": {"key": ["cookie:session"]}}));
    configuration["rules"] = json!([
        {"prefix": "/open", "access": "public"},
        {"prefix": "/staff", "forward_auth": {"url": "http://auth/check?groups=staff"}},
        {"prefix": "/team", "forward_auth": {"url": "/check?groups=staff"}},
        {"prefix": "/admin", "forward_auth": {"url": "/admin"}},
        {"prefix": "/same", "forward_auth": {"url": "http://auth/check"}},
    ]);
    #[rustfmt::skip]
    let cases = [
        // A path, what is asked at, and whether that was asked before.
        ("/", "/check", false), ("/staff", "/check?groups=staff", false), ("/admin", "/admin", false),
        ("/team", "/check?groups=staff", true), ("/same", "/check", true), ("/staff/x", "/check?groups=staff", true),
        ("/admin/../admin", "/admin", true), ("/open/../admin", "/admin", true), ("/open/..;/admin", "/admin", true),
    ];
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration);
        for (path, asked, remembered) in cases {
            match world.start_head(&request(path, &[COOKIE])) {
                Step::Done(decision) => {
                    assert!(remembered, "{path}");
                    assert_eq!(set(&decision), pairs(&[("x-user", asked)]), "{path}");
                }
                step @ (Step::Park(..) | Step::Call(..)) => {
                    assert!(!remembered, "{path}");
                    let (call, waiting) = world.question(step);
                    assert_eq!(value(&call, ":path"), Some(asked), "{path}");
                    assert_eq!(value(&call, ":authority"), Some("auth"), "{path}");
                    let _accepted = done(world.answer(waiting, answer(200, &[("x-user", asked)])));
                }
            }
        }
        for path in ["/staff/../admin", "/staff/..%2fadmin", "//admin", "/%61dmin", "/staff/.."] {
            let decision = done(world.start_head(&request(path, &[COOKIE])));
            assert_eq!((decision.outcome, replied(&decision).status), (Outcome::BadRequest, 400), "{path}");
        }
    }
    // Those that ask at two URLs at once do not wait for one answer.
    let mut world = World::new(ENVOY, &configuration);
    let _both = (
        parked(world.start_head(&request("/staff", &[COOKIE]))),
        parked(world.start_head(&request("/admin", &[COOKIE]))),
    );
    assert_eq!(world.background_calls.len(), 2);
}

#[test]
fn the_clients_host_is_asked_and_in_the_key_and_an_unclear_one_is_a_400_that_on_error_does_not_open() {
    let mut configuration =
        configuration(&json!({"forward_auth": {"original_request": "none", "host": "client"}}));
    configuration["on_error"] = json!({"action": "allow"});
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration);
        for _ in 0..2 {
            for host in ["a.example", "b.example", "a.example:8443"] {
                let head = Head { authority: host.as_bytes(), ..request("/", &[COOKIE]) };
                let decision = match world.start_head(&head) {
                    Step::Done(decision) => decision,
                    step @ (Step::Park(..) | Step::Call(..)) => {
                        let (call, waiting) = world.question(step);
                        assert_eq!(value(&call, ":authority"), Some(host));
                        done(world.answer(waiting, answer(200, &[("x-user", host)])))
                    }
                };
                assert_eq!(set(&decision), pairs(&[("x-user", host)]));
            }
        }
        for host in ["a.example,b.example", "user@a.example", "a.example:1:2", "a..example", "a b"] {
            let head = Head { authority: host.as_bytes(), ..request("/", &[COOKIE]) };
            let decision = done(world.start_head(&head));
            assert_eq!((decision.outcome, replied(&decision).status), (Outcome::BadRequest, 400), "{host}");
        }
    }
}

#[test]
fn an_unclear_host_is_a_400_also_where_the_key_leaves_the_host_out_and_an_answer_is_remembered() {
    let configuration = configuration(&json!({"forward_auth": {"host": "client", "cookies": ["session"]},
        "cache": {"key": ["cookie:session"]}}));
    let mut world = World::new(APISIX, &configuration);
    let ask = |world: &mut World, host: &str| {
        world.start_head(&Head { authority: host.as_bytes(), ..request("/", &[COOKIE]) })
    };
    let (_, waiting) = called(ask(&mut world, "a.example"));
    let _accepted = done(world.resume(waiting, answer(200, &[("x-user", "alice")])));
    assert_eq!(done(ask(&mut world, "b.example")).outcome, Outcome::Session, "the operator says so");
    assert_eq!(done(ask(&mut world, "a.example,b.example")).outcome, Outcome::BadRequest);
}

#[test]
fn neither_name_of_a_renamed_header_is_ever_the_clients() {
    let mut configuration = configuration(&json!({"forward_auth": {"roles_header": "x-groups",
        "identity_headers": [{"header": "x-login", "from": "x-auth-request-user"}]}}));
    configuration["rules"] = json!([{"prefix": "/open", "access": "public"}]);
    let fields: [Field<'_>; 6] = [
        (b"x-login", b"forged"),
        (b"X_Auth_Request_User", b"forged"),
        (b"x-auth-request-user", b"forged"),
        (b"x.groups", b"forged"),
        (b"accept", b"*/*"),
        (b"connection", b"close, X-Login, x_groups, x-auth-request-user"),
    ];
    let forged = ["x-login", "X_Auth_Request_User", "x-auth-request-user", "x.groups"];
    for background in [ENVOY, APISIX] {
        for path in ["/", "/open"] {
            let mut world = World::new(background, &configuration);
            let decision = match world.start_head(&request(path, &fields)) {
                Step::Done(decision) => decision,
                step @ (Step::Park(..) | Step::Call(..)) => {
                    let (_, waiting) = world.question(step);
                    done(world.answer(waiting, answer(200, &[("x-auth-request-user", "alice")])))
                }
            };
            let Verdict::Forward(edits) = &decision.verdict else { panic!("{decision:?}") };
            for name in forged {
                assert!(edits.remove.iter().any(|removed| removed == name.as_bytes()), "{path} {name}");
            }
            assert!(!edits.remove.iter().any(|removed| removed == b"accept"), "{path}");
            assert_eq!(edits.rewritten(b"connection"), Some(b"close".as_slice()), "{path}");
            let expected = if path == "/" { pairs(&[("x-login", "alice")]) } else { vec![] };
            assert_eq!(set(&decision), expected, "{path}");
        }
    }
}
