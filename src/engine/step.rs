//! What the engine tells the edge to do with a request, and what a request that waits keeps.

use super::answers::{About, Question};
use super::bearer::Paused;
use super::case::Case;
use super::explanation::Explanation;
use crate::http::{Call, HeaderEdits, Reply};
use crate::jose::FetchTicket;
use crate::telemetry::Outcome;

/// What to do next. Whatever it is, [`State::effects`](super::State::effects) may hold more to be done.
#[must_use]
#[derive(Debug)]
pub enum Step<W = Waiting, K = WaitKey> {
    /// Send the call, and [`Engine::resume`](super::Engine::resume) with what comes of it.
    Call(Call, W),
    /// Keep the request until [`Engine::finish`](super::Engine::finish) names this key, then
    /// [`Engine::wake`](super::Engine::wake) it. Only where the proxy can.
    Park(K, W),
    /// Carry out the decision; nothing follows.
    Done(Decision),
}

/// What several requests may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitKey {
    /// The keys of an issuer, by its index in the configuration.
    Keys(usize),
    /// The answer to the question of this number.
    Answer(u64),
}

/// What a request that waits needs to go on: never the whole head. Exists only beside what it waits for, and is
/// used up by that.
#[derive(Debug)]
pub struct Waiting(pub(super) Wait);

#[derive(Debug)]
pub(super) enum Wait {
    /// For the answer to its own question.
    Own { case: Box<Case>, about: About },
    /// For the answer to a question by its number. Who joined another request's question has one of its own, for
    /// when that answer is not for others.
    Shared { case: Box<Case>, number: u64, question: Option<Box<Question>> },
    /// For an issuer's keys.
    Keys { issuer: usize, ticket: Option<FetchTicket>, paused: Box<Paused> },
    /// For the resolver to confirm the token; `plain` is the call that is tried next.
    Confirmation { paused: Box<Paused>, plain: Option<Call> },
}

/// What becomes of a request, and why.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why; counted.
    pub outcome: Outcome,
    /// What else there is to know of it.
    pub explanation: Explanation,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to the app, with other headers.
    Forward(HeaderEdits),
    /// It is answered here.
    Reply(Reply),
}
