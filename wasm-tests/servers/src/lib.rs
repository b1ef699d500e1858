//! The servers around the filter, and what talks to them. The demo is made of them, and so are the suites.
//!
//! Nothing here runs WebAssembly: `make run` builds this crate, and must not wait for a compiler of it.

pub mod auth_o_tron;
pub mod authgear;
pub mod authorizer;
pub mod cli;
pub mod client;
pub mod echo;
pub mod envoy;
pub mod faulty;
mod html;
pub mod introspector;
pub mod process;
pub mod received;
mod serve;
pub mod wait;
