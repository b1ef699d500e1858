//! Runs a test again in network, mount and process namespaces of its own, so that its ports, its hosts file and what it
//! mounts are nobody else's, and nothing that it started outlives it. Needs root.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

const MARK: &str = "REAL_ISOLATED";

/// Runs this test in namespaces of its own, and says whether this is that run.
///
/// # Panics
/// If it fails there.
pub(crate) fn isolated(test: &str) -> bool {
    if env::var_os(MARK).is_some() {
        run("ip", &["link", "set", "lo", "up"]);
        return true;
    }
    let this = env::current_exe().expect("the path of this program");
    let status = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "yes")
        .status()
        .expect("unshare, of util-linux");
    assert!(status.success(), "{test} failed in its namespaces (it needs root): {status}");
    false
}

/// Puts a text in the place of a file, for this namespace alone.
pub(crate) fn instead_of(file: &str, text: &str, directory: &Path) {
    let ours = directory.join(file.replace('/', "-"));
    fs::write(&ours, text).expect("the directory is writable");
    run("mount", &["--bind", &ours.to_string_lossy(), file]);
}

/// Runs a command to its end.
///
/// # Panics
/// If it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}
