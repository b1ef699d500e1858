//! What operators see of the filter: counters, and warnings that do not flood the log.

mod counter;
pub mod gauge;
pub mod warning;

pub use self::counter::{CallResult, Counter, Outcome, TokenFault};
