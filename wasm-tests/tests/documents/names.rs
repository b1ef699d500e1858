//! Names of counters, log lines, tests and headers: what is documented exists, and what exists is documented.

use std::collections::BTreeSet;
use std::fs;

use wasm_tests::authgear::{Authgear, Options};
use wasm_tests::client::{self, Request};
use wasm_tests::envoy::workspace_dir;

use crate::{document, documents, files, markdown, source};

#[test]
fn every_log_line_is_explained_and_every_explained_one_exists() {
    let operations = document("docs/operations.md");
    let source = source();
    let rows = operations.rows(&["log line", "what happened", "what to do"]);
    assert!(rows.len() > 5);
    for row in rows {
        for line in markdown::code(&row[0]) {
            let lost: Vec<_> = line.split('…').filter(|part| !source.contains(part)).collect();
            assert_eq!(lost, [""; 0], "nothing logs this: {line}");
        }
    }
    let logged = ["log::info!(", "log::warn!(", "log::error!("]
        .into_iter()
        .flat_map(|call| source.split(call).skip(1))
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split(['"', '{']).next());
    let mut lines = 0;
    for line in logged {
        assert!(operations.text.contains(line), "docs/operations.md does not explain the log line {line:?}");
        lines += 1;
    }
    assert!(lines > 3, "{lines}");
}

#[test]
fn every_counter_is_explained_and_every_explained_one_exists() {
    let name = |text: &str| -> String {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c)));
        text[..end.unwrap_or(text.len())].trim_end_matches('.').to_owned()
    };
    let names = |text: &str| -> BTreeSet<String> {
        let found = text.match_indices("authgear_filter.").map(|(at, _)| name(&text[at..]));
        found.filter(|name| name.matches('.').count() == 2).collect()
    };
    let operations = document("docs/operations.md");
    let exist = names(&source());
    assert!(exist.len() > 5, "{exist:?}");
    let missing: Vec<_> = exist.difference(&names(&operations.text)).cloned().collect();
    assert_eq!(missing, [""; 0], "not in docs/operations.md");
    for document in documents() {
        let invented: Vec<_> = names(&document.text).difference(&exist).cloned().collect();
        assert_eq!(invented, [""; 0], "in {}, but nothing counts it", document.name);
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let root = workspace_dir();
    let rust: String = ["src", "tests", "fuzz", "wasm-tests"]
        .iter()
        .flat_map(|directory| files(&root.join(directory), "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let document = document("docs/security.md");
    let is_name = |code: &String| {
        code.matches('_').count() > 2
            && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let named: Vec<_> = markdown::code(&document.text).into_iter().filter(is_name).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        // A suite that runs on each host has the host as its type parameter.
        let exists = ["(", "<"].iter().any(|next| rust.contains(&format!("fn {name}{next}")));
        assert!(exists, "docs/security.md: no test is named {name}");
    }
}

#[tokio::test]
async fn the_table_of_headers_has_every_header_of_a_session() {
    let authgear = Authgear::start(Options::default()).await.unwrap();
    let host = authgear.public_origin().split_once("://").unwrap().1.to_owned();
    let session = authgear.log_in("alice");
    let request = Request::get("/resolve").host(&host).header("cookie", format!("session={session}"));
    let answer = client::send(authgear.resolver_address(), request).await;
    let named: Vec<_> = document("README.md")
        .rows(&["header", "value"])
        .iter()
        .map(|row| markdown::code(&row[0]).remove(0))
        .collect();
    let mut found = 0;
    for (name, _) in answer.headers.iter().filter(|(name, _)| name.starts_with("x-authgear-")) {
        assert!(named.contains(name), "README.md does not name {name}");
        found += 1;
    }
    assert_eq!(found, 8);
}
