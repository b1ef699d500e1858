//! The side effects of a step: calls that no request waits for, counters, and lines for the log.

use std::collections::VecDeque;
use std::fmt;

use super::answers::About;
use crate::http::{Call, UnixTime};
use crate::jose::FetchTicket;
use crate::telemetry::Counter;
use crate::telemetry::warning::Warnings;

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

/// The purpose of a call. The edge returns it together with the call's result.
pub struct BackgroundCall(pub(super) Purpose);

pub(super) enum Purpose {
    /// Fetches an issuer's keys. `issuer` is its index in the configuration.
    Keys { issuer: usize, ticket: FetchTicket },
    /// Asks the auth server the question with this number.
    Ask { number: u64, about: About },
    /// Asks the resolver to confirm a token. `plain` is the call to try next.
    Confirm { token: Vec<u8>, plain: Option<Call> },
}

impl BackgroundCall {
    pub(super) const fn ask(number: u64, about: About) -> Self {
        Self(Purpose::Ask { number, about })
    }
}

/// Prints without the token.
impl fmt::Debug for BackgroundCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Purpose::Keys { .. } => "Keys",
            Purpose::Ask { .. } => "Ask",
            Purpose::Confirm { .. } => "Confirm",
        })
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

impl Outbox {
    /// Creates one that holds these warnings. `random` is any number.
    pub(super) fn new(warnings: Vec<String>, project: Option<String>, random: u64) -> Self {
        let effects = Effects { warnings, ..Effects::default() };
        Self { effects, limits: Limits::default(), random, project }
    }

    /// Takes what was collected.
    pub(super) fn take(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

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
