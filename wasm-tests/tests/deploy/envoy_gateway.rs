//! Envoy Gateway's manifests as a whole: a filter that cannot run lets nobody in, and the clusters that it calls
//! exist and suit a real Envoy.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use wasm_tests::envoy::{binary, target_dir};
use wasm_tests::process;

use crate::kubernetes::{Definitions, manifests, text};
use crate::parse;

/// The filters, with their file names.
fn filters() -> Vec<(String, Value)> {
    let policies = manifests("envoy-gateway").into_iter();
    let policies = policies.filter(|(_, manifest)| manifest["kind"] == "EnvoyExtensionPolicy");
    let found: Vec<_> = policies
        .flat_map(|(file, policy)| {
            let filters = policy["spec"]["wasm"].as_array().unwrap().clone();
            filters.into_iter().map(move |filter| (file.clone(), filter))
        })
        .collect();
    assert_eq!(found.len(), 2);
    found
}

/// The clusters that a file adds, by name.
fn clusters(file: &str) -> BTreeMap<String, Value> {
    let mut clusters = BTreeMap::new();
    for (_, manifest) in manifests("envoy-gateway").into_iter().filter(|(name, _)| name == file) {
        for patch in manifest["spec"]["jsonPatches"].as_array().into_iter().flatten() {
            assert_eq!(patch["type"], "type.googleapis.com/envoy.config.cluster.v3.Cluster");
            // An `add` at the root holds the whole resource.
            assert_eq!((&patch["operation"]["op"], &patch["operation"]["path"]), (&json!("add"), &json!("")));
            let cluster = patch["operation"]["value"].clone();
            assert_eq!(patch["name"], cluster["name"]);
            assert_eq!(patch["name"], cluster["load_assignment"]["cluster_name"]);
            clusters.insert(text(&patch["name"]).to_owned(), cluster);
        }
    }
    clusters
}

#[test]
fn every_filter_has_a_configuration_that_the_filter_takes() {
    for (file, filter) in filters() {
        parse(&filter["config"]).unwrap_or_else(|error| panic!("deploy/{file}: {error}"));
    }
}

#[test]
fn every_filter_is_closed_on_failure() {
    for (file, filter) in filters() {
        assert_eq!(filter["failOpen"], false, "deploy/{file}");
        let image = format!("/authgear-filter:{}", env!("CARGO_PKG_VERSION"));
        assert!(text(&filter["code"]["image"]["url"]).ends_with(&image), "deploy/{file}");
    }
}

#[test]
fn every_cluster_that_a_filter_calls_is_made_and_checks_certificates_outside() {
    for (file, filter) in filters() {
        let authgear = &filter["config"]["authgear"];
        let clusters = clusters(&file);
        let upstreams = ["upstream", "resolver_upstream"];
        let called: Vec<_> = upstreams.iter().filter_map(|name| authgear[name].as_str()).collect();
        assert_eq!(clusters.keys().collect::<Vec<_>>(), called, "deploy/{file}");
        for cluster in clusters.values() {
            let address =
                "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address";
            let host = text(cluster.pointer(address).unwrap());
            if host.ends_with(".svc.cluster.local") {
                continue;
            }
            assert_eq!(authgear["endpoint"], format!("https://{host}"), "deploy/{file}");
            let tls = &cluster["transport_socket"]["typed_config"];
            assert_eq!(tls["sni"], host, "deploy/{file}");
            assert_eq!(tls["auto_sni_san_validation"], true, "deploy/{file}");
            assert!(
                tls["common_tls_context"]["validation_context"]["trusted_ca"].is_object(),
                "deploy/{file}"
            );
        }
    }
}

/// What Envoy says about a bootstrap with these clusters.
fn validate(name: &str, clusters: Vec<Value>) -> Result<(), String> {
    let directory = target_dir().join("deploy-tests");
    fs::create_dir_all(&directory).unwrap();
    let bootstrap = directory.join(format!("{name}.json"));
    fs::write(&bootstrap, json!({"static_resources": {"clusters": clusters}}).to_string()).unwrap();
    let run = process::command(binary())
        .args(["--mode", "validate", "--log-level", "warning", "--config-path"])
        .arg(&bootstrap)
        .output()
        .unwrap();
    if run.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&run.stderr).into_owned()) }
}

#[test]
fn every_cluster_is_one_that_envoy_takes() {
    for (number, (file, _)) in filters().into_iter().enumerate() {
        let clusters = clusters(&file).into_values().collect();
        validate(&format!("clusters-{number}"), clusters)
            .unwrap_or_else(|error| panic!("deploy/{file}: {error}"));
    }
}

#[test]
fn a_typo_in_a_cluster_is_found_by_envoy() {
    let mut cluster = clusters("envoy-gateway/hosted.yaml").remove("authgear").unwrap();
    cluster["transport_socket"]["typed_config"]["auto_sni_san_validaton"] = json!(true);
    let error = validate("typo", vec![cluster]).unwrap_err();
    assert!(error.contains("auto_sni_san_validaton"), "{error}");
}

#[test]
fn the_configuration_that_allows_patches_is_one_of_envoy_gateway() {
    let all = manifests("envoy-gateway").into_iter();
    let (file, map) = all.into_iter().find(|(_, manifest)| manifest["kind"] == "ConfigMap").unwrap();
    let mut configuration: Value = yaml_serde::from_str(text(&map["data"]["envoy-gateway.yaml"])).unwrap();
    let definitions = Definitions::load();
    assert_eq!(definitions.faults(&configuration), [""; 0], "deploy/{file}");
    assert_eq!(configuration["extensionApis"]["enableEnvoyPatchPolicy"], true);
    configuration["extensionApis"]["enableEnvoyPatchpolicy"] = json!(true);
    assert_eq!(definitions.faults(&configuration).len(), 1);
}
