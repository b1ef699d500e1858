//! The server's faults, one by one: denied by default, through as nobody where the operator chose so and the client
//! cannot have provoked it, and never let in as somebody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::json;
use wasm_tests::client;
use wasm_tests::echo::Echo;
use wasm_tests::faulty::{Answer, Failure, Faulty};
use wasm_tests::on_each_host;
use wasm_tests::scene::Host;

use crate::{Guarded, active, configuration, identity, is, says, with_token, with_token_to};

on_each_host! {
    each_fault_is_denied_or_lets_through_as_nobody,
    a_body_that_is_no_clear_answer_lets_nobody_in,
    an_old_answer_serves_while_the_server_fails,
}

/// A client that trusts half an answer lets this user in.
const INTRUDER: &str = "intruder";

fn failures<H: Host>() -> Vec<Failure> {
    let accepting = |status: u16| Answer { status, ..says(&active(INTRUDER)) };
    let statuses = [201, 202, 206, 302, 307, 400, 401, 403, 404, 407, 429, 500, 502, 504];
    let dripping = [Failure::DripHead, Failure::DripBody];
    Failure::WITHOUT_ANSWER
        .into_iter()
        .chain(statuses.map(|status| Failure::Answer(accepting(status))))
        .chain(dripping.into_iter().filter(|_| H::BOUNDS_CALLS))
        .collect()
}

/// A server that fails in one way, and what the operator wants then.
struct Case {
    failure: Failure,
    server: Faulty,
    action: &'static str,
}

async fn each_fault_is_denied_or_lets_through_as_nobody<H: Host>() {
    let mut cases = Vec::new();
    for failure in failures::<H>() {
        for action in ["deny", "allow"] {
            let server = Faulty::start(failure.clone()).await.unwrap();
            cases.push(Case { failure: failure.clone(), server, action });
        }
    }
    let app = Echo::start().await.unwrap();
    let names: Vec<_> = (0..cases.len()).map(|number| format!("login-{number}")).collect();
    let upstreams: Vec<_> =
        names.iter().map(String::as_str).zip(cases.iter().map(|case| case.server.address())).collect();
    let configurations = cases.iter().enumerate().map(|(number, case)| {
        let mut configuration = configuration::<H>(&names[number], case.server.address());
        configuration["jwt"][0]["introspection"]["url"] =
            json!(format!("http://login-{number}.example/introspect?a"));
        configuration["timeout"] = json!("1s");
        configuration["on_error"] = json!({"action": case.action});
        (format!("/{number}/"), configuration)
    });
    let host = H::start_at(H::builder(&app, &upstreams), configurations.collect::<Vec<_>>()).await;
    let (mut denied, mut allowed) = (0, 0);
    for (number, Case { failure, action, .. }) in cases.iter().enumerate() {
        let answer = client::send(host.address(), with_token_to(&format!("/{number}/"), "at-alice")).await;
        let may_be_provoked =
            matches!(failure, Failure::Answer(answer) if (400..500).contains(&answer.status));
        if *action == "allow" && !may_be_provoked {
            assert_eq!(identity(&answer), [], "{failure:?}");
            allowed += 1;
        } else {
            assert_eq!(answer.status, 503, "{failure:?}: {answer:?}");
            assert_eq!(answer.json()["error"], "unavailable", "{failure:?}");
            denied += 1;
        }
        assert_eq!(app.received().count(), allowed, "{failure:?}");
        host.assert_counted("requests.error_denied", denied).await;
        if allowed > 0 {
            host.assert_counted("requests.error_allowed", allowed).await;
        }
        host.wait_for_log(&format!("auth server http://login-{number}.example/introspect?… (upstream")).await;
    }
}

async fn a_body_that_is_no_clear_answer_lets_nobody_in<H: Host>() {
    let good = active(INTRUDER).to_string();
    let member = |member: &str| format!("{},{member}}}", good.strip_suffix('}').unwrap()).into_bytes();
    let bodies = [
        ("nothing", Vec::new()),
        ("a page", b"<html>Log in</html>".to_vec()),
        ("active as a string", br#"{"active":"true","sub":"intruder","aud":"api"}"#.to_vec()),
        ("active as a number", br#"{"active":1,"sub":"intruder","aud":"api"}"#.to_vec()),
        ("no active", br#"{"sub":"intruder","aud":"api"}"#.to_vec()),
        ("active twice", member("\"active\":false")),
        ("sub twice", member("\"sub\":\"intruder\"")),
        ("cut off", good.as_bytes()[..good.len() - 1].to_vec()),
        ("two answers", good.repeat(2).into_bytes()),
        (
            "not UTF-8",
            member("\"a\":\"?\"").into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect(),
        ),
        ("nested without end", [b"{\"active\":true,\"a\":".as_slice(), &[b'['; 60_000]].concat()),
        ("longer than is taken", member(&format!("\"a\":\"{}\"", "x".repeat(70_000)))),
        ("much longer", member(&format!("\"a\":\"{}\"", "x".repeat(2_000_000)))),
        ("a list", format!("[{good}]").into_bytes()),
    ];
    let known = bodies.clone();
    let guarded = Guarded::<H>::start(
        |_| (),
        move |question| {
            let number: usize = question.token().unwrap().parse().unwrap();
            Answer::status(200).header("content-type", "application/json").body(known[number].1.clone())
        },
    )
    .await;
    for (number, (what, _)) in bodies.iter().enumerate() {
        let answer = guarded.send(with_token(&number.to_string())).await;
        assert_eq!((answer.status, guarded.app.received().count()), (503, 0), "{what}: {answer:?}");
    }
    assert!(!guarded.host.log().contains("panicked"), "{}", guarded.host.log());
}

async fn an_old_answer_serves_while_the_server_fails<H: Host>() {
    let is_well = Arc::new(AtomicBool::new(true));
    let guarded = Guarded::<H>::start(
        |configuration| configuration["cache"] = json!({"ttl": "1ms", "stale_if_error": "1h"}),
        {
            let is_well = is_well.clone();
            move |_| if is_well.load(Relaxed) { says(&active("alice")) } else { Answer::status(500) }
        },
    )
    .await;
    // Each of the two workers is asked at least once while the server is well.
    for _ in 0..50 {
        assert_eq!(identity(&guarded.send(with_token("at-alice")).await), is("alice"));
    }
    is_well.store(false, Relaxed);
    for _ in 0..10 {
        assert_eq!(identity(&guarded.send(with_token("at-alice")).await), is("alice"));
    }
    guarded.host.assert_counted_as("answers.stale", |count| count > 0).await;
    assert_eq!(guarded.send(with_token("at-bob")).await.status, 503);
}
