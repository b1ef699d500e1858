//! Which folder may use which, and what a file and a folder must be.

use std::fs;

use crate::sources::{root, sources};

/// The folders from the edge down, and below each what it may use. Nothing uses what stands above it, so that
/// there is no cycle; `rules`, `jose`, `cache` and `telemetry` know nothing of each other.
const MAY_USE: &[(&str, &[&str])] = &[
    ("proxy", &["engine", "config", "auth_server", "rules", "jose", "cache", "telemetry", "http"]),
    ("engine", &["config", "auth_server", "rules", "jose", "cache", "telemetry", "http"]),
    ("config", &["auth_server", "rules", "jose", "http", "protobuf"]),
    ("auth_server", &["rules", "jose", "cache", "http"]),
    ("rules", &["http"]),
    ("jose", &["http", "protobuf"]),
    ("cache", &["http"]),
    ("telemetry", &["http"]),
    ("http", &[]),
    ("protobuf", &[]),
];

/// The one file that touches the proxy's memory.
const UNSAFE: &str = "proxy/raw.rs";

#[test]
fn arrows_between_folders_go_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        let Some(folder) = module.first() else { continue };
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| name == folder) else {
            wrong.push(format!("{}: src/{folder} is not on the map", source.path));
            continue;
        };
        let used = source.paths().into_iter().filter(|path| path[0] == "crate").map(|path| path[1].clone());
        let forbidden = used.filter(|name| name != folder && !allowed.contains(&name.as_str()));
        wrong.extend(forbidden.map(|name| format!("{} uses {name}", source.path)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_map_itself_has_no_cycle() {
    for (at, (folder, allowed)) in MAY_USE.iter().enumerate() {
        let below: Vec<_> = MAY_USE.iter().skip(at + 1).map(|(name, _)| *name).collect();
        assert!(allowed.iter().all(|name| below.contains(name)), "{folder} uses what stands above it");
    }
}

#[test]
fn unsafe_code_stands_in_one_file() {
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.path != UNSAFE && without_comments(&source.text).contains("unsafe "))
        .map(|source| source.path)
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let root = root();
    let lines = |path: &str| fs::read_to_string(root.join(path)).unwrap().lines().count();
    let long: Vec<_> =
        sources().into_iter().map(|source| source.path).filter(|path| lines(path) > 500).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn every_folder_is_told_by_its_mod_file() {
    let root = root();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let below = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(below.filter(|path| path.is_dir()));
        assert!(folder == root || folder.join("mod.rs").is_file(), "{}", folder.display());
    }
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}
