//! `authgear-filter`: authenticates HTTP requests inside the proxy.
