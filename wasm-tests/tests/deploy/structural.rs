//! Kubernetes' structural schemas (OpenAPI v3) as JSON Schemas, checked by a validator.
//!
//! Kubernetes drops a field that the schema does not name, and `kubectl` warns at best. Here it is an error, because
//! such a manifest does not do what it says. `rules` covers `x-kubernetes-validations` (CEL). Defaults are not filled
//! in: a manifest must be right as written.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// A validator for values of a structural schema.
///
/// # Panics
/// If the schema is invalid.
pub(crate) fn validator(schema: &Value) -> Validator {
    jsonschema::draft7::new(&translate(schema)).unwrap_or_else(|error| panic!("no schema: {error}"))
}

/// The faults of `value`, each with its place.
pub(crate) fn faults(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn is_set(schema: &Map<String, Value>, extension: &str) -> bool {
    schema.get(extension) == Some(&Value::Bool(true))
}

/// Translates Kubernetes' own keywords into JSON Schema. All others mean the same in both.
fn translate(schema: &Value) -> Value {
    let Value::Object(schema) = schema else { return schema.clone() };
    // `anyOf` and the like have no structure of their own, so they stay as they are.
    let mut translated = schema.clone();
    for word in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(word) {
            translated.insert(word.to_owned(), translate(inner));
        }
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let properties: Map<_, _> =
            properties.iter().map(|(name, inner)| (name.clone(), translate(inner))).collect();
        translated.insert("properties".to_owned(), properties.into());
    }
    let is_open = is_set(schema, "x-kubernetes-preserve-unknown-fields")
        || is_set(schema, "x-kubernetes-embedded-resource");
    let is_object = schema.get("type") == Some(&json!("object"));
    if is_object && !is_open && !schema.contains_key("additionalProperties") {
        translated.insert("additionalProperties".to_owned(), false.into());
    }
    if is_set(schema, "nullable") {
        let kind = schema.get("type").cloned().unwrap_or_default();
        translated.insert("type".to_owned(), json!([kind, "null"]));
    }
    translated.into()
}

#[test]
fn unknown_fields_are_refused_unless_the_schema_keeps_them() {
    let schema = json!({"type": "object", "properties": {
        "closed": {"type": "object", "properties": {"a": {"type": "string"}}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "any": {"x-kubernetes-preserve-unknown-fields": true},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {}}}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
        "nullable": {"type": "integer", "nullable": true},
        "either": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        // A field whose name is a keyword of the schema.
        "properties": {"type": "string"},
    }});
    let validator = validator(&schema);
    for value in [
        json!({"closed": {"a": "x"}}),
        json!({"open": {"b": {"c": 1}}}),
        json!({"any": [1]}),
        json!({"map": {"b": {"a": 1}}}),
        json!({"nullable": null}),
        json!({"nullable": 1}),
        json!({"either": "1"}),
        json!({"properties": "x"}),
    ] {
        assert_eq!(faults(&validator, &value), [""; 0], "{value}");
    }
    for value in [
        json!({"b": 1}),
        json!({"closed": {"b": "x"}}),
        json!({"closed": {"a": 1}}),
        json!({"map": {"b": {"c": 1}}}),
        json!({"list": [{"a": 1}, {"b": 1}]}),
        json!({"nullable": "1"}),
        json!({"either": true}),
    ] {
        assert_eq!(faults(&validator, &value).len(), 1, "{value}");
    }
}
