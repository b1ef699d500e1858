//! What `envoy.yaml` and the manifests have Envoy remove before any filter runs: it holds while no filter is there.

use std::fs;

use serde_json::{Value, json};
use wasm_tests::client::{self, Request};
use wasm_tests::echo::Echo;
use wasm_tests::envoy::{Envoy, workspace_dir};
use wasm_tests::scene::{Scene, seen};

use crate::kubernetes::{manifests, text};

const FIELD: &str = "early_header_mutation_extensions";

/// Names that an app may take for one of Authgear's, and what an honest client sends beside them.
const FORGED: [&str; 7] = [
    "x-authgear-user-id",
    "X-Authgear-Session-Valid",
    "X_Authgear_User_Id",
    "x.authgear.user-id",
    "x-authgear_user-id",
    "x~authgear~user-id",
    "x-authgear-of-tomorrow",
];
const HONEST: [&str; 4] = ["x-authgear", "x-authgearish-id", "ax-authgear-user-id", "x-request-note"];

/// The manifest of a kind and name.
fn manifest(folder: &str, kind: &str, name: &str) -> Value {
    let found = manifests(folder)
        .into_iter()
        .find(|(_, manifest)| manifest["kind"] == kind && manifest["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("deploy/{folder} has no {kind} {name}")).1
}

/// The extensions of the connection manager in `envoy.yaml`.
fn of_envoy() -> Value {
    let text = fs::read_to_string(workspace_dir().join("envoy.yaml")).unwrap();
    let bootstrap: Value = yaml_serde::from_str(&text).unwrap();
    bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"][FIELD]
        .clone()
}

/// Those that Istio merges into it.
fn of_istio() -> Value {
    let filter = manifest("istio", "EnvoyFilter", "authgear-early-removal");
    let [patch] = &filter["spec"]["configPatches"].as_array().unwrap()[..] else { panic!("one patch") };
    assert_eq!(
        (&patch["applyTo"], &patch["patch"]["operation"]),
        (&json!("NETWORK_FILTER"), &json!("MERGE"))
    );
    patch["patch"]["value"]["typed_config"][FIELD].clone()
}

/// The headers that Envoy Gateway derives from its policy.
fn of_envoy_gateway() -> Value {
    let policy = manifest("envoy-gateway", "ClientTrafficPolicy", "authgear");
    let [matched] =
        &policy["spec"]["headers"]["earlyRequestHeaders"]["removeOnMatch"].as_array().unwrap()[..]
    else {
        panic!("one match")
    };
    assert_eq!(matched["type"], "RegularExpression");
    let mutation =
        json!({ "remove_on_match": { "key_matcher": { "safe_regex": { "regex": matched["value"] } } } });
    json!([{
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [mutation],
        },
    }])
}

async fn echoed(extensions: Value) -> Value {
    let app = Echo::start().await.unwrap();
    let envoy =
        Envoy::builder().cluster("app", app.address()).connection_manager(FIELD, extensions).start().await;
    let request =
        FORGED.iter().chain(&HONEST).fold(Request::get("/"), |request, name| request.header(name, "forged"));
    seen(&client::send(envoy.address(), request).await).whole
}

#[tokio::test]
async fn no_forged_identity_reaches_an_app_while_no_filter_is_there() {
    for (whose, extensions) in [
        ("envoy.yaml", of_envoy()),
        ("deploy/istio", of_istio()),
        ("deploy/envoy-gateway", of_envoy_gateway()),
    ] {
        let whole = echoed(extensions).await.to_string().to_ascii_lowercase();
        for name in FORGED {
            assert!(
                !whole.contains(&format!("\"{}\"", name.to_ascii_lowercase())),
                "{whose}: {name} in {whole}"
            );
        }
        for name in HONEST {
            assert!(whole.contains(&format!("\"{name}\"")), "{whose}: {name} is not in {whole}");
        }
    }
    // Without it they do arrive, so the test can fail.
    assert!(echoed(json!([])).await.to_string().contains("x-authgear-user-id"));
}

#[tokio::test]
async fn the_filters_own_headers_arrive_all_the_same() {
    let scene =
        Scene::start_with(Default::default(), |_| (), |envoy| envoy.connection_manager(FIELD, of_envoy()))
            .await;
    let session = scene.authgear.log_in("alice");
    let request = Request::get("/")
        .header("cookie", format!("session={session}"))
        .header("x-authgear-user-id", "forged");
    let app = seen(&client::send(scene.host.address(), request).await);
    assert_eq!(app.identity_header("x-authgear-user-id").as_deref(), Some("alice"));
}

#[test]
fn no_route_of_envoy_gateway_can_switch_the_filter_off() {
    let traffic = manifest("envoy-gateway", "ClientTrafficPolicy", "authgear");
    let patches = manifest("envoy-gateway", "EnvoyPatchPolicy", "authgear-always-on");
    let filter = manifest("envoy-gateway", "EnvoyExtensionPolicy", "authgear");
    let (namespace, name) = (text(&filter["metadata"]["namespace"]), text(&filter["metadata"]["name"]));
    let place = format!("$..http_filters[?(@.name=='envoy.filters.http.wasm//{namespace}/{name}/wasm/0')]");
    let said: Vec<_> = patches["spec"]["jsonPatches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|patch| {
            let operation = &patch["operation"];
            assert_eq!(text(&operation["jsonPath"]), place);
            (text(&operation["op"]), text(&operation["path"]), operation["value"].clone())
        })
        .collect();
    assert_eq!(
        said,
        [
            ("replace", "/disabled", json!(false)),
            ("add", "/typed_config/config/failure_policy", json!("FAIL_RELOAD")),
        ]
    );
    for policy in [&traffic["spec"]["targetRefs"][0], &patches["spec"]["targetRef"]] {
        assert_eq!(policy, &filter["spec"]["targetRefs"][0], "one Gateway");
    }
}
