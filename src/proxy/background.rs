//! Whether the host works outside requests, which also tells two kinds of hosts apart. Found out by asking it,
//! once in a VM: no version is compared, and no request pays for it.

use std::cell::Cell;

use super::abi;

/// What the host does beside carrying requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Background {
    /// Ticks, and calls outside requests.
    Runs,
    /// Nothing. That is how wasm-nginx-module (APISIX) is built, and such a host has more limits: it lists 100
    /// headers at most, crashes on listing those of a request without `Host`, runs the callback of a call for
    /// the request that sent it, and lets that request go on when the callback does nothing.
    Missing,
}

thread_local! {
    static FOUND: Cell<Option<Background>> = const { Cell::new(None) };
}

/// Asks the host, unless it was asked before. The question stops the ticks of the context that it is asked
/// for, so it comes before anything that a configuration sets up.
pub(crate) fn discover() {
    if FOUND.get().is_none() {
        let ticks = abi::set_tick_period(0);
        FOUND.set(Some(if ticks.is_ok() { Background::Runs } else { Background::Missing }));
    }
}

/// A host that was not asked yet is treated with care.
pub(super) fn background() -> Background {
    FOUND.get().unwrap_or(Background::Missing)
}

/// Whether a request goes on when the callback of its call does nothing.
pub(crate) fn is_open_after_calls() -> bool {
    background() == Background::Missing
}
