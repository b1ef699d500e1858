//! The machine: which CPU runs the proxies and which one the load, and what a reader of the results must know about
//! it.

use std::fs;
use std::path::Path;
use std::process::{self, Command, Stdio};

use sha2::{Digest as _, Sha256};
use wasm_tests::envoy;

use crate::nginx;

/// The CPUs. Proxies share one; load, app and authorizer share another.
#[derive(Debug, Clone)]
pub(crate) struct Cpus {
    pub(crate) load: String,
    pub(crate) proxy: String,
    /// Both.
    pub(crate) all: String,
}

impl Cpus {
    /// Chooses the first two CPUs that this process may use. A short run makes do with one, because its figures mean
    /// nothing.
    pub(crate) fn choose(short: bool) -> Result<Self, String> {
        let status = read("/proc/self/status")?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        match cpu_list(allowed.unwrap_or_default().trim())[..] {
            [one] if short => {
                Ok(Self { load: one.to_string(), proxy: one.to_string(), all: one.to_string() })
            }
            [load, proxy, ..] => {
                Ok(Self { load: load.to_string(), proxy: proxy.to_string(), all: format!("{load},{proxy}") })
            }
            _ => Err("the benchmark needs two CPUs: one for the proxies, one for the load".into()),
        }
    }

    /// Pins this process, with all present and future threads, to the CPU of the load.
    pub(crate) fn stay_with_the_load(&self) -> Result<(), String> {
        let id = process::id().to_string();
        let mut command = Command::new("taskset");
        command.args(["--all-tasks", "--pid", "--cpu-list", &self.load, &id]).stdout(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("taskset ended with {status}")),
            Err(error) => Err(format!("cannot run taskset: {error}; on Debian: apt install util-linux")),
        }
    }
}

/// `0-2,5` as 0, 1, 2, 5.
fn cpu_list(text: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u32>().ok()?..=last.parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// The conditions of the measurement, as rows of a table.
pub(crate) fn conditions() -> Result<Vec<(&'static str, String)>, String> {
    let cpu = read("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cpus = std::thread::available_parallelism().map_err(|error| error.to_string())?;
    let module = fs::read(envoy::filter_module()).map_err(|error| error.to_string())?;
    let load = read("/proc/loadavg")?;
    Ok(vec![
        ("date", first_line(&output("date", &["--utc", "+%Y-%m-%d"])?)),
        ("CPU", model.trim_start_matches([' ', '\t', ':']).to_owned()),
        ("CPUs", cpus.to_string()),
        ("other work at the start (load average of a minute)", word(&load, 0)),
        ("kernel", format!("Linux {}", read("/proc/sys/kernel/osrelease")?.trim())),
        ("Envoy", envoy_version()?),
        ("nginx", nginx_version()?),
        ("wrk", word(&first_line(&output("wrk", &["-v"])?), 1)),
        ("rustc", word(&output("rustc", &["--version"])?, 1)),
        ("wasmtime", locked_version("wasmtime")?),
        ("module", format!("{} bytes, sha256 `{}`", module.len(), hex(&Sha256::digest(&module)))),
    ])
}

/// The size of the module, in bytes.
pub(crate) fn module_size() -> Result<u64, String> {
    fs::metadata(envoy::filter_module()).map(|file| file.len()).map_err(|error| error.to_string())
}

/// `path version: revision/1.40.0/Clean/RELEASE/BoringSSL`
fn envoy_version() -> Result<String, String> {
    let told = output(&envoy::binary().to_string_lossy(), &["--version"])?;
    let version = told.split_whitespace().last().and_then(|version| version.split('/').nth(1));
    version.map(str::to_owned).ok_or_else(|| format!("Envoy tells no version: {told}"))
}

/// `nginx version: nginx/1.22.1`
fn nginx_version() -> Result<String, String> {
    Ok(first_line(&output(nginx::program(), &["-v"])?).rsplit('/').next().unwrap_or_default().to_owned())
}

/// The version of a dependency that this program is built with.
fn locked_version(package: &str) -> Result<String, String> {
    let lock = fs::read_to_string(envoy::workspace_dir().join("Cargo.lock")).map_err(|e| e.to_string())?;
    let name = format!("name = \"{package}\"\nversion = \"");
    let version = lock.split_once(&name).and_then(|(_, rest)| rest.split('"').next());
    version.map(str::to_owned).ok_or_else(|| format!("Cargo.lock has no {package}"))
}

/// What a program prints on both streams. Its status is ignored: `wrk -v` exits with 1.
fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(envoy::workspace_dir())
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Reads a file as text. The error names it.
pub(crate) fn read(path: impl AsRef<Path>) -> Result<String, String> {
    let path = path.as_ref();
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn word(text: &str, index: usize) -> String {
    text.split_whitespace().nth(index).unwrap_or_default().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        for (text, cpus) in [("0", &[0][..]), ("0-2,5", &[0, 1, 2, 5]), ("3,7-8", &[3, 7, 8]), ("", &[])] {
            assert_eq!(cpu_list(text), cpus, "{text}");
        }
    }
}
