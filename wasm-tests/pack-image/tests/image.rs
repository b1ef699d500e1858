//! The image has the same bytes every time, and a registry serves it unchanged.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use flate2::read::GzDecoder;
use serde_json::Value;
use servers::envoy::{filter_module, target_dir};
use servers::process;
use sha2::{Digest as _, Sha256};

const SOURCE: &str = "https://git.example/authgear-filter";

/// Returns a test's own empty directory.
fn directory(test: &str) -> PathBuf {
    let directory = target_dir().join("image-tests").join(test);
    let _absent = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Runs the program of `make image` and returns its output.
fn pack(module: &Path, output: &Path) -> Result<String, String> {
    let run = Command::new(env!("CARGO_BIN_EXE_pack-image"))
        .arg("--module")
        .arg(module)
        .arg("--output")
        .arg(output)
        .args(["--source", SOURCE])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if run.status.success() { Ok(text(run.stdout)) } else { Err(text(run.stderr)) }
}

/// Returns all files below `directory`, by their relative paths.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn collect(root: &Path, directory: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(directory, directory, &mut found);
    found
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the files of a layer, by name.
fn unpack(layer: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(GzDecoder::new(layer));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

#[test]
fn the_image_is_the_same_whenever_and_wherever_it_is_packed() {
    let directory = directory("same");
    let module = directory.join("one.wasm");
    fs::copy(filter_module(), &module).unwrap();
    let first = pack(&module, &directory.join("a")).unwrap();

    // With another modification time, name and place, and over an older layout.
    File::options().append(true).open(&module).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let renamed = directory.join("two.wasm");
    fs::rename(&module, &renamed).unwrap();
    fs::create_dir_all(directory.join("deeper")).unwrap();
    for output in ["a", "deeper/b"] {
        let again = pack(&renamed, &directory.join(output)).unwrap();
        assert_eq!(contents(&directory.join(output)), contents(&directory.join("a")));
        let digest = |text: &str| text.rsplit(' ').next().unwrap().to_owned();
        assert_eq!(digest(&again), digest(&first));
    }
}

#[test]
fn what_is_printed_is_the_size_and_the_digests() {
    let directory = directory("printed");
    let printed = pack(&filter_module(), &directory.join("image")).unwrap();
    let module = fs::read(filter_module()).unwrap();
    assert!(printed.contains(&format!("{} bytes, sha256 {}", module.len(), sha256(&module))), "{printed}");
    let index = json(&fs::read(directory.join("image/index.json")).unwrap());
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let digest = digest.strip_prefix("sha256:").unwrap();
    assert!(printed.ends_with(&format!("`code.image.sha256` in Envoy Gateway: {digest}\n")), "{printed}");
}

#[test]
fn nothing_but_a_module_is_packed_and_nothing_but_a_layout_is_replaced() {
    let directory = directory("refused");
    let text = directory.join("text.wasm");
    fs::write(&text, "no module").unwrap();
    assert!(pack(&text, &directory.join("image")).unwrap_err().contains("is no WebAssembly module"));
    assert!(pack(&directory.join("none"), &directory.join("image")).unwrap_err().contains("none"));

    let precious = directory.join("home");
    fs::create_dir_all(&precious).unwrap();
    fs::write(precious.join("diary"), "dear").unwrap();
    assert!(pack(&filter_module(), &precious).unwrap_err().contains("something else"));
    assert_eq!(fs::read(precious.join("diary")).unwrap(), b"dear");
}

#[test]
fn a_registry_gives_back_the_image_that_was_pushed() {
    let directory = directory("registry");
    let layout = directory.join("image");
    let printed = pack(&filter_module(), &layout).unwrap();
    let digest = format!("sha256:{}", printed.trim().rsplit(' ').next().unwrap());

    let registry = Registry::start(&directory);
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("docker://{}/team/authgear-filter", registry.address);
    skopeo(&[
        "copy",
        "--preserve-digests",
        "--dest-tls-verify=false",
        &format!("oci:{}:{version}", layout.display()),
        &format!("{name}:{version}"),
    ]);

    // What a proxy receives that pulls the image by its digest, as the manifests pin it.
    let pinned = format!("{name}@{digest}");
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &pinned]);
    assert_eq!(format!("sha256:{}", sha256(&raw)), digest);
    let manifest = json(&raw);
    assert_eq!(manifest["annotations"]["module.wasm.image/variant"], "compat");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");

    let inspected = json(&skopeo(&["inspect", "--tls-verify=false", &pinned]));
    for labels in [&inspected["Labels"], &manifest["annotations"]] {
        for (label, value) in [("version", version), ("licenses", "Apache-2.0"), ("source", SOURCE)] {
            assert_eq!(labels[format!("org.opencontainers.image.{label}")], value, "{labels}");
        }
    }

    let back = directory.join("back");
    skopeo(&["copy", "--src-tls-verify=false", &pinned, &format!("dir:{}", back.display())]);
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let files = unpack(&fs::read(back.join(layer)).unwrap());
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].0, "plugin.wasm");
    assert!(files[0].1 == fs::read(filter_module()).unwrap(), "plugin.wasm is another module");
}

/// Runs skopeo and returns its output.
fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let run = Command::new("skopeo").arg("--insecure-policy").args(arguments).output();
    let run = run.unwrap_or_else(|error| missing("skopeo", &error));
    assert!(run.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

fn missing(program: &str, error: &std::io::Error) -> ! {
    panic!("{program}: {error}. This test needs it; on Debian: apt install docker-registry skopeo")
}

/// A registry on a free port of this machine.
struct Registry {
    process: Child,
    address: SocketAddr,
}

impl Registry {
    fn start(directory: &Path) -> Self {
        let configuration = directory.join("registry.yml");
        let storage = directory.join("storage");
        fs::write(
            &configuration,
            format!(
                "version: 0.1\nlog: {{ level: info, formatter: json }}\nhttp: {{ addr: '127.0.0.1:0' }}\n\
                 storage: {{ filesystem: {{ rootdirectory: {:?} }} }}\n",
                storage.display().to_string()
            ),
        )
        .unwrap();
        // Check for it here: `process::command` runs `setpriv`, which would hide that it is missing.
        if let Err(error) = Command::new("docker-registry").arg("--version").output() {
            missing("docker-registry", &error);
        }
        let mut process = process::command("docker-registry")
            .arg("serve")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();

        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let address = loop {
            let line = lines.next().and_then(Result::ok).unwrap_or_else(|| panic!("docker-registry: {log}"));
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find(['"', ' ']).unwrap_or(rest.len());
                break rest[..end].parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            }
            log.push_str(&line);
            log.push('\n');
        };
        // Its log must not block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}
