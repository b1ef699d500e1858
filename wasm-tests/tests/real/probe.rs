//! Requests with forged identity headers, all the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use wasm_tests::authgear::Authgear;
use wasm_tests::client::{self, Protocol, Request, Response};
use wasm_tests::scene::seen;
use wasm_tests::wait::{holds, wait_until};

/// How long to wait for what has to happen.
pub(crate) const WAIT: Duration = Duration::from_secs(120);
/// How many requests are looked at after a change.
const REQUESTS: u64 = 300;

/// Sends forged requests all the time, each on a connection of its own, and looks at what the app gets.
pub(crate) struct Probe {
    address: SocketAddr,
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
        Self { address, asked, forged, over, clients }
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

    /// Waits until requests of nobody are answered like this.
    pub(crate) async fn wait_for(&self, status: u16) {
        wait_until(&format!("nobody gets a {status}"), WAIT, || async {
            let answer = client::try_send(self.address, Protocol::Http1, forged_request()).await;
            holds(answer.as_ref().is_ok_and(|answer| answer.status == status), format!("{answer:?}"))
        })
        .await;
    }

    /// Waits until the filter counts requests, in the Envoy with this admin address.
    pub(crate) async fn wait_for_the_filter(&self, admin: SocketAddr) {
        const COUNTER: &str = "wasmcustom.authgear_filter.requests.anonymous";
        let before = stat(admin, COUNTER).await;
        wait_until("the filter decides", WAIT, || async {
            let now = stat(admin, COUNTER).await;
            holds(now > before, format!("{before}, {now}"))
        })
        .await;
    }

    /// Who the app believes alice to be, with a new session of hers.
    pub(crate) async fn who_is_alice(&self, authgear: &Authgear) -> Option<String> {
        let session = authgear.log_in("alice");
        let request = forged_request().header("cookie", format!("session={session}"));
        seen(&client::send(self.address, request).await).identity_header("x-authgear-user-id")
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.clients.iter().for_each(JoinHandle::abort);
    }
}

/// A counter or gauge of the Envoy with this admin address; 0 where it has none of this name.
pub(crate) async fn stat(admin: SocketAddr, name: &str) -> u64 {
    let stats = client::send(admin, Request::get("/stats")).await;
    let lines = stats.text().lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(known, _)| *known == name).find_map(|(_, value)| value.parse().ok()).unwrap_or_default()
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
