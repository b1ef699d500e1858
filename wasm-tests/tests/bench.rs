//! The benchmark works: every contender answers, passes the right identity to the app, and is in the report. Figures
//! of a short run on a busy machine mean nothing, so they are not checked.

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

/// Bar charts: the section of the table that each shows, and the column.
const BARS: [(&str, &str, usize); 3] =
    [("cpu", "CPU per request", 3), ("latency-p50", "Latency", 1), ("latency-p99", "Latency", 3)];

const CURVES: [&str; 5] = ["rules", "credentials", "cookies", "workers", "hosts"];

#[test]
fn a_short_run_measures_everything_and_writes_the_report() {
    let directory = target_dir().join("bench-of-the-tests");
    let _absent = fs::remove_dir_all(&directory);
    // It fails if a contender answers anything but 200, lets a forged header through, loses a true one, or does not
    // do the work that it is measured for.
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
    pictures_say_what_the_tables_say(&directory, &results);
    is_of_no_machine(&results);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_contender_that_does_not_exist_is_named() {
    let (status, _, stderr) = bench(&["--only", "nobody", "--short"]);
    assert!(!status && stderr.contains("nobody") && stderr.contains("ext-authz"), "{stderr}");
}

/// The results in the repository come from a full run, and have all cases of today's benchmark.
#[test]
fn the_results_that_are_shipped_are_those_of_this_benchmark() {
    let directory = workspace_dir().join("bench");
    let results = fs::read_to_string(directory.join("results.md")).unwrap();
    for contender in CONTENDERS {
        assert!(results.contains(&format!("| `{contender}` |")), "run `make bench` again: {contender}");
    }
    pictures_say_what_the_tables_say(&directory, &results);
    assert!(!results.contains("explained this yet"), "write bench/notes.md");
    is_of_no_machine(&results);
}

/// The report shows each picture, which names every case of its table, with the same figure.
fn pictures_say_what_the_tables_say(directory: &Path, results: &str) {
    let picture = |name: &str| {
        assert!(results.contains(&format!("({name}.svg)")), "{name} is not shown");
        let svg = fs::read_to_string(directory.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{name}: {svg}");
        svg
    };
    for (name, section, column) in BARS {
        let texts = texts(&picture(name));
        let rows = rows(results, &format!("## {section}"));
        for contender in CONTENDERS {
            let row = rows.iter().find(|row| row[0] == format!("`{contender}`")).unwrap();
            for text in [contender, &format!("{} µs", median(&row[column]))] {
                assert!(texts.iter().any(|known| known == text), "{name}: {text}: {texts:?}");
            }
        }
    }
    for name in CURVES {
        let texts = texts(&picture(&format!("scale-{name}")));
        let heading = name[..1].to_uppercase() + &name[1..];
        let rows = rows(results, &format!("### {heading}"));
        // The points, and the name of the axis.
        let points = rows[1..].iter().flat_map(|row| [row[0].clone(), format!("{} ×", median(&row[1]))]);
        for text in points.chain([rows[0][0].clone()]) {
            assert!(texts.contains(&text), "{name}: {text}: {texts:?}");
        }
        assert!(rows.len() > 2, "{name}: {rows:?}");
    }
}

/// The cells of a section's tables, including the column heads.
fn rows(results: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) =
        results.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let lines = section.lines().take_while(|line| !line.starts_with('#'));
    let rows = lines.filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// `73.5 (72.0 to 76.3)` as `73.5`.
fn median(cell: &str) -> &str {
    cell.split_whitespace().next().unwrap()
}

/// The texts of an SVG.
fn texts(svg: &str) -> Vec<String> {
    let elements = svg.split("<text ").skip(1).filter_map(|rest| rest.split("</text>").next());
    elements.filter_map(|element| element.split_once('>')).map(|(_, text)| text.trim().to_owned()).collect()
}

/// The results must not reveal paths or the machine's name.
fn is_of_no_machine(results: &str) {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let words: Vec<_> = results.split(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c))).collect();
    // A short name such as `linux` or `vm` may be an ordinary word.
    if host.trim().len() > 5 {
        assert!(!words.contains(&host.trim()), "the name of the machine");
    }
    for place in [workspace_dir(), Path::new("/home/"), Path::new("/tmp/"), Path::new("/root/")] {
        assert!(!results.contains(&*place.to_string_lossy()), "{}", place.display());
    }
}

/// Runs the benchmark. Returns whether it succeeded, and both streams.
fn bench(arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    // Ignore the choices for `make bench`.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BENCH_")) {
        command.env_remove(name);
    }
    let output = command.args(arguments).stdin(Stdio::null()).output().expect("cargo has built it");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.success(), text(output.stdout), text(output.stderr))
}
