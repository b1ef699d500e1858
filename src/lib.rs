//! `authgear-filter` authenticates HTTP requests inside the proxy: one WebAssembly module for Envoy, Istio, Envoy
//! Gateway and Apache APISIX.
//!
//! # Where things are
//!
//! | folder | owns |
//! |---|---|
//! | `proxy` | everything that talks to the proxy: contexts, calls, the clock, the log. The only folder that knows the proxy-wasm SDK, and in `raw` the only `unsafe` |
//! | [`engine`] | what becomes of a request: steps, decisions, what waits for what, and the worker's memory |
//! | [`config`] | what an operator typed, checked: a [`Config`](config::Config) cannot be wrong |
//! | [`auth_server`] | the servers that are asked: for each the key of a question, the call and the reading of its answer. `authgear` holds all that is known of Authgear |
//! | [`rules`] | a request's method, host and path → what is demanded of it; readings of a path; redirects to log in |
//! | [`jose`] | tokens, claims, keys and signatures |
//! | [`cache`] | a bounded map that forgets |
//! | [`telemetry`] | counters, and warnings that do not flood the log |
//! | [`http`] | plain data that crosses the edge: heads, headers, URLs, hosts, edits and replies |
//!
//! Arrows go one way: `proxy` → [`engine`] → [`config`] → [`auth_server`] → {[`rules`], [`jose`], [`cache`]} →
//! [`http`], and [`telemetry`] below [`engine`]. `tests/architecture.rs` keeps it so.
//!
//! # How a request travels
//!
//! 1. `proxy` reads the request's headers into a [`Head`](http::Head).
//! 2. [`Engine::start`](engine::Engine::start) asks [`rules`] what is demanded of the request, and looks at its
//!    credentials. A token that can be verified here is; what is remembered is used again.
//! 3. The engine returns a [`Step`](engine::Step): send a call, park the request until another call has come to
//!    something, or carry out a [`Decision`](engine::Decision).
//! 4. `proxy` carries out the step. An answer goes back in by [`Engine::resume`](engine::Engine::resume) or
//!    [`Engine::finish`](engine::Engine::finish); parked requests go on by [`Engine::wake`](engine::Engine::wake).
//! 5. A decision is header edits for the app, or a reply to the client.
//!
//! The core is pure: time, answers and randomness are arguments, so that tables can test every decision. A request
//! is let through as authenticated only on a verified token or an accepting answer. Everything else means no.

pub mod auth_server;
pub mod cache;
pub mod config;
pub mod engine;
pub mod http;
pub mod jose;
pub mod protobuf;
pub mod proxy;
pub mod rules;
pub mod telemetry;
