//! `authgear-filter`: authenticates HTTP requests inside the proxy.
//!
//! [`engine`] decides; everything that it needs comes as plain data ([`request`]) and everything that it wants
//! leaves as plain data. Only `host` calls the proxy, and only `filter` connects the two.

pub mod auth_server;
pub mod cache;
pub mod config;
pub mod engine;
pub mod http;
pub mod jose;
mod json;
pub mod protobuf;
pub mod proxy;
pub mod rules;
pub mod telemetry;
