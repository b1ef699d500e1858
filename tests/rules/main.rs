//! Rules from outside: what holds for any rules and any request.
//!
//! Everything is a test module, so that helpers too may unwrap.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows is a test that fails")]

#[cfg(test)]
mod demands;
#[cfg(test)]
mod properties;
