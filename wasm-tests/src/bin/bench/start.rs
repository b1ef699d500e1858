//! How long Envoy takes to start, and how much memory it uses.

use std::time::Instant;

use wasm_tests::envoy::Envoy;

use crate::bench::Bench;
use crate::envoys::{self, Filter};
use crate::request::{Load, Order};
use crate::statistics::Summary;

/// How long a proxy is under load, so that each worker has had requests.
const LOAD_SECONDS: u32 = 1;
/// The workers of the larger proxy, whose memory is compared with that of one worker. So many stand out from what V8
/// allocates and frees by itself.
const WORKERS: u32 = 16;
/// More credentials than the filter caches by default, so that its cache is full.
const SESSIONS: usize = 12_000;

/// Bytes of a megabyte.
const MB: f64 = 1e6;

/// What is started.
fn variants() -> [(&'static str, Filter); 4] {
    [
        ("no filter", Filter::None),
        ("an empty wasm filter", Filter::Empty),
        ("ours, mode `resolver`", Filter::Ours(envoys::resolver("10s"))),
        ("ours, mode `local`", Filter::Ours(envoys::local())),
    ]
}

/// The time from the start of the process until it serves.
pub(crate) struct Start {
    pub(crate) name: &'static str,
    /// In ms.
    pub(crate) time: Summary,
    /// The difference to no filter in the same round, in ms.
    pub(crate) added: Summary,
}

/// Starts each in turn, with one worker, on all CPUs.
pub(crate) async fn starts(bench: &Bench) -> Result<Vec<Start>, String> {
    let rounds = if bench.chosen.short { 1 } else { 9 };
    let variants = variants();
    let mut times = vec![Vec::new(); variants.len()];
    for number in 1..=rounds {
        println!("start: round {number} of {rounds}");
        for ((_, filter), times) in variants.iter().zip(&mut times) {
            let begin = Instant::now();
            let envoy = bench.envoys.builder(filter, 1).cpus(&bench.cpus.all).start().await;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            drop(envoy);
        }
    }
    let without = times[0].clone();
    let summary = |((name, _), times): (&(&'static str, Filter), &Vec<f64>)| {
        let added = times.iter().zip(&without).map(|(time, without)| time - without);
        Some(Start { name, time: Summary::of(times.iter().copied())?, added: Summary::of(added)? })
    };
    Ok(variants.iter().zip(&times).filter_map(summary).collect())
}

/// The memory of a proxy.
pub(crate) struct Memory {
    pub(crate) name: &'static str,
    /// With one worker, in MB.
    pub(crate) one: Summary,
    /// The memory of each further worker, in MB.
    pub(crate) worker: Summary,
    /// The memory of a full cache, in MB.
    pub(crate) full: Option<Summary>,
}

/// Measures resident memory after some load.
pub(crate) async fn memory(bench: &Bench) -> Result<Vec<Memory>, String> {
    let rounds = if bench.chosen.short { 1 } else { 3 };
    let [none, empty, resolver, local] = variants();
    let requests = &bench.requests;
    let kinds = [
        (none, None),
        (empty, None),
        (resolver, Some(requests.sessions(SESSIONS, Order::Cycle)?)),
        (local, Some(requests.distinct_tokens()?)),
    ];
    let same = requests.one()?;
    let mut found = Vec::new();
    for ((name, filter), filling) in &kinds {
        println!("memory: {name}");
        let (mut one, mut worker, mut full) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let mut sizes = Vec::new();
            for workers in [1, WORKERS] {
                let envoy = bench.envoys.builder(filter, workers).start().await;
                bench.wait_for_keys(envoy.address()).await?;
                bench.wrk.run(envoy.address(), &same, LOAD_SECONDS)?;
                sizes.push(envoy.resident_memory() as f64 / MB);
                if let (Some(filling), 1, false) = (filling, workers, bench.chosen.short) {
                    fill(bench, &envoy, filling)?;
                    full.push(envoy.resident_memory() as f64 / MB - sizes[0]);
                }
            }
            one.push(sizes[0]);
            worker.push((sizes[1] - sizes[0]) / f64::from(WORKERS - 1));
        }
        if let (Some(one), Some(worker)) = (Summary::of(one), Summary::of(worker)) {
            found.push(Memory { name, one, worker, full: Summary::of(full) });
        }
    }
    Ok(found)
}

/// Sends requests until each credential has come once.
fn fill(bench: &Bench, envoy: &Envoy, load: &Load) -> Result<(), String> {
    let mut sent = 0;
    while sent < SESSIONS as u64 {
        sent += bench.wrk.run(envoy.address(), load, LOAD_SECONDS)?;
    }
    Ok(())
}
