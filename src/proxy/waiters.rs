//! Requests that are parked until what they wait for is settled, and those to be woken.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::exchange::{Exchange, Stage};
use crate::engine::projects::OfProject;
use crate::engine::{WaitKey, Waiting};

/// The most requests of one configuration that may be parked at once. A longer queue would not help new requests.
const MAX_PARKED: usize = 10_000;

/// The parked requests of one plugin.
#[derive(Default)]
pub(super) struct Waiters {
    parked: RefCell<HashMap<OfProject<WaitKey>, Vec<Rc<Exchange>>>>,
    /// The number of parked requests whose clients have not left.
    count: Cell<usize>,
    /// Requests to be woken, with the key that they waited for.
    ready: RefCell<VecDeque<Ready>>,
}

struct Ready {
    key: OfProject<WaitKey>,
    waiters: Vec<Rc<Exchange>>,
}

/// The next item among the requests to be woken.
pub(super) enum Next {
    /// This request, with its state.
    Wake(Rc<Exchange>, OfProject<Waiting>),
    /// All requests that waited for this key have been woken.
    Told(OfProject<WaitKey>),
}

impl Waiters {
    /// How many requests are parked.
    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    pub(super) fn have_room(&self) -> bool {
        self.count.get() < MAX_PARKED
    }

    pub(super) fn park(&self, key: OfProject<WaitKey>, exchange: &Rc<Exchange>, waiting: OfProject<Waiting>) {
        exchange.stage.set(Stage::Parked(waiting));
        self.parked.borrow_mut().entry(key).or_default().push(Rc::clone(exchange));
        self.count.set(self.count.get().saturating_add(1));
    }

    /// Records that the client of a parked request has left.
    pub(super) fn left(&self) {
        self.count.set(self.count.get().saturating_sub(1));
    }

    /// Moves the requests that wait for a key to those to be woken.
    pub(super) fn settle(&self, key: OfProject<WaitKey>) {
        let waiters = self.parked.borrow_mut().remove(&key).unwrap_or_default();
        self.ready.borrow_mut().push_back(Ready { key, waiters });
    }

    /// Takes the next request to be woken.
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

    /// Returns whether no request is to be woken.
    pub(super) fn are_told(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    pub(super) fn close(&self) {
        self.parked.take();
        self.ready.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Projects;
    use crate::engine::projects::Engines;
    use crate::engine::{Capabilities, Step};
    use crate::http::{Head, UnixTime};
    use crate::jose::Backend;

    #[test]
    fn ten_thousand_wait_at_most_and_those_who_left_do_not_count() {
        let config =
            br#"{"authgear": {"endpoint": "https://a.example", "upstream": "a", "mode": "resolver"}}"#;
        let proxy = Capabilities { background: true, signatures: Backend::Portable };
        let engines = Engines::new(Projects::parse(config).unwrap(), proxy);
        let mut memory = engines.memory(7);
        let head = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"a",
            path: b"/",
            fields: &[(b"cookie", b"session=s")],
            client_address: &|| None,
        };
        let waiters = Waiters::default();
        let mut exchanges = Vec::new();
        let mut park = |waiters: &Waiters, context| {
            let step = engines.start(&mut memory, &head, UnixTime::from_secs(1));
            let Step::Park(key, waiting) = step else { panic!("{step:?}") };
            let exchange = Rc::new(Exchange::new(context));
            waiters.park(key, &exchange, waiting);
            exchanges.push(exchange);
            key
        };
        let mut context = 0..;
        while waiters.have_room() {
            park(&waiters, context.next().unwrap());
        }
        assert_eq!(context.next(), Some(10_000));
        let leaves = |exchange: &Exchange| {
            exchange.stage.set(Stage::Done);
            waiters.left();
        };
        let key = {
            assert!(!waiters.have_room());
            // Room for one more, who comes.
            waiters.left();
            assert!(waiters.have_room());
            park(&waiters, 10_000)
        };
        exchanges[0].stage.set(Stage::Done);
        exchanges[1..5_000].iter().for_each(|exchange| leaves(exchange));
        assert!(waiters.have_room());
        waiters.settle(key);
        let mut woken = 0;
        while let Some(Next::Wake(..)) = waiters.next() {
            woken += 1;
        }
        assert_eq!(woken, 5_001, "who left is not woken");
        assert!(waiters.are_told() && waiters.have_room());
    }
}
