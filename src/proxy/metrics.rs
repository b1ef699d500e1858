//! The filter's metrics in the proxy. Each is defined once in a VM. Proxies without metrics accept the calls and do
//! nothing.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use proxy_wasm::types::MetricType;

use super::raw;
use crate::engine::Size;
use crate::telemetry::Counter;
use crate::telemetry::gauge::{CALL_TIME, Gauge, KEYS_AGE};

/// The number of a metric in the proxy.
type MetricId = Option<u32>;

struct Ids {
    counters: [MetricId; Counter::COUNT],
    gauges: [MetricId; Gauge::NAMES.len()],
    keys_age: MetricId,
    call_time: MetricId,
}

thread_local! {
    static IDS: OnceCell<Ids> = const { OnceCell::new() };
}

fn ids<T>(use_ids: impl FnOnce(&Ids) -> T) -> T {
    let define = |kind, name| raw::define_metric(kind, name).ok();
    IDS.with(|ids| {
        use_ids(ids.get_or_init(|| Ids {
            counters: Counter::ALL.map(|counter| define(MetricType::Counter, counter.name())),
            gauges: Gauge::NAMES.map(|(_, name)| define(MetricType::Gauge, name)),
            keys_age: define(MetricType::Gauge, KEYS_AGE),
            call_time: define(MetricType::Histogram, CALL_TIME),
        }))
    })
}

/// Has every metric defined, so that it is there before it changes.
pub(super) fn define() {
    ids(|_| ());
}

pub(super) fn count(counter: Counter) {
    add(ids(|ids| ids.counters.get(counter.index()).copied().flatten()), 1);
}

/// A call took so long until its answer had come.
pub(super) fn record_call(took: Duration) {
    record(ids(|ids| ids.call_time), took.as_millis());
}

/// The keys in use are so old.
pub(super) fn record_keys_age(age: Duration) {
    record(ids(|ids| ids.keys_age), age.as_secs().into());
}

// A request is not worth failing for a metric.
fn add(metric: MetricId, offset: i64) {
    if let Some(metric) = metric {
        let _ = raw::increment_metric(metric, offset);
    }
}

fn record(metric: MetricId, value: u128) {
    if let Some(metric) = metric {
        let _ = raw::record_metric(metric, u64::try_from(value).unwrap_or(u64::MAX));
    }
}

/// What one configuration in this VM adds to the gauges, which are sums over all of them.
#[derive(Default)]
pub(super) struct Gauges {
    told: [Cell<usize>; Gauge::NAMES.len()],
    evicted: Cell<u64>,
}

impl Gauges {
    /// Tells what there is now.
    pub(super) fn tell(&self, parked: usize, in_flight: usize, size: Size) {
        for (place, (gauge, _)) in Gauge::NAMES.into_iter().enumerate() {
            let now = match gauge {
                Gauge::Parked => parked,
                Gauge::InFlight => in_flight,
                Gauge::Entries => size.entries,
                Gauge::Bytes => size.bytes,
            };
            let Some(told) = self.told.get(place) else { continue };
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            let change = number(now).saturating_sub(number(told.replace(now)));
            if change != 0 {
                add(ids(|ids| ids.gauges.get(place).copied().flatten()), change);
            }
        }
        let evicted = size.evicted.saturating_sub(self.evicted.replace(size.evicted));
        if evicted > 0 {
            let evicted = i64::try_from(evicted).unwrap_or(i64::MAX);
            add(ids(|ids| ids.counters.get(Counter::Evicted.index()).copied().flatten()), evicted);
        }
    }

    /// Takes it all back: the configuration is gone.
    pub(super) fn close(&self) {
        let size = Size { evicted: self.evicted.get(), ..Size::default() };
        self.tell(0, 0, size);
    }
}
