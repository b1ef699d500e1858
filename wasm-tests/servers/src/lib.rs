//! The servers around the filter, and the clients that talk to them. The demo and the suites are built from these.
//!
//! Nothing here runs WebAssembly: `make run` builds this crate, and must not wait for wasmtime to be compiled.

pub mod auth_o_tron;
pub mod authgear;
pub mod authorizer;
pub mod cli;
pub mod client;
pub mod control;
pub mod demo;
pub mod echo;
pub mod envoy;
pub mod faulty;
mod html;
pub mod introspector;
pub mod process;
pub mod received;
mod serve;
pub mod wait;
