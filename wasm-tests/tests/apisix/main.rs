//! What concerns only APISIX. `host` and `violations` check, with small modules that misbehave, that the host on
//! wasmtime behaves like wasm-nginx-module and detects what would crash the real one. `filter` checks that the filter
//! does nothing of the kind.

mod early;
mod filter;
mod host;
mod module;
mod violations;
