//! Tokens that were verified here are confirmed by the resolver.

use std::time::Duration;

use authgear_filter::http::CallError;
use serde_json::{Value, json};

use crate::issuer::{self, ISSUER};
use crate::world::{
    APISIX, ENVOY, World, asked, assert_refused, assert_user, authgear, body, called, done, resolved, set,
    value,
};
use authgear_filter::jose::Algorithm;

const USER: &str = "8b1f7c0e-user";

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

fn configuration(revalidate: &str) -> Value {
    let mut configuration = authgear("auto");
    configuration["authgear"]["revalidate"] = json!(revalidate);
    configuration
}

#[test]
fn a_token_in_use_is_confirmed_once_a_period_while_no_request_waits() {
    let mut world = World::with_keys(ENVOY, &configuration("60s"));
    let token = world.token();
    assert_user(world.bearer(&token));
    world.pass(Duration::from_secs(59));
    assert_user(world.bearer_and_cookie(&token));
    assert!(world.background_calls.is_empty(), "not due yet");
    world.pass(Duration::from_secs(1));
    for _ in 0..100 {
        assert_user(world.bearer_and_cookie(&token));
    }
    assert_eq!(world.background_calls.len(), 1);
    let (call, _) = &world.background_calls[0];
    assert_eq!(value(call, ":path"), Some("/_resolver/resolve"));
    assert_eq!(value(call, "authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(value(call, "cookie"), None, "or the resolver would fall through to it");
    assert_eq!(world.finish(resolved(Some(USER))), None);
    world.pass(Duration::from_secs(59));
    assert_user(world.bearer(&token));
    assert!(world.background_calls.is_empty());
    world.pass(Duration::from_secs(1));
    assert_user(world.bearer(&token));
    assert_eq!(world.background_calls.len(), 1);
}

#[test]
fn a_token_that_the_resolver_no_longer_knows_is_refused_from_then_on() {
    let refused = [
        resolved(None),
        resolved(Some("somebody-else")),
        Ok(authgear_filter::http::Response {
            status: 200,
            fields: [("x-authgear-session-valid", "false")].into_iter().collect(),
            body: vec![],
        }),
    ];
    for answer in refused {
        let mut world = World::with_keys(ENVOY, &configuration("60s"));
        let token = world.token();
        assert_user(world.bearer(&token));
        world.pass(minutes(1));
        assert_user(world.bearer(&token));
        world.finish(answer);
        for _ in 0..20 {
            assert_refused(world.bearer(&token));
            world.pass(minutes(1));
        }
        assert!(world.background_calls.is_empty(), "it is not asked about again");
        let (call, _) = asked(&mut world, |world| world.bearer_and_cookie(&token));
        assert_eq!((value(&call, "cookie"), value(&call, "authorization")), (Some("session=s"), None));
    }
}

#[test]
fn a_revoked_token_is_not_forgotten_for_the_many_that_are_good() {
    let mut world = World::with_keys(ENVOY, &configuration("60s"));
    let token = world.token();
    assert_user(world.bearer(&token));
    world.pass(minutes(1));
    assert_user(world.bearer(&token));
    world.finish(resolved(None));
    assert_refused(world.bearer(&token));
    for number in 0..10_001 {
        let mut claims = issuer::claims();
        claims["jti"] = json!(number);
        let other = world.issuer.token(Algorithm::Rs256, &claims);
        assert_user(world.bearer(&other));
    }
    assert_refused(world.bearer(&token));
}

#[test]
fn a_resolver_that_cannot_answer_changes_nothing_and_is_asked_again_soon() {
    for answer in
        [Err(CallError::NoAnswer), body(500, &json!({})), body(404, &json!({})), body(431, &json!({}))]
    {
        let mut world = World::with_keys(ENVOY, &configuration("60s"));
        let token = world.token();
        assert_user(world.bearer(&token));
        world.pass(minutes(1));
        assert_user(world.bearer(&token));
        world.finish(answer);
        assert_user(world.bearer(&token));
        assert!(world.background_calls.is_empty(), "not at once");
        assert!(world.warnings.concat().contains("cannot be confirmed"), "{:?}", world.warnings);
        world.pass(Duration::from_secs(10));
        assert_user(world.bearer(&token));
        world.finish(resolved(None));
        assert_refused(world.bearer(&token));
    }
}

#[test]
fn a_confirmation_that_is_refused_is_sent_once_more_without_the_user_agent() {
    for background in [ENVOY, APISIX] {
        for (second, is_user) in [(body(403, &json!({})), true), (resolved(None), false)] {
            let mut world = World::with_keys(background, &configuration("60s"));
            let token = world.token();
            let authorization = format!("Bearer {token}");
            let fields: [authgear_filter::http::Field<'_>; 3] = [
                (b"authorization", authorization.as_bytes()),
                (b"user-agent", b"<script>"),
                (b"traceparent", b"00-1-2-01"),
            ];
            assert_user(world.start(&fields));
            world.pass(minutes(1));
            if background {
                assert_user(world.start(&fields));
                assert_eq!(value(&world.background_calls[0].0, "user-agent"), Some("<script>"));
                assert_eq!(value(&world.background_calls[0].0, "traceparent"), None);
                assert_eq!(world.finish(body(403, &json!({}))), None);
                assert_eq!(world.background_calls.len(), 1);
                assert_eq!(value(&world.background_calls[0].0, "user-agent"), None);
                world.finish(second);
                if is_user { assert_user(world.bearer(&token)) } else { assert_refused(world.bearer(&token)) }
            } else {
                let (call, waiting) = called(world.start(&fields));
                assert_eq!(value(&call, "user-agent"), Some("<script>"));
                let (call, waiting) = called(world.resume(waiting, body(403, &json!({}))));
                assert_eq!(value(&call, "user-agent"), None);
                let step = world.resume(waiting, second);
                if is_user { assert_user(step) } else { assert_refused(step) }
            }
            assert_eq!(world.warnings.concat().contains("cannot be confirmed"), is_user);
        }
    }
}

#[test]
fn a_resolver_that_confirms_no_token_at_all_is_worth_a_warning() {
    for confirmed in [0, 1] {
        let mut world = World::with_keys(ENVOY, &configuration("60s"));
        let tokens: Vec<_> = (0..20)
            .map(|number| {
                let mut claims = issuer::claims();
                claims["jti"] = json!(number);
                world.issuer.token(Algorithm::Rs256, &claims)
            })
            .collect();
        for token in &tokens {
            assert_user(world.bearer(token));
        }
        world.pass(minutes(1));
        for (number, token) in tokens.iter().enumerate() {
            let _user = done(world.bearer(token));
            world.finish(resolved((number < confirmed).then_some(USER)));
        }
        let warnings = world.warnings.concat();
        assert_eq!(
            warnings.contains("TRUST_PROXY") && warnings.contains("`alg`"),
            confirmed == 0,
            "{warnings}"
        );
    }
}

#[test]
fn an_answer_that_never_comes_does_not_stop_the_asking() {
    let mut world = World::with_keys(ENVOY, &configuration("60s"));
    let token = world.token();
    assert_user(world.bearer(&token));
    world.pass(minutes(1));
    assert_user(world.bearer(&token));
    world.pass(Duration::from_secs(5));
    assert_user(world.bearer(&token));
    assert_eq!(world.background_calls.len(), 2);
}

#[test]
fn where_nothing_happens_in_the_background_the_request_waits_for_its_confirmation() {
    let mut world = World::with_keys(APISIX, &configuration("60s"));
    let token = world.token();
    for (answer, is_user) in
        [(resolved(Some(USER)), true), (Err(CallError::NoAnswer), true), (resolved(None), false)]
    {
        world.pass(minutes(1));
        let (call, waiting) = called(world.bearer(&token));
        assert_eq!(value(&call, "authorization"), Some(format!("Bearer {token}").as_str()));
        assert_user(world.bearer(&token));
        let step = world.resume(waiting, answer);
        if is_user { assert_user(step) } else { assert_refused(step) }
    }
    assert_refused(world.bearer(&token));
}

#[test]
fn only_so_many_confirmations_are_under_way_at_once() {
    let mut world = World::with_keys(ENVOY, &configuration("60s"));
    let tokens: Vec<_> = (0..100)
        .map(|number| {
            let mut claims = issuer::claims();
            claims["sub"] = json!(format!("user-{number}"));
            world.issuer.token(Algorithm::Rs256, &claims)
        })
        .collect();
    for token in &tokens {
        let _user = done(world.bearer(token));
    }
    world.pass(minutes(1));
    for token in &tokens {
        let _user = done(world.bearer(token));
    }
    assert_eq!(world.background_calls.len(), 32);
    world.finish_all(|_| resolved(None));
    for token in &tokens {
        let _user_or_not = done(world.bearer(token));
    }
    assert_eq!(world.background_calls.len(), 32, "the others are confirmed at a later use");
}

#[test]
fn nothing_is_confirmed_that_need_not_be() {
    let mut configuration = configuration("0s");
    configuration["authgear"]["audiences"] = json!([ISSUER, "https://api.example.com"]);
    let mut never = World::with_keys(ENVOY, &configuration);
    let token = never.token();
    configuration["authgear"]["revalidate"] = json!("60s");
    let mut machines = World::with_keys(ENVOY, &configuration);
    let machine = machines.issuer.token(
        Algorithm::Rs256,
        &json!({
            "iss": ISSUER, "aud": ["https://api.example.com"], "sub": "client_id_m2m", "client_id": "m2m",
            "iat": issuer::NOW, "exp": issuer::NOW + 6000,
        }),
    );
    for _ in 0..10 {
        assert_user(never.bearer(&token));
        assert_eq!(set(&done(machines.bearer(&machine))).len(), 1);
        never.pass(minutes(2));
        machines.pass(minutes(2));
    }
    assert!(never.background_calls.is_empty() && machines.background_calls.is_empty());
}

#[test]
fn a_remembered_token_ends_with_its_own_life() {
    let mut world = World::with_keys(ENVOY, &configuration("0s"));
    let token = world.token();
    world.pass(Duration::from_secs(1790 + 29));
    assert_user(world.bearer(&token));
    world.pass(Duration::from_secs(1));
    assert_refused(world.bearer(&token));
}
