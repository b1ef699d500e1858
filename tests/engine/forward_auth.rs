//! A forward-auth server: whose answer serves whom, and what a denial of it becomes.

use std::time::Duration;

use authgear_filter::engine::{Decision, Outcome, Step, Verdict};
use authgear_filter::http::{CallError, Field, Fields, Head, Response};
use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};

use crate::issuer::{self, ISSUER, Issuer};
use crate::world::{APISIX, Answer, ENVOY, World, called, done, parked, replied};

fn configuration(change: &Value) -> Value {
    let mut configuration = json!({"forward_auth": {"url": "http://auth/check", "upstream": "auth",
        "identity_headers": ["authorization", "x-user"]}, "cache": {"ttl": "60s", "negative_ttl": "60s"}});
    for (name, value) in change.as_object().unwrap() {
        for (inner, value) in value.as_object().unwrap() {
            configuration[name][inner] = value.clone();
        }
    }
    configuration
}

fn answer(status: u16, fields: &[(&str, &str)]) -> Answer {
    Ok(Response { status, fields: fields.iter().copied().collect::<Fields>(), body: vec![] })
}

const COOKIE: Field<'static> = (b"cookie", b"session=s");
const SETS: (&str, &str) = ("set-cookie", "session=new");

/// The cookies that a client is sent.
fn cookies(decision: &Decision) -> usize {
    let fields = match &decision.verdict {
        Verdict::Forward(edits) => &edits.respond,
        Verdict::Reply(reply) => &reply.fields,
    };
    fields.iter().filter(|(name, _)| name == b"set-cookie").count()
}

#[test]
fn a_cookie_goes_to_the_one_client_that_was_asked_about() {
    let by_path = json!({"cache": {"key": ["path"]}});
    let by_cookie = json!({"forward_auth": {"cookies": ["session"]}, "cache": {"key": ["cookie:session"]}});
    let none = json!({});
    #[rustfmt::skip]
    let cases: &[(&Value, &[Field<'_>], u16, &[(&str, &str)], bool, bool)] = &[
        // Configuration, request, answer; whether those that joined are served by it, whether it is remembered.
        (&none, &[COOKIE], 200, &[], true, true),
        (&none, &[COOKIE], 200, &[SETS], true, true),
        (&none, &[], 200, &[], true, true),
        (&none, &[], 200, &[SETS], false, false),
        (&none, &[COOKIE], 401, &[], true, true),
        (&none, &[COOKIE], 401, &[SETS], false, false),
        (&by_cookie, &[COOKIE], 200, &[SETS], true, true),
        (&by_cookie, &[], 401, &[SETS], false, false),
    ];
    for (change, fields, status, answered, shared, remembered) in cases {
        let context = format!("{change} {fields:?} {status} {answered:?}");
        let mut world = World::new(ENVOY, &configuration(change));
        let (_, first) = parked(world.start(fields));
        let joined: Vec<_> = (0..3).map(|_| parked(world.start(fields))).collect();
        let calls = world.background_calls.len();
        if calls > 1 {
            // Not even asked together: the key says nothing about who asks.
            assert!(!shared && !remembered, "{context}");
            continue;
        }
        let key = world.finish(answer(*status, answered)).unwrap();
        assert_eq!(cookies(&done(world.wake(first))), answered.len(), "{context}");
        let mut alone = Vec::new();
        for (its, waiting) in joined {
            assert_eq!(its, key);
            match world.wake(waiting) {
                Step::Done(decision) => {
                    assert!(*shared, "{context}");
                    assert_eq!(cookies(&decision), 0, "{context}");
                }
                step @ (Step::Park(..) | Step::Call(..)) => {
                    assert!(!shared, "{context}");
                    alone.push(parked(step));
                }
            }
        }
        world.told(key);
        assert_eq!(world.background_calls.len(), alone.len(), "each asks for itself: {context}");
        world.finish_all(|_| answer(*status, answered));
        for (_, waiting) in alone {
            assert_eq!(cookies(&done(world.wake(waiting))), answered.len(), "{context}");
        }
        match world.start(fields) {
            Step::Done(decision) => {
                assert!(*remembered, "{context}");
                assert_eq!(cookies(&decision), 0, "{context}");
            }
            Step::Park(..) | Step::Call(..) => assert!(!remembered, "{context}"),
        }
    }
    let mut world = World::new(ENVOY, &configuration(&by_path));
    let _both = (parked(world.start(&[COOKIE])), parked(world.start(&[])));
    assert_eq!(world.background_calls.len(), 2, "a key that names no client is nobody's");
}

#[test]
fn an_accept_of_a_request_without_credentials_opens_nothing_else() {
    let change = json!({"cache": {"key": ["header:cookie", "header:authorization"]}});
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration(&change));
        for _ in 0..2 {
            let step = world.start(&[]);
            let (_, waiting) = world.question(step);
            assert_eq!(done(world.answer(waiting, answer(200, &[]))).outcome, Outcome::Session);
        }
    }
}

#[test]
fn a_denial_is_relayed_with_its_status_whatever_on_error_says() {
    for (status, relayed) in
        [(400, 400), (404, 404), (413, 413), (429, 429), (431, 431), (444, 403), (499, 403)]
    {
        let mut configuration = configuration(&json!({}));
        configuration["on_error"] = json!({"action": "allow"});
        let mut world = World::new(APISIX, &configuration);
        let (_, waiting) = called(world.start(&[COOKIE]));
        let decision =
            done(world.resume(waiting, answer(status, &[("retry-after", "5"), ("x-user", "admin")])));
        assert_eq!((decision.outcome, replied(&decision).status), (Outcome::Refused, relayed));
        let warning = world.warnings.concat();
        assert!(warning.contains(&format!("with {status}")), "{warning}");
        assert!(replied(&decision).fields.iter().all(|(name, _)| name != b"x-user"));
    }
    for status in [401, 403] {
        let mut world = World::new(APISIX, &configuration(&json!({})));
        let (_, waiting) = called(world.start(&[COOKIE]));
        assert_eq!(replied(&done(world.resume(waiting, answer(status, &[])))).status, status);
        assert!(world.warnings.is_empty(), "{:?}", world.warnings);
    }
}

#[test]
fn a_proxy_s_407_is_on_error_and_never_lets_pass() {
    let mut configuration = configuration(&json!({}));
    configuration["on_error"] = json!({"action": "allow"});
    for (answer, outcome) in [
        (answer(407, &[]), Outcome::ErrorDenied),
        (answer(500, &[]), Outcome::ErrorAllowed),
        (Err(CallError::NoAnswer), Outcome::ErrorAllowed),
    ] {
        let mut world = World::new(APISIX, &configuration);
        let (_, waiting) = called(world.start(&[COOKIE]));
        assert_eq!(done(world.resume(waiting, answer)).outcome, outcome);
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
fn a_grpc_client_reads_its_denial_in_headers_where_the_host_tells_it_nothing() {
    for (background, count) in [(ENVOY, 0), (APISIX, 1)] {
        let mut world = World::new(background, &configuration(&json!({})));
        let step = world.start(&[(b"content-type", b"application/grpc"), COOKIE]);
        let (_, waiting) = world.question(step);
        let decision = done(world.answer(waiting, answer(401, &[])));
        let reply = replied(&decision);
        for (name, value) in [("grpc-status", Some("16")), ("grpc-message", None)] {
            let found: Vec<_> = reply.fields.iter().filter(|(known, _)| known == name.as_bytes()).collect();
            assert_eq!(found.len(), count, "{name}");
            let is_expected =
                |(_, found): &&(Vec<u8>, Vec<u8>)| value.is_none_or(|value| found == value.as_bytes());
            assert!(found.iter().all(is_expected), "{found:?}");
        }
        assert!(reply.grpc.is_some());
    }
}
