//! A registry on loopback with the image that `make image` packs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::{Value, json};
use wasm_tests::envoy::target_dir;

use crate::isolated::run;
use crate::program::Program;

/// Where it listens, in a network of its own.
pub(crate) const REGISTRY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// A registry with the image that `make image` left, and the image's digest.
pub(crate) async fn registry(directory: &Path) -> (Program, String) {
    let place = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let configuration = json!({ "version": "0.1", "storage": { "filesystem": { "rootdirectory": place("registry") } },
        "http": { "addr": REGISTRY.to_string() } });
    fs::write(place("registry.yaml"), configuration.to_string()).expect("a file");
    let arguments = ["serve".to_owned(), place("registry.yaml")];
    let registry = Program::start("docker-registry", &arguments, &[], (REGISTRY, "/v2/")).await;
    let layout = target_dir().join("image");
    let version = env!("CARGO_PKG_VERSION");
    run(
        "skopeo",
        &[
            "copy",
            "--dest-tls-verify=false",
            &format!("oci:{}:{version}", layout.display()),
            &format!("docker://{REGISTRY}/authgear-filter:{version}"),
        ],
    );
    let index = fs::read_to_string(layout.join("index.json")).expect("`make image` was run");
    let index: Value = serde_json::from_str(&index).expect("JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    (registry, digest.trim_start_matches("sha256:").to_owned())
}
