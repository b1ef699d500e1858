//! APISIX's files: their names match each other, and the filter accepts the routes' configuration.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use wasm_tests::envoy::workspace_dir;

use crate::{documents, parse, shapes, structural};

fn read(file: &str) -> Value {
    let mut documents = documents(&workspace_dir().join("deploy/apisix").join(file));
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// The routes of both files, with their file names.
fn routes() -> Vec<(&'static str, Value)> {
    let mut routes = vec![("route.json", read("route.json"))];
    let standalone = read("apisix.yaml");
    routes
        .extend(standalone["routes"].as_array().unwrap().iter().map(|route| ("apisix.yaml", route.clone())));
    assert_eq!(routes.len(), 2);
    routes
}

/// The name under which routes use the filter.
fn plugin_name() -> String {
    read("config.yaml")["wasm"]["plugins"][0]["name"].as_str().unwrap().to_owned()
}

#[test]
fn every_file_is_one_that_apisix_takes() {
    let validator = structural::validator(&shapes::apisix("config.yaml"));
    assert_eq!(structural::faults(&validator, &read("config.yaml")), [""; 0]);
    let validator = structural::validator(&shapes::apisix("route"));
    for (file, route) in routes() {
        assert_eq!(structural::faults(&validator, &route), [""; 0], "deploy/apisix/{file}");
    }
    let standalone = fs::read_to_string(workspace_dir().join("deploy/apisix/apisix.yaml")).unwrap();
    assert_eq!(standalone.lines().last(), Some("#END"), "APISIX does not read the file without it");
}

#[test]
fn a_typo_in_a_file_is_found() {
    let validator = structural::validator(&shapes::apisix("config.yaml"));
    let mut config = read("config.yaml");
    config["wasm"]["plugins"][0]["http_request_phase"] = json!("acces");
    assert_eq!(structural::faults(&validator, &config).len(), 1);

    let validator = structural::validator(&shapes::apisix("route"));
    for (_, mut route) in routes() {
        route["plugins"][plugin_name()] = json!({"config": "{}"});
        assert!(!structural::faults(&validator, &route).is_empty());
    }
}

#[test]
fn every_route_hands_the_filter_what_it_takes() {
    for (file, route) in routes() {
        let conf = &route["plugins"][plugin_name()]["conf"];
        parse(conf).unwrap_or_else(|error| panic!("deploy/apisix/{file}: {error}"));
        let configuration: Value = serde_json::from_str(conf.as_str().unwrap()).unwrap();
        let authgear = &configuration["authgear"];
        // The URL's scheme chooses TLS, and the certificate is checked against the upstream's host.
        for (url, upstream) in [("endpoint", "upstream"), ("resolver_url", "resolver_upstream")] {
            let (Some(url), Some(upstream)) = (authgear[url].as_str(), authgear[upstream].as_str()) else {
                continue;
            };
            let (host, port) = upstream.rsplit_once(':').expect("host:port");
            assert!(port.parse::<u16>().is_ok(), "deploy/apisix/{file}: {upstream}");
            if let Some(public) = url.strip_prefix("https://") {
                assert_eq!((public, port), (host, "443"), "deploy/apisix/{file}");
            }
        }
    }
}

/// APISIX drops a route whose plugin it cannot configure, and the next matching route serves the request.
#[test]
fn no_route_leads_past_the_filter_when_another_one_is_dropped() {
    let folder = workspace_dir().join("deploy/apisix");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|kind| kind != "yaml" && kind != "json") {
            continue;
        }
        for document in documents(&path) {
            // `route.json` is one route; the others may list several.
            let single = (document["uri"].is_string() || document["uris"].is_array()).then_some(&document);
            let listed = document["routes"].as_array().into_iter().flatten();
            for route in listed.chain(single) {
                assert!(is_guarded(route), "deploy/apisix/{file}: {route}");
            }
            for elsewhere in ["global_rules", "services", "plugin_configs", "stream_routes"] {
                assert!(document.get(elsewhere).is_none(), "deploy/apisix/{file}: {elsewhere}");
            }
        }
    }
    let [(_, mut route), _] = <[_; 2]>::try_from(routes()).unwrap();
    route["plugins"] = json!({});
    assert!(!is_guarded(&route), "such a one is found");
}

/// Whether a route has the filter itself, with a configuration that does not make APISIX drop the route.
fn is_guarded(route: &Value) -> bool {
    let conf = &route["plugins"][plugin_name()]["conf"];
    conf.as_str().is_some_and(|conf| !conf.trim().is_empty() && conf.trim() != "{}")
}

#[test]
fn the_document_says_first_that_routes_are_dropped() {
    let document = fs::read_to_string(workspace_dir().join("docs/apisix.md")).unwrap();
    let mut paragraphs = document.split("\n\n");
    assert_eq!(paragraphs.next(), Some("# Apache APISIX"));
    let first = paragraphs.next().unwrap();
    assert!(first.contains("APISIX drops a route whose plugin it cannot configure"), "{first}");
}

#[test]
fn the_script_is_one_that_a_shell_reads() {
    let script = workspace_dir().join("deploy/apisix/route.sh");
    assert!(Command::new("sh").arg("-n").arg(&script).status().unwrap().success());
    let unset = Command::new("sh").arg(&script).env_remove("ADMIN_KEY").output().unwrap();
    assert!(!unset.status.success() && String::from_utf8_lossy(&unset.stderr).contains("ADMIN_KEY"));
}
