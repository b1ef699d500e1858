//! An auth server that sends 103 (Early Hints) before it answers 200 to the session `alice`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use wasm_tests::wait::{holds, wait_until};

/// A running server. It ends with the test's runtime.
pub struct EarlyHints {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    answers: Arc<AtomicUsize>,
}

impl EarlyHints {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, answers) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, answered) = (connections.clone(), answers.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, answered.clone()));
            }
        });
        Self { address, connections, answers }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until this many real answers have been written.
    pub async fn wait_for_answers(&self, count: usize) {
        wait_until(&format!("{count} answers were written"), Duration::from_secs(60), || async {
            let written = self.answers.load(Ordering::SeqCst);
            holds(written >= count, written)
        })
        .await;
    }
}

async fn serve(stream: TcpStream, answers: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let identity = match head.contains("session=alice") {
            true => "x-authgear-session-valid: true\r\nx-authgear-user-id: alice\r\n",
            false => "",
        };
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n").await?;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{identity}\r\n");
        stream.write_all(answer.as_bytes()).await?;
        answers.fetch_add(1, Ordering::SeqCst);
    }
}
