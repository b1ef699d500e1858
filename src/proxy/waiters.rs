//! Requests that are parked until what they wait for is settled, and those that are to be woken.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::exchange::{Exchange, Stage};
use crate::engine::projects::OfProject;
use crate::engine::{WaitKey, Waiting};

/// How many requests of one configuration may be parked at once; more would not help whoever comes.
const MAX_PARKED: usize = 10_000;

/// See the module.
#[derive(Default)]
pub(super) struct Waiters {
    parked: RefCell<HashMap<OfProject<WaitKey>, Vec<Rc<Exchange>>>>,
    /// How many requests are parked whose clients have not left.
    count: Cell<usize>,
    /// Requests to be woken, with what they waited for.
    ready: RefCell<VecDeque<Ready>>,
}

struct Ready {
    key: OfProject<WaitKey>,
    waiters: Vec<Rc<Exchange>>,
}

/// What comes next of what is to be woken.
pub(super) enum Next {
    /// This request, with what it needs to go on.
    Wake(Rc<Exchange>, OfProject<Waiting>),
    /// Everyone who waited for this has been woken.
    Told(OfProject<WaitKey>),
}

impl Waiters {
    pub(super) fn have_room(&self) -> bool {
        self.count.get() < MAX_PARKED
    }

    pub(super) fn park(&self, key: OfProject<WaitKey>, exchange: &Rc<Exchange>, waiting: OfProject<Waiting>) {
        exchange.stage.set(Stage::Parked(waiting));
        self.parked.borrow_mut().entry(key).or_default().push(Rc::clone(exchange));
        self.count.set(self.count.get().saturating_add(1));
    }

    /// The client of a parked request has left.
    pub(super) fn left(&self) {
        self.count.set(self.count.get().saturating_sub(1));
    }

    /// What requests wait for has come, or will not come.
    pub(super) fn settle(&self, key: OfProject<WaitKey>) {
        let waiters = self.parked.borrow_mut().remove(&key).unwrap_or_default();
        self.ready.borrow_mut().push_back(Ready { key, waiters });
    }

    /// Takes the next request that is to be woken.
    pub(super) fn next(&self) -> Option<Next> {
        loop {
            let next =
                self.ready.borrow_mut().front_mut().map(|ready| ready.waiters.pop().ok_or(ready.key))?;
            let exchange = match next {
                Ok(exchange) => exchange,
                Err(key) => {
                    self.ready.borrow_mut().pop_front();
                    return Some(Next::Told(key));
                }
            };
            let stage = exchange.stage.replace(Stage::Done);
            if let Stage::Parked(waiting) = stage {
                self.left();
                return Some(Next::Wake(exchange, waiting));
            }
            // The client has left.
            exchange.stage.set(stage);
        }
    }

    /// Whether nobody is to be woken.
    pub(super) fn are_told(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    pub(super) fn close(&self) {
        self.parked.take();
        self.ready.take();
    }
}
