//! `authgear-filter`: authenticates HTTP requests inside the proxy.
//!
//! [`engine`] decides; everything that it needs comes as plain data ([`request`]) and everything that it wants
//! leaves as plain data. Only `host` calls the proxy, and only `filter` connects the two.

mod bytes;
pub mod cache;
pub mod config;
pub mod credential;
pub mod denial;
pub mod engine;
pub mod fault;
#[cfg(target_arch = "wasm32")]
mod filter;
pub mod forward_auth;
pub mod forwarded;
pub mod grpc;
pub mod header;
pub mod host;
pub mod identity;
mod json;
pub mod jwks;
pub mod jwt;
pub mod metric;
pub mod navigation;
pub mod redirect;
pub mod request;
pub mod resolver;
pub mod rules;
pub mod warning;
