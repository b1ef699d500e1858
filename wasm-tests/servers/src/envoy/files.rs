//! Finds Envoy and the filter, and owns the files of one running Envoy.

use std::env;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::Value;

/// How much of the log a failing test prints.
const REPORTED_LINES: usize = 40;

/// Envoy's binary: `$ENVOY`, else the one that `make setup` installed.
///
/// # Panics
/// If there is none.
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("ENVOY").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "ENVOY={}: no such file", path.display());
        return path;
    }
    let path = workspace_dir().join(".tools/bin/envoy");
    assert!(
        path.is_file(),
        "{} is missing: run `make setup`, or set ENVOY to an Envoy of yours",
        path.display()
    );
    path
}

/// The filter's module: `$AUTHGEAR_FILTER_WASM`, else the release build.
///
/// # Panics
/// If it has not been built.
pub fn filter_module() -> PathBuf {
    let path = env::var_os("AUTHGEAR_FILTER_WASM").filter(|path| !path.is_empty());
    let path =
        path.map_or_else(|| target_dir().join("wasm32-wasip1/release/authgear_filter.wasm"), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: run `make build`, or set AUTHGEAR_FILTER_WASM to a module of yours",
        path.display()
    );
    path
}

/// The root of the workspace.
pub fn workspace_dir() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

/// Where Cargo builds: `$CARGO_TARGET_DIR`, else `target` in the workspace.
pub fn target_dir() -> PathBuf {
    let chosen = env::var_os("CARGO_TARGET_DIR").filter(|path| !path.is_empty());
    workspace_dir().join(chosen.unwrap_or_else(|| "target".into()))
}

/// The files of one Envoy, named after the test.
pub(super) struct Files {
    pub(super) configuration: PathBuf,
    pub(super) admin: PathBuf,
    /// The listener, if Envoy watches it.
    pub(super) listener: PathBuf,
    log: PathBuf,
}

impl Files {
    /// Creates the directory and an empty log.
    pub(super) fn create() -> Self {
        // One test may start several Envoys, and a test with the same name may run in another process.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let test = thread::current().name().unwrap_or("main").replace("::", "-");
        let name = format!("{test}-{}-{count}", process::id());

        let directory = target_dir().join("envoy-logs");
        fs::create_dir_all(&directory).expect("the target directory is writable");
        let file = |extension: &str| directory.join(format!("{name}.{extension}"));
        let files = Self {
            configuration: file("json"),
            admin: file("admin"),
            listener: file("listener.json"),
            log: file("log"),
        };
        File::create(&files.log).expect("the target directory is writable");
        files
    }

    pub(super) fn write_configuration(&self, configuration: &Value) {
        fs::write(&self.configuration, format!("{configuration:#}"))
            .expect("the target directory is writable");
    }

    /// Replaces the listener atomically: Envoy watches for files that are moved, not for files that are written.
    pub(super) fn replace_listener(&self, discovery_response: &Value) {
        let beside = self.listener.with_extension("new");
        fs::write(&beside, format!("{discovery_response:#}")).expect("the target directory is writable");
        fs::rename(beside, &self.listener).expect("both are in one directory");
    }

    /// A handle for appending to the log.
    pub(super) fn log_writer(&self) -> File {
        File::options().append(true).open(&self.log).expect("the log was created with the other files")
    }

    pub(super) fn log(&self) -> String {
        let log = fs::read(&self.log).expect("the log was created with the other files");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// `None` until Envoy has written it.
    pub(super) fn admin_address(&self) -> Option<SocketAddr> {
        fs::read_to_string(&self.admin).ok()?.trim().parse().ok()
    }

    /// Tells a failing test's reader where the log is, and how it ends.
    pub(super) fn report(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let end = &lines[lines.len().saturating_sub(REPORTED_LINES)..];
        eprintln!(
            "Envoy's log: {}\nits configuration: {}\nthe log's last {} lines:\n{}",
            self.log.display(),
            self.configuration.display(),
            end.len(),
            end.join("\n")
        );
        let _absent = fs::remove_file(&self.admin);
    }

    pub(super) fn remove(&self) {
        for file in [&self.configuration, &self.admin, &self.listener, &self.log] {
            // A leftover file does no harm, and not every Envoy has all of them.
            let _absent = fs::remove_file(file);
        }
    }
}
