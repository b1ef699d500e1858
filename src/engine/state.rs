//! What a worker keeps between requests, and the side effects of a step.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use super::answers::Answers;
use super::background::BackgroundCall;
use super::keys::{KeySets, skipped_inline_keys};
use super::proofs::Proofs;
use super::tokens::Tokens;
use crate::cache::{BoundedMap, Budget, Weigh, trim};
use crate::config::Config;
use crate::http::{Call, UnixTime};
use crate::telemetry::Counter;
use crate::telemetry::warning::Warnings;

/// The most that each map may weigh, in bytes, however many entries are allowed.
const MAX_MAP_BYTES: usize = 32 * 1024 * 1024;

/// How much of each kind may be cached.
#[derive(Debug, Clone)]
pub(super) struct Budgets {
    pub(super) answers: Rc<Budget>,
    pub(super) known: Rc<Budget>,
    pub(super) revoked: Rc<Budget>,
    pub(super) rejected: Rc<Budget>,
    /// How many proofs each project remembers. This is not shared, because none may be evicted for another project.
    proofs: NonZeroUsize,
}

impl Budgets {
    fn of(
        max_entries: NonZeroUsize,
        proofs: NonZeroUsize,
        budget: fn(NonZeroUsize, usize) -> Rc<Budget>,
    ) -> Self {
        let budget = || budget(max_entries, MAX_MAP_BYTES);
        Self { answers: budget(), known: budget(), revoked: budget(), rejected: budget(), proofs }
    }

    /// Returns the budgets that this many projects share.
    pub(super) fn shared(max_entries: NonZeroUsize, projects: NonZeroUsize) -> Self {
        let proofs = max_entries.get().checked_div(projects.get()).and_then(NonZeroUsize::new);
        Self::of(max_entries, proofs.unwrap_or(NonZeroUsize::MIN), Budget::shared)
    }

    /// Makes all projects that share the budgets keep to them.
    pub(super) fn trim(&self, states: &mut [State]) {
        trim(&self.answers, states.iter_mut().map(|state| state.answers.remembered()));
        trim(&self.known, states.iter_mut().map(|state| state.tokens.known()));
        trim(&self.revoked, states.iter_mut().map(|state| state.tokens.revoked()));
        trim(&self.rejected, states.iter_mut().map(|state| state.tokens.rejected()));
    }
}

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

/// The side effects of a step.
#[derive(Debug)]
pub struct Effects<B = BackgroundCall> {
    /// Calls that no single request waits for, with their purposes.
    pub background_calls: VecDeque<(Call, B)>,
    /// Counters to increment, besides the outcome of a request.
    pub counters: Vec<Counter>,
    /// Lines for the proxy's log.
    pub warnings: Vec<String>,
}

/// How much is remembered.
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

impl<B> Default for Effects<B> {
    fn default() -> Self {
        Self { background_calls: VecDeque::new(), counters: Vec::new(), warnings: Vec::new() }
    }
}

/// Collects the effects of steps.
#[derive(Debug)]
pub(super) struct Outbox {
    effects: Effects,
    limits: Limits,
    random: u64,
    /// The project's name in the log, if there are several.
    project: Option<String>,
}

/// One limit for each kind of warning, so that none hides another.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) server: Warnings,
    pub(super) denials: Warnings,
    pub(super) keys: Warnings,
    pub(super) skipped: Warnings,
    pub(super) confirmations: Warnings,
    pub(super) contradictions: Warnings,
    pub(super) proofs: Warnings,
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
        let effects = Effects { warnings: skipped_inline_keys(config), ..Effects::default() };
        Self {
            keys: KeySets::new(config),
            tokens: Tokens::new(config.cache, budgets),
            answers: Answers::new(config, Rc::clone(&budgets.answers)),
            proofs: Proofs::new(budgets.proofs),
            outbox: Outbox {
                effects,
                limits: Limits::default(),
                random: seed,
                project: config.project.clone(),
            },
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
        std::mem::take(&mut self.outbox.effects)
    }
}

impl Outbox {
    pub(super) fn send(&mut self, call: Call, background_call: BackgroundCall) {
        self.effects.background_calls.push_back((call, background_call));
    }

    pub(super) fn count(&mut self, counter: Counter) {
        self.effects.counters.push(counter);
    }

    pub(super) fn warn(
        &mut self,
        kind: fn(&mut Limits) -> &mut Warnings,
        now: UnixTime,
        text: impl FnOnce() -> String,
    ) {
        let text = || match &self.project {
            Some(project) => format!("project {project}: {}", text()),
            None => text(),
        };
        self.effects.warnings.extend(kind(&mut self.limits).limit(now, text));
    }

    /// Returns an evenly distributed number: a step of SplitMix64.
    pub(super) fn random(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from(mixed >> 32).unwrap_or_default()
    }
}
