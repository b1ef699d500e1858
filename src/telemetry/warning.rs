//! Warnings for the proxy's log, limited so that a failing auth server does not also fill the disk.

use std::time::Duration;

use crate::http::UnixTime;

/// The minimum time between two warnings of one kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// Passes the first warning of a kind, then one every ten seconds, which states how many were suppressed.
#[derive(Debug, Default)]
pub struct Warnings {
    last: Option<UnixTime>,
    left_out: u64,
}

impl Warnings {
    /// Returns the text if a warning is due.
    pub fn limit(&mut self, now: UnixTime, text: impl FnOnce() -> String) -> Option<String> {
        // A clock that was set back must not silence anything.
        if self.last.is_some_and(|last| now >= last && now.since(last) < INTERVAL) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(match std::mem::take(&mut self.left_out) {
            0 => text(),
            left_out => format!("{} ({left_out} more since the last such line)", text()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_warnings_is_a_line_each_ten_seconds_that_counts_the_rest() {
        let mut warnings = Warnings::default();
        let mut at = |second| warnings.limit(UnixTime::from_secs(second), || "down".to_owned());
        assert_eq!(at(100).as_deref(), Some("down"));
        assert_eq!(at(100), None);
        assert_eq!(at(109), None);
        assert_eq!(at(110).as_deref(), Some("down (2 more since the last such line)"));
        assert_eq!(at(120).as_deref(), Some("down"));
        assert_eq!(at(50).as_deref(), Some("down"), "the clock was set back");
    }
}
