//! Records what a test server received, so that a test can check exactly what crossed the wire.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Version;
use hyper::http::request;
use tokio::sync::watch;

use crate::wait::{holds, wait_until};

/// How long to wait for what a test expects.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// How many requests a [`Journal`] keeps; older ones are only counted.
pub const KEPT: usize = 10_000;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method as sent.
    pub method: String,
    /// The request target as sent, or `:path` on HTTP/2.
    pub target: String,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// Name (in lower case) and value of each header. Lines of one name stand together, in order. On HTTP/2
    /// `:authority` comes first.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Bytes of the body.
    pub body_length: u64,
    /// The peer's address.
    pub peer: SocketAddr,
}

impl Received {
    pub(crate) fn new(head: &request::Parts, body_length: u64, peer: SocketAddr) -> Self {
        let lines =
            head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let (target, authority) = match (head.version, head.uri.authority()) {
            (Version::HTTP_2, Some(authority)) => {
                let path = head.uri.path_and_query().map_or("", |path| path.as_str());
                (path.to_owned(), Some((":authority".to_owned(), authority.as_str().as_bytes().to_vec())))
            }
            _ => (head.uri.to_string(), None),
        };
        Self {
            method: head.method.to_string(),
            target,
            version: head.version,
            headers: authority.into_iter().chain(lines).collect(),
            body_length,
            peer,
        }
    }

    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// Every value of this name (in lower case), in order.
    pub fn header_all(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_slice()).collect()
    }
}

/// The requests that a server received. The last [`KEPT`] are kept in full.
#[derive(Debug, Default)]
pub struct Journal {
    kept: Mutex<VecDeque<Received>>,
    count: watch::Sender<u64>,
}

impl Journal {
    /// How many requests came since the start, or since [`Journal::clear`].
    pub fn count(&self) -> u64 {
        *self.count.borrow()
    }

    /// The kept requests, oldest first.
    pub fn all(&self) -> Vec<Received> {
        self.kept().iter().cloned().collect()
    }

    /// The latest request.
    pub fn last(&self) -> Option<Received> {
        self.kept().back().cloned()
    }

    /// Forgets everything, and counts from 0 again.
    pub fn clear(&self) {
        let mut kept = self.kept();
        kept.clear();
        self.count.send_replace(0);
    }

    /// Waits until `count` requests or more have come.
    ///
    /// # Panics
    /// If they have not come within 60 s.
    pub async fn wait_for(&self, count: u64) {
        wait_until(&format!("{count} requests have come"), WAIT_TIMEOUT, || async {
            let seen = self.count();
            holds(seen >= count, seen)
        })
        .await;
    }

    pub(crate) fn add(&self, request: Received) {
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(request);
        self.count.send_modify(|count| *count += 1);
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Received>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: usize) -> Received {
        Received {
            method: "GET".into(),
            target: target.to_string(),
            version: Version::HTTP_11,
            headers: vec![],
            body_length: 0,
            peer: ([127, 0, 0, 1], 1).into(),
        }
    }

    #[test]
    fn a_long_run_is_counted_in_full_and_kept_in_part() {
        let journal = Journal::default();
        (0..KEPT + 5).for_each(|number| journal.add(request(number)));
        assert_eq!(journal.count(), KEPT as u64 + 5);
        assert_eq!(journal.all().len(), KEPT);
        assert_eq!(journal.all()[0].target, "5");
        journal.clear();
        assert_eq!((journal.count(), journal.all().len()), (0, 0));
    }
}
