//! What the filter does on this host because of the host's nature. Dropping a host also checks that the filter did
//! nothing that would crash the real one.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wasm_tests::apisix::{Apisix, Builder};
use wasm_tests::authgear::{Authgear, Endpoint, Fault, Options};
use wasm_tests::client::{self, Connection, Protocol, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::faulty::{Answer, Failure, Faulty, INTRUDER};
use wasm_tests::scene::{self, Host as _, Layout, seen};

use crate::early::EarlyHints;

type Scene = Layout<Apisix>;

/// The configuration for a resolver at this address.
fn configuration(resolver: &Faulty) -> Value {
    scene::configuration_on::<Apisix>(resolver.address(), resolver.address())
}

fn with_token() -> Request {
    Request::get("/").header("authorization", "Bearer abc").header("x-authgear-user-id", "forged")
}

async fn accepting() -> Faulty {
    accepting_as("alice").await
}

async fn accepting_as(user: &str) -> Faulty {
    let answer =
        Answer::status(200).header("x-authgear-session-valid", "true").header("x-authgear-user-id", user);
    Faulty::start(Failure::Answer(answer)).await.unwrap()
}

fn one_worker(builder: Builder) -> Builder {
    builder.workers(1)
}

#[tokio::test]
async fn a_request_without_a_host_is_refused_and_does_not_crash_the_worker() {
    let scene = Scene::start(|_| ()).await;
    for head in ["", "x-a: 1\r\n", "authorization: Bearer abc\r\nx-authgear-user-id: admin\r\n", "Host:\r\n"]
    {
        let answer = client::raw(scene.host.address(), format!("GET / HTTP/1.0\r\n{head}\r\n")).await;
        assert_eq!(answer.status(), Some(400), "{head:?}: {}", answer.text());
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(body["error"], "bad_request");
    }
    let answer = client::raw(scene.host.address(), "GET / HTTP/1.0\r\nHost: app.test\r\n\r\n").await;
    assert_eq!(answer.status(), Some(200), "{}", answer.text());
    assert_eq!(scene.app.received().count(), 1);
}

#[tokio::test]
async fn a_request_with_more_headers_than_the_host_lists_is_refused() {
    let scene = Scene::start(|_| ()).await;
    let request = |headers: usize| {
        (0..headers).fold(Request::get("/"), |request, n| request.header(&format!("x-{n}"), "1"))
    };
    // The host adds three headers, and the client sends `Host`.
    let listed = 99 - 4;
    assert_eq!(scene.send(request(listed).header("x-authgear-user-id", "admin")).await.status, 431);
    assert_eq!(scene.seen(request(listed - 1).header("x-authgear-user-id", "admin")).await.identity(), []);
    for headers in [listed + 1, 200, 300] {
        let answer = scene.send(request(headers).header("x-authgear-user-id", "admin")).await;
        assert_eq!(answer.status, 431, "{headers}");
        assert_eq!(answer.json()["error"], "too_large");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(scene.app.received().count(), 1);
}

#[tokio::test]
async fn a_path_with_a_fragment_is_refused() {
    let scene = Scene::start(|_| ()).await;
    let head = "GET /app#/../admin HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    assert_eq!(client::raw(scene.host.address(), head).await.status(), Some(400));
    assert_eq!(scene.app.received().count(), 0);
}

#[tokio::test]
async fn a_denial_is_the_filters_and_no_page_of_nginx() {
    let (app, resolver) = (Echo::start().await.unwrap(), Faulty::start(Failure::Refuse).await.unwrap());
    let host = Apisix::builder().upstream(app.address()).plugin(configuration(&resolver)).start();
    let answer = client::send(host.address(), with_token()).await;
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("application/json")));
    assert_eq!(answer.json()["error"], "unavailable");
}

#[tokio::test]
async fn routes_have_their_own_configuration_in_one_module() {
    let (app, resolver) = (Echo::start().await.unwrap(), Faulty::start(Failure::Refuse).await.unwrap());
    let with = |change: fn(&mut Value)| {
        let mut configuration = configuration(&resolver);
        change(&mut configuration);
        configuration.to_string()
    };
    let host = Apisix::builder()
        .workers(1)
        .upstream(app.address())
        .route("/open", with(|configuration| configuration["on_error"] = json!({"action": "allow"})))
        .route("/wrong", with(|configuration| configuration["typo"] = json!(1)))
        .route("/", with(|_| ()))
        .start();
    for _ in 0..3 {
        for (path, status) in [("/", 503), ("/open", 200), ("/wrong", 503)] {
            let request = Request::get(path).header("authorization", "Bearer abc");
            assert_eq!(client::send(host.address(), request).await.status, status, "{path}");
        }
    }
    let log = host.log();
    assert_eq!(log.matches("the configuration is refused").count(), 3, "{log}");
    assert_eq!(app.received().count(), 3);
}

#[tokio::test]
async fn routes_in_one_module_share_nothing_that_they_know() {
    let (app, alice, bob) =
        (Echo::start().await.unwrap(), accepting_as("alice").await, accepting_as("bob").await);
    let remembering = |resolver: &Faulty| {
        let mut configuration = configuration(resolver);
        configuration["cache"] = json!({"ttl": "1h"});
        configuration.to_string()
    };
    let host = Apisix::builder()
        .workers(1)
        .upstream(app.address())
        .route("/alice", remembering(&alice))
        .route("/bob", remembering(&bob))
        .start();
    for _ in 0..3 {
        for user in ["alice", "bob"] {
            let request = Request::get(&format!("/{user}")).header("authorization", "Bearer abc");
            let seen = seen(&client::send(host.address(), request).await);
            assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some(user));
        }
    }
    assert_eq!((alice.requests(), bob.requests()), (1, 1), "each asks for itself, once");
}

#[tokio::test]
async fn an_empty_configuration_lets_nobody_through() {
    let (app, resolver) = (Echo::start().await.unwrap(), accepting().await);
    let host = Apisix::builder()
        .workers(1)
        .upstream(app.address())
        .route("/empty", "")
        .route("/", configuration(&resolver).to_string())
        .start();
    for _ in 0..2 {
        assert_eq!(client::send(host.address(), Request::get("/empty")).await.status, 503);
    }
    assert_eq!(host.callbacks(), ["_initialize()"], "it never reaches the filter");
    assert_eq!(app.received().count(), 0);
    assert_eq!(client::send(host.address(), Request::get("/")).await.status, 200);
}

#[tokio::test]
async fn no_configuration_whatever_it_is_ends_the_worker() {
    let (app, resolver) = (Echo::start().await.unwrap(), accepting().await);
    let good = configuration(&resolver).to_string();
    let bad = [
        " ".to_owned(),
        "\0".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{good}{good}"),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"{}\": 1}}", "x".repeat(1_000_000)),
        "{\"a\\nb\": 1}".to_owned(),
        "{\"authgear\": {\"endpoint\": \"https://\\ud800\"}}".to_owned(),
        "{\"timeout\": 1e999}".to_owned(),
        "\u{feff}{}".to_owned(),
    ];
    let builder = Apisix::builder().workers(1).upstream(app.address());
    let routes = bad.iter().enumerate().map(|(number, bad)| (format!("/{number}/"), bad));
    let host =
        routes.fold(builder, |host, (path, bad)| host.route(&path, bad.as_str())).route("/", good).start();
    for _ in 0..2 {
        for number in 0..bad.len() {
            let answer = client::send(host.address(), Request::get(&format!("/{number}/"))).await;
            assert_eq!(answer.status, 503, "{number}");
        }
        assert_eq!(client::send(host.address(), Request::get("/")).await.status, 200);
    }
    assert_eq!(host.log().matches("the configuration is refused").count(), 2 * bad.len());
    assert_eq!(app.received().count(), 2);
}

#[tokio::test]
async fn a_refused_configuration_is_told_once_for_each_request() {
    let host = Apisix::builder().workers(1).route("/", r#"{"authgear": {}}"#).start();
    for requests in 1..=5 {
        assert_eq!(client::send(host.address(), Request::get("/")).await.status, 503);
        let log = host.log();
        assert_eq!(log.matches("authgear-filter: ").count(), requests, "{log}");
        assert_eq!(log.matches("the configuration is refused").count(), requests, "{log}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_none_is_a_fault_that_the_log_explains() {
    let (app, resolver) = (Echo::start().await.unwrap(), accepting().await);
    let mut configuration = configuration(&resolver);
    configuration["authgear"]["resolver_upstream"] = json!("http://authgear");
    let host = Apisix::builder().upstream(app.address()).plugin(configuration).start();
    assert_eq!(client::send(host.address(), with_token()).await.status, 503);
    let log = host.log();
    assert!(
        log.contains("upstream `http://authgear`") && log.contains("is the upstream's name right?"),
        "{log}"
    );
}

#[tokio::test]
async fn what_is_to_be_called_over_tls_is_never_called_without() {
    let keys = Scene::start(|configuration| configuration["authgear"]["mode"] = json!("auto")).await;
    let token = keys.authgear.jwt("alice");
    let with_jwt = Request::get("/").header("authorization", format!("Bearer {token}"));
    // Without keys the resolver is asked.
    assert_eq!(keys.send(with_jwt).await.status, 200);
    let resolver = Scene::start(|configuration| {
        configuration["authgear"]["resolver_url"] = json!("https://resolver.internal:3001/_resolver/resolve");
    })
    .await;
    assert_eq!(resolver.send(with_token()).await.status, 503);
    for (scene, asked_instead) in [(keys, 1), (resolver, 0)] {
        scene.host.wait_for_log("this host speaks no TLS").await;
        let asked = [Endpoint::Jwks, Endpoint::Resolver].map(|asked| scene.authgear.received(asked).count());
        assert_eq!((asked, scene.app.received().count()), ([0, asked_instead], asked_instead));
    }
}

/// A call with such a cookie fails there, and a failed call may be one that the operator lets through.
#[tokio::test]
async fn a_control_character_of_a_client_is_its_own_fault_and_in_no_call() {
    let (app, resolver) = (Echo::start().await.unwrap(), accepting().await);
    let authgear = configuration(&resolver);
    let forward_auth = json!({"forward_auth": {
        "url": "http://auth.internal/verify",
        "upstream": resolver.address().to_string(),
        "identity_headers": ["x-user-id"],
    }});
    for (mut configuration, status) in [(authgear, 401), (forward_auth, 400)] {
        configuration["access"] = json!("required");
        configuration["on_error"] = json!({"action": "allow"});
        let host = Apisix::builder().upstream(app.address()).plugin(configuration).start();
        for credential in
            ["authorization: Bearer a\x01b", "cookie: session=a\x7fb", "cookie: session=a\tb; x=\x02"]
        {
            let head = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{credential}\r\n\r\n");
            let answer = client::raw(host.address(), head).await;
            assert_eq!(answer.status(), Some(status), "{credential:?}: {}", answer.text());
        }
        assert!(!host.log().contains("http call failed"), "{}", host.log());
    }
    // A forward-auth server is asked without such a cookie. The app gets it, and refuses the request itself.
    assert_eq!((resolver.requests(), app.received().count()), (2, 0));
}

#[tokio::test]
async fn calls_of_one_request_follow_one_another() {
    let options = Options { public_origin: Some(Apisix::ORIGIN.to_owned()), ..Options::default() };
    let auto = |configuration: &mut Value| configuration["authgear"]["mode"] = json!("auto");
    let scene = Scene::start_with(options, auto, one_worker).await;
    let token = scene.authgear.jwt("bob");
    let (signed, _) = token.rsplit_once('.').unwrap();
    let request = Request::get("/")
        .header("authorization", format!("Bearer {signed}.AAAA"))
        .header("cookie", format!("session={}", scene.authgear.log_in("alice")));
    let seen = scene.seen(request).await;
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    let asked = [Endpoint::Jwks, Endpoint::Resolver].map(|asked| scene.authgear.received(asked).count());
    assert_eq!(asked, [1, 1], "the keys, then who the cookie is");
}

#[tokio::test]
async fn no_request_waits_for_the_call_of_another() {
    let scene = Scene::start_with(Options::default(), |_| (), one_worker).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
    let (token, address) = (scene.authgear.opaque_token("alice"), scene.host.address());
    let requests = (0..20).map(|_| {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        tokio::spawn(client::send(address, request))
    });
    let requests: Vec<_> = requests.collect();
    scene.authgear.received(Endpoint::Resolver).wait_for(20).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    for answer in requests {
        let seen = seen(&answer.await.unwrap());
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    }
}

#[tokio::test]
async fn an_answer_that_drips_keeps_a_request_waiting_and_lets_nobody_in() {
    for failure in [Failure::DripHead, Failure::DripBody] {
        let (app, resolver) = (Echo::start().await.unwrap(), Faulty::start(failure).await.unwrap());
        let host = Apisix::builder().upstream(app.address()).plugin(configuration(&resolver)).start();
        let waiting = tokio::spawn(client::try_send(host.address(), Protocol::Http1, with_token()));
        resolver.wait_for_requests(1).await;
        assert_eq!(app.received().count(), 0);
        // Other requests are served meanwhile.
        assert_eq!(client::send(host.address(), Request::get("/")).await.status, 200);
        resolver.stop().await;
        assert_eq!(waiting.await.unwrap().unwrap().status, 503);
        assert_eq!(app.received().count(), 1);
    }
}

#[tokio::test]
async fn an_answer_with_very_long_headers_is_an_answer() {
    let answer = Answer::status(200)
        .header("x-authgear-session-valid", "true")
        .header("x-authgear-user-id", INTRUDER)
        .header("x-padding", vec![b'x'; 200 * 1024]);
    let (app, resolver) =
        (Echo::start().await.unwrap(), Faulty::start(Failure::Answer(answer)).await.unwrap());
    let host = Apisix::builder().upstream(app.address()).plugin(configuration(&resolver)).start();
    let seen = seen(&client::send(host.address(), with_token()).await);
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some(INTRUDER));
}

#[tokio::test]
async fn a_client_that_leaves_during_the_call_disturbs_nobody() {
    let scene = Scene::start_with(Options::default(), |_| (), one_worker).await;
    let token = scene.authgear.opaque_token("alice");
    scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
    let address = scene.host.address();
    for number in 1..=20 {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let leaving = tokio::spawn(client::try_send(address, Protocol::Http1, request));
        scene.authgear.received(Endpoint::Resolver).wait_for(number).await;
        leaving.abort();
    }
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let seen = scene.seen(request).await;
    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
}

#[tokio::test]
async fn the_log_has_one_line_for_each_thing_and_never_a_credential() {
    let scene = Scene::start(|_| ()).await;
    let with = |token: &str| Request::get("/").header("authorization", format!("Bearer {token}"));
    let (first, token) = (scene.authgear.opaque_token("alice"), scene.authgear.opaque_token("alice"));
    scene.seen(with(&first)).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::Status(hyper::StatusCode::INTERNAL_SERVER_ERROR));
    // Nothing is cached about this one.
    assert_eq!(scene.send(with(&token)).await.status, 503);
    scene.host.wait_for_log("it answered 500").await;
    let log = scene.host.log();
    assert!(
        log.contains(&format!("sessions of {} by asking", scene::ORIGIN))
            && !log.contains(&token)
            && !log.contains(&first),
        "{log}"
    );
}

#[tokio::test]
async fn keys_are_fetched_by_the_requests_that_need_them() {
    let authgear = Authgear::start(Options { resolver_on_main: true, ..Options::default() }).await.unwrap();
    let app = Echo::start().await.unwrap();
    for mode in ["local", "auto"] {
        let host = Apisix::builder()
            .upstream(app.address())
            .plugin(json!({"authgear": {
                "endpoint": authgear.public_origin(),
                "upstream": authgear.main_address().to_string(),
                "mode": mode,
            }}))
            .start();
        // All at once, because none can wait for the keys that another one fetches.
        let requests = (0..20).map(|_| {
            let token = format!("Bearer {}", authgear.jwt("alice"));
            let request =
                Request::get("/").header("authorization", token).header("x-authgear-user-id", "forged");
            tokio::spawn(client::send(host.address(), request))
        });
        for answer in requests.collect::<Vec<_>>() {
            let seen = seen(&answer.await.unwrap());
            assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"), "{mode}");
        }
    }
}

#[tokio::test]
async fn the_module_does_not_grow() {
    does_not_grow(2_000).await;
}

#[tokio::test]
#[ignore = "the long form of the one above: a minute"]
async fn the_module_does_not_grow_over_fifty_thousand_requests() {
    does_not_grow(50_000).await;
}

/// Requests of each kind, on one worker. The first few allocate all the memory that they need.
async fn does_not_grow(requests: usize) {
    const WARM_UP: usize = 1_000;
    let (app, resolver) = (Echo::start().await.unwrap(), accepting().await);
    let mut configuration = configuration(&resolver);
    // Full after the first few, and every token is new.
    configuration["cache"] = json!({"ttl": "1h", "max_entries": 10});
    let host = Apisix::builder().workers(1).upstream(app.address()).plugin(configuration).start();
    let mut connection = Connection::open(host.address(), Protocol::Http1).await;
    let mut warm = Vec::new();
    for number in 0..WARM_UP + requests {
        if number == WARM_UP {
            warm = host.memory();
        }
        let (request, status) = kind(number);
        let answer: Response = connection.send(request).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    println!("the module's memory before and after {requests} requests: {warm:?}, {:?} bytes", host.memory());
    assert_eq!(host.memory(), warm, "bytes");
}

/// Anonymous, with a session, refused without asking, refused altogether.
fn kind(number: usize) -> (Request, u16) {
    let padding = "p".repeat(number % 97);
    let request = Request::get("/").header("x-padding", padding);
    match number % 4 {
        0 => (request, 200),
        1 => {
            let token = format!("Bearer {number:08}");
            (request.header("authorization", token).header("cookie", "session=a"), 200)
        }
        2 => (request.header("authorization", "Bearer a,b"), 200),
        _ => ((0..120).fold(request, |request, n| request.header(&format!("x-{n}"), "1")), 431),
    }
}

#[tokio::test]
async fn after_an_answer_below_200_nobody_gets_the_answer_of_somebody_else() {
    for (action, status) in [("deny", 503), ("allow", 200)] {
        let (app, auth) = (Echo::start().await.unwrap(), EarlyHints::start().await);
        let mut configuration = scene::configuration_on::<Apisix>(auth.address(), auth.address());
        configuration["on_error"] = json!({"action": action});
        let host = Apisix::builder().upstream(app.address()).workers(1).plugin(configuration).start();
        let ask = |user: &str| {
            let request = Request::get("/").header("cookie", format!("session={user}"));
            client::send(host.address(), request)
        };
        for user in ["alice", "bob", "bob"] {
            let answer = ask(user).await;
            assert_eq!(answer.status, status, "{user} {action}");
            if status == 200 {
                assert_eq!(seen(&answer).identity(), [], "{user}");
            }
        }
        assert_eq!(auth.connections(), 1);
        auth.wait_for_answers(1).await;
        host.wait_for_log("after which this proxy may mix up answers").await;
        let log = host.log();
        assert_eq!(log.matches("http call").count(), 0, "{log}");
        assert_eq!(log.matches("does not call it for 65 s").count(), 1, "{log}");
    }
}

/// Connections belong to the worker, whatever route and whatever part of the filter asks.
#[tokio::test]
async fn an_answer_below_200_holds_back_every_route_of_the_worker() {
    let (app, auth) = (Echo::start().await.unwrap(), EarlyHints::start().await);
    let upstream = auth.address().to_string();
    let forward_auth = json!({"forward_auth": {
        "url": "http://auth.internal/verify", "upstream": upstream, "identity_headers": ["x-user-id"],
    }});
    let jwt = |more: Value| {
        let mut one = json!({"issuer": "https://a.example", "audiences": ["api"]});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"jwt": [one]})
    };
    let keys = jwt(json!({"jwks_uri": "http://auth.internal/keys", "upstream": upstream}));
    let introspection =
        jwt(json!({"introspection": {"url": "http://auth.internal/introspect", "upstream": upstream}}));
    let resolver = scene::configuration_on::<Apisix>(auth.address(), auth.address());
    let all =
        [("/forward", forward_auth), ("/keys", keys), ("/asked", introspection), ("/resolver", resolver)];
    // Whichever asks first holds back the others.
    for first in 0..all.len() {
        let host =
            all.iter().fold(Apisix::builder().upstream(app.address()).workers(1), |host, (path, one)| {
                host.route(path, one.to_string())
            });
        let host = host.start();
        let before = auth.connections();
        for turn in 0..all.len() {
            let (path, _) = &all[(first + turn) % all.len()];
            let token = if *path == "/keys" { jwt_of("https://a.example") } else { "opaque".to_owned() };
            let request = Request::get(path).header("authorization", format!("Bearer {token}"));
            let answer = client::send(host.address(), request).await;
            assert_eq!(answer.status, 503, "{path}: {answer:?}");
        }
        assert_eq!(auth.connections(), before + 1, "only {} asked", all[first].0);
    }
    assert_eq!(app.received().count(), 0);
}

/// A JWT that only its signature can refuse.
fn jwt_of(issuer: &str) -> String {
    let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"alg": "RS256", "typ": "at+jwt", "kid": "any"}));
    let claims = encode(json!({"iss": issuer, "aud": "api", "sub": "alice", "exp": 4_000_000_000_u64}));
    format!("{header}.{claims}.{}", BASE64_URL_SAFE_NO_PAD.encode([0; 256]))
}

#[tokio::test]
async fn a_call_without_any_answer_is_sent_once_more_and_no_other() {
    for (failure, calls) in [
        (Failure::CloseAtOnce, 2),
        (Failure::Reset, 2),
        (Failure::Answer(Answer::status(503)), 1),
        (Failure::Answer(Answer::status(502)), 1),
    ] {
        let (app, resolver) = (Echo::start().await.unwrap(), Faulty::start(failure.clone()).await.unwrap());
        let host =
            Apisix::builder().upstream(app.address()).workers(1).plugin(configuration(&resolver)).start();
        assert_eq!(client::send(host.address(), with_token()).await.status, 503, "{failure:?}");
        assert_eq!(resolver.connections(), calls, "{failure:?}");
    }
}

#[tokio::test]
async fn a_denial_to_a_grpc_client_is_one_that_it_understands() {
    let required = |configuration: &mut Value| configuration["access"] = "required".into();
    let scene = Scene::start_with(Options::default(), required, one_worker).await;
    let request = Request::post("/", "").header("content-type", "application/grpc");
    let answer = scene.send(request).await;
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    assert_eq!(answer.header("grpc-status"), Some("16"));
    assert!(answer.header("grpc-message").is_some());
    // The response gets its own context, which is deleted first.
    let callbacks = scene.host.callbacks();
    let last: Vec<_> = callbacks.iter().rev().take(7).rev().map(String::as_str).collect();
    let expected = [
        "proxy_on_request_headers(2, 0, 1)",
        "proxy_on_context_create(3, 1)",
        "proxy_on_response_headers(3, 0, 1)",
        "proxy_on_done(3)",
        "proxy_on_delete(3)",
        "proxy_on_done(2)",
        "proxy_on_delete(2)",
    ];
    assert_eq!(last, expected);
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_call_changes_nothing_for_the_one_who_gets_its_context() {
    for checks_clients in [false, true] {
        let setup =
            |host: Builder| if checks_clients { host.workers(1).checks_clients() } else { host.workers(1) };
        let ask_always = |configuration: &mut Value| configuration["cache"] = json!({"ttl": "1ms"});
        let scene = Scene::start_with(Options::default(), ask_always, setup).await;
        let address = scene.host.address();
        let with_session = |user: &str| {
            Request::get("/").header("cookie", format!("session={}", scene.authgear.log_in(user)))
        };
        for _ in 0..10 {
            scene.authgear.clear_received();
            scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
            let leaving: Vec<_> = (0..10)
                .map(|_| tokio::spawn(client::try_send(address, Protocol::Http1, with_session("alice"))))
                .collect();
            scene.authgear.received(Endpoint::Resolver).wait_for(10).await;
            leaving.iter().for_each(tokio::task::JoinHandle::abort);
            scene.authgear.fail(Endpoint::Resolver, Fault::None);
            for _ in 0..10 {
                let seen = scene.seen(with_session("bob")).await;
                assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("bob"));
            }
        }
    }
}
