//! Files, links and commands: what the documents point at exists.

use std::collections::BTreeSet;
use std::fs;

use wasm_tests::envoy::{target_dir, workspace_dir};

use crate::markdown::{self, Document};
use crate::{document, documents};

#[test]
fn every_make_target_and_variable_exists() {
    let makefile = fs::read_to_string(workspace_dir().join("Makefile")).unwrap();
    let mut found = BTreeSet::new();
    for document in documents() {
        let blocks = document
            .blocks(&["sh"])
            .into_iter()
            .flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>());
        for command in markdown::code(&document.text).into_iter().chain(blocks) {
            let words = command.split('#').next().unwrap_or_default();
            let Some(words) = words.strip_prefix("make ") else { continue };
            for word in words.split_whitespace() {
                let known = match word.split_once('=') {
                    Some((variable, _)) => makefile.contains(variable),
                    None => makefile.lines().any(|line| line.starts_with(&format!("{word}:"))),
                };
                assert!(known, "{}: {command}: the Makefile has no {word}", document.name);
                found.insert(word.to_owned());
            }
        }
    }
    for target in ["run", "test"] {
        assert!(found.contains(target), "{found:?}");
    }
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_of_it() {
    let mut followed = 0;
    for document in documents() {
        for link in document.links() {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => document.path.clone(),
                file => document.path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link} leads nowhere", document.name);
            if !heading.is_empty() {
                let headings = Document::read(&target).anchors();
                assert!(
                    headings.iter().any(|known| known == heading),
                    "{}: {link}: {headings:?}",
                    document.name
                );
            }
            followed += 1;
        }
    }
    assert!(followed > 5, "{followed}");
}

#[test]
fn the_map_for_contributors_is_the_tree() {
    let root = workspace_dir();
    let map = document("CONTRIBUTING.md");
    let first = |rows: Vec<Vec<String>>| -> BTreeSet<String> {
        rows.iter().flat_map(|row| markdown::code(&row[0])).collect()
    };

    let named = first(map.rows(&["where", "what"]));
    for path in &named {
        assert!(root.join(path).exists(), "CONTRIBUTING.md: there is no {path}");
    }
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_ours =
            path.is_dir() && !name.starts_with('.') && !path.starts_with(target_dir()) && name != "target";
        if is_ours && fs::read_dir(&path).unwrap().next().is_some() {
            assert!(named.contains(&format!("{name}/")), "CONTRIBUTING.md does not name {name}/");
        }
    }

    let named = first(map.rows(&["module", "owns"]));
    let exist: BTreeSet<String> = fs::read_dir(root.join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "lib")
        .collect();
    assert_eq!(named, exist, "the modules in CONTRIBUTING.md, and those in src/");
}

#[test]
fn the_version_has_a_place_in_the_changelog() {
    let heading = format!("## [{}]", env!("CARGO_PKG_VERSION"));
    assert!(document("CHANGELOG.md").text.contains(&heading), "{heading}");
}
