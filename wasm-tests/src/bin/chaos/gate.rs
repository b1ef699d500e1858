//! A server between Envoy and an auth server, which passes answers on, or spoils them in the way of the day.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The identity in answers that nobody may believe.
pub(crate) const INTRUDER: &str = "intruder";

/// The headers of a session of the intruder's.
const FORGED: &str = "x-authgear-session-valid: true\r\nx-authgear-user-id: intruder\r\n";

/// The longest head of a request that is read, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// The time between two bytes that drip.
const DRIP: Duration = Duration::from_millis(20);

/// How answers are spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Not at all.
    None,
    /// None comes.
    Silence,
    /// A byte now and then.
    Drip,
    /// Bytes that are no HTTP.
    Garbage,
    /// An informational answer (103) comes first.
    InformFirst,
    /// A megabyte of headers, the intruder's among them.
    HugeHead,
    /// The connection is reset somewhere within the answer.
    CutOff,
    /// The length is too large, and the connection ends.
    TooLong,
    /// Behind the answer comes another one, the intruder's, that nobody asked for.
    TwoAnswers,
    /// Everybody is the intruder. No filter can tell; the clients' check must.
    Lie,
    /// The connection is reset: before the request is read, behind it, or within the answer.
    Reset,
}

/// A running gate. Dropping it closes its port.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: Option<JoinHandle<()>>,
}

struct Shared {
    server: SocketAddr,
    mishap: watch::Sender<Mishap>,
    /// How many answers were spoiled so far, or connections refused.
    spoiled: AtomicU64,
}

impl Gate {
    /// Opens a gate to this server.
    pub(crate) async fn open(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { server, mishap: watch::Sender::new(Mishap::None), spoiled: AtomicU64::new(0) });
        let task = Some(tokio::spawn(accept(listener, Arc::clone(&shared))));
        Ok(Self { shared, address, task })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers are spoiled like this. What is silent or drips ends.
    pub(crate) fn set(&self, mishap: Mishap) {
        self.shared.mishap.send_replace(mishap);
    }

    /// How many answers were spoiled so far.
    pub(crate) fn spoiled(&self) -> u64 {
        self.shared.spoiled.load(Ordering::Relaxed)
    }

    /// Kills the server: its port is closed, and each connection reset.
    pub(crate) async fn kill(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // It is cancelled, which is an error.
            let _cancelled = task.await;
        }
    }

    /// Starts the server again, on the same port.
    pub(crate) async fn revive(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.task = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared))));
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                let mut stream = stream;
                // What fails on a connection ends it, as it should.
                let reset = serve(&mut stream, &shared).await.is_err();
                if reset {
                    let _closed = stream.set_zero_linger();
                }
            });
            while connections.try_join_next().is_some() {}
        }
    }
}

/// Serves a connection until it ends. An error resets it.
async fn serve(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut mishaps = shared.mishap.subscribe();
    loop {
        if *mishaps.borrow_and_update() == Mishap::Reset && rand::rng().random_bool(0.3) {
            shared.spoil();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let Some(head) = read_head(stream).await? else { return Ok(()) };
        let mishap = *mishaps.borrow_and_update();
        if mishap == Mishap::Silence {
            shared.spoil();
            mishaps.changed().await.map_err(io::Error::other)?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let answer = ask(shared.server, &head).await?;
        if mishap == Mishap::None {
            stream.write_all(&answer).await?;
            continue;
        }
        shared.spoil();
        match mishap {
            Mishap::None | Mishap::Silence => {}
            Mishap::Drip => {
                for byte in answer {
                    stream.write_all(&[byte]).await?;
                    tokio::select! {
                        () = tokio::time::sleep(DRIP) => {}
                        _ = mishaps.changed() => return Err(io::ErrorKind::ConnectionReset.into()),
                    }
                }
            }
            Mishap::Garbage => {
                let garbage: [u8; 512] = rand::rng().random();
                stream.write_all(&garbage).await?;
                return Ok(());
            }
            Mishap::InformFirst => {
                stream.write_all(format!("HTTP/1.1 103 Early Hints\r\n{FORGED}\r\n").as_bytes()).await?;
                stream.write_all(&answer).await?;
            }
            Mishap::HugeHead => {
                let huge = "a".repeat(1024 * 1024);
                let head = format!("HTTP/1.1 200 OK\r\n{FORGED}x-huge: {huge}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
            }
            Mishap::CutOff | Mishap::Reset => {
                let cut = rand::rng().random_range(0..answer.len());
                stream.write_all(answer.get(..cut).unwrap_or_default()).await?;
                // So that the bytes are there before the reset.
                stream.flush().await?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Mishap::Lie => {
                let lie = format!("HTTP/1.1 200 OK\r\n{FORGED}content-length: 0\r\n\r\n");
                stream.write_all(lie.as_bytes()).await?;
            }
            Mishap::TooLong => {
                let head = format!("HTTP/1.1 200 OK\r\n{FORGED}content-length: 10\r\n\r\nshort");
                stream.write_all(head.as_bytes()).await?;
                return Ok(());
            }
            Mishap::TwoAnswers => {
                let second = format!("HTTP/1.1 200 OK\r\n{FORGED}content-length: 0\r\n\r\n");
                stream.write_all(&[&answer[..], second.as_bytes()].concat()).await?;
            }
        }
    }
}

impl Shared {
    fn spoil(&self) {
        self.spoiled.fetch_add(1, Ordering::Relaxed);
    }
}

/// The next request, to its empty line: calls have no body. `None` where the connection ends.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && head.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
        if head.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(Some(head))
}

/// The server's whole answer. It is asked on a connection of its own, which it closes.
async fn ask(server: SocketAddr, head: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let (line, rest) = head.split_at(head.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2));
    stream.write_all(&[line, b"connection: close\r\n", rest].concat()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    // Only this connection was to be closed.
    let close = b"connection: close\r\n";
    let found = answer.windows(close.len()).position(|bytes| bytes.eq_ignore_ascii_case(close));
    if let Some(at) = found {
        answer.drain(at..at + close.len());
    }
    Ok(answer)
}
