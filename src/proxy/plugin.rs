//! A configured plugin: carries out the engine's steps for its requests, calls and ticks.
//!
//! Proxies with ticks (Envoy) let a callback act for any request. Proxies without (APISIX) do not, so there no
//! request waits for another one's call.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::types::Action;

use super::access_log::AccessLog;
use super::calls::{Asker, Callback, Calls, Outgoing};
use super::exchange::{Exchange, Stage};
use super::host::{self, ProxyRefused};
use super::metrics::{self, Gauges};
use super::retry::Failures;
use super::waiters::{Next, Waiters};
use super::{clock, explain, quarantine};
use crate::engine::projects::{Engines, Memory, OfProject, ProjectStep};
use crate::engine::{BackgroundCall, Decision, Engine, Outcome, Reason, Step, Verdict, WaitKey, Waiting};
use crate::http::{CallError, Field, Head, Response};
use crate::telemetry::{CallResult, Counter};

/// How soon the first tick comes after a configuration. It fetches what requests will need.
pub(super) const FIRST_TICK: Duration = Duration::from_millis(20);

/// The time between ticks.
const TICK: Duration = Duration::from_secs(1);

/// How much sooner than a second after the last tick another one counts as the next.
const EARLY: Duration = Duration::from_millis(500);

/// The time between ticks while requests wait to be woken.
const WAKING_TICK: Duration = Duration::from_millis(1);

/// How many requests are woken in one callback. Envoy nests the replies of one callback, and about 300 of them
/// overflow the VM's stack.
const BATCH: usize = 32;

/// One configuration of the filter in this VM.
pub(super) struct Plugin {
    engines: Engines,
    memory: RefCell<Memory>,
    gauges: Gauges,
    access_log: Option<AccessLog>,
    calls: Calls,
    waiters: Waiters,
    /// The current period of the ticks.
    period: Cell<Duration>,
    /// When the engine's next tick is due.
    tick_due: Cell<Duration>,
}

impl Plugin {
    /// Creates a plugin. With `access_log`, each request is reported to the access log.
    pub(super) fn new(root: u32, engines: Engines, access_log: bool) -> Self {
        let memory = RefCell::new(engines.memory(host::random()));
        Self {
            engines,
            memory,
            gauges: Gauges::default(),
            access_log: access_log.then(AccessLog::default),
            calls: Calls::new(root),
            waiters: Waiters::default(),
            period: Cell::new(FIRST_TICK),
            tick_due: Cell::new(Duration::ZERO),
        }
    }

    /// Starts a request whose headers have arrived.
    pub(super) fn start(&self, exchange: &Rc<Exchange>) -> Action {
        if self.access_log.is_some() || explain::is_wanted() {
            exchange.began.set(clock::elapsed());
        }
        let step = match host::RequestHeaders::read() {
            Ok(headers) => self.first_step(exchange, &headers),
            Err(bad) => Step::Done(self.engines.bad_request(bad)),
        };
        let action = self.run(exchange, step, Callback::OfRequest);
        self.schedule();
        action
    }

    /// Returns the names of the trailers that no client may send.
    pub(super) fn forged_trailers(&self, trailers: &[Field<'_>]) -> Vec<Vec<u8>> {
        self.engines.forged_trailers(trailers)
    }

    /// Handles a tick, or an entry into the root context from a request's callback.
    pub(super) fn on_tick(&self) {
        if self.calls.was_entered() {
            return;
        }
        let now = clock::elapsed();
        self.calls.send_delayed(now);
        self.deliver_unsent();
        // Ticks come sooner while requests wait to be woken.
        if now.saturating_add(EARLY) >= self.tick_due.get() {
            self.tick_due.set(now.saturating_add(TICK));
            for asker in self.calls.take_overdue(now) {
                metrics::count(Counter::Calls(CallResult::Unanswered));
                self.deliver(asker, Err(CallError::NoAnswer));
            }
            self.with_memory(|engines, memory| engines.tick(memory, clock::now()));
            self.carry_out(Callback::OfRoot);
            self.tell_gauges();
        }
        self.wake();
        self.schedule();
    }

    /// Handles the end of a call, with or without an answer.
    pub(super) fn on_answer(&self, token: u32, headers: usize, body: usize) {
        // Nothing waits for the answer to a call whose request is gone.
        let Some(outgoing) = self.calls.take(token) else { return };
        let mut result = host::call_response(headers, body, outgoing.call.body);
        if let Ok(response) = &result
            && response.status < 200
            && !host::has_ticks()
        {
            quarantine(&outgoing.call.upstream, response.status);
            result = Err(CallError::Quarantined);
        }
        let took = clock::elapsed().saturating_sub(outgoing.sent);
        metrics::record_call(took);
        if explain::is_wanted() {
            explain::answer(token, result.as_ref().ok().map(|response| response.status), took);
        }
        metrics::count(Counter::Calls(match &result {
            Ok(response) => CallResult::of_status(response.status),
            Err(_) => CallResult::Unanswered,
        }));
        let Outgoing { call, asker, mut tries, .. } = outgoing;
        let failures = if host::has_ticks() { Failures::Replies } else { Failures::Silence };
        let is_repeated =
            tries.as_mut().is_some_and(|tries| tries.is_repeated(&result, failures, clock::elapsed));
        if is_repeated {
            self.calls.post(Outgoing::new(call, asker, tries));
            self.calls.flush(Callback::OfRoot);
            self.deliver_unsent();
        } else {
            self.deliver(asker, result);
        }
        self.wake();
        self.schedule();
    }

    /// Handles the end of a request's context.
    pub(super) fn on_left(&self, exchange: &Exchange) {
        match exchange.stage.replace(Stage::Done) {
            // Its answer still comes to the root context.
            Stage::Calling(waiting) if host::has_ticks() => exchange.stage.set(Stage::Left(waiting)),
            Stage::Calling(waiting) => {
                if let Some(token) = exchange.token.take() {
                    self.calls.take(token);
                }
                self.abandon(waiting);
            }
            Stage::Parked(waiting) => {
                self.waiters.left();
                self.abandon(waiting);
            }
            Stage::New | Stage::Forwarded(_) | Stage::Done | Stage::Left(_) => {}
        }
    }

    /// Drops everything, because the root context is gone. Its calls end with it, and the proxy does not report that.
    pub(super) fn close(&self) {
        self.calls.close();
        self.waiters.close();
        self.gauges.close();
    }

    fn tell_gauges(&self) {
        let (size, age) = {
            let mut memory = self.memory.borrow_mut();
            (memory.size(), memory.keys_age(clock::now()))
        };
        self.gauges.tell(self.waiters.count(), self.calls.in_flight(), size);
        if let Some(age) = age {
            metrics::record_keys_age(age);
        }
    }

    fn first_step(&self, exchange: &Exchange, headers: &host::RequestHeaders) -> ProjectStep {
        let mut fields = Vec::new();
        let listed = headers.fields();
        let head = listed.and_then(|listed| Head::new(&listed, &mut fields, &host::client_address));
        match head {
            Ok(head) => {
                if explain::is_wanted() {
                    exchange.name.replace(explain::name(&head));
                }
                self.with_memory(|engines, memory| engines.start(memory, &head, clock::now()))
            }
            Err(bad) => Step::Done(self.engines.bad_request(bad)),
        }
    }

    fn with_memory<T>(&self, work: impl FnOnce(&Engines, &mut Memory) -> T) -> T {
        work(&self.engines, &mut self.memory.borrow_mut())
    }

    fn abandon(&self, waiting: OfProject<Waiting>) {
        self.with_memory(|engines, memory| engines.abandon(memory, waiting, clock::now()));
    }

    /// Carries out steps until one has to wait, or none is left.
    fn run(&self, exchange: &Rc<Exchange>, mut step: ProjectStep, callback: Callback) -> Action {
        let mut settled = Vec::new();
        loop {
            settled.extend(self.carry_out(callback));
            step = match step {
                Step::Call(call, waiting) => {
                    exchange.stage.set(Stage::Calling(waiting));
                    self.calls.post(Outgoing::new(call, Asker::Request(Rc::clone(exchange)), None));
                    self.calls.flush(callback);
                    // Nothing else was in the outbox.
                    let Some((_, error)) = self.calls.take_unsent().pop() else { return Action::Pause };
                    if let Stage::Calling(waiting) = exchange.stage.replace(Stage::New) {
                        self.with_memory(|engines, memory| {
                            engines.resume(memory, waiting, Err(error), clock::now())
                        })
                    } else {
                        Step::Done(Engine::broken())
                    }
                }
                Step::Park(key, waiting) => {
                    // What it waits for may already have failed in `carry_out`.
                    if !settled.contains(&key) && self.waiters.have_room() {
                        self.waiters.park(key, exchange, waiting);
                        return Action::Pause;
                    }
                    self.with_memory(|engines, memory| engines.wake(memory, waiting, clock::now()))
                }
                Step::Done(decision) => return self.finish(exchange, decision, callback),
            };
        }
    }

    /// Acts for a paused request in a callback of the root context.
    fn run_for(&self, exchange: &Rc<Exchange>, step: ProjectStep) {
        match host::act_for(exchange.context) {
            Ok(()) => {
                self.run(exchange, step, Callback::OfRoot);
            }
            // The proxy has dropped the request, and nobody waits for it.
            Err(ProxyRefused) => {
                self.carry_out(Callback::OfRoot);
            }
        }
    }

    fn finish(&self, exchange: &Exchange, decision: Decision, callback: Callback) -> Action {
        if explain::is_wanted() {
            let spent = clock::elapsed().saturating_sub(exchange.began.get());
            explain::decision(&exchange.name.borrow(), &decision, spent);
        }
        let Decision { verdict, outcome, explanation } = decision;
        if outcome == Outcome::Refused
            && let Some(fault) = explanation.reason.and_then(Reason::token_fault)
        {
            metrics::count(Counter::TokensRefused(fault));
        }
        if let Some(access_log) = &self.access_log {
            access_log.tell(outcome, &explanation, clock::elapsed().saturating_sub(exchange.began.get()));
        }
        let reply = match verdict {
            Verdict::Forward(edits) => match host::edit_request(&edits) {
                Ok(()) => {
                    metrics::count(outcome.into());
                    exchange.stage.set(match edits.respond {
                        respond if respond.is_empty() => Stage::Done,
                        respond => Stage::Forwarded(respond),
                    });
                    if callback == Callback::OfRoot {
                        host::resume_request();
                    }
                    return Action::Continue;
                }
                // A partial edit is as bad as a forged header.
                Err(ProxyRefused) => {
                    log::error!("the proxy did not edit the headers of a request, which is denied");
                    return self.finish(exchange, Engine::broken(), callback);
                }
            },
            Verdict::Reply(reply) => reply,
        };
        metrics::count(outcome.into());
        exchange.stage.set(Stage::Done);
        host::reply(&reply, outcome);
        Action::Pause
    }

    /// Carries out side effects: logs, counts, and sends background calls. Returns what is settled because its call
    /// will not be sent.
    fn carry_out(&self, callback: Callback) -> Vec<OfProject<WaitKey>> {
        let mut settled = Vec::new();
        loop {
            let effects = self.memory.borrow_mut().effects();
            for warning in &effects.warnings {
                log::warn!("{warning}");
            }
            for counter in effects.counters {
                metrics::count(counter);
            }
            if effects.background_calls.is_empty() {
                return settled;
            }
            for (call, background) in effects.background_calls {
                self.calls.post(Outgoing::new(call, Asker::Background(background), None));
            }
            self.calls.flush(callback);
            for (asker, error) in self.calls.take_unsent() {
                if let Asker::Background(background) = asker {
                    settled.extend(self.finish_background(background, Err(error)));
                }
            }
        }
    }

    fn finish_background(
        &self,
        background: OfProject<BackgroundCall>,
        result: Result<Response, CallError>,
    ) -> Option<OfProject<WaitKey>> {
        let key =
            self.with_memory(|engines, memory| engines.finish(memory, background, result, clock::now()))?;
        self.waiters.settle(key);
        Some(key)
    }

    /// Delivers the result of a call. Only in a callback of the root context.
    fn deliver(&self, asker: Asker, result: Result<Response, CallError>) {
        match asker {
            Asker::Background(background) => {
                self.finish_background(background, result);
                self.carry_out(Callback::OfRoot);
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
                    self.with_memory(|engines, memory| engines.resume(memory, waiting, result, clock::now()));
                if !has_left {
                    return self.run_for(&exchange, step);
                }
                match step {
                    Step::Call(_, waiting) | Step::Park(_, waiting) => self.abandon(waiting),
                    Step::Done(_) => {}
                }
                self.carry_out(Callback::OfRoot);
            }
        }
    }

    fn deliver_unsent(&self) {
        for (asker, error) in self.calls.take_unsent() {
            self.deliver(asker, Err(error));
        }
    }

    /// Wakes some of the requests whose wait is over; a tick wakes the others. Only in a callback of the root
    /// context.
    fn wake(&self) {
        let mut left = BATCH;
        while left > 0 {
            match self.waiters.next() {
                Some(Next::Wake(exchange, waiting)) => {
                    let step =
                        self.with_memory(|engines, memory| engines.wake(memory, waiting, clock::now()));
                    self.run_for(&exchange, step);
                    left = left.saturating_sub(1);
                }
                Some(Next::Told(key)) => self.with_memory(|engines, memory| engines.told(memory, key)),
                None => return,
            }
        }
    }

    /// Sets the period of ticks to when there is something to do.
    fn schedule(&self) {
        if !host::has_ticks() {
            return;
        }
        let period = if !self.waiters.are_told() {
            WAKING_TICK
        } else if let Some(next) = self.calls.next_try() {
            next.saturating_sub(clock::elapsed()).max(WAKING_TICK).min(TICK)
        } else {
            match self.period.get() {
                // The first tick is still to come.
                FIRST_TICK if self.tick_due.get().is_zero() => FIRST_TICK,
                _ => TICK,
            }
        };
        if self.period.replace(period) != period {
            host::set_tick_period(period);
        }
    }
}

/// Stops calls to this upstream for a while.
fn quarantine(upstream: &str, status: u16) {
    log::warn!(
        "{upstream} answered {status}, after which this proxy may mix up answers; this worker does not call it for 65 s"
    );
    quarantine::put(upstream, clock::elapsed());
}
