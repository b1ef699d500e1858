//! What the server is asked, how often, and what of the client's it never sees.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use wasm_tests::client::{self, Request};
use wasm_tests::envoy::Envoy;
use wasm_tests::on_each_host;
use wasm_tests::received::Received;
use wasm_tests::scene::{Host, seen};

use crate::{Guarded, SECRET, by_name, identity, is, with_token};

on_each_host! {
    the_token_is_asked_about_in_a_form_and_nothing_else_of_the_client_is_sent,
    an_authorization_of_the_operator_s_is_sent_as_it_is,
    without_a_client_the_filter_does_not_say_who_it_is,
    whatever_a_token_holds_arrives_as_that_token,
    a_body_of_the_client_reaches_the_app_whole_and_the_server_not_at_all,
    an_answer_is_used_again_for_its_token_alone,
    a_token_that_nobody_could_have_is_not_asked_about,
    neither_secret_nor_token_is_in_the_log,
}

fn text(asked: &Received, name: &str) -> Option<String> {
    let values = asked.header_all(name);
    assert!(values.len() <= 1, "{name} is repeated");
    values.first().map(|value| String::from_utf8_lossy(value).into_owned())
}

fn one(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

async fn the_token_is_asked_about_in_a_form_and_nothing_else_of_the_client_is_sent<H: Host>() {
    let guarded = Guarded::<H>::start(|_| (), by_name).await;
    let request = with_token("at-alice")
        .header("cookie", "session=client-key")
        .header("dpop", "client-key")
        .header("user-agent", "client-agent")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-api-key", "client-key")
        .header("proxy-authorization", "Basic client-key")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(identity(&guarded.send(request).await), is("alice"));
    let asked = guarded.server.last().unwrap();
    assert_eq!(asked.form(), one("token", "at-alice"));
    let received = asked.received;
    assert_eq!((received.method.as_str(), received.target.as_str()), ("POST", "/introspect?realm=a"));
    let credentials = BASE64_STANDARD.encode("a+filter:hunter2%3A%2B%26");
    for (name, expected) in [
        ("host", "login.example"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-length", &received.body_length.to_string()),
        ("accept", "application/json"),
        ("x-forwarded-host", "login.example"),
        ("authorization", &format!("Basic {credentials}")),
    ] {
        assert_eq!(text(&received, name).as_deref(), Some(expected), "{name}");
    }
    let printed = format!("{:?} {}", received.headers, received.target);
    for hidden in ["at-alice", "client-key", "client-agent", "10.0.0.1"] {
        assert!(!printed.contains(hidden), "{printed}");
    }
    for name in ["cookie", "dpop", "x-api-key", "transfer-encoding", "te", "expect"] {
        assert_eq!(received.header(name), None, "{name}");
    }
}

async fn an_authorization_of_the_operator_s_is_sent_as_it_is<H: Host>() {
    let guarded = Guarded::<H>::start(
        |configuration| {
            let asked = configuration["jwt"][0]["introspection"].as_object_mut().unwrap();
            asked.remove("client_id");
            asked.remove("client_secret");
            asked.insert("authorization".to_owned(), json!("Bearer a.b-c=="));
            asked.insert("token_type_hint".to_owned(), json!("access_token"));
        },
        by_name,
    )
    .await;
    assert_eq!(identity(&guarded.send(with_token("at-alice")).await), is("alice"));
    let asked = guarded.server.last().unwrap();
    assert_eq!(text(&asked.received, "authorization").as_deref(), Some("Bearer a.b-c=="));
    let expected = [one("token", "at-alice"), one("token_type_hint", "access_token")].concat();
    assert_eq!(asked.form(), expected);
}

async fn without_a_client_the_filter_does_not_say_who_it_is<H: Host>() {
    let guarded = Guarded::<H>::start(
        |configuration| {
            let asked = configuration["jwt"][0]["introspection"].as_object_mut().unwrap();
            asked.remove("client_id");
            asked.remove("client_secret");
        },
        by_name,
    )
    .await;
    assert_eq!(identity(&guarded.send(with_token("at-alice")).await), is("alice"));
    assert_eq!(guarded.server.last().unwrap().received.header("authorization"), None);
}

async fn whatever_a_token_holds_arrives_as_that_token<H: Host>() {
    let guarded = Guarded::<H>::start(|_| (), by_name).await;
    let long = "x".repeat(12_000);
    for token in ["at-a+b/c==", "at-a&token=at-admin", "at-a%26b", "at-~._-|!#$'()*;:@?[]{}^`<>\"\\", &long] {
        guarded.send(with_token(token)).await;
        let asked = guarded.server.last().unwrap();
        assert_eq!(asked.form(), one("token", token));
        assert_eq!(asked.received.body_length, asked.body.len() as u64);
    }
    assert_eq!(guarded.server.asked().count(), 5);
}

async fn a_body_of_the_client_reaches_the_app_whole_and_the_server_not_at_all<H: Host>() {
    let guarded = Guarded::<H>::start(|_| (), by_name).await;
    let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).take(100_000).collect();
    let request = Request::post("/upload", body.clone()).header("authorization", "Bearer at-alice");
    let answer = guarded.send(request).await;
    let direct = client::send(guarded.app.address(), Request::post("/upload", body)).await;
    assert_eq!(seen(&answer).whole["body_sha256"], direct.json()["body_sha256"]);
    assert_eq!(identity(&answer), is("alice"));
    assert_eq!(guarded.server.last().unwrap().form(), one("token", "at-alice"));
}

async fn an_answer_is_used_again_for_its_token_alone<H: Host>() {
    let one_worker = |_: &mut Value| ();
    let guarded = Guarded::<H>::start(one_worker, by_name).await;
    for _ in 0..20 {
        for user in ["alice", "bob"] {
            assert_eq!(identity(&guarded.send(with_token(&format!("at-{user}"))).await), is(user));
        }
        assert_eq!(guarded.send(with_token("gone")).await.status, 401);
    }
    // Two workers, each with its own cache.
    let asked = guarded.server.asked().count();
    assert!((3..=6).contains(&asked), "{asked}");
}

async fn a_token_that_nobody_could_have_is_not_asked_about<H: Host>() {
    let guarded = Guarded::<H>::start(|_| (), by_name).await;
    for request in [
        with_token("at-alice at-bob"),
        with_token(" at-alice"),
        with_token(&"x".repeat(17_000)),
        with_token("at-alice,at-bob"),
    ] {
        let answer = guarded.send(request).await;
        let challenge = Some("Bearer error=\"invalid_token\"");
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, challenge));
    }
    for request in [Request::get("/"), Request::get("/").header("authorization", "Basic eDp5")] {
        let answer = guarded.send(request).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    }
    assert_eq!((guarded.server.asked().count(), guarded.app.received().count()), (0, 0));
}

async fn neither_secret_nor_token_is_in_the_log<H: Host>() {
    let guarded = Guarded::<H>::start(
        |configuration| configuration["log_level"] = json!("debug"),
        |question| match question.token().as_deref() {
            Some("at-broken") => by_name(question).header("x-odd", SECRET).body("{"),
            _ => by_name(question),
        },
    )
    .await;
    for token in ["at-alice", "gone", "at-broken"] {
        guarded.send(with_token(token)).await;
    }
    guarded.host.wait_for_log("auth server http://login.example/introspect?…").await;
    guarded
        .host
        .wait_for_log("serves tokens of https://login.example by asking http://login.example/introspect?…")
        .await;
    let log = guarded.host.log();
    let credentials = BASE64_STANDARD.encode("a+filter:hunter2%3A%2B%26");
    for hidden in ["hunter2", "at-alice", "at-broken", "realm=a", &credentials] {
        let found: Vec<_> =
            log.lines().filter(|line| line.contains("authgear-filter:") && line.contains(hidden)).collect();
        assert_eq!(found, [""; 0], "{hidden}");
    }
}

// In Envoy alone: on APISIX each request asks for itself.
#[tokio::test]
async fn many_requests_with_one_token_ask_once() {
    let guarded = Guarded::<Envoy>::start(|_| (), by_name).await;
    let requests: Vec<_> =
        (0..50).map(|_| tokio::spawn(client::send(guarded.host.address(), with_token("at-alice")))).collect();
    for request in requests {
        assert_eq!(identity(&request.await.unwrap()), is("alice"));
    }
    let asked = guarded.server.asked().count();
    assert!((1..=2).contains(&asked), "one for each worker: {asked}");
    let answer = client::send_http2(guarded.host.address(), with_token("at-bob")).await;
    assert_eq!(identity(&answer), is("bob"), "over HTTP/2 too");
}
