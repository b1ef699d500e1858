//! The filter's metrics in a real Envoy, number by number; the alerts for Prometheus and the dashboard for Grafana, by
//! Prometheus itself (Debian's package `prometheus`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use wasm_tests::authgear::{Endpoint, Fault, Options};
use wasm_tests::client::{self, Request};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{Envoy, target_dir, workspace_dir};
use wasm_tests::process;
use wasm_tests::scene::{Host, Layout, Scene};
use wasm_tests::wait::{holds, wait_until};

const PREFIX: &str = "authgear_filter_";

/// What Prometheus reads of an Envoy: the filter's metrics by their names, without prefix. A histogram is its parts.
async fn scrape(envoy: &Envoy) -> BTreeMap<String, f64> {
    let page = client::send(envoy.admin(), Request::get("/stats/prometheus")).await;
    let lines = page.text().lines().filter_map(|line| line.strip_prefix(PREFIX)?.rsplit_once(' '));
    lines.map(|(name, value)| (name.trim_end_matches("{}").to_owned(), value.parse().unwrap())).collect()
}

/// Waits until a metric has a value that is good: gauges are told each second.
async fn wait_for(envoy: &Envoy, name: &str, is_good: impl Fn(f64) -> bool) {
    let is_good = &is_good;
    wait_until(&format!("{name} is as it should be"), Duration::from_secs(10), || async move {
        let value = scrape(envoy).await.get(name).copied();
        holds(value.is_some_and(is_good), format!("{value:?}"))
    })
    .await;
}

async fn start(change: impl FnOnce(&mut Value)) -> Scene {
    let change = |configuration: &mut Value| {
        configuration["authgear"].as_object_mut().unwrap().remove("mode");
        change(configuration);
    };
    Layout::start_with(Options::default(), change, <Envoy as Host>::one_worker).await
}

fn with_token(token: &str) -> Request {
    Request::get("/").header("authorization", format!("Bearer {token}"))
}

fn with_cookie(session: &str) -> Request {
    Request::get("/").header("cookie", format!("session={session}"))
}

/// Sends one request of each kind, so that every number is known.
async fn load(scene: &Scene) {
    let authgear = &scene.authgear;
    // 1 verified and 2 reused; the keys are there when it is let in.
    let good = authgear.jwt("alice");
    for _ in 0..3 {
        assert_eq!(scene.send(with_token(&good)).await.status, 200);
    }
    // One of each fault, the last one twice.
    let mut refused = vec![
        authgear.jwt_with("alice", |claims, _| claims["exp"] = json!(1)),
        authgear.jwt_with("alice", |claims, _| claims["iss"] = json!("https://elsewhere.example")),
        authgear.jwt_with("alice", |claims, _| claims["aud"] = json!(["https://elsewhere.example"])),
        authgear.jwt_with("alice", |claims, _| {
            claims.insert("nbf".into(), json!(32_503_680_000_u64));
        }),
        authgear.id_token("alice"),
    ];
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    refused.push(format!("{signed}.{other}{}", &signature[1..]));
    refused.push(refused[0].clone());
    for token in refused {
        scene.send(with_token(&token)).await;
    }
    scene.send(with_token("a, Bearer b")).await;
    // 1 missed and 2 reused; 1 missed that is nobody's.
    let session = authgear.log_in("alice");
    for _ in 0..3 {
        assert_eq!(scene.send(with_cookie(&session)).await.status, 200);
    }
    scene.send(with_cookie("invented")).await;
    // 1 that fails.
    authgear.fail(Endpoint::Resolver, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let session = authgear.log_in("carol");
    assert_eq!(scene.send(with_cookie(&session)).await.status, 503);
    authgear.fail(Endpoint::Resolver, Fault::None);
    scene.send(Request::get("/")).await;
}

#[tokio::test]
async fn every_number_is_that_of_what_happened() {
    let scene =
        start(|configuration| configuration["cache"] = json!({"negative_ttl": "10m", "ttl": "10m"})).await;
    let before = scrape(&scene.host).await;
    load(&scene).await;
    let after = scrape(&scene.host).await;
    #[rustfmt::skip]
    let expected = [
        ("requests_session", 6), ("requests_anonymous", 1), ("requests_no_session", 1), ("requests_refused", 8),
        ("requests_error_denied", 1), ("requests_public", 0), ("requests_forbidden", 0), ("requests_bad_request", 0),
        ("requests_broken", 0), ("requests_machine", 0), ("requests_error_allowed", 0),
        ("requests_no_keys_denied", 0), ("requests_no_keys_allowed", 0),
        ("tokens_verified", 1), ("tokens_reused", 2),
        ("tokens_refused_expired", 2), ("tokens_refused_issuer", 1), ("tokens_refused_audience", 1),
        ("tokens_refused_early", 1), ("tokens_refused_kind", 1), ("tokens_refused_signature", 1),
        ("tokens_refused_malformed", 1), ("tokens_refused_algorithm", 0), ("tokens_refused_client", 0),
        ("tokens_refused_key", 0), ("tokens_refused_claim", 0), ("tokens_refused_proof", 0),
        ("tokens_refused_inactive", 0), ("tokens_refused_revoked", 0),
        ("answers_missed", 3), ("answers_reused", 2), ("answers_shared", 0), ("answers_stale", 0),
        ("calls_5xx", 1), ("calls_3xx", 0), ("calls_4xx", 0), ("calls_unanswered", 0), ("calls_unsent", 0),
        ("tokens_confirmed", 0), ("tokens_revoked", 0), ("tokens_confirm_failed", 0), ("cache_evicted", 0),
    ];
    let change = |name: &str| after[name] - before[name];
    for (name, count) in expected {
        assert!((change(name) - f64::from(count)).abs() < 0.5, "{name}: {} and not {count}", change(name));
    }
    // Keys are fetched by more VMs than serve.
    assert!(after["calls_2xx"] >= 3.0, "2 answers and the keys");
    let calls = after["calls_2xx"] + after["calls_5xx"];
    wait_for(&scene.host, "calls_milliseconds_count", |count| (count - calls).abs() < 0.5).await;
    // alice's answer, nobody's, her token, and seven refused ones of which one came twice.
    wait_for(&scene.host, "cache_entries", |entries| (entries - 9.0).abs() < 0.5).await;
    wait_for(&scene.host, "cache_bytes", |bytes| bytes > 9.0 * 100.0).await;
    wait_for(&scene.host, "keys_age_seconds", |age| (0.0..600.0).contains(&age)).await;
    wait_for(&scene.host, "calls_in_flight", |calls| calls == 0.0).await;
    wait_for(&scene.host, "requests_parked", |requests| requests == 0.0).await;
}

#[tokio::test]
async fn what_waits_is_told_while_it_waits() {
    let scene = start(|_| {}).await;
    let session = scene.authgear.log_in("alice");
    scene.authgear.fail(Endpoint::Resolver, Fault::Hold);
    let requests: Vec<_> = (0..4)
        .map(|_| {
            let (address, request) = (scene.host.address(), with_cookie(&session));
            tokio::spawn(async move { client::send(address, request).await })
        })
        .collect();
    wait_for(&scene.host, "requests_parked", |requests| requests == 4.0).await;
    wait_for(&scene.host, "calls_in_flight", |calls| calls == 1.0).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::None);
    for request in requests {
        assert_eq!(request.await.unwrap().status, 200);
    }
    wait_for(&scene.host, "requests_parked", |requests| requests == 0.0).await;
    wait_for(&scene.host, "calls_in_flight", |calls| calls == 0.0).await;
}

#[tokio::test]
async fn a_slow_call_is_in_a_bucket_of_its_own() {
    let scene = start(|_| {}).await;
    scene.authgear.fail(Endpoint::Resolver, Fault::Delay(Duration::from_millis(1100)));
    let session = scene.authgear.log_in("alice");
    assert_eq!(scene.send(with_cookie(&session)).await.status, 200);
    let calls = scrape(&scene.host).await["calls_2xx"];
    // Envoy merges histograms each 5 s.
    wait_for(&scene.host, "calls_milliseconds_count", |count| count == calls).await;
    let metrics = scrape(&scene.host).await;
    assert!(metrics["calls_milliseconds_bucket{le=\"1000\"}"] < calls, "{metrics:?}");
    assert!(metrics["calls_milliseconds_sum"] >= 1100.0, "{metrics:?}");
}

#[tokio::test]
async fn a_full_cache_counts_what_makes_room() {
    let scene = start(|configuration| configuration["cache"] = json!({"max_entries": 2})).await;
    for _ in 0..5 {
        let session = scene.authgear.log_in("alice");
        assert_eq!(scene.send(with_cookie(&session)).await.status, 200);
    }
    wait_for(&scene.host, "cache_evicted", |evicted| (evicted - 3.0).abs() < 0.5).await;
    wait_for(&scene.host, "cache_entries", |entries| (entries - 2.0).abs() < 0.5).await;
}

#[tokio::test]
async fn the_documented_tags_make_labels_of_the_names() {
    let document = fs::read_to_string(workspace_dir().join("docs/envoy.md")).unwrap();
    let block = document.split("```yaml\n").find(|block| block.starts_with("stats_config:")).unwrap();
    let tags: Value = yaml_serde::from_str(block.split("```").next().unwrap()).unwrap();
    let app = Echo::start().await.unwrap();
    let configuration = json!({"access": "public",
        "forward_auth": {"url": "http://auth/", "upstream": "auth", "identity_headers": ["x-user"]}});
    let builder = Envoy::builder().cluster("app", app.address()).plugin(configuration);
    let envoy =
        builder.edit(move |bootstrap| bootstrap["stats_config"] = tags["stats_config"].clone()).start().await;
    client::send(envoy.address(), Request::get("/")).await;
    let metrics = scrape(&envoy).await;
    assert_eq!(metrics.get("requests{authgear_outcome=\"public\"}"), Some(&1.0), "{metrics:?}");
    assert!(metrics.contains_key("tokens_refused{authgear_reason=\"expired\"}"), "{metrics:?}");
    assert!(metrics.contains_key("calls{authgear_result=\"2xx\"}"), "{metrics:?}");
    assert!(metrics.contains_key("calls_in_flight"), "{metrics:?}");
}

/// A file of `deploy/`.
fn shipped(path: &str) -> PathBuf {
    workspace_dir().join("deploy").join(path)
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(shipped("grafana/dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The filter's metrics that a text names, without the ends that Prometheus gives the parts of a histogram.
fn named(text: &str) -> BTreeSet<String> {
    let names = text.match_indices(PREFIX).map(|(at, _)| {
        let rest = &text[at + PREFIX.len()..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        rest[..end].trim_end_matches("_bucket").to_owned()
    });
    names.collect()
}

#[test]
fn the_alerts_are_sound_and_each_fires_at_its_outage() {
    for arguments in
        [["check", "rules", "prometheus/rules.yml"], ["test", "rules", "prometheus/rules_test.yml"]]
    {
        let [verb, what, file] = arguments;
        let run = process::command("promtool").args([verb, what]).arg(shipped(file)).output().unwrap();
        let text = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{text}");
    }
    let rules: Value =
        yaml_serde::from_str(&fs::read_to_string(shipped("prometheus/rules.yml")).unwrap()).unwrap();
    let tests = fs::read_to_string(shipped("prometheus/rules_test.yml")).unwrap();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        assert!(tests.contains(&format!("alertname: {name}\n")), "no test has {name} fire");
        assert!(tests.contains(&format!("alertname: {name},")), "no test has {name} be silent");
    }
}

/// Prometheus, which scrapes an Envoy each second.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

impl Prometheus {
    async fn start(envoy: &Envoy) -> Self {
        let directory = target_dir().join(format!("prometheus-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let configuration = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [shipped("prometheus/rules.yml")],
            "scrape_configs": [{
                "job_name": "envoy", "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [envoy.admin().to_string()]}],
            }],
        });
        let file = directory.join("prometheus.yml");
        fs::write(&file, configuration.to_string()).unwrap();
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut command = process::command("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.join("log")).unwrap());
        let child = process::spawn(command).unwrap();
        let prometheus = Self { child, address, directory };
        wait_until("Prometheus is ready", Duration::from_secs(60), || async {
            let ready = client::try_send(address, client::Protocol::Http1, Request::get("/-/ready")).await;
            holds(ready.is_ok_and(|answer| answer.status == 200), "it is not")
        })
        .await;
        prometheus
    }

    /// The series that a query has now.
    async fn query(&self, query: &str) -> Vec<Value> {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = client::send(self.address, Request::get(&format!("/api/v1/query?query={query}"))).await;
        let answer = answer.json();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if !std::thread::panicking() {
            let _absent = fs::remove_dir_all(&self.directory);
        }
    }
}

#[tokio::test]
async fn each_query_of_the_dashboard_and_of_the_alerts_has_data_in_prometheus() {
    let scene = start(|_| {}).await;
    let known: BTreeSet<_> = scrape(&scene.host)
        .await
        .into_keys()
        .map(|name| name.split(['{']).next().unwrap().trim_end_matches("_bucket").to_owned())
        .collect();
    let queries = queries();
    let rules = fs::read_to_string(shipped("prometheus/rules.yml")).unwrap();
    assert!(queries.len() > 30);
    for name in named(&rules).iter().chain(&named(&queries.join(" "))) {
        assert!(known.contains(name) || name == "keys_age_seconds", "nothing counts {name}");
    }
    let prometheus = Prometheus::start(&scene.host).await;
    let (scene, prometheus) = (&scene, &prometheus);
    for query in &queries {
        let query = query.replace("$__rate_interval", "20s").replace("$instance", ".*");
        let query = &query;
        wait_until(&format!("{query} has data"), Duration::from_secs(30), || async move {
            let data = prometheus.query(query).await;
            if data.is_empty() {
                load(scene).await;
            }
            holds(!data.is_empty(), "none")
        })
        .await;
    }
    // Prometheus has read the same numbers as this test.
    load(scene).await;
    let session = scrape(&scene.host).await["requests_session"];
    wait_until("Prometheus has the last number", Duration::from_secs(10), || async move {
        let data = prometheus.query("authgear_filter_requests_session").await;
        let value = data.first().map(|series| series["value"][1].as_str().unwrap().to_owned());
        holds(
            value.as_deref().is_some_and(|value| value.parse() == Ok(session)),
            format!("{value:?}, {session}"),
        )
    })
    .await;
}
