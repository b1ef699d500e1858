//! `authgear-filter`: authenticates HTTP requests inside the proxy.

pub mod request;
