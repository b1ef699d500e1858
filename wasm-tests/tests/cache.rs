//! Answers that are reused, and questions that are asked only once, on every host.
//!
//! In Envoy only: requests that wait for the answer to another request's question, which APISIX cannot do, and what
//! its workers count and share.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasm_tests::authgear::{Authgear, Endpoint, Fault, Options, User};
use wasm_tests::client::{self, Connection, Protocol, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::faulty::{Failure, Faulty};
use wasm_tests::on_each_host;
use wasm_tests::scene::{self, Host, Layout, ORIGIN, Scene, seen};

on_each_host! {
    an_answer_ends_with_its_ttl_and_no_session_with_its_own,
    an_answer_does_not_outlive_its_token,
    an_old_answer_serves_while_the_resolver_is_down,
    what_a_client_may_have_provoked_is_no_outage_that_an_old_answer_serves_in,
    a_refusal_never_comes_without_its_clearing_cookie,
}

const REUSED: &str = "wasmcustom.authgear_filter.answers.reused";
const SHARED: &str = "wasmcustom.authgear_filter.answers.shared";

/// Asks about everything, and caches as configured.
fn cache(cache: Value) -> impl FnOnce(&mut Value) {
    move |configuration| configuration["cache"] = cache
}

fn with_cookie(session: &str) -> Request {
    Request::get("/").header("cookie", format!("session={session}")).header("x-authgear-user-id", "forged")
}

fn user(response: &Response) -> Option<String> {
    seen(response).identity_header("x-authgear-user-id")
}

#[tokio::test]
async fn two_thousand_requests_over_twenty_credentials_are_a_call_for_each_in_each_worker() {
    let scene = Scene::start(cache(json!({"ttl": "1h"}))).await;
    let sessions: Vec<_> = (0..20)
        .map(|number| {
            let user = format!("user-{number}");
            scene.authgear.add_user(User::new(&user));
            (user.clone(), scene.authgear.log_in(&user))
        })
        .collect();
    scene.authgear.fail(Endpoint::Resolver, Fault::Delay(Duration::from_millis(20)));
    let address = scene.host.address();
    let connections: Vec<_> = (0..50)
        .map(|number| {
            let sessions = sessions.clone();
            tokio::spawn(async move {
                let mut connection = Connection::open(address, Protocol::Http1).await;
                for turn in 0..40 {
                    let (user_id, session) = &sessions[(number + turn) % sessions.len()];
                    let answer = connection.send(with_cookie(session)).await;
                    assert_eq!(user(&answer).as_ref(), Some(user_id));
                }
            })
        })
        .collect();
    for connection in connections {
        connection.await.unwrap();
    }
    assert_eq!(scene.app.received().count(), 2_000);
    let calls = scene.authgear.received(Endpoint::Resolver).count();
    assert!((20..=2 * 20).contains(&calls), "{calls} calls for 20 credentials in 2 workers");
    let stats = scene.host.stats("wasmcustom.authgear_filter.answers.").await;
    assert_eq!(stats[REUSED] + stats[SHARED] + calls, 2_000, "{stats:?}");
}

async fn an_answer_ends_with_its_ttl_and_no_session_with_its_own<H: Host>() {
    let configured = cache(json!({"ttl": "2s", "negative_ttl": "1s"}));
    let scene = Layout::<H>::start_with(Options::default(), configured, H::one_worker).await;
    let session = scene.authgear.log_in("alice");
    let bad = "app_session=nonsense";
    for (request, name) in
        [(with_cookie(&session), "a session"), (Request::get("/").header("cookie", bad), "none")]
    {
        scene.authgear.clear_received();
        let begun = Instant::now();
        scene.seen(request.clone()).await;
        assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 1, "{name}");
        while scene.authgear.received(Endpoint::Resolver).count() == 1 {
            scene.seen(request.clone()).await;
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} is remembered for ever");
        }
        // Entries expire up to a tenth earlier, at random.
        let least = if name == "none" { 900 } else { 1_800 };
        assert!(begun.elapsed() >= Duration::from_millis(least), "{name}: {:?}", begun.elapsed());
    }
    scene.host.assert_counted_as("answers.reused", |count| count > 0).await;
}

async fn an_answer_does_not_outlive_its_token<H: Host>() {
    let options = Options { token_lifetime: Duration::from_secs(3), ..Options::default() };
    let scene = Layout::<H>::start_with(options, cache(json!({"ttl": "1h"})), H::one_worker).await;
    let token = scene.authgear.jwt("alice");
    let request = || Request::get("/").header("authorization", format!("Bearer {token}"));
    let begun = Instant::now();
    assert!(user(&scene.send(request()).await).is_some());
    while user(&scene.send(request()).await).is_some() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it outlives its token");
    }
}

async fn an_old_answer_serves_while_the_resolver_is_down<H: Host>() {
    let configured = cache(json!({"ttl": "1ms", "stale_if_error": "1h"}));
    let scene = Layout::<H>::start_with(Options::default(), configured, H::one_worker).await;
    let session = scene.authgear.log_in("alice");
    assert_eq!(user(&scene.send(with_cookie(&session)).await).as_deref(), Some("alice"));
    scene.authgear.fail(Endpoint::Resolver, Fault::Status(hyper::StatusCode::INTERNAL_SERVER_ERROR));
    for _ in 0..10 {
        assert_eq!(user(&scene.send(with_cookie(&session)).await).as_deref(), Some("alice"));
    }
    // The first of them may still come within the millisecond.
    scene.host.assert_counted_as("answers.stale", |stale| (9..=10).contains(&stale)).await;
    scene.host.wait_for_log("cache.stale_if_error").await;
    let other = scene.authgear.log_in("bob");
    assert_eq!(scene.send(with_cookie(&other)).await.status, 503, "nothing is known of others");
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    scene.authgear.disable("alice");
    assert_eq!(user(&scene.send(with_cookie(&session)).await), None, "what the resolver says counts at once");
}

async fn what_a_client_may_have_provoked_is_no_outage_that_an_old_answer_serves_in<H: Host>() {
    let configured = cache(json!({"ttl": "1ms", "stale_if_error": "1h"}));
    let change = |configuration: &mut Value| {
        configured(configuration);
        configuration["on_error"] = json!({"action": "allow"});
    };
    let scene = Layout::<H>::start_with(Options::default(), change, H::one_worker).await;
    let session = scene.authgear.log_in("alice");
    assert_eq!(user(&scene.send(with_cookie(&session)).await).as_deref(), Some("alice"));
    for status in [400, 401, 403, 404, 413, 429, 431] {
        let status = hyper::StatusCode::from_u16(status).unwrap();
        scene.authgear.fail(Endpoint::Resolver, Fault::Status(status));
        // The first of them may still come within the millisecond.
        while scene.send(with_cookie(&session)).await.status == 200 {}
        assert_eq!(scene.send(with_cookie(&session)).await.status, 503, "{status}");
    }
    scene.authgear.fail(Endpoint::Resolver, Fault::Status(hyper::StatusCode::BAD_GATEWAY));
    assert_eq!(user(&scene.send(with_cookie(&session)).await).as_deref(), Some("alice"));
}

async fn a_refusal_never_comes_without_its_clearing_cookie<H: Host>() {
    let configured = cache(json!({"negative_ttl": "1h"}));
    let scene = Layout::<H>::start_with(Options::default(), configured, H::one_worker).await;
    for _ in 0..3 {
        let answer = scene.send(with_cookie("nonsense")).await;
        assert_eq!((user(&answer), answer.header_lines("set-cookie").len()), (None, 1));
    }
}

/// One worker, and a resolver that holds its answers until the fault is lifted.
async fn held(configured: Value) -> (Scene, String) {
    let scene = Scene::start_with(Options::default(), cache(configured), |envoy| envoy.concurrency(1)).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
    let session = scene.authgear.log_in("alice");
    (scene, session)
}

#[tokio::test]
async fn those_who_wait_are_served_though_the_one_who_asked_has_left() {
    let (scene, session) = held(json!({"ttl": "0s"})).await;
    let address = scene.host.address();
    let first = tokio::spawn(client::try_send(address, Protocol::Http1, with_cookie(&session)));
    scene.authgear.received(Endpoint::Resolver).wait_for(1).await;
    let waiting: Vec<_> =
        (0..50).map(|_| tokio::spawn(client::send(address, with_cookie(&session)))).collect();
    scene.host.wait_for_stat(SHARED, 50).await;
    first.abort();
    scene.host.wait_for_stat("http.ingress.downstream_cx_destroy_remote", 1).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    for request in waiting {
        assert_eq!(user(&request.await.unwrap()).as_deref(), Some("alice"));
    }
    assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 1, "one call served them all");
    assert_eq!(scene.app.received().count(), 50);
}

#[tokio::test]
async fn those_who_leave_while_they_wait_are_forgotten() {
    let (scene, session) = held(json!({"ttl": "0s"})).await;
    let address = scene.host.address();
    let leaving: Vec<_> = (0..50)
        .map(|_| tokio::spawn(client::try_send(address, Protocol::Http1, with_cookie(&session))))
        .collect();
    scene.host.wait_for_stat(SHARED, 49).await;
    for request in leaving {
        request.abort();
    }
    scene.host.wait_for_stat("http.ingress.downstream_cx_destroy_remote", 50).await;
    let staying = tokio::spawn(client::send(address, with_cookie(&session)));
    scene.host.wait_for_stat(SHARED, 50).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    assert_eq!(user(&staying.await.unwrap()).as_deref(), Some("alice"));
    assert_eq!(scene.app.received().count(), 1);
}

#[tokio::test]
async fn a_clearing_cookie_goes_to_each_who_waited_for_it() {
    let (scene, _) = held(json!({"negative_ttl": "1h"})).await;
    let address = scene.host.address();
    let waiting: Vec<_> =
        (0..10).map(|_| tokio::spawn(client::send(address, with_cookie("nonsense")))).collect();
    scene.host.wait_for_stat(SHARED, 9).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    for request in waiting {
        assert_eq!(request.await.unwrap().header_lines("set-cookie").len(), 1);
    }
}

#[tokio::test]
async fn a_hundred_who_wait_are_all_answered_when_the_resolver_dies() {
    let app = Echo::start().await.unwrap();
    for how in ["it is silent", "it dies"] {
        let resolver = Faulty::start(Failure::Silence).await.unwrap();
        let mut configuration = scene::configuration();
        configuration["timeout"] = json!(if how == "it dies" { "30s" } else { "2s" });
        let envoy = scene::builder(&app, resolver.address(), resolver.address())
            .plugin(configuration)
            .concurrency(1)
            .start()
            .await;
        let address = envoy.address();
        let waiting: Vec<_> =
            (0..100).map(|_| tokio::spawn(client::send(address, with_cookie("abc")))).collect();
        envoy.wait_for_stat(SHARED, 99).await;
        assert_eq!(resolver.requests(), 1, "one asks for all");
        if how == "it dies" {
            drop(resolver);
        }
        for request in waiting {
            let answer = request.await.unwrap();
            assert_eq!((answer.status, answer.json()["error"].as_str()), (503, Some("unavailable")), "{how}");
        }
        assert_eq!(envoy.stat("wasmcustom.authgear_filter.requests.error_denied").await, 100, "{how}");
    }
    assert_eq!(app.received().count(), 0);
}

#[tokio::test]
async fn two_filters_that_share_a_vm_share_nothing_that_they_know() {
    let authgear =
        Authgear::start(Options { public_origin: Some(ORIGIN.into()), ..Options::default() }).await.unwrap();
    let app = Echo::start().await.unwrap();
    let mut other = scene::configuration();
    other["cache"] = json!({"ttl": "1h"});
    let envoy = scene::builder(&app, authgear.main_address(), authgear.resolver_address())
        .plugin(scene::configuration())
        .concurrency(1)
        .edit(move |bootstrap| {
            let filters = bootstrap
                .pointer_mut(
                    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters",
                )
                .and_then(Value::as_array_mut)
                .expect("the list of HTTP filters");
            let mut second = filters[0].clone();
            second["name"] = json!("second");
            second["typed_config"]["config"]["name"] = json!("second");
            second["typed_config"]["config"]["configuration"]["value"] = json!(other.to_string());
            filters.insert(1, second);
        })
        .start()
        .await;
    let session = authgear.log_in("alice");
    for _ in 0..3 {
        let answer = client::send(envoy.address(), with_cookie(&session)).await;
        assert_eq!(user(&answer).as_deref(), Some("alice"));
    }
    assert_eq!(authgear.received(Endpoint::Resolver).count(), 2, "each asks for itself, once");
}

/// 200,000 in `make soak`; otherwise enough to fill every cache twice.
fn credentials() -> usize {
    std::env::var("SOAK_CREDENTIALS")
        .ok()
        .map_or(24_000, |count| count.parse().expect("SOAK_CREDENTIALS is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_over_many_different_credentials() {
    let configured = cache(json!({"ttl": "1h", "negative_ttl": "1h", "max_entries": 10_000}));
    let scene = Scene::start_with(Options::default(), configured, |envoy| envoy.concurrency(1)).await;
    let address = scene.host.address();
    let send = |from: usize, to: usize| async move {
        let connections: Vec<_> = (0..8)
            .map(|lane| {
                tokio::spawn(async move {
                    let mut connection = Connection::open(address, Protocol::Http1).await;
                    for number in (from..to).filter(|number| number % 8 == lane) {
                        let token = format!("{number:032}");
                        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
                        assert_eq!(connection.send(request).await.status, 200);
                    }
                })
            })
            .collect();
        for connection in connections {
            connection.await.unwrap();
        }
    };
    // The cache is full after half of them. From then on nothing may grow except what allocators keep.
    let half = credentials() / 2;
    send(0, half).await;
    let full = scene.host.resident_memory();
    send(half, 2 * half).await;
    let end = scene.host.resident_memory();
    println!("Envoy's memory after {half} credentials: {full} bytes, after {}: {end}", 2 * half);
    assert!(end < full + 8 * 1024 * 1024, "{full} bytes grew to {end}");
}
