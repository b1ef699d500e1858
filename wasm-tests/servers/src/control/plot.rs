//! Owns what the plot of decisions is drawn from: how much each counter rose, in slices of time.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// The length of a slice, in seconds.
const SLICE: u64 = 5;
/// How many slices are kept: five minutes.
const SLICES: u64 = 60;

type Counts = BTreeMap<String, u64>;

/// The counters' rises of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Plot {
    last: Option<Counts>,
    /// By the number of the slice since 1970, oldest first.
    slices: VecDeque<(u64, Counts)>,
}

impl Plot {
    /// Takes the counters as they are at this time, in Unix seconds.
    pub(super) fn add(&mut self, now: u64, counters: Counts) {
        let slice = now / SLICE;
        let rises = counters.iter().filter_map(|(name, value)| {
            let before = self.last.as_ref().and_then(|last| last.get(name)).copied().unwrap_or(0);
            // A counter falls only when Envoy was started again.
            Some((name.clone(), value.checked_sub(before).filter(|rise| *rise > 0)?))
        });
        let rises: Vec<_> = rises.collect();
        self.last = Some(counters);
        if rises.is_empty() {
            return;
        }
        if self.slices.back().is_none_or(|(last, _)| *last != slice) {
            self.slices.push_back((slice, Counts::new()));
        }
        if let Some((_, counts)) = self.slices.back_mut() {
            for (name, rise) in rises {
                *counts.entry(name).or_default() += rise;
            }
        }
        while self.slices.front().is_some_and(|(oldest, _)| oldest + SLICES <= slice) {
            self.slices.pop_front();
        }
    }

    /// For the console: of each counter that rose, its rise in each slice, the latest last.
    pub(super) fn json(&self, now: u64) -> Value {
        let first = (now / SLICE + 1).saturating_sub(SLICES);
        let mut series: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (slice, counts) in self.slices.iter().filter(|(slice, _)| *slice >= first) {
            let place = usize::try_from(slice - first).unwrap_or(usize::MAX);
            for (name, count) in counts {
                let rises = series.entry(name).or_insert_with(|| (0..SLICES).map(|_| 0).collect());
                if let Some(rise) = rises.get_mut(place) {
                    *rise += count;
                }
            }
        }
        json!({"seconds": SLICE, "slices": SLICES, "series": series})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(list: &[(&str, u64)]) -> Counts {
        list.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_rise_is_where_it_was_seen_and_leaves_after_five_minutes() {
        let mut plot = Plot::default();
        plot.add(1000, counters(&[("session", 2), ("public", 0)]));
        plot.add(1001, counters(&[("session", 3), ("public", 0)]));
        plot.add(1010, counters(&[("session", 7), ("public", 1)]));
        let series = &plot.json(1012)["series"];
        let (session, public) = (&series["session"], &series["public"]);
        assert_eq!((&session[57], &session[58], &session[59]), (&json!(3), &json!(0), &json!(4)));
        assert_eq!((&public[57], &public[59]), (&json!(0), &json!(1)));
        assert_eq!(plot.json(1000 + 295)["series"]["session"][0], 3);
        assert_eq!(plot.json(1000 + 300)["series"]["session"][0], 0);
        assert_eq!(plot.json(2000)["series"], json!({}));
    }

    #[test]
    fn a_counter_that_fell_is_no_rise() {
        let mut plot = Plot::default();
        plot.add(1000, counters(&[("session", 9)]));
        plot.add(1001, counters(&[("session", 1)]));
        plot.add(1002, counters(&[("session", 3)]));
        assert_eq!(plot.json(1002)["series"]["session"][59], 11);
    }
}
