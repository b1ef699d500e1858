//! Moments. The core never reads a clock: time is an argument everywhere.

use std::time::Duration;

/// A moment, as the time since the Unix epoch. The core never reads a clock: every function that needs
/// the time takes it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(Duration);

impl UnixTime {
    /// The end of time, for what never ends.
    pub const END: Self = Self(Duration::MAX);

    /// A moment `since_epoch` after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn new(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// A moment in whole seconds, the unit of JWT's `NumericDate` (RFC 7519 section 2).
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// The moment `later` after this one; the end of time where that cannot be told.
    #[must_use]
    pub const fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// How long ago `earlier` was; zero where it lies in the future, as after a clock was set back.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
