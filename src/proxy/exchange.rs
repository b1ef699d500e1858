//! A request and its progress.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::engine::Waiting;
use crate::engine::projects::OfProject;
use crate::http::ResponseEdits;

/// A request. Shared with what it waits for, because the SDK does not lend one context to another.
pub(super) struct Exchange {
    /// The HTTP context.
    pub(super) context: u32,
    pub(super) stage: Cell<Stage>,
    /// The token of its call in flight.
    pub(super) token: Cell<Option<u32>>,
    /// When its headers arrived, by a clock that nobody sets; only if it is needed.
    pub(super) began: Cell<Duration>,
    /// Its name in the debug log; empty without one.
    pub(super) name: RefCell<Vec<u8>>,
}

pub(super) enum Stage {
    /// Nothing is decided, and no call is made.
    New,
    /// Paused until the answer to its own call comes.
    Calling(OfProject<Waiting>),
    /// Paused until what it waits for is settled.
    Parked(OfProject<Waiting>),
    /// Let through, with these edits of the response to come.
    Forwarded(ResponseEdits),
    /// Let through or answered, with nothing left to do.
    Done,
    /// The client has left, but the answer to its own call is still used.
    Left(OfProject<Waiting>),
}

impl Exchange {
    pub(super) fn new(context: u32) -> Self {
        Self {
            context,
            stage: Cell::new(Stage::New),
            token: Cell::new(None),
            began: Cell::default(),
            name: RefCell::default(),
        }
    }

    /// Takes the edits of the response.
    pub(super) fn respond(&self) -> Option<ResponseEdits> {
        let stage = self.stage.replace(Stage::Done);
        if let Stage::Forwarded(respond) = stage {
            return Some(respond);
        }
        // A response before its request was let through is the proxy's own, for a request that timed out.
        self.stage.set(stage);
        None
    }
}
