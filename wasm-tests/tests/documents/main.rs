//! Checks the documents against the code: parses every configuration, looks up every name, tries every default.

mod configurations;
mod envoy;
#[path = "../../../tests/tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;
mod markdown;
mod names;
mod providers;
mod reference;
mod setup;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use wasm_tests::envoy::workspace_dir;

use markdown::Document;

fn documents() -> Vec<Document> {
    let root = workspace_dir();
    let mut paths: Vec<_> =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root.join(name)).into();
    paths.extend(files(&root.join("docs"), "md"));
    assert!(paths.len() > 5, "{paths:?}");
    paths.iter().map(|path| Document::read(path)).collect()
}

fn document(path: &str) -> Document {
    Document::read(&workspace_dir().join(path))
}

/// All files below `directory` whose names end in `.extension`.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The filter's source, file by file.
fn source() -> String {
    let files = files(&workspace_dir().join("src"), "rs");
    files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}
