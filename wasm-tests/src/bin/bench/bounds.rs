//! What was promised of the filter's speed and size, held against what was measured.

use crate::cost::Cost;
use crate::report::Results;
use crate::start::{Memory, Start};
use crate::statistics::Summary;

/// A promise and what became of it.
pub(crate) struct Bound {
    /// What it is about; `bench/notes.md` explains under this name what is above it.
    pub(crate) name: String,
    /// What is compared with what.
    pub(crate) measure: &'static str,
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    pub(crate) measured: Summary,
}

impl Bound {
    pub(crate) fn is_met(&self) -> bool {
        self.measured.median <= self.limit
    }
}

/// Bytes of a module.
const MODULE_BYTES: f64 = 950e3;
/// ms that Envoy may be ready later.
const START: f64 = 850.0;
/// MB of a worker, beyond those of an empty filter.
const WORKER: f64 = 1.5;
/// MB of the entries that are remembered: 32 MiB of each kind.
const CACHE: f64 = 32.0 * 1.048_576;

/// All of which the run has figures.
pub(crate) fn all(results: &Results) -> Vec<Bound> {
    let cost = |name: &str| results.costs.iter().find(|cost| cost.name == name);
    let ratio = |name: &str| cost(name).and_then(Cost::ratio);
    let part = |name: &str, of: &str| cost(name)?.part_of(cost(of)?);
    let mut bounds = Vec::new();
    let mut bound = |name: &str, measure, limit, unit, measured: Option<Summary>| {
        bounds.extend(measured.map(|measured| Bound {
            name: name.to_owned(),
            measure,
            limit,
            unit,
            measured,
        }));
    };
    for name in ["cached-session", "cached-token"] {
        bound(name, "CPU over no filter", 1.35, "×", ratio(name));
        let of = "increment over that of `ext-authz`";
        bound(name, of, 0.30, "×", part(name, "ext-authz"));
    }
    let cold = part("cold-token", "jwt-authn");
    bound("cold-token", "increment over that of `jwt-authn`", 1.0, "×", cold);
    let call = part("resolver-call", "ext-authz");
    bound("resolver-call", "increment over that of `ext-authz`", 1.15, "×", call);
    bound("public-route", "CPU over no filter", 1.25, "×", ratio("public-route"));
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
