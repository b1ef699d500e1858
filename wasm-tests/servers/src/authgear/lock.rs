//! Owns the locks on sessions. Authgear holds a lock in Redis while it resolves a session; other requests with the
//! session wait.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::world::Credential;

/// How often a lock is tried, and the time between two tries.
const TRIES: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(150),
    Duration::from_millis(200),
    Duration::from_millis(250),
];

/// The sessions that are being resolved.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashSet<Credential>>);

/// Some session did not become free in time.
#[derive(Debug)]
pub(super) struct StillLocked;

impl Locks {
    /// Holds the lock on this session for this long.
    pub(super) async fn hold(&self, session: Credential, time: Duration) -> Result<(), StillLocked> {
        let taken = || self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(session.clone());
        let mut pauses = TRIES.into_iter();
        while !taken() {
            tokio::time::sleep(pauses.next().ok_or(StillLocked)?).await;
        }
        tokio::time::sleep(time).await;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        Ok(())
    }
}
