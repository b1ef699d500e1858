//! Compares the promised bounds on speed and size with the measurements.

use crate::cost::{self, Cost};
use crate::report::Results;
use crate::start::{Memory, Start};
use crate::statistics::Summary;

/// A promise, and whether it was kept.
pub(crate) struct Bound {
    /// The case. `bench/notes.md` has a section of this name if the bound is exceeded.
    pub(crate) name: String,
    /// What is compared with what.
    pub(crate) measure: String,
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    pub(crate) measured: Summary,
}

impl Bound {
    pub(crate) fn is_met(&self) -> bool {
        self.measured.median <= self.limit
    }
}

/// The largest module, in bytes.
const MODULE_BYTES: f64 = 950e3;
/// How much later Envoy may be ready, in ms.
const START: f64 = 850.0;
/// How much more memory a worker may use than with an empty filter, in MB.
const WORKER: f64 = 1.5;
/// The memory of a full cache, in MB: 32 MiB.
const CACHE: f64 = 32.0 * 1.048_576;

/// What a request's CPU is compared with.
#[derive(Debug, Clone, Copy)]
enum Than {
    /// All of it, with that of a request without filter.
    NoFilter,
    /// What a contender adds, with what this one adds.
    Increment(&'static str),
}

/// How much CPU each contender may take.
const CPU: [(&str, Than, f64); 7] = [
    ("cached-session", Than::NoFilter, 1.35),
    ("cached-session", Than::Increment("ext-authz"), 0.30),
    ("cached-token", Than::NoFilter, 1.35),
    ("cached-token", Than::Increment("ext-authz"), 0.30),
    ("cold-token", Than::Increment("jwt-authn"), 1.0),
    ("resolver-call", Than::Increment("ext-authz"), 1.15),
    ("public-route", Than::NoFilter, 1.25),
];

/// The most CPU that a contender may add to a request by the strictest of its bounds, in µs.
pub(crate) fn added_at_most(costs: &[Cost], name: &str) -> Option<f64> {
    let reference = cost::reference(costs, false)?.median;
    let limits = CPU.iter().filter(|(contender, ..)| *contender == name).filter_map(|(_, than, limit)| {
        Some(match than {
            Than::NoFilter => (limit - 1.0) * reference,
            Than::Increment(other) => limit * (find(costs, other)?.ratio()?.median - 1.0) * reference,
        })
    });
    limits.reduce(f64::min)
}

fn find<'a>(costs: &'a [Cost], name: &str) -> Option<&'a Cost> {
    costs.iter().find(|cost| cost.name == name)
}

/// All bounds for which the run has figures.
pub(crate) fn all(results: &Results) -> Vec<Bound> {
    let mut bounds = Vec::new();
    let mut bound = |name: &str, measure: &str, limit, unit, measured: Option<Summary>| {
        let (name, measure) = (name.to_owned(), measure.to_owned());
        bounds.extend(measured.map(|measured| Bound { name, measure, limit, unit, measured }));
    };
    for (name, than, limit) in CPU {
        let cost = find(&results.costs, name);
        let (measure, measured) = match than {
            Than::NoFilter => ("CPU over no filter".to_owned(), cost.and_then(Cost::ratio)),
            Than::Increment(other) => (
                format!("increment over that of `{other}`"),
                cost.zip(find(&results.costs, other)).and_then(|(cost, other)| cost.part_of(other)),
            ),
        };
        bound(name, &measure, limit, "×", measured);
    }
    let size = results.module_bytes as f64;
    let size = Summary { median: size, least: size, most: size };
    bound("module", "size", MODULE_BYTES / 1e3, "KB", Some(size.map(|bytes| bytes / 1e3)));
    let starts = |start: &&Start| start.name.starts_with("ours");
    for start in results.starts.iter().filter(starts) {
        let name = format!("start, {}", start.name);
        bound(&name, "ready later than without filter", START, "ms", Some(start.added));
    }
    let memory = |name: &str| results.memory.iter().find(|memory| memory.name.contains(name));
    let empty = memory("empty").map(|memory| memory.worker);
    for memory in results.memory.iter().filter(|memory| memory.name.starts_with("ours")) {
        let name = format!("memory, {}", memory.name);
        let measure = "a worker beyond that of an empty filter";
        bound(&name, measure, WORKER, "MB", empty.map(|empty| difference(memory, empty)));
        bound(&format!("full cache, {}", memory.name), "10,000 entries", CACHE, "MB", memory.full);
    }
    bounds
}

fn difference(memory: &Memory, empty: Summary) -> Summary {
    let Summary { median, least, most } = memory.worker;
    Summary { median: median - empty.median, least: least - empty.most, most: most - empty.least }
}
