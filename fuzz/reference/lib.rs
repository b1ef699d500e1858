//! Nothing: see `tests/tokens.rs`.
