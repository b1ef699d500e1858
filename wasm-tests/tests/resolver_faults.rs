//! The resolver's faults, one by one, on every host. The request is denied in JSON by default, or goes on as nobody
//! where the operator chose so. It ends within `timeout`, and never gets in as someone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::faulty::{Answer, Failure, Faulty, INTRUDER};
use wasm_tests::on_each_host;
use wasm_tests::scene::{self, Host, seen};

on_each_host! {
    each_fault_is_denied_in_json_within_the_timeout,
    each_fault_lets_through_as_nobody_where_the_operator_chose_so,
    the_status_of_a_denial_is_the_operators,
    a_page_instead_of_an_answer_is_nobody,
    what_a_client_may_have_provoked_is_denied_whatever_on_error_says,
    requests_with_nothing_to_ask_do_not_notice_that_the_resolver_is_down,
}

/// The `timeout` for faults that take time.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What a loaded machine may add. This guards against hanging; it does not measure speed.
const SLACK: Duration = Duration::from_secs(3);

fn faults<H: Host>() -> Vec<Failure> {
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
        session(Answer::status(200)).header("X_Authgear_User_Id", "another"),
        session(Answer::status(200)).header("x-authgear-session-valid", "false"),
        Answer::status(200).header("x-authgear-session-valid", "1").header("x-authgear-user-id", INTRUDER),
    ];
    let unbounded = [
        Failure::DripHead,
        Failure::DripBody,
        Failure::Answer(session(Answer::status(200)).header("x-padding", vec![b'x'; 200 * 1024])),
    ];
    [
        Failure::Refuse,
        Failure::Silence,
        Failure::Garbage,
        Failure::CloseAtOnce,
        Failure::Reset,
        Failure::HalfHead,
        Failure::ShortBody,
    ]
    .into_iter()
    .chain(answers.map(Failure::Answer))
    .chain(unbounded.into_iter().filter(|_| H::BOUNDS_CALLS))
    .collect()
}

async fn host<H: Host>(app: &Echo, resolver: SocketAddr, on_error: Value) -> H {
    let mut configuration = scene::configuration_on::<H>(resolver, resolver);
    configuration["timeout"] = json!("1s");
    configuration["on_error"] = on_error;
    H::start(H::builder(app, &scene::upstreams(resolver, resolver)), configuration).await
}

/// Sends a request with a credential and a forged header. Also returns how long the answer took.
async fn ask<H: Host>(host: &H) -> (Response, Duration) {
    let request =
        Request::get("/").header("authorization", "Bearer abc").header("x-authgear-user-id", "forged");
    let begun = Instant::now();
    (client::send(host.address(), request).await, begun.elapsed())
}

async fn each_fault_is_denied_in_json_within_the_timeout<H: Host>() {
    let app = Echo::start().await.unwrap();
    for failure in faults::<H>() {
        let resolver = Faulty::start(failure.clone()).await.unwrap();
        let host = host::<H>(&app, resolver.address(), json!({})).await;
        let (answer, took) = ask(&host).await;
        assert_eq!(answer.status, 503, "{failure:?}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{failure:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{failure:?}");
        assert_eq!(answer.json()["error"], "unavailable", "{failure:?}");
        assert!(took < TIMEOUT + SLACK, "{failure:?}: {took:?}");
        host.wait_for_log("auth server http://resolver.internal:3001/_resolver/resolve").await;
        host.assert_counted("requests.error_denied", 1).await;
    }
    assert_eq!(app.received().count(), 0, "nothing reached the app");
}

async fn each_fault_lets_through_as_nobody_where_the_operator_chose_so<H: Host>() {
    let app = Echo::start().await.unwrap();
    for failure in faults::<H>() {
        let resolver = Faulty::start(failure.clone()).await.unwrap();
        let host = host::<H>(&app, resolver.address(), json!({"action": "allow"})).await;
        let (answer, took) = ask(&host).await;
        assert!(took < TIMEOUT + SLACK, "{failure:?}: {took:?}");
        let may_be_provoked =
            matches!(&failure, Failure::Answer(answer) if (400..500).contains(&answer.status));
        if may_be_provoked {
            assert_eq!(answer.status, 503, "{failure:?}");
            host.assert_counted("requests.error_denied", 1).await;
        } else {
            assert_eq!(seen(&answer).identity(), [], "{failure:?}");
            host.assert_counted("requests.error_allowed", 1).await;
        }
    }
}

async fn the_status_of_a_denial_is_the_operators<H: Host>() {
    let app = Echo::start().await.unwrap();
    let resolver = Faulty::start(Failure::Answer(Answer::status(500))).await.unwrap();
    let host = host::<H>(&app, resolver.address(), json!({"status": 429})).await;
    assert_eq!(ask(&host).await.0.status, 429);
}

async fn a_page_instead_of_an_answer_is_nobody<H: Host>() {
    let app = Echo::start().await.unwrap();
    let resolver = Faulty::start(Failure::Answer(Answer::html())).await.unwrap();
    let host = host::<H>(&app, resolver.address(), json!({})).await;
    assert_eq!(seen(&ask(&host).await.0).identity(), []);
}

async fn what_a_client_may_have_provoked_is_denied_whatever_on_error_says<H: Host>() {
    let app = Echo::start().await.unwrap();
    for status in [400, 403, 404, 413, 414, 429, 431] {
        let resolver = Faulty::start(Failure::Answer(Answer::status(status))).await.unwrap();
        let host = host::<H>(&app, resolver.address(), json!({"action": "allow"})).await;
        let (answer, _) = ask(&host).await;
        assert_eq!(answer.status, 503, "{status}: {answer:?}");
        assert_eq!(answer.json()["error"], "unavailable", "{status}");
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

async fn requests_with_nothing_to_ask_do_not_notice_that_the_resolver_is_down<H: Host>() {
    let app = Echo::start().await.unwrap();
    let resolver = Faulty::start(Failure::Refuse).await.unwrap();
    let host = host::<H>(&app, resolver.address(), json!({})).await;
    let answer = client::send(host.address(), Request::get("/")).await;
    assert_eq!(seen(&answer).identity(), []);
}
