//! The engine with tokens, keys and a resolver, all simulated: every peer answers what a test says, at the time
//! that it says.
//!
//! Everything is a test module, so that helpers too may unwrap.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows is a test that fails")]

#[cfg(test)]
mod answers;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod combinations;
#[cfg(test)]
#[path = "../tokens/corpus.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod corpus;
#[cfg(test)]
mod dpop;
#[cfg(test)]
mod forward_auth;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod introspection;
#[cfg(test)]
#[path = "../tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
#[allow(clippy::wildcard_enum_match_arm, reason = "tables name what they are about")]
mod issuer;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod login;
#[cfg(test)]
mod modes;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod places;
#[cfg(test)]
mod projects;
#[cfg(test)]
mod resolver;
#[cfg(test)]
mod revalidation;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod world;
