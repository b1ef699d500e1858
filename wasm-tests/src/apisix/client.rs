//! Reads HTTP/1 from clients as nginx does in APISIX: it keeps names with underscores and drops names with other odd
//! bytes, values are any bytes, and the target stays as sent.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::exchange::Fields;

/// The longest head: four buffers of 8 KiB.
const MAX_HEAD: usize = 32 * 1024;

/// A request as received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) fields: Fields,
    pub(super) body: Vec<u8>,
    pub(super) keep_alive: bool,
}

/// What a connection brings next.
#[derive(Debug)]
pub(super) enum Incoming {
    Request(Received),
    /// A request that nginx answers itself.
    Bad(u16),
    End,
}

/// Reads the next request. An error means that the connection broke off.
pub(super) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Incoming> {
    let mut left = MAX_HEAD;
    let Some(first) = line(stream, &mut left).await? else { return Ok(Incoming::End) };
    let mut parts = first.splitn(2, |&byte| byte == b' ');
    let (method, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Some(space) = rest.iter().rposition(|&byte| byte == b' ') else { return Ok(Incoming::Bad(400)) };
    let (target, version) = (&rest[..space], &rest[space + 1..]);
    let is_target = target.starts_with(b"/") && target.iter().all(|byte| !byte.is_ascii_control());
    if !is_target || !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
        return Ok(Incoming::Bad(400));
    }
    let mut fields = Fields::default();
    loop {
        let Some(line) = line(stream, &mut left).await? else { return Ok(Incoming::Bad(400)) };
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return Ok(Incoming::Bad(400)) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let kept = name.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if kept && !name.is_empty() {
            fields.0.push((name.to_ascii_lowercase(), value.to_vec()));
        }
    }
    let modern = version == b"HTTP/1.1";
    if modern && fields.first(b"host").is_none() {
        return Ok(Incoming::Bad(400));
    }
    let says =
        |token: &[u8]| fields.first(b"connection").is_some_and(|value| value.eq_ignore_ascii_case(token));
    let keep_alive = if modern { !says(b"close") } else { says(b"keep-alive") };
    let length = match fields.first(b"content-length") {
        Some(digits) => match std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) {
            Some(length) => length,
            None => return Ok(Incoming::Bad(400)),
        },
        None => 0,
    };
    // The suites send no chunked bodies.
    if fields.first(b"transfer-encoding").is_some() {
        return Ok(Incoming::Bad(501));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Incoming::Request(Received {
        method: method.to_vec(),
        target: target.to_vec(),
        fields,
        body,
        keep_alive,
    }))
}

/// A line without its line break; `None` if the connection has ended or the head is too long.
async fn line(stream: &mut (impl AsyncBufRead + Unpin), left: &mut usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = (&mut *stream).take(*left as u64).read_until(b'\n', &mut line).await?;
    *left -= read;
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}
