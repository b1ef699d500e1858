//! What became of requests, counted by all clients together.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The app saw the right user, or nobody where nobody asked.
    Right,
    /// Denied with 401, as it should be.
    Denied,
    /// 503: the filter could not decide.
    Unavailable,
    /// The client left before it had an answer.
    Left,
    /// A good credential was denied with 401.
    WronglyDenied,
    /// The app saw somebody else, or an identity that is none.
    WrongIdentity,
    /// The app was reached without the session that it demands.
    Unauthenticated,
    /// No answer, or one that is none of these.
    Unanswered,
}

/// The counts of a phase.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    outcomes: BTreeMap<Outcome, u64>,
    /// The longest time until an answer.
    pub(crate) slowest: Duration,
    /// The first request of each kind that must never be.
    pub(crate) examples: Vec<String>,
}

impl Counts {
    pub(crate) fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// The counts of the phase under way.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    /// Counts a request.
    pub(crate) fn add(&self, outcome: Outcome, took: Duration, request: impl FnOnce() -> String) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.outcomes.entry(outcome).or_default();
        *count += 1;
        let is_first = *count == 1;
        if outcome != Outcome::Left {
            counts.slowest = counts.slowest.max(took);
        }
        if is_first && outcome >= Outcome::WronglyDenied {
            counts.examples.push(request());
        }
    }

    /// How many requests were counted in this phase.
    pub(crate) fn counted(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all()
    }

    /// Ends the phase.
    pub(crate) fn take(&self) -> Counts {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
