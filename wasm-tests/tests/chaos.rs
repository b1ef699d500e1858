//! The short form of `make chaos`: under load, with everything around the filter failing, nobody is taken for somebody
//! else.

use std::process::{Command, Output};

/// What must never be, as the table says it.
const NEVER: [&str; 7] = [
    "| identities of somebody else | 0 |",
    "| requests that got in without a session | 0 |",
    "| good credentials that were denied | 0 |",
    "| requests without an answer | 0 |",
    "| VMs that had to be started again | 0 |",
    "| requests that the filter could not decide about because Envoy refused what it asked | 0 |",
    "| lines of the log that tell of a crash | 0 |",
];

fn chaos(flags: &[&str]) -> (Output, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_chaos")).args(flags).output().expect("the program is built");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

#[test]
fn whatever_fails_around_the_filter_nobody_is_taken_for_somebody_else() {
    let (output, text) = chaos(&["--short"]);
    assert!(output.status.success(), "{text}");
    for row in NEVER {
        assert!(text.contains(row), "{row} is not in {text}");
    }
}

#[test]
fn an_auth_server_that_lies_is_found() {
    let (output, text) = chaos(&["--short", "--lie"]);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("identities of somebody else") && text.contains("WrongIdentity"), "{text}");
    assert!(!text.contains(NEVER[0]), "{text}");
}

/// The table in the repository comes from a full run.
#[test]
fn the_table_that_is_shipped_shows_nothing_that_must_never_be() {
    let path = wasm_tests::envoy::workspace_dir().join("bench/chaos.md");
    let table = std::fs::read_to_string(path).expect("bench/chaos.md");
    for row in NEVER {
        assert!(table.contains(row), "{row} is not in {table}");
    }
    assert!(table.contains(" 100000 sessions"), "run `make chaos` again");
}
