//! `forward_auth`: any server that says who may pass, on every host. What nginx's `auth_request`, Traefik's
//! ForwardAuth and APISIX's forward-auth are tested for, and what their users were bitten by.

use std::net::SocketAddr;

use serde_json::{Value, json};
use wasm_tests::authgear::{Authgear, Options};
use wasm_tests::authorizer::Authorizer;
use wasm_tests::client::{self, Connection, Protocol, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::faulty::{Answer, Failure, Faulty};
use wasm_tests::on_each_host;
use wasm_tests::received::Received;
use wasm_tests::scene::{Host, ORIGIN, seen};

on_each_host! {
    an_identity_that_the_answer_omits_is_not_the_clients,
    each_status_means_what_it_means_to_the_peers,
    challenges_and_cookies_of_a_denial_are_kept_apart,
    a_way_to_log_in_reaches_the_client_as_the_server_wrote_it,
    only_chosen_headers_of_a_denial_reach_the_client,
    a_denial_without_its_body_is_not_empty,
    a_body_reaches_the_app_whole_and_the_server_not_at_all,
    a_server_that_does_not_answer_is_an_error,
    a_user_name_with_an_encoded_line_break_is_no_second_user,
    the_original_request_is_told_by_the_proxy_and_not_by_the_client,
    the_original_request_is_told_as_nginx_does_where_that_is_configured,
    extra_headers_are_made_of_the_request,
    only_chosen_headers_and_cookies_are_sent,
    what_a_client_makes_too_large_is_its_own_fault,
    the_answers_authorization_replaces_the_clients,
    credentials_that_were_sent_are_removed_where_the_operator_wants_it,
    a_public_route_asks_nobody,
    an_optional_route_lets_in_who_is_unknown_and_not_who_is_forbidden,
    the_operators_own_denials_come_before_the_servers,
    an_answer_is_used_again_for_the_same_request_alone,
    without_a_ttl_every_request_is_asked_about,
    a_token_of_a_listed_issuer_is_decided_here_and_any_other_is_asked_about,
    a_cookie_of_an_accepting_answer_reaches_the_client_of_an_accepted_request,
}

/// A host that asks a server about requests to an app.
struct Guarded<H> {
    server: Authorizer,
    app: Echo,
    host: H,
}

impl<H: Host> Guarded<H> {
    async fn start(
        change: impl FnOnce(&mut Value),
        decide: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let server = Authorizer::start(decide).await.expect("a port for the auth server");
        let (app, host) = start::<H>(server.address(), change).await;
        Self { server, app, host }
    }

    async fn send(&self, request: Request) -> Response {
        client::send(self.host.address(), request).await
    }

    /// What the server was asked about this request, and nothing else.
    async fn asked(&self, request: Request) -> Received {
        self.server.asked().clear();
        self.send(request).await;
        let asked = self.server.asked().all();
        let [one] = asked.as_slice() else { panic!("{} questions", asked.len()) };
        one.clone()
    }
}

async fn start<H: Host>(server: SocketAddr, change: impl FnOnce(&mut Value)) -> (Echo, H) {
    let app = Echo::start().await.expect("a port for the app");
    let mut configuration = json!({"forward_auth": {
        "url": "http://auth.internal/verify?realm=a",
        "upstream": H::upstream("auth", server),
        "identity_headers": ["x-user-id", "x-user1", "x-auth-*"],
    }});
    change(&mut configuration);
    let host = H::start(H::builder(&app, &[("auth", server)]), configuration).await;
    (app, host)
}

fn ok() -> Answer {
    Answer::status(200)
}

/// Says who it is by the `Authorization` header; without one nobody is let in.
fn by_authorization(asked: &Received) -> Answer {
    match asked.header("authorization") {
        Some(value) => ok().header("x-user-id", value),
        None => Answer::status(401).header("www-authenticate", "Basic realm=\"a\""),
    }
}

fn forging(request: Request) -> Request {
    request
        .header("X-User-ID", "forged")
        .header("x_user_id", "forged")
        .header("x-user1", "forged")
        .header("X-Auth-Roles", "forged")
        .header("x.auth.of-tomorrow", "forged")
}

/// What of the identity headers the app was given, in any spelling; sorted.
fn identity(answer: &Response) -> Vec<(String, String)> {
    let folded = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let is_identity = |name: &str| ["x-user-id", "x-user1"].contains(&name) || name.starts_with("x-auth-");
    let mut headers = seen(answer).headers;
    headers.retain(|(name, _)| is_identity(&folded(name)));
    headers.sort();
    headers
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn text(asked: &Received, name: &str) -> Option<String> {
    let values = asked.header_all(name);
    assert!(values.len() <= 1, "{name} is repeated");
    values.first().map(|value| String::from_utf8_lossy(value).into_owned())
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
        ("302", "", 503), ("404", "", 503), ("405", "", 503), ("500", "", 503), ("502", "", 503), ("503", "", 503),
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
    for way in ["/login?return=%2F", "login", "../x", "https://login.example/?a=b&c=%26#d"] {
        let guarded = Guarded::<H>::start(
            |_| (),
            move |_| Answer::status(302).header("location", way).header("set-cookie", "state=1"),
        )
        .await;
        let answer = guarded.send(Request::get("/app").host("shop.example")).await;
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

async fn a_body_reaches_the_app_whole_and_the_server_not_at_all<H: Host>() {
    let guarded = Guarded::<H>::start(|_| (), |_| ok().header("x-user-id", "alice")).await;
    let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).take(30_000).collect();
    let request = Request::post("/upload", body.clone())
        .header("content-type", "application/json")
        .header("te", "trailers")
        .header("authorization", "123");
    let answer = guarded.send(request).await;
    let direct = client::send(guarded.app.address(), Request::post("/upload", body)).await;
    assert_eq!(seen(&answer).whole["body_sha256"], direct.json()["body_sha256"]);
    assert_eq!(seen(&answer).whole["body_length"], 30_000);

    let asked = guarded.server.asked().last().unwrap();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/verify?realm=a"));
    assert_eq!((asked.body_length, text(&asked, "host").as_deref()), (0, Some("auth.internal")));
    for name in ["content-length", "transfer-encoding", "content-type", "expect", "te", "upgrade", "trailer"]
    {
        assert_eq!(asked.header(name), None, "{name}");
    }
    // The same with a length that is not told, over one connection that goes on to be used.
    let chunked = "POST /a HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\n\r\n\
                   GET /b HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    let answers = client::raw(guarded.host.address(), chunked).await.text();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    let targets: Vec<_> = guarded.server.asked().all().iter().map(|asked| asked.target.clone()).collect();
    assert_eq!(targets, ["/verify?realm=a"; 3], "nothing was smuggled");
}

async fn a_server_that_does_not_answer_is_an_error<H: Host>() {
    let halves = [Failure::HalfHead, Failure::ShortBody];
    for failure in
        [Failure::Refuse, Failure::CloseAtOnce, Failure::Reset, Failure::Garbage].into_iter().chain(halves)
    {
        let server = Faulty::start(failure.clone()).await.unwrap();
        let (app, host) = start::<H>(server.address(), |_| ()).await;
        let answer = client::send(host.address(), forging(Request::get("/"))).await;
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (503, Some("unavailable")),
            "{failure:?}"
        );
        assert_eq!(app.received().count(), 0, "{failure:?}");

        let allow = |configuration: &mut Value| configuration["on_error"] = json!({"action": "allow"});
        let (_app, host) = start::<H>(server.address(), allow).await;
        let answer = client::send(host.address(), forging(Request::get("/"))).await;
        assert_eq!(identity(&answer), [], "{failure:?}");
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

fn spoofing(request: Request) -> Request {
    request
        .header("x-forwarded-method", "OPTIONS")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-uri", "/public")
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-forwarded-user", "admin")
        .header("x_forwarded_uri", "/public")
        .header("x-original-method", "OPTIONS")
        .header("x-original-uri", "/public")
        .header("x-original-url", "/public")
        .header("forwarded", "for=10.0.0.1;host=evil.example")
        .header("x-real-ip", "10.0.0.1")
}

async fn the_original_request_is_told_by_the_proxy_and_not_by_the_client<H: Host>() {
    // Even where everything is to be sent that a client says.
    let all = |configuration: &mut Value| {
        configuration["forward_auth"]["request_headers"] =
            json!(["authorization", "cookie", "x-*", "forwarded"]);
    };
    for change in [all as fn(&mut Value), |_| ()] {
        let guarded = Guarded::<H>::start(change, |_| ok()).await;
        let request = spoofing(Request::post("/a//b?c=%20&d", "x").host("shop.example:8443"));
        let asked = guarded.asked(request).await;
        let said = |name| text(&asked, name);
        assert_eq!(said("x-forwarded-method").as_deref(), Some("POST"));
        assert_eq!(said("x-forwarded-proto").as_deref(), Some("http"));
        assert_eq!(said("x-forwarded-host").as_deref(), Some("shop.example:8443"));
        assert_eq!(said("x-forwarded-uri").as_deref(), Some("/a//b?c=%20&d"));
        let chain = said("x-forwarded-for").expect("where it came from");
        let chain: Vec<_> = chain.split(',').map(str::trim).collect();
        assert_eq!(chain.first(), Some(&"203.0.113.7"), "what the client said comes first: {chain:?}");
        assert!(chain.len() > 1 && chain.contains(&"127.0.0.1"), "the connection's address: {chain:?}");
        for name in [
            "x-forwarded-user",
            "x_forwarded_uri",
            "x-original-method",
            "x-original-uri",
            "x-original-url",
            "forwarded",
            "x-real-ip",
        ] {
            assert_eq!(asked.header(name), None, "{name}");
        }
    }
}

async fn the_original_request_is_told_as_nginx_does_where_that_is_configured<H: Host>() {
    let original = |configuration: &mut Value| {
        configuration["forward_auth"]["original_request"] = json!("x-original");
    };
    let guarded = Guarded::<H>::start(original, |_| ok()).await;
    let asked = guarded.asked(spoofing(Request::post("/a?b", "x"))).await;
    assert_eq!(text(&asked, "x-original-method").as_deref(), Some("POST"));
    assert_eq!(text(&asked, "x-original-uri").as_deref(), Some("/a?b"));
    for name in ["x-forwarded-method", "x-forwarded-uri", "x-forwarded-user", "x-original-url", "forwarded"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    let none = |configuration: &mut Value| configuration["forward_auth"]["original_request"] = json!("none");
    let guarded = Guarded::<H>::start(none, |_| ok()).await;
    let asked = guarded.asked(spoofing(Request::get("/a?b"))).await;
    for name in ["x-original-method", "x-original-uri", "x-forwarded-method", "x-forwarded-uri"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
}

async fn extra_headers_are_made_of_the_request<H: Host>() {
    let extra = |configuration: &mut Value| {
        configuration["forward_auth"]["extra_headers"] = json!({
            "x-what": "{method} {scheme} {host} {path}", "x-url": "{url}", "x-ip": "{client_ip}", "x-key": "s3cret",
        });
        configuration["forward_auth"]["request_headers"] = json!(["x-*"]);
    };
    let guarded = Guarded::<H>::start(extra, |_| ok()).await;
    let request = Request::new("DELETE", "/a/{b}?c=d")
        .host("shop.example")
        .header("x-what", "spoofed")
        .header("x-key", "spoofed")
        .header("X_Key", "spoofed")
        .header("x-ip", "10.0.0.1")
        .header("x-forwarded-for", "10.0.0.1");
    let asked = guarded.asked(request).await;
    assert_eq!(text(&asked, "x-what").as_deref(), Some("DELETE http shop.example /a/{b}?c=d"));
    assert_eq!(text(&asked, "x-url").as_deref(), Some("http://shop.example/a/{b}?c=d"));
    assert_eq!(text(&asked, "x-ip").as_deref(), Some("127.0.0.1"));
    assert_eq!(text(&asked, "x-key").as_deref(), Some("s3cret"));
    assert_eq!(asked.header("x_key"), None);
}

async fn only_chosen_headers_and_cookies_are_sent<H: Host>() {
    let request = || {
        Request::get("/")
            .header("authorization", "Basic eDp5")
            .header("cookie", "theme=dark; sid=1; sid2=2")
            .header("cookie", "_ga=3; sid=4")
            .header("x-realm", "a")
            .header("x-realm-of", "b")
            .header("x-other", "c")
            .header("user-agent", "browser/1.0")
            .header("if-none-match", "\"x\"")
            .header("range", "bytes=0-1")
    };
    let guarded = Guarded::<H>::start(|_| (), |_| ok()).await;
    let asked = guarded.asked(request()).await;
    assert_eq!(text(&asked, "authorization").as_deref(), Some("Basic eDp5"));
    assert_eq!(text(&asked, "cookie").as_deref(), Some("theme=dark; sid=1; sid2=2; _ga=3; sid=4"));
    for name in ["x-realm", "x-other", "if-none-match", "range"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    let choose = |configuration: &mut Value| {
        configuration["forward_auth"]["request_headers"] = json!(["cookie", "x-realm", "x-realm-*"]);
        configuration["forward_auth"]["cookies"] = json!(["sid"]);
    };
    let guarded = Guarded::<H>::start(choose, |_| ok()).await;
    let asked = guarded.asked(request()).await;
    assert_eq!(text(&asked, "cookie").as_deref(), Some("sid=1; sid=4"));
    assert_eq!(text(&asked, "x-realm").as_deref(), Some("a"));
    assert_eq!(text(&asked, "x-realm-of").as_deref(), Some("b"));
    for name in ["authorization", "x-other"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
}

async fn what_a_client_makes_too_large_is_its_own_fault<H: Host>() {
    let allow = |configuration: &mut Value| configuration["on_error"] = json!({"action": "allow"});
    let guarded = Guarded::<H>::start(allow, |_| ok().header("x-user-id", "alice")).await;
    let request = Request::get("/").header("cookie", format!("a={}", "x".repeat(20_000)));
    let answer = guarded.send(request).await;
    assert!(matches!(answer.status, 400 | 431), "{answer:?}");
    assert_eq!(guarded.app.received().count(), 0);

    let guarded = Guarded::<H>::start(allow, |_| Answer::status(431)).await;
    let answer = guarded.send(Request::get("/")).await;
    assert_eq!(answer.status, 431, "{answer:?}");
    assert_eq!(guarded.app.received().count(), 0, "the server's refusal of a request opens nothing");
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
    // Without a credential the server is asked all the same: it may know a challenge.
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
    // One connection is one worker's: its second round is answered from memory.
    for round in 0..2 {
        for (request, expected) in &requests {
            let request = request.clone().header("x-request-id", format!("{round}"));
            let answer = connection.send(request.header("user-agent", format!("{round}"))).await;
            assert_eq!(identity(&answer), pairs(&[("x-user-id", expected)]), "{round}");
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

async fn a_cookie_of_an_accepting_answer_reaches_the_client_of_an_accepted_request<H: Host>() {
    let decide = |_: &Received| ok().header("set-cookie", "sid=2; Path=/").header("set-cookie", "b=1");
    let guarded = Guarded::<H>::start(|_| (), decide).await;
    let answer = guarded.send(Request::get("/")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header_lines("set-cookie"), ["sid=2; Path=/", "b=1"]);
}

#[tokio::test]
async fn a_denial_of_a_grpc_request_is_a_grpc_status_in_envoy() {
    let guarded = Guarded::<Envoy>::start(
        |_| (),
        |asked| match asked.header("authorization") {
            Some(b"alice") => ok(),
            Some(b"forbidden") => Answer::status(403).body("<p>No.</p>"),
            Some(b"elsewhere") => Answer::status(302).header("location", "/login"),
            Some(b"broken") => Answer::status(500),
            _ => Answer::status(401),
        },
    )
    .await;
    for (value, status) in [("nobody", "16"), ("forbidden", "7"), ("elsewhere", "16"), ("broken", "14")] {
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
            assert_eq!(answer.header("location"), None, "clients of gRPC follow no redirect");
        }
    }
    assert_eq!(guarded.app.received().count(), 0);
    let other = Request::post("/", "x").header("content-type", "application/grpcweb");
    assert_eq!(client::send_http2(guarded.host.address(), other).await.status, 401);
}
