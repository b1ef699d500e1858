//! Replaces the listener of a running Envoy, and tells when that has happened.

use std::path::PathBuf;

use serde_json::Value;

use super::bootstrap::Plugin;
use super::{Envoy, WAIT_TIMEOUT};
use crate::wait::wait_until;

const UPDATED: &str = "listener_manager.lds.update_success";
const REJECTED: &str = "listener_manager.lds.update_rejected";
/// Counts the workers that have taken a listener.
const TAKEN: &str = "listener_manager.listener_create_success";
const DRAINING: &str = "listener_manager.total_filter_chains_draining";

/// What Envoy made of a listener.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Updated,
    Rejected,
}

impl Envoy {
    /// Gives the filter another configuration, and returns when new connections to every worker get it. Existing
    /// connections keep the old one. Envoy must be [`dynamic`](super::Builder::dynamic).
    ///
    /// # Panics
    /// If Envoy refuses it, or already serves it.
    pub async fn reconfigure(&mut self, configuration: Value) {
        let taken = self.stat(TAKEN).await;
        let verdict = self.replace(configuration).await;
        assert_eq!(verdict, Verdict::Updated, "Envoy's log: {}", self.log());
        self.wait_for_stat(TAKEN, taken + u64::from(self.workers)).await;
    }

    /// [`reconfigure`](Self::reconfigure) with another module too.
    ///
    /// # Panics
    /// Likewise.
    pub async fn upgrade(&mut self, module: impl Into<PathBuf>, configuration: Value) {
        self.bootstrap.module = Some(module.into());
        self.reconfigure(configuration).await;
    }

    /// Gives the filter a configuration that Envoy must refuse, and returns when it has.
    ///
    /// # Panics
    /// If Envoy accepts it.
    pub async fn reconfigure_refused(&mut self, configuration: Value) {
        let verdict = self.replace(configuration).await;
        assert_eq!(verdict, Verdict::Rejected, "Envoy took a configuration that it must refuse");
    }

    /// Waits until nothing is left of earlier configurations, connections included.
    ///
    /// # Panics
    /// If something is left 10 s after the drain time.
    pub async fn wait_until_drained(&self) {
        self.wait_for_stat_within(DRAINING, |chains| chains == 0, self.drain + WAIT_TIMEOUT).await;
    }

    async fn replace(&mut self, configuration: Value) -> Verdict {
        let (updated, rejected) = (self.stat(UPDATED).await, self.stat(REJECTED).await);
        self.bootstrap.plugin = Some(Plugin::Text(configuration.to_string()));
        self.process.files.replace_listener(&self.bootstrap.discovery_response());
        let this = &*self;
        wait_until("Envoy has read the new listener", WAIT_TIMEOUT, || async move {
            match (this.stat(REJECTED).await > rejected, this.stat(UPDATED).await > updated) {
                (true, _) => Ok(Verdict::Rejected),
                (false, true) => Ok(Verdict::Updated),
                (false, false) => Err("neither an update nor a refusal"),
            }
        })
        .await
    }
}
