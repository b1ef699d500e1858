//! The JSON Schema of a configuration, for editors; and one for the files that hold configurations.

use authgear_filter::config::Config;
use serde_json::{Map, Value, json};

/// The type of Envoy's filter that runs a module.
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// The message whose value is the configuration.
const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";

/// The schema of a plugin configuration.
pub(crate) fn configuration() -> Value {
    let mut schema = Config::schema().to_value();
    if let Value::Object(members) = &mut schema {
        members.insert("title".to_owned(), "The plugin configuration of authgear-filter".into());
    }
    schema
}

/// The schema of a file that holds plugin configurations, in any host's form. It says nothing about what else is there.
pub(crate) fn manifests() -> Value {
    let mut configuration = configuration();
    let definitions = take(&mut configuration, "$defs");
    take(&mut configuration, "$schema");
    let mut definitions: Map<String, Value> = match definitions {
        Some(Value::Object(definitions)) => definitions,
        Some(_) | None => Map::new(),
    };
    let reference = || json!({ "$ref": "#/$defs/Configuration" });
    let in_spec = |kind: &str, spec: Value| {
        json!({
            "if": { "type": "object", "required": ["kind"], "properties": { "kind": { "const": kind } } },
            "then": { "properties": { "spec": { "properties": spec } } },
        })
    };
    definitions.insert("Configuration".to_owned(), configuration);
    // Envoy has filters at any depth, and so have the resources that patch it.
    definitions.insert(
        "Anywhere".to_owned(),
        json!({
            "if": { "type": "object", "required": ["@type"], "properties": { "@type": { "const": WASM } } },
            "then": { "properties": { "config": { "properties": { "configuration": {
                "if": { "type": "object", "required": ["@type"], "properties": { "@type": { "const": STRUCT } } },
                "then": { "required": ["value"], "properties": { "value": reference() } },
            } } } } },
            "else": { "additionalProperties": { "$ref": "#/$defs/Anywhere" } },
            "items": { "$ref": "#/$defs/Anywhere" },
        }),
    );
    // APISIX drops a route whose `conf` is missing or empty.
    definitions.insert(
        "Plugins".to_owned(),
        json!({ "properties": { "plugins": { "properties": { "authgear-filter": {
            "required": ["conf"],
            "properties": { "conf": {
                "type": ["string", "object"],
                "minLength": 1,
                "if": { "type": "object" },
                "then": reference(),
            } },
        } } } } }),
    );
    let plugins = || json!({ "$ref": "#/$defs/Plugins" });
    let list_of_plugins = || json!({ "items": plugins() });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Files that hold a plugin configuration of authgear-filter",
        "allOf": [
            { "$ref": "#/$defs/Anywhere" },
            in_spec("WasmPlugin", json!({ "pluginConfig": reference() })),
            in_spec("TrafficExtension", json!({ "wasm": { "properties": { "pluginConfig": reference() } } })),
            in_spec("EnvoyExtensionPolicy", json!({ "wasm": { "items": { "properties": { "config": reference() } } } })),
            plugins(),
        ],
        "properties": {
            "routes": list_of_plugins(),
            "services": list_of_plugins(),
            "plugin_configs": list_of_plugins(),
            "global_rules": list_of_plugins(),
        },
        "$defs": definitions,
    })
}

fn take(schema: &mut Value, name: &str) -> Option<Value> {
    schema.as_object_mut()?.remove(name)
}
