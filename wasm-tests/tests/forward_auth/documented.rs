//! The table of answers in `docs/configuration.md`, row by row: what it says about a status is what happens.

use std::fs;

use serde_json::{Value, json};
use wasm_tests::client::Request;
use wasm_tests::envoy::workspace_dir;
use wasm_tests::faulty::Answer;
use wasm_tests::on_each_host;
use wasm_tests::received::Received;
use wasm_tests::scene::Host;

use crate::{Guarded, forging, identity, pairs, text};

on_each_host! {
    every_answer_means_what_the_documents_say,
}

/// A row: the answers that it covers, and what happens on required and on optional routes.
struct Row {
    answer: String,
    happens: [String; 2],
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(workspace_dir().join("docs/configuration.md")).unwrap();
    let lines = page.lines().skip_while(|line| *line != "| it answers | `required` | `optional` |").skip(2);
    let rows: Vec<_> = lines
        .map_while(|line| {
            let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
            let [answer, required, optional] = cells[..] else { panic!("three cells: {line}") };
            Some(Row { answer: answer.to_owned(), happens: [required.to_owned(), optional.to_owned()] })
        })
        .collect();
    assert!(rows.len() > 5, "docs/configuration.md has lost its table of answers");
    rows
}

/// The statuses that a row names.
fn statuses(answer: &str) -> Vec<u16> {
    let words = answer.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.len() == 3).filter_map(|word| word.parse().ok()).collect()
}

async fn every_answer_means_what_the_documents_say<H: Host>() {
    let decide = |asked: &Received| {
        let status = text(asked, "x-want").unwrap_or_default().parse().unwrap_or(500);
        let answer = Answer::status(status).header("x-user-id", "alice").body("said the server");
        match asked.header("x-way") {
            Some(way) => answer.header("location", way),
            None => answer,
        }
    };
    let change = |configuration: &mut Value| {
        configuration["forward_auth"]["request_headers"] = json!(["x-want", "x-way"]);
        configuration["rules"] = json!([{"prefix": "/optional", "access": "optional"}]);
    };
    let guarded = Guarded::<H>::start(change, decide).await;
    let mut tried = 0;
    for row in rows() {
        for (path, happens) in ["/required", "/optional"].into_iter().zip(&row.happens) {
            for status in statuses(&row.answer) {
                guarded.app.received().clear();
                let mut request = forging(Request::get(path)).header("x-want", status.to_string());
                if row.answer.contains("with a `Location`") {
                    request = request.header("x-way", "/login");
                }
                let answer = guarded.send(request).await;
                let what = format!("{status} on {path}: {happens}: {answer:?}");
                let passes = happens.starts_with("passes");
                assert_eq!(guarded.app.received().count(), u64::from(passes), "{what}");
                let expected = match happens.as_str() {
                    "passes as somebody" | "passes as nobody" => 200,
                    "denied" => status,
                    "denied with 403" => 403,
                    "`on_error`" => 503,
                    other => panic!("docs/configuration.md: {other:?} is nothing that is known to happen"),
                };
                assert_eq!(answer.status, expected, "{what}");
                match happens.as_str() {
                    "passes as somebody" => {
                        assert_eq!(identity(&answer), pairs(&[("x-user-id", "alice")]), "{what}");
                    }
                    "passes as nobody" => assert_eq!(identity(&answer), [], "{what}"),
                    "denied" | "denied with 403" => assert_eq!(answer.text(), "said the server", "{what}"),
                    _ => assert_eq!(answer.json()["error"], "unavailable", "{what}"),
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried}");
}
