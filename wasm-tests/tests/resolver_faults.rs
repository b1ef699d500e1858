//! The resolver's faults, one by one, on every host. The request is denied in JSON by default, or goes on as nobody
//! where the operator chose so. It ends within `timeout`, and never gets in as someone.

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
        session(Answer::status(200)).header("X_Authgear_Session_Valid", "false"),
        session(Answer::status(200))
            .header("x-authgear-user-roles", "a")
            .header("x_authgear_user_roles", "admin"),
        Answer::status(200).header("x-authgear-session-valid", "1").header("x-authgear-user-id", INTRUDER),
    ];
    let unbounded = [
        Failure::DripHead,
        Failure::DripBody,
        Failure::Answer(session(Answer::status(200)).header("x-padding", vec![b'x'; 200 * 1024])),
    ];
    Failure::WITHOUT_ANSWER
        .into_iter()
        .chain(answers.map(Failure::Answer))
        .chain(unbounded.into_iter().filter(|_| H::BOUNDS_CALLS))
        .collect()
}

/// A host that asks one of these resolvers at each path: `/0/`, `/1/`, …
struct Failing<H> {
    host: H,
    resolvers: Vec<(Failure, Faulty)>,
}

impl<H: Host> Failing<H> {
    async fn start(app: &Echo, failures: impl IntoIterator<Item = Failure>, on_error: Value) -> Self {
        let mut resolvers = Vec::new();
        for failure in failures {
            resolvers.push((failure.clone(), Faulty::start(failure).await.unwrap()));
        }
        let names: Vec<_> = (0..resolvers.len()).map(|number| format!("resolver-{number}")).collect();
        let addresses = resolvers.iter().map(|(_, resolver)| resolver.address());
        let upstreams: Vec<_> = names.iter().map(String::as_str).zip(addresses).collect();
        let configurations: Vec<_> = upstreams
            .iter()
            .enumerate()
            .map(|(number, (name, address))| {
                let upstream = H::upstream(name, *address);
                let url = format!("http://{name}.internal:3001/_resolver/resolve");
                let authgear = json!({
                    "endpoint": scene::ORIGIN, "upstream": upstream, "mode": "resolver", "resolver_url": url,
                });
                (format!("/{number}/"), json!({"authgear": authgear, "timeout": "1s", "on_error": on_error}))
            })
            .collect();
        let host = H::start_at(H::builder(app, &upstreams), configurations).await;
        Self { host, resolvers }
    }

    /// Each failure, the path at which its resolver is asked, and the resolver's name in the log.
    fn each(&self) -> impl Iterator<Item = (&Failure, String, String)> {
        self.resolvers.iter().enumerate().map(|(number, (failure, _))| {
            (failure, format!("/{number}/"), format!("auth server http://resolver-{number}.internal:3001/"))
        })
    }
}

/// Sends a request with a credential and a forged header. Also returns how long the answer took.
async fn ask<H: Host>(host: &H, path: &str) -> (Response, Duration) {
    let request =
        Request::get(path).header("authorization", "Bearer abc").header("x-authgear-user-id", "forged");
    let begun = Instant::now();
    (client::send(host.address(), request).await, begun.elapsed())
}

async fn each_fault_is_denied_in_json_within_the_timeout<H: Host>() {
    let app = Echo::start().await.unwrap();
    let failing = Failing::<H>::start(&app, faults::<H>(), json!({})).await;
    for (denied, (failure, path, name)) in (1..).zip(failing.each()) {
        let (answer, took) = ask(&failing.host, &path).await;
        assert_eq!(answer.status, 503, "{failure:?}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{failure:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{failure:?}");
        assert_eq!(answer.json()["error"], "unavailable", "{failure:?}");
        assert!(took < TIMEOUT + SLACK, "{failure:?}: {took:?}");
        failing.host.wait_for_log(&name).await;
        failing.host.assert_counted("requests.error_denied", denied).await;
    }
    assert_eq!(app.received().count(), 0, "nothing reached the app");
}

async fn each_fault_lets_through_as_nobody_where_the_operator_chose_so<H: Host>() {
    let app = Echo::start().await.unwrap();
    let failing = Failing::<H>::start(&app, faults::<H>(), json!({"action": "allow"})).await;
    let (mut denied, mut allowed) = (0, 0);
    for (failure, path, _) in failing.each() {
        let (answer, took) = ask(&failing.host, &path).await;
        assert!(took < TIMEOUT + SLACK, "{failure:?}: {took:?}");
        let may_be_provoked =
            matches!(failure, Failure::Answer(answer) if (400..500).contains(&answer.status));
        if may_be_provoked {
            assert_eq!(answer.status, 503, "{failure:?}");
            denied += 1;
        } else {
            assert_eq!(seen(&answer).identity(), [], "{failure:?}");
            allowed += 1;
        }
        failing.host.assert_counted("requests.error_denied", denied).await;
        failing.host.assert_counted("requests.error_allowed", allowed).await;
    }
}

async fn the_status_of_a_denial_is_the_operators<H: Host>() {
    let app = Echo::start().await.unwrap();
    let failing =
        Failing::<H>::start(&app, [Failure::Answer(Answer::status(500))], json!({"status": 429})).await;
    assert_eq!(ask(&failing.host, "/0/").await.0.status, 429);
}

async fn a_page_instead_of_an_answer_is_nobody<H: Host>() {
    let app = Echo::start().await.unwrap();
    let failing = Failing::<H>::start(&app, [Failure::Answer(Answer::html())], json!({})).await;
    assert_eq!(seen(&ask(&failing.host, "/0/").await.0).identity(), []);
}

async fn what_a_client_may_have_provoked_is_denied_whatever_on_error_says<H: Host>() {
    let app = Echo::start().await.unwrap();
    let answers = [400, 403, 404, 413, 414, 429, 431].map(|status| Failure::Answer(Answer::status(status)));
    let failing = Failing::<H>::start(&app, answers, json!({"action": "allow"})).await;
    for (failure, path, _) in failing.each() {
        let (answer, _) = ask(&failing.host, &path).await;
        assert_eq!(answer.status, 503, "{failure:?}: {answer:?}");
        assert_eq!(answer.json()["error"], "unavailable", "{failure:?}");
    }
}

#[tokio::test]
async fn a_cluster_that_does_not_exist_is_a_fault_that_the_log_explains() {
    let app = Echo::start().await.unwrap();
    let mut configuration = scene::configuration();
    configuration["authgear"]["resolver_upstream"] = json!("nowhere");
    let envoy = Envoy::builder().cluster("app", app.address()).plugin(configuration).start().await;
    assert_eq!(ask(&envoy, "/").await.0.status, 503);
    envoy.wait_for_log("upstream `nowhere`").await;
    envoy.wait_for_log("is the upstream's name right?").await;
}

async fn requests_with_nothing_to_ask_do_not_notice_that_the_resolver_is_down<H: Host>() {
    let app = Echo::start().await.unwrap();
    let failing = Failing::<H>::start(&app, [Failure::Refuse], json!({})).await;
    let answer = client::send(failing.host.address(), Request::get("/0/")).await;
    assert_eq!(seen(&answer).identity(), []);
}
