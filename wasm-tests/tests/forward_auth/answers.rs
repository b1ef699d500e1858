//! What of an accepting answer goes where: to the app under its own names, to the client, and to the rules.

use std::net::SocketAddr;

use serde_json::{Value, json};
use wasm_tests::apisix::Apisix;
use wasm_tests::client::{self, Connection, Protocol, Request, Response};
use wasm_tests::envoy::Envoy;
use wasm_tests::faulty::Answer;
use wasm_tests::on_each_host;
use wasm_tests::received::Received;
use wasm_tests::scene::{Host, seen};

use crate::{Guarded, ok, pairs, text};

on_each_host! {
    headers_of_an_accepting_answer_take_the_place_of_the_apps_and_cookies_are_added,
    a_remembered_answer_brings_its_headers_to_the_client_and_never_its_cookie,
    without_a_word_the_client_gets_the_cookie_alone_and_with_an_empty_list_nothing,
    a_denial_of_the_filters_own_gets_nothing_but_the_cookie_of_an_accepting_answer,
    a_header_reaches_the_app_by_the_apps_name_and_no_client_sends_either_name,
    groups_of_an_answer_meet_what_a_rule_requires,
    a_list_of_groups_reaches_the_app_only_where_it_is_listed,
    over_http_2_the_client_gets_the_same_headers,
}

/// Lists headers for the client.
fn for_client(list: Value) -> impl FnOnce(&mut Value) {
    move |configuration| configuration["forward_auth"]["client_headers_on_success"] = list
}

/// An answer with headers that the app's response has too.
fn with_headers() -> Answer {
    ok().header("x-user-id", "alice")
        .header("cache-control", "private")
        .header("cache-control", "max-age=60")
        .header("x-session-ends", "2026-11-25")
        .header("x-session-note", "one")
        .header("x-session-note", "two, three")
        .header("set-cookie", "sid=2; Path=/")
        .header("set-cookie", "b=1")
        .header("content-type", "text/x-auth")
        .header("x-other", "no")
}

fn has_the_headers_of_the_answer(answer: &Response) {
    // Envoy makes one line of this one.
    let cache_control = answer.header_lines("cache-control").join(",");
    assert_eq!(cache_control, "private,max-age=60", "not the app's no-store");
    assert_eq!(answer.header_lines("x-session-ends"), ["2026-11-25"]);
    assert_eq!(answer.header_lines("x-session-note"), ["one", "two, three"]);
    assert_eq!(answer.header_lines("content-type"), ["application/json"], "the app's own");
    assert_eq!(answer.header_lines("x-other"), [""; 0], "not listed");
    assert_eq!(answer.header_lines("x-user-id"), [""; 0], "not listed");
    assert!(!seen(answer).headers.iter().any(|(name, _)| name.starts_with("x-session")), "not the app's");
}

async fn headers_of_an_accepting_answer_take_the_place_of_the_apps_and_cookies_are_added<H: Host>() {
    let list = json!(["Cache-Control", "x-session-*", "set-cookie"]);
    let guarded = Guarded::<H>::start(for_client(list), |_| with_headers()).await;
    for request in [Request::get("/"), Request::post("/", "body")] {
        let answer = guarded.send(request).await;
        has_the_headers_of_the_answer(&answer);
        assert_eq!(answer.header_lines("set-cookie"), ["sid=2; Path=/", "b=1"]);
    }
}

async fn over_http_2_the_client_gets_the_same_headers<H: Host>() {
    let list = json!(["cache-control", "x-session-*", "set-*"]);
    let guarded = Guarded::<H>::start(for_client(list), |_| with_headers()).await;
    let answer = client::send_http2(guarded.host.address(), Request::get("/")).await;
    has_the_headers_of_the_answer(&answer);
    assert_eq!(answer.header_lines("set-cookie"), ["sid=2; Path=/", "b=1"]);
}

async fn a_remembered_answer_brings_its_headers_to_the_client_and_never_its_cookie<H: Host>() {
    let change = |configuration: &mut Value| {
        for_client(json!(["cache-control", "x-session-*", "set-cookie"]))(configuration);
        configuration["cache"] = json!({"ttl": "1m"});
    };
    let guarded = Guarded::<H>::start(change, |_| with_headers()).await;
    // One connection is one worker's.
    let mut connection = Connection::open(guarded.host.address(), Protocol::Http1).await;
    for cookies in [2, 0, 0] {
        let answer = connection.send(Request::get("/").header("cookie", "sid=1")).await;
        has_the_headers_of_the_answer(&answer);
        assert_eq!(answer.header_lines("set-cookie").len(), cookies);
    }
    assert_eq!(guarded.server.asked().count(), 1);
}

// In Envoy alone: on APISIX each request asks for itself.
#[tokio::test]
async fn those_who_wait_for_one_answer_get_its_headers_and_one_of_them_its_cookie() {
    let change = |configuration: &mut Value| {
        for_client(json!(["cache-control", "x-session-*", "set-cookie"]))(configuration);
        configuration["cache"] = json!({"ttl": "1m"});
    };
    let guarded = Guarded::<Envoy>::start(change, |_| with_headers()).await;
    let requests = (0..20).map(|_| Request::get("/").header("cookie", "sid=1"));
    let answers = together(guarded.host.address(), requests).await;
    let mut cookies = 0;
    for answer in &answers {
        has_the_headers_of_the_answer(answer);
        cookies += answer.header_lines("set-cookie").len();
    }
    let asked = usize::try_from(guarded.server.asked().count()).unwrap();
    assert!(asked < answers.len(), "{asked}");
    assert_eq!(cookies, asked * 2, "each cookie goes to the one who was asked about");
}

/// Sends requests at the same time, each on a connection of its own.
async fn together(address: SocketAddr, requests: impl Iterator<Item = Request>) -> Vec<Response> {
    let sent: Vec<_> = requests.map(|request| tokio::spawn(client::send(address, request))).collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}

async fn without_a_word_the_client_gets_the_cookie_alone_and_with_an_empty_list_nothing<H: Host>() {
    let default: fn(&mut Value) = |_| ();
    let none: fn(&mut Value) = |configuration| for_client(json!([]))(configuration);
    for (change, cookies) in [(default, 2), (none, 0)] {
        let guarded = Guarded::<H>::start(change, |_| with_headers()).await;
        let answer = guarded.send(Request::get("/")).await;
        assert_eq!(answer.header_lines("set-cookie").len(), cookies);
        assert_eq!(answer.header_lines("cache-control"), ["no-store"], "the app's");
        assert_eq!(answer.header_lines("x-session-ends"), [""; 0]);
    }
}

async fn a_denial_of_the_filters_own_gets_nothing_but_the_cookie_of_an_accepting_answer<H: Host>() {
    let change = |configuration: &mut Value| {
        for_client(json!(["cache-control", "x-session-*", "set-cookie"]))(configuration);
        configuration["forward_auth"]["roles_header"] = json!("x-groups");
        configuration["require"] = json!({"roles": ["admin"]});
    };
    let guarded = Guarded::<H>::start(change, |_| with_headers().header("x-groups", "staff")).await;
    let answer = guarded.send(Request::get("/")).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (403, Some("forbidden")));
    assert_eq!(answer.header_lines("set-cookie"), ["sid=2; Path=/", "b=1"]);
    assert_eq!(answer.header_lines("cache-control"), ["no-store"]);
    assert_eq!(answer.header_lines("x-session-ends"), [""; 0]);
    assert_eq!(guarded.app.received().count(), 0);
}

/// What the app got by names that fold to one of these.
fn told(answer: &Response, names: &[&str]) -> Vec<(String, String)> {
    let mut headers = seen(answer).headers;
    headers.retain(|(name, _)| {
        let folded = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        names.contains(&folded.as_str())
    });
    headers
}

async fn a_header_reaches_the_app_by_the_apps_name_and_no_client_sends_either_name<H: Host>() {
    let change = |configuration: &mut Value| {
        configuration["forward_auth"]["identity_headers"] = json!([
            {"header": "x-login", "from": "x-auth-request-user"},
            {"header": "x-token", "from": "authorization"},
            "x-auth-request-email",
        ]);
        configuration["rules"] = json!([{"prefix": "/public", "access": "public"}]);
    };
    let decide = |asked: &Received| match asked.header("authorization") {
        Some(b"Basic silent") => ok(),
        _ => ok()
            .header("x-auth-request-user", "alice")
            .header("x-auth-request-user", "alice again")
            .header("x-login", "mallory")
            .header("authorization", "Bearer signed")
            .header("x-auth-request-email", "alice@app.example"),
    };
    let guarded = Guarded::<H>::start(change, decide).await;
    let forging = |path: &str| {
        let names = ["X-Login", "x_login", "X-Auth-Request-User", "x.auth_request-user", "x_token"];
        let request = Request::get(path).header("connection", "x-login, x-auth-request-user");
        names.iter().fold(request, |request, name| request.header(name, "forged"))
    };
    let names = ["x-login", "x-auth-request-user", "x-token", "x-auth-request-email"];
    let mut found = told(&guarded.send(forging("/")).await, &names);
    found.sort();
    let expected = [
        ("x-auth-request-email", "alice@app.example"),
        ("x-login", "alice"),
        ("x-login", "alice again"),
        ("x-token", "Bearer signed"),
    ];
    assert_eq!(found, pairs(&expected));
    for path in ["/", "/public"] {
        let request = forging(path).header("authorization", "Basic silent");
        let answer = guarded.send(request).await;
        assert_eq!(told(&answer, &names), [], "{path}: what the answer omits is not the client's");
        assert_eq!(told(&answer, &["authorization"]), pairs(&[("authorization", "Basic silent")]), "{path}");
    }
}

async fn groups_of_an_answer_meet_what_a_rule_requires<H: Host>() {
    let change = |configuration: &mut Value| {
        configuration["forward_auth"]["roles_header"] = json!("x-groups");
        configuration["forward_auth"]["original_request"] = json!("none");
        configuration["cache"] = json!({"ttl": "1m"});
        configuration["rules"] = json!([
            {"prefix": "/admin", "require": {"roles": ["admin", "owner"]}},
            {"prefix": "/staff", "require": {"roles": ["staff"]}},
        ]);
    };
    let decide = |asked: &Received| {
        let said = text(asked, "authorization").unwrap_or_default();
        said.split('|')
            .fold(ok().header("x-user-id", "alice"), |answer, line| answer.header("x-groups", line))
    };
    let guarded = Guarded::<H>::start(change, decide).await;
    let mut connection = Connection::open(guarded.host.address(), Protocol::Http1).await;
    #[rustfmt::skip]
    let cases = [
        // The lines of the answer; what /, /admin and /staff answer.
        ("admin", [200, 200, 403]), ("staff", [200, 403, 200]), ("guest , owner ,", [200, 200, 403]),
        ("guest|staff,admin", [200, 200, 200]), (",", [200, 403, 403]), ("Admin|ad min", [200, 403, 403]),
        ("administrator", [200, 403, 403]),
    ];
    for (count, (lines, expected)) in cases.into_iter().enumerate() {
        for (path, expected) in ["/", "/admin", "/staff/x"].into_iter().zip(expected) {
            let request = ["x-groups", "X_Groups", "x.groups"]
                .iter()
                .fold(Request::get(path), |request, name| request.header(name, "admin,staff"));
            let answer = connection.send(request.header("authorization", lines)).await;
            assert_eq!(answer.status, expected, "{lines:?} {path}: {answer:?}");
            match expected {
                200 => assert_eq!(told(&answer, &["x-groups"]), [], "{lines:?}"),
                _ => assert_eq!(
                    answer.header("www-authenticate"),
                    Some("Bearer error=\"insufficient_scope\""),
                    "{lines:?}"
                ),
            }
        }
        // The first path causes a call; the others may use the cached answer.
        assert_eq!(guarded.server.asked().count(), count as u64 + 1);
    }
}

async fn a_list_of_groups_reaches_the_app_only_where_it_is_listed<H: Host>() {
    for (identity, expected) in [(json!(["x-user-id", "x-groups"]), 2), (json!(["x-user-id"]), 0)] {
        let change = move |configuration: &mut Value| {
            configuration["forward_auth"]["roles_header"] = json!("X-Groups");
            configuration["forward_auth"]["identity_headers"] = identity;
            configuration["rules"] = json!([{"prefix": "/public", "access": "public"}]);
        };
        let decide = |_: &Received| ok().header("x-groups", "a, b").header("x-groups", "c");
        let guarded = Guarded::<H>::start(change, decide).await;
        let request = |path| Request::get(path).header("x-groups", "forged").header("x_groups", "forged");
        let found = told(&guarded.send(request("/")).await, &["x-groups"]);
        assert_eq!(found, pairs(&[("x-groups", "a, b"), ("x-groups", "c")][..expected]));
        assert_eq!(told(&guarded.send(request("/public")).await, &["x-groups"]), []);
    }
}

// On APISIX alone: there the callback for a response may come on a context that saw no request.
#[tokio::test]
async fn two_clients_of_one_worker_never_get_each_others_headers() {
    let list = json!(["x-session-note", "set-cookie"]);
    let decide = |asked: &Received| {
        let who = text(asked, "authorization").unwrap_or_default();
        ok().header("x-session-note", &who).header("set-cookie", format!("sid={who}"))
    };
    let guarded = Guarded::<Apisix>::start(for_client(list), decide).await;
    let who = |number: usize| format!("client {number}");
    let requests = (0..40).map(|number| Request::get("/").header("authorization", who(number)));
    for (number, answer) in together(guarded.host.address(), requests).await.iter().enumerate() {
        assert_eq!(answer.header_lines("x-session-note"), [who(number)]);
        assert_eq!(answer.header_lines("set-cookie"), [format!("sid={}", who(number))]);
    }
}
