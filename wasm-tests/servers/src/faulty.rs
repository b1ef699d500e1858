//! Servers that fail below HTTP, or answer as no Authgear would. The filter must survive them.
//!
//! Incomplete answers begin as if they accepted the request as [`INTRUDER`], which exposes a client that trusts half
//! an answer.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::serve::{self, Server};
use crate::wait::{holds, wait_until};

/// How long to wait for what a test expects.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The user id in incomplete answers.
pub const INTRUDER: &str = "intruder";

/// The time between two bytes of a dripping answer.
pub const DRIP: Duration = Duration::from_millis(50);

/// The longest request head that is read, in bytes.
const MAX_HEAD: usize = 1024 * 1024;

/// How the server fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Refuses connections, while it keeps the port from others.
    Refuse,
    /// Accepts, reads, never answers.
    Silence,
    /// Answers with bytes that are not HTTP, and closes.
    Garbage,
    /// Closes each connection as soon as it has accepted it.
    CloseAtOnce,
    /// Resets the connection after it has read the request.
    Reset,
    /// Closes in the middle of the header block.
    HalfHead,
    /// Announces a `Content-Length`, sends less, and closes.
    ShortBody,
    /// Sends an endless header block, a byte every [`DRIP`].
    DripHead,
    /// Sends a whole header block, then an endless body, a byte every [`DRIP`].
    DripBody,
    /// Answers every request with this.
    Answer(Answer),
}

impl Failure {
    /// Those without a complete answer, which end by themselves or with the wait.
    pub const WITHOUT_ANSWER: [Self; 7] = [
        Self::Refuse,
        Self::Silence,
        Self::Garbage,
        Self::CloseAtOnce,
        Self::Reset,
        Self::HalfHead,
        Self::ShortBody,
    ];
}

/// A complete answer. `Content-Length` is added unless it is among the headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code, valid or not.
    pub status: u16,
    /// The headers. They are sent as they are, in this order, repeated ones too.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body. It is not sent in answer to HEAD, or with 204 and 304.
    pub body: Vec<u8>,
}

impl Answer {
    /// A bare status.
    pub fn status(status: u16) -> Self {
        Self { status, headers: vec![], body: vec![] }
    }

    /// 200 with a page, as a misconfigured proxy may answer.
    pub fn html() -> Self {
        let body = b"<!doctype html><title>Welcome</title><h1>It works</h1>".to_vec();
        Self { body, ..Self::status(200) }.header("content-type", "text/html")
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// The bytes on the wire.
    fn to_bytes(&self, is_head: bool) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Faulty\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        let bodiless = matches!(self.status, 100..200 | 204 | 304);
        let says_length = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if !bodiless && !says_length {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if !bodiless && !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// A running server that fails. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Faulty {
    address: SocketAddr,
    seen: Arc<Seen>,
    port: Port,
}

impl Faulty {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(failure: Failure) -> io::Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), failure).await
    }

    /// Starts it on `address`, which may be that of a server that was stopped.
    ///
    /// # Errors
    /// If the address cannot be bound; the error names it.
    pub async fn start_on(address: SocketAddr, failure: Failure) -> io::Result<Self> {
        let seen = Arc::new(Seen::default());
        if failure == Failure::Refuse {
            // It is bound but does not listen: connections are refused, and nobody else gets the port.
            let socket = TcpSocket::new_v4()?;
            // Old connections may be left on the port from an earlier server.
            socket.set_reuseaddr(address.port() != 0)?;
            socket.bind(address)?;
            return Ok(Self { address: socket.local_addr()?, seen, port: Port::Closed(socket) });
        }
        let listener: TcpListener = serve::bind(address).await?;
        let counts = seen.clone();
        let server = Server::tcp(listener, move |stream, _| {
            let (seen, failure) = (counts.clone(), failure.clone());
            async move {
                seen.connections.send_modify(|count| *count += 1);
                // The client may leave at any time.
                let _ = fail(stream, &failure, &seen).await;
            }
        })?;
        Ok(Self { address: server.address(), seen, port: Port::Open(server) })
    }

    /// Stops it, and returns when its address is free.
    pub async fn stop(self) {
        match self.port {
            Port::Closed(socket) => drop(socket),
            Port::Open(server) => server.stop().await,
        }
    }

    /// Where it listens, or refuses to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        *self.seen.connections.borrow()
    }

    /// How many request heads it has read to their end.
    pub fn requests(&self) -> u64 {
        *self.seen.requests.borrow()
    }

    /// Waits until `count` connections or more were accepted.
    ///
    /// # Panics
    /// If they were not within 60 s.
    pub async fn wait_for_connections(&self, count: u64) {
        wait_for("connections", &self.seen.connections, count).await;
    }

    /// Waits until `count` request heads or more were read.
    ///
    /// # Panics
    /// If they were not within 60 s.
    pub async fn wait_for_requests(&self, count: u64) {
        wait_for("request heads", &self.seen.requests, count).await;
    }
}

#[derive(Debug, Default)]
struct Seen {
    connections: watch::Sender<u64>,
    requests: watch::Sender<u64>,
}

/// What holds the port.
#[derive(Debug)]
enum Port {
    Closed(TcpSocket),
    Open(Server),
}

async fn wait_for(what: &str, counter: &watch::Sender<u64>, count: u64) {
    wait_until(&format!("{count} {what} have come"), WAIT_TIMEOUT, || async {
        let seen = *counter.borrow();
        holds(seen >= count, seen)
    })
    .await;
}

async fn fail(mut stream: TcpStream, failure: &Failure, seen: &Seen) -> io::Result<()> {
    if *failure == Failure::CloseAtOnce {
        return Ok(());
    }
    let accepting =
        format!("HTTP/1.1 200 OK\r\nx-authgear-session-valid: true\r\nx-authgear-user-id: {INTRUDER}\r\n");
    let mut unread = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut unread).await? {
        seen.requests.send_modify(|count| *count += 1);
        match failure {
            Failure::Answer(answer) => {
                stream.write_all(&answer.to_bytes(head.starts_with(b"HEAD "))).await?;
                continue;
            }
            Failure::Silence => hold(&mut stream).await?,
            Failure::Garbage => {
                stream.write_all(b"\x16\x03\x01\0\xffSSH-2.0 no HTTP at all\r\n\r\n\0\0").await?
            }
            Failure::Reset => stream.set_zero_linger()?,
            Failure::HalfHead => {
                stream.write_all(format!("{accepting}x-authgear-user-ver").as_bytes()).await?
            }
            Failure::ShortBody => {
                stream.write_all(format!("{accepting}content-length: 1000\r\n\r\nshort").as_bytes()).await?;
            }
            Failure::DripHead => drip(&mut stream, &format!("{accepting}x-drip: ")).await?,
            Failure::DripBody => {
                let whole = format!("{accepting}content-length: 1000000000\r\n\r\n");
                stream.write_all(whole.as_bytes()).await?;
                drip(&mut stream, "").await?;
            }
            // Neither gets here: one has no connections, and the other is handled above.
            Failure::Refuse | Failure::CloseAtOnce => {}
        }
        return Ok(());
    }
    Ok(())
}

/// The next request's head, or `None` if the client has closed its side. Requests here have no body.
async fn read_head(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(start) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(Some(unread.drain(..start + 4).collect()));
        }
        if unread.len() > MAX_HEAD || stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    }
}

/// Sends `start`, then one letter forever, byte by byte.
async fn drip(stream: &mut TcpStream, start: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for byte in start.bytes().chain(std::iter::repeat(b'a')) {
        stream.write_all(&[byte]).await?;
        tokio::time::sleep(DRIP).await;
    }
    Ok(())
}

/// Reads until the client leaves.
async fn hold(stream: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}
