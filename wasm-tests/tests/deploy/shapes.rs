//! The shapes of kinds whose definitions are not at hand: `data/shapes`, written by hand from documentation. They
//! catch a misspelt or misplaced field. Only a cluster can tell whether the documentation was understood.

use std::path::Path;

use serde_json::Value;

use crate::documents;

fn read(file: &str) -> Vec<Value> {
    documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shapes").join(file))
}

/// Shapes of Kubernetes resources, with `apiVersion` and `kind`.
pub(crate) fn kubernetes() -> Vec<Value> {
    [read("istio.yaml"), read("envoy-gateway.yaml")].concat()
}

/// The schema for a part of APISIX's configuration.
pub(crate) fn apisix(kind: &str) -> Value {
    let shape = read("apisix.yaml").into_iter().find(|shape| shape["kind"] == kind);
    shape.unwrap_or_else(|| panic!("no shape {kind}"))["schema"].clone()
}
