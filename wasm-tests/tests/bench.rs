//! The benchmark works: every contender answers, tells the app the truth, and is in the report. Its figures are not
//! looked at: a short run on a busy machine has none that say anything.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use wasm_tests::envoy::{target_dir, workspace_dir};

const CONTENDERS: [&str; 12] = [
    "none",
    "empty-wasm",
    "public-route",
    "cached-session",
    "cached-token",
    "cold-token",
    "resolver-call",
    "jwt-authn-cached",
    "jwt-authn",
    "ext-authz",
    "nginx-auth-request",
    "nginx-auth-request-cached",
];

const PLOTS: [&str; 8] = [
    "cpu",
    "latency-p50",
    "latency-p99",
    "scale-rules",
    "scale-credentials",
    "scale-cookies",
    "scale-workers",
    "scale-hosts",
];

#[test]
fn a_short_run_measures_everything_and_writes_the_report() {
    let directory = target_dir().join("bench-of-the-tests");
    let _absent = fs::remove_dir_all(&directory);
    // It fails by itself when a contender answers anything but 200, lets a forged header through, loses a true one,
    // or does not do the work that it is measured for.
    let output = bench(&["--short", "--output", &directory.to_string_lossy()]);
    let (status, stdout, stderr) = output;
    assert!(status, "{stderr}\n{stdout}");

    let results = fs::read_to_string(directory.join("results.md")).unwrap();
    assert!(stdout.contains(&results), "what is printed is what is written");
    for contender in CONTENDERS {
        let rows = results.lines().filter(|line| line.starts_with(&format!("| `{contender}` |")));
        assert_eq!(rows.count(), 2, "{contender} has CPU and latency: {results}");
    }
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        assert!(results.contains(&format!("| {algorithm} |")), "{algorithm}: {results}");
    }
    assert!(!results.contains("NaN") && !results.contains("inf"), "{results}");
    for plot in PLOTS {
        let svg = fs::read_to_string(directory.join(format!("{plot}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{plot}: {svg}");
        assert!(results.contains(&format!("({plot}.svg)")), "{plot} is not shown");
    }
    is_of_no_machine(&results);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_contender_that_does_not_exist_is_named() {
    let (status, _, stderr) = bench(&["--only", "nobody", "--short"]);
    assert!(!status && stderr.contains("nobody") && stderr.contains("ext-authz"), "{stderr}");
}

/// The results in the repository are of a full run, and show what the benchmark shows today.
#[test]
fn the_results_that_are_shipped_are_those_of_this_benchmark() {
    let directory = workspace_dir().join("bench");
    let results = fs::read_to_string(directory.join("results.md")).unwrap();
    for contender in CONTENDERS {
        assert!(results.contains(&format!("| `{contender}` |")), "run `make bench` again: {contender}");
    }
    for plot in PLOTS {
        assert!(directory.join(format!("{plot}.svg")).is_file(), "run `make bench` again: {plot}");
    }
    assert!(!results.contains("explained this yet"), "write bench/notes.md");
    is_of_no_machine(&results);
}

/// Neither paths nor the name of the machine are anybody's business.
fn is_of_no_machine(results: &str) {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let words: Vec<_> = results.split(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c))).collect();
    // A name such as `linux` or `vm` is a word that may stand there.
    if host.trim().len() > 5 {
        assert!(!words.contains(&host.trim()), "the name of the machine");
    }
    for place in [workspace_dir(), Path::new("/home/"), Path::new("/tmp/"), Path::new("/root/")] {
        assert!(!results.contains(&*place.to_string_lossy()), "{}", place.display());
    }
}

/// Runs it: whether it succeeded, and both streams.
fn bench(arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    // What somebody chose for `make bench` is not for this one.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BENCH_")) {
        command.env_remove(name);
    }
    let output = command.args(arguments).stdin(Stdio::null()).output().expect("cargo has built it");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.success(), text(output.stdout), text(output.stderr))
}
