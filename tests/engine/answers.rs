//! The resolver's answers: one question for all who have a credential, and for how long its answer is used.

use std::collections::BTreeMap;
use std::time::Duration;

use authgear_filter::engine::{Decision, Outcome, Step};
use authgear_filter::http::{CallError, Field, Response};
use authgear_filter::jose::Algorithm;
use serde_json::{Value, json};

use crate::issuer;
use crate::world::{
    APISIX, Answer, ENVOY, World, asked, assert_refused, authgear, body, done, parked, resolved, set,
};

fn configuration(cache: &Value) -> Value {
    let mut configuration = authgear("resolver");
    configuration["cache"] = cache.clone();
    configuration
}

const COOKIE: Field<'static> = (b"cookie", b"session=s");

fn user(decision: &Decision) -> Option<String> {
    set(decision).into_iter().find(|(name, _)| name == "x-authgear-user-id").map(|(_, value)| value)
}

/// A request with a cookie: who it is, and whether the resolver was asked.
fn request(world: &mut World, answer: Answer) -> (Decision, bool) {
    match world.start(&[COOKIE]) {
        Step::Done(decision) => (decision, false),
        step @ (Step::Call(..) | Step::Park(..)) => {
            let (_, waiting) = world.question(step);
            (done(world.answer(waiting, answer)), true)
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_answer_is_used_again_for_its_time_and_not_a_moment_longer() {
    for background in [ENVOY, APISIX] {
        let mut world = World::new(background, &configuration(&json!({})));
        let alice = || resolved(Some("alice"));
        assert!(request(&mut world, alice()).1);
        // Up to a tenth earlier, at random.
        world.pass(Duration::from_millis(8_999));
        let (decision, was_asked) = request(&mut world, resolved(Some("nobody")));
        assert_eq!((user(&decision).as_deref(), was_asked), (Some("alice"), false));
        world.pass(Duration::from_millis(1_001));
        let (decision, was_asked) = request(&mut world, resolved(Some("bob")));
        assert_eq!((user(&decision).as_deref(), was_asked), (Some("bob"), true));
    }
}

#[test]
fn no_session_is_remembered_for_a_time_of_its_own() {
    let mut world = World::new(ENVOY, &configuration(&json!({"negative_ttl": "3s"})));
    assert_eq!(request(&mut world, resolved(None)).0.outcome, Outcome::NoSession);
    world.pass(Duration::from_millis(2_699));
    let (decision, was_asked) = request(&mut world, resolved(Some("alice")));
    assert_eq!((decision.outcome, was_asked), (Outcome::NoSession, false));
    world.pass(Duration::from_millis(301));
    assert_eq!(user(&request(&mut world, resolved(Some("alice"))).0).as_deref(), Some("alice"));
}

#[test]
fn with_a_ttl_of_nothing_every_request_is_asked_about() {
    for answer in [resolved(Some("alice")), resolved(None)] {
        let mut world = World::new(ENVOY, &configuration(&json!({"ttl": "0s"})));
        for _ in 0..3 {
            assert!(request(&mut world, answer.clone()).1);
        }
    }
}

#[test]
fn what_went_wrong_is_never_remembered() {
    let contradictory = Ok(Response {
        status: 200,
        fields: [("x-authgear-session-valid", "maybe")].into_iter().collect(),
        body: vec![],
    });
    for fault in [Err(CallError::NoAnswer), body(500, &json!({})), body(431, &json!({})), contradictory] {
        let mut world = World::new(ENVOY, &configuration(&json!({"negative_ttl": "1h"})));
        for _ in 0..3 {
            assert!(request(&mut world, fault.clone()).1, "{fault:?}");
        }
        assert_eq!(user(&request(&mut world, resolved(Some("alice"))).0).as_deref(), Some("alice"));
    }
}

#[test]
fn the_clearing_cookie_goes_to_everyone_who_sent_that_session_from_memory_too() {
    let mut clearing = resolved(None);
    clearing.as_mut().unwrap().fields.push(b"set-cookie", b"session=; Max-Age=0");
    let mut world = World::new(ENVOY, &configuration(&json!({"negative_ttl": "1h"})));
    for is_first in [true, false, false] {
        let (decision, was_asked) = request(&mut world, clearing.clone());
        let authgear_filter::engine::Verdict::Forward(edits) = decision.verdict else { panic!() };
        assert_eq!((edits.respond.add.len(), was_asked), (1, is_first));
    }
}

#[test]
fn answers_end_at_different_times_within_the_last_tenth_of_their_ttl() {
    let mut world = World::new(ENVOY, &configuration(&json!({"ttl": "1000s"})));
    let cookies: Vec<_> = (0..200).map(|number| format!("session={number}")).collect();
    for cookie in &cookies {
        let step = world.start(&[(b"cookie", cookie.as_bytes())]);
        let (_, waiting) = world.question(step);
        let _session = done(world.answer(waiting, resolved(Some("alice"))));
    }
    let mut left = Vec::new();
    for _ in 0..10 {
        world.pass(seconds(if left.is_empty() { 900 } else { 10 }));
        let is_remembered =
            |cookie: &&String| matches!(world.start(&[(b"cookie", cookie.as_bytes())]), Step::Done(_));
        left.push(cookies.iter().filter(is_remembered).count());
    }
    assert_eq!(left.first(), Some(&200));
    assert!(left.windows(2).all(|pair| pair[1] < pair[0]), "{left:?}");
}

#[test]
fn an_answer_does_not_outlive_the_token_that_it_is_about() {
    let mut world = World::new(ENVOY, &configuration(&json!({"ttl": "1h"})));
    let mut claims = issuer::claims();
    claims["exp"] = json!(issuer::NOW + 60);
    let token = world.issuer.token(Algorithm::Rs256, &claims);
    let (_, waiting) = asked(&mut world, |world| world.bearer(&token));
    assert_eq!(done(world.answer(waiting, resolved(Some("alice")))).outcome, Outcome::Session);
    world.pass(seconds(59));
    assert_eq!(done(world.bearer(&token)).outcome, Outcome::Session);
    world.pass(seconds(1));
    let (_, waiting) = asked(&mut world, |world| world.bearer(&token));
    assert_eq!(done(world.answer(waiting, resolved(None))).outcome, Outcome::NoSession);
}

#[test]
fn an_answer_ends_with_its_token_whatever_the_token_s_header_says() {
    let headers = [
        json!({"alg": "HS256", "typ": "JWT"}),
        json!({"alg": "ES512", "typ": "at+jwt"}),
        json!({"alg": "ES256K"}),
        json!({"alg": "none"}),
        json!({"alg": "RS256", "crit": ["x"]}),
        json!({}),
    ];
    for header in headers {
        let mut world = World::new(ENVOY, &configuration(&json!({"ttl": "1h"})));
        let mut claims = issuer::claims();
        claims["exp"] = json!(issuer::NOW + 60);
        let token = world.issuer.signed(Algorithm::Rs256, &header.to_string(), &claims.to_string());
        let (_, waiting) = asked(&mut world, |world| world.bearer(&token));
        assert_eq!(done(world.answer(waiting, resolved(Some("alice")))).outcome, Outcome::Session);
        world.pass(seconds(59));
        assert_eq!(done(world.bearer(&token)).outcome, Outcome::Session, "{header}");
        world.pass(seconds(1));
        let (_, waiting) = asked(&mut world, |world| world.bearer(&token));
        assert_eq!(done(world.answer(waiting, resolved(None))).outcome, Outcome::NoSession, "{header}");
    }
}

#[test]
fn what_a_client_may_have_provoked_is_never_answered_from_stale_answers() {
    for status in [400, 403, 404, 429, 431] {
        let mut configuration = configuration(&json!({"stale_if_error": "60s"}));
        configuration["on_error"] = json!({"action": "allow"});
        let mut world = World::new(ENVOY, &configuration);
        assert!(request(&mut world, resolved(Some("alice"))).1);
        world.pass(seconds(11));
        let (decision, _) = request(&mut world, body(status, &json!({})));
        assert_eq!(decision.outcome, Outcome::ErrorDenied, "{status}");
        assert_eq!(crate::world::replied(&decision).status, 503, "{status}");
    }
}

#[test]
fn an_old_answer_serves_only_while_the_auth_server_cannot_answer() {
    let mut world = World::new(ENVOY, &configuration(&json!({"stale_if_error": "60s"})));
    assert!(request(&mut world, resolved(Some("alice"))).1);
    world.pass(seconds(69));
    let (decision, was_asked) = request(&mut world, Err(CallError::NoAnswer));
    assert_eq!((user(&decision).as_deref(), was_asked), (Some("alice"), true));
    assert!(world.warnings.concat().contains("stale_if_error"), "{:?}", world.warnings);
    // What the resolver does say counts at once.
    assert_eq!(request(&mut world, resolved(None)).0.outcome, Outcome::NoSession);
    world.pass(seconds(2));
    let failed = Outcome::ErrorDenied;
    assert_eq!(request(&mut world, Err(CallError::NoAnswer)).0.outcome, failed, "no session is never stale");

    assert!(request(&mut world, resolved(Some("alice"))).1);
    world.pass(seconds(70));
    assert_eq!(request(&mut world, Err(CallError::NoAnswer)).0.outcome, failed, "too old");
}

#[test]
fn all_who_have_a_credential_wait_for_one_answer() {
    for (answer, outcome) in [
        (resolved(Some("alice")), Outcome::Session),
        (resolved(None), Outcome::NoSession),
        (Err(CallError::NoAnswer), Outcome::ErrorDenied),
        (body(431, &json!({})), Outcome::ErrorDenied),
    ] {
        let mut world = World::new(ENVOY, &configuration(&json!({"ttl": "0s"})));
        let waiting: Vec<_> = (0..100).map(|_| parked(world.start(&[COOKIE]))).collect();
        assert_eq!(world.background_calls.len(), 1);
        let topic = world.finish(answer).unwrap();
        for (its, waiting) in waiting {
            assert_eq!(its, topic);
            assert_eq!(done(world.wake(waiting)).outcome, outcome);
        }
        world.told(topic);
        // Those who come later ask anew.
        let (next, _) = parked(world.start(&[COOKIE]));
        assert_ne!(next, topic);
        assert_eq!(world.background_calls.len(), 1);
    }
}

#[test]
fn where_nobody_can_wait_for_another_each_asks_for_itself() {
    let mut world = World::new(APISIX, &configuration(&json!({})));
    let first = crate::world::called(world.start(&[COOKIE]));
    let second = crate::world::called(world.start(&[COOKIE]));
    assert_eq!(done(world.resume(second.1, resolved(Some("alice")))).outcome, Outcome::Session);
    // The first one's call fails, but by now the answer is known.
    assert_eq!(done(world.resume(first.1, Err(CallError::NoAnswer))).outcome, Outcome::Session);
    assert_eq!(done(world.start(&[COOKIE])).outcome, Outcome::Session, "the answer is remembered there too");
}

#[test]
fn an_answer_that_never_comes_does_not_hold_up_those_who_come_later() {
    let mut world = World::new(ENVOY, &configuration(&json!({})));
    let (first, _) = parked(world.start(&[COOKIE]));
    world.pass(seconds(5));
    let (second, waiting) = parked(world.start(&[COOKIE]));
    assert_ne!(first, second);
    assert_eq!(world.background_calls.len(), 2);
    let (_, background_call) = world.background_calls.remove(1);
    world.background_calls = vec![(world.background_calls.remove(0).0, background_call)];
    assert_eq!(done(world.answer(waiting, resolved(Some("alice")))).outcome, Outcome::Session);
}

#[test]
fn a_refused_token_is_remembered_for_a_moment() {
    let mut configuration = authgear("local");
    configuration["cache"] = json!({"negative_ttl": "5s"});
    let mut world = World::with_keys(ENVOY, &configuration);
    let mut claims = issuer::claims();
    claims["nbf"] = json!(issuer::NOW + 31);
    let token = world.issuer.token(Algorithm::Rs256, &claims);
    assert_refused(world.bearer(&token));
    world.pass(seconds(4));
    assert_refused(world.bearer(&token));
    world.pass(seconds(1));
    assert_eq!(done(world.bearer(&token)).outcome, Outcome::Session, "it has become valid");
}

#[test]
fn no_more_answers_are_remembered_than_configured() {
    let mut world = World::new(ENVOY, &configuration(&json!({"max_entries": 10, "ttl": "1h"})));
    let mut ask = |number: u32| {
        let cookie = format!("session={number}");
        match world.start(&[(b"cookie", cookie.as_bytes())]) {
            Step::Done(_) => false,
            step @ (Step::Call(..) | Step::Park(..)) => {
                let (_, waiting) = world.question(step);
                let _decision = done(world.answer(waiting, resolved(Some("alice"))));
                true
            }
        }
    };
    for number in 0..11 {
        assert!(ask(number));
    }
    assert!((1..11).all(|number| !ask(number)), "ten are remembered");
    assert!(ask(0), "the least recently used is not");
}

/// A small generator, seeded: what fails once fails again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

#[test]
fn nobody_ever_gets_the_answer_to_another_ones_credential() {
    let values = ["a", "b", "ab", "a; session=b", "session=a", "", "a.b"];
    for prefix in ["", "app_", "p"] {
        for background in [ENVOY, APISIX] {
            let mut configuration =
                configuration(&json!({"ttl": "30s", "stale_if_error": "30s", "max_entries": 50}));
            configuration["authgear"]["cookie_prefix"] = json!(prefix);
            let mut world = World::new(background, &configuration);
            // Shows which calls would be made: it never gets an answer to cache.
            let mut unanswered = World::new(APISIX, &configuration);
            let mut random = Random(0x9e37_79b9_7f4a_7c15);
            // Who a credential is, as the resolver sees it: all that it is sent, to the letter.
            let mut users: BTreeMap<(Option<String>, Option<String>), String> = BTreeMap::new();
            for _ in 0..4_000 {
                let mut cookies = Vec::new();
                for name in ["session", "app_session", "app_access_token", "theme"] {
                    if random.below(2) == 0 {
                        cookies.push(format!("{prefix}{name}={}", values[random.below(values.len())]));
                    }
                }
                // Their order is the client's affair.
                for at in 0..cookies.len() {
                    cookies.swap(at, random.below(at + 1));
                }
                let cookies = cookies.join("; ");
                let token = format!("Bearer {}", values[random.below(values.len())]);
                let mut fields: Vec<Field<'_>> = vec![(b"cookie", cookies.as_bytes())];
                if random.below(2) == 0 {
                    fields.push((b"authorization", token.as_bytes()));
                }
                world.pass(Duration::from_millis(u64::try_from(random.below(2_000)).unwrap()));

                let expected = match unanswered.start(&fields) {
                    Step::Call(call, _) => {
                        let sent = |name| crate::world::value(&call, name).map(str::to_owned);
                        let number = users.len();
                        let sent = (sent("authorization"), sent("cookie"));
                        Some(users.entry(sent).or_insert_with(|| format!("user-{number}")).clone())
                    }
                    Step::Done(_) => None,
                    Step::Park(..) => panic!("nobody parks there"),
                };
                let decision = match world.start(&fields) {
                    Step::Done(decision) => decision,
                    step @ (Step::Call(..) | Step::Park(..)) => {
                        let answer = match random.below(10) {
                            0 => Err(CallError::NoAnswer),
                            _ => resolved(expected.as_deref()),
                        };
                        let (_, waiting) = world.question(step);
                        done(world.answer(waiting, answer))
                    }
                };
                if decision.outcome == Outcome::ErrorDenied {
                    continue;
                }
                assert_eq!(user(&decision), expected, "{cookies} {token}");
            }
            assert!(users.len() > 100, "{} different credentials", users.len());
        }
    }
}
