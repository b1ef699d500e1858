//! Calls: those to be sent before this entry ends, those that will not be sent, and those in flight.
//!
//! Proxies with ticks (Envoy) send a call for anyone, and deliver its answer to the root context. Proxies without
//! (APISIX) tie a call and its answer to the request in whose callback it is sent. So there a call is sent in the
//! entry that asked for it, or never.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;

use super::exchange::Exchange;
use super::retry::Tries;
use super::{clock, entry, explain, host, metrics, quarantine, raw};
use crate::engine::BackgroundCall;
use crate::engine::projects::OfProject;
use crate::http::{CALL_GRACE, Call, CallError, Form};
use crate::telemetry::{CallResult, Counter};

/// The longest timeout that all proxies accept. APISIX reads it as a signed number.
const MAX_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// The callback in which a step is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callback {
    /// The callback for the request's own headers. The request is not paused yet.
    OfRequest,
    /// A callback of the root context. The request is paused.
    OfRoot,
}

/// A call, and who asked for it.
pub(super) struct Outgoing {
    pub(super) call: Call,
    pub(super) asker: Asker,
    /// `None` before the first try.
    pub(super) tries: Option<Tries>,
    /// The entry that asked for it.
    entry: u64,
    /// When it was sent.
    pub(super) sent: Duration,
}

pub(super) enum Asker {
    Request(Rc<Exchange>),
    Background(OfProject<BackgroundCall>),
}

impl Outgoing {
    pub(super) fn new(call: Call, asker: Asker, tries: Option<Tries>) -> Self {
        Self { call, asker, tries, entry: entry::number(), sent: Duration::ZERO }
    }
}

/// All calls of one plugin.
pub(super) struct Calls {
    /// The root context.
    root: u32,
    /// Calls to be sent before this entry ends.
    outbox: RefCell<Vec<Outgoing>>,
    /// Calls of the outbox that will not be sent.
    unsent: RefCell<Vec<(Asker, CallError)>>,
    /// Whether the root context was entered to empty the outbox.
    is_emptying: Cell<bool>,
    /// Calls that the proxy refused to send, and when to try them again.
    delayed: RefCell<Vec<(Duration, Outgoing)>>,
    in_flight: RefCell<HashMap<u32, Outgoing>>,
    /// Whether the root context is gone.
    is_closed: Cell<bool>,
}

impl Calls {
    pub(super) fn new(root: u32) -> Self {
        Self {
            root,
            outbox: RefCell::default(),
            unsent: RefCell::default(),
            is_emptying: Cell::new(false),
            delayed: RefCell::default(),
            in_flight: RefCell::default(),
            is_closed: Cell::new(false),
        }
    }

    pub(super) fn post(&self, outgoing: Outgoing) {
        self.outbox.borrow_mut().push(outgoing);
    }

    /// Sends the calls in the outbox, as the root context.
    pub(super) fn flush(&self, callback: Callback) {
        match callback {
            Callback::OfRequest if !self.is_closed.get() => {
                self.is_emptying.set(true);
                raw::enter_root(self.root);
                self.is_emptying.set(false);
            }
            Callback::OfRequest | Callback::OfRoot => self.empty_outbox(),
        }
    }

    /// Empties the outbox if the root context was entered for that. Returns whether it was.
    pub(super) fn was_entered(&self) -> bool {
        if self.is_emptying.get() {
            self.empty_outbox();
        }
        self.is_emptying.get()
    }

    /// Takes the calls that will not be sent.
    pub(super) fn take_unsent(&self) -> Vec<(Asker, CallError)> {
        let unsent = self.unsent.take();
        unsent.iter().for_each(|_| metrics::count(Counter::Calls(CallResult::Unsent)));
        unsent
    }

    /// Takes a call in flight, because its answer has come or nobody wants it any more.
    pub(super) fn take(&self, token: u32) -> Option<Outgoing> {
        self.in_flight.borrow_mut().remove(&token)
    }

    /// Takes the calls whose wait the proxy should have ended.
    pub(super) fn take_overdue(&self, now: Duration) -> Vec<Asker> {
        let is_over =
            |outgoing: &Outgoing| outgoing.tries.is_some_and(|tries| tries.is_over(CALL_GRACE, now));
        let mut in_flight = self.in_flight.borrow_mut();
        in_flight.extract_if(|_, outgoing| is_over(outgoing)).map(|(_, overdue)| overdue.asker).collect()
    }

    /// Sends again the calls that the proxy refused.
    pub(super) fn send_delayed(&self, now: Duration) {
        let due: Vec<_> =
            self.delayed.borrow_mut().extract_if(.., |(next, _)| *next <= now).map(|(_, due)| due).collect();
        for outgoing in due {
            self.send(outgoing);
        }
    }

    /// Returns when the first of those is due.
    /// How many calls are in flight, or will be.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.borrow().len().saturating_add(self.delayed.borrow().len())
    }

    pub(super) fn next_try(&self) -> Option<Duration> {
        self.delayed.borrow().iter().map(|(next, _)| *next).min()
    }

    /// Drops all calls, because the root context is gone. Its calls end with it, and the proxy does not report that.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.outbox.take();
        self.delayed.take();
        self.in_flight.take();
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
        outgoing.sent = now;
        let tries = outgoing.tries.get_or_insert(Tries::new(outgoing.call.timeout, now));
        // The SDK sends only text. The modules that build calls ensure that everything in a call is text.
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
                if explain::is_wanted() {
                    explain::call(token, &outgoing.call);
                }
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
        // Sent in another entry, it would belong to another request, and so would its answer. The proxy refuses a
        // second call.
        if outgoing.entry != entry::number() || entry::has_called() {
            return Err(CallError::NotSent);
        }
        let is_held = quarantine::holds(&outgoing.call.upstream, clock::elapsed());
        if is_held { Err(CallError::Quarantined) } else { Ok(()) }
    }
}
