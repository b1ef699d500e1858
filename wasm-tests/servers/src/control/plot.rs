//! Owns what the plot of decisions is drawn from: how much the filter's counters rose, in slices of time, by the kinds
//! of decisions that the console shows.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// The length of a slice, in seconds.
const SLICE: u64 = 5;
/// How many slices are kept: five minutes.
const SLICES: u64 = 60;

/// The outcomes of which each request has one, but for `session`, which is told apart further.
const OUTCOMES: [&str; 12] = [
    "public",
    "anonymous",
    "machine",
    "no_session",
    "refused",
    "forbidden",
    "bad_request",
    "error_denied",
    "error_allowed",
    "no_keys_denied",
    "no_keys_allowed",
    "broken",
];

type Counts = BTreeMap<String, u64>;

/// The decisions of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Plot {
    last: Option<Counts>,
    /// By the number of the slice since 1970, oldest first.
    slices: VecDeque<(u64, Counts)>,
}

impl Plot {
    /// Takes the filter's counters as they are at this time, in Unix seconds: `requests.session`, `answers.reused`, …
    pub(super) fn add(&mut self, now: u64, counters: Counts) {
        let slice = now / SLICE;
        let rises = counters.iter().filter_map(|(name, value)| {
            let before = self.last.as_ref().and_then(|last| last.get(name)).copied().unwrap_or(0);
            // A counter falls only when Envoy was started again.
            Some((name.clone(), value.checked_sub(before).filter(|rise| *rise > 0)?))
        });
        let decisions = kinds(&rises.collect());
        self.last = Some(counters);
        if decisions.is_empty() {
            return;
        }
        if self.slices.back().is_none_or(|(last, _)| *last != slice) {
            self.slices.push_back((slice, Counts::new()));
        }
        if let Some((_, counts)) = self.slices.back_mut() {
            for (name, rise) in decisions {
                *counts.entry(name.to_owned()).or_default() += rise;
            }
        }
        while self.slices.front().is_some_and(|(oldest, _)| oldest + SLICES <= slice) {
            self.slices.pop_front();
        }
    }

    /// For the console: of each kind that there was, how many in each slice, the latest last.
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

/// Decisions by kind, from what the counters rose by. Sessions are told apart by what else was counted: tokens that were
/// verified, now or before, and answers that were cached; about the rest Authgear was asked.
fn kinds(rises: &Counts) -> Vec<(&'static str, u64)> {
    let rise = |name: &str| rises.get(name).copied().unwrap_or(0);
    let mut kinds: Vec<_> =
        OUTCOMES.into_iter().map(|outcome| (outcome, rise(&format!("requests.{outcome}")))).collect();
    let mut sessions = rise("requests.session");
    let mut take = |count: u64| {
        let taken = count.min(sessions);
        sessions -= taken;
        taken
    };
    // A program's token is verified too.
    kinds.push(("verified", take(rise("tokens.verified").saturating_sub(rise("requests.machine")))));
    kinds.push(("verified_before", take(rise("tokens.reused"))));
    kinds.push(("remembered", take(rise("answers.reused") + rise("answers.stale"))));
    kinds.push(("asked", sessions));
    kinds.retain(|(_, count)| *count > 0);
    kinds
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
        plot.add(1000, counters(&[("requests.refused", 2), ("requests.public", 0), ("requests.parked", 1)]));
        plot.add(1001, counters(&[("requests.refused", 3), ("requests.public", 0), ("requests.parked", 9)]));
        plot.add(1010, counters(&[("requests.refused", 7), ("requests.public", 1)]));
        let series = &plot.json(1012)["series"];
        let (refused, public) = (&series["refused"], &series["public"]);
        assert_eq!((&refused[57], &refused[58], &refused[59]), (&json!(3), &json!(0), &json!(4)));
        assert_eq!((&public[57], &public[59]), (&json!(0), &json!(1)));
        assert_eq!(series["parked"], Value::Null, "it is no decision");
        assert_eq!(plot.json(1000 + 295)["series"]["refused"][0], 3);
        assert_eq!(plot.json(1000 + 300)["series"]["refused"][0], 0);
        assert_eq!(plot.json(2000)["series"], json!({}));
    }

    #[test]
    fn a_counter_that_fell_is_no_rise() {
        let mut plot = Plot::default();
        plot.add(1000, counters(&[("requests.public", 9)]));
        plot.add(1001, counters(&[("requests.public", 1)]));
        plot.add(1002, counters(&[("requests.public", 3)]));
        assert_eq!(plot.json(1002)["series"]["public"][59], 11);
    }

    #[test]
    fn sessions_are_told_apart_by_what_decided_and_counted_once() {
        for (rises, expected) in [
            (&[("requests.session", 1)][..], &[("asked", 1)][..]),
            (&[("requests.session", 1), ("answers.missed", 1)], &[("asked", 1)]),
            (&[("requests.session", 2), ("answers.reused", 1)], &[("remembered", 1), ("asked", 1)]),
            (&[("requests.session", 1), ("answers.stale", 1)], &[("remembered", 1)]),
            (&[("requests.session", 1), ("tokens.verified", 1)], &[("verified", 1)]),
            (&[("requests.session", 1), ("tokens.reused", 1)], &[("verified_before", 1)]),
            (&[("requests.machine", 1), ("tokens.verified", 1)], &[("machine", 1)]),
            (&[("requests.no_session", 1), ("answers.reused", 1)], &[("no_session", 1)]),
            (&[("requests.error_denied", 1), ("answers.missed", 1)], &[("error_denied", 1)]),
        ] {
            assert_eq!(kinds(&counters(rises)), expected, "{rises:?}");
        }
    }
}
