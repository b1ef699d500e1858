//! Latency of each contender alone, at a rate that all of them can serve.

use std::time::Duration;

use crate::bench::Bench;
use crate::constant_rate;
use crate::contenders::Group;
use crate::cost::{Cost, Field};
use crate::statistics::{Summary, percentile};

/// The parts of the requests of which the latency is told, and their names.
pub(crate) const PERCENTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The rate, as a part of what the slowest contender could serve on a core of its own.
pub(crate) const LOAD: f64 = 0.4;
/// Of a short run, whose figures are no good, and of one without the costs.
const LOW_RATE: f64 = 1000.0;
/// Different requests that are kept at hand; as many as there are tokens.
const REQUESTS: usize = 12_000;

/// What was found.
pub(crate) struct Latencies {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) of: Vec<Latency>,
}

/// What was found of a contender.
pub(crate) struct Latency {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    /// For each of [`PERCENTILES`], in µs.
    pub(crate) values: [Summary; PERCENTILES.len()],
}

/// Measures; the contenders take turns.
pub(crate) fn measure(bench: &Bench, field: &Field, costs: &[Cost]) -> Result<Latencies, String> {
    let slowest = costs.iter().filter_map(Cost::per_request).fold(0.0, f64::max);
    let rate = if bench.chosen.short || slowest == 0.0 { LOW_RATE } else { (LOAD * 1e6 / slowest).floor() };
    let (rounds, duration) = match bench.chosen.short {
        true => (1, Duration::from_millis(200)),
        false => (3, Duration::from_secs(3)),
    };
    let mut requests = Vec::new();
    for (contender, _) in &field.contenders {
        requests.push(contender.load.requests(REQUESTS)?);
    }
    let mut found: Vec<Vec<[f64; PERCENTILES.len()]>> = vec![Vec::new(); requests.len()];
    for number in 1..=rounds {
        println!("latency at {rate} requests a second: round {number} of {rounds}");
        for (index, (contender, instance)) in field.contenders.iter().enumerate() {
            let address = instance.as_proxy().address;
            let mut latencies = constant_rate::run(address, &requests[index], rate, duration)
                .map_err(|error| format!("{}: {error}", contender.name))?;
            latencies.sort_by(f64::total_cmp);
            // There are some: the rate and the duration say how many.
            let round = PERCENTILES.map(|(_, part)| percentile(&latencies, part).unwrap_or(f64::NAN));
            found[index].push(round);
        }
    }
    let of = field.contenders.iter().zip(found).filter_map(|((contender, _), rounds)| {
        let mut summaries = Vec::new();
        for index in 0..PERCENTILES.len() {
            summaries.push(Summary::of(rounds.iter().map(|round| round[index]))?);
        }
        let values = summaries.try_into().ok()?;
        Some(Latency { name: contender.name, group: contender.server.group(), values })
    });
    Ok(Latencies { rate, of: of.collect() })
}
