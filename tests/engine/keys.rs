//! Where keys come from and when, and the decisions about requests meanwhile.

use std::time::Duration;

use authgear_filter::config::Config;
use authgear_filter::engine::{Capabilities, Decision, Engine, Outcome, Step, WaitKey};
use authgear_filter::http::CallError;
use authgear_filter::jose::{Algorithm, Backend};
use serde_json::json;

use crate::issuer::{self, ISSUER};
use crate::world::{
    APISIX, ENVOY, World, asked, assert_refused, assert_user, authgear, body, called, done, parked, replied,
    resolved, value,
};

const SECOND: Duration = Duration::from_secs(1);

/// A token whose key is in no set, or in a later one.
fn token_of(world: &World, kid: &str) -> String {
    let header = json!({"alg": "RS256", "kid": kid, "typ": "at+jwt"});
    world.issuer.signed(Algorithm::Rs256, &header.to_string(), &issuer::claims().to_string())
}

/// The key set with the RSA key under another name.
fn renamed(world: &World, kid: &str) -> serde_json::Value {
    let mut jwks = world.issuer.jwks();
    jwks["keys"][0]["kid"] = json!(kid);
    jwks
}

#[test]
fn keys_are_asked_for_as_the_endpoint_wants_to_be_asked() {
    let mut world = World::new(ENVOY, &authgear("auto"));
    world.tick();
    let (call, _) = &world.background_calls[0];
    let expected = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "myapp.authgear.cloud"),
        (":path", "/oauth2/jwks"),
        ("x-forwarded-host", "myapp.authgear.cloud"),
        ("x-forwarded-proto", "https"),
    ];
    for (name, expected) in expected {
        assert_eq!(value(call, name), Some(expected), "{name}");
    }
    assert_eq!(call.upstream, "authgear");
}

#[test]
fn a_request_before_the_keys_waits_for_the_one_fetch() {
    let mut world = World::new(ENVOY, &authgear("auto"));
    world.tick();
    let token = world.token();
    let waiting: Vec<_> = (0..200).map(|_| parked(world.bearer(&token))).collect();
    assert_eq!(world.background_calls.len(), 1, "one fetch for all");
    let jwks = world.jwks();
    assert_eq!(world.finish(jwks), Some(WaitKey::Keys(0)));
    for (topic, waiting) in waiting {
        assert_eq!(topic, WaitKey::Keys(0));
        assert_user(world.wake(waiting));
    }
    assert!(world.background_calls.is_empty());
}

#[test]
fn without_keys_it_is_the_operators_choice_and_never_a_401() {
    for (action, outcome) in [("deny", Outcome::NoKeysDenied), ("allow", Outcome::NoKeysAllowed)] {
        let mut configuration = authgear("local");
        configuration["on_error"] = json!({"action": action});
        let mut world = World::new(ENVOY, &configuration);
        let token = world.token();
        let (_, waiting) = parked(world.bearer(&token));
        world.finish(Err(CallError::NoAnswer));
        let decision = done(world.wake(waiting));
        assert_eq!(decision.outcome, outcome);
        if action == "deny" {
            assert_eq!(replied(&decision).status, 503);
        }
        // Until the next try there is nothing to wait for.
        assert_eq!(done(world.bearer(&token)).outcome, outcome);
        assert!(world.warnings.concat().contains("/oauth2/jwks"), "{:?}", world.warnings);
    }
}

/// Returns the decision about a request while the keys for its token are unavailable, whether or not it waits for
/// them.
fn without_keys(world: &mut World, token: &str) -> Decision {
    match world.bearer(token) {
        Step::Done(decision) => decision,
        Step::Park(_, waiting) => {
            world.finish_all(|_| Err(CallError::NoAnswer));
            done(world.wake(waiting))
        }
        Step::Call(_, waiting) => done(world.resume(waiting, Err(CallError::NoAnswer))),
    }
}

#[test]
fn a_token_that_no_key_could_make_good_is_refused_without_keys_whatever_on_error_says() {
    type Change = fn(&mut serde_json::Value);
    #[rustfmt::skip]
    let bad: &[(&str, Change)] = &[
        ("expired", |claims| claims["exp"] = json!(1)),
        ("without exp", |claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        ("of another audience", |claims| claims["aud"] = json!(["https://api.example.com"])),
        ("without audience", |claims| drop(claims.as_object_mut().unwrap().remove("aud"))),
        ("not valid yet", |claims| claims["nbf"] = json!(issuer::NOW + 1000)),
        ("issued in the future", |claims| claims["iat"] = json!(issuer::NOW + 1000)),
        ("of another client", |claims| claims["client_id"] = json!("other")),
        ("an ID token", |claims| claims["token_use"] = json!("id")),
        ("one to renew others", |claims| claims["typ"] = json!("Refresh")),
        ("whose subject would be two headers", |claims| claims["sub"] = json!("a\nb")),
        ("whose subject is white space", |claims| claims["sub"] = json!(" ")),
        ("bound to a key", |claims| claims["cnf"] = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
    ];
    let mut jwt = json!({"jwt": [{"issuer": ISSUER, "audiences": [ISSUER], "client_ids": ["portal"],
        "jwks_uri": "https://keys.example/", "upstream": "keys", "headers": {"x-user": "sub"}}]});
    let mut local = authgear("local");
    local["authgear"]["client_ids"] = json!(["portal"]);
    let mut beside = jwt.clone();
    beside["forward_auth"] = json!({"url": "http://a/", "upstream": "a", "identity_headers": ["x-user"]});
    let mut asked = jwt.clone();
    asked["jwt"].as_array_mut().unwrap().push(json!({"issuer": "https://opaque.example", "audiences": ["a"],
        "introspection": {"url": "http://i/", "upstream": "i"}}));
    let mut several = jwt.clone();
    several["jwt"].as_array_mut().unwrap().insert(
        0,
        json!({"issuer": "https://other.example",
        "audiences": ["a"], "jwks_uri": "https://other.example/", "upstream": "other"}),
    );
    jwt["rules"] = json!([{"prefix": "/", "require": {"scopes": ["openid"]}}]);
    for mut configuration in [jwt, local, beside, asked, several] {
        for (background, action) in [(ENVOY, "allow"), (ENVOY, "deny"), (APISIX, "allow"), (APISIX, "deny")] {
            configuration["on_error"] = json!({"action": action});
            configuration["access"] = json!("required");
            for (what, change) in bad {
                let mut world = World::new(background, &configuration);
                let mut claims = issuer::claims();
                claims["client_id"] = json!("portal");
                change(&mut claims);
                let token = world.issuer.token(Algorithm::Rs256, &claims);
                for _ in 0..2 {
                    let decision = without_keys(&mut world, &token);
                    assert_eq!(decision.outcome, Outcome::Refused, "{what} {configuration}");
                    assert_eq!(replied(&decision).status, 401, "{what} {configuration}");
                }
            }
            let mut world = World::new(background, &configuration);
            let mut claims = issuer::claims();
            claims["client_id"] = json!("portal");
            for (what, header) in [
                ("another typ", json!({"alg": "RS256", "typ": "JWT"})),
                ("another alg", json!({"alg": "ES256", "typ": "at+jwt"})),
                ("no alg", json!({"alg": "none", "typ": "at+jwt"})),
            ] {
                let token = world.issuer.signed(Algorithm::Rs256, &header.to_string(), &claims.to_string());
                let decision = without_keys(&mut world, &token);
                assert_eq!(decision.outcome, Outcome::Refused, "{what} {configuration}");
            }
            // Of a good one nobody knows.
            let token = world.issuer.token(Algorithm::Rs256, &claims);
            let must_deny = action == "deny" || configuration["rules"].is_array();
            let outcome = if must_deny { Outcome::NoKeysDenied } else { Outcome::NoKeysAllowed };
            assert_eq!(without_keys(&mut world, &token).outcome, outcome, "{configuration}");
        }
    }
}

/// The next step of a request whose wait for keys ended without any.
fn after_no_keys(world: &mut World, request: impl FnOnce(&mut World) -> Step) -> Step {
    let (_, waiting) = parked(request(world));
    world.finish(body(403, &json!({})));
    world.wake(waiting)
}

#[test]
fn in_auto_without_keys_the_resolver_is_asked_about_a_token_that_would_pass() {
    let mut world = World::new(ENVOY, &authgear("auto"));
    let token = world.token();
    let step = after_no_keys(&mut world, |world| world.bearer_and_cookie(&token));
    let (call, waiting) = world.question(step);
    assert_eq!(value(&call, "authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(value(&call, "cookie"), Some("session=s"));
    assert_eq!(done(world.answer(waiting, resolved(Some("alice")))).outcome, Outcome::Session);
}

#[test]
fn in_auto_without_keys_a_token_that_could_not_pass_is_refused_and_its_cookies_alone_are_asked_about() {
    let changes: [fn(&mut serde_json::Value); 4] = [
        |claims| claims["iss"] = json!("https://other.example"),
        |claims| claims["aud"] = json!(["https://api.example.com"]),
        |claims| claims["exp"] = json!(1),
        |claims| claims["exp"] = json!(null),
    ];
    for change in changes {
        let mut world = World::new(ENVOY, &authgear("auto"));
        let mut claims = issuer::claims();
        change(&mut claims);
        let token = world.issuer.token(Algorithm::Rs256, &claims);
        match world.bearer(&token) {
            // An unknown issuer needs no keys to be refused.
            step @ (Step::Done(_) | Step::Call(..)) => assert_refused(step),
            Step::Park(_, waiting) => {
                world.finish(body(403, &json!({})));
                assert_refused(world.wake(waiting));
            }
        }
        let (call, _) = asked(&mut world, |world| world.bearer_and_cookie(&token));
        assert_eq!((value(&call, "authorization"), value(&call, "cookie")), (None, Some("session=s")));
    }
}

#[test]
fn in_auto_without_keys_what_no_resolver_states_is_on_error() {
    let mut configuration = authgear("auto");
    configuration["rules"] = json!([{"prefix": "/", "require": {"scopes": ["openid"]}}]);
    configuration["on_error"] = json!({"action": "allow"});
    let mut world = World::new(ENVOY, &configuration);
    let token = world.token();
    let step = after_no_keys(&mut world, |world| world.bearer(&token));
    assert_eq!(done(step).outcome, Outcome::NoKeysDenied);
}

#[test]
fn a_failed_fetch_is_tried_again_later_and_later_and_then_all_is_well() {
    let mut world = World::new(ENVOY, &authgear("auto"));
    let mut waits = Vec::new();
    for _ in 0..8 {
        let begun = world.now;
        while world.background_calls.is_empty() {
            world.pass(Duration::from_millis(250));
            world.tick();
        }
        waits.push(world.now.since(begun).as_secs());
        world.finish(body(500, &json!({})));
    }
    // With up to a quarter more, so that workers spread.
    for (wait, least) in waits.iter().skip(1).zip([1, 2, 4, 8, 16, 30, 30]) {
        assert!((least..=least + least / 4 + 1).contains(wait), "{waits:?}");
    }
    world.pass(40 * SECOND);
    world.tick();
    let jwks = world.jwks();
    world.finish(jwks);
    let token = world.token();
    assert_user(world.bearer(&token));
}

#[test]
fn keys_are_refreshed_every_ten_minutes_by_workers_that_serve() {
    let mut world = World::with_keys(ENVOY, &authgear("auto"));
    world.pass(601 * SECOND);
    world.tick();
    assert!(world.background_calls.is_empty(), "it never served a request, so it needs no fresh keys");
    let token = world.token();
    assert_user(world.bearer(&token));
    world.tick();
    assert_eq!(world.background_calls.len(), 1);
    // Old keys serve while new ones come, and when none come.
    assert_user(world.bearer(&token));
    world.finish(Err(CallError::NoAnswer));
    assert_user(world.bearer(&token));
    assert!(world.warnings.concat().contains("stay in use"), "{:?}", world.warnings);
}

#[test]
fn a_token_whose_key_left_the_set_is_accepted_no_longer_though_it_was_remembered() {
    let mut world = World::with_keys(ENVOY, &authgear("local"));
    let token = world.token();
    assert_user(world.bearer(&token));
    world.pass(601 * SECOND);
    world.tick();
    let mut jwks = world.issuer.jwks();
    jwks["keys"].as_array_mut().unwrap().remove(0);
    world.finish(body(200, &jwks));
    // Its key is unknown now, so the keys are fetched once more before it is refused.
    let (_, waiting) = parked(world.bearer(&token));
    world.finish(body(200, &jwks));
    assert_refused(world.wake(waiting));
    assert_refused(world.bearer(&token));
}

#[test]
fn a_new_key_is_fetched_at_once_but_not_for_every_token_that_names_one() {
    let mut world = World::with_keys(ENVOY, &authgear("auto"));
    world.pass(SECOND);
    let (_, waiting) = parked({
        let token = token_of(&world, "new");
        world.bearer(&token)
    });
    let rotated = renamed(&world, "new");
    world.finish(body(200, &rotated));
    assert_user(world.wake(waiting));

    for number in 0..100 {
        let token = token_of(&world, &format!("invented-{number}"));
        assert_refused(world.bearer(&token));
    }
    assert!(world.background_calls.is_empty(), "once in ten seconds");
    world.pass(10 * SECOND);
    let (_, waiting) = parked({
        let token = token_of(&world, "invented");
        world.bearer(&token)
    });
    world.finish(body(200, &rotated));
    assert_refused(world.wake(waiting));
}

#[test]
fn a_bad_key_is_skipped_with_a_warning_and_the_others_serve() {
    let mut world = World::new(ENVOY, &authgear("auto"));
    world.tick();
    let mut jwks = world.issuer.jwks();
    let keys = jwks["keys"].as_array_mut().unwrap();
    keys.insert(0, json!({"kty": "oct", "kid": "shared\nsecret", "k": "AAAA"}));
    keys.insert(0, json!("no key"));
    world.finish(body(200, &jwks));
    let token = world.token();
    assert_user(world.bearer(&token));
    let warnings = world.warnings.concat();
    assert!(warnings.contains("symmetric") && warnings.contains("shared\\nsecret"), "{warnings}");
}

#[test]
fn an_answer_that_holds_no_keys_is_a_failure_that_is_explained() {
    for (answer, expected) in [
        (body(307, &json!({})), "redirect"),
        (body(200, &json!({"keys": []})), "no usable key"),
        (body(200, &json!("<html>")), "JSON Web Key Set"),
        (body(404, &json!({})), "404"),
        (Err(CallError::TooLarge), "too long"),
        (Err(CallError::NotSent), "upstream"),
    ] {
        let mut world = World::new(ENVOY, &authgear("auto"));
        world.tick();
        world.finish(answer);
        assert!(world.warnings.concat().contains(expected), "{:?}", world.warnings);
    }
}

#[test]
fn where_calls_are_requests_own_the_request_that_needs_keys_fetches_them() {
    let mut world = World::new(APISIX, &authgear("auto"));
    let token = world.token();
    let (call, first) = called(world.bearer(&token));
    assert_eq!(value(&call, ":path"), Some("/oauth2/jwks"));
    // Another one cannot wait for the first, so it fetches for itself.
    let (call, second) = called(world.bearer(&token));
    assert_eq!(value(&call, ":path"), Some("/oauth2/jwks"));
    let jwks = world.jwks();
    assert_user(world.resume(second, jwks));
    let jwks = world.jwks();
    assert_user(world.resume(first, jwks));
    assert_user(world.bearer(&token));
    assert!(world.background_calls.is_empty(), "nothing happens in the background there");
}

#[test]
fn there_a_call_for_keys_may_be_followed_by_one_to_the_resolver() {
    let mut world = World::new(APISIX, &authgear("auto"));
    let stranger = token_of(&world, "unknown");
    let (_, waiting) = called(world.bearer_and_cookie(&stranger));
    let jwks = world.jwks();
    let (call, _) = called(world.resume(waiting, jwks));
    assert_eq!(value(&call, ":path"), Some("/_resolver/resolve"));
    assert_eq!((value(&call, "cookie"), value(&call, "authorization")), (Some("session=s"), None));
}

#[test]
fn there_old_keys_are_refreshed_by_the_request_that_finds_them_old() {
    let mut world = World::with_keys(APISIX, &authgear("local"));
    world.pass(601 * SECOND);
    let token = world.token();
    let (_, waiting) = called(world.bearer(&token));
    assert_user(world.bearer(&token));
    assert_user(world.resume(waiting, Err(CallError::NoAnswer)));
}

#[test]
fn a_client_that_leaves_while_it_fetches_keys_leaves_the_fetch_to_the_next() {
    let mut world = World::with_keys(APISIX, &authgear("local"));
    world.pass(601 * SECOND);
    let token = world.token();
    let (_, waiting) = called(world.bearer(&token));
    world.abandon(waiting);
    let (call, waiting) = called(world.bearer(&token));
    assert_eq!(value(&call, ":path"), Some("/oauth2/jwks"));
    let jwks = world.jwks();
    assert_user(world.resume(waiting, jwks));
}

#[test]
fn a_key_of_the_configuration_that_is_not_used_is_told_in_the_log_once() {
    let good = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let bad = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "shared"});
    let issuer = |name: &str, keys: &[&serde_json::Value]| json!({"issuer": name, "audiences": ["api"], "jwks": {"keys": keys}});
    let configuration =
        json!({"jwt": [issuer("a", &[&good, &bad]), issuer("b", &[&good]), issuer("c", &[&bad, &good])]});
    let config = Config::parse(configuration.to_string().as_bytes()).unwrap();
    let host = Capabilities { background: true, signatures: Backend::Portable };
    let mut state = Engine::new(config, host).state(1);
    let warnings = state.effects().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for warning in warnings {
        assert!(warning.contains("the configuration") && warning.contains("\"shared\""), "{warning}");
        assert!(!warning.contains("c2VjcmV0"), "{warning}");
    }
    assert!(state.effects().warnings.is_empty());
}
