//! The engine's instructions to the edge about a request, and the state of a request that waits.

use super::answers::{About, Question};
use super::bearer::Paused;
use super::case::Case;
use super::explanation::Explanation;
use crate::http::{Call, HeaderEdits, Reply};
use crate::jose::FetchTicket;
use crate::telemetry::Outcome;

/// The next step. With any step, [`State::effects`](super::State::effects) may contain more to do.
#[must_use]
#[derive(Debug)]
pub enum Step<W = Waiting, K = WaitKey> {
    /// Send the call, and pass its result to [`Engine::resume`](super::Engine::resume).
    Call(Call, W),
    /// Park the request until [`Engine::finish`](super::Engine::finish) returns this key, then
    /// [`Engine::wake`](super::Engine::wake) it. Only on proxies that can.
    Park(K, W),
    /// Carry out the decision. No step follows.
    Done(Decision),
}

/// What several requests may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitKey {
    /// The keys of an issuer, by its index in the configuration.
    Keys(usize),
    /// The answer to the question with this number.
    Answer(u64),
}

/// What a waiting request needs to continue; never its whole head. Exists only together with what it waits for, and
/// is consumed by it.
#[derive(Debug)]
pub struct Waiting(pub(super) Wait);

#[derive(Debug)]
pub(super) enum Wait {
    /// For the answer to its own question.
    Own { case: Box<Case>, about: About },
    /// For the answer to the question with this number. A request that joined another request's question has its own
    /// too, in case that answer may not be shared.
    Shared { case: Box<Case>, number: u64, question: Option<Box<Question>> },
    /// For an issuer's keys.
    Keys { issuer: usize, ticket: Option<FetchTicket>, paused: Box<Paused> },
    /// For the resolver to confirm the token. `plain` is the call to try next.
    Confirmation { paused: Box<Paused>, plain: Option<Call> },
}

/// A verdict about a request, and why.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason, which is counted.
    pub outcome: Outcome,
    /// What else is known about the decision.
    pub explanation: Explanation,
}

/// What happens to a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is forwarded to the app, with edited headers.
    Forward(HeaderEdits),
    /// It is answered here.
    Reply(Reply),
}
