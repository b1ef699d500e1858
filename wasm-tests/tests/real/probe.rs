//! Requests with forged identity headers, all the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use wasm_tests::client::{self, Protocol, Request, Response};
use wasm_tests::wait::{holds, wait_until};

/// How long to wait for what has to happen.
pub(crate) const WAIT: Duration = Duration::from_secs(120);
/// How many requests are looked at after a change.
const REQUESTS: u64 = 300;

/// Sends forged requests all the time, each on a connection of its own, and looks at what the app gets.
pub(crate) struct Probe {
    asked: Arc<AtomicU64>,
    /// Those that the app got with a forged header.
    forged: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Probe {
    /// Starts to send to this address.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (asked, forged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let over = Arc::new(AtomicBool::new(false));
        let clients = (0..4)
            .map(|_| {
                let (asked, forged, over) = (Arc::clone(&asked), Arc::clone(&forged), Arc::clone(&over));
                tokio::spawn(async move {
                    while !over.load(Ordering::Relaxed) {
                        if let Ok(answer) = client::try_send(address, Protocol::Http1, forged_request()).await
                        {
                            forged.fetch_add(u64::from(is_forged(&answer)), Ordering::Relaxed);
                        }
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Self { asked, forged, over, clients }
    }

    /// How many forged headers arrived since the last time, after some more requests.
    pub(crate) async fn arrived(&self) -> u64 {
        let due = self.asked.load(Ordering::Relaxed) + REQUESTS;
        wait_until("more requests were sent", WAIT, || async {
            let asked = self.asked.load(Ordering::Relaxed);
            holds(asked >= due, format!("{asked} of {due}"))
        })
        .await;
        self.forged.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.clients.iter().for_each(JoinHandle::abort);
    }
}

/// A request with forged headers.
pub(crate) fn forged_request() -> Request {
    Request::get("/page")
        .header("x-authgear-user-id", "forged")
        .header("x-authgear-session-valid", "true")
        .header("x.authgear.user-roles", "forged")
}

/// Whether the app got a forged header.
pub(crate) fn is_forged(answer: &Response) -> bool {
    answer.status == 200 && answer.text().contains("forged")
}
