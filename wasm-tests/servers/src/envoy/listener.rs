//! Owns how the listener of a running Envoy is replaced, and how to know that it was.

use std::path::PathBuf;

use serde_json::Value;

use super::bootstrap::Plugin;
use super::{Envoy, WAIT_TIMEOUT};
use crate::wait::wait_until;

const UPDATED: &str = "listener_manager.lds.update_success";
const REJECTED: &str = "listener_manager.lds.update_rejected";
/// Counts each worker that has taken a listener.
const TAKEN: &str = "listener_manager.listener_create_success";
const DRAINING: &str = "listener_manager.total_filter_chains_draining";

/// What Envoy made of a listener.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Updated,
    Rejected,
}

impl Envoy {
    /// Gives the filter another configuration, and returns when new connections to any worker get it. Those of
    /// before keep the one before. For an Envoy that is [`dynamic`](super::Builder::dynamic).
    ///
    /// # Panics
    /// When Envoy refuses it, or it is the one that is served already.
    pub async fn reconfigure(&mut self, configuration: Value) {
        let taken = self.stat(TAKEN).await;
        let verdict = self.replace(configuration).await;
        assert_eq!(verdict, Verdict::Updated, "Envoy's log: {}", self.log());
        self.wait_for_stat(TAKEN, taken + u64::from(self.workers)).await;
    }

    /// As [`reconfigure`](Self::reconfigure), with another module too.
    ///
    /// # Panics
    /// As there.
    pub async fn upgrade(&mut self, module: impl Into<PathBuf>, configuration: Value) {
        self.bootstrap.module = Some(module.into());
        self.reconfigure(configuration).await;
    }

    /// Gives the filter a configuration that Envoy must refuse, and returns when it has.
    ///
    /// # Panics
    /// When Envoy takes it.
    pub async fn reconfigure_refused(&mut self, configuration: Value) {
        let verdict = self.replace(configuration).await;
        assert_eq!(verdict, Verdict::Rejected, "Envoy took a configuration that it must refuse");
    }

    /// Waits until nothing is left of the configurations of before, connections included.
    ///
    /// # Panics
    /// When something is, 10 s after its time is up.
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
