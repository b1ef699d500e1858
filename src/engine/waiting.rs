//! The state of a request that waits.

use std::fmt;

use super::answers::{About, Question};
use super::case::Case;
use crate::auth_server::authgear::resolver::Confirmation;
use crate::http::Call;
use crate::jose::FetchTicket;
use crate::jose::dpop::Proof;

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

/// The state of a request that waits because its token cannot be judged yet.
pub(super) struct Paused {
    pub(super) case: Box<Case>,
    pub(super) token: Vec<u8>,
    pub(super) proof: Option<Proof>,
    /// The calls that confirm the token, if there is a resolver.
    pub(super) confirmation: Option<Confirmation>,
    /// The question about the cookies alone, if the request has any.
    pub(super) cookies: Option<Question>,
    /// The question about all credentials, for when there are no keys.
    pub(super) whole: Option<Question>,
}

/// Prints without the token.
impl fmt::Debug for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paused")
    }
}
