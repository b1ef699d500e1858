//! A request, as far as it has come.

use std::cell::Cell;
use std::time::Duration;

use crate::engine::Waiting;
use crate::engine::projects::OfProject;
use crate::http::ResponseEdits;

/// A request. Shared with whatever it waits for, because the SDK lends no context to another.
pub(super) struct Exchange {
    /// The HTTP context.
    pub(super) context: u32,
    pub(super) stage: Cell<Stage>,
    /// The token of its call in flight.
    pub(super) token: Cell<Option<u32>>,
    /// When its headers came, by the clock that nobody sets; only where somebody wants to know.
    pub(super) began: Cell<Duration>,
}

pub(super) enum Stage {
    /// Nothing is decided, and nothing asked.
    New,
    /// Paused until the answer to its own call comes.
    Calling(OfProject<Waiting>),
    /// Paused until what it waits for is settled.
    Parked(OfProject<Waiting>),
    /// Let through; this is to be done to the response.
    Forwarded(ResponseEdits),
    /// Let through or answered, and nothing is left to do.
    Done,
    /// The client has left, and the answer to its own call is still taken note of.
    Left(OfProject<Waiting>),
}

impl Exchange {
    pub(super) fn new(context: u32) -> Self {
        Self { context, stage: Cell::new(Stage::New), token: Cell::new(None), began: Cell::default() }
    }

    /// What is to be done to the response, once.
    pub(super) fn respond(&self) -> Option<ResponseEdits> {
        let stage = self.stage.replace(Stage::Done);
        if let Stage::Forwarded(respond) = stage {
            return Some(respond);
        }
        // A response before its request was let through is the proxy's own, to a request that timed out.
        self.stage.set(stage);
        None
    }
}
