//! What a worker keeps between requests.

use std::rc::Rc;
use std::time::Duration;

use super::answers::Answers;
use super::budgets::Budgets;
use super::effects::{Effects, Outbox};
use super::keys::{KeySets, skipped_inline_keys};
use super::proofs::Proofs;
use super::tokens::Tokens;
use crate::cache::{BoundedMap, Budget, Weigh, trim};
use crate::config::Config;
use crate::http::UnixTime;

/// A worker's memory of one project.
pub struct State {
    pub(super) keys: KeySets,
    pub(super) tokens: Tokens,
    pub(super) answers: Answers,
    pub(super) proofs: Proofs,
    pub(super) outbox: Outbox,
    /// Whether a request was ever served. Envoy configures more VMs than it serves from.
    pub(super) served: bool,
}

/// The size of the caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// How many entries.
    pub entries: usize,
    /// What they weigh, in bytes.
    pub bytes: usize,
    /// How many have made room for others so far.
    pub evicted: u64,
}

impl Size {
    fn of<V: Weigh>(map: &BoundedMap<V>) -> Self {
        Self { entries: map.len(), bytes: map.bytes(), evicted: map.evicted() }
    }

    /// The sum of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_add(other.entries),
            bytes: self.bytes.saturating_add(other.bytes),
            evicted: self.evicted.saturating_add(other.evicted),
        }
    }
}

impl State {
    /// Creates an empty state. `seed` is any random number; it spreads what workers would otherwise do all at once.
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        Self::within(
            &Budgets::of(config.cache.max_entries, config.cache.max_entries, Budget::new),
            config,
            seed,
        )
    }

    /// Creates an empty state within budgets that others may share.
    pub(super) fn within(budgets: &Budgets, config: &Config, seed: u64) -> Self {
        Self {
            keys: KeySets::new(config),
            tokens: Tokens::new(config.cache, budgets),
            answers: Answers::new(config, Rc::clone(&budgets.answers)),
            proofs: Proofs::new(budgets.proofs),
            outbox: Outbox::new(skipped_inline_keys(config), config.project.clone(), seed),
            served: false,
        }
    }

    /// Returns how much is cached: answers, and tokens known, revoked and rejected.
    pub(super) fn size(&mut self) -> Size {
        let State { answers, tokens, .. } = self;
        Size::of(answers.remembered())
            .and(Size::of(tokens.known()))
            .and(Size::of(tokens.revoked()))
            .and(Size::of(tokens.rejected()))
    }

    /// The age of the oldest keys in use that are fetched; none where nobody needs any.
    pub(super) fn keys_age(&self, now: UnixTime) -> Option<Duration> {
        if self.served { self.keys.age(now) } else { None }
    }

    /// Takes the pending effects. Call it after each step, and again when a background call could not be sent.
    pub fn effects(&mut self) -> Effects {
        self.outbox.take()
    }

    /// Makes all projects that share the budgets keep to them.
    pub(super) fn trim_all(states: &mut [Self], budgets: &Budgets) {
        trim(&budgets.answers, states.iter_mut().map(|state| state.answers.remembered()));
        trim(&budgets.known, states.iter_mut().map(|state| state.tokens.known()));
        trim(&budgets.revoked, states.iter_mut().map(|state| state.tokens.revoked()));
        trim(&budgets.rejected, states.iter_mut().map(|state| state.tokens.rejected()));
    }
}
