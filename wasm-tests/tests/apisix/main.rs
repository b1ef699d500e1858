//! What only concerns APISIX: that the host on wasmtime behaves as wasm-nginx-module does and finds what the
//! real one would not survive (`host`, `violations`: with small modules that misbehave), and that the filter
//! does nothing of the kind (`filter`).

mod early;
mod filter;
mod host;
mod module;
mod violations;
