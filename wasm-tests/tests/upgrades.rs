//! Configurations and modules that are replaced while requests are in flight, in a real Envoy that watches its
//! listener's file.
//!
//! Envoy keeps the old configuration's connections for its drain time, and asks their clients to leave (`Connection:
//! close`, `GOAWAY`). A client that complies must notice nothing.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wasm_tests::authgear::{Endpoint, Fault, Options};
use wasm_tests::client::{self, Connection, Protocol, Request, Response};
use wasm_tests::envoy::{self, Envoy};
use wasm_tests::scene::{self, Scene, seen};

/// Envoy's own default: longer than any test.
const LONG: Duration = Duration::from_secs(600);
const SHARED: &str = "wasmcustom.authgear_filter.answers.shared";
/// How many VMs there are.
const VMS: &str = "wasm.envoy.wasm.runtime.v8.active";
/// How often the configuration is replaced under load.
const SWAPS: usize = 20;
/// The least number of answers between two of them.
const BETWEEN: u64 = 100;

/// A configuration that puts its number into its denial of `/private`.
fn numbered(number: usize) -> Value {
    let mut configuration = scene::configuration();
    // No held answer may come too late.
    configuration["timeout"] = "30s".into();
    configuration["rules"] = json!([
        { "prefix": "/private", "access": "required", "on_unauthenticated": { "body": number.to_string() } },
        { "prefix": "/admin", "require": { "roles": ["admin"] } },
    ]);
    configuration
}

/// The same, but otherwise unlike that of the next and the previous number.
fn varied(number: usize) -> Value {
    let mut configuration = numbered(number);
    configuration["authgear"]["mode"] = ["resolver", "auto"][number % 2].into();
    configuration["cache"] = json!({ "ttl": (["0s", "20ms", "1h"][number % 3]) });
    configuration["timeout"] = ["3s", "4s"][number % 2].into();
    configuration
}

fn forged(path: &str) -> Request {
    Request::get(path)
        .header("x-authgear-user-id", "forged")
        .header("x-authgear-session-valid", "true")
        .header("X_Authgear_User_Roles", "admin")
}

fn with_session(path: &str, session: &str) -> Request {
    forged(path).header("cookie", format!("session={session}"))
}

fn with_token(path: &str, token: &str) -> Request {
    forged(path).header("authorization", format!("Bearer {token}"))
}

/// The user that the app sees, on a path that does not require one.
fn user(response: &Response) -> Option<String> {
    let seen = seen(response);
    let user = seen.identity_header("x-authgear-user-id");
    let valid = seen.identity_header("x-authgear-session-valid");
    assert_eq!(user.is_some(), valid.as_deref() == Some("true"), "{response:?}");
    assert!(!seen.identity().iter().any(|(_, value)| value == "forged"), "{response:?}");
    user
}

/// The number of the configuration that denied a request.
fn denied_by(response: &Response) -> usize {
    assert_eq!(response.status, 401, "{response:?}");
    response.text().parse().expect("the number of a configuration")
}

/// What must become of a request under each configuration.
#[derive(Clone, Copy)]
enum Due {
    Let(Option<&'static str>),
    Denied,
    Forbidden,
}

async fn scene(drain: Duration, workers: u32, configuration: Value) -> Scene {
    let change = |smallest: &mut Value| *smallest = configuration;
    let setup = |envoy: envoy::Builder| envoy.dynamic(drain).concurrency(workers);
    Scene::start_with(Options::default(), change, setup).await
}

/// One worker, on which old connections live on.
async fn lasting_scene(configuration: Value) -> Scene {
    scene(LONG, 1, configuration).await
}

/// A client that uses one connection until the server asks it to leave, then another.
async fn client(
    address: SocketAddr,
    protocol: Protocol,
    requests: Arc<[(Request, Due)]>,
    start: usize,
    answered: watch::Sender<u64>,
    over: Arc<AtomicBool>,
) -> BTreeSet<usize> {
    let mut connection = Connection::open(address, protocol).await;
    let mut denials = BTreeSet::new();
    let mut turn = start;
    while !over.load(Ordering::Relaxed) {
        let (request, due) = &requests[turn % requests.len()];
        turn += 1;
        let answer = match connection.send_if_open(request.clone()).await {
            Ok(answer) => answer,
            Err(request) => {
                connection = Connection::open(address, protocol).await;
                connection.send(request).await
            }
        };
        match due {
            Due::Let(who) => assert_eq!(user(&answer).as_deref(), *who, "{request:?}"),
            Due::Denied => drop(denials.insert(denied_by(&answer))),
            Due::Forbidden => assert_eq!(answer.status, 403, "{answer:?}"),
        }
        answered.send_modify(|count| *count += 1);
    }
    denials
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_swaps_under_load_lose_no_request_and_let_none_in() {
    // Short enough that the first configurations are deleted while the last ones arrive.
    let mut scene = scene(Duration::from_secs(5), 2, varied(0)).await;
    let address = scene.host.address();
    let other_module = OtherModule::write();
    scene.authgear.fail(Endpoint::Resolver, Fault::Delay(Duration::from_millis(5)));
    let (alice, bob) = (scene.authgear.log_in("alice"), scene.authgear.log_in("bob"));
    let requests: Arc<[(Request, Due)]> = Arc::new([
        (with_session("/", &alice), Due::Let(Some("alice"))),
        (forged("/"), Due::Let(None)),
        (with_token("/private", &scene.authgear.jwt("carol")), Due::Let(Some("carol"))),
        (forged("/private"), Due::Denied),
        (with_session("/admin", &alice), Due::Let(Some("alice"))),
        (with_token("/", &scene.authgear.opaque_token("bob")), Due::Let(Some("bob"))),
        (with_session("/private", "nonsense"), Due::Denied),
        (with_session("/admin", &bob), Due::Forbidden),
        (with_token("/", "nonsense"), Due::Let(None)),
    ]);
    let answered = watch::Sender::new(0);
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<JoinHandle<BTreeSet<usize>>> = (0..8)
        .map(|number| {
            let protocol = [Protocol::Http1, Protocol::Http2][number % 2];
            let (requests, over) = (Arc::clone(&requests), Arc::clone(&over));
            tokio::spawn(client(address, protocol, requests, number, answered.clone(), over))
        })
        .collect();
    let mut seen_answers = answered.subscribe();
    for number in 1..=SWAPS {
        let module = if number % 4 < 2 { envoy::filter_module() } else { other_module.0.clone() };
        scene.host.upgrade(module, varied(number)).await;
        let fresh = scene.send(forged("/private")).await;
        assert_eq!(denied_by(&fresh), number, "a new connection gets the new configuration");
        let more = *seen_answers.borrow() + BETWEEN;
        seen_answers.wait_for(|count| *count >= more).await.expect("the sender is here");
    }
    scene.host.wait_until_drained().await;
    over.store(true, Ordering::Relaxed);
    let mut denials = BTreeSet::new();
    for client in clients {
        denials.extend(client.await.expect("each request was answered as it must be"));
    }
    println!("{} answers under {} configurations", *answered.borrow(), denials.len());
    assert_unharmed(&scene.host).await;
}

/// The same module to the last instruction, but one that Envoy must take for another.
struct OtherModule(PathBuf);

impl OtherModule {
    fn write() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut module = fs::read(envoy::filter_module()).expect("the filter was built");
        // A custom section: its id, its length, and its name with its length.
        module.extend(b"\0\x06\x05other");
        let name = format!("other-{}-{}.wasm", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = envoy::target_dir().join("envoy-logs").join(name);
        fs::write(&path, module).expect("the target directory is writable");
        Self(path)
    }
}

impl Drop for OtherModule {
    fn drop(&mut self) {
        // A leftover file does no harm.
        let _absent = fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn requests_that_wait_for_an_answer_get_it_under_the_configuration_that_asked() {
    let mut scene = lasting_scene(numbered(0)).await;
    let address = scene.host.address();
    scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
    let alice = scene.authgear.log_in("alice");
    let of_alice = send_all(address, 20, &with_session("/private", &alice));
    let of_nobody = send_all(address, 20, &with_session("/private", "nonsense"));
    scene.authgear.received(Endpoint::Resolver).wait_for(2).await;
    scene.host.wait_for_stat(SHARED, 38).await;
    scene.host.reconfigure(numbered(1)).await;
    let other_module = OtherModule::write();
    scene.host.upgrade(&other_module.0, numbered(2)).await;
    let later = send_all(address, 1, &with_session("/private", "nonsense"));
    scene.authgear.received(Endpoint::Resolver).wait_for(3).await;
    assert_eq!(scene.app.received().count(), 0);
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    for answer in all(of_alice).await {
        assert_eq!(user(&answer).as_deref(), Some("alice"));
    }
    for answer in all(of_nobody).await {
        assert_eq!(denied_by(&answer), 0);
    }
    for answer in all(later).await {
        assert_eq!(denied_by(&answer), 2);
    }
    assert_eq!(scene.app.received().count(), 20);
}

#[tokio::test]
async fn tokens_that_wait_for_keys_are_verified_under_the_configuration_that_fetches_them() {
    let mut configuration = numbered(0);
    configuration["authgear"]["mode"] = "auto".into();
    let change = |smallest: &mut Value| smallest.clone_from(&configuration);
    let setup = |envoy: envoy::Builder| envoy.dynamic(LONG).concurrency(1);
    let faults = [(Endpoint::Jwks, Fault::Hold)];
    let mut scene = Scene::start_failing(Options::default(), faults, change, setup).await;
    let address = scene.host.address();
    let token = scene.authgear.jwt("alice");
    let (signed, _) = token.rsplit_once('.').expect("a JWT has a signature");
    let of_alice = send_all(address, 20, &with_token("/private", &token));
    let of_nobody = send_all(address, 20, &with_token("/private", &format!("{signed}.AAAA")));
    scene.host.wait_for_stat("http.ingress.downstream_rq_active", 40).await;
    configuration["rules"] = numbered(1)["rules"].take();
    scene.host.reconfigure(configuration).await;
    let later = send_all(address, 1, &with_token("/private", &format!("{signed}.AAAA")));
    scene.host.wait_for_stat("http.ingress.downstream_rq_active", 41).await;
    assert_eq!(scene.app.received().count(), 0);
    scene.authgear.fail(Endpoint::Jwks, Fault::None);
    for answer in all(of_alice).await {
        assert_eq!(user(&answer).as_deref(), Some("alice"));
    }
    for answer in all(of_nobody).await {
        assert_eq!(denied_by(&answer), 0);
    }
    for answer in all(later).await {
        assert_eq!(denied_by(&answer), 1);
    }
    assert_eq!(scene.app.received().count(), 20);
}

#[tokio::test]
async fn an_answer_to_a_configuration_that_is_gone_harms_nobody() {
    let mut configuration = numbered(0);
    configuration["authgear"]["mode"] = "auto".into();
    let mut scene = scene(Duration::from_secs(1), 1, configuration.clone()).await;
    let token = scene.authgear.jwt("alice");
    let vms = scene.host.stat(VMS).await;
    let other_module = OtherModule::write();
    // Its VM stays until the next configuration, then goes too.
    for (number, module) in [envoy::filter_module(), other_module.0.clone()].into_iter().enumerate() {
        scene.authgear.fail(Endpoint::Jwks, Fault::Hold);
        let fetches = scene.authgear.received(Endpoint::Jwks).count();
        configuration["rules"] = numbered(10 + number)["rules"].take();
        scene.host.reconfigure(configuration.clone()).await;
        scene.authgear.received(Endpoint::Jwks).wait_for(fetches + 1).await;
        configuration["rules"] = numbered(20 + number)["rules"].take();
        scene.host.upgrade(module, configuration.clone()).await;
        scene.host.wait_until_drained().await;
        scene.host.wait_for_stat_to_fall(VMS, vms).await;
        scene.authgear.fail(Endpoint::Jwks, Fault::None);
        let answer = scene.send(with_token("/private", &token)).await;
        assert_eq!(user(&answer).as_deref(), Some("alice"));
        assert_eq!(denied_by(&scene.send(forged("/private")).await), 20 + number);
    }
    assert_unharmed(&scene.host).await;
}

#[tokio::test]
async fn a_new_configuration_remembers_nothing_of_the_one_before() {
    let remembering = |number| {
        let mut configuration = numbered(number);
        configuration["cache"] = json!({ "ttl": "1h" });
        configuration
    };
    let mut scene = lasting_scene(remembering(0)).await;
    let alice = scene.authgear.log_in("alice");
    for number in 0..3 {
        if number > 0 {
            scene.host.reconfigure(remembering(number)).await;
        }
        for _ in 0..2 {
            let answer = scene.send(with_session("/private", &alice)).await;
            assert_eq!(user(&answer).as_deref(), Some("alice"));
        }
        let calls = scene.authgear.received(Endpoint::Resolver).count();
        assert_eq!(calls, 1 + number as u64, "each configuration asks once");
    }
    assert!(scene.authgear.log_out(&alice));
    let answer = scene.send(with_session("/private", &alice)).await;
    assert_eq!(user(&answer).as_deref(), Some("alice"), "this is what is remembered");
    scene.host.reconfigure(remembering(3)).await;
    assert_eq!(denied_by(&scene.send(with_session("/private", &alice)).await), 3, "out at once");
}

/// Envoy silently keeps a plugin whose configuration is the same. docs/operations.md warns of that.
#[tokio::test]
async fn a_configuration_that_comes_back_has_forgotten_only_once_its_connections_are_over() {
    let mut remembering = numbered(0);
    remembering["cache"] = json!({ "ttl": "1h" });
    let mut scene = scene(Duration::from_secs(3), 1, remembering.clone()).await;
    let alice = scene.authgear.log_in("alice");
    let request = || with_session("/private", &alice);
    assert_eq!(user(&scene.send(request()).await).as_deref(), Some("alice"));
    assert!(scene.authgear.log_out(&alice));
    scene.host.reconfigure(numbered(1)).await;
    assert_eq!(denied_by(&scene.send(request()).await), 1);
    scene.host.wait_until_drained().await;
    scene.host.reconfigure(remembering.clone()).await;
    assert_eq!(denied_by(&scene.send(request()).await), 0, "all that it remembered is gone");

    let mut scene = lasting_scene(remembering.clone()).await;
    let alice = scene.authgear.log_in("alice");
    let request = || with_session("/private", &alice);
    assert_eq!(user(&scene.send(request()).await).as_deref(), Some("alice"));
    assert!(scene.authgear.log_out(&alice));
    scene.host.reconfigure(numbered(1)).await;
    scene.host.reconfigure(remembering).await;
    assert_eq!(user(&scene.send(request()).await).as_deref(), Some("alice"), "it was never gone");
}

#[tokio::test]
async fn a_connection_of_before_keeps_its_configuration_and_is_asked_to_leave() {
    let mut scene = lasting_scene(numbered(0)).await;
    for (number, protocol) in [(1, Protocol::Http1), (2, Protocol::Http2)] {
        let mut connection = Connection::open(scene.host.address(), protocol).await;
        assert_eq!(denied_by(&connection.send(forged("/private")).await), number - 1);
        scene.host.reconfigure(numbered(number)).await;
        let answer = connection.send(forged("/private")).await;
        assert_eq!(denied_by(&answer), number - 1);
        let close = (protocol == Protocol::Http1).then_some("close");
        assert_eq!(answer.header("connection"), close);
        // The client may still be reading the `GOAWAY`.
        while let Ok(answer) = connection.send_if_open(forged("/private")).await {
            assert_eq!((protocol, denied_by(&answer)), (Protocol::Http2, number - 1));
        }
        assert_eq!(denied_by(&scene.send(forged("/private")).await), number);
    }
}

#[tokio::test]
async fn a_refused_configuration_leaves_the_one_before_in_place() {
    let mut configuration = numbered(0);
    configuration["cache"] = json!({ "ttl": "1h" });
    let mut scene = lasting_scene(configuration).await;
    let alice = scene.authgear.log_in("alice");
    let mut connection = Connection::open(scene.host.address(), Protocol::Http1).await;
    let served = connection.send(with_session("/private", &alice)).await;
    assert_eq!(user(&served).as_deref(), Some("alice"));
    let mut bad = numbered(1);
    bad["authgear"]["resolver_uri"] = "http://resolver.internal/".into();
    scene.host.reconfigure_refused(bad).await;
    scene.host.wait_for_log("the configuration is refused. authgear.resolver_uri").await;
    for _ in 0..2 {
        let served = connection.send(with_session("/private", &alice)).await;
        assert_eq!(user(&served).as_deref(), Some("alice"));
        assert_eq!(served.header("connection"), None, "nobody has to leave");
    }
    assert_eq!(denied_by(&scene.send(forged("/private")).await), 0);
    assert_eq!(scene.authgear.received(Endpoint::Resolver).count(), 1, "nothing is forgotten");
    scene.host.reconfigure(numbered(2)).await;
    assert_eq!(denied_by(&scene.send(forged("/private")).await), 2, "the next good one is taken");
    assert_unharmed(&scene.host).await;
}

#[tokio::test]
async fn a_configuration_that_ends_during_a_call_takes_all_that_it_remembers_along() {
    const TOKENS: usize = 300;
    const TOKEN_LENGTH: usize = 15_000;
    let mut configuration = numbered(0);
    configuration["authgear"]["mode"] = "auto".into();
    configuration["cache"] = json!({ "ttl": "1h", "negative_ttl": "1h" });
    let mut scene = scene(Duration::from_secs(1), 1, configuration.clone()).await;
    // The fetch of the keys, which is in flight whenever a configuration ends.
    scene.authgear.fail(Endpoint::Jwks, Fault::Hold);
    let mut memory = Vec::new();
    for number in 1..=6 {
        configuration["rules"] = numbered(number)["rules"].take();
        let fetches = scene.authgear.received(Endpoint::Jwks).count();
        scene.host.reconfigure(configuration.clone()).await;
        scene.authgear.received(Endpoint::Jwks).wait_for(fetches + 1).await;
        let mut connection = Connection::open(scene.host.address(), Protocol::Http1).await;
        for token in 0..TOKENS {
            let answer = connection.send(with_token("/", &format!("{token:0TOKEN_LENGTH$}"))).await;
            assert_eq!(user(&answer), None);
        }
        scene.host.wait_until_drained().await;
        memory.push(scene.host.resident_memory());
    }
    println!("Envoy's memory after each configuration: {memory:?}");
    // Four of them cache 18 MB. The first two are evicted.
    let grown = memory[5].saturating_sub(memory[1]);
    assert!(grown < 2 * (TOKENS * TOKEN_LENGTH) as u64, "{memory:?}");
}

/// Starts to send a request this many times, on connections of both protocols.
fn send_all(address: SocketAddr, count: usize, request: &Request) -> Vec<JoinHandle<Response>> {
    let send = |number| {
        let request = request.clone();
        match number % 2 {
            0 => tokio::spawn(client::send(address, request)),
            _ => tokio::spawn(client::send_http2(address, request)),
        }
    };
    (0..count).map(send).collect()
}

async fn all(sent: Vec<JoinHandle<Response>>) -> Vec<Response> {
    let mut answers = Vec::new();
    for sent in sent {
        answers.push(sent.await.expect("it is answered"));
    }
    answers
}

/// No VM has died.
async fn assert_unharmed(envoy: &Envoy) {
    let reloads = envoy.stats("wasm.authgear.vm_reload").await;
    assert!(reloads.values().all(|count| *count == 0), "{reloads:?}");
    let log = envoy.log();
    assert!(!log.contains("panicked"), "{log}");
}
