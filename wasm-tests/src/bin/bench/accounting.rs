//! CPU time as the scheduler accounts for it, and the share of one request.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use crate::load::{self, Wrk};
use crate::machine::read;
use crate::request::Load;

/// A running proxy: its address and its process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) process: u32,
}

/// The result of one round: two proxies had the same load at the same time on the same CPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// CPU per request of the reference, in µs.
    pub(crate) reference: f64,
    /// CPU per request of the variant, in µs.
    pub(crate) variant: f64,
    /// How many requests the variant answered.
    pub(crate) answered: u64,
}

impl Round {
    /// The variant's cost over the reference's; 1 means the same.
    pub(crate) fn ratio(&self) -> f64 {
        self.variant / self.reference
    }
}

/// Puts both under load at the same time.
pub(crate) fn round(
    wrk: &Wrk,
    reference: Proxy,
    variant: Proxy,
    load: &Load,
    seconds: u32,
) -> Result<Round, String> {
    let before = [cpu_time(reference.process)?, cpu_time(variant.process)?];
    let running = [wrk.start(reference.address, load, seconds)?, wrk.start(variant.address, load, seconds)?];
    let [reference_answered, answered] = running.map(load::Running::finish);
    let (reference_answered, answered) = (reference_answered?, answered?);
    let after = [cpu_time(reference.process)?, cpu_time(variant.process)?];
    load::advance(load, answered);
    let per_request = |index: usize, answered: u64| {
        after[index].saturating_sub(before[index]).as_secs_f64() * 1e6 / answered as f64
    };
    Ok(Round { reference: per_request(0, reference_answered), variant: per_request(1, answered), answered })
}

/// The CPU time that a process has used since its start: the time that its threads ran, in user mode and in the
/// kernel.
pub(crate) fn cpu_time(process: u32) -> Result<Duration, String> {
    let tasks = format!("/proc/{process}/task");
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))? {
        let path = task.map_err(|error| error.to_string())?.path().join("schedstat");
        let told = read(&path)?;
        let nanoseconds = told.split_whitespace().next().and_then(|number| number.parse().ok());
        sum += Duration::from_nanos(nanoseconds.ok_or_else(|| format!("{}: {told}", path.display()))?);
    }
    Ok(sum)
}
