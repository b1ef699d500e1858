//! Runs a real Envoy for a test: starts it on free ports, waits until it serves, and kills it on drop.
//!
//! ```no_run
//! # async fn example(app: std::net::SocketAddr, authgear: std::net::SocketAddr) {
//! use serde_json::json;
//! use servers::{client::{self, Request}, envoy::Envoy};
//!
//! let envoy = Envoy::builder()
//!     .plugin(json!({ "authgear": { "endpoint": "https://a.test", "upstream": "authgear" } }))
//!     .cluster("app", app)
//!     .cluster("authgear", authgear)
//!     .start()
//!     .await;
//! client::send(envoy.address(), Request::get("/")).await;
//! # }
//! ```
//!
//! Envoy's log and configuration are in `target/envoy-logs` while it runs. A passing test deletes them. A failing one
//! keeps them, and prints where they are and how the log ends.

mod bootstrap;
mod files;
mod listener;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use self::bootstrap::{Bootstrap, LISTENER, Plugin};
use self::files::Files;
use crate::client::{self, Protocol, Request, Response};
use crate::process::{self, Ended};
use crate::wait::{holds, try_wait_until, wait_until};

pub use self::files::{binary, filter_module, target_dir, workspace_dir};

/// How long Envoy may take to start, or to refuse its configuration. It compiles the module first, and several
/// instances may do so at once on few cores.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long [`Envoy::wait_for_log`] and [`Envoy::wait_for_stat`] wait.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What Envoy is started with.
pub struct Builder {
    bootstrap: Bootstrap,
    edits: Vec<Edit>,
    concurrency: u32,
    log_level: Option<String>,
    drain: Option<Duration>,
    cpus: Option<String>,
}

type Edit = Box<dyn FnOnce(&mut Value) + Send>;

impl Builder {
    /// Runs the filter with this configuration, as `StringValue` (JSON text).
    #[must_use]
    pub fn plugin(self, configuration: Value) -> Self {
        self.plugin_text(configuration.to_string())
    }

    /// Runs the filter with this configuration for the paths with this prefix only. The first prefix that matches
    /// decides. It has no effect together with [`routes`](Self::routes).
    #[must_use]
    pub fn plugin_at(mut self, prefix: &str, configuration: Value) -> Self {
        self.bootstrap.plugins_at.push((prefix.to_owned(), Plugin::Text(configuration.to_string())));
        self
    }

    /// Runs the filter with any text as its configuration.
    #[must_use]
    pub fn plugin_text(mut self, text: impl Into<String>) -> Self {
        self.bootstrap.plugin = Some(Plugin::Text(text.into()));
        self
    }

    /// Runs the filter with this configuration, as `google.protobuf.Struct`.
    #[must_use]
    pub fn plugin_struct(mut self, configuration: Value) -> Self {
        self.bootstrap.plugin = Some(Plugin::Struct(configuration));
        self
    }

    /// Puts the listener in a file that Envoy watches, so that [`Envoy::reconfigure`] can replace it. Connections of
    /// a replaced listener may live on for `drain`, in whole seconds; Envoy's default is 600. Their clients are asked
    /// to leave with the next answer; by default Envoy would ask only few of them at first.
    #[must_use]
    pub fn dynamic(mut self, drain: Duration) -> Self {
        self.drain = Some(drain);
        self
    }

    /// Runs a module other than the filter with the plugin's configuration.
    #[must_use]
    pub fn module(mut self, path: impl Into<PathBuf>) -> Self {
        self.bootstrap.module = Some(path.into());
        self
    }

    /// Whether a plain `Pause` of the plugin stops only the headers, while the body goes on. The filter must behave
    /// the same either way. By default, half of the tests have it, chosen by their names; with
    /// `SWAP_STOP_ITERATION=1` the other half has it.
    #[must_use]
    pub fn allow_on_headers_stop_iteration(mut self, yes: bool) -> Self {
        self.bootstrap.allow_on_headers_stop_iteration = yes;
        self
    }

    /// Adds one of Envoy's own HTTP filters. It runs before the plugin.
    #[must_use]
    pub fn http_filter(mut self, filter: Value) -> Self {
        self.bootstrap.http_filters.push(filter);
        self
    }

    /// Adds a cluster. All requests go to `app`; without it Envoy answers 200.
    #[must_use]
    pub fn cluster(mut self, name: &str, address: SocketAddr) -> Self {
        self.bootstrap.clusters.push((name.to_owned(), address));
        self
    }

    /// The number of worker threads; 2 by default.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// The CPUs that it may use (`0`, `0,1`); all by default.
    #[must_use]
    pub fn cpus(mut self, list: impl Into<String>) -> Self {
        self.cpus = Some(list.into());
        self
    }

    /// Whether the client's address is that of the peer (the default here) or the one in `X-Forwarded-For` (Envoy's
    /// default).
    #[must_use]
    pub fn use_remote_address(self, yes: bool) -> Self {
        self.connection_manager("use_remote_address", yes.into())
    }

    /// Sets a field of the HTTP connection manager: `access_log`, `normalize_path`, …
    #[must_use]
    pub fn connection_manager(mut self, field: &str, value: Value) -> Self {
        let fields = &mut self.bootstrap.connection_manager;
        fields.insert(field.to_owned(), value);
        self
    }

    /// Replaces the list of routes.
    #[must_use]
    pub fn routes(mut self, routes: Value) -> Self {
        self.bootstrap.routes = Some(routes);
        self
    }

    /// The level of Envoy's whole log: `trace`, `debug`, `info`, `warning`, `error`. The default is `info` for the
    /// filter and `warning` for the rest.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = Some(level.to_owned());
        self
    }

    /// Changes the finished bootstrap configuration, for what the other methods do not cover.
    #[must_use]
    pub fn edit(mut self, edit: impl FnOnce(&mut Value) + Send + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    /// Starts Envoy and waits until its workers accept connections.
    ///
    /// # Panics
    /// If Envoy is not installed, the filter is not built, or Envoy does not start.
    pub async fn start(mut self) -> Envoy {
        let mut process = self.spawn();
        let admin = match process.wait_until_ready().await {
            Ok(admin) => admin,
            Err(end) => panic!("Envoy did not start: {end}"),
        };
        let listeners = fetch(admin, "/listeners?format=json").await.json();
        let listeners = listeners["listener_statuses"].as_array();
        let address = listeners
            .into_iter()
            .flatten()
            .find(|listener| listener["name"] == LISTENER)
            .and_then(|listener| socket_address(&listener["local_address"]))
            .expect("Envoy lists its listener");
        let drain = self.drain.unwrap_or_default();
        Envoy { process, admin, address, bootstrap: self.bootstrap, workers: self.concurrency, drain }
    }

    /// Starts Envoy with a configuration that it must refuse, and returns its log.
    ///
    /// # Panics
    /// If Envoy accepts the configuration.
    pub async fn start_refused(mut self) -> String {
        let mut process = self.spawn();
        match process.wait_until_ready().await {
            Ok(_) => panic!("Envoy accepted a configuration that it must refuse"),
            Err(Ended::Exited(_)) => process.files.log(),
            Err(end @ Ended::TooLate(_)) => panic!("Envoy neither started nor refused: {end}"),
        }
    }

    fn spawn(&mut self) -> Process {
        let files = Files::create();
        let mut configuration = if self.drain.is_some() {
            files.replace_listener(&self.bootstrap.discovery_response());
            self.bootstrap.json_watching(&files.listener)
        } else {
            self.bootstrap.json()
        };
        for edit in self.edits.drain(..) {
            edit(&mut configuration);
        }
        files.write_configuration(&configuration);
        let mut command = match &self.cpus {
            Some(cpus) => process::pinned(cpus, binary()),
            None => process::command(binary()),
        };
        command
            .arg("--config-path")
            .arg(&files.configuration)
            .arg("--admin-address-path")
            .arg(&files.admin)
            .arg("--disable-hot-restart")
            // Access logs are written at once, almost: by default each 10 s.
            .args(["--file-flush-interval-msec", "50"])
            .args(["--concurrency", &self.concurrency.to_string()])
            .stdin(Stdio::null())
            .stdout(files.log_writer())
            .stderr(files.log_writer());
        if let Some(drain) = self.drain {
            command.args(["--drain-time-s", &drain.as_secs().to_string()]);
            command.args(["--drain-strategy", "immediate"]);
        }
        match &self.log_level {
            Some(level) => command.args(["--log-level", level]),
            None => command.args(["--log-level", "warning", "--component-log-level", "wasm:info"]),
        };
        let child = process::spawn(command).expect("Envoy can be executed");
        Process { child, files }
    }
}

/// A running Envoy.
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    address: SocketAddr,
    /// Its latest configuration.
    bootstrap: Bootstrap,
    workers: u32,
    /// How long the connections of a replaced listener may live on.
    drain: Duration,
}

impl Envoy {
    /// Starts without filter, clusters or anything else.
    pub fn builder() -> Builder {
        Builder {
            bootstrap: Bootstrap {
                http_filters: Vec::new(),
                plugin: None,
                plugins_at: Vec::new(),
                clusters: Vec::new(),
                routes: None,
                connection_manager: serde_json::Map::new(),
                module: None,
                allow_on_headers_stop_iteration: is_of_half_of_the_tests(),
            },
            edits: Vec::new(),
            concurrency: 2,
            log_level: None,
            drain: None,
            cpus: None,
        }
        .use_remote_address(true)
    }

    /// Where it takes requests: HTTP/1.1, or HTTP/2 with prior knowledge.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin pages are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// All counters and gauges whose names start with `prefix`. The filter's own are under `wasmcustom.`.
    pub async fn stats(&self, prefix: &str) -> BTreeMap<String, u64> {
        let all = fetch(self.admin, "/stats").await;
        let lines = all.text().lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(name, _)| name.starts_with(prefix))
            // Histograms and texts are not numbers.
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }

    /// One counter or gauge by its full name.
    ///
    /// # Panics
    /// If there is none of this name, which is not the same as 0.
    pub async fn stat(&self, name: &str) -> u64 {
        let stats = self.stats("").await;
        *stats.get(name).unwrap_or_else(|| {
            let ours = stats.keys().filter(|name| name.starts_with("wasm"));
            panic!("no stat {name:?}, but {:?}", ours.collect::<Vec<_>>())
        })
    }

    /// Waits until a counter or gauge has reached `at_least`.
    ///
    /// # Panics
    /// If it has not within 10 s.
    pub async fn wait_for_stat(&self, name: &str, at_least: u64) {
        self.wait_for_stat_within(name, |value| value >= at_least, WAIT_TIMEOUT).await;
    }

    /// Waits until a gauge has fallen to `at_most`.
    ///
    /// # Panics
    /// If it has not within 10 s.
    pub async fn wait_for_stat_to_fall(&self, name: &str, at_most: u64) {
        self.wait_for_stat_within(name, |value| value <= at_most, WAIT_TIMEOUT).await;
    }

    async fn wait_for_stat_within(&self, name: &str, is_good: impl Fn(u64) -> bool, time: Duration) {
        let is_good = &is_good;
        wait_until(&format!("Envoy's {name} is as it must be"), time, || async move {
            let stats = self.stats(name).await;
            holds(stats.get(name).is_some_and(|value| is_good(*value)), format!("{stats:?}"))
        })
        .await;
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        self.process.files.log()
    }

    /// Waits until the log contains `text`.
    ///
    /// # Panics
    /// If it does not within 10 s.
    pub async fn wait_for_log(&self, text: &str) {
        wait_until(&format!("Envoy's log has {text:?}"), WAIT_TIMEOUT, || async {
            let log = self.log();
            holds(log.contains(text), log.lines().last().unwrap_or_default().to_owned())
        })
        .await;
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Its resident memory, in bytes.
    ///
    /// # Panics
    /// If it has died, or there is no `/proc`.
    pub fn resident_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = fs::read_to_string(path).expect("Envoy runs, on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .expect("the kernel tells the resident memory in kB")
    }
}

/// Envoy from its start on, whether it serves or not.
struct Process {
    child: Child,
    files: Files,
}

impl Process {
    async fn wait_until_ready(&mut self) -> Result<SocketAddr, Ended> {
        let waited = try_wait_until("Envoy serves", START_TIMEOUT, || {
            let ended = self.child.try_wait().expect("Envoy is our child");
            let admin = self.files.admin_address();
            async move {
                match (ended, admin) {
                    (Some(status), _) => Ok(Err(Ended::Exited(status))),
                    (None, Some(admin)) if is_ready(admin).await => Ok(Ok(admin)),
                    (None, Some(_)) => Err("its admin server, which says that it is not ready"),
                    (None, None) => Err("no admin server"),
                }
            }
        });
        waited.await.map_err(Ended::TooLate)?
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if thread::panicking() {
            self.files.report();
        } else {
            self.files.remove();
        }
    }
}

/// The test harness names a test's thread after the test.
fn is_of_half_of_the_tests() -> bool {
    let this = thread::current();
    let Some(name) = this.name().filter(|name| *name != "main") else { return false };
    let is_odd = name.bytes().fold(0_u8, u8::wrapping_add) % 2 == 1;
    is_odd != std::env::var_os("SWAP_STOP_ITERATION").is_some()
}

/// Whether the Envoy with this admin address takes requests. Its `/ready` covers only the configuration; the workers
/// accept connections a moment later.
pub async fn is_ready(admin: SocketAddr) -> bool {
    const WORKERS: &str = "/stats?filter=^listener_manager.workers_started$";
    let ready = client::try_send(admin, Protocol::Http1, Request::get("/ready")).await;
    if !ready.is_ok_and(|ready| ready.status == 200) {
        return false;
    }
    let workers = client::try_send(admin, Protocol::Http1, Request::get(WORKERS)).await;
    workers.is_ok_and(|workers| workers.text().trim_end().ends_with(": 1"))
}

async fn fetch(admin: SocketAddr, path: &str) -> Response {
    let response = client::send(admin, Request::get(path)).await;
    assert_eq!(response.status, 200, "Envoy's {path}: {response:?}");
    response
}

fn socket_address(address: &Value) -> Option<SocketAddr> {
    let address = &address["socket_address"];
    let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
    Some(SocketAddr::new(address["address"].as_str()?.parse().ok()?, port))
}
