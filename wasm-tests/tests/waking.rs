//! Two thousand requests that wait for one event, and are all answered when it comes. On Envoy one callback decides
//! for all of them; on APISIX each has its own call in flight.
//!
//! Envoy nests the replies of a callback. About 300 of them overflow the VM's stack, which ends the VM for every
//! request. So the filter wakes requests in batches.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wasm_tests::apisix::Apisix;
use wasm_tests::authgear::{Endpoint, Fault, Options};
use wasm_tests::client::{self, Request};
use wasm_tests::echo::Echo;
use wasm_tests::faulty::{Failure, Faulty};
use wasm_tests::scene::{self, Layout, Scene};

const REQUESTS: u64 = 2_000;

/// How many requests are in flight in Envoy.
const ACTIVE: &str = "http.ingress.downstream_rq_active";

/// One worker, and an endpoint that holds its answers until the fault is lifted.
async fn held(endpoint: Endpoint, change: impl FnOnce(&mut Value)) -> Scene {
    let change = |configuration: &mut Value| {
        configuration["timeout"] = "30s".into();
        configuration["access"] = "required".into();
        change(configuration);
    };
    let more_at_once = |bootstrap: &mut Value| {
        for cluster in bootstrap["static_resources"]["clusters"].as_array_mut().expect("clusters") {
            cluster["circuit_breakers"] = json!({"thresholds": [
                {"max_connections": 4000, "max_pending_requests": 4000, "max_requests": 4000},
            ]});
        }
    };
    Scene::start_failing(Options::default(), [(endpoint, Fault::Hold)], change, |envoy| {
        envoy.concurrency(1).edit(more_at_once)
    })
    .await
}

/// Sends these requests, and calls `then` once all of them wait. Returns how many got each status.
async fn all_at_once(scene: &Scene, request: Request, then: impl FnOnce()) -> BTreeMap<u16, u64> {
    let address = scene.host.address();
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let request = request.clone();
        requests.spawn(async move {
            match number % 2 {
                0 => client::send(address, request).await,
                _ => client::send_http2(address, request).await,
            }
        });
    }
    scene.host.wait_for_stat(ACTIVE, REQUESTS).await;
    then();
    statuses(requests).await
}

async fn statuses(mut requests: JoinSet<client::Response>) -> BTreeMap<u16, u64> {
    let mut statuses = BTreeMap::new();
    while let Some(answer) = requests.join_next().await {
        *statuses.entry(answer.expect("an answer").status).or_default() += 1;
    }
    statuses
}

/// The VM lives, and so does Envoy.
async fn serves_on(scene: &Scene, request: Request, status: u16) {
    assert_eq!(scene.send(request).await.status, status);
    let log = scene.host.log();
    assert!(!log.contains("call stack size") && !log.contains("Function: proxy_on"), "{log}");
}

fn with_cookie(session: &str) -> Request {
    Request::get("/").header("cookie", format!("session={session}"))
}

fn bearer(token: &str) -> Request {
    Request::get("/").header("authorization", format!("Bearer {token}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_who_wait_for_one_session_are_all_answered() {
    let scene = held(Endpoint::Resolver, |_| ()).await;
    let session = scene.authgear.log_in("alice");
    for (request, status) in [(with_cookie("bad"), 401), (with_cookie(&session), 200)] {
        scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
        scene.authgear.clear_received();
        let release = || scene.authgear.fail(Endpoint::Resolver, Fault::None);
        assert_eq!(all_at_once(&scene, request.clone(), release).await, [(status, REQUESTS)].into());
        assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 1, "one asked for all");
        serves_on(&scene, request, status).await;
    }
}

fn judged_here(configuration: &mut Value) {
    let authgear = configuration["authgear"].as_object_mut().expect("an object");
    authgear.insert("mode".into(), "local".into());
    authgear.retain(|name, _| !name.starts_with("resolver"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_who_wait_for_keys_are_all_answered() {
    for status in [200, 401] {
        let scene = held(Endpoint::Jwks, judged_here).await;
        let good = scene.authgear.jwt("alice");
        let bad =
            scene.authgear.jwt_with("alice", |_, header| drop(header.insert("kid".into(), "other".into())));
        let request = bearer(if status == 200 { &good } else { &bad });
        let release = || scene.authgear.fail(Endpoint::Jwks, Fault::None);
        assert_eq!(all_at_once(&scene, request.clone(), release).await, [(status, REQUESTS)].into());
        serves_on(&scene, bearer(&good), 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_who_wait_for_a_forward_auth_server_are_all_answered() {
    let forward_auth = |configuration: &mut Value| {
        *configuration = json!({"timeout": "30s", "cache": {"ttl": "1s"}, "forward_auth": {
            "url": "http://resolver.internal:3001/_resolver/resolve",
            "upstream": "resolver",
            "identity_headers": ["x-authgear-*"],
        }});
    };
    let scene = held(Endpoint::Resolver, forward_auth).await;
    for (fault, status) in [
        (Fault::Status(StatusCode::FORBIDDEN), 403),
        (Fault::Status(StatusCode::UNAUTHORIZED), 401),
        (Fault::Status(StatusCode::OK), 200),
        (Fault::Status(StatusCode::INTERNAL_SERVER_ERROR), 503),
    ] {
        scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
        scene.authgear.clear_received();
        let request = with_cookie(&status.to_string());
        let release = || scene.authgear.fail(Endpoint::Resolver, fault);
        assert_eq!(all_at_once(&scene, request.clone(), release).await, [(status, REQUESTS)].into());
        assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 1, "one asked for all");
        serves_on(&scene, request, status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_who_wait_are_all_answered_in_an_outage() {
    for (action, status) in [("deny", 503), ("allow", 200)] {
        let allow = |configuration: &mut Value| {
            configuration["on_error"] = json!({"action": action});
        };
        let scene = held(Endpoint::Resolver, allow).await;
        let release =
            || scene.authgear.fail(Endpoint::Resolver, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
        let request = with_cookie("any");
        assert_eq!(all_at_once(&scene, request.clone(), release).await, [(status, REQUESTS)].into());
        serves_on(&scene, request, status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_who_wait_for_keys_are_all_answered_when_none_come() {
    for (action, status) in [("deny", 503), ("allow", 200)] {
        let configure = |configuration: &mut Value| {
            judged_here(configuration);
            configuration["on_error"] = json!({"action": action});
        };
        let scene = held(Endpoint::Jwks, configure).await;
        let request = bearer(&scene.authgear.jwt("alice"));
        let failing = Fault::Status(StatusCode::INTERNAL_SERVER_ERROR);
        let release = || scene.authgear.fail(Endpoint::Jwks, failing);
        assert_eq!(all_at_once(&scene, request.clone(), release).await, [(status, REQUESTS)].into());
        serves_on(&scene, request, status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_calls_in_flight_on_apisix_are_all_answered() {
    let held = [(Endpoint::Resolver, Fault::Hold)];
    let required = |configuration: &mut Value| {
        configuration["timeout"] = "30s".into();
        configuration["access"] = "required".into();
    };
    let one_worker = |host: wasm_tests::apisix::Builder| host.workers(1);
    let scene = Layout::<Apisix>::start_failing(Options::default(), held, required, one_worker).await;
    let session = scene.authgear.log_in("alice");
    let address = scene.host.address();
    for (request, status) in [(with_cookie("bad"), 401), (with_cookie(&session), 200)] {
        scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
        scene.authgear.clear_received();
        let mut requests = JoinSet::new();
        for _ in 0..REQUESTS {
            requests.spawn(client::send(address, request.clone()));
        }
        scene.authgear.received(Endpoint::Resolver).wait_for(REQUESTS).await;
        scene.authgear.fail(Endpoint::Resolver, Fault::None);
        assert_eq!(statuses(requests).await, [(status, REQUESTS)].into());
    }
    let silent = Faulty::start(Failure::Silence).await.unwrap();
    let app = Echo::start().await.unwrap();
    let mut configuration = scene::configuration_on::<Apisix>(silent.address(), silent.address());
    configuration["timeout"] = "30s".into();
    let host = Apisix::builder().upstream(app.address()).workers(1).plugin(configuration).start();
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        requests.spawn(client::send(host.address(), with_cookie("any")));
    }
    silent.wait_for_requests(REQUESTS).await;
    drop(silent);
    assert_eq!(statuses(requests).await, [(503, REQUESTS)].into());
    assert_eq!(app.received().count(), 0);
}
