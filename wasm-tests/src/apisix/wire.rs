//! HTTP/1 to the upstream and the auth servers, as lua-resty-http reads it: the timeout applies to each socket
//! operation and not to the whole, lines and headers may have any length, and half an answer counts as none.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::exchange::{Callout, Field, Fields};

/// nginx's timeout by default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// What a server answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: Fields,
    pub(super) body: Vec<u8>,
}

/// Sends a call and reads its answer. Like the real client, it never retries.
pub(super) async fn call(callout: &Callout) -> Result<Answer> {
    let mut fields = Vec::new();
    let (mut method, mut path, mut scheme) = (b"GET".as_slice(), b"/".as_slice(), b"http".as_slice());
    for (name, value) in &callout.fields {
        match name.as_slice() {
            b":method" => method = value,
            b":path" => path = value,
            b":scheme" => scheme = value,
            b":authority" => fields.push((b"host".to_vec(), value.clone())),
            _ => fields.push((name.clone(), value.clone())),
        }
    }
    if scheme == b"https" {
        return Err(Error::other("this host speaks no TLS"));
    }
    let query = path.iter().position(|&byte| byte == b'?').map_or(b"".as_slice(), |at| &path[at..]);
    if query.iter().any(|byte| b"<>".contains(byte)) {
        return Err(Error::other("the client refuses < and > in a query"));
    }
    if fields.iter().any(|(_, value)| value.iter().any(u8::is_ascii_control)) {
        return Err(Error::other("the client refuses control characters in a header"));
    }
    let has = |name: &[u8]| fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let agent =
        (!has(b"user-agent")).then(|| (b"user-agent".to_vec(), b"lua-resty-http/0.17.2 (Lua)".to_vec()));
    let length = (!callout.body.is_empty())
        .then(|| (b"content-length".to_vec(), callout.body.len().to_string().into_bytes()));
    fields.extend(agent.into_iter().chain(length));
    let address = match callout.upstream.contains(':') {
        true => callout.upstream.clone(),
        false => format!("{}:80", callout.upstream),
    };
    let patience = match callout.timeout_milliseconds {
        0 => DEFAULT_TIMEOUT,
        given => Duration::from_millis(given.into()),
    };
    let request = request(method, path, &fields, &callout.body);
    let pooled = EARLY.with_borrow_mut(|early| early.remove(&address));
    let stream = match pooled {
        Some(stream) => stream,
        None => connect(&address, patience).await?,
    };
    let (answer, stream) = send(stream, &request, method, patience).await?;
    // An answer below 200 counts as the final one, and its connection is kept for the next call.
    if answer.status < 200 {
        EARLY.with_borrow_mut(|early| early.insert(address, stream));
    }
    Ok(answer)
}

thread_local! {
    /// This worker's connections on which the real answer is still to come, by address. Others are not kept, so that
    /// no test depends on them.
    static EARLY: RefCell<HashMap<String, BufReader<TcpStream>>> = RefCell::default();
}

/// Sends a request to the upstream.
pub(super) async fn forward(
    address: &str,
    method: &[u8],
    target: &[u8],
    fields: &[Field],
    body: &[u8],
) -> Result<Answer> {
    let stream = connect(address, DEFAULT_TIMEOUT).await?;
    let request = request(method, target, fields, body);
    Ok(send(stream, &request, method, DEFAULT_TIMEOUT).await?.0)
}

fn request(method: &[u8], target: &[u8], fields: &[Field], body: &[u8]) -> Vec<u8> {
    let mut bytes = [method, b" ", target, b" HTTP/1.1\r\n"].concat();
    for (name, value) in fields {
        bytes.extend([name, b": ".as_slice(), value, b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

async fn connect(address: &str, patience: Duration) -> Result<BufReader<TcpStream>> {
    let stream = timed(patience, TcpStream::connect(address)).await?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

async fn send(
    mut stream: BufReader<TcpStream>,
    request: &[u8],
    method: &[u8],
    patience: Duration,
) -> Result<(Answer, BufReader<TcpStream>)> {
    timed(patience, stream.write_all(request)).await?;
    let mut reader = Reader { stream, patience };
    let (status, fields) = loop {
        let (status, fields) = (reader.status().await?, reader.fields().await?);
        if status != 100 {
            break (status, fields);
        }
    };
    let has_body = method != b"HEAD" && !matches!(status, 100..200 | 204 | 304);
    let body = if has_body { reader.body(&fields).await? } else { Vec::new() };
    Ok((Answer { status, fields, body }, reader.stream))
}

async fn timed<T>(patience: Duration, operation: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(patience, operation).await.unwrap_or_else(|_elapsed| Err(ErrorKind::TimedOut.into()))
}

/// Reads HTTP/1. Each read must end within `patience`.
struct Reader<S> {
    stream: S,
    patience: Duration,
}

impl<S: AsyncBufRead + Unpin> Reader<S> {
    async fn status(&mut self) -> Result<u16> {
        let line = self.line().await?;
        let number = |from: usize| line.get(from..from + 3).and_then(|part| std::str::from_utf8(part).ok());
        let version = number(5).and_then(|version| version.parse::<f32>().ok());
        let status = number(9).and_then(|status| status.parse().ok());
        version.and(status).ok_or_else(|| Error::new(ErrorKind::InvalidData, "no status line"))
    }

    async fn fields(&mut self) -> Result<Fields> {
        let mut fields = Fields::default();
        loop {
            let line = self.line().await?;
            if line.trim_ascii().is_empty() {
                return Ok(fields);
            }
            // Skip a line that is not a header.
            if let Some(at) = line.iter().position(|&byte| byte == b':') {
                let (name, value) = (line[..at].trim_ascii(), line[at + 1..].trim_ascii_start());
                fields.0.push((name.to_ascii_lowercase(), value.to_vec()));
            }
        }
    }

    async fn body(&mut self, fields: &Fields) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if fields.first(b"transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
            loop {
                let line = self.line().await?;
                let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
                let size = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| usize::from_str_radix(digits, 16).ok());
                match size.ok_or(ErrorKind::InvalidData)? {
                    0 => break drop(self.fields().await?),
                    size => self.exactly(size, &mut body).await?,
                }
                self.line().await?;
            }
        } else if let Some(length) = fields.first(b"content-length") {
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            self.exactly(length.ok_or(ErrorKind::InvalidData)?, &mut body).await?;
        } else {
            while self.some(usize::MAX, &mut body).await? > 0 {}
        }
        Ok(body)
    }

    async fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let read = timed(self.patience, self.stream.fill_buf()).await?;
            if read.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let end = read.iter().position(|&byte| byte == b'\n');
            let used = end.map_or(read.len(), |end| end + 1);
            line.extend(&read[..used]);
            self.stream.consume(used);
            if end.is_some() {
                line.truncate(line.strip_suffix(b"\r\n").map_or(line.len() - 1, <[u8]>::len));
                return Ok(line);
            }
        }
    }

    async fn exactly(&mut self, size: usize, body: &mut Vec<u8>) -> Result<()> {
        let end = body.len().saturating_add(size);
        while body.len() < end {
            if self.some(end - body.len(), body).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    async fn some(&mut self, most: usize, body: &mut Vec<u8>) -> Result<usize> {
        let mut part = vec![0; most.min(16 * 1024)];
        let read = timed(self.patience, self.stream.read(&mut part)).await?;
        body.extend(&part[..read]);
        Ok(read)
    }
}
