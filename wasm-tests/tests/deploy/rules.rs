//! The definitions' rules in CEL (`x-kubernetes-validations`).
//!
//! CEL interpreters in Rust lack Kubernetes' own functions (`isURL`, `url`), so each rule that applies to a manifest
//! in `deploy/` is written again below, beside its text. A rule that applies and is missing here is a fault, so none
//! is skipped silently. A rule that changes upstream has another text, so it is a fault too.

use serde_json::Value;

/// A rule's text in CEL, without white space, and its meaning for the value at its place.
type Rule = (&'static str, fn(&Value) -> bool);

const RULES: &[Rule] = &[
    // WasmPlugin
    ("(has(self.selector)?1:0)+(has(self.targetRef)?1:0)+(has(self.targetRefs)?1:0)<=1", |spec| {
        ["selector", "targetRef", "targetRefs"].iter().filter(|name| has(spec, name)).count() <= 1
    }),
    (
        r#"isURL(self)?(url(self).getScheme()in["","http","https","oci","file"]):(isURL("http://"+self)&&url("http://"+self).getScheme()in["","http","https","oci","file"])"#,
        has_scheme_of_a_module,
    ),
    // TrafficExtension
    ("(has(self.selector)?1:0)+(has(self.targetRefs)?1:0)<=1", |spec| {
        !(has(spec, "selector") && has(spec, "targetRefs"))
    }),
    ("has(self.wasm)!=has(self.lua)", |spec| has(spec, "wasm") != has(spec, "lua")),
    (
        r#"isURL(self)?(url(self).getScheme()in["","http","https","file","oci"]):(isURL("http://"+self)&&url("http://"+self).getScheme()in["","http","https","file","oci"])"#,
        has_scheme_of_a_module,
    ),
    // Both
    (r#"!self.contains("*")"#, |value| !value.as_str().unwrap_or_default().contains('*')),
    (r#"self.all(key,!key.contains("*"))"#, |labels| keys(labels).all(|key| !key.contains('*'))),
    ("self.all(key,key.size()!=0)", |labels| keys(labels).all(|key| !key.is_empty())),
    ("self.size()==0", |value| value == ""),
    // EnvoyExtensionPolicy
    (
        "(has(self.targetRef)&&!has(self.targetRefs))||(!has(self.targetRef)&&has(self.targetRefs))||(has(self.targetSelectors)&&self.targetSelectors.size()>0)",
        |spec| {
            has(spec, "targetRef") != has(spec, "targetRefs")
                || spec["targetSelectors"].as_array().is_some_and(|list| !list.is_empty())
        },
    ),
    ("has(self.targetRef)?self.targetRef.group=='gateway.networking.k8s.io':true", |spec| {
        !has(spec, "targetRef") || spec["targetRef"]["group"] == GATEWAY_API
    }),
    (
        "has(self.targetRef)?self.targetRef.kindin['Gateway','ListenerSet','HTTPRoute','GRPCRoute','UDPRoute','TCPRoute','TLSRoute']:true",
        |spec| !has(spec, "targetRef") || is_target(&spec["targetRef"]),
    ),
    ("has(self.targetRefs)?self.targetRefs.all(ref,ref.group=='gateway.networking.k8s.io'):true", |spec| {
        items(&spec["targetRefs"]).all(|target| target["group"] == GATEWAY_API)
    }),
    (
        "has(self.targetRefs)?self.targetRefs.all(ref,ref.kindin['Gateway','ListenerSet','HTTPRoute','GRPCRoute','UDPRoute','TCPRoute','TLSRoute']):true",
        |spec| items(&spec["targetRefs"]).all(is_target),
    ),
    ("self.type=='HTTP'?has(self.http):!has(self.http)", |code| {
        (code["type"] == "HTTP") == has(code, "http")
    }),
    ("self.type=='Image'?has(self.image):!has(self.image)", |code| {
        (code["type"] == "Image") == has(code, "image")
    }),
    (
        "!has(self.mergeType)||((!has(self.targetRef)||self.targetRef.kindin['HTTPRoute','GRPCRoute','UDPRoute','TCPRoute','TLSRoute'])&&(!has(self.targetRefs)||self.targetRefs.all(ref,ref.kindin['HTTPRoute','GRPCRoute','UDPRoute','TCPRoute','TLSRoute']))&&(!has(self.targetSelectors)||self.targetSelectors.all(sel,sel.kindin['HTTPRoute','GRPCRoute','UDPRoute','TCPRoute','TLSRoute'])))",
        // None of our manifests merges. Add the rule here with the first one that does.
        |spec| !has(spec, "mergeType"),
    ),
];

const GATEWAY_API: &str = "gateway.networking.k8s.io";

fn has(value: &Value, name: &str) -> bool {
    value.get(name).is_some()
}

fn keys(map: &Value) -> impl Iterator<Item = &String> {
    map.as_object().into_iter().flat_map(|map| map.keys())
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn is_target(target: &Value) -> bool {
    let kinds = ["Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "UDPRoute", "TCPRoute", "TLSRoute"];
    kinds.iter().any(|kind| target["kind"] == *kind)
}

/// Stricter than the rule, which allows a missing scheme.
fn has_scheme_of_a_module(url: &Value) -> bool {
    let url = url.as_str().unwrap_or_default();
    ["http", "https", "oci", "file"].iter().any(|scheme| url.starts_with(&format!("{scheme}://")))
}

/// The rules that `value` breaks, and those that are missing here.
pub(crate) fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for rule in items(&schema["x-kubernetes-validations"]) {
        let text: String =
            rule["rule"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().concat();
        match RULES.iter().find(|(known, _)| *known == text) {
            Some((_, is_met)) if is_met(value) => {}
            Some(_) => faults.push(format!("{}: {value}", rule["message"])),
            None => {
                faults.push(format!("the rule {text} applies to {value}, and is not written in rules.rs"))
            }
        }
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let named = schema["properties"].get(name);
                if let Some(inner) = named.or_else(|| schema.get("additionalProperties")) {
                    faults.extend(self::faults(inner, member));
                }
            }
        }
        Value::Array(members) => {
            for member in members {
                faults.extend(self::faults(&schema["items"], member));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    faults
}

#[test]
fn a_rule_that_nobody_has_written_here_is_a_fault() {
    let schema = serde_json::json!({"properties": {"a": {
        "x-kubernetes-validations": [{"message": "is odd", "rule": "self % 2 == 1"}],
    }}});
    let faults = faults(&schema, &serde_json::json!({"a": 1}));
    assert!(faults.len() == 1 && faults[0].contains("self%2==1"), "{faults:?}");
}
