//! Checks manifests against the definitions of their kinds: the real ones (`data/crds`) where they are at hand, else
//! handwritten ones (`data/shapes`).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::{documents, files, rules, shapes, structural};

/// The definition of a kind.
pub(crate) struct Definition {
    /// The schema of a whole object.
    schema: Value,
    validator: jsonschema::Validator,
}

/// All known kinds, by `apiVersion` and `kind`.
pub(crate) struct Definitions(BTreeMap<(String, String), Definition>);

impl Definitions {
    pub(crate) fn load() -> Self {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let mut definitions = Self(BTreeMap::new());
        for file in ["istio-extensions.yaml", "envoy-gateway-extension-policy.yaml"] {
            for definition in documents(&data.join("crds").join(file)) {
                definitions.add_crd(&definition);
            }
        }
        for shape in shapes::kubernetes() {
            definitions.add(text(&shape["apiVersion"]), text(&shape["kind"]), whole(&shape));
        }
        definitions
    }

    fn add_crd(&mut self, definition: &Value) {
        assert_eq!(definition["kind"], "CustomResourceDefinition");
        let spec = &definition["spec"];
        for version in spec["versions"].as_array().unwrap() {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            // Kubernetes itself knows these three, so a definition need not name them.
            for (name, field) in head() {
                schema["properties"][name] = field;
            }
            let api = format!("{}/{}", text(&spec["group"]), text(&version["name"]));
            self.add(&api, text(&spec["names"]["kind"]), schema);
        }
    }

    fn add(&mut self, api: &str, kind: &str, schema: Value) {
        let validator = structural::validator(&schema);
        self.0.insert((api.to_owned(), kind.to_owned()), Definition { schema, validator });
    }

    /// Everything that is wrong with a manifest.
    pub(crate) fn faults(&self, manifest: &Value) -> Vec<String> {
        let name = |field: &str| manifest[field].as_str().unwrap_or_default().to_owned();
        let Some(definition) = self.0.get(&(name("apiVersion"), name("kind"))) else {
            return vec![format!("no kind {} of {} is known", manifest["kind"], manifest["apiVersion"])];
        };
        let mut faults = structural::faults(&definition.validator, manifest);
        faults.extend(rules::faults(&definition.schema, manifest));
        faults
    }
}

/// The schema of a whole object, from the shape of its `spec`, or of its fields if it has no `spec`.
fn whole(shape: &Value) -> Value {
    let mut schema = match shape.get("spec") {
        Some(spec) => json!({"type": "object", "required": ["spec"], "properties": {"spec": spec}}),
        None => shape["fields"].clone(),
    };
    for (name, field) in head() {
        schema["properties"][name] = field;
    }
    schema
}

/// The fields that every object has.
fn head() -> [(&'static str, Value); 3] {
    let labels = json!({"type": "object", "additionalProperties": {"type": "string"}});
    // RFC 1123, as Kubernetes demands.
    let name = json!({"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253});
    let metadata = json!({"type": "object", "properties": {
        "name": name, "namespace": name, "labels": labels, "annotations": labels,
    }});
    [("apiVersion", json!({"type": "string"})), ("kind", json!({"type": "string"})), ("metadata", metadata)]
}

/// The string at a place, which must have one.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}"))
}

/// The manifests of both folders, with their file names.
pub(crate) fn manifests(folder: &str) -> Vec<(String, Value)> {
    let of = |path: &Path| -> Vec<(String, Value)> {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        documents(path).into_iter().map(|manifest| (format!("{folder}/{name}"), manifest)).collect()
    };
    files(folder).iter().flat_map(|path| of(path)).collect()
}

#[test]
fn every_manifest_is_one_that_its_definition_allows() {
    let definitions = Definitions::load();
    let mut kinds = BTreeMap::<String, usize>::new();
    for (file, manifest) in [manifests("istio"), manifests("envoy-gateway")].concat() {
        assert_eq!(definitions.faults(&manifest), [""; 0], "deploy/{file}: {}", manifest["kind"]);
        assert!(manifest["metadata"]["namespace"].is_string(), "deploy/{file} says where it belongs");
        *kinds.entry(text(&manifest["kind"]).to_owned()).or_default() += 1;
    }
    for kind in ["WasmPlugin", "TrafficExtension", "ServiceEntry", "DestinationRule", "EnvoyExtensionPolicy"]
    {
        assert!(kinds.contains_key(kind), "no manifest of the kind {kind}: {kinds:?}");
    }
}

/// A change to a manifest of this kind, and the fault that it causes.
type Mistake = (&'static str, fn(&mut Value), &'static str);

#[test]
fn a_typo_in_a_manifest_is_found() {
    let mistakes: &[Mistake] = &[
        ("WasmPlugin", |m| m["spec"]["failStrategie"] = json!("FAIL_CLOSE"), "failStrategie"),
        ("WasmPlugin", |m| m["spec"]["failStrategy"] = json!("FAIL_CLOSED"), "FAIL_CLOSED"),
        ("WasmPlugin", |m| m["spec"]["phase"] = json!("AUTHEN"), "AUTHEN"),
        ("WasmPlugin", |m| m["spec"]["sha256"] = json!("sha256:abc"), "sha256:abc"),
        ("WasmPlugin", |m| m["spec"]["url"] = json!("ftp://a/b"), "url must have schema"),
        ("WasmPlugin", |m| m["spec"]["selector"]["matchLabels"]["app"] = json!("*"), "wildcard"),
        (
            "WasmPlugin",
            |m| m["spec"]["targetRefs"] = json!([{"kind": "Gateway", "name": "a"}]),
            "only one of",
        ),
        ("WasmPlugin", |m| m["apiVersion"] = json!("extensions.istio.io/v1"), "no kind"),
        ("WasmPlugin", |m| m["metadata"]["nmae"] = json!("a"), "nmae"),
        ("TrafficExtension", |m| m["spec"]["failStrategy"] = json!("FAIL_CLOSE"), "failStrategy"),
        ("TrafficExtension", |m| m["spec"]["wasm"] = Value::Null, "null"),
        ("TrafficExtension", |m| m["spec"]["lua"] = json!({"inlineCode": "x"}), "exactly one of wasm or lua"),
        ("ServiceEntry", |m| m["spec"]["ports"][0]["number"] = json!("443"), "443"),
        ("ServiceEntry", |m| m["spec"]["resolution"] = json!("DNS "), "DNS "),
        ("DestinationRule", |m| m["spec"]["trafficPolicy"]["tls"] = json!({"mode": "SIMPEL"}), "SIMPEL"),
        ("AuthorizationPolicy", |m| m["spec"]["rules"][0]["form"] = json!([]), "form"),
        ("EnvoyExtensionPolicy", |m| m["spec"]["wasm"][0]["failopen"] = json!(false), "failopen"),
        ("EnvoyExtensionPolicy", |m| m["spec"]["wasm"][0]["code"]["type"] = json!("HTTP"), "http field"),
        (
            "EnvoyExtensionPolicy",
            |m| m["spec"]["targetRefs"][0]["kind"] = json!("Service"),
            "targetRefs[*].kind",
        ),
        (
            "EnvoyExtensionPolicy",
            |m| drop(m["spec"].as_object_mut().unwrap().remove("targetRefs")),
            "either targetRef or",
        ),
        ("EnvoyPatchPolicy", |m| m["spec"]["type"] = json!("JSONpatch"), "JSONpatch"),
        ("ConfigMap", |m| m["dat"] = json!({}), "dat"),
    ];
    let definitions = Definitions::load();
    let manifests = [manifests("istio"), manifests("envoy-gateway")].concat();
    for (kind, change, said) in mistakes {
        let found = manifests.iter().find(|(_, manifest)| manifest["kind"] == *kind);
        let mut manifest = found.unwrap_or_else(|| panic!("no manifest of the kind {kind}")).1.clone();
        assert_eq!(definitions.faults(&manifest), [""; 0], "{kind}");
        change(&mut manifest);
        let faults = definitions.faults(&manifest);
        assert!(faults.iter().any(|fault| fault.contains(said)), "{kind}: {said:?} is not in {faults:?}");
    }
}
