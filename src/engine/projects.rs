//! Several projects behind one filter, and which of them decides about a request. Each has its own engine and state,
//! so that nothing cached for one project serves another. They share the limits of their caches.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::budgets::Budgets;
use super::{BackgroundCall, Capabilities, Decision, Effects, Engine, Size, State, Step, WaitKey, Waiting};
use crate::config::{Config, Hosts, Projects};
use crate::http::{BadHead, CallError, Field, Head, Response, UnixTime};

/// Something that belongs to one project. It goes back to the engine that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OfProject<T> {
    /// The index of the project in the configuration.
    project: usize,
    what: T,
}

/// The next step of a request, with its project.
pub type ProjectStep = Step<OfProject<Waiting>, OfProject<WaitKey>>;

/// The engines of all projects.
#[derive(Debug)]
pub struct Engines {
    engines: Vec<Engine>,
    hosts: Hosts,
    /// For requests to hosts of no project, if there can be any. It treats the credentials of every project as
    /// credentials.
    others: Option<Engine>,
}

/// A worker's state of all projects.
pub struct Memory {
    states: Vec<State>,
    /// The shared budgets; `None` if there is only one project.
    budgets: Option<Budgets>,
}

impl Memory {
    /// Takes the pending effects of all projects. Call it after each step, and again when a background call could not
    /// be sent.
    pub fn effects(&mut self) -> Effects<OfProject<BackgroundCall>> {
        let mut all = Effects::default();
        for (project, state) in self.states.iter_mut().enumerate() {
            let Effects { background_calls, counters, warnings } = state.effects();
            let calls = background_calls.into_iter().map(|(call, what)| (call, OfProject { project, what }));
            all.background_calls.extend(calls);
            all.counters.extend(counters);
            all.warnings.extend(warnings);
        }
        all
    }

    /// how much is cached for all projects.
    pub fn size(&mut self) -> Size {
        let maps = self.states.iter_mut().map(State::size);
        maps.fold(Size::default(), Size::and)
    }

    /// The age of the oldest keys in use that are fetched; none where nobody needs any.
    #[must_use]
    pub fn keys_age(&self, now: UnixTime) -> Option<Duration> {
        self.states.iter().filter_map(|state| state.keys_age(now)).max()
    }

    fn trim(&mut self) {
        if let Some(budgets) = &self.budgets {
            State::trim_all(&mut self.states, budgets);
        }
    }
}

impl Engines {
    /// Creates the engines of a configuration on a proxy.
    #[must_use]
    pub fn new(projects: Projects, proxy: Capabilities) -> Self {
        let (configs, hosts) = projects.into_parts();
        let others = hosts.leave_some_out().then(|| of_all(&configs)).flatten();
        let others = others.map(|config| Engine::new(config, proxy));
        Self {
            engines: configs.into_iter().map(|config| Engine::new(config, proxy)).collect(),
            hosts,
            others,
        }
    }

    /// Returns the initial state. `seed` is any random number.
    #[must_use]
    pub fn memory(&self, seed: u64) -> Memory {
        let budgets = match self.engines.as_slice() {
            [first, _, ..] => NonZeroUsize::new(self.engines.len()).map(|count| first.budgets(count)),
            [] | [_] => None,
        };
        let states = self.engines.iter().zip(seed..).map(|(engine, seed)| match &budgets {
            Some(budgets) => engine.state_within(budgets, seed),
            None => engine.state(seed),
        });
        Memory { states: states.collect(), budgets }
    }

    /// Returns the first step for a request.
    pub fn start(&self, memory: &mut Memory, head: &Head<'_>, now: UnixTime) -> ProjectStep {
        match self.hosts.project(head.authority) {
            Some(project) => self.step(memory, project, |engine, state| engine.start(state, head, now)),
            None => Step::Done(match &self.others {
                Some(engine) => engine.misdirected(head),
                None => Engine::broken(),
            }),
        }
    }

    /// Returns the next step after the call of the previous step has ended.
    pub fn resume(
        &self,
        memory: &mut Memory,
        waiting: OfProject<Waiting>,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> ProjectStep {
        let OfProject { project, what } = waiting;
        self.step(memory, project, |engine, state| engine.resume(state, what, result, now))
    }

    /// Returns the next step once what a parked request waits for has arrived or failed.
    pub fn wake(&self, memory: &mut Memory, waiting: OfProject<Waiting>, now: UnixTime) -> ProjectStep {
        let OfProject { project, what } = waiting;
        self.step(memory, project, |engine, state| engine.wake(state, what, now))
    }

    /// Reports that all requests that waited for something have been woken.
    pub fn told(&self, memory: &mut Memory, wait_key: OfProject<WaitKey>) {
        if let Some((engine, state)) = self.of(memory, wait_key.project) {
            engine.told(state, wait_key.what);
        }
    }

    /// Reports that a waiting request is gone, so that nothing will come of its call.
    pub fn abandon(&self, memory: &mut Memory, waiting: OfProject<Waiting>, now: UnixTime) {
        if let Some((engine, state)) = self.of(memory, waiting.project) {
            engine.abandon(state, waiting.what, now);
        }
    }

    /// Fetches keys that are due. Call it regularly if the proxy has ticks.
    pub fn tick(&self, memory: &mut Memory, now: UnixTime) {
        for (engine, state) in self.engines.iter().zip(&mut memory.states) {
            engine.tick(state, now);
        }
    }

    /// Takes the result of a background call. Returns the key that requests may have waited for.
    pub fn finish(
        &self,
        memory: &mut Memory,
        background_call: OfProject<BackgroundCall>,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> Option<OfProject<WaitKey>> {
        let OfProject { project, what } = background_call;
        let (engine, state) = self.of(memory, project)?;
        let what = engine.finish(state, what, result, now);
        memory.trim();
        Some(OfProject { project, what: what? })
    }

    /// Returns the decision about a malformed request.
    pub fn bad_request(&self, bad: BadHead) -> Decision {
        self.engines.first().map_or_else(Engine::broken, |engine| engine.bad_request(bad))
    }

    /// Returns the names of the request's trailers that no client may send on any route.
    #[must_use]
    pub fn forged_trailers(&self, trailers: &[Field<'_>]) -> Vec<Vec<u8>> {
        self.engines.first().map(|engine| engine.forged_trailers(trailers)).unwrap_or_default()
    }

    fn of<'a>(&'a self, memory: &'a mut Memory, project: usize) -> Option<(&'a Engine, &'a mut State)> {
        Some((self.engines.get(project)?, memory.states.get_mut(project)?))
    }

    fn step(
        &self,
        memory: &mut Memory,
        project: usize,
        step: impl FnOnce(&Engine, &mut State) -> Step,
    ) -> ProjectStep {
        let Some((engine, state)) = self.of(memory, project) else { return Step::Done(Engine::broken()) };
        let step = step(engine, state);
        memory.trim();
        let of = |what| OfProject { project, what };
        match step {
            Step::Call(call, waiting) => Step::Call(call, of(waiting)),
            Step::Park(what, waiting) => Step::Park(OfProject { project, what }, of(waiting)),
            Step::Done(decision) => Step::Done(decision),
        }
    }
}

/// Combines all projects: the first one, with the issuers and token places of all.
fn of_all(configs: &[Config]) -> Option<Config> {
    let (first, rest) = configs.split_first()?;
    let mut all = first.clone();
    for Config { issuers, token_from, .. } in rest {
        all.issuers.extend_from_slice(issuers);
        for place in token_from {
            if !all.token_from.iter().any(|known| known.is_same(place)) {
                all.token_from.push(place.clone());
            }
        }
    }
    Some(all)
}
