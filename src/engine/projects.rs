//! Several projects behind one filter: which of them decides about a request. Each has an engine and a memory of its
//! own, so that nothing that one remembers, asks or is told is another's; they share how much may be remembered.

use std::num::NonZeroUsize;

use super::state::Budgets;
use super::{BackgroundCall, Capabilities, Decision, Effects, Engine, State, Step, WaitKey, Waiting};
use crate::config::{Config, Hosts, Projects};
use crate::http::{BadHead, CallError, Field, Head, Response, UnixTime};

/// Something of one project's: it goes back to the engine that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OfProject<T> {
    /// The place of the project in the configuration.
    project: usize,
    what: T,
}

/// What to do next, for a project.
pub type ProjectStep = Step<OfProject<Waiting>, OfProject<WaitKey>>;

/// The engines of all projects.
#[derive(Debug)]
pub struct Engines {
    engines: Vec<Engine>,
    hosts: Hosts,
    /// For requests of no project, where there are some: what any of them takes for a credential is one there.
    others: Option<Engine>,
}

/// A worker's memory of all projects.
pub struct Memory {
    states: Vec<State>,
    /// What they share; none where there is one.
    budgets: Option<Budgets>,
}

impl Memory {
    /// Takes what is to be done. To be called after each step, and again when a background call could not be sent.
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

    fn trim(&mut self) {
        if let Some(budgets) = &self.budgets {
            budgets.trim(&mut self.states);
        }
    }
}

impl Engines {
    /// Engines for a configuration, on a proxy.
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

    /// Returns the memory that they begin with. `seed` is any random number.
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

    /// Returns the next step, once the call of the step before has come to something.
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

    /// Returns the next step, once what a parked request waits for has come, or will not come.
    pub fn wake(&self, memory: &mut Memory, waiting: OfProject<Waiting>, now: UnixTime) -> ProjectStep {
        let OfProject { project, what } = waiting;
        self.step(memory, project, |engine, state| engine.wake(state, what, now))
    }

    /// All who waited for something were woken.
    pub fn told(&self, memory: &mut Memory, wait_key: OfProject<WaitKey>) {
        if let Some((engine, state)) = self.of(memory, wait_key.project) {
            engine.told(state, wait_key.what);
        }
    }

    /// Nothing will come of what a request waited for: it is gone.
    pub fn abandon(&self, memory: &mut Memory, waiting: OfProject<Waiting>, now: UnixTime) {
        if let Some((engine, state)) = self.of(memory, waiting.project) {
            engine.abandon(state, waiting.what, now);
        }
    }

    /// To be called now and then where the proxy can: fetches keys that are due.
    pub fn tick(&self, memory: &mut Memory, now: UnixTime) {
        for (engine, state) in self.engines.iter().zip(&mut memory.states) {
            engine.tick(state, now);
        }
    }

    /// Returns what came of a background call, and whom it concerns.
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

    /// Returns the decision about a request that cannot be understood.
    pub fn bad_request(&self, bad: BadHead) -> Decision {
        self.engines.first().map_or_else(Engine::broken, |engine| engine.bad_request(bad))
    }

    /// Returns the names of the trailers of a request that no client may send, whatever its route.
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

/// Returns the first project, with the issuers and the places of tokens of all.
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
