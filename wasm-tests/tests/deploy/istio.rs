//! Istio's manifests as a whole: the clusters that the filter calls exist, use TLS if they are outside Kubernetes,
//! and a filter that cannot run lets nobody in.

use serde_json::Value;

use crate::kubernetes::{manifests, text};
use crate::parse;

/// The plugin of a `WasmPlugin` or a `TrafficExtension`.
fn plugin(manifest: &Value) -> Option<&Value> {
    match text(&manifest["kind"]) {
        "WasmPlugin" => Some(&manifest["spec"]),
        "TrafficExtension" => Some(&manifest["spec"]["wasm"]),
        _ => None,
    }
}

fn plugins() -> Vec<(String, Value, Value)> {
    let all = manifests("istio").into_iter();
    let found: Vec<_> =
        all.filter_map(|(file, manifest)| Some((file, plugin(&manifest)?.clone(), manifest))).collect();
    assert_eq!(found.len(), 3);
    found
}

#[test]
fn every_plugin_has_a_configuration_that_the_filter_takes() {
    for (file, plugin, _) in plugins() {
        parse(&plugin["pluginConfig"]).unwrap_or_else(|error| panic!("deploy/{file}: {error}"));
    }
}

#[test]
fn every_plugin_is_closed_on_failure_and_runs_before_istios_own_checks() {
    for (file, plugin, manifest) in plugins() {
        assert_eq!(plugin["failStrategy"], "FAIL_CLOSE", "deploy/{file}");
        assert_eq!(plugin["type"], "HTTP", "deploy/{file}");
        assert_eq!(manifest["spec"]["phase"], "AUTHN", "deploy/{file}");
        let image = format!("/authgear-filter:{}", env!("CARGO_PKG_VERSION"));
        assert!(text(&plugin["url"]).ends_with(&image), "deploy/{file}: {}", plugin["url"]);
    }
}

/// Port and host of `outbound|port||host`.
fn cluster(name: &str) -> (u64, &str) {
    let parts: Vec<_> = name.split('|').collect();
    let ["outbound", port, "", host] = parts[..] else { panic!("no cluster of Istio: {name}") };
    (port.parse().unwrap(), host)
}

#[test]
fn every_cluster_that_a_plugin_calls_exists_and_is_over_tls_outside() {
    for (file, plugin, _) in plugins() {
        let authgear = &plugin["pluginConfig"]["authgear"];
        let upstreams = ["upstream", "resolver_upstream"];
        for upstream in upstreams.iter().filter_map(|name| authgear[name].as_str()) {
            let (port, host) = cluster(upstream);
            if host.ends_with(".svc.cluster.local") {
                // Istio makes a Service's clusters by itself.
                continue;
            }
            assert_eq!(authgear["endpoint"], format!("https://{host}"), "deploy/{file}");
            let of = |kind: &str, is_it: &dyn Fn(&Value) -> bool| {
                let all = manifests("istio").into_iter();
                let mut found =
                    all.filter(|(_, manifest)| manifest["kind"] == kind && is_it(&manifest["spec"]));
                found.next().unwrap_or_else(|| panic!("deploy/{file}: no {kind} for {upstream}")).1
            };
            let has_host = |spec: &Value| spec["hosts"].as_array().unwrap().iter().any(|known| known == host);
            let entry = of("ServiceEntry", &has_host);
            let ports = entry["spec"]["ports"].as_array().unwrap();
            let known = ports.iter().find(|known| known["number"] == port).expect("the port of the cluster");
            // Istio adds TLS only to what it knows to be plain.
            assert_eq!(known["protocol"], "HTTP", "deploy/{file}");

            let rule = of("DestinationRule", &|spec| spec["host"] == host);
            let tls = &rule["spec"]["trafficPolicy"]["tls"];
            assert_eq!(tls["mode"], "SIMPLE", "deploy/{file}");
            assert_eq!(tls["sni"], host, "deploy/{file}");
            assert_eq!(tls["subjectAltNames"], serde_json::json!([host]), "deploy/{file}");
            assert!(tls["caCertificates"].is_string(), "deploy/{file}: nobody checks who signed");
        }
    }
}

#[test]
fn only_the_gateway_may_ask_the_resolver() {
    let found =
        manifests("istio").into_iter().find(|(_, manifest)| manifest["kind"] == "AuthorizationPolicy");
    let (_, policy) = found.expect("a policy");
    assert_eq!(policy["spec"]["action"], "DENY");
    let rule = &policy["spec"]["rules"][0];
    assert_eq!(rule["to"][0]["operation"]["ports"], serde_json::json!(["3001"]));
    assert!(rule["from"][0]["source"]["notPrincipals"].is_array());
}
