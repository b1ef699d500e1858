//! Envoy itself checks what people copy into their Envoy.

use std::fs;

use serde_json::Value;
use wasm_tests::envoy::{binary, filter_module, target_dir, workspace_dir};
use wasm_tests::process;

use crate::document;

/// The hosted cluster in the comments of `envoy.yaml`.
fn commented_clusters(yaml: &str) -> Vec<Value> {
    let lines = yaml.lines().skip_while(|line| !line.trim_start().starts_with("# - name:"));
    let block: Vec<_> = lines
        .map_while(|line| {
            line.trim_start().strip_prefix('#').map(|rest| rest.strip_prefix(' ').unwrap_or(rest))
        })
        .collect();
    assert!(!block.is_empty());
    yaml_serde::from_str(&block.join("\n")).unwrap()
}

#[test]
fn what_is_to_be_copied_into_an_envoy_is_what_envoy_takes() {
    let shipped = fs::read_to_string(workspace_dir().join("envoy.yaml")).unwrap();
    let mut bootstrap: Value = yaml_serde::from_str(&shipped).unwrap();
    let mut pieces = commented_clusters(&shipped);
    for block in document("docs/envoy.md").blocks(&["yaml"]) {
        match block.yaml() {
            Value::Array(items) => pieces.extend(items),
            Value::Object(fields) if fields.contains_key("stats_config") => {
                bootstrap.as_object_mut().unwrap().extend(fields);
            }
            Value::Object(fields) => {
                let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
                let manager = bootstrap.pointer_mut(manager).unwrap().as_object_mut().unwrap();
                manager.extend(fields);
            }
            other => panic!("neither a list nor fields of the connection manager: {other}"),
        }
    }
    let (clusters, filters): (Vec<_>, Vec<_>) =
        pieces.into_iter().partition(|piece| piece.get("load_assignment").is_some());
    assert!(clusters.len() > 1, "{clusters:?}");
    let known = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
    known.retain(|known| clusters.iter().all(|new| new["name"] != known["name"]));
    for cluster in clusters {
        known.retain(|known| known["name"] != cluster["name"]);
        known.push(cluster);
    }
    let in_use = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let in_use = bootstrap.pointer_mut(in_use).unwrap();
    for filter in filters {
        let place = in_use.as_array_mut().unwrap().iter_mut().find(|known| known["name"] == filter["name"]);
        *place.expect("a filter of the same name") = filter;
    }
    in_use[0]["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] =
        filter_module().to_string_lossy().into();

    let directory = target_dir().join("documents");
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("envoy.json");
    fs::write(&file, format!("{bootstrap:#}")).unwrap();
    let run = process::command(binary())
        .args(["--mode", "validate", "--log-level", "warning", "--config-path"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&run.stderr));
}
