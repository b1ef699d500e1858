//! The edge between the filter and its host, past which no request may slip: bodies, trailers, `Connection`, and a
//! module that was not finished.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::http::{HeaderName, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use wasm_tests::apisix::{self, Apisix};
use wasm_tests::authgear::{Authgear, Endpoint, Fault, Options};
use wasm_tests::client::{self, Request};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{self, Envoy};
use wasm_tests::faulty::{Answer, Failure, Faulty};
use wasm_tests::scene::{self, Host as _, Layout, ORIGIN, Scene, seen};

const ACTIVE: &str = "http.ingress.downstream_rq_active";

#[tokio::test]
async fn a_body_reaches_the_app_only_after_the_verdict_whatever_the_plugins_options_say() {
    for option in [false, true] {
        let required = |configuration: &mut Value| configuration["access"] = "required".into();
        let held = [(Endpoint::Resolver, Fault::Hold)];
        let scene = Scene::start_failing(Options::default(), held, required, |envoy| {
            envoy.concurrency(1).allow_on_headers_stop_iteration(option)
        })
        .await;
        let session = scene.authgear.log_in("alice");
        for (session, expected) in [("bad", None), (session.as_str(), Some("alice"))] {
            scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
            scene.authgear.clear_received();
            let request = Request::post("/", vec![b'a'; 2 * 1024 * 1024])
                .header("cookie", format!("session={session}"))
                .header("x-authgear-user-id", "forged");
            let answer = tokio::spawn(client::send(scene.host.address(), request));
            scene.authgear.received(Endpoint::Resolver).wait_for(1).await;
            scene.host.wait_for_stat(ACTIVE, 1).await;
            // An admitted body is sent on at once; a denied request never reaches the app.
            assert_eq!(scene.host.stat("cluster.app.upstream_rq_total").await, 0, "option {option}");
            scene.authgear.fail(Endpoint::Resolver, Fault::None);
            let answer = answer.await.unwrap();
            match expected {
                None => assert_eq!(answer.status, 401, "option {option}"),
                Some(user) => {
                    let seen = seen(&answer);
                    assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some(user));
                    assert_eq!(seen.whole["body_length"], json!(2 * 1024 * 1024));
                }
            }
        }
    }
}

/// Sends a POST with trailers over HTTP/2, and returns the app's answer.
async fn with_trailers(address: SocketAddr, headers: &[(&str, &str)], trailers: &[(&str, &str)]) -> Value {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, driver) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(driver);
    let trailers: HeaderMap = trailers
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect();
    let body = Full::new(Bytes::from_static(b"body"))
        .with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
    let request =
        headers.iter().fold(hyper::Request::post(format!("http://{address}/")), |request, (name, value)| {
            request.header(*name, *value)
        });
    let answer = sender.send_request(request.body(body).unwrap()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("what the app says")
}

/// Makes Envoy speak HTTP/2 with the app: over HTTP/1 it drops trailers.
fn http2_to_the_app(bootstrap: &mut Value) {
    bootstrap["static_resources"]["clusters"][0]["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }});
}

#[tokio::test]
async fn trailers_of_a_client_carry_no_identity() {
    let forged = [
        ("x-authgear-user-id", "admin"),
        ("X_Authgear_User_Roles", "admin"),
        ("x-authgear-of-tomorrow", "1"),
        ("x-user", "admin"),
        ("x-name", "admin"),
        ("x_groups", "admin"),
        ("x-payload", "admin"),
        ("X_Rewrite_Url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-checksum", "abc"),
    ];
    let forward_auth = json!({"forward_auth": {
        "url": "http://resolver.internal/resolve", "upstream": "resolver", "identity_headers": ["X-User"],
    }, "access": "optional", "rules": [{"prefix": "/", "access": "public"}]});
    let renamed = json!({"forward_auth": {
        "url": "http://resolver.internal/resolve", "upstream": "resolver", "roles_header": "x-groups",
        "identity_headers": [{"header": "x-user", "from": "x-name"}],
    }, "access": "optional", "rules": [{"prefix": "/", "access": "public"}]});
    let mut local = scene::configuration();
    local["authgear"] = json!({"endpoint": ORIGIN, "upstream": "authgear", "mode": "local"});
    let jwt = json!({"access": "optional", "strip_overrides": true, "jwt": [{
        "issuer": ORIGIN, "audiences": [ORIGIN], "jwks": Authgear::start(Options::default()).await.unwrap().jwks(),
        "headers": {"x-user": "sub", "X-Groups": "groups"}, "payload_header": "x_payload",
    }]});
    let authgears = ["x-authgear-user-id", "x_authgear_user_roles", "x-authgear-of-tomorrow"];
    let overrides = ["x_rewrite_url", "x-http-method-override"];
    for (configuration, removed) in [
        (scene::configuration(), authgears.to_vec()),
        (local, authgears.to_vec()),
        (renamed, [["x-user", "x-name", "x_groups"].as_slice(), &overrides].concat()),
        (forward_auth, [["x-user"].as_slice(), &overrides].concat()),
        (jwt, [["x-user", "x_groups", "x-payload"].as_slice(), &overrides].concat()),
    ] {
        let left: Vec<_> = forged.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let left: Vec<_> = left.iter().map(String::as_str).filter(|name| !removed.contains(name)).collect();
        let change = |smallest: &mut Value| smallest.clone_from(&configuration);
        let with_http2 = |envoy: envoy::Builder| envoy.edit(http2_to_the_app);
        let is_authgears = configuration.get("authgear").is_some();
        let (authgear, app, host) = if is_authgears {
            let Layout { authgear, app, host } =
                Scene::start_with(Options::default(), change, with_http2).await;
            (authgear, app, host)
        } else {
            let authgear = Authgear::start(Options::default()).await.unwrap();
            let app = Echo::start().await.unwrap();
            let builder = scene::builder(&app, authgear.main_address(), authgear.resolver_address());
            let host = Envoy::start(with_http2(builder), configuration.clone()).await;
            (authgear, app, host)
        };
        let session = format!("session={}", authgear.log_in("alice"));
        for headers in [vec![], vec![("cookie", session.as_str())]] {
            let whole = with_trailers(host.address(), &headers, &forged).await;
            let trailers = whole["trailers"].as_array().expect("a list");
            let names: Vec<_> = trailers.iter().map(|pair| pair[0].as_str().unwrap()).collect();
            assert_eq!(names, left, "{configuration} {headers:?}");
            assert_eq!(whole["body_length"], json!(4));
        }
        drop(app);
    }
}

#[tokio::test]
async fn apisix_forwards_no_trailers() {
    let scene = Layout::<Apisix>::start(|_| ()).await;
    let trailers = [("x-authgear-user-id", "admin"), ("x-checksum", "abc")];
    let whole = with_trailers(scene.host.address(), &[], &trailers).await;
    assert_eq!(whole["trailers"], json!([]));
}

#[tokio::test]
async fn connection_does_not_nominate_an_identity_header_on_its_way_to_the_app() {
    let upgrades = |envoy: envoy::Builder| {
        envoy.connection_manager("upgrade_configs", json!([{"upgrade_type": "websocket"}]))
    };
    let scene = Scene::start_with(Options::default(), |_| (), upgrades).await;
    let session = scene.authgear.log_in("alice");
    let head = format!(
        "GET / HTTP/1.1\r\nHost: app.test\r\nCookie: session={session}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade, X-Authgear-User-Id, x_authgear_session_valid\r\n\r\n"
    );
    let answer = tokio::spawn(client::raw(scene.host.address(), head));
    scene.app.received().wait_for(1).await;
    let received = scene.app.received().all();
    let value = |name: &str| {
        let found = received[0].headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
    };
    assert_eq!(value("x-authgear-user-id").as_deref(), Some("alice"));
    assert_eq!(value("connection").as_deref(), Some("Upgrade"));
    assert_eq!(value("upgrade").as_deref(), Some("websocket"));
    answer.abort();
}

/// The linker's output, beside the finished module.
fn unfinished() -> PathBuf {
    let finished = envoy::filter_module();
    finished.with_file_name("deps").join(finished.file_name().expect("a file"))
}

#[tokio::test]
async fn a_module_that_was_not_finished_denies_everything_and_says_so() {
    let said = "this module was not finished (make build)";
    let bytes = std::fs::read(unfinished()).expect("`make build` leaves it");
    let envoy = |builder: envoy::Builder| builder.module(unfinished());
    let scene = Scene::start_with(Options::default(), |_| (), envoy).await;
    let cookie = format!("session={}", scene.authgear.log_in("alice"));
    for request in [Request::get("/"), Request::post("/", "body").header("cookie", &cookie)] {
        assert_eq!(scene.send(request).await.status, 503);
    }
    scene.host.wait_for_log(said).await;
    assert_eq!(scene.app.received().count(), 0);

    let apisix = |builder: apisix::Builder| builder.module(bytes);
    let scene = Layout::<Apisix>::start_with(Options::default(), |_| (), apisix).await;
    let cookie = format!("session={}", scene.authgear.log_in("alice"));
    for request in [Request::get("/"), Request::post("/", "body").header("cookie", &cookie)] {
        assert_eq!(scene.send(request).await.status, 503);
    }
    scene.host.wait_for_log(said).await;
    assert_eq!(scene.app.received().count(), 0);
}

/// The part of Envoy's configuration that names a cluster's endpoints.
fn endpoint(address: SocketAddr) -> Value {
    json!({"endpoint": {"address": {"socket_address":
        {"address": address.ip().to_string(), "port_value": address.port()}}}})
}

#[tokio::test]
async fn a_call_that_reaches_nobody_is_sent_once_more_and_one_refusing_endpoint_of_two_is_not_noticed() {
    let refusing = Faulty::start(Failure::Refuse).await.unwrap();
    let address = refusing.address();
    let two = move |bootstrap: &mut Value| {
        for cluster in bootstrap["static_resources"]["clusters"].as_array_mut().expect("clusters") {
            if cluster["name"] == "resolver" {
                let endpoints = cluster.pointer_mut("/load_assignment/endpoints/0/lb_endpoints");
                endpoints.and_then(Value::as_array_mut).expect("endpoints").push(endpoint(address));
            }
        }
    };
    let ask_always = |configuration: &mut Value| configuration["cache"] = json!({"ttl": "1ms"});
    let setup = |envoy: envoy::Builder| envoy.concurrency(1).edit(two);
    let scene = Scene::start_with(Options::default(), ask_always, setup).await;
    for _ in 0..20 {
        let session = format!("session={}", scene.authgear.log_in("alice"));
        let seen = scene.seen(Request::get("/").header("cookie", session)).await;
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
    }
    assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 20, "none was asked twice");
    assert!(scene.host.stat("cluster.resolver.upstream_cx_connect_fail").await > 0);
}

/// A resolver that takes every session for alice's. It answers once on each connection, keeps the connection open,
/// and closes it when the next question comes. Returns its address, and how often it was asked.
async fn answers_once_a_connection() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::<AtomicU64>::default();
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                for is_first in [true, false] {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut head).await.unwrap_or_default() == 0 {
                            return;
                        }
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-authgear-session-valid: true\r\n\
                                  x-authgear-user-id: alice\r\n\r\n";
                    if is_first && stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_kept_connection_that_is_cut_just_then_is_not_noticed() {
    let (resolver, asked) = answers_once_a_connection().await;
    let app = Echo::start().await.unwrap();
    let envoy =
        scene::builder(&app, resolver, resolver).plugin(scene::configuration()).concurrency(1).start().await;
    let apisix = Apisix::builder()
        .upstream(app.address())
        .workers(1)
        .plugin(scene::configuration_on::<Apisix>(resolver, resolver))
        .start();
    for address in [envoy.address(), apisix.address()] {
        for number in 0..10 {
            let request = Request::get("/").header("cookie", format!("session={number}"));
            let seen = seen(&client::send(address, request).await);
            assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some("alice"), "{number}");
        }
    }
    assert!(asked.load(Ordering::SeqCst) > 20, "some were cut, and sent once more");
}

#[tokio::test]
async fn what_a_server_says_is_asked_for_once() {
    for (status, calls) in [(503, 1), (502, 1), (500, 1)] {
        let answer = Answer::status(status).header("date", "Fri, 15 Jan 2027 08:00:00 GMT");
        let resolver = Faulty::start(Failure::Answer(answer)).await.unwrap();
        let app = Echo::start().await.unwrap();
        let envoy = scene::builder(&app, resolver.address(), resolver.address())
            .plugin(scene::configuration())
            .concurrency(1)
            .start()
            .await;
        let request = Request::get("/").header("cookie", "session=any");
        assert_eq!(client::send(envoy.address(), request).await.status, 503);
        assert_eq!(resolver.requests(), calls, "{status}");
    }
}

#[tokio::test]
async fn a_call_to_a_cluster_that_envoy_has_yet_to_learn_of_is_tried_again() {
    let authgear =
        Authgear::start(Options { public_origin: Some(ORIGIN.into()), ..Options::default() }).await.unwrap();
    let app = Echo::start().await.unwrap();
    let directory = std::env::temp_dir().join(format!("authgear-filter-clusters-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (file, new) = (directory.join("clusters.json"), directory.join("new.json"));
    std::fs::write(&file, json!({"resources": []}).to_string()).unwrap();
    let mut configuration = scene::configuration();
    configuration["authgear"]["mode"] = "auto".into();
    configuration["timeout"] = "30s".into();
    let watched = file.clone();
    let envoy = Envoy::builder()
        .cluster("app", app.address())
        .plugin(configuration)
        .concurrency(1)
        .edit(move |bootstrap| {
            bootstrap["node"] = json!({"id": "test", "cluster": "test"});
            bootstrap["dynamic_resources"]["cds_config"] =
                json!({"resource_api_version": "V3", "path_config_source": {"path": watched}});
        })
        .start()
        .await;
    let session = format!("session={}", authgear.log_in("alice"));
    let token = format!("Bearer {}", authgear.jwt("bob"));
    let requests = [
        (Request::get("/").header("cookie", session), "alice"),
        (Request::get("/").header("authorization", token), "bob"),
    ];
    let answers =
        requests.map(|(request, user)| (tokio::spawn(client::send(envoy.address(), request)), user));
    envoy.wait_for_stat(ACTIVE, 2).await;
    let servers = [("resolver", authgear.resolver_address()), ("authgear", authgear.main_address())];
    let clusters = servers.map(|(name, address)| {
        json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": name, "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint(address)]}]},
        })
    });
    std::fs::write(&new, json!({"resources": clusters}).to_string()).unwrap();
    std::fs::rename(&new, &file).unwrap();
    for (answer, user) in answers {
        let seen = seen(&answer.await.unwrap());
        assert_eq!(seen.identity_header("x-authgear-user-id").as_deref(), Some(user));
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
