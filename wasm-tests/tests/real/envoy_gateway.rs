//! Envoy Gateway without Kubernetes, with `deploy/envoy-gateway/` as it stands but for the image's address: what its
//! gaps let past, and that `guards.yaml` closes them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use wasm_tests::authgear::{Authgear, Options};
use wasm_tests::client;
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{binary, target_dir, workspace_dir};
use wasm_tests::wait::{holds, wait_until};

use crate::isolated::{instead_of, isolated, run};
use crate::probe::{Probe, WAIT, forged_request, is_forged, stat};
use crate::program::Program;
use crate::registry::{REGISTRY, registry};

/// Where the Gateway listens, in a network of its own.
const GATEWAY: SocketAddr = at(8080);
/// Envoy Gateway runs the Envoy that it finds under this version.
const ENVOY: &str = "1.40.0";

const fn at(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A running Envoy Gateway, and what is around it.
struct World {
    directory: PathBuf,
    digest: String,
    authgear: Authgear,
    _app: Echo,
    _registry: Program,
    _gateway: Program,
    probe: Probe,
}

/// A file of `deploy/envoy-gateway/`, with the image in our registry.
fn shipped(file: &str, digest: &str) -> Vec<Value> {
    let path = workspace_dir().join("deploy/envoy-gateway").join(file);
    let text = fs::read_to_string(path).expect("a manifest");
    let text = text
        .replace("registry.example.com", &REGISTRY.to_string())
        .replace("# sha256: 0123…", &format!("sha256: {digest}"));
    text.split("\n---\n").map(|document| yaml_serde::from_str(document).expect("YAML")).collect()
}

/// The Gateway, one route to the app, and which Envoy to run: what a cluster would have.
fn base() -> Vec<Value> {
    let controller = "gateway.envoyproxy.io/gatewayclass-controller";
    let parameters = json!({ "group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "host", "namespace": "envoy-gateway-system" });
    vec![
        json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": { "name": "eg" },
            "spec": { "controllerName": controller, "parametersRef": parameters } }),
        json!({ "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyProxy",
            "metadata": { "name": "host", "namespace": "envoy-gateway-system" },
            "spec": { "provider": { "type": "Host", "host": { "envoyVersion": ENVOY } } } }),
        json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": { "name": "eg", "namespace": "default" },
            "spec": { "gatewayClassName": "eg", "listeners": [{ "name": "http", "protocol": "HTTP", "port": 8080 }] } }),
        json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "app", "namespace": "default" },
            "spec": { "parentRefs": [{ "name": "eg" }], "rules": [{ "backendRefs":
                [{ "group": "gateway.envoyproxy.io", "kind": "Backend", "name": "app" }] }] } }),
    ]
}

/// A policy of the route's own, which takes the place of the Gateway's there.
fn of_the_route(digest: &str, name: &str, mode: &str) -> Vec<Value> {
    let mut policy = shipped("self-hosted.yaml", digest).remove(0);
    policy["metadata"]["name"] = name.into();
    policy["spec"]["targetRefs"] =
        json!([{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "app" }]);
    policy["spec"]["wasm"][0]["config"]["authgear"]["mode"] = mode.into();
    vec![policy]
}

impl World {
    async fn start() -> Self {
        let directory = target_dir().join("real-logs").join("envoy-gateway");
        let _absent = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("watched")).expect("the target directory is writable");
        let names = [
            "accounts.example.com",
            "authgear.authgear.svc.cluster.local",
            "authgear-resolver.authgear.svc.cluster.local",
            "envoy-gateway.envoy-gateway-system.svc.cluster.local",
        ];
        let hosts: String = names.iter().map(|name| format!("127.0.0.1 {name}\n")).collect();
        instead_of("/etc/hosts", &format!("127.0.0.1 localhost\n{hosts}"), &directory);

        let options = Options {
            main: at(3000),
            resolver: at(3001),
            public_origin: Some("https://accounts.example.com".into()),
            ..Options::default()
        };
        let authgear = Authgear::start(options).await.expect("the ports are free");
        let app = Echo::start().await.expect("a port for the app");
        let (registry, digest) = registry(&directory).await;
        let program = workspace_dir().join(".tools/real/envoy-gateway").to_string_lossy().into_owned();
        let place = |name: &str| directory.join(name).to_string_lossy().into_owned();
        // Where it looks for Envoy.
        let bin = directory.join("data/envoy-versions").join(ENVOY).join("bin");
        fs::create_dir_all(&bin).expect("a directory");
        let envoy = fs::canonicalize(binary()).expect("Envoy is installed");
        std::os::unix::fs::symlink(envoy, bin.join("envoy")).expect("a link");
        run(&program, &["certgen", "--local", "--config-home", &place("config")]);
        // What a pod has there: the CA by which Envoy knows Envoy Gateway.
        let certificates = directory.join("config/certs/envoy");
        fs::create_dir_all("/certs").expect("a directory");
        run("mount", &["-t", "tmpfs", "none", "/certs"]);
        fs::copy(certificates.join("ca.crt"), "/certs/ca.crt").expect("a certificate");

        let allowed = shipped("enable-patches.yaml", "").remove(0);
        let allowed = allowed["data"]["envoy-gateway.yaml"].as_str().expect("its configuration");
        let mut configuration: Value = yaml_serde::from_str(allowed).expect("YAML");
        configuration["extensionApis"]["enableBackend"] = true.into();
        configuration["provider"] = json!({ "type": "Custom", "custom": {
            "resource": { "type": "File", "file": { "paths": [place("watched")] } },
            "infrastructure": { "type": "Host", "host": {
                "configHome": place("config"), "dataHome": place("data"), "stateHome": place("state"), "runtimeDir": place("run"),
            } },
        } });
        fs::write(place("envoy-gateway.yaml"), configuration.to_string()).expect("a file");
        // Without Kubernetes it makes another certificate for Envoy than certgen did.
        let data = ["tls.crt", "tls.key", "ca.crt"].map(|name| {
            let bytes = fs::read(certificates.join(name)).expect("a certificate");
            (name.to_owned(), Value::from(BASE64_STANDARD.encode(bytes)))
        });
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": { "name": "envoy", "namespace": "envoy-gateway-system" },
            "data": data.into_iter().collect::<serde_json::Map<_, _>>() });
        apply_in(&directory, "00-secret", &[secret]);
        let backend = json!({ "apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend",
            "metadata": { "name": "app", "namespace": "default" },
            "spec": { "endpoints": [{ "ip": { "address": "127.0.0.1", "port": app.address().port() } }] } });
        apply_in(&directory, "10-base", &[base(), vec![backend]].concat());
        let arguments = ["server", "--config-path", &place("envoy-gateway.yaml")].map(str::to_owned);
        let variables = [("HOME", place("home"))];
        let gateway = Program::start("envoy-gateway", &arguments, &variables, (GATEWAY, "/")).await;
        let probe = Probe::start(GATEWAY);
        Self { directory, digest, authgear, _app: app, _registry: registry, _gateway: gateway, probe }
    }

    fn apply(&self, name: &str, documents: &[Value]) {
        apply_in(&self.directory, name, documents);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.directory.join("watched").join(format!("{name}.yaml"))).expect("it was applied");
    }

    /// The admin pages of the Envoy that Envoy Gateway runs.
    fn admin(&self) -> SocketAddr {
        let run = fs::read_dir(self.directory.join("run")).expect("it has started Envoy");
        let mut found = run.flatten().map(|entry| entry.path().join("admin-address.txt"));
        let file = found.find(|path| path.exists()).expect("Envoy tells its admin address");
        fs::read_to_string(file).expect("an address").trim().parse().expect("an address")
    }

    /// How many listeners Envoy has taken or refused.
    async fn updates(&self) -> u64 {
        stat(self.admin(), "listener_manager.lds.update_success").await
            + stat(self.admin(), "listener_manager.lds.update_rejected").await
    }

    async fn wait_for_an_update(&self, before: u64) {
        wait_until("Envoy takes or refuses a listener", WAIT, || async {
            holds(self.updates().await > before, "neither")
        })
        .await;
    }

    /// The shipped policy, changed.
    fn policy(&self, change: impl FnOnce(&mut Value)) -> Vec<Value> {
        let mut documents = shipped("self-hosted.yaml", &self.digest);
        change(&mut documents[0]["spec"]["wasm"][0]);
        documents
    }
}

/// Puts documents into a file that Envoy Gateway watches, whole at once.
fn apply_in(directory: &Path, name: &str, documents: &[Value]) {
    // JSON is YAML.
    let text: Vec<_> = documents.iter().map(Value::to_string).collect();
    let watched = directory.join("watched");
    let hidden = watched.join(format!(".{name}.yaml"));
    fs::write(&hidden, text.join("\n---\n")).expect("the directory is writable");
    fs::rename(hidden, watched.join(format!("{name}.yaml"))).expect("the directory is writable");
}

#[test]
fn what_is_shipped_closes_the_gaps_of_envoy_gateway() {
    if isolated("envoy_gateway::what_is_shipped_closes_the_gaps_of_envoy_gateway") {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(gaps());
    }
}

async fn gaps() {
    let world = World::start().await;
    let probe = &world.probe;
    // Without anything of ours forged headers arrive, so that what follows can fail.
    assert!(probe.arrived().await > 0);

    let guards = shipped("guards.yaml", &world.digest);
    world.apply("20-guards", &guards);
    wait_until("forged headers are removed", WAIT, || async {
        let answer = client::send(GATEWAY, forged_request()).await;
        holds(answer.status == 200 && !is_forged(&answer), format!("{answer:?}"))
    })
    .await;
    probe.arrived().await;
    assert_eq!(probe.arrived().await, 0, "the guards alone");

    world.apply("30-filter", &world.policy(|_| ()));
    probe.wait_for_the_filter(world.admin()).await;
    assert_eq!(probe.arrived().await, 0, "a policy is applied");
    assert_eq!(probe.who_is_alice(&world.authgear).await.as_deref(), Some("alice"));

    world.apply("30-filter", &world.policy(|wasm| wasm["config"]["access"] = "required".into()));
    probe.wait_for(401).await;
    assert_eq!(probe.who_is_alice(&world.authgear).await.as_deref(), Some("alice"));

    let rejected = "listener_manager.lds.update_rejected";
    let before = stat(world.admin(), rejected).await;
    world.apply("30-filter", &world.policy(|wasm| wasm["config"]["access"] = "nonsense".into()));
    wait_until("Envoy refuses the configuration", WAIT, || async {
        holds(stat(world.admin(), rejected).await > before, "no refusal")
    })
    .await;
    probe.wait_for(401).await;
    assert_eq!(
        probe.who_is_alice(&world.authgear).await.as_deref(),
        Some("alice"),
        "the old configuration goes on"
    );
    world.apply("30-filter", &world.policy(|_| ()));
    probe.wait_for(200).await;
    assert_eq!(probe.arrived().await, 0, "a refused configuration, and back");

    for (mode, what) in [("nonsense", "refused"), ("resolver", "good")] {
        let name = format!("of-the-route-{mode}");
        let before = world.updates().await;
        world.apply(&format!("40-{name}"), &of_the_route(&world.digest, &name, mode));
        world.wait_for_an_update(before).await;
        assert_eq!(probe.arrived().await, 0, "a {what} policy of the route");
        let before = world.updates().await;
        world.remove(&format!("40-{name}"));
        world.wait_for_an_update(before).await;
        assert_eq!(probe.arrived().await, 0, "a {what} policy of the route is gone");
    }

    let wrong = "0".repeat(64);
    world.apply("30-filter", &world.policy(|wasm| wasm["code"]["image"]["sha256"] = wrong.clone().into()));
    probe.wait_for(500).await;
    world.apply("30-filter", &world.policy(|_| ()));
    probe.wait_for(200).await;
    assert_eq!(probe.arrived().await, 0, "a wrong digest, then the right one");

    // Without the guards the same lets forged headers past.
    let before = world.updates().await;
    world.remove("20-guards");
    world.wait_for_an_update(before).await;
    probe.arrived().await;
    assert_eq!(probe.arrived().await, 0, "the filter alone");
    world.apply("40-refused", &of_the_route(&world.digest, "refused", "nonsense"));
    wait_until(
        "a route's policy that the filter refuses lets forged headers past; if it does not any more, Envoy Gateway has \
         closed this gap: say so in docs/envoy-gateway.md",
        WAIT,
        || async { holds(is_forged(&client::send(GATEWAY, forged_request()).await), "none arrives") },
    )
    .await;
}
