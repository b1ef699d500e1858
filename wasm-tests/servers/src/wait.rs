//! Owns waiting: polls a condition until it holds or its time is up.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

/// The time between two looks at a condition.
const POLL: Duration = Duration::from_millis(10);

/// A condition that did not hold in time.
#[derive(Debug)]
pub struct TooLate {
    awaited: String,
    within: Duration,
    last: String,
}

impl Display for TooLate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { awaited, within, last } = self;
        write!(f, "waited {within:?} in vain until {awaited}; seen last: {last}")
    }
}

impl Error for TooLate {}

/// Waits until `look` returns `Ok`, and returns its value. An `Err` says what was seen instead.
///
/// # Panics
/// If the condition does not hold within this time.
pub async fn wait_until<T, S: Display, L: Future<Output = Result<T, S>>>(
    awaited: &str,
    within: Duration,
    look: impl FnMut() -> L,
) -> T {
    try_wait_until(awaited, within, look).await.unwrap_or_else(|late| panic!("{late}"))
}

/// [`wait_until`] for callers that must not panic.
///
/// # Errors
/// What was awaited, and what was seen last.
pub async fn try_wait_until<T, S: Display, L: Future<Output = Result<T, S>>>(
    awaited: &str,
    within: Duration,
    mut look: impl FnMut() -> L,
) -> Result<T, TooLate> {
    let end = Instant::now() + within;
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() > end => {
                return Err(TooLate { awaited: awaited.to_owned(), within, last: seen.to_string() });
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Turns a condition into the result of a `look`: `Ok` if it holds, else what was seen.
///
/// # Errors
/// What was seen.
pub fn holds<S>(condition: bool, seen: S) -> Result<(), S> {
    if condition { Ok(()) } else { Err(seen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_returns_what_was_awaited() {
        let mut looks = 0;
        let found = wait_until("the third look", Duration::from_secs(60), || {
            looks += 1;
            let look = looks;
            async move { if look == 3 { Ok("there") } else { Err(look) } }
        });
        assert_eq!(found.await, "there");
        assert_eq!(looks, 3);
    }

    #[tokio::test]
    async fn what_does_not_come_is_named_with_what_was_seen_last() {
        let never = try_wait_until("the sun rises", Duration::ZERO, || async { holds(false, "night") });
        let late = never.await.unwrap_err().to_string();
        assert_eq!(late, "waited 0ns in vain until the sun rises; seen last: night");
    }
}
