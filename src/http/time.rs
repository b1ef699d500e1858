//! Moments in time.

use std::time::Duration;

/// A moment, as the time since the Unix epoch. The core never reads a clock: every function that needs
/// the time takes it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// The end of time, for things that never expire.
    pub const END: Self = Self(Duration::MAX);

    /// Creates a moment `since_epoch` after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn new(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// Creates a moment in whole seconds, the unit of JWT's `NumericDate` (RFC 7519 section 2).
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Returns whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Returns the moment `later` after this one, or the end of time if the sum overflows.
    #[must_use]
    pub const fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// Returns how long ago `earlier` was; zero if it lies in the future, as after a clock was set back.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
