//! The JSON Schemas: as they stand in `deploy/schema/`, against the types, the documents and what is shipped.

#[cfg(test)]
mod support;

#[cfg(test)]
mod schema {
    use std::fs;

    use serde::Deserialize;
    use serde_json::Value;
    use snapbox::cmd::{Command, cargo_bin};

    use crate::support::{blocks, documents, root};

    const CONFIGURATION: &str = "configuration.json";
    const MANIFESTS: &str = "manifests.json";

    fn shipped(name: &str) -> String {
        fs::read_to_string(root().join("deploy/schema").join(name)).unwrap()
    }

    #[test]
    fn the_schemas_that_are_shipped_are_those_of_the_types() {
        for (name, arguments) in
            [(CONFIGURATION, ["schema"].as_slice()), (MANIFESTS, &["schema", "--manifests"])]
        {
            let done = Command::new(cargo_bin!("authgear-filter")).args(arguments).assert().success();
            let printed = String::from_utf8(done.get_output().stdout.clone()).unwrap();
            assert!(printed == shipped(name), "deploy/schema/{name} is stale: run `make schema`");
        }
    }

    fn validator(name: &str) -> jsonschema::Validator {
        jsonschema::validator_for(&serde_json::from_str(&shipped(name)).unwrap()).unwrap()
    }

    /// What is wrong with the documents of a YAML or JSON text: places in it.
    fn faults(validator: &jsonschema::Validator, text: &str) -> Vec<String> {
        let documents =
            yaml_serde::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap());
        let documents: Vec<Value> = documents.collect();
        let faults = documents.iter().flat_map(|document| validator.iter_errors(document));
        faults.map(|fault| fault.instance_path().to_string()).collect()
    }

    fn is_configuration(text: &str) -> bool {
        let value: Result<Value, _> = yaml_serde::from_str(text);
        value.is_ok_and(|value| {
            ["authgear", "forward_auth", "jwt"].iter().any(|root| value.get(root).is_some())
        })
    }

    #[test]
    fn every_documented_configuration_meets_the_schema() {
        let (configuration, manifests) = (validator(CONFIGURATION), validator(MANIFESTS));
        let mut count = 0_usize;
        for document in documents() {
            for (language, line, text) in blocks(&fs::read_to_string(&document).unwrap()) {
                if !["yaml", "json"].contains(&language.as_str()) {
                    continue;
                }
                if is_configuration(&text) {
                    assert_eq!(faults(&configuration, &text), [""; 0], "{}:{line}", document.display());
                    count = count.saturating_add(1);
                } else if yaml_serde::from_str::<Value>(&text).is_ok() {
                    assert_eq!(faults(&manifests, &text), [""; 0], "{}:{line}", document.display());
                }
            }
        }
        assert!(count > 30, "{count} configurations were found");
    }

    /// Each file that is shipped, and where its schema stands by the file's own word.
    fn with_schema() -> Vec<(&'static str, String)> {
        let files = [
            "envoy.yaml",
            "deploy/envoy/auth-o-tron.yaml",
            "deploy/apisix/apisix.yaml",
            "deploy/istio/hosted.yaml",
            "deploy/istio/self-hosted.yaml",
            "deploy/istio/traffic-extension.yaml",
            "deploy/envoy-gateway/hosted.yaml",
            "deploy/envoy-gateway/self-hosted.yaml",
        ];
        files.map(|file| (file, fs::read_to_string(root().join(file)).unwrap())).to_vec()
    }

    #[test]
    fn every_shipped_file_names_its_schema_and_meets_it() {
        let manifests = validator(MANIFESTS);
        for (file, text) in with_schema() {
            let first = text.lines().next().unwrap();
            let schema =
                first.strip_prefix("# yaml-language-server: $schema=").unwrap_or_else(|| panic!("{file}"));
            let schema = root().join(file).parent().unwrap().join(schema).canonicalize().unwrap();
            assert_eq!(
                schema,
                root().join("deploy/schema").join(MANIFESTS).canonicalize().unwrap(),
                "{file}"
            );
            assert_eq!(faults(&manifests, &text), [""; 0], "{file}");
        }
    }

    #[test]
    fn a_mistake_in_any_hosts_file_is_found_at_its_place() {
        let manifests = validator(MANIFESTS);
        let cases: [(&str, &str, &str); 8] = [
            (" mode: auto\n", " mode: automatic\n", "/configuration/value/authgear"),
            (" identity_headers:", " identity_heders:", "/configuration/value/forward_auth"),
            (" conf: |", " config: |", "/routes/0/plugins/authgear-filter"),
            (" endpoint: https:", " endpiont: https:", "/spec/pluginConfig/authgear"),
            (" endpoint: https:", " endpiont: https:", "/spec/pluginConfig/authgear"),
            (" endpoint: https:", " endpiont: https:", "/spec/wasm/pluginConfig/authgear"),
            (" endpoint: https:", " endpiont: https:", "/spec/wasm/0/config/authgear"),
            (" endpoint: https:", " endpiont: https:", "/spec/wasm/0/config/authgear"),
        ];
        for ((file, text), (right, wrong, place)) in with_schema().into_iter().zip(cases) {
            assert!(text.contains(right), "{file}");
            let found = faults(&manifests, &text.replace(right, wrong));
            assert!(
                !found.is_empty() && found.iter().all(|fault| fault.ends_with(place)),
                "{file}: {found:?}"
            );
        }
    }
}
