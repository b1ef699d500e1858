//! Rules at work, on every host: who passes where, for sessions that the resolver knows and tokens that the filter
//! verifies. No spelling of a path and no forged header changes the verdict.

use serde_json::{Value, json};
use wasm_tests::authgear::{Authenticated, Authgear, Endpoint, Fault, Options, StatusCode, User};
use wasm_tests::client::{self, Connection, Protocol, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, Layout, seen};

on_each_host! {
    the_rule_of_a_route_says_who_passes_and_no_forged_header_does,
    no_spelling_of_a_path_makes_more_of_it_than_the_plain_one,
    a_path_that_is_cut_at_different_places_is_a_bad_request,
    ordinary_paths_are_not_taken_for_odd_ones,
    a_rule_for_a_host_holds_in_every_spelling_of_it,
    a_rule_for_methods_leaves_the_others_to_the_next,
    what_a_rule_requires_is_required_of_every_kind_of_session,
    scopes_are_stated_by_tokens_alone_and_a_machine_is_no_user,
    a_remembered_answer_is_looked_at_by_each_rule_anew,
    a_real_preflight_passes_as_nobody_and_nothing_else_does,
    what_authenticates_is_removed_on_every_route_where_the_operator_wants_it,
    an_error_opens_what_the_operator_chose_and_never_what_requires_more,
    a_token_of_any_issuer_meets_rules_too,
}

async fn start<H: Host>(change: impl FnOnce(&mut Value)) -> Layout<H> {
    start_with(Options::default(), change).await
}

async fn start_with<H: Host>(options: Options, change: impl FnOnce(&mut Value)) -> Layout<H> {
    let options = Options { public_origin: Some(H::ORIGIN.to_owned()), ..options };
    Layout::start_with(options, change, |host| host).await
}

/// A route of each kind.
fn routes(configuration: &mut Value) {
    configuration["authgear"]["mode"] = json!("auto");
    configuration["access"] = json!("required");
    configuration["rules"] = json!([
        {"prefix": "/public", "access": "public"},
        {"prefix": "/optional", "access": "optional"},
        {"prefix": "/admin", "require": {"roles": ["admin"]}},
    ]);
}

/// One person's session in each form: the one that the filter verifies, and those that the resolver is asked about.
fn sessions(authgear: &Authgear, user: &str) -> [(&'static str, String); 4] {
    [
        ("cookie", format!("session={}", authgear.log_in(user))),
        ("cookie", format!("app_session={}", authgear.app_session(user))),
        ("authorization", format!("Bearer {}", authgear.opaque_token(user))),
        ("authorization", format!("Bearer {}", authgear.jwt(user))),
    ]
}

fn forging(request: Request) -> Request {
    request
        .header("X-Authgear-User-Id", "forged")
        .header("x-authgear-user-roles", "admin")
        .header("x-authgear-session-valid", "true")
        .header("X_Authgear_User_Id", "forged")
}

/// Tells the filter's denial from the host's or the app's.
fn error(answer: &Response) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    let body = answer.json();
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer:?}");
    body["error"].clone()
}

async fn the_rule_of_a_route_says_who_passes_and_no_forged_header_does<H: Host>() {
    let scene = start::<H>(routes).await;
    let mut credentials: Vec<(&str, String, bool, bool)> = Vec::new();
    for (user, is_admin) in [("alice", true), ("carol", false)] {
        let sessions = sessions(&scene.authgear, user);
        credentials.extend(sessions.into_iter().map(|(name, value)| (name, value, true, is_admin)));
    }
    for (name, value) in [
        ("accept", "*/*"),
        ("cookie", "session=nonsense"),
        ("authorization", "Bearer nonsense"),
        ("authorization", "Bearer a.b.c"),
    ] {
        credentials.push((name, value.to_owned(), false, false));
    }
    for (name, value, is_valid, is_admin) in &credentials {
        let request = |path: &str| forging(Request::get(path).header(name, value));
        let seen = scene.seen(request("/public/x")).await;
        assert_eq!(seen.identity(), [], "{name}: {value}");
        assert!(seen.headers.contains(&((*name).to_owned(), value.clone())), "credentials are the app's too");

        let seen = scene.seen(request("/optional")).await;
        let user = seen.identity_header("x-authgear-user-id");
        assert_eq!(user.as_deref(), is_valid.then_some(if *is_admin { "alice" } else { "carol" }));
        assert!(user.as_deref() != Some("forged"), "{name}: {value}");
        assert!(!seen.identity().iter().any(|(_, value)| value == "admin"));

        for (path, passes) in [("/app", *is_valid), ("/admin", *is_admin), ("/admin/x", *is_admin)] {
            scene.app.received().clear();
            let answer = scene.send(request(path)).await;
            if passes {
                assert_eq!(seen_user(&answer), user, "{path} {name}: {value}");
            } else {
                let expected = if *is_valid { (403, "forbidden") } else { (401, "unauthorized") };
                assert_eq!(
                    (answer.status, error(&answer).as_str()),
                    (expected.0, Some(expected.1)),
                    "{path}"
                );
                assert_eq!(scene.app.received().count(), 0, "{path} {name}: {value}");
            }
        }
    }
}

fn seen_user(answer: &Response) -> Option<String> {
    seen(answer).identity_header("x-authgear-user-id")
}

/// Spellings of `/admin`, alone and behind a public prefix.
const TRICKS: [&str; 55] = [
    "//admin",
    "///admin",
    "/./admin",
    "/.//admin",
    "//public/../admin",
    "/public/../admin",
    "/public/./../admin",
    "/public/x/../../admin",
    "/public//../../admin",
    "/public/..//admin",
    "/public/..;/admin",
    "/public/..;x=y/admin",
    "/public;/../admin",
    "/public;x/..;y/admin;z",
    "/admin;x",
    "/admin;x=y/z",
    "/;x/admin",
    "/public/%2e%2e/admin",
    "/public/%2E%2E/admin",
    "/public/.%2e/admin",
    "/public/%2e./admin",
    "/public/..%2fadmin",
    "/public/..%2Fadmin",
    "/public%2f..%2fadmin",
    "/public/%2e%2e%2fadmin",
    "/public%2f%2e%2e%2fadmin",
    "/public/%252e%252e/admin",
    "/public/%252e%252e%252fadmin",
    "/public/%25252e%25252e%25252fadmin",
    "/public/..%252fadmin",
    "/public/..%5cadmin",
    "/public/..%5Cadmin",
    "/public/%2e%2e%5cadmin",
    "/public/..%255cadmin",
    "/public%5c..%5cadmin",
    "/public/..\\admin",
    "/public\\..\\admin",
    "/public/\\../../admin",
    "/\\admin",
    "/%5cadmin",
    "/%2fadmin",
    "/%2Fadmin",
    "/%252fadmin",
    "/%61dmin",
    "/%2561dmin",
    "/a%64min",
    "/admin%2f",
    "/admin%2fx",
    "/admin%5cx",
    "/admin/",
    "/admin/.",
    "/admin//",
    "/public/..%3b/admin",
    "/public/%c0%ae%c0%ae/admin",
    "/public/..%c0%afadmin",
];

async fn no_spelling_of_a_path_makes_more_of_it_than_the_plain_one<H: Host>() {
    let scene = start::<H>(routes).await;
    let carol = sessions(&scene.authgear, "carol").map(Some);
    let paths = TRICKS.into_iter().chain(["/admin?x=/public", "/admin?/../public", "/admin/x?x"]);
    let mut connection = Connection::open(scene.host.address(), Protocol::Http1).await;
    for path in paths {
        for credential in carol.iter().chain([&None]) {
            let request = Request::get(path);
            let (request, expected) = match credential {
                Some((name, value)) => (request.header(name, value), (403, "forbidden")),
                None => (request, (401, "unauthorized")),
            };
            let answer = connection.send(forging(request)).await;
            assert_eq!((answer.status, error(&answer).as_str()), (expected.0, Some(expected.1)), "{path}");
        }
    }
    // Hosts may refuse a path without a slash themselves.
    for path in ["\\admin", "admin", "public/../admin", "%2fadmin"] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
        let answer = client::raw(scene.host.address(), head).await;
        assert!(matches!(answer.status(), Some(400 | 401) | None), "{path}: {}", answer.text());
    }
    assert_eq!(scene.app.received().count(), 0);
}

async fn a_path_that_is_cut_at_different_places_is_a_bad_request<H: Host>() {
    let scene = start::<H>(routes).await;
    for path in ["/public#/../admin", "/admin#/public", "/public/\x01", "/public/\x7f", "/public\t/x"] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
        let answer = client::raw(scene.host.address(), head).await;
        assert!(matches!(answer.status(), Some(400) | None), "{path:?}: {}", answer.text());
    }
    assert_eq!(scene.app.received().count(), 0);
}

async fn ordinary_paths_are_not_taken_for_odd_ones<H: Host>() {
    let scene = start::<H>(routes).await;
    for path in [
        "/public",
        "/public/",
        "/public/a%20b",
        "/public/caf%C3%A9",
        "/public/a.b/.well-known",
        "/public/x?next=/admin/..",
        "/public/x?a=%2e%2e%2f&b=//c;d",
        "/public/@a,b:c(d)'e!",
    ] {
        assert_eq!(scene.seen(Request::get(path)).await.whole["path"], path);
    }
    for path in ["/publicx", "/Public", "/public.x", "/x/public", "/"] {
        assert_eq!(scene.send(Request::get(path)).await.status, 401, "{path}");
    }
}

async fn a_rule_for_a_host_holds_in_every_spelling_of_it<H: Host>() {
    let scene = start::<H>(|configuration| {
        configuration["rules"] = json!([
            {"hosts": ["admin.example.com", "[2001:db8::1]"], "access": "required"},
            {"hosts": ["*.open.example"], "access": "public"},
            {"hosts": ["open.example"], "access": "required"},
        ]);
        configuration["access"] = json!("required");
    })
    .await;
    for host in [
        "admin.example.com",
        "ADMIN.Example.COM",
        "admin.example.com.",
        "admin.example.com:8443",
        "Admin.example.com.:80",
        "[2001:db8::1]",
        "[2001:DB8:0::1]:8443",
        "open.example",
        "OPEN.example.:80",
        "notopen.example",
        "a.open.example.evil.example",
    ] {
        assert_eq!(scene.send(Request::get("/").host(host)).await.status, 401, "{host}");
    }
    for host in ["a.open.example", "A.Open.Example.", "a.b.open.example:8080"] {
        assert_eq!(scene.send(Request::get("/").host(host)).await.status, 200, "{host}");
    }
    // A host name that proxies accept and programs read differently matches no rule.
    for host in
        ["a.open.example@evil.example", "a.open.example/x", "a.open.example, evil.example", "a..open.example"]
    {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = client::raw(scene.host.address(), head).await;
        assert!(matches!(answer.status(), Some(400 | 401) | None), "{host}: {}", answer.text());
    }
    let spoofed = Request::get("/")
        .host("admin.example.com")
        .header("x-forwarded-host", "a.open.example")
        .header("x-original-host", "a.open.example")
        .header("x-forwarded-uri", "/")
        .header("x-original-url", "/");
    assert_eq!(scene.send(spoofed).await.status, 401);
}

async fn a_rule_for_methods_leaves_the_others_to_the_next<H: Host>() {
    let scene = start::<H>(|configuration| {
        configuration["rules"] = json!([{"prefix": "/a", "methods": ["GET"], "access": "public"}]);
        configuration["access"] = json!("required");
    })
    .await;
    for (method, status) in
        [("GET", 200), ("HEAD", 200), ("POST", 401), ("PUT", 401), ("DELETE", 401), ("OPTIONS", 401)]
    {
        assert_eq!(scene.send(Request::new(method, "/a/b")).await.status, status, "{method}");
    }
    let overridden = Request::post("/a/b", "").header("x-http-method-override", "GET");
    assert_eq!(scene.send(overridden).await.status, 401);
}

/// The demo's users, and some whose attributes do not suffice.
fn people() -> Options {
    let alice = || User::demo().swap_remove(0);
    let mut users = User::demo();
    users.push(User { id: "stale".into(), authenticated: Authenticated::At(1_000_000_000), ..alice() });
    users.push(User { id: "never".into(), authenticated: Authenticated::Never, ..alice() });
    let near = ["Admin", "administrator", "xadmin", "admin2"].map(str::to_owned).to_vec();
    users.push(User { id: "nearly".into(), roles: near, amr: vec!["pwd".into(), "xotp".into()], ..alice() });
    Options { users, ..Options::default() }
}

async fn what_a_rule_requires_is_required_of_every_kind_of_session<H: Host>() {
    let rules = |configuration: &mut Value| {
        configuration["authgear"]["mode"] = json!("auto");
        configuration["rules"] = json!([
            {"path": "/roles", "require": {"roles": ["owner", "admin"]}},
            {"path": "/verified", "require": {"verified": true}},
            {"path": "/people", "require": {"anonymous": false}},
            {"path": "/factors", "require": {"amr": ["pwd", "otp"]}},
            {"path": "/fresh", "require": {"max_auth_age": "1h"}},
            {"path": "/all", "require": {
                "roles": ["admin"], "verified": true, "anonymous": false, "amr": ["mfa"], "max_auth_age": "1h",
            }},
        ]);
    };
    let scene = start_with::<H>(people(), rules).await;
    #[rustfmt::skip]
    let cases: [(&str, &[&str]); 7] = [
        // Who, and what they may not see.
        ("alice", &[]),
        ("bob", &["/roles", "/verified", "/factors", "/all"]),
        ("carol", &["/roles", "/factors", "/all"]),
        ("guest", &["/roles", "/verified", "/people", "/factors", "/all"]),
        ("stale", &["/fresh", "/all"]),
        ("never", &["/fresh", "/all"]),
        ("nearly", &["/roles", "/factors", "/all"]),
    ];
    for (user, closed) in cases {
        for (name, value) in sessions(&scene.authgear, user) {
            for path in ["/roles", "/verified", "/people", "/factors", "/fresh", "/all"] {
                scene.app.received().clear();
                let answer = scene.send(forging(Request::get(path).header(name, &value))).await;
                if !closed.contains(&path) {
                    assert_eq!(seen_user(&answer).as_deref(), Some(user), "{user} {path} {value}");
                    continue;
                }
                assert_eq!(answer.status, 403, "{user} {path} {value}");
                assert_eq!(error(&answer), "forbidden");
                assert_eq!(scene.app.received().count(), 0);
                let challenge = answer.header("www-authenticate");
                match path {
                    "/roles" => assert_eq!(challenge, Some("Bearer error=\"insufficient_scope\"")),
                    "/all" => {}
                    _ => assert_eq!(challenge, None, "{user} {path}"),
                }
            }
        }
    }
    for path in ["/roles", "/people", "/fresh"] {
        let answer = scene.send(forging(Request::get(path))).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path}");
    }
}

async fn scopes_are_stated_by_tokens_alone_and_a_machine_is_no_user<H: Host>() {
    const API: &str = "https://api.example.com";
    let scene = start::<H>(|configuration| {
        configuration["authgear"]["mode"] = json!("auto");
        configuration["authgear"]["audiences"] = json!([H::ORIGIN, API]);
        configuration["rules"] = json!([
            {"path": "/orders", "require": {"scopes": ["read:orders"]}},
            {"path": "/write", "require": {"scopes": ["read:orders", "write:orders"]}},
            {"path": "/openid", "require": {"scopes": ["openid"]}},
            {"path": "/people", "require": {"anonymous": false}},
            {"path": "/admin", "require": {"roles": ["admin"]}},
            {"path": "/app", "access": "required"},
        ]);
    })
    .await;
    let lacking = Some("Bearer error=\"insufficient_scope\"");
    let machine =
        ("authorization", format!("Bearer {}", scene.authgear.machine_token(API, &["read:orders"])));
    let user = ("authorization", format!("Bearer {}", scene.authgear.jwt("alice")));
    let cookie = ("cookie", format!("session={}", scene.authgear.log_in("alice")));
    #[rustfmt::skip]
    let cases = [
        (&machine, "/app", 200, None),
        (&machine, "/orders", 200, None),
        (&machine, "/write", 403, lacking),
        (&machine, "/openid", 403, lacking),
        (&machine, "/admin", 403, lacking),
        (&machine, "/people", 403, None),
        (&user, "/openid", 200, None),
        (&user, "/orders", 403, lacking),
        (&cookie, "/openid", 403, lacking),
        (&cookie, "/app", 200, None),
    ];
    for ((name, value), path, status, challenge) in cases {
        let answer = scene.send(Request::get(path).header(name, value)).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (status, challenge), "{name} {path}");
    }
    let seen = scene.seen(forging(Request::get("/orders").header(machine.0, &machine.1))).await;
    let identity = [("x-authgear-client-id", "demo-machine"), ("x-authgear-client-scope", "read:orders")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(seen.identity(), identity);
}

async fn a_remembered_answer_is_looked_at_by_each_rule_anew<H: Host>() {
    let scene = start::<H>(|configuration| {
        routes(configuration);
        configuration["cache"] = json!({"ttl": "1m"});
    })
    .await;
    let cookie = format!("session={}", scene.authgear.log_in("carol"));
    for (path, status) in
        [("/optional", 200), ("/admin", 403), ("/app", 200), ("/admin", 403), ("/public", 200), ("/app", 200)]
    {
        assert_eq!(scene.send(Request::get(path).header("cookie", &cookie)).await.status, status, "{path}");
    }
}

async fn a_real_preflight_passes_as_nobody_and_nothing_else_does<H: Host>() {
    let scene = start::<H>(routes).await;
    let preflight = |method, path| {
        Request::new(method, path)
            .header("origin", "https://other.example")
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "authorization")
    };
    for path in ["/app", "/admin", "/optional"] {
        let seen = scene.seen(forging(preflight("OPTIONS", path))).await;
        assert_eq!(seen.identity(), [], "{path}");
    }
    for request in [
        preflight("GET", "/app"),
        preflight("POST", "/app"),
        Request::new("OPTIONS", "/app"),
        Request::new("OPTIONS", "/app").header("origin", "https://other.example"),
        Request::new("OPTIONS", "/app").header("access-control-request-method", "PUT"),
    ] {
        assert_eq!(scene.send(request).await.status, 401);
    }
    let strict = start::<H>(|configuration| {
        routes(configuration);
        configuration["allow_cors_preflight"] = json!(false);
    })
    .await;
    assert_eq!(strict.send(preflight("OPTIONS", "/app")).await.status, 401);
}

async fn what_authenticates_is_removed_on_every_route_where_the_operator_wants_it<H: Host>() {
    let scene = start::<H>(|configuration| {
        routes(configuration);
        configuration["strip_credentials"] = json!(true);
    })
    .await;
    let session = scene.authgear.log_in("alice");
    let bearer = format!("Bearer {}", scene.authgear.jwt("alice"));
    for path in ["/public", "/optional", "/app", "/admin"] {
        let request = Request::get(path)
            .header("authorization", &bearer)
            .header("cookie", format!("theme=dark; session={session}; app_session=a; b=2"))
            .header("cookie", "app_access_token=c");
        let seen = scene.seen(request).await;
        let of = |name: &str| -> Vec<String> {
            seen.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(of("authorization"), [""; 0], "{path}");
        assert_eq!(of("cookie"), ["theme=dark; b=2"], "{path}");
    }
    let seen = scene
        .seen(Request::get("/optional").header("authorization", "Basic eDp5").header("cookie", "theme=dark"))
        .await;
    let has = |name: &str, value: &str| seen.headers.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("authorization", "Basic eDp5") && has("cookie", "theme=dark"), "the app's own: {seen:?}");
}

async fn an_error_opens_what_the_operator_chose_and_never_what_requires_more<H: Host>() {
    let scene = start::<H>(|configuration| {
        routes(configuration);
        configuration["on_error"] = json!({"action": "allow", "status": 502});
    })
    .await;
    let cookie = format!("session={}", scene.authgear.log_in("alice"));
    scene.authgear.fail(Endpoint::Resolver, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    for path in ["/public", "/optional", "/app"] {
        let seen = scene.seen(forging(Request::get(path).header("cookie", &cookie))).await;
        assert_eq!(seen.identity(), [], "{path}");
    }
    for path in ["/admin", "/admin/x", "/public/%2e%2e/admin", "//admin"] {
        let answer = scene.send(forging(Request::get(path).header("cookie", &cookie))).await;
        assert_eq!((answer.status, error(&answer).as_str()), (502, Some("unavailable")), "{path}");
    }
    // A missing attribute is not an error.
    assert_eq!(scene.send(Request::get("/app")).await.status, 401);
}

async fn a_token_of_any_issuer_meets_rules_too<H: Host>() {
    let options = Options { public_origin: Some(H::ORIGIN.to_owned()), ..Options::default() };
    let authgear = Authgear::start(options).await.unwrap();
    let app = Echo::start().await.unwrap();
    let configuration = json!({
        "jwt": [{
            "issuer": H::ORIGIN,
            "audiences": [H::ORIGIN],
            "jwks": authgear.jwks(),
            "headers": {"x-user": "sub"},
            "roles": "https://authgear.com/claims/user/roles",
        }],
        "strip_credentials": true,
        "rules": [
            {"prefix": "/public", "access": "public"},
            {"prefix": "/optional", "access": "optional"},
            {"prefix": "/admin", "require": {"roles": ["admin"]}},
        ],
    });
    let host = H::start(H::builder(&app, &[]), configuration).await;
    let (alice, carol) = (authgear.jwt("alice"), authgear.jwt("carol"));
    let bad = authgear.id_token("alice");
    #[rustfmt::skip]
    let cases: [(&str, Option<&str>, u16, Option<&str>); 13] = [
        // Path, token, status, and the user that the app sees.
        ("/public", None, 200, None),
        ("/public", Some(&alice), 200, None),
        ("/public", Some(&bad), 200, None),
        ("/optional", None, 200, None),
        ("/optional", Some(&alice), 200, Some("alice")),
        ("/optional", Some(&bad), 200, None),
        ("/app", None, 401, None),
        ("/app", Some(&bad), 401, None),
        ("/app", Some(&carol), 200, Some("carol")),
        ("/admin", None, 401, None),
        ("/admin", Some(&carol), 403, None),
        ("/admin", Some(&alice), 200, Some("alice")),
        ("/public/..%2fadmin", Some(&carol), 403, None),
    ];
    for (path, token, status, user) in cases {
        let request = Request::get(path).header("x-user", "forged").header("X_User", "forged");
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let answer = client::send(host.address(), request).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        if status != 200 {
            error(&answer);
            continue;
        }
        let mut told: Vec<_> = seen(&answer).headers;
        told.retain(|(name, _)| ["x-user", "x_user", "authorization"].contains(&name.as_str()));
        let expected: Vec<_> = user.iter().map(|user| ("x-user".to_owned(), (*user).to_owned())).collect();
        assert_eq!(told, expected, "{path}");
    }
}
