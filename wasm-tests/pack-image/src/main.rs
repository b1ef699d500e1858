//! `make image`: packs the filter into an OCI image layout.
//!
//! The image has the variant "compat", which both Istio and Envoy Gateway accept: an ordinary image whose only layer
//! (tar, gzip) contains `plugin.wasm`. The same module always yields the same bytes, because they depend on no time,
//! user or machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use servers::{cli, envoy};
use sha2::{Digest as _, Sha256};

/// Packs the filter into an OCI image.
#[derive(Debug, Parser)]
struct Flags {
    /// The module [default: the release build]
    #[arg(long, env = "IMAGE_MODULE")]
    module: Option<PathBuf>,
    /// The directory of the layout, replaced if it exists [default: image in the target directory]
    #[arg(long, env = "IMAGE_OUTPUT")]
    output: Option<PathBuf>,
    /// The URL of the source code, for the image's label; no label if it is empty
    #[arg(long, env = "IMAGE_SOURCE", default_value = env!("CARGO_PKG_REPOSITORY"))]
    source: String,
}

/// The name of the module inside the layer, as proxies expect it.
const MODULE_NAME: &str = "plugin.wasm";
/// Marks the variant: <https://github.com/solo-io/wasm/blob/master/spec/spec-compat.md>.
const VARIANT: (&str, &str) = ("module.wasm.image/variant", "compat");
/// The format requires a time. It is always the same.
const CREATED: &str = "1970-01-01T00:00:00Z";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Names and values, written in the order of the names.
type Labels = BTreeMap<&'static str, String>;

/// A reference from one document of the image to another blob.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: Labels,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: [Descriptor; 1],
    annotations: Labels,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    manifests: [Descriptor; 1],
}

/// The image's configuration. Nobody runs it, but registries and clients expect a platform.
#[derive(Serialize)]
struct Config {
    created: &'static str,
    architecture: &'static str,
    os: &'static str,
    config: RunConfig,
    rootfs: RootFs,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RunConfig {
    labels: Labels,
}

#[derive(Serialize)]
struct RootFs {
    r#type: &'static str,
    diff_ids: [String; 1],
}

fn main() -> ExitCode {
    match run(cli::parse()) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("pack-image: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> Result<String, String> {
    let module = flags.module.unwrap_or_else(envoy::filter_module);
    let output = flags.output.unwrap_or_else(|| envoy::target_dir().join("image"));

    let wasm = fs::read(&module).map_err(|error| format!("{}: {error}", module.display()))?;
    if !wasm.starts_with(b"\0asm") {
        return Err(format!("{} is no WebAssembly module", module.display()));
    }
    let digest = write(&output, &wasm, labels(&flags.source))
        .map_err(|error| format!("{}: cannot be written: {error}", output.display()))?;
    Ok(format!(
        "{}: {} bytes, sha256 {}\n{}: version {}\n\
         for `sha256` in Istio and `code.image.sha256` in Envoy Gateway: {digest}",
        module.display(),
        wasm.len(),
        hex(&wasm),
        output.display(),
        env!("CARGO_PKG_VERSION"),
    ))
}

/// Returns the image's labels. An empty source yields no label.
fn labels(source: &str) -> Labels {
    let mut labels = Labels::from([
        ("org.opencontainers.image.title", "authgear-filter".to_owned()),
        (
            "org.opencontainers.image.description",
            "Authenticates HTTP requests inside Envoy, Istio, Envoy Gateway and Apache APISIX".to_owned(),
        ),
        ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("org.opencontainers.image.licenses", env!("CARGO_PKG_LICENSE").to_owned()),
    ]);
    if !source.is_empty() {
        labels.insert("org.opencontainers.image.source", source.to_owned());
    }
    labels
}

/// Writes the layout in place of an older one. Returns the manifest's SHA-256 in hexadecimal.
fn write(output: &Path, wasm: &[u8], labels: Labels) -> io::Result<String> {
    // Replace only a layout: a mistyped directory must not cost anybody their files.
    if output.exists() {
        if !output.join("oci-layout").is_file() && fs::read_dir(output)?.next().is_some() {
            return Err(io::Error::other("the directory holds something else than an OCI image layout"));
        }
        fs::remove_dir_all(output)?;
    }
    let blobs = output.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let blob = |media_type, bytes: &[u8]| -> io::Result<Descriptor> {
        let digest = hex(bytes);
        fs::write(blobs.join(&digest), bytes)?;
        let digest = format!("sha256:{digest}");
        Ok(Descriptor { media_type, digest, size: bytes.len(), annotations: Labels::new() })
    };

    let archive = archive(wasm)?;
    let layer = blob(LAYER, &compress(&archive)?)?;
    let config = Config {
        created: CREATED,
        architecture: "amd64",
        os: "linux",
        config: RunConfig { labels: labels.clone() },
        rootfs: RootFs { r#type: "layers", diff_ids: [format!("sha256:{}", hex(&archive))] },
    };
    let config = blob(CONFIG, &serde_json::to_vec(&config)?)?;
    let mut annotations = labels;
    annotations.insert(VARIANT.0, VARIANT.1.to_owned());
    let manifest = Manifest { schema_version: 2, media_type: MANIFEST, config, layers: [layer], annotations };
    let mut manifest = blob(MANIFEST, &serde_json::to_vec(&manifest)?)?;

    // Istio and Envoy Gateway expect it without `sha256:`. With the prefix they let nobody in.
    let digest = manifest.digest.trim_start_matches("sha256:").to_owned();
    manifest.annotations.insert("org.opencontainers.image.ref.name", env!("CARGO_PKG_VERSION").to_owned());
    let index = Index { schema_version: 2, manifests: [manifest] };
    fs::write(output.join("index.json"), serde_json::to_vec(&index)?)?;
    // Written last: a layout with this file is complete.
    fs::write(output.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(digest)
}

fn archive(wasm: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(wasm.len() as u64);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, MODULE_NAME, wasm)?;
    builder.into_inner()
}

fn compress(archive: &[u8]) -> io::Result<Vec<u8>> {
    // 255 means an unknown operating system, so that the byte is the same everywhere.
    let header = GzBuilder::new().mtime(0).operating_system(255);
    let mut encoder = header.write(Vec::new(), Compression::best());
    encoder.write_all(archive)?;
    encoder.finish()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
