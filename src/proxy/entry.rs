//! One entry of the proxy into the module, from a wrapped export until it returns: what was done in it, and what the
//! proxy is told at its end.

use std::cell::Cell;

use super::host;

/// `Continue` of a callback for headers.
const CONTINUE: u32 = 0;

/// `StopAllIterationAndWatermark`. `Pause` alone lets a body through where the plugin's configuration has
/// `allow_on_headers_stop_iteration: true`.
const STOP_ALL: u32 = 4;

/// What wasm-nginx-module answers with 503. Every other value that is not [`CONTINUE`] crashes the worker or hangs it.
const UNAVAILABLE: u32 = u32::MAX;

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(0) };
    static IS_OPEN: Cell<bool> = const { Cell::new(false) };
    static HAS_ACTED: Cell<bool> = const { Cell::new(false) };
    static HAS_CALLED: Cell<bool> = const { Cell::new(false) };
}

/// The proxy has entered.
pub(super) fn enter() {
    NUMBER.set(NUMBER.get().wrapping_add(1));
    IS_OPEN.set(true);
    HAS_ACTED.set(false);
    HAS_CALLED.set(false);
}

/// The number of this entry: what was asked in another one must not be sent in it.
pub(super) fn number() -> u64 {
    NUMBER.get()
}

/// Whether the proxy entered through a wrapper. It does not where the step after linking was left out.
pub(super) fn is_wrapped() -> bool {
    IS_OPEN.get()
}

/// A call was sent.
pub(super) fn called() {
    HAS_ACTED.set(true);
    HAS_CALLED.set(true);
}

/// Whether this entry sent a call: a proxy without ticks takes one.
pub(super) fn has_called() -> bool {
    HAS_CALLED.get()
}

/// A reply was sent, or a request resumed.
pub(super) fn acted() {
    HAS_ACTED.set(true);
}

/// The entry for the headers of a request ends. What the proxy is told instead of the SDK's action.
pub(super) fn leave_request_headers(action: u32) -> u32 {
    IS_OPEN.set(false);
    match action {
        CONTINUE => CONTINUE,
        _ if host::has_ticks() => STOP_ALL,
        // A call or a reply is under way, and the proxy looks at nothing else.
        _ if HAS_ACTED.get() => CONTINUE,
        _ => UNAVAILABLE,
    }
}

/// The entry for the answer to a call ends. Without ticks the request of the call would go on if nothing was done.
pub(super) fn leave_call_response() {
    IS_OPEN.set(false);
    if !host::has_ticks() && !HAS_ACTED.get() {
        log::error!("nothing became of an answer; its request is denied");
        host::reply_broken();
    }
}
