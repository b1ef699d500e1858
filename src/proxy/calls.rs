//! A configured plugin, and everything that is under way for it: calls to be sent and in flight, requests that wait for
//! their answers, and those that are to be woken.
//!
//! Hosts with ticks (Envoy) send a call for whoever wants it, keep its answer for the root context, and let a callback act
//! for any request. Hosts without (APISIX) tie a call to the request in whose callback it is sent, and its answer too.
//! So there a call is sent in the entry that asked for it or never, and no request waits for another one's.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::types::Action;

use super::host::{self, Counters, HostRefused};
use super::quarantine::Quarantine;
use super::retry::{Failures, Tries};
use super::{clock, entry, raw};
use crate::engine::{BackgroundCall, Decision, Engine, State, Step, Verdict, WaitKey, Waiting};
use crate::http::{CALL_GRACE, Call, CallError, Field, Form, Head, OwnedField, Response};

/// How soon after a configuration the first tick comes, which fetches what requests will need.
pub(super) const FIRST_TICK: Duration = Duration::from_millis(20);

/// The time between ticks.
const TICK: Duration = Duration::from_secs(1);

/// How much sooner than a second after the last one a tick may come to count as the next.
const EARLY: Duration = Duration::from_millis(500);

/// The time between ticks while requests wait to be woken.
const WAKING_TICK: Duration = Duration::from_millis(1);

/// How many requests are woken in one callback. Envoy sends the replies of a callback one inside the other, and about
/// 300 of them overflow the VM's stack.
const BATCH: usize = 32;

/// How many requests of one configuration may be parked at once; more would not help whoever comes.
const MAX_PARKED: usize = 10_000;

/// The longest timeout that all hosts take: APISIX reads it with a sign.
const MAX_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

thread_local! {
    /// Of all configurations: the connections belong to the worker.
    static QUARANTINE: RefCell<Quarantine> = const { RefCell::new(Quarantine::new()) };
}

/// One configuration of the filter in this VM.
pub(super) struct Plugin {
    /// The root context.
    root: u32,
    engine: Engine,
    state: RefCell<State>,
    counters: Counters,
    /// Calls to be sent before this entry ends.
    outbox: RefCell<Vec<Outgoing>>,
    /// Those of the outbox that will not be sent.
    unsent: RefCell<Vec<(Asker, CallError)>>,
    /// Whether the root context was entered to empty the outbox.
    is_emptying: Cell<bool>,
    /// Calls that the proxy refused to send, and when they are tried again.
    delayed: RefCell<Vec<(Duration, Outgoing)>>,
    in_flight: RefCell<HashMap<u32, Outgoing>>,
    parked: RefCell<HashMap<WaitKey, Vec<Rc<Exchange>>>>,
    /// How many requests are parked whose clients have not left.
    parked_count: Cell<usize>,
    /// Requests to be woken, with what they waited for.
    ready: RefCell<VecDeque<Ready>>,
    /// The period of the ticks now.
    period: Cell<Duration>,
    /// When the engine's next tick is due.
    tick_due: Cell<Duration>,
    /// The root context is gone.
    is_closed: Cell<bool>,
}

/// A request, as far as it has come. Shared with whatever it waits for, because the SDK lends no context to another.
pub(super) struct Exchange {
    /// The HTTP context.
    context: u32,
    stage: Cell<Stage>,
    /// The token of its call in flight.
    token: Cell<Option<u32>>,
}

enum Stage {
    /// Nothing is decided, and nothing asked.
    New,
    /// Paused until the answer to its own call comes.
    Calling(Waiting),
    /// Paused until what it waits for is settled.
    Parked(Waiting),
    /// Let through; these go to the client with the response.
    Forwarded(Vec<OwnedField>),
    /// Let through or answered, and nothing is left to do.
    Done,
    /// The client has left, and the answer to its own call is still taken note of.
    Left(Waiting),
}

/// Where a step is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the callback for the headers of the request itself, which is not paused yet.
    Request,
    /// In a callback of the root context. The request is paused.
    Root,
}

/// A call, and for whom it is.
struct Outgoing {
    call: Call,
    asker: Asker,
    /// None before the first try.
    tries: Option<Tries>,
    /// The entry in which it was asked.
    entry: u64,
}

enum Asker {
    Request(Rc<Exchange>),
    Background(BackgroundCall),
}

struct Ready {
    key: WaitKey,
    waiters: Vec<Rc<Exchange>>,
}

impl Outgoing {
    fn new(call: Call, asker: Asker) -> Self {
        Self { call, asker, tries: None, entry: entry::number() }
    }
}

impl Exchange {
    pub(super) fn new(context: u32) -> Self {
        Self { context, stage: Cell::new(Stage::New), token: Cell::new(None) }
    }

    /// The headers for the response, once.
    pub(super) fn respond(&self) -> Option<Vec<OwnedField>> {
        let stage = self.stage.replace(Stage::Done);
        if let Stage::Forwarded(respond) = stage {
            return Some(respond);
        }
        // A response before its request was let through is the host's own, to a request that timed out.
        self.stage.set(stage);
        None
    }
}

impl Plugin {
    pub(super) fn new(root: u32, engine: Engine) -> Self {
        let state = RefCell::new(engine.state(host::random()));
        Self {
            root,
            engine,
            state,
            counters: Counters::define(),
            outbox: RefCell::default(),
            unsent: RefCell::default(),
            is_emptying: Cell::new(false),
            delayed: RefCell::default(),
            in_flight: RefCell::default(),
            parked: RefCell::default(),
            parked_count: Cell::new(0),
            ready: RefCell::default(),
            period: Cell::new(FIRST_TICK),
            tick_due: Cell::new(Duration::ZERO),
            is_closed: Cell::new(false),
        }
    }

    /// The headers of a request have come.
    pub(super) fn start(&self, exchange: &Rc<Exchange>) -> Action {
        let step = match host::RequestHeaders::read() {
            Ok(headers) => self.first_step(&headers),
            Err(bad) => Step::Done(self.engine.bad_request(bad)),
        };
        let action = self.run(exchange, step, At::Request);
        self.schedule();
        action
    }

    /// The names of the trailers that no client may send.
    pub(super) fn forged_trailers(&self, trailers: &[Field<'_>]) -> Vec<Vec<u8>> {
        self.engine.forged_trailers(trailers)
    }

    /// A tick, or the root context was entered from a request's callback.
    pub(super) fn on_tick(&self) {
        if self.is_emptying.get() {
            return self.empty_outbox();
        }
        let now = clock::elapsed();
        self.send_delayed(now);
        // Ticks come sooner while requests wait to be woken.
        if now.saturating_add(EARLY) >= self.tick_due.get() {
            self.tick_due.set(now.saturating_add(TICK));
            self.end_overdue(now);
            self.with_state(|engine, state| engine.tick(state, clock::now()));
            self.carry_out(At::Root);
        }
        self.wake();
        self.schedule();
    }

    /// The answer to a call has come, or will not.
    pub(super) fn on_answer(&self, token: u32, headers: usize, body: usize) {
        // Nobody waits for the answer to a call whose request is gone.
        let Some(outgoing) = self.in_flight.borrow_mut().remove(&token) else { return };
        let mut result = host::call_response(headers, body, outgoing.call.body);
        if let Ok(response) = &result
            && response.status < 200
            && !host::has_ticks()
        {
            quarantine(&outgoing.call.upstream, response.status);
            result = Err(CallError::Quarantined);
        }
        let Outgoing { call, asker, mut tries, .. } = outgoing;
        let failures = if host::has_ticks() { Failures::Replies } else { Failures::Silence };
        let is_repeated =
            tries.as_mut().is_some_and(|tries| tries.is_repeated(&result, failures, clock::elapsed));
        if is_repeated {
            self.post(Outgoing { call, asker, tries, entry: entry::number() });
            self.flush(At::Root);
            self.deliver_unsent();
        } else {
            self.deliver(asker, result);
        }
        self.wake();
        self.schedule();
    }

    /// A request's context is gone.
    pub(super) fn on_left(&self, exchange: &Exchange) {
        match exchange.stage.replace(Stage::Done) {
            // Its answer comes to the root context all the same.
            Stage::Calling(waiting) if host::has_ticks() => exchange.stage.set(Stage::Left(waiting)),
            Stage::Calling(waiting) => {
                if let Some(token) = exchange.token.take() {
                    self.in_flight.borrow_mut().remove(&token);
                }
                self.abandon(waiting);
            }
            Stage::Parked(waiting) => {
                self.parked_count.set(self.parked_count.get().saturating_sub(1));
                self.abandon(waiting);
            }
            Stage::New | Stage::Forwarded(_) | Stage::Done | Stage::Left(_) => {}
        }
    }

    /// The root context is gone. Its calls end with it, and the host does not say so.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.outbox.take();
        self.delayed.take();
        self.in_flight.take();
        self.parked.take();
        self.ready.take();
    }

    fn first_step(&self, headers: &host::RequestHeaders) -> Step {
        let mut fields = Vec::new();
        let listed = headers.fields();
        let head = listed.and_then(|listed| Head::new(&listed, &mut fields, &host::client_address));
        match head {
            Ok(head) => self.with_state(|engine, state| engine.start(state, &head, clock::now())),
            Err(bad) => Step::Done(self.engine.bad_request(bad)),
        }
    }

    fn with_state<T>(&self, work: impl FnOnce(&Engine, &mut State) -> T) -> T {
        work(&self.engine, &mut self.state.borrow_mut())
    }

    fn abandon(&self, waiting: Waiting) {
        self.with_state(|engine, state| engine.abandon(state, waiting, clock::now()));
    }

    /// Carries out steps until one has to wait, or none is left.
    fn run(&self, exchange: &Rc<Exchange>, mut step: Step, at: At) -> Action {
        let mut settled = Vec::new();
        loop {
            settled.extend(self.carry_out(at));
            step = match step {
                Step::Call(call, waiting) => {
                    exchange.stage.set(Stage::Calling(waiting));
                    self.post(Outgoing::new(call, Asker::Request(Rc::clone(exchange))));
                    self.flush(at);
                    // Nothing else was in the outbox.
                    let Some((_, error)) = self.unsent.borrow_mut().pop() else { return Action::Pause };
                    if let Stage::Calling(waiting) = exchange.stage.replace(Stage::New) {
                        self.with_state(|engine, state| {
                            engine.resume(state, waiting, Err(error), clock::now())
                        })
                    } else {
                        Step::Done(Engine::broken())
                    }
                }
                Step::Park(key, waiting) => {
                    // What it waits for may have failed already, in `carry_out`.
                    if !settled.contains(&key) && self.has_room() {
                        self.park(key, exchange, waiting);
                        return Action::Pause;
                    }
                    self.with_state(|engine, state| engine.wake(state, waiting, clock::now()))
                }
                Step::Done(decision) => return self.finish(exchange, decision, at),
            };
        }
    }

    /// Acts for a paused request in a callback of the root context.
    fn run_for(&self, exchange: &Rc<Exchange>, step: Step) {
        match host::act_for(exchange.context) {
            Ok(()) => {
                self.run(exchange, step, At::Root);
            }
            // The host has forgotten the request, and nobody waits.
            Err(HostRefused) => {
                self.carry_out(At::Root);
            }
        }
    }

    fn finish(&self, exchange: &Exchange, decision: Decision, at: At) -> Action {
        let Decision { verdict, outcome } = decision;
        let reply = match verdict {
            Verdict::Forward(edits) => match host::edit_request(&edits) {
                Ok(()) => {
                    self.counters.count(outcome.into());
                    exchange.stage.set(match edits.respond {
                        respond if respond.is_empty() => Stage::Done,
                        respond => Stage::Forwarded(respond),
                    });
                    if at == At::Root {
                        host::resume_request();
                    }
                    return Action::Continue;
                }
                // Half of the edits are as good as a forged header.
                Err(HostRefused) => {
                    log::error!("the proxy did not edit the headers of a request, which is denied");
                    return self.finish(exchange, Engine::broken(), at);
                }
            },
            Verdict::Reply(reply) => reply,
        };
        self.counters.count(outcome.into());
        exchange.stage.set(Stage::Done);
        host::reply(&reply, outcome);
        Action::Pause
    }

    /// Does what steps want done besides: log, count, send calls for all requests. Returns what is settled because its
    /// call will not be sent.
    fn carry_out(&self, at: At) -> Vec<WaitKey> {
        let mut settled = Vec::new();
        loop {
            let effects = self.state.borrow_mut().effects();
            for warning in &effects.warnings {
                log::warn!("{warning}");
            }
            for counter in effects.counters {
                self.counters.count(counter);
            }
            if effects.background_calls.is_empty() {
                return settled;
            }
            for (call, background) in effects.background_calls {
                self.post(Outgoing::new(call, Asker::Background(background)));
            }
            self.flush(at);
            for (asker, error) in self.unsent.take() {
                if let Asker::Background(background) = asker {
                    settled.extend(self.finish_background(background, Err(error)));
                }
            }
        }
    }

    fn finish_background(
        &self,
        background: BackgroundCall,
        result: Result<Response, CallError>,
    ) -> Option<WaitKey> {
        let key = self.with_state(|engine, state| engine.finish(state, background, result, clock::now()))?;
        let waiters = self.parked.borrow_mut().remove(&key).unwrap_or_default();
        self.ready.borrow_mut().push_back(Ready { key, waiters });
        Some(key)
    }

    /// Gives what came of a call to whoever asked. Only in a callback of the root context.
    fn deliver(&self, asker: Asker, result: Result<Response, CallError>) {
        match asker {
            Asker::Background(background) => {
                self.finish_background(background, result);
                self.carry_out(At::Root);
            }
            Asker::Request(exchange) => {
                exchange.token.set(None);
                let (waiting, has_left) = match exchange.stage.replace(Stage::Done) {
                    Stage::Calling(waiting) => (waiting, false),
                    Stage::Left(waiting) => (waiting, true),
                    stage @ (Stage::New | Stage::Parked(_) | Stage::Forwarded(_) | Stage::Done) => {
                        return exchange.stage.set(stage);
                    }
                };
                let step =
                    self.with_state(|engine, state| engine.resume(state, waiting, result, clock::now()));
                if !has_left {
                    return self.run_for(&exchange, step);
                }
                match step {
                    Step::Call(_, waiting) | Step::Park(_, waiting) => self.abandon(waiting),
                    Step::Done(_) => {}
                }
                self.carry_out(At::Root);
            }
        }
    }

    fn deliver_unsent(&self) {
        for (asker, error) in self.unsent.take() {
            self.deliver(asker, Err(error));
        }
    }

    fn post(&self, outgoing: Outgoing) {
        self.outbox.borrow_mut().push(outgoing);
    }

    /// Sends what is in the outbox, as the root context.
    fn flush(&self, at: At) {
        match at {
            At::Request if !self.is_closed.get() => {
                self.is_emptying.set(true);
                raw::enter_root(self.root);
                self.is_emptying.set(false);
            }
            At::Request | At::Root => self.empty_outbox(),
        }
    }

    fn empty_outbox(&self) {
        for outgoing in self.outbox.take() {
            self.send(outgoing);
        }
    }

    fn send(&self, mut outgoing: Outgoing) {
        if let Err(error) = self.may_send(&outgoing) {
            return self.unsent.borrow_mut().push((outgoing.asker, error));
        }
        let now = clock::elapsed();
        let tries = outgoing.tries.get_or_insert(Tries::new(outgoing.call.timeout, now));
        // What the SDK sends is text. The callers of the auth server see to it that all of a call is.
        let headers: Result<Vec<_>, _> = outgoing
            .call
            .fields
            .iter()
            .map(|(name, value)| Ok((std::str::from_utf8(name)?, std::str::from_utf8(value)?)))
            .collect::<Result<_, std::str::Utf8Error>>();
        let Ok(headers) = headers else {
            return self.unsent.borrow_mut().push((outgoing.asker, CallError::NotSent));
        };
        let timeout = tries.left(now).min(MAX_TIMEOUT);
        let form = outgoing.call.form.as_ref().map(Form::reveal);
        match hostcalls::dispatch_http_call(&outgoing.call.upstream, headers, form, Vec::new(), timeout) {
            Ok(token) => {
                entry::called();
                if let Asker::Request(exchange) = &outgoing.asker {
                    exchange.token.set(Some(token));
                }
                self.in_flight.borrow_mut().insert(token, outgoing);
            }
            Err(_status) => match tries.refused(now) {
                Some(next) if host::has_ticks() => self.delayed.borrow_mut().push((next, outgoing)),
                Some(_) | None => self.unsent.borrow_mut().push((outgoing.asker, CallError::NotSent)),
            },
        }
    }

    fn may_send(&self, outgoing: &Outgoing) -> Result<(), CallError> {
        if self.is_closed.get() {
            return Err(CallError::NotSent);
        }
        if host::has_ticks() {
            return Ok(());
        }
        // Sent in another entry it would be another request's, and its answer too. Of two the host refuses one.
        if outgoing.entry != entry::number() || entry::has_called() {
            return Err(CallError::NotSent);
        }
        let is_held = QUARANTINE
            .with_borrow_mut(|quarantine| quarantine.holds(&outgoing.call.upstream, clock::elapsed()));
        if is_held { Err(CallError::Quarantined) } else { Ok(()) }
    }

    /// Tries calls again that the proxy refused to send.
    fn send_delayed(&self, now: Duration) {
        let due: Vec<_> =
            self.delayed.borrow_mut().extract_if(.., |(next, _)| *next <= now).map(|(_, due)| due).collect();
        for outgoing in due {
            self.send(outgoing);
        }
        self.deliver_unsent();
    }

    /// Ends the wait for answers that the proxy should have ended.
    fn end_overdue(&self, now: Duration) {
        let is_over =
            |outgoing: &Outgoing| outgoing.tries.is_some_and(|tries| tries.is_over(CALL_GRACE, now));
        let overdue: Vec<_> = self
            .in_flight
            .borrow_mut()
            .extract_if(|_, outgoing| is_over(outgoing))
            .map(|(_, overdue)| overdue.asker)
            .collect();
        for asker in overdue {
            self.deliver(asker, Err(CallError::NoAnswer));
        }
    }

    fn has_room(&self) -> bool {
        self.parked_count.get() < MAX_PARKED
    }

    fn park(&self, key: WaitKey, exchange: &Rc<Exchange>, waiting: Waiting) {
        exchange.stage.set(Stage::Parked(waiting));
        self.parked.borrow_mut().entry(key).or_default().push(Rc::clone(exchange));
        self.parked_count.set(self.parked_count.get().saturating_add(1));
    }

    /// Wakes some of those whose wait is over; a tick wakes the others. Only in a callback of the root context.
    fn wake(&self) {
        let mut left = BATCH;
        while left > 0 {
            let next = match self.ready.borrow_mut().front_mut() {
                Some(ready) => ready.waiters.pop().ok_or(ready.key),
                None => return,
            };
            match next {
                Ok(exchange) => {
                    if self.wake_one(&exchange) {
                        left = left.saturating_sub(1);
                    }
                }
                Err(key) => {
                    self.ready.borrow_mut().pop_front();
                    self.with_state(|engine, state| engine.told(state, key));
                }
            }
        }
    }

    /// Whether there was somebody to wake.
    fn wake_one(&self, exchange: &Rc<Exchange>) -> bool {
        let stage = exchange.stage.replace(Stage::Done);
        if let Stage::Parked(waiting) = stage {
            self.parked_count.set(self.parked_count.get().saturating_sub(1));
            let step = self.with_state(|engine, state| engine.wake(state, waiting, clock::now()));
            self.run_for(exchange, step);
            return true;
        }
        // The client has left.
        exchange.stage.set(stage);
        false
    }

    /// Has the next tick come when there is something to do.
    fn schedule(&self) {
        if !host::has_ticks() {
            return;
        }
        let period = if !self.ready.borrow().is_empty() {
            WAKING_TICK
        } else if let Some(next) = self.delayed.borrow().iter().map(|(next, _)| *next).min() {
            next.saturating_sub(clock::elapsed()).max(WAKING_TICK).min(TICK)
        } else {
            match self.period.get() {
                // The first one is still to come.
                FIRST_TICK if self.tick_due.get().is_zero() => FIRST_TICK,
                _ => TICK,
            }
        };
        if self.period.replace(period) != period {
            host::set_tick_period(period);
        }
    }
}

/// No call goes to this upstream for a while.
fn quarantine(upstream: &str, status: u16) {
    log::warn!(
        "{upstream} answered {status}, after which this proxy may mix up answers; this worker does not call it for 65 s"
    );
    QUARANTINE.with_borrow_mut(|quarantine| quarantine.put(upstream, clock::elapsed()));
}
