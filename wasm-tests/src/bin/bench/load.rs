//! Load from `wrk`: as many requests as the proxy can serve, and their number.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;
use wasm_tests::process;

use crate::machine::Cpus;
use crate::request::{Load, Order};

/// Connections to each proxy: enough to keep it busy while calls are in flight.
pub(crate) const CONNECTIONS: usize = 32;

/// `wrk`, with the script that generates the requests.
pub(crate) struct Wrk {
    script: PathBuf,
    cpus: Cpus,
}

impl Wrk {
    pub(crate) fn new(directory: &Path, cpus: &Cpus) -> Result<Self, String> {
        let script = directory.join("load.lua");
        fs::write(&script, include_str!("load.lua")).map_err(|error| error.to_string())?;
        Ok(Self { script, cpus: cpus.clone() })
    }

    /// Starts to load a proxy, for this many seconds.
    pub(crate) fn start(&self, proxy: SocketAddr, load: &Load, seconds: u32) -> Result<Running, String> {
        let order = match load.order {
            Order::Cycle => "cycle",
            Order::Random => "random",
        };
        let child = process::pinned(&self.cpus.load, "wrk")
            .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--timeout", "10s", "-s"])
            .arg(&self.script)
            .arg(format!("http://{proxy}/"))
            .arg("--")
            .args([&load.template, &load.tokens])
            .args([&load.sessions.to_string(), &load.hosts.to_string(), order, &load.at.get().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start wrk: {error}; on Debian: apt install wrk"))?;
        Ok(Running { child })
    }

    /// Loads a proxy, waits for the end, and returns how many requests were answered.
    pub(crate) fn run(&self, proxy: SocketAddr, load: &Load, seconds: u32) -> Result<u64, String> {
        let answered = self.start(proxy, load, seconds)?.finish()?;
        advance(load, answered);
        Ok(answered)
    }
}

/// Advances a load's cycle beyond the requests that were answered or in flight at the end.
pub(crate) fn advance(load: &Load, answered: u64) {
    let sent = usize::try_from(answered).unwrap_or(usize::MAX).saturating_add(CONNECTIONS);
    load.at.set(load.at.get().saturating_add(sent));
}

/// A running `wrk`.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Waits for its end, and returns how many requests were answered.
    ///
    /// # Errors
    /// If any request failed.
    pub(crate) fn finish(self) -> Result<u64, String> {
        let output = self.child.wait_with_output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let summary = text.lines().next_back().and_then(|line| serde_json::from_str::<Value>(line).ok());
        let number = |name: &str| summary.as_ref().and_then(|summary| summary[name].as_u64());
        match (number("requests"), number("failed")) {
            (Some(requests), Some(0)) if requests > 0 => Ok(requests),
            _ => Err(format!("wrk: not all went well: {text}{}", String::from_utf8_lossy(&output.stderr))),
        }
    }
}
