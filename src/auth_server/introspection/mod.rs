//! An authorization server that is asked what a token means to it (OAuth 2.0 Token Introspection, RFC 7662): the token
//! → the call; the answer → its claims, or that it is not active. Owns all that is known of such servers; what the
//! claims must be is for the issuer's policy to say.

mod answer;
mod question;
mod settings;

pub use self::answer::{MAX_ANSWER_BYTES, read};
pub use self::question::{call, key};
pub use self::settings::{Introspection, basic};
