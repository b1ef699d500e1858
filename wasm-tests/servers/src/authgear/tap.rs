//! Lets tests read an endpoint's requests and make it fail, while the stand-in runs.

use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::watch;

use crate::received::Journal;

/// An endpoint that the filter calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/_resolver/resolve` and `/resolve`, wherever they are served.
    Resolver,
    /// `/oauth2/jwks`.
    Jwks,
    /// `/.well-known/openid-configuration`.
    Discovery,
}

/// How an endpoint fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// It does not fail.
    #[default]
    None,
    /// Answers with this status and a short body, nothing else.
    Status(StatusCode),
    /// Answers correctly, but this much later.
    Delay(Duration),
    /// Answers correctly, but only once the fault has changed.
    Hold,
}

/// One endpoint's journal and fault.
#[derive(Debug, Default)]
pub(super) struct Tap {
    pub(super) journal: Journal,
    fault: watch::Sender<Fault>,
}

impl Tap {
    pub(super) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    pub(super) fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    /// Waits as the fault demands. Returns the status to answer with, if the fault has one.
    pub(super) async fn suffer(&self) -> Option<StatusCode> {
        let mut faults = self.fault.subscribe();
        loop {
            let fault = *faults.borrow_and_update();
            match fault {
                Fault::None => return None,
                Fault::Status(status) => return Some(status),
                Fault::Delay(delay) => {
                    tokio::time::sleep(delay).await;
                    return None;
                }
                // The sender lives as long as `self`, so waiting cannot fail.
                Fault::Hold => drop(faults.changed().await),
            }
        }
    }
}
