//! The engine's instructions to the edge about a request.

use super::decision::Decision;
use super::waiting::Waiting;
use crate::http::Call;

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
