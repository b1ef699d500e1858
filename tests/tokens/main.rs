//! Tokens from outside: what the RFCs, Wycheproof and attackers send, checked by both signature backends.
//!
//! Everything is a test module, so that helpers too may unwrap.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows is a test that fails")]
#![allow(clippy::wildcard_enum_match_arm, reason = "tables name what they are about")]

#[cfg(test)]
mod checks;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod dpop;
#[cfg(test)]
mod host;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod issuer;
#[cfg(test)]
mod rfc_vectors;
#[cfg(test)]
mod rsa;
#[cfg(test)]
mod wycheproof_vectors;
