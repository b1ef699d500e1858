//! What lasts from one request to the next in one worker, and what a step wants done besides its own outcome.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use super::errand::Errand;
use super::token::Remembered;
use crate::cache::{Cache, Key};
use crate::config::{Config, Keys};
use crate::jwks::KeySource;
use crate::metric::Metric;
use crate::request::{Call, UnixTime};
use crate::warning::Warnings;

/// How many verified tokens are remembered, and how many bytes of them.
const MAX_TOKENS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
const MAX_TOKEN_BYTES: usize = 32 * 1024 * 1024;

/// A worker's memory of one configuration.
pub struct State {
    /// The keys of each issuer, in the order of the configuration.
    pub(super) keys: Vec<KeySource>,
    /// The tokens that were verified here.
    pub(super) tokens: Cache<Remembered>,
    /// A key to look tokens up by, kept for its memory.
    pub(super) key: Key,
    /// Whether a request was ever served: Envoy configures more VMs than serve.
    pub(super) served: bool,
    /// How many confirmations are under way.
    pub(super) confirming: usize,
    pub(super) warnings: Kinds,
    random: u64,
    effects: Effects,
}

/// A limit for each kind of warning, so that none hides another.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    pub(super) resolver: Warnings,
    pub(super) keys: Warnings,
    pub(super) skipped: Warnings,
    pub(super) confirm: Warnings,
}

/// What is to be done beside the step itself.
#[derive(Debug, Default)]
pub struct Effects {
    /// Calls that no request waits for by itself, and what they are for.
    pub errands: VecDeque<(Call, Errand)>,
    /// What is to be counted, beside the outcome of a request.
    pub metrics: Vec<Metric>,
    /// Lines for the proxy's log, which an operator should read.
    pub warnings: Vec<String>,
}

impl State {
    /// Nothing known yet. `seed` is any random number; it spreads what workers would do all at once.
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        let source = |keys: &Keys| match keys {
            Keys::Inline(keys) => KeySource::inline(keys.clone()),
            Keys::Fetched { .. } => KeySource::fetched(config.timeout),
        };
        Self {
            keys: config.issuers.iter().map(|issuer| source(&issuer.keys)).collect(),
            tokens: Cache::new(MAX_TOKENS, MAX_TOKEN_BYTES),
            key: Key::new(),
            served: false,
            confirming: 0,
            warnings: Kinds::default(),
            random: seed,
            effects: Effects::default(),
        }
    }

    /// Takes what is to be done. To be called after each step, and again when an errand could not be sent.
    pub fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn send(&mut self, call: Call, errand: Errand) {
        self.effects.errands.push_back((call, errand));
    }

    pub(super) fn count(&mut self, metric: Metric) {
        self.effects.metrics.push(metric);
    }

    pub(super) fn warn(
        &mut self,
        kind: fn(&mut Kinds) -> &mut Warnings,
        now: UnixTime,
        text: impl FnOnce() -> String,
    ) {
        self.effects.warnings.extend(kind(&mut self.warnings).limit(now, text));
    }

    /// Any number, evenly distributed: a step of SplitMix64.
    pub(super) fn random(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from(mixed >> 32).unwrap_or_default()
    }
}
