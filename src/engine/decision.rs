//! The verdict about a request, and why.

use super::explanation::Explanation;
use crate::http::{HeaderEdits, Reply};
use crate::telemetry::Outcome;

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
