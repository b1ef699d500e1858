//! Which requests pass as which user, on which route, and which server is asked.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use serde_json::{Value, json};
use wasm_tests::authgear::{Authgear, Options};
use wasm_tests::authorizer::Authorizer;
use wasm_tests::client::{self, Connection, Protocol, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::faulty::Answer;
use wasm_tests::on_each_host;
use wasm_tests::received::Received;
use wasm_tests::scene::{Host, ORIGIN, seen};

use crate::{Guarded, forging, identity, ok, pairs, text};

on_each_host! {
    an_identity_that_the_answer_omits_is_not_the_clients,
    each_status_means_what_it_means_to_the_peers,
    a_user_name_with_an_encoded_line_break_is_no_second_user,
    the_answers_authorization_replaces_the_clients,
    credentials_that_were_sent_are_removed_where_the_operator_wants_it,
    a_public_route_asks_nobody,
    an_optional_route_lets_in_who_is_unknown_and_not_who_is_forbidden,
    an_answer_is_used_again_for_the_same_request_alone,
    without_a_ttl_every_request_is_asked_about,
    a_token_of_a_listed_issuer_is_decided_here_and_any_other_is_asked_about,
    a_cookie_of_an_accepting_answer_reaches_the_client_of_an_accepted_request,
    a_repeated_identity_header_reaches_the_app_line_by_line,
}

/// Names the user by the `Authorization` header, and denies a request without one.
fn by_authorization(asked: &Received) -> Answer {
    match asked.header("authorization") {
        Some(value) => ok().header("x-user-id", value),
        None => Answer::status(401).header("www-authenticate", "Basic realm=\"a\""),
    }
}

async fn an_identity_that_the_answer_omits_is_not_the_clients<H: Host>() {
    for status in [200, 204] {
        let guarded = Guarded::<H>::start(|_| (), move |_| Answer::status(status)).await;
        assert_eq!(identity(&guarded.send(forging(Request::get("/"))).await), [], "{status}");
    }
    let decide = |_: &Received| ok().header("x-user-id", "alice").header("x-other", "no");
    let guarded = Guarded::<H>::start(|_| (), decide).await;
    let answer = guarded.send(forging(Request::get("/"))).await;
    assert_eq!(identity(&answer), pairs(&[("x-user-id", "alice")]));
    assert!(!seen(&answer).headers.iter().any(|(name, _)| name == "x-other"), "it is not listed");
}

async fn each_status_means_what_it_means_to_the_peers<H: Host>() {
    let decide = |asked: &Received| {
        let said = |name| text(asked, name).unwrap_or_default();
        let answer = Answer::status(said("x-want").parse().unwrap_or(500)).body("said the server");
        match said("x-way").as_str() {
            "" => answer,
            way => answer.header("location", way),
        }
    };
    let send_these = |configuration: &mut Value| {
        configuration["forward_auth"]["request_headers"] = json!(["x-want", "x-way"]);
    };
    let guarded = Guarded::<H>::start(send_these, decide).await;
    #[rustfmt::skip]
    let cases = [
        // The server's status, its Location, what the client gets.
        ("200", "", 200), ("201", "", 200), ("204", "", 200), ("299", "", 200),
        ("401", "", 401), ("403", "", 403),
        ("301", "/login", 301), ("302", "/login", 302), ("303", "/login", 303), ("307", "/login", 307), ("308", "/login", 308),
        ("302", "", 503), ("404", "", 404), ("405", "", 405), ("429", "", 429), ("407", "", 503), ("500", "", 503), ("502", "", 503), ("503", "", 503),
    ];
    for (status, way, expected) in cases {
        guarded.app.received().clear();
        let request = Request::get("/").header("x-want", status);
        let request = if way.is_empty() { request } else { request.header("x-way", way) };
        let answer = guarded.send(request).await;
        assert_eq!(answer.status, expected, "{status}: {answer:?}");
        assert_eq!(guarded.app.received().count(), u64::from(expected == 200), "{status}");
        match expected {
            200 => {}
            503 => assert_eq!(answer.json()["error"], "unavailable", "{status}"),
            _ => assert_eq!(answer.text(), "said the server", "{status}"),
        }
    }
}

async fn a_user_name_with_an_encoded_line_break_is_no_second_user<H: Host>() {
    let guarded = Guarded::<H>::start(
        |configuration| configuration["forward_auth"]["extra_headers"] = json!({"x-resource": "{path}"}),
        |asked| match text(asked, "x-resource").as_deref() {
            Some(path) => ok().header("x-user-id", path.trim_start_matches("/?name=")),
            None => Answer::status(403),
        },
    )
    .await;
    for name in
        ["guest%0d%0ax-user1:admin", "guest%0Ax-user1:%20admin", "guest%00", "guest%250d%250ax-user1:"]
    {
        let answer = guarded.send(forging(Request::get(&format!("/?name={name}")))).await;
        assert_eq!(identity(&answer), pairs(&[("x-user-id", name)]));
        assert_eq!(guarded.server.asked().last().unwrap().header("x-user1"), None);
    }
}

async fn the_answers_authorization_replaces_the_clients<H: Host>() {
    let change = |configuration: &mut Value| {
        configuration["forward_auth"]["identity_headers"] = json!(["authorization", "x-auth-*"]);
        configuration["rules"] = json!([{"prefix": "/public", "access": "public"}]);
    };
    let decide = |asked: &Received| match asked.header("authorization") {
        Some(b"Basic silent") => ok(),
        Some(_) => ok().header("authorization", "Bearer signed").header("x-auth-username", "alice"),
        None => Answer::status(401),
    };
    let guarded = Guarded::<H>::start(change, decide).await;
    let authorization = |answer: &Response| -> Vec<String> {
        let headers = seen(answer).headers.into_iter();
        headers.filter(|(name, _)| name == "authorization").map(|(_, value)| value).collect()
    };
    let request = |path, value| forging(Request::get(path)).header("authorization", value);
    let answer = guarded.send(request("/", "Basic eDp5")).await;
    assert_eq!(authorization(&answer), ["Bearer signed"]);
    let named: Vec<_> = identity(&answer).into_iter().filter(|(name, _)| name.contains("auth")).collect();
    assert_eq!(named, pairs(&[("x-auth-username", "alice")]));
    let answer = guarded.send(request("/", "Basic silent")).await;
    assert_eq!(authorization(&answer), [""; 0], "what the answer omits is not the client's");
    let answer = guarded.send(request("/public", "Basic eDp5")).await;
    assert_eq!(authorization(&answer), ["Basic eDp5"], "kept on public routes, and it alone");
    assert!(!seen(&answer).headers.iter().any(|(name, _)| name.contains("auth-")));
}

async fn credentials_that_were_sent_are_removed_where_the_operator_wants_it<H: Host>() {
    let change = |configuration: &mut Value| {
        configuration["forward_auth"]["cookies"] = json!(["sid"]);
        configuration["strip_credentials"] = json!(true);
        configuration["rules"] = json!([{"prefix": "/public", "access": "public"}]);
    };
    let guarded = Guarded::<H>::start(change, by_authorization).await;
    for path in ["/", "/public"] {
        let request = Request::get(path)
            .header("authorization", "Basic eDp5")
            .header("cookie", "theme=dark; sid=1; a=2");
        let headers = seen(&guarded.send(request).await).headers;
        assert!(!headers.iter().any(|(name, _)| name == "authorization"), "{path}: {headers:?}");
        assert!(headers.contains(&("cookie".into(), "theme=dark; a=2".into())), "{path}: {headers:?}");
    }
}

async fn a_public_route_asks_nobody<H: Host>() {
    let change = |configuration: &mut Value| {
        configuration["rules"] = json!([{"prefix": "/public", "access": "public"}]);
    };
    let guarded = Guarded::<H>::start(change, by_authorization).await;
    let preflight = Request::new("OPTIONS", "/app")
        .header("origin", "https://other.example")
        .header("access-control-request-method", "PUT");
    for request in
        [Request::get("/public/x"), Request::get("/public").header("authorization", "a"), preflight]
    {
        assert_eq!(identity(&guarded.send(forging(request)).await), []);
    }
    assert_eq!(guarded.server.asked().count(), 0);
    // The server is asked even without a credential: it may answer with a challenge.
    for path in ["/app", "/public/..%2fapp", "//app", "/public/../app"] {
        let answer = guarded.send(Request::get(path)).await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some("Basic realm=\"a\"")),
            "{path}"
        );
    }
    assert_eq!(guarded.server.asked().count(), 4);
}

async fn an_optional_route_lets_in_who_is_unknown_and_not_who_is_forbidden<H: Host>() {
    let optional = |configuration: &mut Value| configuration["access"] = json!("optional");
    let guarded = Guarded::<H>::start(optional, |asked| match asked.header("authorization") {
        Some(b"alice") => ok().header("x-user-id", "alice"),
        Some(b"forbidden") => Answer::status(403).body("no"),
        Some(b"elsewhere") => Answer::status(302).header("location", "/login").header("x-user-id", "x"),
        Some(b"broken") => Answer::status(500),
        _ => Answer::status(401).header("x-user-id", "x"),
    })
    .await;
    let send =
        async |value: &str| guarded.send(forging(Request::get("/")).header("authorization", value)).await;
    assert_eq!(identity(&send("alice").await), pairs(&[("x-user-id", "alice")]));
    assert_eq!(identity(&send("nobody").await), []);
    assert_eq!(identity(&send("elsewhere").await), []);
    assert_eq!(identity(&guarded.send(forging(Request::get("/"))).await), []);
    let answer = send("forbidden").await;
    assert_eq!((answer.status, answer.text()), (403, "no"));
    assert_eq!(send("broken").await.status, 503);
}

async fn an_answer_is_used_again_for_the_same_request_alone<H: Host>() {
    let cached = |configuration: &mut Value| configuration["cache"] = json!({"ttl": "1m"});
    let guarded = Guarded::<H>::start(cached, |asked| {
        let said = |name| text(asked, name).unwrap_or_default();
        let all = ["x-forwarded-method", "x-forwarded-host", "x-forwarded-uri", "authorization", "cookie"];
        ok().header("x-user-id", all.map(said).join(" "))
    })
    .await;
    let mut connection = Connection::open(guarded.host.address(), Protocol::Http1).await;
    let plain = |method, path| Request::new(method, path).host("shop.example");
    let requests = [
        (plain("GET", "/a"), "GET shop.example /a  "),
        (plain("POST", "/a"), "POST shop.example /a  "),
        (plain("GET", "/b"), "GET shop.example /b  "),
        (plain("GET", "/a?x"), "GET shop.example /a?x  "),
        (plain("GET", "/a").host("other.example"), "GET other.example /a  "),
        (plain("GET", "/a").header("authorization", "a"), "GET shop.example /a a "),
        (plain("GET", "/a").header("cookie", "a=1"), "GET shop.example /a  a=1"),
        (
            plain("GET", "/a").header("authorization", "a").header("cookie", "a=1"),
            "GET shop.example /a a a=1",
        ),
    ];
    // A connection belongs to one worker, so its second round is answered from the cache.
    for round in 0..2 {
        for (request, expected) in &requests {
            let request = request.clone().header("x-request-id", format!("{round}"));
            let answer = connection.send(request.header("user-agent", format!("{round}"))).await;
            // A header's value has no white space at its end.
            assert_eq!(identity(&answer), pairs(&[("x-user-id", expected.trim_end())]), "{round}");
        }
    }
    assert_eq!(guarded.server.asked().count(), requests.len() as u64);
}

async fn without_a_ttl_every_request_is_asked_about<H: Host>() {
    let guarded = Guarded::<H>::start(|_| (), by_authorization).await;
    let mut connection = Connection::open(guarded.host.address(), Protocol::Http1).await;
    for count in 1..=3 {
        let answer = connection.send(Request::get("/").header("authorization", "a")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(connection.send(Request::get("/")).await.status, 401);
        assert_eq!(guarded.server.asked().count(), count * 2);
    }
}

async fn a_token_of_a_listed_issuer_is_decided_here_and_any_other_is_asked_about<H: Host>() {
    let start = async |origin: &str| {
        let options = Options { public_origin: Some(origin.to_owned()), ..Options::default() };
        Authgear::start(options).await.expect("a port for the issuer")
    };
    let (issuer, stranger) = (start(ORIGIN).await, start("https://stranger.example").await);
    let jwks = issuer.jwks();
    let change = move |configuration: &mut Value| {
        configuration["jwt"] = json!([{
            "issuer": ORIGIN, "audiences": [ORIGIN], "jwks": jwks, "headers": {"x-user": "sub"},
        }]);
    };
    let guarded = Guarded::<H>::start(change, |asked| match asked.header("authorization") {
        Some(_) => ok().header("x-user-id", "asked"),
        None => Answer::status(401).body("said the server"),
    })
    .await;
    let send = async |token: &str| {
        let request = forging(Request::get("/")).header("x-user", "forged");
        guarded.send(request.header("authorization", format!("Bearer {token}"))).await
    };
    let answer = send(&issuer.jwt("alice")).await;
    assert_eq!(identity(&answer), [], "{answer:?}");
    assert!(seen(&answer).headers.contains(&("x-user".into(), "alice".into())), "{answer:?}");

    let good = issuer.jwt("alice");
    let (signed, _) = good.rsplit_once('.').unwrap();
    for refused in [issuer.id_token("alice"), format!("{signed}.AAAA")] {
        let answer = send(&refused).await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some("Bearer error=\"invalid_token\""))
        );
    }
    assert_eq!(guarded.server.asked().count(), 0, "what is decided here is not asked about");

    for (count, other) in [stranger.jwt("alice"), issuer.opaque_token("alice")].iter().enumerate() {
        let answer = send(other).await;
        assert_eq!(identity(&answer), pairs(&[("x-user-id", "asked")]));
        assert!(!seen(&answer).headers.iter().any(|(name, _)| name == "x-user"));
        assert_eq!(guarded.server.asked().count(), count as u64 + 1);
    }
    let answer = guarded.send(Request::get("/")).await;
    assert_eq!((answer.status, answer.text()), (401, "said the server"));
}

async fn a_repeated_identity_header_reaches_the_app_line_by_line<H: Host>() {
    let decide = |_: &Received| ok().header("x-auth-groups", "a").header("x-auth-groups", "b, c");
    let guarded = Guarded::<H>::start(|_| (), decide).await;
    let answer = guarded.send(forging(Request::get("/"))).await;
    assert_eq!(identity(&answer), pairs(&[("x-auth-groups", "a"), ("x-auth-groups", "b, c")]));
    let twice = |_: &Received| ok().header("authorization", "Bearer a").header("authorization", "Bearer b");
    let with = |configuration: &mut Value| {
        configuration["forward_auth"]["identity_headers"] = json!(["authorization"]);
    };
    let guarded = Guarded::<H>::start(with, twice).await;
    assert_eq!(guarded.send(Request::get("/")).await.status, 503);
    assert_eq!(guarded.app.received().count(), 0);
}

/// Two clients without a credential ask the same question. Each gets the session that was made for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_waits_without_a_credential_gets_a_cookie_of_its_own() {
    let (release, released) = mpsc::channel::<()>();
    let (released, made) = (Mutex::new(Some(released)), AtomicU64::new(0));
    let decide = move |_: &Received| {
        // Hold the first question until others wait for its answer.
        let first = released.lock().unwrap().take();
        if let Some(first) = first {
            tokio::task::block_in_place(|| first.recv().unwrap());
        }
        ok().header("set-cookie", format!("sid={}", made.fetch_add(1, Ordering::SeqCst)))
    };
    let server = Authorizer::start(decide).await.unwrap();
    let app = Echo::start().await.unwrap();
    let envoy = Envoy::builder()
        .cluster("app", app.address())
        .cluster("auth", server.address())
        .plugin(json!({"cache": {"ttl": "10s"}, "timeout": "30s", "forward_auth": {
            "url": "http://auth.internal/verify", "upstream": "auth", "identity_headers": ["x-user-id"],
        }}))
        .concurrency(1)
        .start()
        .await;
    let address = envoy.address();
    let requests: Vec<_> = (0..8).map(|_| tokio::spawn(client::send(address, Request::get("/")))).collect();
    envoy.wait_for_stat("http.ingress.downstream_rq_active", 8).await;
    release.send(()).unwrap();
    let mut cookies = BTreeSet::new();
    for answer in requests {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200);
        cookies.insert(answer.header_lines("set-cookie").concat());
    }
    assert_eq!(cookies.len(), 8, "{cookies:?}");
    let answer = client::send(address, Request::get("/")).await;
    assert!(!cookies.contains(&answer.header_lines("set-cookie").concat()), "nothing is remembered of them");
}

async fn a_cookie_of_an_accepting_answer_reaches_the_client_of_an_accepted_request<H: Host>() {
    let decide = |_: &Received| ok().header("set-cookie", "sid=2; Path=/").header("set-cookie", "b=1");
    let guarded = Guarded::<H>::start(|_| (), decide).await;
    let answer = guarded.send(Request::get("/")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header_lines("set-cookie"), ["sid=2; Path=/", "b=1"]);
}
