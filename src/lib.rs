//! `authgear-filter` authenticates HTTP requests inside the proxy: one WebAssembly module for Envoy, Istio, Envoy
//! Gateway and Apache APISIX.
//!
//! # Where things are
//!
//! | folder | owns |
//! |---|---|
//! | `proxy` | everything that talks to the proxy: contexts, calls, the clock, the log. Only this folder knows the proxy-wasm SDK, and only its `raw` has `unsafe` |
//! | [`engine`] | the decision about each request: steps, decisions, waiting requests, and the worker's state |
//! | [`config`] | the operator's text, checked: a [`Config`](config::Config) is always valid |
//! | [`auth_server`] | the servers that are asked: for each the cache key, the call and the parsing of the answer. All knowledge of Authgear is in `authgear` |
//! | [`rules`] | maps a request's method, host and path to demands; readings of a path; redirects to log in |
//! | [`jose`] | tokens, claims, keys and signatures |
//! | [`cache`] | a bounded map whose entries expire |
//! | [`telemetry`] | counters, and warnings that do not flood the log |
//! | [`http`] | plain data that crosses the edge: heads, headers, URLs, hosts, edits and replies |
//!
//! Arrows go one way: `proxy` → [`engine`] → [`config`] → [`auth_server`] → {[`rules`], [`jose`], [`cache`]} →
//! [`http`], and [`telemetry`] below [`engine`]. `tests/architecture` checks this.
//!
//! # How a request travels
//!
//! 1. `proxy` reads the request's headers into a [`Head`](http::Head).
//! 2. [`Engine::start`](engine::Engine::start) asks [`rules`] for the demands on the request, and reads its
//!    credentials. It verifies a token itself if it can, and uses cached answers.
//! 3. The engine returns a [`Step`](engine::Step): send a call, park the request until another call has ended,
//!    or carry out a [`Decision`](engine::Decision).
//! 4. `proxy` carries out the step. It passes an answer to [`Engine::resume`](engine::Engine::resume) or
//!    [`Engine::finish`](engine::Engine::finish), and wakes parked requests by [`Engine::wake`](engine::Engine::wake).
//! 5. A decision is header edits for the app, or a reply to the client.
//!
//! The core is pure: time, answers and randomness are arguments, so that tables can test every decision. A request
//! passes as authenticated only on a verified token or an accepting answer. Everything else means no.

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
