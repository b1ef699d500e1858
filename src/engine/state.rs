//! What lasts from one request to the next in one worker, and what a step wants done besides its own outcome.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::answer::{Arrived, Asked, Said};
use super::background::BackgroundCall;
use super::token::{Reason, Remembered, Revoked};
use crate::cache::{Cache, Key};
use crate::config::{Config, Keys};
use crate::http::{Call, UnixTime};
use crate::jose::KeySource;
use crate::telemetry::Counter;
use crate::telemetry::warning::Warnings;

/// The most that each of the caches may weigh, in bytes, however many entries are allowed.
const MAX_CACHE_BYTES: usize = 32 * 1024 * 1024;

/// A worker's memory of one configuration.
pub struct State {
    /// The keys of each issuer, in the order of the configuration.
    pub(super) keys: Vec<KeySource>,
    /// The tokens that were verified here.
    pub(super) tokens: Cache<Remembered>,
    /// The tokens that the resolver no longer knows, as long as they would still be good.
    pub(super) revoked: Cache<Revoked>,
    /// The tokens that were refused a moment ago, and why.
    pub(super) refused: Cache<Reason>,
    /// What the resolver said.
    pub(super) answers: Cache<Said>,
    /// What the resolver is being asked.
    pub(super) asked: HashMap<Rc<Key>, Asked>,
    /// What it has said to those who are about to be told, by the number of the question: few at any time.
    pub(super) arrived: Vec<(u64, Arrived)>,
    /// A key to look tokens up by, kept for its memory.
    pub(super) key: Key,
    /// Whether a request was ever served: Envoy configures more VMs than serve.
    pub(super) served: bool,
    /// How many confirmations are under way.
    pub(super) confirming: usize,
    pub(super) warnings: Kinds,
    random: u64,
    wait_keys: u64,
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
    pub background_calls: VecDeque<(Call, BackgroundCall)>,
    /// What is to be counted, beside the outcome of a request.
    pub counters: Vec<Counter>,
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
            tokens: Cache::new(config.cache.max_entries, MAX_CACHE_BYTES),
            revoked: Cache::new(config.cache.max_entries, MAX_CACHE_BYTES),
            refused: Cache::new(config.cache.max_entries, MAX_CACHE_BYTES),
            answers: Cache::new(config.cache.max_entries, MAX_CACHE_BYTES),
            asked: HashMap::new(),
            arrived: Vec::new(),
            wait_keys: 0,
            key: Key::new(),
            served: false,
            confirming: 0,
            warnings: Kinds::default(),
            random: seed,
            effects: Effects::default(),
        }
    }

    /// Takes what is to be done. To be called after each step, and again when an background_call could not be sent.
    pub fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// A number for a question, different from all others under way.
    pub(super) fn new_wait_key(&mut self) -> u64 {
        self.wait_keys = self.wait_keys.wrapping_add(1);
        self.wait_keys
    }

    pub(super) fn send(&mut self, call: Call, background_call: BackgroundCall) {
        self.effects.background_calls.push_back((call, background_call));
    }

    pub(super) fn count(&mut self, counter: Counter) {
        self.effects.counters.push(counter);
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
