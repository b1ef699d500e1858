//! One entry of the proxy into the module, from a wrapped export until it returns: what was done in it, and what it
//! returns to the proxy.

use std::cell::Cell;

use super::host;

/// `Continue` in a callback for headers.
const CONTINUE: u32 = 0;

/// `StopAllIterationAndWatermark`. `Pause` alone lets a body through if the plugin's configuration has
/// `allow_on_headers_stop_iteration: true`.
const STOP_ALL: u32 = 4;

/// Makes wasm-nginx-module answer 503. Every other value except [`CONTINUE`] crashes the worker or hangs it.
const UNAVAILABLE: u32 = u32::MAX;

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(0) };
    static IS_OPEN: Cell<bool> = const { Cell::new(false) };
    static HAS_ACTED: Cell<bool> = const { Cell::new(false) };
    static HAS_CALLED: Cell<bool> = const { Cell::new(false) };
}

/// Begins an entry.
pub(super) fn enter() {
    NUMBER.set(NUMBER.get().wrapping_add(1));
    IS_OPEN.set(true);
    HAS_ACTED.set(false);
    HAS_CALLED.set(false);
}

/// Returns the number of this entry. A call must not be sent in another entry than the one that asked for it.
pub(super) fn number() -> u64 {
    NUMBER.get()
}

/// Returns whether the proxy entered through a wrapper. It does not if the step after linking was left out.
pub(super) fn is_wrapped() -> bool {
    IS_OPEN.get()
}

/// Records that a call was sent.
pub(super) fn called() {
    HAS_ACTED.set(true);
    HAS_CALLED.set(true);
}

/// Returns whether this entry sent a call. A proxy without ticks takes only one.
pub(super) fn has_called() -> bool {
    HAS_CALLED.get()
}

/// Records that a reply was sent, or a request resumed.
pub(super) fn acted() {
    HAS_ACTED.set(true);
}

/// Ends an entry for the headers of a request. Returns the action for the proxy, in place of the SDK's.
pub(super) fn leave_request_headers(action: u32) -> u32 {
    IS_OPEN.set(false);
    match action {
        CONTINUE => CONTINUE,
        _ if host::has_ticks() => STOP_ALL,
        // A call or a reply is in flight, so the proxy ignores the action.
        _ if HAS_ACTED.get() => CONTINUE,
        _ => UNAVAILABLE,
    }
}

/// Ends an entry for the answer to a call. Without ticks, the request would be let through if nothing was done.
pub(super) fn leave_call_response() {
    IS_OPEN.set(false);
    if !host::has_ticks() && !HAS_ACTED.get() {
        log::error!("an answer had no effect; its request is denied");
        host::reply_broken();
    }
}
