//! One request on one connection, as bytes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The headers about the session, `x-authgear-*` and `set-cookie`, as `name: value`.
    pub fn session(&self) -> Vec<String> {
        let about = |name: &str| name.starts_with("x-authgear-") || name == "set-cookie";
        let chosen = self.headers.iter().filter(|(name, _)| about(name));
        chosen.map(|(name, value)| format!("{name}: {value}")).collect()
    }
}

/// Sends `request`, which is the method and the target, and `headers` as they are, plus `connection: close`.
pub async fn ask(address: SocketAddr, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let bytes = format!("{request} HTTP/1.1\r\n{lines}{length}connection: close\r\n\r\n{body}");
    let answer = String::from_utf8(raw(address, bytes.as_bytes()).await).expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("half an answer: {answer:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header line");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Answer {
        status: status.parse().expect("a status"),
        headers: lines.map(pair).collect(),
        body: body.into(),
    }
}

/// Everything that comes until the connection ends, in whatever way.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    in_time(async {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(bytes).await.expect("the request is taken");
        let mut answer = vec![];
        // A reset ends it too; what came before counts.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    })
    .await
}

pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("an end to it")
}
