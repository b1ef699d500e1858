//! `make bench`: measures what the filter costs, beside what users would choose instead.
//!
//! Each measurement is a file: `cost` (CPU per request), `latency`, `start` (and memory), `scale`, `signatures`.
//! `contenders` says what takes part, and `report` writes the results.

mod accounting;
mod bench;
mod bounds;
mod constant_rate;
mod contenders;
mod cost;
mod envoys;
mod latency;
mod load;
mod machine;
mod nginx;
mod options;
mod plot;
mod report;
mod request;
mod scale;
mod signatures;
mod start;
mod statistics;

use std::process::ExitCode;
use std::time::Instant;

use wasm_tests::cli;

use bench::Bench;
use options::{Flags, Options, Part};
use report::{Notes, Results};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let begin = Instant::now();
    let chosen = Options::from(cli::parse::<Flags>());
    let mut results = Results {
        conditions: machine::conditions()?,
        rounds: chosen.rounds,
        seconds: chosen.seconds,
        module_bytes: machine::module_size()?,
        costs: Vec::new(),
        latencies: None,
        starts: Vec::new(),
        memory: Vec::new(),
        curves: Vec::new(),
        signatures: Vec::new(),
        took: 0,
    };
    let output = chosen.output.clone();
    let bench = Bench::prepare(chosen).await?;
    let has = |part| bench.chosen.has(part);
    // What needs a quiet machine comes before the many proxies.
    if has(Part::Start) {
        results.starts = start::starts(&bench).await?;
    }
    if has(Part::Memory) {
        results.memory = start::memory(&bench).await?;
    }
    if has(Part::Cost) || has(Part::Latency) {
        let field = cost::Field::start(&bench).await?;
        if has(Part::Cost) {
            results.costs = field.measure(&bench).await?;
        }
        if has(Part::Latency) {
            results.latencies = Some(latency::measure(&bench, &field, &results.costs)?);
        }
    }
    if has(Part::Scale) {
        results.curves = scale::measure(&bench).await?;
    }
    if has(Part::Signatures) {
        results.signatures = signatures::measure(&bench).await?;
    }
    results.took = begin.elapsed().as_secs();
    println!("\n{}", results.markdown(&Notes::read()?));
    output.map_or(Ok(()), |directory| results.write(&directory))
}
