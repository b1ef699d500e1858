//! Owns how the test servers listen: over HTTP/1, and HTTP/2 with prior knowledge, until they are dropped.

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

/// The answer of every handler.
pub(crate) type Reply = Response<Full<Bytes>>;

/// The most header lines that are accepted. Hosts are tested with more than hyper's default of 100.
const MAX_HEADERS: usize = 1000;

/// How long to wait before accepting again after an error.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(10);

/// Listens, or says which address could not be bound.
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
                // Answers are small and written at once, so waiting to fill a segment would only cost time.
                let _ = stream.set_nodelay(true);
                let service = service_fn(move |request| {
                    let reply = handler(request, peer);
                    async move { Ok::<_, Infallible>(reply.await) }
                });
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http1().max_headers(MAX_HEADERS);
                // A client that leaves or breaks the protocol is of no concern to the server.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        })
    }

    /// Passes every connection on `listener` to `handler`.
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
                        // Most likely there are no descriptors left; that may change in a moment.
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

    /// Stops, and returns when the address is free. Dropping does not wait for that.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // The error is the abort that was requested.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The task owns its connections, so they are aborted with it.
        self.task.abort();
    }
}

/// Prints one line of a request log.
pub(crate) fn log(line: fmt::Arguments<'_>) {
    // The reader of the log may go away; the server goes on.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
