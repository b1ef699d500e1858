//! Several projects behind one filter, on every host: a request belongs to the project of its host, and nothing of one
//! project is used for another.

use serde_json::{Value, json};
use wasm_tests::authgear::{Authgear, Endpoint, Fault, Options, StatusCode};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, Seen, seen};

on_each_host! {
    one_text_is_another_session_at_each_project,
    no_session_at_one_project_says_nothing_about_another,
    what_one_project_issued_is_no_session_at_another,
    a_question_in_flight_at_one_project_holds_up_no_other,
    a_project_that_is_down_takes_no_other_with_it,
    a_host_of_no_project_gets_421_and_nobody_is_asked,
    a_public_route_is_open_at_any_host_and_nobody_gets_an_identity_there,
    the_project_without_hosts_has_all_other_hosts,
    a_single_project_may_have_hosts,
    a_host_of_two_projects_is_refused,
    a_session_counts_under_the_cookie_prefix_of_the_hosts_project,
    over_http2_a_request_is_that_of_its_authoritys_project,
    a_preflight_is_let_through_at_any_host_as_nobody,
}

/// What a client sends to each project. Every project knows it as somebody else's.
const TEXT: &str = "same-text-everywhere";

/// Hosts of the first project, alice's.
const FIRST: &[&str] = &["one.example.test", "x.apps.example.test", "a.b.APPS.Example.test:8080"];

/// Hosts of the second project, bob's. A wildcard of the first one covers them too.
const SECOND: &[&str] = &[
    "two.apps.example.test",
    "TWO.apps.example.TEST:443",
    "two.apps.example.test.",
    "x.two.apps.example.test",
];

/// Hosts of neither.
const NEITHER: &[&str] = &[
    "three.example.test",
    "apps.example.test",
    "xapps.example.test",
    "x.one.example.test",
    "one.example.test.evil.test",
    "accounts.example.test",
    "127.0.0.1",
    "[::1]:80",
];

/// A host that guards an app for two projects.
struct Guarded<H> {
    first: Authgear,
    second: Authgear,
    app: Echo,
    host: H,
}

impl<H: Host> Guarded<H> {
    /// With the configuration of two projects, altered by `change`.
    async fn start(change: impl FnOnce(&mut Value)) -> Self {
        Self::with_prefixes(["", ""], change).await
    }

    /// The same, where the projects' cookies have prefixes.
    async fn with_prefixes(prefixes: [&str; 2], change: impl FnOnce(&mut Value)) -> Self {
        let [one, two] = prefixes;
        let (first, second) =
            (project(H::ORIGIN.to_owned(), one).await, project(second_origin::<H>(), two).await);
        first.know("alice", TEXT);
        second.know("bob", TEXT);
        let app = Echo::start().await.expect("a port for the app");
        let (one, two) = (first.main_address(), second.main_address());
        let mut configuration = configuration(
            json!({"endpoint": first.public_origin(), "upstream": H::upstream("one", one)}),
            json!({"endpoint": second.public_origin(), "upstream": H::upstream("two", two)}),
        );
        change(&mut configuration);
        let builder = H::one_worker(H::builder(&app, &[("one", one), ("two", two)]));
        let host = H::start(builder, configuration).await;
        Self { first, second, app, host }
    }

    async fn send(&self, request: Request) -> Response {
        client::send(self.host.address(), request).await
    }

    async fn seen(&self, request: Request) -> Seen {
        seen(&self.send(request).await)
    }

    /// How often the first and the second project were asked about a session.
    fn asked(&self) -> (u64, u64) {
        let count = |project: &Authgear| project.received(Endpoint::Resolver).count();
        (count(&self.first), count(&self.second))
    }
}

/// The hosted layout: the main server answers for the resolver too.
async fn project(origin: String, cookie_prefix: &str) -> Authgear {
    let options = Options {
        public_origin: Some(origin),
        resolver_on_main: true,
        cookie_prefix: cookie_prefix.to_owned(),
        ..Options::default()
    };
    Authgear::start(options).await.expect("a port for the stand-in")
}

fn second_origin<H: Host>() -> String {
    H::ORIGIN.replace("accounts", "other")
}

fn configuration(mut first: Value, mut second: Value) -> Value {
    first["hosts"] = json!(["*.apps.example.test", "one.example.test"]);
    second["hosts"] = json!(["*.two.apps.example.test", "two.apps.example.test"]);
    json!({
        "authgear": [first, second],
        "access": "required",
        "rules": [
            {"prefix": "/open", "access": "public"},
            {"prefix": "/any", "access": "optional"},
        ],
        "cache": {"ttl": "1h", "negative_ttl": "1h"},
    })
}

/// A request that claims to be an administrator's.
fn get(host: &str, path: &str) -> Request {
    Request::get(path)
        .host(host)
        .header("x-authgear-user-id", "admin")
        .header("X_Authgear_User_Id", "admin")
        .header("x-authgear-session-valid", "true")
}

fn with_token(host: &str, path: &str, token: &str) -> Request {
    get(host, path).header("authorization", format!("Bearer {token}"))
}

fn with_cookie(host: &str, path: &str, session: &str) -> Request {
    get(host, path).header("cookie", format!("session={session}"))
}

/// The user that the app sees.
fn user(seen: &Seen) -> Option<String> {
    seen.identity_header("x-authgear-user-id")
}

fn assert_unauthorized(answer: &Response, what: &str) {
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("unauthorized")), "{what}");
}

async fn one_text_is_another_session_at_each_project<H: Host>() {
    for mode in ["auto", "resolver"] {
        let guarded = Guarded::<H>::start(|configuration| {
            for project in configuration["authgear"].as_array_mut().expect("projects") {
                project["mode"] = json!(mode);
            }
        })
        .await;
        // From memory the second time.
        for _ in 0..2 {
            for (hosts, expected) in [(FIRST, "alice"), (SECOND, "bob")] {
                for host in hosts {
                    for request in [with_token(host, "/", TEXT), with_cookie(host, "/", TEXT)] {
                        let seen = guarded.seen(request).await;
                        assert_eq!(user(&seen).as_deref(), Some(expected), "{mode}: {host}: {seen:?}");
                    }
                }
            }
        }
        assert_eq!(guarded.asked(), (2, 2), "{mode}: about the token and the cookie");
        for project in [&guarded.first, &guarded.second] {
            let origin = project.public_origin();
            let (_, host) = origin.split_once("://").expect("an origin");
            for asked in project.received(Endpoint::Resolver).all() {
                for name in ["host", "x-forwarded-host"] {
                    assert_eq!(asked.header(name), Some(host.as_bytes()), "{name}: {asked:?}");
                }
            }
        }
    }
}

async fn no_session_at_one_project_says_nothing_about_another<H: Host>() {
    let guarded = Guarded::<H>::start(|_| {}).await;
    guarded.first.revoke_user("alice");
    for _ in 0..2 {
        for host in FIRST {
            for request in [with_token(host, "/", TEXT), with_cookie(host, "/", TEXT)] {
                assert_unauthorized(&guarded.send(request).await, host);
            }
        }
        for host in SECOND {
            for request in [with_token(host, "/", TEXT), with_cookie(host, "/", TEXT)] {
                assert_eq!(user(&guarded.seen(request).await).as_deref(), Some("bob"), "{host}");
            }
        }
    }
    assert_eq!(guarded.asked(), (2, 2), "both are remembered");
}

async fn what_one_project_issued_is_no_session_at_another<H: Host>() {
    let guarded = Guarded::<H>::start(|_| {}).await;
    let (jwt, opaque) = (guarded.first.jwt("carol"), guarded.first.opaque_token("carol"));
    let session = guarded.first.log_in("carol");
    let requests = |host: &str, path: &str| {
        [with_token(host, path, &jwt), with_token(host, path, &opaque), with_cookie(host, path, &session)]
    };
    // Before and after the project that issued them has vouched for them.
    for _ in 0..2 {
        for host in SECOND {
            for (kind, request) in requests(host, "/").into_iter().enumerate() {
                assert_unauthorized(&guarded.send(request).await, &format!("{kind} at {host}"));
            }
            for (kind, request) in requests(host, "/any").into_iter().enumerate() {
                let seen = guarded.seen(request).await;
                // At most that there is no session: Authgear states nothing about a secret that it never knew.
                let none = ("x-authgear-session-valid".to_owned(), "false".to_owned());
                assert!(seen.identity().iter().all(|header| *header == none), "{kind} at {host}: {seen:?}");
            }
        }
        for host in FIRST {
            for (kind, request) in requests(host, "/").into_iter().enumerate() {
                let seen = guarded.seen(request).await;
                assert_eq!(user(&seen).as_deref(), Some("carol"), "{kind} at {host}");
            }
        }
    }
}

async fn a_question_in_flight_at_one_project_holds_up_no_other<H: Host>() {
    let guarded = Guarded::<H>::start(|configuration| configuration["timeout"] = json!("30s")).await;
    guarded.second.fail(Endpoint::Resolver, Fault::Hold);
    let address = guarded.host.address();
    let waits = tokio::spawn(client::send(address, with_token("two.apps.example.test", "/", TEXT)));
    guarded.second.received(Endpoint::Resolver).wait_for(1).await;
    let seen_at_first = guarded.seen(with_token("one.example.test", "/", TEXT)).await;
    assert_eq!(user(&seen_at_first).as_deref(), Some("alice"));
    assert!(!waits.is_finished());
    guarded.second.fail(Endpoint::Resolver, Fault::None);
    let seen_at_second = seen(&waits.await.expect("an answer"));
    assert_eq!(user(&seen_at_second).as_deref(), Some("bob"));
}

async fn a_project_that_is_down_takes_no_other_with_it<H: Host>() {
    let guarded = Guarded::<H>::start(|_| {}).await;
    for endpoint in [Endpoint::Resolver, Endpoint::Jwks] {
        guarded.second.fail(endpoint, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    }
    let jwt_of_second = guarded.second.jwt("bob");
    for token in [TEXT, &jwt_of_second] {
        let answer = guarded.send(with_token("two.apps.example.test", "/", token)).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (503, Some("unavailable")), "{token}");
    }
    for (token, expected) in [(TEXT, "alice"), (&guarded.first.jwt("carol"), "carol")] {
        let seen = guarded.seen(with_token("one.example.test", "/", token)).await;
        assert_eq!(user(&seen).as_deref(), Some(expected));
    }
}

async fn a_host_of_no_project_gets_421_and_nobody_is_asked<H: Host>() {
    let guarded = Guarded::<H>::start(|configuration| {
        configuration["authgear"][0]["login"] = json!({"client_id": "demo-app"});
        configuration["on_error"] = json!({"action": "allow"});
    })
    .await;
    let jwt = guarded.first.jwt("alice");
    for host in NEITHER {
        for path in ["/", "/any", "/.authgear/login?state=/a"] {
            for request in [
                get(host, path).header("accept", "text/html"),
                with_token(host, path, TEXT),
                with_token(host, path, &jwt),
                with_cookie(host, path, TEXT),
            ] {
                assert_misdirected(&guarded.send(request).await, &format!("{host}{path}"));
            }
        }
    }
    // Hosts that programs read differently, whether the proxy or the filter finds it.
    for host in ["two.apps.example.test,x", "evil@two.apps.example.test", "one.example.test:80:90"] {
        let answer = guarded.send(with_token(host, "/", TEXT)).await;
        assert!(matches!(answer.status, 400 | 421), "{host}: {answer:?}");
    }
    assert_eq!(guarded.asked(), (0, 0));
    assert_eq!(guarded.app.received().count(), 0);
}

fn assert_misdirected(answer: &Response, what: &str) {
    assert_eq!(answer.status, 421, "{what}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("location"), None, "{what}");
    let body = answer.json();
    assert_eq!(body["error"], "misdirected", "{what}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {body}");
}

async fn a_public_route_is_open_at_any_host_and_nobody_gets_an_identity_there<H: Host>() {
    let guarded = Guarded::<H>::start(|_| {}).await;
    for host in [NEITHER, FIRST, SECOND].concat() {
        for request in [with_token(host, "/open/x", TEXT), with_cookie(host, "/open", TEXT)] {
            assert_eq!(guarded.seen(request).await.identity(), [], "{host}");
        }
    }
    assert_eq!(guarded.asked(), (0, 0));
}

async fn the_project_without_hosts_has_all_other_hosts<H: Host>() {
    // Wherever it stands in the list.
    for (default, others, everybody, somebody) in [(0, SECOND, "alice", "bob"), (1, FIRST, "bob", "alice")] {
        let guarded = Guarded::<H>::start(|configuration| {
            let project = configuration["authgear"][default].as_object_mut().expect("a project");
            project.remove("hosts");
        })
        .await;
        for (hosts, expected) in [(others, somebody), (NEITHER, everybody)] {
            for host in hosts {
                let seen = guarded.seen(with_token(host, "/", TEXT)).await;
                assert_eq!(user(&seen).as_deref(), Some(expected), "{host}");
            }
        }
        let answer = guarded.send(with_token("three.example.test,x", "/", TEXT)).await;
        assert!(matches!(answer.status, 400 | 421), "an unclear host is nobody's: {answer:?}");
    }
}

async fn a_single_project_may_have_hosts<H: Host>() {
    let guarded = Guarded::<H>::start(|configuration| {
        configuration["authgear"] = configuration["authgear"][0].take();
    })
    .await;
    for host in FIRST {
        let seen = guarded.seen(with_token(host, "/", TEXT)).await;
        assert_eq!(user(&seen).as_deref(), Some("alice"), "{host}");
    }
    for host in NEITHER {
        assert_misdirected(&guarded.send(with_token(host, "/", TEXT)).await, host);
        assert_eq!(guarded.seen(with_token(host, "/open", TEXT)).await.identity(), [], "{host}");
    }
    assert_eq!(guarded.asked(), (1, 0));
}

async fn a_host_of_two_projects_is_refused<H: Host>() {
    let project = |name: &str| json!({"endpoint": format!("https://{name}.test"), "upstream": "x:80"});
    let mut configuration = configuration(project("one"), project("two"));
    configuration["authgear"][1]["hosts"] = json!(["ONE.example.test:443"]);
    let log = H::refuse(configuration.to_string()).await;
    assert!(log.contains("authgear[1].hosts[0]"), "{log}");
}

async fn a_session_counts_under_the_cookie_prefix_of_the_hosts_project<H: Host>() {
    let guarded = Guarded::<H>::with_prefixes(["one_", "two_"], |configuration| {
        configuration["authgear"][0]["cookie_prefix"] = json!("one_");
        configuration["authgear"][1]["cookie_prefix"] = json!("two_");
        configuration["strip_credentials"] = json!(true);
    })
    .await;
    // From memory the second time.
    for _ in 0..2 {
        for (host, cookies, expected) in [
            (FIRST[0], "theme=dark; one_session=", Some("alice")),
            (SECOND[0], "theme=dark; two_session=", Some("bob")),
            (FIRST[0], "theme=dark; two_session=", None),
            (SECOND[0], "theme=dark; one_session=", None),
            (FIRST[0], "theme=dark; session=", None),
        ] {
            let request = get(host, "/any").header("cookie", format!("{cookies}{TEXT}"));
            let seen = guarded.seen(request).await;
            assert_eq!(user(&seen).as_deref(), expected, "{host}: {cookies}");
            let received = guarded.app.received().all().pop().expect("a request");
            let left = received.header("cookie").map(String::from_utf8_lossy).expect("a cookie");
            // Each app sees no session of any project; a cookie without a prefix is its own.
            let own =
                if cookies.contains("; session") { format!("{cookies}{TEXT}") } else { "theme=dark".into() };
            assert_eq!(left, own, "{host}: {cookies}");
            let both = format!("one_session={TEXT}; two_session={TEXT}");
            let seen = guarded.seen(get(host, "/").header("cookie", both)).await;
            let owner = if host == FIRST[0] { "alice" } else { "bob" };
            assert_eq!(user(&seen).as_deref(), Some(owner), "{host}: each its own of two");
        }
    }
    assert_eq!(guarded.asked(), (1, 1), "of two cookies each project is asked about its own");
}

async fn over_http2_a_request_is_that_of_its_authoritys_project<H: Host>() {
    let guarded = Guarded::<H>::start(|_| {}).await;
    let address = guarded.host.address();
    for _ in 0..2 {
        for (hosts, expected) in [(FIRST, "alice"), (SECOND, "bob")] {
            for host in hosts {
                for request in [with_token(host, "/", TEXT), with_cookie(host, "/", TEXT)] {
                    let seen = seen(&client::send_http2(address, request).await);
                    assert_eq!(user(&seen).as_deref(), Some(expected), "{host}");
                }
            }
        }
        for host in NEITHER {
            assert_misdirected(&client::send_http2(address, with_token(host, "/", TEXT)).await, host);
            let open = seen(&client::send_http2(address, with_token(host, "/open", TEXT)).await);
            assert_eq!(open.identity(), [], "{host}");
        }
    }
    assert_eq!(guarded.asked(), (2, 2));
}

async fn a_preflight_is_let_through_at_any_host_as_nobody<H: Host>() {
    let preflight = |host: &str| {
        let forged = [("x-authgear-user-id", "admin"), ("X_Authgear_User_Id", "admin")];
        let request = Request::new("OPTIONS", "/")
            .host(host)
            .header("origin", "https://page.example.test")
            .header("access-control-request-method", "PUT")
            .header("authorization", format!("Bearer {TEXT}"));
        forged.into_iter().fold(request, |request, (name, value)| request.header(name, value))
    };
    let guarded = Guarded::<H>::start(|_| {}).await;
    for host in [NEITHER, FIRST, SECOND].concat() {
        assert_eq!(guarded.seen(preflight(host)).await.identity(), [], "{host}");
        // Without the header by which browsers ask it is a request like any other.
        let plain = Request::new("OPTIONS", "/").host(host).header("origin", "https://page.example.test");
        let expected = if NEITHER.contains(&host) { 421 } else { 401 };
        assert_eq!(guarded.send(plain).await.status, expected, "{host}");
    }
    assert_eq!(guarded.asked(), (0, 0));
    let strict =
        Guarded::<H>::start(|configuration| configuration["allow_cors_preflight"] = json!(false)).await;
    for host in NEITHER {
        assert_misdirected(&strict.send(preflight(host)).await, host);
    }
    assert_eq!(user(&strict.seen(preflight(FIRST[0])).await).as_deref(), Some("alice"));
}
