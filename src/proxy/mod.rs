//! The only folder that knows proxy-wasm. It connects the engine to the proxy, carries out the engine's steps, and
//! decides nothing.
//!
//! The runtime is the `proxy-wasm` SDK: `root` holds its root context and `request` its HTTP context. Both are thin
//! around one `plugin::Plugin`, which holds a configuration and everything that is under way for it.
//!
//! Every call is sent as the root context, because the SDK drops an answer whose context is gone. A request that needs a
//! call leaves it in the plugin's outbox and enters the root context, which empties it.

pub mod access_log;
#[cfg(target_arch = "wasm32")]
mod calls;
#[cfg(target_arch = "wasm32")]
mod clock;
#[cfg(target_arch = "wasm32")]
mod entry;
#[cfg(any(target_arch = "wasm32", test))]
#[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "tests of `waiters` need half of it"))]
mod exchange;
#[cfg(target_arch = "wasm32")]
mod explain;
#[cfg(target_arch = "wasm32")]
mod host;
pub mod log;
#[cfg(target_arch = "wasm32")]
mod metrics;
pub mod pairs;
#[cfg(target_arch = "wasm32")]
mod plugin;
pub mod quarantine;
#[cfg(target_arch = "wasm32")]
mod raw;
pub mod refused;
pub mod reply;
#[cfg(target_arch = "wasm32")]
mod request;
pub mod retry;
#[cfg(target_arch = "wasm32")]
mod root;
#[cfg(any(target_arch = "wasm32", test))]
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(dead_code, reason = "a host's configuration ends, a test's does not")
)]
mod waiters;

/// Starts the VM.
#[cfg(target_arch = "wasm32")]
fn start() {
    log::set_up();
    proxy_wasm::set_root_context(|context| Box::new(root::Root::new(context)));
}
