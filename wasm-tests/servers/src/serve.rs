//! Owns how the test servers listen: HTTP/1 and HTTP/2 with prior knowledge, stopped when dropped.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What every handler answers with.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Header lines that are accepted: hosts are tested with more than hyper's default of 100.
const MAX_HEADERS: usize = 1000;

/// Before accepting again after an error.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(10);

/// Listens, or says which address could not be had.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// A running server. Dropping it closes its listener and all its connections.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers every request on `listener` with `handler`.
    pub(crate) fn http<H, F>(listener: TcpListener, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::tcp(listener, move |stream, peer| {
            let handler = handler.clone();
            async move {
                // Answers are small and written at once: waiting to fill a segment only costs time.
                let _ = stream.set_nodelay(true);
                let service = service_fn(move |request| {
                    let reply = handler(request, peer);
                    async move { Ok::<_, Infallible>(reply.await) }
                });
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http1().max_headers(MAX_HEADERS);
                // A client that leaves or breaks the protocol is no event for the server.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        })
    }

    /// Gives every connection on `listener` to `handler`.
    pub(crate) fn tcp<H, F>(listener: TcpListener, handler: H) -> io::Result<Self>
    where
        H: Fn(TcpStream, SocketAddr) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, peer)) => drop(connections.spawn(handler(stream, peer))),
                        // Out of descriptors, most likely: others may fare better in a moment.
                        Err(_) => tokio::time::sleep(ACCEPT_BACKOFF).await,
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, task })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops, and returns when the address is free: dropping alone only asks for it.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // An error here is the abort that was asked for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The task owns its connections: they are aborted with it.
        self.task.abort();
    }
}

/// Prints one line of a request log.
pub(crate) fn log(line: fmt::Arguments<'_>) {
    // Whoever reads the log may go away; the server stays.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
