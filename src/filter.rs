//! Connects the engine to the host: one small loop that carries out its steps. Decides nothing.
//!
//! Contexts are taken off their shelf for the time of a callback. Should one panic, only that request is lost:
//! nothing stays borrowed, and the worker's state begins anew.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::Config;
use crate::engine::{Decision, Engine, State, Step, Verdict, Waiting};
use crate::host::{self, Counters, Level};
use crate::request::{CallError, Head, OwnedField};

/// What the host does with a request or a response after a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Goes on with it.
    Continue,
    /// Keeps it. Only with a call under way or a reply sent: APISIX crashes otherwise.
    Pause,
}

/// One configuration of the filter in this VM.
struct Root {
    engine: Engine,
    state: Cell<Option<State>>,
    counters: Counters,
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
    /// Let through; these go to the client with the response.
    Forwarded { respond: Vec<OwnedField> },
    /// Answered here.
    Replied,
}

/// Things by a number that the host gave them. Never lends, so never stays borrowed.
struct Shelf<T>(Cell<BTreeMap<u32, T>>);

impl<T> Shelf<T> {
    const fn new() -> Self {
        Self(Cell::new(BTreeMap::new()))
    }

    fn put(&self, id: u32, thing: T) {
        let mut things = self.0.take();
        things.insert(id, thing);
        self.0.set(things);
    }

    fn take(&self, id: u32) -> Option<T> {
        let mut things = self.0.take();
        let thing = things.remove(&id);
        self.0.set(things);
        thing
    }
}

struct Vm {
    /// Root contexts, those without a configuration too.
    roots: Shelf<Option<Rc<Root>>>,
    /// HTTP contexts.
    requests: Shelf<Request>,
    /// The tokens of calls under way → their HTTP contexts.
    calls: Shelf<u32>,
}

thread_local! {
    static VM: Vm = const { Vm { roots: Shelf::new(), requests: Shelf::new(), calls: Shelf::new() } };
}

pub(crate) fn on_context_create(context: u32, root: u32) {
    VM.with(|vm| {
        if root == 0 {
            vm.roots.put(context, None);
        } else {
            let found = vm.roots.take(root).flatten();
            vm.roots.put(root, found.clone());
            vm.requests.put(context, Request { root: found, stage: Stage::New });
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
            host::log(Level::Info, &format!("version {} serves {}", env!("CARGO_PKG_VERSION"), config));
            let configured =
                Root { engine: Engine::new(config), state: Cell::new(None), counters: Counters::define() };
            VM.with(|vm| vm.roots.put(root, Some(Rc::new(configured))));
            true
        }
        Err(problem) => {
            host::log(Level::Error, &format!("the configuration is refused. {problem}"));
            false
        }
    }
}

pub(crate) fn on_request_headers(context: u32) -> Action {
    VM.with(|vm| {
        let mut request = vm.requests.take(context).unwrap_or(Request { root: None, stage: Stage::New });
        let action = request.start(vm, context);
        vm.requests.put(context, request);
        action
    })
}

pub(crate) fn on_http_call_response(token: u32, headers: u32) {
    VM.with(|vm| {
        let found = vm.calls.take(token).and_then(|context| Some((context, vm.requests.take(context)?)));
        let Some((context, mut request)) = found else {
            // Its client is gone; or, where a host lets it through unless it is denied, it was lost by a panic.
            if host::is_open_after_calls() {
                let mut lost = Request { root: None, stage: Stage::New };
                lost.finish(Engine::broken(), Paused::Yes);
            }
            return;
        };
        if host::act_for(context).is_err() {
            return;
        }
        request.resume(vm, context, headers);
        vm.requests.put(context, request);
    });
}

pub(crate) fn on_response_headers(context: u32) -> Action {
    VM.with(|vm| {
        if let Some(mut request) = vm.requests.take(context) {
            if let Stage::Forwarded { respond } = &mut request.stage {
                host::add_to_response(&std::mem::take(respond));
            }
            vm.requests.put(context, request);
        }
    });
    Action::Continue
}

pub(crate) fn on_delete(context: u32) {
    VM.with(|vm| match vm.requests.take(context) {
        // The host has cancelled the call with its stream.
        Some(Request { stage: Stage::Calling { token, .. }, .. }) => drop(vm.calls.take(token)),
        Some(_) => {}
        None => drop(vm.roots.take(context)),
    });
}

impl Request {
    fn start(&mut self, vm: &Vm, context: u32) -> Action {
        let Some(root) = self.root.clone() else {
            return self.finish(Engine::broken(), Paused::No);
        };
        let step = match host::RequestHeaders::read() {
            Ok(headers) => root.first_step(&headers),
            Err(bad) => Step::Done(root.engine.refuse(bad)),
        };
        self.run(vm, context, &root, step, Paused::No)
    }

    fn resume(&mut self, vm: &Vm, context: u32, headers: u32) {
        let (Some(root), Stage::Calling { waiting, .. }) =
            (self.root.clone(), std::mem::replace(&mut self.stage, Stage::New))
        else {
            self.finish(Engine::broken(), Paused::Yes);
            return;
        };
        let result = host::call_response(headers);
        let step = root.with_state(|engine, state| engine.resume(state, waiting, result, host::now()));
        self.run(vm, context, &root, step, Paused::Yes);
    }

    /// Carries out steps until one has to wait, or none is left.
    fn run(&mut self, vm: &Vm, context: u32, root: &Root, mut step: Step, paused: Paused) -> Action {
        loop {
            match step {
                Step::Call(call, waiting) => match host::dispatch(&call) {
                    Ok(token) => {
                        vm.calls.put(token, context);
                        self.stage = Stage::Calling { token, waiting };
                        return Action::Pause;
                    }
                    Err(error @ (CallError::NotSent | CallError::NoAnswer)) => {
                        step = root.with_state(|engine, state| {
                            engine.resume(state, waiting, Err(error), host::now())
                        });
                    }
                },
                Step::Done(decision) => return self.finish(decision, paused),
            }
        }
    }

    fn finish(&mut self, decision: Decision, paused: Paused) -> Action {
        let Decision { verdict, outcome, warning } = decision;
        if let Some(warning) = warning {
            host::log(Level::Warn, &warning);
        }
        let reply = match verdict {
            Verdict::Forward(edits) => match host::edit_request(&edits) {
                Ok(()) => {
                    self.count(outcome);
                    self.stage = Stage::Forwarded { respond: edits.respond };
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
        self.stage = Stage::Replied;
        host::reply(&reply, outcome);
        Action::Pause
    }

    fn count(&self, outcome: crate::engine::Outcome) {
        if let Some(root) = &self.root {
            root.counters.count(outcome);
        }
    }
}

/// Whether the host keeps the request since an earlier callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paused {
    Yes,
    No,
}

impl Root {
    fn first_step(&self, headers: &host::RequestHeaders) -> Step {
        let mut fields = Vec::new();
        let head = headers.fields().and_then(|listed| Head::new(&listed, &mut fields, &host::client_address));
        match head {
            Ok(head) => self.with_state(|engine, state| engine.start(state, &head, host::now())),
            Err(bad) => Step::Done(self.engine.refuse(bad)),
        }
    }

    fn with_state<T>(&self, work: impl FnOnce(&Engine, &mut State) -> T) -> T {
        let mut state = self.state.take().unwrap_or_default();
        let result = work(&self.engine, &mut state);
        self.state.set(Some(state));
        result
    }
}
