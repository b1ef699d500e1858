//! Answers that deny, and servers that do not answer: what the client gets.

use serde_json::{Value, json};
use wasm_tests::apisix::Apisix;
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::faulty::{Answer, Failure, Faulty};
use wasm_tests::on_each_host;
use wasm_tests::received::Received;
use wasm_tests::scene::Host;

use crate::{Guarded, forging, identity, ok};

on_each_host! {
    challenges_and_cookies_of_a_denial_are_kept_apart,
    a_way_to_log_in_reaches_the_client_as_the_server_wrote_it,
    only_chosen_headers_of_a_denial_reach_the_client,
    a_denial_without_its_body_is_not_empty,
    a_server_that_does_not_answer_is_an_error,
    a_server_that_answers_byte_by_byte_lets_nobody_in,
    the_operators_own_denials_come_before_the_servers,
}

async fn challenges_and_cookies_of_a_denial_are_kept_apart<H: Host>() {
    let decide = |_: &Received| {
        Answer::status(401)
            .header("www-authenticate", "Basic realm=\"one\"")
            .header("www-authenticate", "Bearer realm=\"two\"")
            .header("set-cookie", "a=1; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
            .header("set-cookie", "b=2")
            .header("content-type", "text/plain")
            .body("who are you?")
    };
    let guarded = Guarded::<H>::start(|_| (), decide).await;
    let answer = guarded.send(Request::get("/")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header_lines("www-authenticate"), ["Basic realm=\"one\"", "Bearer realm=\"two\""]);
    let cookies = ["a=1; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2"];
    assert_eq!(answer.header_lines("set-cookie"), cookies);
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.text(), "who are you?");
    assert_eq!(guarded.app.received().count(), 0);
}

async fn a_way_to_log_in_reaches_the_client_as_the_server_wrote_it<H: Host>() {
    let ask = |configuration: &mut Value| {
        configuration["forward_auth"]["request_headers"] = json!(["x-way"]);
    };
    let guarded = Guarded::<H>::start(ask, |asked| {
        let way = asked.header("x-way").expect("the way");
        Answer::status(302).header("location", way).header("set-cookie", "state=1")
    })
    .await;
    for way in ["/login?return=%2F", "login", "../x", "https://login.example/?a=b&c=%26#d"] {
        let request = Request::get("/app").host("shop.example").header("x-way", way);
        let answer = guarded.send(request).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(way)));
        assert_eq!(answer.header("set-cookie"), Some("state=1"));
        assert!(!answer.body.is_empty(), "a host would put a page of its own there");
    }
}

async fn only_chosen_headers_of_a_denial_reach_the_client<H: Host>() {
    let decide = |_: &Received| {
        Answer::status(403)
            .header("x-reason", "too late")
            .header("x-secret", "of the server")
            .header("set-cookie", "a=1")
            .header("content-type", "text/html")
            .header("x-user-id", "alice")
            .header("keep-alive", "timeout=5")
            .body("<p>Too late.</p>")
    };
    let choose = |configuration: &mut Value| {
        configuration["forward_auth"]["client_headers"] = json!(["x-reason", "content-type"]);
    };
    let guarded = Guarded::<H>::start(choose, decide).await;
    let answer = guarded.send(Request::get("/")).await;
    assert_eq!((answer.status, answer.text()), (403, "<p>Too late.</p>"));
    assert_eq!(answer.header("x-reason"), Some("too late"));
    assert_eq!(answer.header("content-type"), Some("text/html"));
    for name in ["x-secret", "set-cookie", "x-user-id", "keep-alive"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

async fn a_denial_without_its_body_is_not_empty<H: Host>() {
    let decide =
        |_: &Received| Answer::status(401).header("content-type", "text/html").body("<p>Secret.</p>");
    let keep = |configuration: &mut Value| configuration["forward_auth"]["relay_body"] = json!(false);
    let kept = Guarded::<H>::start(keep, decide).await;
    let empty = Guarded::<H>::start(|_| (), |_| Answer::status(401)).await;
    let head = |configuration: &mut Value| configuration["forward_auth"]["method"] = json!("HEAD");
    let head = Guarded::<H>::start(head, decide).await;
    for guarded in [&kept, &empty, &head] {
        let answer = guarded.send(Request::get("/")).await;
        assert_eq!((answer.status, answer.header("content-type")), (401, Some("application/json")));
        assert_eq!(answer.json()["error"], "unauthorized");
    }
    assert_eq!(head.server.asked().last().unwrap().method, "HEAD");
}

/// One host that asks a failing server at each path.
struct Failing<H> {
    app: Echo,
    host: H,
    cases: Vec<Case>,
}

/// A server that fails in one way, what the operator wants then, and where the host asks the server.
struct Case {
    failure: Failure,
    action: &'static str,
    /// None once it was stopped.
    server: Option<Faulty>,
    path: String,
}

impl<H: Host> Failing<H> {
    async fn start(failures: impl IntoIterator<Item = Failure>) -> Self {
        let mut cases = Vec::new();
        for failure in failures {
            for action in ["deny", "allow"] {
                let server = Faulty::start(failure.clone()).await.unwrap();
                let path = format!("/{}/", cases.len());
                cases.push(Case { failure: failure.clone(), action, server: Some(server), path });
            }
        }
        let names: Vec<_> = (0..cases.len()).map(|number| format!("auth-{number}")).collect();
        let addresses = cases.iter().flat_map(|case| case.server.iter().map(Faulty::address));
        let upstreams: Vec<_> = names.iter().map(String::as_str).zip(addresses).collect();
        let configurations: Vec<_> = cases
            .iter()
            .zip(&upstreams)
            .map(|(case, (name, address))| {
                let configuration = json!({
                    "forward_auth": {
                        "url": format!("http://{name}.internal/verify"),
                        "upstream": H::upstream(name, *address),
                        "identity_headers": ["x-user-id", "x-user1", "x-auth-*"],
                    },
                    "timeout": "500ms",
                    "on_error": {"action": case.action},
                    "rules": [{"prefix": format!("{}public", case.path), "access": "public"}],
                });
                (case.path.clone(), configuration)
            })
            .collect();
        let app = Echo::start().await.unwrap();
        let host = H::start_at(H::builder(&app, &upstreams), configurations).await;
        Self { app, host, cases }
    }
}

impl Case {
    /// What the operator wants became of the request: nobody, or a denial of the filter's own.
    fn check(&self, answer: &Response) {
        if self.action == "allow" {
            assert_eq!(identity(answer), [], "{:?}", self.failure);
        } else {
            let error = answer.json()["error"].clone();
            assert_eq!((answer.status, error), (503, json!("unavailable")), "{:?}", self.failure);
        }
    }
}

async fn a_server_that_does_not_answer_is_an_error<H: Host>() {
    let quick = [Failure::Refuse, Failure::CloseAtOnce, Failure::Reset, Failure::Garbage];
    let halves = [Failure::HalfHead, Failure::ShortBody];
    let failing = Failing::<H>::start(quick.into_iter().chain(halves)).await;
    let mut received = 0;
    for case in &failing.cases {
        let answer = client::send(failing.host.address(), forging(Request::get(&case.path))).await;
        case.check(&answer);
        received += u64::from(case.action == "allow");
        assert_eq!(failing.app.received().count(), received, "{:?}", case.failure);
    }
}

/// In Envoy the wait ends with `timeout`. On APISIX it ends when the server does: each byte that comes begins it anew.
async fn a_server_that_answers_byte_by_byte_lets_nobody_in<H: Host>() {
    let Failing { app, host, cases } = Failing::<H>::start([Failure::DripHead, Failure::DripBody]).await;
    for (number, mut case) in cases.into_iter().enumerate() {
        app.received().clear();
        let waiting = tokio::spawn(client::send(host.address(), forging(Request::get(&case.path))));
        case.server.as_ref().expect("it runs").wait_for_requests(1).await;
        // Others are served meanwhile.
        let public = format!("{}public", case.path);
        let other = client::send(host.address(), forging(Request::get(&public))).await;
        assert_eq!(identity(&other), [], "{:?}", case.failure);
        if !H::BOUNDS_CALLS {
            assert!(!waiting.is_finished(), "{:?}", case.failure);
            case.server.take().expect("it runs").stop().await;
        }
        let answer = waiting.await.unwrap();
        case.check(&answer);
        let expected = if case.action == "allow" { 2 } else { 1 };
        assert_eq!(app.received().count(), expected, "{:?}", case.failure);
        host.wait_for_log(&format!("auth server http://auth-{number}.internal/verify")).await;
    }
}

async fn the_operators_own_denials_come_before_the_servers<H: Host>() {
    let change = |configuration: &mut Value| {
        configuration["on_unauthenticated"] = json!({"redirect": "https://login.example/?to={url}"});
        configuration["on_forbidden"] = json!({"status": 404, "body": "Not here."});
    };
    let guarded = Guarded::<H>::start(change, |asked| match asked.header("authorization") {
        Some(b"forbidden") => Answer::status(403).header("set-cookie", "a=1").body("said the server"),
        Some(b"elsewhere") => Answer::status(302).header("location", "/own").body("said the server"),
        _ => Answer::status(401).header("www-authenticate", "Basic realm=\"a\"").body("said the server"),
    })
    .await;
    let request = || Request::get("/app?a=b").host("shop.example");
    let answer = guarded.send(request().header("accept", "text/html")).await;
    let way = "https://login.example/?to=http%3A%2F%2Fshop.example%2Fapp%3Fa%3Db";
    assert_eq!((answer.status, answer.header("location")), (302, Some(way)));
    assert!(!answer.text().contains("said the server"));
    let answer = guarded.send(request()).await;
    assert_eq!((answer.status, answer.header("location")), (401, None), "no navigation");
    assert!(!answer.body.is_empty());
    let answer = guarded.send(request().header("authorization", "forbidden")).await;
    assert_eq!((answer.status, answer.text()), (404, "Not here."));
    let answer = guarded.send(request().header("authorization", "elsewhere")).await;
    assert_eq!((answer.status, answer.header("location")), (302, Some("/own")), "a redirect is no 401");
}

const GRPC: [(&str, &str); 4] = [("nobody", "16"), ("forbidden", "7"), ("elsewhere", "16"), ("broken", "14")];

fn denying(asked: &Received) -> Answer {
    match asked.header("authorization") {
        Some(b"alice") => ok(),
        Some(b"forbidden") => Answer::status(403).body("<p>No.</p>"),
        Some(b"elsewhere") => Answer::status(302).header("location", "/login"),
        Some(b"broken") => Answer::status(500),
        _ => Answer::status(401),
    }
}

/// APISIX knows no gRPC replies, so the status stands in the headers.
#[tokio::test]
async fn a_denial_of_a_grpc_request_has_its_status_in_a_header_on_apisix() {
    let guarded = Guarded::<Apisix>::start(|_| (), denying).await;
    for (value, status) in GRPC {
        let request = Request::post("/shop.Orders/List", vec![0; 5])
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .header("authorization", value);
        let answer = client::send_http2(guarded.host.address(), request).await;
        assert_eq!(answer.header("grpc-status"), Some(status), "{value}: {answer:?}");
        assert!(answer.header("grpc-message").is_some_and(|message| !message.is_empty()), "{value}");
    }
    assert_eq!(guarded.app.received().count(), 0);
}

#[tokio::test]
async fn a_denial_of_a_grpc_request_is_a_grpc_status_in_envoy() {
    let guarded = Guarded::<Envoy>::start(|_| (), denying).await;
    for (value, status) in GRPC {
        for content_type in ["application/grpc", "application/grpc+proto"] {
            let request = Request::post("/shop.Orders/List", vec![0; 5])
                .header("content-type", content_type)
                .header("te", "trailers")
                .header("authorization", value);
            let answer = client::send_http2(guarded.host.address(), request).await;
            assert_eq!(
                (answer.status, answer.header("grpc-status")),
                (200, Some(status)),
                "{value}: {answer:?}"
            );
            assert!(answer.header("grpc-message").is_some_and(|message| !message.is_empty()));
        }
    }
    assert_eq!(guarded.app.received().count(), 0);
    let other = Request::post("/", "x").header("content-type", "application/grpcweb");
    assert_eq!(client::send_http2(guarded.host.address(), other).await.status, 401);
}
