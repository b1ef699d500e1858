//! Latency of each contender on its own, at a rate that all of them can serve.

use std::time::Duration;

use crate::bench::Bench;
use crate::constant_rate;
use crate::contenders::Group;
use crate::cost::{Cost, Field};
use crate::statistics::{Summary, percentile};

/// The percentiles that are reported: their names, and the part of requests that is as fast.
pub(crate) const PERCENTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The rate, as a part of what the slowest contender could serve on a core of its own.
pub(crate) const LOAD: f64 = 0.4;
/// The rate of a short run, whose figures mean nothing, and of a run without costs.
const LOW_RATE: f64 = 1000.0;
/// How many different requests are prepared: as many as there are tokens.
const REQUESTS: usize = 12_000;

/// The measurements.
pub(crate) struct Latencies {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) of: Vec<Latency>,
}

/// A contender's latency.
pub(crate) struct Latency {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    /// For each of [`PERCENTILES`], in µs.
    pub(crate) values: [Summary; PERCENTILES.len()],
}

/// Measures the contenders in turns.
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
            // There is at least one, by the rate and the duration.
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
