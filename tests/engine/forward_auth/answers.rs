//! What an answer of the server opens, and what the client and the app get of it.

use std::time::Duration;

use authgear_filter::engine::{Decision, Outcome, Step, Verdict};
use authgear_filter::http::{CallError, Field};
use serde_json::{Value, json};

use super::{COOKIE, SETS, answer, configuration, pairs, request};
use crate::world::{APISIX, ENVOY, World, called, done, parked, replied, set};

/// The cookies that a client is sent.
fn cookies(decision: &Decision) -> usize {
    let fields = match &decision.verdict {
        Verdict::Forward(edits) => edits.respond.add.as_ref(),
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
        // Configuration, request, answer; whether it serves requests that joined; whether it is cached.
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

/// Returns the edits of the app's response as text: the headers that replace its own, and the number of added
/// cookies.
fn responded(decision: &Decision) -> (Vec<(String, String)>, usize) {
    let Verdict::Forward(edits) = &decision.verdict else { panic!("{decision:?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let replace = edits.respond.replace.iter().map(|(name, value)| (text(name), text(value)));
    (replace.collect(), edits.respond.add.len())
}

const ACCEPTS: [(&str, &str); 4] =
    [("x-user", "alice"), ("x-session-ends", "60"), ("x-session-ends", "61"), SETS];
const FOR_CLIENT: [(&str, &str); 2] = [("x-session-ends", "60"), ("x-session-ends", "61")];

#[test]
fn headers_for_the_client_come_with_a_remembered_and_a_shared_answer_too_and_cookies_do_not() {
    let change = json!({"forward_auth": {"client_headers_on_success": ["x-session-*", "set-cookie"]},
        "cache": {"stale_if_error": "60s"}});
    let mut world = World::new(ENVOY, &configuration(&change));
    let (_, first) = parked(world.start(&[COOKIE]));
    let (key, joined) = parked(world.start(&[COOKIE]));
    assert_eq!(world.finish(answer(200, &ACCEPTS)), Some(key));
    assert_eq!(responded(&done(world.wake(first))), (pairs(&FOR_CLIENT), 1));
    assert_eq!(responded(&done(world.wake(joined))), (pairs(&FOR_CLIENT), 0), "one who waited");
    world.told(key);
    assert_eq!(responded(&done(world.start(&[COOKIE]))), (pairs(&FOR_CLIENT), 0), "remembered");
    world.pass(Duration::from_secs(61));
    let (_, waiting) = parked(world.start(&[COOKIE]));
    let stale = done(world.answer(waiting, Err(CallError::NoAnswer)));
    assert_eq!(responded(&stale), (pairs(&FOR_CLIENT), 0), "past its time");
}

#[test]
fn a_denial_of_the_filters_own_gets_the_cookies_and_nothing_else_of_an_accepting_answer() {
    let mut configuration = configuration(&json!({"forward_auth": {"roles_header": "x-groups",
        "client_headers_on_success": ["x-session-*", "cache-control", "set-cookie"]}}));
    configuration["require"] = json!({"roles": ["admin"]});
    let mut world = World::new(APISIX, &configuration);
    let (_, waiting) = called(world.start(&[COOKIE]));
    let fields = [ACCEPTS.as_slice(), &[("cache-control", "public")]].concat();
    let decision = done(world.resume(waiting, answer(200, &fields)));
    let reply = replied(&decision);
    assert_eq!((reply.status, cookies(&decision)), (403, 1));
    let names = ["x-session-ends", "cache-control"];
    let found = reply.fields.iter().filter(|(name, _)| names.iter().any(|known| name == known.as_bytes()));
    assert_eq!(found.collect::<Vec<_>>(), [&(b"cache-control".to_vec(), b"no-store".to_vec())]);
}

#[test]
fn roles_of_an_answer_meet_what_a_rule_requires_as_long_as_it_is_remembered() {
    let mut configuration = configuration(&json!({"forward_auth": {"roles_header": "x-groups"}}));
    configuration["rules"] = json!([
        {"prefix": "/admin", "require": {"roles": ["admin", "owner"]}},
        {"prefix": "/office", "require": {"roles": ["staff"]}},
    ]);
    configuration["forward_auth"]["original_request"] = json!("none");
    let fields = [COOKIE, (b"x-groups", b"admin,owner,staff"), (b"X_Groups", b"owner")];
    #[rustfmt::skip]
    let cases: &[(&[&str], u16, u16)] = &[
        // The lines of the answer; what /admin and /office answer, 200 for the app.
        (&[], 403, 403),
        (&[""], 403, 403),
        (&["staff"], 403, 200),
        (&["guest , staff"], 403, 200),
        (&["guest", "staff,admin"], 200, 200),
        (&["Admin", "administrator", "ad min"], 403, 403),
        (&["owner"], 200, 403),
    ];
    for (lines, admin, office) in cases {
        for background in [ENVOY, APISIX] {
            let mut world = World::new(background, &configuration);
            let answered: Vec<_> =
                lines.iter().map(|line| ("x-groups", *line)).chain([("x-user", "a")]).collect();
            for (count, (path, expected)) in
                [("/", 200), ("/admin", *admin), ("/office", *office), ("/admin/x", *admin)]
                    .into_iter()
                    .enumerate()
            {
                let decision = match world.start_head(&request(path, &fields)) {
                    Step::Done(decision) => {
                        assert!(count > 0, "asked once");
                        decision
                    }
                    step @ (Step::Park(..) | Step::Call(..)) => {
                        assert_eq!(count, 0, "remembered with its roles");
                        let (_, waiting) = world.question(step);
                        done(world.answer(waiting, answer(200, &answered)))
                    }
                };
                let context = format!("{lines:?} {path}");
                match &decision.verdict {
                    Verdict::Forward(edits) => {
                        assert_eq!(expected, 200, "{context}");
                        assert_eq!(set(&decision), pairs(&[("x-user", "a")]), "{context}");
                        for forged in [b"x-groups".as_slice(), b"X_Groups"] {
                            assert!(edits.remove.iter().any(|name| name == forged), "{context}");
                        }
                    }
                    Verdict::Reply(reply) => {
                        assert_eq!(
                            (reply.status, decision.outcome),
                            (expected, Outcome::Forbidden),
                            "{context}"
                        );
                        let challenge =
                            (b"www-authenticate".to_vec(), b"Bearer error=\"insufficient_scope\"".to_vec());
                        assert!(reply.fields.contains(&challenge), "{context}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_required_role_is_required_also_while_the_server_cannot_answer() {
    let mut configuration = configuration(&json!({"forward_auth": {"roles_header": "x-groups"}}));
    configuration["require"] = json!({"roles": ["admin"]});
    configuration["on_error"] = json!({"action": "allow"});
    let mut world = World::new(APISIX, &configuration);
    let (_, waiting) = called(world.start(&[COOKIE]));
    assert_eq!(done(world.resume(waiting, Err(CallError::NoAnswer))).outcome, Outcome::ErrorDenied);
}
