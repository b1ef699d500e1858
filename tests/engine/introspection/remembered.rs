//! How long an answer is remembered, and who shares it.

use std::time::Duration;

use authgear_filter::engine::{Outcome, Step};
use authgear_filter::http::CallError;
use authgear_filter::jose::Algorithm;
use serde_json::json;

use super::{OPAQUE, SERVER, active, answered, configuration};
use crate::issuer::{Issuer, NOW};
use crate::world::{APISIX, ENVOY, World, body, called, done, parked};

#[test]
fn an_answer_is_remembered_for_ttl_and_never_past_the_token_s_end() {
    let forever = {
        let mut answer = active(json!({}));
        answer.as_object_mut().unwrap().remove("exp");
        answer
    };
    let inactive = json!({"active": false});
    let seconds = |seconds: u64| active(json!({"exp": NOW + seconds}));
    for (cache, answer, known, unknown) in [
        // The default is 10 s, and up to a tenth less.
        (json!({}), &seconds(3600), 8_999, 10_000),
        (json!({}), &forever, 8_999, 10_000),
        (json!({}), &seconds(5), 4_999, 5_000),
        (json!({"ttl": "1m"}), &seconds(3600), 53_999, 60_000),
        (json!({"ttl": "1m"}), &seconds(20), 19_999, 20_000),
        (json!({"ttl": "1m", "stale_if_error": "1h"}), &seconds(20), 19_999, 20_000),
        (json!({"ttl": "1m"}), &inactive, 899, 1_000),
        (json!({"ttl": "1m", "negative_ttl": "20s"}), &inactive, 17_999, 20_000),
        (json!({"ttl": "1m", "negative_ttl": "20s"}), &active(json!({"aud": "x"})), 17_999, 20_000),
    ] {
        for background in [ENVOY, APISIX] {
            let mut world = World::new(background, &configuration(json!({"cache": cache})));
            let step = world.bearer(OPAQUE);
            let (_, waiting) = world.question(step);
            let first = done(world.answer(waiting, body(200, answer)));
            world.pass(Duration::from_millis(known));
            let again = done(world.bearer(OPAQUE));
            assert_eq!((&again.verdict, again.outcome), (&first.verdict, first.outcome), "{cache} {answer}");
            world.pass(Duration::from_millis(unknown - known));
            let step = world.bearer(OPAQUE);
            assert!(!matches!(step, Step::Done(_)), "{cache} {answer}");
        }
    }
    for (cache, answer) in [
        (json!({"ttl": "0s"}), &forever),
        (json!({"ttl": "0s"}), &inactive),
        (json!({"negative_ttl": "0s"}), &inactive),
        // Good for its leeway only.
        (json!({}), &active(json!({"exp": NOW - 10}))),
        (json!({"stale_if_error": "1h"}), &active(json!({"exp": NOW}))),
    ] {
        let mut world = World::new(APISIX, &configuration(json!({"cache": cache})));
        for _ in 0..2 {
            let (_, waiting) = called(world.bearer(OPAQUE));
            let _decided = done(world.resume(waiting, body(200, answer)));
        }
    }
}

#[test]
fn a_jwt_that_is_asked_about_is_not_remembered_past_its_own_exp_either() {
    let issuer = Issuer::new();
    let claims = json!({"iss": SERVER, "exp": NOW + 5});
    let token = issuer.token(Algorithm::Rs256, &claims);
    let mut world = World::new(APISIX, &configuration(json!({})));
    let (_, waiting) = called(world.bearer(&token));
    let _accepted = done(world.resume(waiting, body(200, &active(json!({})))));
    world.pass(Duration::from_millis(4_999));
    assert_eq!(done(world.bearer(&token)).outcome, Outcome::Session);
    world.pass(Duration::from_millis(1));
    let _asked = called(world.bearer(&token));
}

#[test]
fn an_old_answer_serves_while_the_server_cannot_answer_but_not_where_a_client_may_have_provoked_it() {
    let configuration = configuration(json!({"cache": {"ttl": "10s", "stale_if_error": "1m"}}));
    for (answer, outcome) in [
        (answered(500, ""), Outcome::Session),
        (answered(200, "?"), Outcome::Session),
        (answered(302, ""), Outcome::Session),
        (Err(CallError::NoAnswer), Outcome::Session),
        (answered(400, ""), Outcome::ErrorDenied),
        (answered(401, ""), Outcome::ErrorDenied),
        (answered(429, ""), Outcome::ErrorDenied),
        (body(200, &json!({"active": false})), Outcome::Refused),
        (body(200, &active(json!({"aud": "x"}))), Outcome::Refused),
    ] {
        let mut world = World::new(APISIX, &configuration);
        let (_, waiting) = called(world.bearer(OPAQUE));
        let _accepted = done(world.resume(waiting, body(200, &active(json!({})))));
        world.pass(Duration::from_secs(20));
        let (_, waiting) = called(world.bearer(OPAQUE));
        assert_eq!(done(world.resume(waiting, answer.clone())).outcome, outcome, "{answer:?}");
    }
}

#[test]
fn requests_with_one_token_wait_for_one_answer_and_those_with_another_do_not() {
    for ttl in ["10s", "0s"] {
        let mut world = World::new(ENVOY, &configuration(json!({"cache": {"ttl": ttl}})));
        let waiting: Vec<_> = (0..10).map(|_| parked(world.bearer(OPAQUE)).1).collect();
        assert_eq!(world.background_calls.len(), 1);
        let key = world.finish(body(200, &active(json!({})))).unwrap();
        for waiting in waiting {
            assert_eq!(done(world.wake(waiting)).outcome, Outcome::Session);
        }
        world.told(key);
        let _first = (parked(world.bearer("one")), parked(world.bearer("other")));
        assert_eq!(world.background_calls.len(), 2, "each its own");
    }
}
