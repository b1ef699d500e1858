//! `access_log`: what the proxy's access log shows of each request, on every host. In Envoy with the format that
//! `envoy.yaml` ships; on APISIX in nginx variables, if these are declared.

#[path = "../../tests/tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use authgear_filter::jose::Algorithm;
use hyper::StatusCode;
use issuer::{ISSUER, Issuer};
use serde_json::{Value, json};
use wasm_tests::apisix::{Apisix, Builder as ApisixBuilder};
use wasm_tests::authgear::{Endpoint, Fault, Options};
use wasm_tests::client::{self, Request};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{Builder as EnvoyBuilder, Envoy, workspace_dir};
use wasm_tests::on_each_host;
use wasm_tests::scene::{Host, Layout};
use wasm_tests::wait::{holds, wait_until};

on_each_host! {
    each_request_tells_its_outcome_why_and_by_what,
    a_user_id_can_neither_end_a_line_nor_look_like_another,
    nothing_of_a_credential_is_told,
    the_time_includes_the_wait_for_the_auth_server,
    it_is_off_unless_it_is_switched_on,
    every_project_tells_its_own_issuer,
}

/// The values, by their names in the log.
const NAMES: [&str; 7] = ["outcome", "reason", "cache_status", "user", "issuer", "time_us", "worker"];

/// A host whose access log can be read.
trait Logging: Host {
    fn logging(builder: Self::Builder) -> Self::Builder;

    /// The lines so far, each as an object. An absent value is `-` or null.
    fn lines(&self) -> Vec<Value>;
}

impl Logging for Envoy {
    fn logging(builder: EnvoyBuilder) -> EnvoyBuilder {
        builder.connection_manager("access_log", shipped())
    }

    fn lines(&self) -> Vec<Value> {
        let log = self.log();
        log.lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Logging for Apisix {
    fn logging(builder: ApisixBuilder) -> ApisixBuilder {
        NAMES.iter().fold(builder, |builder, name| builder.variable(&format!("authgear_{name}")))
    }

    fn lines(&self) -> Vec<Value> {
        let line = |variables: std::collections::BTreeMap<String, String>| {
            let told = variables
                .into_iter()
                .map(|(name, value)| (name.trim_start_matches("authgear_").to_owned(), value.into()));
            Value::Object(told.collect())
        };
        self.accesses().into_iter().map(line).collect()
    }
}

/// The access log of `envoy.yaml`.
fn shipped() -> Value {
    let text = fs::read_to_string(workspace_dir().join("envoy.yaml")).unwrap();
    let bootstrap: Value = yaml_serde::from_str(&text).unwrap();
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/access_log";
    bootstrap.pointer(manager).unwrap().clone()
}

/// The operators of a text, each beside the name that it is logged by.
fn operators(text: &str) -> BTreeSet<(String, String)> {
    let lines = text.lines().filter_map(|line| line.split_once(": \"%FILTER_STATE("));
    let name = |text: &str| text.trim().trim_matches('"').to_owned();
    lines.map(|(field, operator)| (name(field), operator.split(')').next().unwrap().to_owned())).collect()
}

#[test]
fn every_format_that_is_documented_tells_everything() {
    let expected: BTreeSet<_> =
        NAMES.iter().map(|name| ((*name).to_owned(), format!("wasm.authgear_{name}:PLAIN"))).collect();
    for file in ["envoy.yaml", "docs/istio.md", "docs/envoy-gateway.md"] {
        let text = fs::read_to_string(workspace_dir().join(file)).unwrap();
        assert_eq!(operators(&text), expected, "{file}");
    }
    let apisix = fs::read_to_string(workspace_dir().join("docs/apisix.md")).unwrap();
    for name in NAMES {
        assert!(apisix.contains(&format!("set $authgear_{name} \"-\";")), "{name}");
        assert!(apisix.contains(&format!("\"{name}\":\"$authgear_{name}\"")), "{name}");
        let envoy = fs::read_to_string(workspace_dir().join("docs/envoy.md")).unwrap();
        assert!(envoy.contains(&format!("| `%FILTER_STATE(wasm.authgear_{name}:PLAIN)%` |")), "{name}");
    }
}

async fn start<H: Logging>(change: impl FnOnce(&mut Value)) -> Layout<H> {
    let options = Options { public_origin: Some(H::ORIGIN.to_owned()), ..Options::default() };
    let change = |configuration: &mut Value| {
        configuration["access_log"] = json!(true);
        let authgear = configuration["authgear"].as_object_mut().unwrap();
        authgear.remove("mode");
        change(configuration);
    };
    Layout::start_with(options, change, |builder| H::logging(H::one_worker(builder))).await
}

/// The line of the last request, once there are so many.
async fn line<H: Logging>(host: &H, count: usize) -> Value {
    wait_until("the access log has the request", Duration::from_secs(10), || async {
        let lines = host.lines();
        if lines.len() >= count { Ok(lines[count - 1].clone()) } else { Err(format!("{lines:?}")) }
    })
    .await
}

fn told<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or("-")
}

async fn each_request_tells_its_outcome_why_and_by_what<H: Logging>() {
    let scene = start::<H>(|configuration| {
        configuration["rules"] = json!([
            {"prefix": "/public", "access": "public"},
            {"prefix": "/admin", "require": {"roles": ["nobody-has-it"]}},
            {"prefix": "/private", "access": "required"},
        ]);
    })
    .await;
    let jwt = format!("Bearer {}", scene.authgear.jwt("alice"));
    // The keys are there when it is known.
    let first = scene.send(Request::get("/").header("authorization", &jwt)).await;
    assert_eq!(first.status, 200);
    let alice = format!("session={}", scene.authgear.log_in("alice"));
    let jwt_of_carol = format!("Bearer {}", scene.authgear.jwt("carol"));
    let expired = scene.authgear.jwt_with("alice", |claims, _| claims["exp"] = json!(1));
    let expired = format!("Bearer {expired}");
    let origin = scene.authgear.public_origin();
    let by = origin.as_str();
    #[rustfmt::skip]
    let cases: Vec<(&str, Option<(&str, &str)>, [&str; 5])> = vec![
        ("/public", None, ["public", "-", "-", "-", "-"]),
        ("/", None, ["anonymous", "-", "-", "-", "-"]),
        ("/private", None, ["anonymous", "-", "-", "-", "-"]),
        ("/", Some(("cookie", alice.as_str())), ["session", "-", "miss", "alice", by]),
        ("/private", Some(("cookie", alice.as_str())), ["session", "-", "hit", "alice", by]),
        ("/admin", Some(("cookie", alice.as_str())), ["forbidden", "the user lacks a role", "hit", "alice", by]),
        ("/public", Some(("cookie", alice.as_str())), ["public", "-", "-", "-", "-"]),
        ("/", Some(("cookie", "session=invented")), ["no_session", "-", "miss", "-", "-"]),
        ("/private", Some(("cookie", "session=invented")), ["no_session", "-", "hit", "-", "-"]),
        ("/", Some(("authorization", jwt.as_str())), ["session", "-", "hit", "alice", by]),
        ("/", Some(("authorization", jwt_of_carol.as_str())), ["session", "-", "miss", "carol", by]),
        ("/", Some(("authorization", expired.as_str())), ["refused", "expired", "miss", "-", "-"]),
        ("/private", Some(("authorization", expired.as_str())), ["refused", "expired", "hit", "-", "-"]),
        ("/", Some(("authorization", "Bearer a, Bearer b")),
            ["refused", "there is more than one, or it is malformed", "-", "-", "-"]),
    ];
    let mut count = 1;
    for (path, header, expected) in cases {
        let request = Request::get(path);
        let request = match header {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        scene.send(request).await;
        count += 1;
        let line = line(&scene.host, count).await;
        let found = ["outcome", "reason", "cache_status", "user", "issuer"].map(|name| told(&line, name));
        assert_eq!(found, expected, "{path} {header:?}: {line}");
        assert!(told(&line, "time_us").parse::<u64>().is_ok(), "{line}");
        assert_eq!(told(&line, "worker").len(), 6, "{line}");
    }
    scene.authgear.fail(Endpoint::Resolver, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let bob = format!("session={}", scene.authgear.log_in("bob"));
    scene.send(Request::get("/").header("cookie", bob)).await;
    let line = line(&scene.host, count + 1).await;
    let found = ["outcome", "reason", "cache_status", "user"].map(|name| told(&line, name));
    assert_eq!(found, ["error_denied", "it answered 500", "miss", "-"], "{line}");
    let workers: BTreeSet<_> =
        scene.host.lines().iter().map(|line| told(line, "worker").to_owned()).collect();
    assert_eq!(workers.len(), 1, "there is one worker");
}

async fn a_user_id_can_neither_end_a_line_nor_look_like_another<H: Logging>() {
    let issuer = Issuer::new();
    let app = Echo::start().await.unwrap();
    let configuration = json!({"access_log": true, "jwt": [{
        "issuer": ISSUER, "audiences": [ISSUER], "jwks": issuer.jwks(), "headers": {"x-name": "name"},
    }]});
    let host = H::start(H::logging(H::builder(&app, &[])), configuration).await;
    let cases = [
        ("user-1@example.com", "user-1@example.com"),
        ("a\n{\"user\":\"admin\"}", "a%0A{%22user%22:%22admin%22}"),
        ("a\r\nb", "a%0D%0Ab"),
        ("a b", "a%20b"),
        ("\" x", "%22%20x"),
        ("%0A", "%250A"),
        ("zoë", "zo%C3%AB"),
        ("-", "%2D"),
        ("\u{2028}", "%E2%80%A8"),
    ];
    for (count, (subject, expected)) in cases.into_iter().enumerate() {
        let mut claims = issuer::claims();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        claims["iat"] = json!(now);
        claims["exp"] = json!(now + 600);
        claims["sub"] = json!(subject);
        let token = issuer.token(Algorithm::Rs256, &claims);
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        assert_eq!(client::send(host.address(), request).await.status, 200, "{subject:?}");
        let line = line(&host, count + 1).await;
        assert_eq!((told(&line, "user"), told(&line, "issuer")), (expected, ISSUER), "{line}");
        assert_eq!(host.lines().len(), count + 1, "one line each");
    }
}

async fn nothing_of_a_credential_is_told<H: Logging>() {
    let scene = start::<H>(|configuration| configuration["log_level"] = json!("debug")).await;
    let session = scene.authgear.log_in("alice");
    let jwt = scene.authgear.jwt("alice");
    let expired = scene.authgear.jwt_with("alice", |claims, _| claims["exp"] = json!(1));
    let opaque = scene.authgear.opaque_token("alice");
    for secret in [&jwt, &expired, &opaque] {
        scene
            .send(Request::get("/?token=in-a-query").header("authorization", format!("Bearer {secret}")))
            .await;
    }
    scene.send(Request::get("/").header("cookie", format!("session={session}"))).await;
    line(&scene.host, 4).await;
    let log = format!("{:?}{}", scene.host.lines(), scene.host.log());
    for secret in [jwt, expired, opaque, session, "in-a-query".to_owned()] {
        let signature = secret.rsplit('.').next().unwrap();
        assert!(!log.contains(signature), "{signature} in {log}");
    }
}

async fn the_time_includes_the_wait_for_the_auth_server<H: Logging>() {
    const DELAY: Duration = Duration::from_millis(300);
    let scene = start::<H>(|_| {}).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::Delay(DELAY));
    let alice = format!("session={}", scene.authgear.log_in("alice"));
    for count in 1..=2 {
        scene.send(Request::get("/").header("cookie", &alice)).await;
        let line = line(&scene.host, count).await;
        let spent: u128 = told(&line, "time_us").parse().unwrap();
        match told(&line, "cache_status") {
            "miss" => assert!(spent >= DELAY.as_micros(), "{line}"),
            "hit" => assert_eq!(count, 2, "{line}"),
            other => panic!("{other}: {line}"),
        }
    }
}

async fn it_is_off_unless_it_is_switched_on<H: Logging>() {
    let scene = start::<H>(|configuration| {
        configuration.as_object_mut().unwrap().remove("access_log");
    })
    .await;
    let alice = format!("session={}", scene.authgear.log_in("alice"));
    scene.send(Request::get("/").header("cookie", alice)).await;
    let line = line(&scene.host, 1).await;
    assert_eq!(NAMES.map(|name| told(&line, name)), ["-"; 7], "{line}");
}

async fn every_project_tells_its_own_issuer<H: Logging>() {
    let scene = start::<H>(|configuration| {
        let first = configuration["authgear"].clone();
        let (mut a, mut b) = (first.clone(), first);
        a["hosts"] = json!(["a.example"]);
        b["endpoint"] = json!("http://other.example.test");
        configuration["authgear"] = json!([a, b]);
    })
    .await;
    let alice = format!("session={}", scene.authgear.log_in("alice"));
    let request = |host: &str| Request::get("/").host(host).header("cookie", &alice);
    scene.send(request("a.example")).await;
    let first = line(&scene.host, 1).await;
    assert_eq!((told(&first, "user"), told(&first, "issuer")), ("alice", H::ORIGIN), "{first}");
    scene.send(request("elsewhere.example")).await;
    let second = line(&scene.host, 2).await;
    assert_ne!(told(&second, "issuer"), H::ORIGIN, "{second}");
}

#[tokio::test]
async fn requests_that_share_an_answer_and_those_with_an_old_one_say_so() {
    let scene = start::<Envoy>(|configuration| {
        configuration["cache"] = json!({"ttl": "100ms", "stale_if_error": "10m"});
    })
    .await;
    let alice = format!("session={}", scene.authgear.log_in("alice"));
    scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
    let requests: Vec<_> = (0..3)
        .map(|_| {
            let (address, alice) = (scene.host.address(), alice.clone());
            tokio::spawn(
                async move { client::send(address, Request::get("/").header("cookie", alice)).await },
            )
        })
        .collect();
    scene.host.wait_for_stat("wasmcustom.authgear_filter.answers.shared", 2).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    for request in requests {
        assert_eq!(request.await.unwrap().status, 200);
    }
    line(&scene.host, 3).await;
    let mut how: Vec<_> =
        scene.host.lines().iter().map(|line| told(line, "cache_status").to_owned()).collect();
    how.sort();
    assert_eq!(how, ["miss", "shared", "shared"]);
    scene.authgear.fail(Endpoint::Resolver, Fault::Status(StatusCode::BAD_GATEWAY));
    let (scene, alice) = (&scene, &alice);
    wait_until("the answer is old", Duration::from_secs(10), || async move {
        scene.send(Request::get("/").header("cookie", alice)).await;
        let stale = scene.host.lines().into_iter().find(|line| told(line, "cache_status") == "stale");
        stale.map(|line| assert_eq!(told(&line, "user"), "alice", "{line}")).ok_or("none is stale")
    })
    .await;
}

#[tokio::test]
async fn workers_are_told_apart() {
    let app = Echo::start().await.unwrap();
    let configuration = json!({"access_log": true,
        "forward_auth": {"url": "http://auth/", "upstream": "auth", "identity_headers": ["x-user"]},
        "access": "public"});
    let builder = Envoy::logging(Envoy::builder().cluster("app", app.address()).concurrency(2));
    let envoy = <Envoy as Host>::start(builder, configuration).await;
    let envoy = &envoy;
    wait_until("both workers have served", Duration::from_secs(30), || async move {
        client::send(envoy.address(), Request::get("/")).await;
        let workers: BTreeSet<_> = envoy.lines().iter().map(|line| told(line, "worker").to_owned()).collect();
        assert!(workers.len() <= 2, "{workers:?}");
        holds(workers.len() == 2, format!("{workers:?}"))
    })
    .await;
}

#[tokio::test]
async fn on_apisix_without_the_variables_it_costs_one_line_of_each_worker_and_nothing_else() {
    let scene = Layout::<Apisix>::start(|configuration| configuration["access_log"] = json!(true)).await;
    let alice = format!("session={}", scene.authgear.log_in("alice"));
    for _ in 0..20 {
        assert_eq!(scene.send(Request::get("/").header("cookie", &alice)).await.status, 200);
        assert_eq!(scene.send(Request::get("/")).await.status, 200);
    }
    let refused = scene.host.log().matches("not found for writing").count();
    assert!((1..=2).contains(&refused), "{refused} lines of 2 workers");
}
