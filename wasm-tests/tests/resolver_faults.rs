//! The resolver's faults, one by one, in a real Envoy: denied in JSON by default, through as nobody where the
//! operator chose so, within `timeout`, and never let in as someone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::faulty::{Answer, Failure, Faulty, INTRUDER};
use wasm_tests::scene::{self, seen};

/// What is configured where a fault is one of time.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What a loaded machine may take on top: a bound against hanging, not a measure of speed.
const SLACK: Duration = Duration::from_secs(3);

fn faults() -> Vec<Failure> {
    let session = |answer: Answer| {
        answer.header("x-authgear-session-valid", "true").header("x-authgear-user-id", INTRUDER)
    };
    let answers = [
        session(Answer::status(500)),
        session(Answer::status(502)),
        session(Answer::status(503)),
        session(Answer::status(404)),
        session(Answer::status(405)),
        session(Answer::status(401)),
        session(Answer::status(403)),
        session(Answer::status(204)),
        session(Answer::status(206)),
        session(Answer::status(307)).header("location", "https://accounts.example.test/"),
        Answer::status(200).header("x-authgear-session-valid", "true"),
        Answer::status(200).header("x-authgear-user-id", INTRUDER),
        session(Answer::status(200)).header("x-authgear-user-id", "another"),
        session(Answer::status(200)).header("x-authgear-session-valid", "false"),
        Answer::status(200).header("x-authgear-session-valid", "1").header("x-authgear-user-id", INTRUDER),
        session(Answer::status(200)).header("x-padding", vec![b'x'; 200 * 1024]),
    ];
    [
        Failure::Refuse,
        Failure::Silence,
        Failure::Garbage,
        Failure::CloseAtOnce,
        Failure::Reset,
        Failure::HalfHead,
        Failure::ShortBody,
        Failure::DripHead,
        Failure::DripBody,
    ]
    .into_iter()
    .chain(answers.map(Failure::Answer))
    .collect()
}

async fn envoy(app: &Echo, resolver: SocketAddr, on_error: Value) -> Envoy {
    let mut configuration = scene::configuration();
    configuration["timeout"] = json!("1s");
    configuration["on_error"] = on_error;
    scene::builder(app, resolver, resolver).plugin(configuration).concurrency(1).start().await
}

/// Sends a request with a credential and a forged header; says how long its answer took.
async fn ask(envoy: &Envoy) -> (Response, Duration) {
    let request =
        Request::get("/").header("authorization", "Bearer abc").header("x-authgear-user-id", "forged");
    let begun = Instant::now();
    (client::send(envoy.address(), request).await, begun.elapsed())
}

#[tokio::test]
async fn each_fault_is_denied_in_json_within_the_timeout() {
    let app = Echo::start().await.unwrap();
    for failure in faults() {
        let resolver = Faulty::start(failure.clone()).await.unwrap();
        let envoy = envoy(&app, resolver.address(), json!({})).await;
        let (answer, took) = ask(&envoy).await;
        assert_eq!(answer.status, 503, "{failure:?}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{failure:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{failure:?}");
        assert_eq!(answer.json()["error"], "unavailable", "{failure:?}");
        assert!(took < TIMEOUT + SLACK, "{failure:?}: {took:?}");
        envoy.wait_for_log("the resolver http://resolver.internal:3001/_resolver/resolve").await;
        assert_eq!(envoy.stat("wasmcustom.authgear_filter.requests.error_denied").await, 1, "{failure:?}");
    }
    assert_eq!(app.received().count(), 0, "nothing reached the app");
}

#[tokio::test]
async fn each_fault_lets_through_as_nobody_where_the_operator_chose_so() {
    let app = Echo::start().await.unwrap();
    for failure in faults() {
        let resolver = Faulty::start(failure.clone()).await.unwrap();
        let envoy = envoy(&app, resolver.address(), json!({"action": "allow"})).await;
        let (answer, took) = ask(&envoy).await;
        assert_eq!(seen(&answer).identity(), [], "{failure:?}");
        assert!(took < TIMEOUT + SLACK, "{failure:?}: {took:?}");
        assert_eq!(envoy.stat("wasmcustom.authgear_filter.requests.error_allowed").await, 1, "{failure:?}");
    }
}

#[tokio::test]
async fn the_status_of_a_denial_is_the_operators() {
    let app = Echo::start().await.unwrap();
    let resolver = Faulty::start(Failure::Answer(Answer::status(500))).await.unwrap();
    let envoy = envoy(&app, resolver.address(), json!({"status": 429})).await;
    assert_eq!(ask(&envoy).await.0.status, 429);
}

#[tokio::test]
async fn a_page_instead_of_an_answer_is_nobody() {
    let app = Echo::start().await.unwrap();
    let resolver = Faulty::start(Failure::Answer(Answer::html())).await.unwrap();
    let envoy = envoy(&app, resolver.address(), json!({})).await;
    assert_eq!(seen(&ask(&envoy).await.0).identity(), []);
}

#[tokio::test]
async fn what_a_client_caused_is_refused_and_does_not_fall_under_on_error() {
    let app = Echo::start().await.unwrap();
    for status in [400, 413, 414, 431] {
        let resolver = Faulty::start(Failure::Answer(Answer::status(status))).await.unwrap();
        let envoy = envoy(&app, resolver.address(), json!({"action": "allow"})).await;
        let refused = [("x-authgear-session-valid".to_owned(), "false".to_owned())];
        assert_eq!(seen(&ask(&envoy).await.0).identity(), refused, "{status}");
    }
}

#[tokio::test]
async fn a_cluster_that_does_not_exist_is_a_fault_that_the_log_explains() {
    let app = Echo::start().await.unwrap();
    let mut configuration = scene::configuration();
    configuration["authgear"]["resolver_upstream"] = json!("nowhere");
    let envoy = Envoy::builder().cluster("app", app.address()).plugin(configuration).start().await;
    assert_eq!(ask(&envoy).await.0.status, 503);
    envoy.wait_for_log("upstream `nowhere`").await;
    envoy.wait_for_log("is the upstream's name right?").await;
}

#[tokio::test]
async fn requests_with_nothing_to_ask_do_not_notice_that_the_resolver_is_down() {
    let app = Echo::start().await.unwrap();
    let resolver = Faulty::start(Failure::Refuse).await.unwrap();
    let envoy = envoy(&app, resolver.address(), json!({})).await;
    let answer = client::send(envoy.address(), Request::get("/")).await;
    assert_eq!(seen(&answer).identity(), []);
}
