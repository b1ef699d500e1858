//! What the filter is tested against and shown with.

pub mod client;
pub mod envoy;
pub mod process;
