//! The filter's own parser accepts every configuration in the documents.

use std::fs;

use authgear_filter::config::Projects;
use serde_json::{Value, json};
use wasm_tests::envoy::workspace_dir;

use crate::{document, documents};

pub(crate) fn parse(configuration: &Value) -> Result<Projects, String> {
    Projects::parse(configuration.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// The smallest configuration.
pub(crate) fn smallest() -> Value {
    json!({"authgear": {
        "endpoint": "https://myapp.authgear.cloud",
        "upstream": "authgear",
    }})
}

/// A configuration with one issuer, for the fields of `jwt[]`.
pub(crate) fn smallest_jwt() -> Value {
    json!({"jwt": [{
        "issuer": "https://issuer.example",
        "audiences": ["https://api.example.com"],
        "jwks_uri": "https://issuer.example/jwks.json",
        "upstream": "issuer",
    }]})
}

/// A configuration with one issuer whose tokens are asked about, for the fields of `jwt[].introspection`.
pub(crate) fn smallest_introspection() -> Value {
    json!({"jwt": [{
        "issuer": "https://issuer.example",
        "audiences": ["https://api.example.com"],
        "introspection": {"url": "https://issuer.example/introspect", "upstream": "issuer"},
    }]})
}

/// A configuration with a forward-auth server, for the fields of `forward_auth` and `cache.key`.
pub(crate) fn smallest_forward_auth() -> Value {
    json!({"forward_auth": {
        "url": "http://auth:8080/authenticate",
        "upstream": "auth",
        "identity_headers": ["x-user"],
    }})
}

/// The fields of an object, which the parser lists when it meets an unknown name.
pub(crate) fn known_fields(mut configuration: Value, pointer: &str) -> Vec<String> {
    configuration.pointer_mut(pointer).unwrap()["no_such_field"] = json!(1);
    let error = parse(&configuration).unwrap_err();
    let (_, expected) = error.split_once("expected").unwrap_or_else(|| panic!("no list of fields: {error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every configuration of the filter in a YAML document: the whole document, or the plugin's part of an Envoy
/// configuration.
fn configurations(yaml: &Value, roots: &[String]) -> Vec<Value> {
    match yaml {
        Value::Object(members) => {
            let kind = members.get("@type").and_then(Value::as_str).unwrap_or_default();
            if members.keys().any(|name| roots.contains(name)) {
                vec![yaml.clone()]
            } else if kind.ends_with("google.protobuf.Struct") {
                vec![members["value"].clone()]
            } else if kind.ends_with("google.protobuf.StringValue") {
                vec![serde_json::from_str(members["value"].as_str().unwrap()).unwrap()]
            } else {
                members.values().flat_map(|value| configurations(value, roots)).collect()
            }
        }
        Value::Array(items) => items.iter().flat_map(|item| configurations(item, roots)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_configuration_is_one_that_the_filter_takes() {
    let mut roots = known_fields(smallest(), "");
    // Envoy's connection manager has a field of this name too.
    roots.retain(|name| name != "access_log");
    for document in documents() {
        for block in document.blocks(&["yaml", "json"]) {
            for configuration in configurations(&block.yaml(), &roots) {
                if let Err(error) = parse(&configuration) {
                    panic!("{}: {error}\n{}", document.name, block.text);
                }
            }
        }
    }
    for name in [
        "README.md",
        "docs/auth-o-tron.md",
        "docs/configuration.md",
        "docs/introspection.md",
        "docs/envoy.md",
        "docs/migrating.md",
        "docs/oauth2-proxy.md",
        "docs/providers.md",
        "docs/rules.md",
    ] {
        let blocks = document(name).blocks(&["yaml"]);
        let found: Vec<_> = blocks.iter().flat_map(|block| configurations(&block.yaml(), &roots)).collect();
        assert!(!found.is_empty(), "no configuration was found in {name}");
    }
}

#[test]
fn the_shipped_configurations_of_envoy_are_configured_as_the_filter_takes_it() {
    for name in ["envoy.yaml", "deploy/envoy/auth-o-tron.yaml"] {
        let yaml = fs::read_to_string(workspace_dir().join(name)).unwrap();
        let yaml: Value = yaml_serde::from_str(&yaml).unwrap();
        let found = configurations(&yaml, &[]);
        assert_eq!(found.len(), 1, "{name}");
        if let Err(error) = parse(&found[0]) {
            panic!("{name}: {error}");
        }
    }
}
