//! The shape of the crate: which folder may use which, and what no file may hold. The map is in `src/lib.rs`.
//!
//! Everything is a test module, so that helpers too may unwrap.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what is not looked for in the tree of a file is all alike"
)]

#[cfg(test)]
mod cycles;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod folders;
#[cfg(test)]
mod names;
#[cfg(test)]
mod sources;
