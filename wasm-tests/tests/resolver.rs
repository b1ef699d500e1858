//! Requests that Authgear's resolver authenticates, on every host: who gets through as whom, what the resolver is
//! asked, and which of the client's headers never reach the app.

use hyper::StatusCode;
use serde_json::json;
use wasm_tests::authgear::{Authgear, Endpoint, Fault, Options, User};
use wasm_tests::client::{self, Connection, Protocol, Request};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::Envoy;
use wasm_tests::on_each_host;
use wasm_tests::scene::{HOST, Host, Layout, ORIGIN, Scene, seen};

on_each_host! {
    each_credential_gives_the_app_exactly_what_the_resolver_says_of_it,
    every_identity_header_of_a_session_reaches_the_app,
    an_empty_header_of_the_resolver_reaches_the_app_where_the_host_knows_such,
    the_cookies_of_a_project_with_a_prefix_are_its_own,
    the_hosted_layout_needs_only_an_endpoint_and_an_upstream,
    no_identity_header_of_a_client_survives_any_outcome,
    a_forged_header_that_is_repeated_or_written_in_capitals_does_not_survive,
    the_resolver_receives_a_call_built_from_scratch,
    nothing_is_asked_without_a_credential,
    two_authorization_headers_are_no_session_and_nothing_is_asked,
    bytes_that_are_not_utf8_neither_break_nor_open_anything,
    a_body_reaches_the_app_whole_while_the_resolver_is_asked,
    several_cookie_entries_of_http2_are_one_set_of_cookies,
    a_clearing_cookie_of_the_resolver_reaches_the_client_and_no_other_does,
    a_thousand_requests_of_different_users_over_fifty_connections_are_not_mixed_up,
    a_configuration_that_cannot_serve_is_refused_and_the_log_names_the_field,
}

/// Forged identity headers, in every spelling that a program behind the proxy might fold.
const FORGED: [(&str, &str); 9] = [
    ("X-Authgear-User-Id", "forged"),
    ("x-authgear-user-roles", "forged"),
    ("X-AUTHGEAR-SESSION-VALID", "true"),
    ("x-authgear-of-tomorrow", "forged"),
    ("X_Authgear_User_Id", "forged"),
    ("x_authgear_session_valid", "true"),
    ("x.authgear.user.id", "forged"),
    ("X-Authgear_User.Roles", "forged"),
    ("x~authgear!user-id", "forged"),
];

fn forging(request: Request) -> Request {
    FORGED.iter().fold(request, |request, (name, value)| request.header(name, value))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn each_credential_gives_the_app_exactly_what_the_resolver_says_of_it<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let authgear = &scene.authgear;
    let session = authgear.log_in("alice");
    let revoked = authgear.opaque_token("alice");
    assert!(authgear.revoke_token(&revoked));
    let logged_out = authgear.log_in("alice");
    assert!(authgear.log_out(&logged_out));
    let (disabled, deleted) = (authgear.log_in("bob"), authgear.log_in("guest"));
    let disabled_token = authgear.opaque_token("bob");
    authgear.disable("bob");
    authgear.delete("guest");
    authgear.add_user(User::new("over"));
    let (over, over_token) = (authgear.log_in("over"), authgear.opaque_token("over"));
    authgear.bar("over");

    let alice = Some("alice");
    let valid = Some("true");
    let invalid = Some("false");
    #[rustfmt::skip]
    let cases: &[(&str, Vec<(&str, String)>, Option<&str>, Option<&str>)] = &[
        // What, credentials, x-authgear-session-valid, x-authgear-user-id.
        ("a session", vec![("cookie", format!("session={session}"))], valid, alice),
        ("an app session", vec![("cookie", format!("app_session={}", authgear.app_session("alice")))], valid, alice),
        ("an app access token", vec![("cookie", format!("app_access_token={}", authgear.app_access_token("alice")))], valid, alice),
        ("an opaque token", vec![("authorization", bearer(&authgear.opaque_token("alice")))], valid, alice),
        ("a JWT", vec![("authorization", bearer(&authgear.jwt("alice")))], valid, alice),
        ("another case of Bearer", vec![("authorization", format!("bEaReR {}", authgear.opaque_token("alice")))], valid, alice),
        ("neither roles nor amr", vec![("cookie", format!("session={}", authgear.log_in("carol")))], valid, Some("carol")),
        ("a bad token", vec![("authorization", bearer("nonsense"))], None, None),
        ("a revoked token", vec![("authorization", bearer(&revoked))], None, None),
        ("an ID token", vec![("authorization", bearer(&authgear.id_token("alice")))], None, None),
        ("a machine's token", vec![("authorization", bearer(&authgear.machine_token("https://api.example.com", &["read:orders"])))], None, None),
        ("a bad app session", vec![("cookie", "app_session=nonsense".into())], None, None),
        ("a bad app access token", vec![("cookie", "app_access_token=nonsense".into())], None, None),
        ("a bad session", vec![("cookie", "session=nonsense".into())], invalid, None),
        ("a session that was logged out", vec![("cookie", format!("session={logged_out}"))], invalid, None),
        ("a disabled user", vec![("cookie", format!("session={disabled}"))], invalid, None),
        ("a disabled user's token", vec![("authorization", bearer(&disabled_token))], None, None),
        ("a user whose time is over", vec![("cookie", format!("session={over}"))], invalid, None),
        ("their token", vec![("authorization", bearer(&over_token))], invalid, None),
        ("their token beside another one's cookie", vec![("authorization", bearer(&over_token)), ("cookie", format!("session={session}"))], invalid, None),
        ("a deleted user", vec![("cookie", format!("session={deleted}"))], invalid, None),
        ("a bad token falls through to a good cookie", vec![("authorization", bearer("nonsense")), ("cookie", format!("session={session}"))], valid, alice),
        ("a bad app session falls through to a good session", vec![("cookie", format!("app_session=x; session={session}"))], valid, alice),
        ("a good token wins over a good cookie", vec![("authorization", bearer(&authgear.opaque_token("carol"))), ("cookie", format!("session={session}"))], valid, Some("carol")),
        ("Basic beside a cookie", vec![("authorization", "Basic eDp5".into()), ("cookie", format!("session={session}"))], valid, alice),
    ];
    for (what, credentials, valid, user) in cases {
        let headers: Vec<_> = credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request =
            headers.iter().fold(Request::get("/app"), |request, (name, value)| request.header(name, value));
        let seen = scene.seen(request).await;
        assert_eq!(seen.identity(), scene.resolver_says(&headers).await, "{what}");
        assert_eq!(seen.identity_header("x-authgear-session-valid").as_deref(), *valid, "{what}");
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), *user, "{what}");
    }
}

async fn every_identity_header_of_a_session_reaches_the_app<H: Host>() {
    let options = Options { session_acr: true, ..Options::default() };
    let scene = Layout::<H>::start_with(options, |_| (), |host| host).await;
    let session = scene.authgear.log_in("alice");
    let seen = scene.seen(Request::get("/").header("cookie", format!("session={session}"))).await;
    let names: Vec<_> = seen.identity().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "x-authgear-session-acr",
            "x-authgear-session-amr",
            "x-authgear-session-authenticated-at",
            "x-authgear-session-valid",
            "x-authgear-user-anonymous",
            "x-authgear-user-can-reauthenticate",
            "x-authgear-user-id",
            "x-authgear-user-roles",
            "x-authgear-user-verified",
        ]
    );
    assert_eq!(seen.identity_header("x-authgear-user-roles").as_deref(), Some("admin,editor"));
    assert_eq!(seen.identity_header("x-authgear-session-amr").as_deref(), Some("pwd otp mfa"));
}

async fn an_empty_header_of_the_resolver_reaches_the_app_where_the_host_knows_such<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let session = scene.authgear.log_in("carol");
    let seen = scene.seen(Request::get("/").header("cookie", format!("session={session}"))).await;
    let empty = H::KEEPS_EMPTY_HEADERS.then_some("");
    assert_eq!(seen.identity_header("x-authgear-session-amr").as_deref(), empty);
    assert_eq!(seen.identity_header("x-authgear-user-roles"), None);
}

async fn the_cookies_of_a_project_with_a_prefix_are_its_own<H: Host>() {
    let options = Options { cookie_prefix: "shop_".into(), ..Options::default() };
    let prefix = |config: &mut serde_json::Value| config["authgear"]["cookie_prefix"] = json!("shop_");
    let scene = Layout::<H>::start_with(options, prefix, |host| host).await;
    let session = scene.authgear.log_in("alice");
    let seen = scene
        .seen(Request::get("/").header("cookie", format!("session=other; shop_session={session}")))
        .await;
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    let asked = scene.authgear.received(Endpoint::Resolver).last().unwrap();
    assert_eq!(asked.header("cookie"), Some(format!("shop_session={session}").as_bytes()));

    scene.authgear.clear_received();
    let seen = scene.seen(Request::get("/").header("cookie", format!("session={session}"))).await;
    assert_eq!(seen.identity(), []);
    assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 0, "not a cookie of this project");
}

async fn the_hosted_layout_needs_only_an_endpoint_and_an_upstream<H: Host>() {
    let authgear = Authgear::start(Options { resolver_on_main: true, ..Options::default() }).await.unwrap();
    let app = Echo::start().await.unwrap();
    let main = authgear.main_address();
    let configuration = json!({"authgear": {
        "endpoint": authgear.public_origin(), "upstream": H::upstream("authgear", main), "mode": "resolver",
    }});
    let host = H::start(H::builder(&app, &[("authgear", main)]), configuration).await;
    let request = Request::get("/").header("authorization", bearer(&authgear.opaque_token("alice")));
    let seen = seen(&client::send(host.address(), request).await);
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
}

#[tokio::test]
async fn envoy_takes_the_configuration_as_a_struct_too() {
    let authgear = Authgear::start(Options { resolver_on_main: true, ..Options::default() }).await.unwrap();
    let app = Echo::start().await.unwrap();
    let envoy = Envoy::builder()
        .cluster("app", app.address())
        .cluster("authgear", authgear.main_address())
        .plugin_struct(json!({"authgear": {
            "endpoint": authgear.public_origin(), "upstream": "authgear", "mode": "resolver",
        }}))
        .start()
        .await;
    let request = Request::get("/").header("authorization", bearer(&authgear.opaque_token("alice")));
    let seen = seen(&client::send(envoy.address(), request).await);
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
}

async fn no_identity_header_of_a_client_survives_any_outcome<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let authgear = &scene.authgear;
    let session = authgear.log_in("carol");
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("no credential", vec![]),
        ("a session", vec![("cookie", format!("session={session}"))]),
        ("a token", vec![("authorization", bearer(&authgear.opaque_token("carol")))]),
        ("no session", vec![("authorization", bearer("nonsense"))]),
        ("a bad session", vec![("cookie", "session=nonsense".into())]),
    ];
    for (what, credentials) in cases {
        let headers: Vec<_> = credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request =
            headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(name, value));
        let seen = scene.seen(forging(request)).await;
        assert_eq!(seen.identity(), scene.resolver_says(&headers).await, "{what}");
    }
    let refused = Request::get("/").header("authorization", "Bearer a, Bearer b");
    let seen = scene.seen(forging(refused)).await;
    assert_eq!(seen.identity(), [("x-authgear-session-valid".to_owned(), "false".to_owned())]);
}

async fn a_forged_header_that_is_repeated_or_written_in_capitals_does_not_survive<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let answer = client::raw(
        scene.host.address(),
        "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\
         X-AUTHGEAR-USER-ID: a\r\nX-Authgear-User-Id: b\r\nx-authgear-USER-id: c\r\nX_AUTHGEAR_USER_ID: d\r\n\r\n",
    )
    .await;
    assert_eq!(answer.status(), Some(200), "{}", answer.text());
    assert!(!answer.text().to_ascii_lowercase().contains("authgear"), "{}", answer.text());
}

async fn the_resolver_receives_a_call_built_from_scratch<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let session = scene.authgear.log_in("alice");
    let token = scene.authgear.opaque_token("alice");
    let request = forging(Request::post("/app/orders?id=1", vec![b'x'; 1000]))
        .host("shop.example.test")
        .header("user-agent", "browser/1.0")
        .header("authorization", bearer(&token))
        .header("cookie", format!("theme=dark; session={session}; _ga=1"))
        .header("cookie", "app_session=second-line")
        .header("x-forwarded-host", "evil.example")
        .header("x-original-host", "evil.example")
        .header("x-forwarded-for", "203.0.113.7")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("tracestate", "vendor=1")
        .header("x-request-id", "b7ad6b71-6920-3331-8448-eb211c80319c")
        .header("te", "trailers")
        .header("expect", "nothing")
        .header("x-secret-of-the-app", "1")
        .header("content-type", "application/json");
    scene.seen(request).await;
    let received = scene.authgear.received(Endpoint::Resolver).all();
    let [call] = received.as_slice() else { panic!("{} calls", received.len()) };
    assert_eq!((call.method.as_str(), call.target.as_str()), ("GET", "/_resolver/resolve"));
    assert_eq!(call.body_length, 0);
    let own = |name: &str| !matches!(name, "x-envoy-internal" | "x-envoy-expected-rq-timeout-ms");
    let mut names: Vec<_> =
        call.headers.iter().map(|(name, _)| name.as_str()).filter(|name| own(name)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "authorization",
            "cookie",
            "host",
            "traceparent",
            "tracestate",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id",
        ]
    );
    let value = |name| String::from_utf8(call.header(name).unwrap().to_vec()).unwrap();
    assert_eq!(value("host"), HOST);
    assert_eq!(value("x-forwarded-host"), HOST);
    assert_eq!(value("x-forwarded-proto"), "https", "the endpoint's");
    assert_eq!(value("authorization"), bearer(&token));
    assert_eq!(value("cookie"), format!("session={session}; app_session=second-line"));
    assert_eq!(value("user-agent"), "browser/1.0");
    assert_eq!(value("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(
        value("x-forwarded-for"),
        "127.0.0.1",
        "the connection's address, and no word of the client's"
    );
}

async fn nothing_is_asked_without_a_credential<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    for (name, value) in [
        ("cookie", "theme=dark"),
        ("authorization", "Basic eDp5"),
        ("authorization", "Bearer"),
        ("accept", "*/*"),
    ] {
        let seen = scene.seen(Request::get("/").header(name, value)).await;
        assert_eq!(seen.identity(), [], "{name}: {value}");
    }
    assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 0);
    scene.host.assert_counted("requests.anonymous", 4).await;
}

async fn two_authorization_headers_are_no_session_and_nothing_is_asked<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let (alice, carol) = (scene.authgear.opaque_token("alice"), scene.authgear.opaque_token("carol"));
    let session = scene.authgear.log_in("alice");
    // Envoy drops an empty line before any filter sees it, so that is one header.
    for second in [bearer(&carol), bearer(&alice), "Basic eDp5".into(), "x".into()] {
        for order in [[bearer(&alice), second.clone()], [second.clone(), bearer(&alice)]] {
            let request = order
                .iter()
                .fold(Request::get("/"), |request, value| request.header("authorization", value))
                .header("cookie", format!("session={session}"));
            let seen = scene.seen(request).await;
            let identity = [("x-authgear-session-valid".to_owned(), "false".to_owned())];
            assert_eq!(seen.identity(), identity, "{order:?}");
        }
    }
    assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 0);
}

async fn bytes_that_are_not_utf8_neither_break_nor_open_anything<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let session = scene.authgear.log_in("alice");
    let cookie = |before: &[u8], name: &str| [before, name.as_bytes(), b"=", session.as_bytes()].concat();
    // Such a byte in another cookie changes nothing. Authgear ignores a session cookie that has one, too.
    let seen = scene.seen(Request::get("/").header("cookie", cookie(b"a=\xff; ", "session"))).await;
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    let seen = scene.seen(Request::get("/").header("cookie", cookie(b"session=\xff; ", "xsession"))).await;
    assert_eq!(seen.identity(), []);
    let seen = scene.seen(Request::get("/").header("authorization", b"Bearer \xff\xfe")).await;
    assert_eq!(seen.identity_header("x-authgear-session-valid").as_deref(), Some("false"));
    let request = Request::get("/")
        .header("cookie", cookie(b"", "session"))
        .header("user-agent", b"br\xf6wser")
        .header("x-request-id", b"\xff")
        .header("x-odd", b"\xff");
    let seen = scene.seen(request).await;
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    assert!(seen.headers.contains(&("x-odd".into(), "\u{ff}".into())), "{seen:?}");
}

async fn a_body_reaches_the_app_whole_while_the_resolver_is_asked<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let token = scene.authgear.opaque_token("alice");
    for size in [0usize, 1, 10 * 1024, 1024 * 1024] {
        let body: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let request = || Request::post("/upload", body.clone());
        let with = scene.seen(request().header("authorization", bearer(&token))).await.whole;
        let without = scene.seen(request()).await.whole;
        assert_eq!(with["body_length"], json!(size));
        assert_eq!(with["body_sha256"], without["body_sha256"], "{size}");
    }
}

async fn several_cookie_entries_of_http2_are_one_set_of_cookies<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let (bad, good) = ("app_session=nonsense", format!("session={}", scene.authgear.log_in("alice")));
    for entries in [[bad, &good], [&good, bad]] {
        let request = entries
            .iter()
            .fold(Request::get("/"), |request, entry| request.header("cookie", entry))
            .header("cookie", "theme=dark");
        let seen = seen(&client::send_http2(scene.host.address(), forging(request)).await);
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"), "{entries:?}");
        assert_eq!(seen.identity_header("x-authgear-of-tomorrow"), None);
    }
}

async fn a_clearing_cookie_of_the_resolver_reaches_the_client_and_no_other_does<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let bad = scene.send(Request::get("/").header("cookie", "session=nonsense")).await;
    let cookies = bad.header_lines("set-cookie");
    assert!(matches!(cookies.as_slice(), [one] if one.starts_with("session=;")), "{cookies:?}");
    let good = format!("session={}", scene.authgear.log_in("alice"));
    let good = scene.send(Request::get("/").header("cookie", good)).await;
    assert_eq!(good.header_lines("set-cookie"), Vec::<&str>::new());
    assert!(good.headers.iter().all(|(name, _)| !name.starts_with("x-authgear")), "{good:?}");
}

async fn a_thousand_requests_of_different_users_over_fifty_connections_are_not_mixed_up<H: Host>() {
    let scene = Layout::<H>::start(|_| ()).await;
    let users: Vec<_> = (0..100).map(|number| format!("user-{number}")).collect();
    for user in &users {
        scene.authgear.add_user(User::new(user));
    }
    // A session and a token of each user, and credentials that are nobody's.
    let credentials: Vec<_> = users
        .iter()
        .flat_map(|user| {
            [
                ("cookie", format!("session={}", scene.authgear.log_in(user)), Some(user.clone())),
                ("authorization", bearer(&scene.authgear.opaque_token(user)), Some(user.clone())),
                ("authorization", bearer(&format!("nobody-{user}")), None),
            ]
        })
        .collect();
    let address = scene.host.address();
    let connections = (0..50).map(|number| {
        let credentials = credentials.clone();
        tokio::spawn(async move {
            let protocol = if number % 2 == 0 { Protocol::Http1 } else { Protocol::Http2 };
            let mut connection = Connection::open(address, protocol).await;
            for turn in 0..20 {
                let (name, value, user) = &credentials[(number * 20 + turn * 7) % credentials.len()];
                let request = Request::get("/").header(name, value).header("x-authgear-user-id", "forged");
                let seen = seen(&connection.send(request).await);
                assert_eq!(seen.identity_header("x-authgear-user-id"), *user, "{name}");
            }
        })
    });
    for connection in connections.collect::<Vec<_>>() {
        connection.await.unwrap();
    }
    assert_eq!(scene.app.received().count(), 1000);
}

#[tokio::test]
async fn a_client_that_leaves_during_the_call_disturbs_nobody() {
    let scene = Scene::start(|_| ()).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
    let address = scene.host.address();
    for number in 1..=20 {
        // Each with its own token: requests with the same one share a call.
        let request =
            Request::get("/").header("authorization", bearer(&scene.authgear.opaque_token("alice")));
        let leaving = tokio::spawn(client::try_send(address, Protocol::Http1, request));
        scene.authgear.received(Endpoint::Resolver).wait_for(number).await;
        leaving.abort();
    }
    scene.host.wait_for_stat("http.ingress.downstream_cx_destroy_remote", 20).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    let token = scene.authgear.opaque_token("alice");
    let seen = scene.seen(Request::get("/").header("authorization", bearer(&token))).await;
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    assert_eq!(scene.app.received().count(), 1, "none of the requests that were left reached the app");
}

#[tokio::test]
async fn a_path_with_a_fragment_never_reaches_the_app() {
    let scene = Scene::start_with(
        Options::default(),
        |_| (),
        // Let it reach the filter.
        |envoy| {
            envoy.edit(|bootstrap| {
                bootstrap["layered_runtime"] = json!({"layers": [{"name": "test", "static_layer": {
                    "envoy.reloadable_features.http_reject_path_with_fragment": false,
                }}]});
            })
        },
    )
    .await;
    let answer = client::raw(
        scene.host.address(),
        "GET /app#/../admin HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n",
    )
    .await;
    let reached: Vec<_> = scene.app.received().all().into_iter().map(|request| request.target).collect();
    assert!(answer.status() == Some(400) || reached == ["/app"], "{} {reached:?}", answer.text());
}

async fn a_configuration_that_cannot_serve_is_refused_and_the_log_names_the_field<H: Host>() {
    let cases = [
        (json!({}), "authgear: missing"),
        (
            json!({"authgear": {"endpoint": ORIGIN, "upstream": "a", "mode": "resolver", "typo": 1}}),
            "authgear.typo",
        ),
        (
            json!({"authgear": {"endpoint": "nonsense", "upstream": "a", "mode": "resolver"}}),
            "authgear.endpoint",
        ),
        (json!({"authgear": {"endpoint": ORIGIN, "upstream": "a", "mode": "both"}}), "authgear.mode"),
        (
            json!({"authgear": {"endpoint": ORIGIN, "upstream": "a", "mode": "local", "cookie_prefix": "p"}}),
            "authgear.cookie_prefix",
        ),
        (json!({"jwt": []}), "jwt"),
        (
            json!({"authgear": {"endpoint": ORIGIN, "upstream": "a", "mode": "resolver"}, "timeout": "0s"}),
            "timeout",
        ),
    ];
    for (configuration, expected) in cases {
        let log = H::refuse(configuration.to_string()).await;
        assert!(log.contains("authgear-filter: the configuration is refused"), "{configuration}: {log}");
        assert!(log.contains(expected), "{configuration}: {log}");
    }
    let log = H::refuse("{\"authgear\": {".to_owned()).await;
    assert!(log.contains("line 1 column"), "{log}");
}

#[tokio::test]
async fn envoy_names_the_field_of_a_struct_that_cannot_serve() {
    let log =
        Envoy::builder().plugin_struct(json!({"authgear": {"endpoint": "nonsense"}})).start_refused().await;
    assert!(log.contains("authgear.endpoint"), "{log}");
}

#[tokio::test]
async fn the_log_tells_what_is_served_and_never_a_credential() {
    let scene = Scene::start_with(Options::default(), |_| (), |envoy| envoy.log_level("info")).await;
    let token = scene.authgear.opaque_token("alice");
    let session = scene.authgear.log_in("alice");
    let request = Request::get("/")
        .header("authorization", bearer(&token))
        .header("cookie", format!("session={session}"));
    scene.seen(request).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    // Nothing is cached for the token alone.
    let alone = Request::get("/").header("authorization", bearer(&token));
    assert_eq!(scene.send(alone).await.status, 503);
    scene.host.wait_for_log("it answered 500").await;
    let log = scene.host.log();
    assert!(log.contains(&format!("sessions of {ORIGIN} by asking http://resolver.internal:3001")), "{log}");
    assert!(!log.contains(&token) && !log.contains(&session), "{log}");
}
