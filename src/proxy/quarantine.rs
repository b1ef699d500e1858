//! Upstreams that are not called for a while, because a connection to them may hold somebody else's answer. Pure: time
//! is an argument.
//!
//! wasm-nginx-module's client takes an answer below 200 (103 Early Hints) for the final one and keeps the connection. The
//! answer that follows is read by the next call, which is another user's. Nothing that a filter can send prevents that,
//! so it makes no call until the connection has surely left the pool.

use std::cell::RefCell;
use std::time::Duration;

/// How long nginx keeps an idle connection by default (`lua_socket_keepalive_timeout 60s`), and some more.
const HELD: Duration = Duration::from_secs(65);

thread_local! {
    /// Of all configurations: the connections belong to the worker.
    static QUARANTINE: RefCell<Quarantine> = const { RefCell::new(Quarantine::new()) };
}

/// An answer below 200 came to this worker from this upstream.
pub fn put(upstream: &str, now: Duration) {
    QUARANTINE.with_borrow_mut(|quarantine| quarantine.put(upstream, now));
}

/// Whether this worker is not to call an upstream now.
#[must_use]
pub fn holds(upstream: &str, now: Duration) -> bool {
    QUARANTINE.with_borrow_mut(|quarantine| quarantine.holds(upstream, now))
}

/// The upstreams, and until when. Times are those of any clock that nobody sets.
#[derive(Debug, Default)]
pub struct Quarantine(Vec<(String, Duration)>);

impl Quarantine {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An answer below 200 came from this upstream.
    pub fn put(&mut self, upstream: &str, now: Duration) {
        let until = now.saturating_add(HELD);
        match self.0.iter_mut().find(|(known, _)| known == upstream) {
            Some((_, known)) => *known = until,
            None => self.0.push((upstream.to_owned(), until)),
        }
    }

    /// Whether an upstream is not to be called now.
    pub fn holds(&mut self, upstream: &str, now: Duration) -> bool {
        self.0.retain(|(_, until)| now < *until);
        self.0.iter().any(|(known, _)| known == upstream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_held_for_longer_than_its_connections_are_kept() {
        let at = Duration::from_secs;
        let mut quarantine = Quarantine::new();
        assert!(!quarantine.holds("a:80", at(0)));
        quarantine.put("a:80", at(0));
        assert!(quarantine.holds("a:80", at(64)));
        assert!(!quarantine.holds("b:80", at(64)), "another one is not");
        quarantine.put("a:80", at(60));
        assert!(quarantine.holds("a:80", at(124)), "a second one extends it");
        assert!(!quarantine.holds("a:80", at(125)));
        assert!(quarantine.0.is_empty(), "nothing is kept for ever");
    }
}
