//! Upstreams that are not called for a while, because a connection to them may hold an answer for somebody else.
//! Pure: time is an argument.
//!
//! wasm-nginx-module's client takes an answer below 200 (103 Early Hints) as the final one and keeps the connection.
//! The next call then reads the real answer, which is for another user. A filter cannot prevent that by anything that
//! it sends. So it makes no call until the connection must have left the pool.

use std::cell::RefCell;
use std::time::Duration;

/// How long nginx keeps an idle connection by default (`lua_socket_keepalive_timeout 60s`), plus a margin.
const HELD: Duration = Duration::from_secs(65);

thread_local! {
    /// Shared by all configurations, because connections belong to the worker.
    static QUARANTINE: RefCell<Quarantine> = const { RefCell::new(Quarantine::new()) };
}

/// Records that this worker got an answer below 200 from an upstream.
pub fn put(upstream: &str, now: Duration) {
    QUARANTINE.with_borrow_mut(|quarantine| quarantine.put(upstream, now));
}

/// Returns whether this worker must not call an upstream now.
#[must_use]
pub fn holds(upstream: &str, now: Duration) -> bool {
    QUARANTINE.with_borrow_mut(|quarantine| quarantine.holds(upstream, now))
}

/// The quarantined upstreams, and until when. Times come from a clock that nobody sets.
#[derive(Debug, Default)]
pub struct Quarantine(Vec<(String, Duration)>);

impl Quarantine {
    /// Creates an empty quarantine.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Records that an answer below 200 came from an upstream.
    pub fn put(&mut self, upstream: &str, now: Duration) {
        let until = now.saturating_add(HELD);
        match self.0.iter_mut().find(|(known, _)| *known == upstream) {
            Some((_, known)) => *known = until,
            None => self.0.push((upstream.to_owned(), until)),
        }
    }

    /// Returns whether an upstream must not be called now.
    pub fn holds(&mut self, upstream: &str, now: Duration) -> bool {
        self.0.retain(|(_, until)| now < *until);
        self.0.iter().any(|(known, _)| are_one(known, upstream))
    }
}

/// Returns whether two names of upstreams may share connections: a port that is not named is the default one,
/// whichever that is.
fn are_one(one: &str, other: &str) -> bool {
    let ((host, port), (other_host, other_port)) = (split(one), split(other));
    let same_port = port.zip(other_port).is_none_or(|(port, other)| port == other);
    host.eq_ignore_ascii_case(other_host) && same_port
}

/// Returns the host, and the port if it is named.
fn split(upstream: &str) -> (&str, Option<&str>) {
    match upstream.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (upstream, None),
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

    #[test]
    fn one_upstream_may_be_named_with_its_port_and_without() {
        for (one, other, expected) in [
            ("auth:80", "auth:80", true),
            ("auth", "auth:80", true),
            ("auth:443", "auth", true),
            ("Auth.example:80", "auth.EXAMPLE:80", true),
            ("[::1]:80", "[::1]", true),
            ("auth:80", "auth:81", false),
            ("[::1]", "[::2]", false),
            ("auth", "other", false),
        ] {
            let mut quarantine = Quarantine::new();
            quarantine.put(one, Duration::ZERO);
            assert_eq!(quarantine.holds(other, Duration::from_secs(1)), expected, "{one} {other}");
        }
    }
}
