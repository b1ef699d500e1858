//! Connects the engine to the host: one small loop that carries out its steps. Decides nothing.
//!
//! Contexts are taken off their shelf for the time of a callback. Should one panic, only that request is lost:
//! nothing stays borrowed, and the worker's state begins anew.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashTable;

use crate::config::Config;
use crate::engine::{
    BackgroundCall, Capabilities, Decision, Engine, Outcome, State, Step, Verdict, WaitKey, Waiting,
};
use crate::http::{Call, Head, OwnedField, WantedBody};
use crate::jose::Backend;
use crate::proxy::{self as host, Counters, Level};

/// How soon after a configuration the first tick comes, which fetches what requests will need.
const FIRST_TICK: Duration = Duration::from_millis(20);

/// The time between ticks.
const TICK: Duration = Duration::from_secs(1);

/// How many requests of one configuration may be parked at once; more would not help whoever comes.
const MAX_PARKED: usize = 10_000;

/// What the host does with a request or a response after a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Goes on with it.
    Continue,
    /// Keeps it. On APISIX only with a call under way or a reply sent: it crashes otherwise.
    Pause,
}

/// One configuration of the filter in this VM.
struct Root {
    engine: Engine,
    // Taken out and put back for each piece of work, so what moves is a pointer.
    state: Cell<Option<Box<State>>>,
    counters: Counters,
    /// Who waits for what.
    parked: Cell<Vec<(WaitKey, u32)>>,
    /// What has come, or will not, and was not told to those who wait for it.
    settled: Cell<Vec<WaitKey>>,
}

/// A request, as far as it has come.
struct Request {
    root: Option<Rc<Root>>,
    stage: Stage,
}

enum Stage {
    /// Nothing is decided, and nothing asked.
    New,
    /// Paused, with a call under way.
    Calling { token: u32, waiting: Waiting },
    /// Paused, until what it waits for is settled.
    Parked { waiting: Waiting },
    /// Let through; these go to the client with the response.
    Forwarded { respond: Vec<OwnedField> },
    /// Let through or answered, and nothing is left to do.
    Done,
}

/// A call under way.
struct Asked {
    for_whom: Asker,
    body: WantedBody,
}

enum Asker {
    /// An HTTP context.
    Request(u32),
    /// All requests of a configuration.
    BackgroundCall(Rc<Root>, BackgroundCall),
}

/// Things by a number that the host gave them. Never lends, so never stays borrowed.
struct Shelf<T>(Cell<HashTable<(u32, T)>>);

impl<T> Shelf<T> {
    const fn new() -> Self {
        Self(Cell::new(HashTable::new()))
    }

    fn put(&self, id: u32, thing: T) {
        self.take(id);
        let mut things = self.0.take();
        things.insert_unique(spread(id), (id, thing), |(id, _)| spread(*id));
        self.0.set(things);
    }

    fn take(&self, id: u32) -> Option<T> {
        let mut things = self.0.take();
        let found = things.find_entry(spread(id), |(known, _)| *known == id).ok();
        let thing = found.map(|found| found.remove().0.1);
        self.0.set(things);
        thing
    }

    fn drop_all(&self, is_meant: impl Fn(&T) -> bool) {
        let mut things = self.0.take();
        things.retain(|(_id, thing)| !is_meant(thing));
        self.0.set(things);
    }

    fn copy(&self, id: u32) -> Option<T>
    where
        T: Clone,
    {
        let things = self.0.take();
        let thing = things.find(spread(id), |(known, _)| *known == id).map(|(_, thing)| thing.clone());
        self.0.set(things);
        thing
    }
}

/// The hash of a number that the host counts up, so that no client chooses it.
fn spread(id: u32) -> u64 {
    u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

struct Vm {
    /// Root contexts, those without a configuration too.
    roots: Shelf<Option<Rc<Root>>>,
    /// HTTP contexts.
    requests: Shelf<Request>,
    /// Calls under way, by their tokens.
    calls: Shelf<Asked>,
}

impl Vm {
    /// Keeps a request for the callbacks that follow, if any of them has something to do for it.
    fn keep(&self, context: u32, request: Request) {
        match request.stage {
            Stage::Done => {}
            Stage::New | Stage::Calling { .. } | Stage::Parked { .. } | Stage::Forwarded { .. } => {
                self.requests.put(context, request);
            }
        }
    }
}

thread_local! {
    static VM: Vm = const { Vm { roots: Shelf::new(), requests: Shelf::new(), calls: Shelf::new() } };
}

pub(crate) fn on_context_create(context: u32, root: u32) {
    VM.with(|vm| {
        if root == 0 {
            vm.roots.put(context, None);
        } else {
            let root = vm.roots.copy(root).flatten();
            vm.requests.put(context, Request { root, stage: Stage::New });
        }
    });
}

/// `false` refuses the configuration: Envoy keeps the one before or does not start, APISIX answers 503.
pub(crate) fn on_configure(root: u32, size: usize) -> bool {
    host::discover();
    let config = host::configuration(size)
        .map_err(|_refused| "the proxy did not hand over the configuration".to_owned())
        .and_then(|bytes| Config::parse(&bytes).map_err(|error| error.to_string()));
    match config {
        Ok(config) => {
            let host = Capabilities {
                background: host::set_tick_period(FIRST_TICK).is_ok(),
                signatures: Backend::choose(Some(host::verify_signature)),
            };
            host::log(Level::Info, &format!("version {} serves {config}; {host}", env!("CARGO_PKG_VERSION")));
            let configured = Root {
                engine: Engine::new(config, host),
                state: Cell::new(None),
                counters: Counters::define(),
                parked: Cell::default(),
                settled: Cell::default(),
            };
            VM.with(|vm| vm.roots.put(root, Some(Rc::new(configured))));
            true
        }
        Err(problem) => {
            host::log(Level::Error, &format!("the configuration is refused. {problem}"));
            false
        }
    }
}

pub(crate) fn on_tick(root: u32) {
    VM.with(|vm| {
        if let Some(root) = vm.roots.copy(root).flatten() {
            // After the first one, which comes sooner, they come once a second.
            if host::set_tick_period(TICK).is_err() {
                host::log(Level::Warn, "the proxy did not change the period of its ticks");
            }
            root.with_state(|engine, state| engine.tick(state, host::now()));
            root.carry_out(vm);
            root.wake(vm);
        }
    });
}

pub(crate) fn on_request_headers(context: u32) -> Action {
    VM.with(|vm| {
        let mut request = vm.requests.take(context).unwrap_or(Request { root: None, stage: Stage::New });
        let root = request.root.clone();
        let action = request.start(vm, context);
        vm.keep(context, request);
        if let Some(root) = root {
            root.wake(vm);
        }
        action
    })
}

pub(crate) fn on_http_call_response(token: u32, headers: u32, body: usize) {
    VM.with(|vm| {
        let Some(Asked { for_whom, body: wanted }) = vm.calls.take(token) else { return lost() };
        match for_whom {
            Asker::Request(context) => {
                let Some(mut request) = vm.requests.take(context) else { return lost() };
                if host::act_for(context).is_err() {
                    return;
                }
                let root = request.root.clone();
                request.resume(vm, context, headers, body, wanted);
                vm.keep(context, request);
                if let Some(root) = root {
                    root.wake(vm);
                }
            }
            Asker::BackgroundCall(root, background_call) => {
                let result = host::call_response(headers, body, wanted);
                let wait_key = root
                    .with_state(|engine, state| engine.finish(state, background_call, result, host::now()));
                root.settle(wait_key);
                root.carry_out(vm);
                root.wake(vm);
            }
        }
    });
}

/// Nobody waits for an answer whose request is gone. Where a host lets the request of a call go on unless it is
/// denied, it was not gone but lost, by a panic.
fn lost() {
    if host::is_open_after_calls() {
        let mut request = Request { root: None, stage: Stage::New };
        request.finish(Engine::broken(), Paused::Yes);
    }
}

pub(crate) fn on_response_headers(context: u32) -> Action {
    VM.with(|vm| {
        match vm.requests.take(context) {
            Some(Request { stage: Stage::Forwarded { respond }, .. }) => host::add_to_response(&respond),
            // A response before its request was let through is the host's own, to a request that timed out.
            Some(request) => vm.keep(context, request),
            None => {}
        }
    });
    Action::Continue
}

pub(crate) fn on_delete(context: u32) {
    VM.with(|vm| match vm.requests.take(context) {
        Some(Request { root, stage: Stage::Calling { token, waiting } }) => {
            vm.calls.take(token);
            if let Some(root) = root {
                root.with_state(|engine, state| engine.abandon(state, waiting, host::now()));
            }
        }
        Some(_) => {}
        None => {
            // Its calls end with it, and the host does not say so: they would keep all that it remembers.
            if let Some(gone) = vm.roots.take(context).flatten() {
                vm.calls.drop_all(|asked| asked.is_for(&gone));
            }
        }
    });
}

impl Request {
    fn start(&mut self, vm: &Vm, context: u32) -> Action {
        let Some(root) = self.root.clone() else {
            return self.finish(Engine::broken(), Paused::No);
        };
        let step = match host::RequestHeaders::read() {
            Ok(headers) => root.first_step(&headers),
            Err(bad) => Step::Done(root.engine.bad_request(bad)),
        };
        self.run(vm, context, &root, step, Paused::No)
    }

    fn resume(&mut self, vm: &Vm, context: u32, headers: u32, body: usize, wanted: WantedBody) {
        let (Some(root), Stage::Calling { waiting, .. }) =
            (self.root.clone(), std::mem::replace(&mut self.stage, Stage::New))
        else {
            self.finish(Engine::broken(), Paused::Yes);
            return;
        };
        let result = host::call_response(headers, body, wanted);
        let step = root.with_state(|engine, state| engine.resume(state, waiting, result, host::now()));
        self.run(vm, context, &root, step, Paused::Yes);
    }

    fn wake(&mut self, vm: &Vm, context: u32) {
        match (self.root.clone(), std::mem::replace(&mut self.stage, Stage::New)) {
            (Some(root), Stage::Parked { waiting }) => {
                let step = root.with_state(|engine, state| engine.wake(state, waiting, host::now()));
                self.run(vm, context, &root, step, Paused::Yes);
            }
            // It went on meanwhile.
            (_, stage) => self.stage = stage,
        }
    }

    /// Carries out steps until one has to wait, or none is left.
    fn run(&mut self, vm: &Vm, context: u32, root: &Rc<Root>, mut step: Step, paused: Paused) -> Action {
        loop {
            root.carry_out(vm);
            step = match step {
                Step::Call(call, waiting) => match host::dispatch(&call) {
                    Ok(token) => {
                        vm.calls.put(token, Asked::new(&call, Asker::Request(context)));
                        self.stage = Stage::Calling { token, waiting };
                        return Action::Pause;
                    }
                    Err(error) => root
                        .with_state(|engine, state| engine.resume(state, waiting, Err(error), host::now())),
                },
                // Its background_call may have failed already, in `carry_out`.
                Step::Park(wait_key, waiting) => {
                    if !root.is_settled(wait_key) && root.park(wait_key, context) {
                        self.stage = Stage::Parked { waiting };
                        return Action::Pause;
                    }
                    root.with_state(|engine, state| engine.wake(state, waiting, host::now()))
                }
                Step::Done(decision) => return self.finish(decision, paused),
            };
        }
    }

    fn finish(&mut self, decision: Decision, paused: Paused) -> Action {
        let Decision { verdict, outcome } = decision;
        let reply = match verdict {
            Verdict::Forward(edits) => match host::edit_request(&edits) {
                Ok(()) => {
                    self.count(outcome);
                    self.stage = match edits.respond {
                        respond if respond.is_empty() => Stage::Done,
                        respond => Stage::Forwarded { respond },
                    };
                    if paused == Paused::Yes {
                        host::continue_request();
                    }
                    return Action::Continue;
                }
                // Half of the edits are as good as a forged header.
                Err(host::HostRefused) => {
                    host::log(Level::Error, "the proxy did not edit the headers of a request; it is denied");
                    return self.finish(Engine::broken(), paused);
                }
            },
            Verdict::Reply(reply) => reply,
        };
        self.count(outcome);
        self.stage = Stage::Done;
        host::reply(&reply, outcome);
        Action::Pause
    }

    fn count(&self, outcome: Outcome) {
        if let Some(root) = &self.root {
            root.counters.count(outcome.metric());
        }
    }
}

/// Whether the host keeps the request since an earlier callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paused {
    Yes,
    No,
}

impl Asked {
    const fn new(call: &Call, for_whom: Asker) -> Self {
        Self { for_whom, body: call.body }
    }

    /// Whether an background_call of this configuration asked.
    fn is_for(&self, root: &Rc<Root>) -> bool {
        matches!(&self.for_whom, Asker::BackgroundCall(asker, _errand) if Rc::ptr_eq(asker, root))
    }
}

impl Root {
    fn first_step(&self, headers: &host::RequestHeaders) -> Step {
        let mut fields = Vec::new();
        let head = headers.fields().and_then(|listed| Head::new(&listed, &mut fields, &host::client_address));
        match head {
            Ok(head) => self.with_state(|engine, state| engine.start(state, &head, host::now())),
            Err(bad) => Step::Done(self.engine.bad_request(bad)),
        }
    }

    fn with_state<T>(&self, work: impl FnOnce(&Engine, &mut State) -> T) -> T {
        let mut state = self.state.take().unwrap_or_else(|| Box::new(self.engine.state(host::random())));
        let result = work(&self.engine, &mut state);
        self.state.set(Some(state));
        result
    }

    /// Does what steps want done besides: log, count, send background_calls. What comes of an background_call that cannot be sent
    /// is settled.
    fn carry_out(self: &Rc<Self>, vm: &Vm) {
        loop {
            let effects = self.with_state(|_engine, state| state.effects());
            for warning in &effects.warnings {
                host::log(Level::Warn, warning);
            }
            for metric in effects.metrics {
                self.counters.count(metric);
            }
            if effects.background_calls.is_empty() {
                return;
            }
            for (call, background_call) in effects.background_calls {
                match host::dispatch(&call) {
                    Ok(token) => vm.calls.put(
                        token,
                        Asked::new(&call, Asker::BackgroundCall(Rc::clone(self), background_call)),
                    ),
                    Err(error) => {
                        let wait_key = self.with_state(|engine, state| {
                            engine.finish(state, background_call, Err(error), host::now())
                        });
                        self.settle(wait_key);
                    }
                }
            }
        }
    }

    /// Keeps a request until a wait_key is settled, if there is room.
    fn park(&self, wait_key: WaitKey, context: u32) -> bool {
        let mut parked = self.parked.take();
        let there_is_room = parked.len() < MAX_PARKED;
        if there_is_room {
            parked.push((wait_key, context));
        }
        self.parked.set(parked);
        there_is_room
    }

    fn settle(&self, wait_key: Option<WaitKey>) {
        let mut settled = self.settled.take();
        settled.extend(wait_key);
        self.settled.set(settled);
    }

    fn is_settled(&self, wait_key: WaitKey) -> bool {
        let settled = self.settled.take();
        let is_settled = settled.contains(&wait_key);
        self.settled.set(settled);
        is_settled
    }

    /// Tells those who wait for what is settled. At the end of a callback, because it may concern any request.
    fn wake(&self, vm: &Vm) {
        loop {
            let settled = self.settled.take();
            if settled.is_empty() {
                return;
            }
            let mut parked = self.parked.take();
            let waiting = parked.extract_if(.., |(wait_key, _)| settled.contains(wait_key));
            let waiting: Vec<u32> = waiting.map(|(_, context)| context).collect();
            self.parked.set(parked);
            for context in waiting {
                // Those whose client has left are gone from the shelf.
                let Some(mut request) = vm.requests.take(context) else { continue };
                if host::act_for(context).is_ok() {
                    request.wake(vm, context);
                    vm.keep(context, request);
                }
            }
            for wait_key in settled {
                self.with_state(|engine, state| engine.told(state, wait_key));
            }
        }
    }
}
