//! The engine with tokens, keys and a resolver, all simulated: every peer answers what a test says, at the time
//! that it says.

#[path = "../tokens/corpus.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod corpus;
mod hostile;
#[path = "../tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;
mod keys;
mod modes;
mod revalidation;
mod world;
