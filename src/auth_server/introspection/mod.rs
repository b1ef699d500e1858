//! An authorization server that is asked about tokens (OAuth 2.0 Token Introspection, RFC 7662). Turns a token into a
//! call, and the answer into its claims or the fact that it is not active. Owns all knowledge of such servers. The
//! issuer's policy decides what the claims must be.

mod answer;
mod question;
mod settings;

pub use self::answer::{MAX_ANSWER_BYTES, read};
pub use self::question::{call, key};
pub use self::settings::{Introspection, basic};
