//! The HTTP client of the suites: it sends exactly the header lines that a test wrote, and returns every header line
//! that came, in order.
//!
//! [`raw`] writes bytes to a socket, for what no well-behaved client sends: two `Content-Length` lines, HTTP/1.0
//! without `Host`, names in mixed case. Every exchange ends within [`TIMEOUT`]; the plain functions then fail the
//! test, and the `try_` ones return the [`Error`].

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How long one exchange may take, from the first byte sent to the last one received.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends one request on an HTTP/1.1 connection of its own.
///
/// # Panics
/// If there is no complete answer within [`TIMEOUT`].
pub async fn send(address: SocketAddr, request: Request) -> Response {
    let what = request.describe(address);
    or_fail(&what, try_send(address, Protocol::Http1, request).await)
}

/// Sends one request on an HTTP/2 connection of its own (prior knowledge, no TLS).
///
/// # Panics
/// If there is no complete answer within [`TIMEOUT`].
pub async fn send_http2(address: SocketAddr, request: Request) -> Response {
    let what = request.describe(address);
    or_fail(&what, try_send(address, Protocol::Http2, request).await)
}

/// Sends one request on a connection of its own, for tests in which it may fail.
pub async fn try_send(address: SocketAddr, protocol: Protocol, request: Request) -> Result<Response, Error> {
    in_time(async {
        let mut connection = Connection::connect(address, protocol).await?;
        connection.exchange(request).await
    })
    .await
}

/// Writes `bytes` to a new connection and reads until the server closes it.
///
/// So the bytes should ask for that (`Connection: close`), unless the server refuses them anyway.
///
/// # Panics
/// If the connection cannot be made, or is still open after [`TIMEOUT`].
pub async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> RawResponse {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
        let mut received = Vec::new();
        // A server that refuses may close before it has read everything. So a failed write or a reset is not an
        // error: the answer is what came before it.
        let _refused_early = stream.write_all(bytes.as_ref()).await;
        let _reset = stream.read_to_end(&mut received).await;
        Ok(RawResponse { bytes: received })
    };
    or_fail(&format!("raw bytes to {address}"), in_time(exchange).await)
}

/// How a connection speaks HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge, without TLS.
    Http2,
}

/// A connection for many requests. Dropping it closes the socket at once, even in the middle of a request.
pub struct Connection {
    address: SocketAddr,
    sender: Sender,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// If the server does not accept the connection.
    pub async fn open(address: SocketAddr, protocol: Protocol) -> Self {
        let what = format!("connect to {address}");
        or_fail(&what, in_time(Self::connect(address, protocol)).await)
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Panics
    /// If there is no complete answer within [`TIMEOUT`].
    pub async fn send(&mut self, request: Request) -> Response {
        let what = request.describe(self.address);
        or_fail(&what, self.try_send(request).await)
    }

    /// [`send`](Self::send) for tests in which it may fail.
    pub async fn try_send(&mut self, request: Request) -> Result<Response, Error> {
        in_time(self.exchange(request)).await
    }

    /// [`send`](Self::send) for a server that may have announced the end of the connection, with `Connection: close`
    /// or a `GOAWAY`. In that case nothing is sent, and the request is returned for use on another connection.
    ///
    /// # Panics
    /// If there is no complete answer within [`TIMEOUT`] to a request that was sent.
    pub async fn send_if_open(&mut self, request: Request) -> Result<Response, Request> {
        let what = request.describe(self.address);
        let exchange = async {
            if self.sender.ready().await.is_err() {
                return Ok(None);
            }
            let request = request.clone();
            let sent = match &mut self.sender {
                Sender::Http1(sender) => sender.try_send_request(request.http1(self.address)).await,
                Sender::Http2(sender) => sender.try_send_request(request.http2(self.address)).await,
            };
            match sent {
                Ok(answer) => Response::read(answer).await.map(Some),
                Err(mut failed) => match failed.take_message() {
                    Some(_unsent) => Ok(None),
                    None => Err(Error::Http(failed.into_error())),
                },
            }
        };
        or_fail(&what, in_time(exchange).await).ok_or(request)
    }

    async fn connect(address: SocketAddr, protocol: Protocol) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
        let io = TokioIo::new(stream);
        // Tasks that wait for an answer get the driver's error from the sender.
        let (sender, driver) = match protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::handshake(io).await.map_err(Error::Http)?;
                let driver = tokio::spawn(async { drop(driver.await) });
                (Sender::Http1(sender), driver)
            }
            Protocol::Http2 => {
                let (sender, driver) =
                    http2::handshake(TokioExecutor::new(), io).await.map_err(Error::Http)?;
                let driver = tokio::spawn(async { drop(driver.await) });
                (Sender::Http2(sender), driver)
            }
        };
        Ok(Self { address, sender, driver })
    }

    async fn exchange(&mut self, request: Request) -> Result<Response, Error> {
        self.sender.ready().await.map_err(Error::Http)?;
        let answer = match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request.http1(self.address)).await,
            Sender::Http2(sender) => sender.send_request(request.http2(self.address)).await,
        };
        Response::read(answer.map_err(Error::Http)?).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn ready(&mut self) -> Result<(), hyper::Error> {
        match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        }
    }
}

/// A request. Only what is set is sent, and `Host` (`:authority`), which is the server's address unless
/// [`host`](Self::host) sets it.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path: String,
    host: Option<String>,
    scheme: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Request {
    /// A request without headers or body.
    ///
    /// # Panics
    /// If hyper would not send the path as it is. Use [`raw`] for that.
    pub fn new(method: &str, path: &str) -> Self {
        // hyper would silently cut off the fragment.
        let sendable = path.starts_with('/') && !path.contains('#') && path.parse::<Uri>().is_ok();
        assert!(sendable, "send the path {path:?} with client::raw");
        Self {
            method: method.parse().unwrap_or_else(|_| panic!("{method:?} is no method")),
            path: path.to_owned(),
            host: None,
            scheme: "http",
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST with this body; its `Content-Length` is set.
    pub fn post(path: &str, body: impl Into<Bytes>) -> Self {
        Self::new("POST", path).body(body)
    }

    /// Sets the body and its `Content-Length`.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Adds a header line. Lines of one name stay separate and in order. hyper writes names in lower case, and groups
    /// the lines of one name where the first one stands.
    ///
    /// # Panics
    /// If hyper refuses the name or the value, as it does with control characters. Use [`raw`] for those.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes())
            .unwrap_or_else(|_| panic!("send the header name {name:?} with client::raw"));
        let value = HeaderValue::from_bytes(value.as_ref())
            .unwrap_or_else(|_| panic!("send this value of {name} with client::raw"));
        self.headers.push((name, value));
        self
    }

    /// Sets `Host`, or `:authority` on HTTP/2.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Sets `:scheme`, which only HTTP/2 has.
    #[must_use]
    pub fn scheme(mut self, scheme: &'static str) -> Self {
        self.scheme = scheme;
        self
    }

    fn describe(&self, address: SocketAddr) -> String {
        format!("{} {} to {address}", self.method, self.path)
    }

    fn http1(self, address: SocketAddr) -> hyper::Request<Full<Bytes>> {
        let host = self.host.clone().unwrap_or_else(|| address.to_string());
        let uri = self.path.clone();
        let mut request = self.build(uri);
        let host = HeaderValue::from_str(&host).expect("a host is a header value");
        request.headers_mut().insert(HOST, host);
        request
    }

    fn http2(self, address: SocketAddr) -> hyper::Request<Full<Bytes>> {
        let host = self.host.clone().unwrap_or_else(|| address.to_string());
        let uri = format!("{}://{host}{}", self.scheme, self.path);
        self.build(uri)
    }

    fn build(self, uri: String) -> hyper::Request<Full<Bytes>> {
        let mut request = hyper::Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri.parse().expect("host and path make a URI");
        for (name, value) in self.headers {
            request.headers_mut().append(name, value);
        }
        request
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Every header line: name in lower case, value as bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header that must not be repeated.
    ///
    /// # Panics
    /// If there are several such lines, or the value is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.header_lines(name);
        assert!(values.len() <= 1, "{name} is repeated: {values:?}");
        values.into_iter().next()
    }

    /// The values of all lines of this name (in lower case), in order.
    ///
    /// # Panics
    /// If a value is not UTF-8.
    pub fn header_lines(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter().filter(|(line, _)| line == name);
        lines.map(|(_, value)| std::str::from_utf8(value).expect("a header value in UTF-8")).collect()
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is no JSON ({error}): {self:?}"))
    }

    async fn read(response: hyper::Response<Incoming>) -> Result<Self, Error> {
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(Error::Http)?.to_bytes();
        let headers = head.headers.iter();
        Ok(Self {
            status: head.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()))
                .collect(),
            body: body.into(),
        })
    }
}

/// Everything that a server wrote before it closed the connection; possibly nothing.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// As it came.
    pub bytes: Vec<u8>,
}

impl RawResponse {
    /// The status of the first answer; `None` when the server closed without one.
    pub fn status(&self) -> Option<u16> {
        let line = self.bytes.split(|byte| *byte == b'\r').next()?;
        let status = line.split(|byte| *byte == b' ').nth(1)?;
        std::str::from_utf8(status).ok()?.parse().ok()
    }

    /// Everything as text, with bytes that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Everything after the first head, transfer coding included.
    pub fn body(&self) -> &[u8] {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        end.map_or(&[], |end| &self.bytes[end + 4..])
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// The server does not accept connections.
    Connect(io::Error),
    /// The connection ended early, or the answer was not HTTP.
    Http(hyper::Error),
    /// No complete answer within [`TIMEOUT`].
    TimedOut,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Http(error) => write!(f, "no complete answer: {error:?}"),
            Self::TimedOut => write!(f, "no complete answer within {} s", TIMEOUT.as_secs()),
        }
    }
}

impl std::error::Error for Error {}

async fn in_time<T>(exchange: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let result = tokio::time::timeout(TIMEOUT, exchange).await;
    result.unwrap_or(Err(Error::TimedOut))
}

fn or_fail<T>(what: &str, result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one connection with fixed bytes, and returns what it read.
    async fn server(answer: &'static [u8]) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.windows(4).any(|four| four == b"\r\n\r\n") {
                stream.read_buf(&mut read).await.unwrap();
            }
            stream.write_all(answer).await.unwrap();
            String::from_utf8_lossy(&read).into_owned()
        });
        (address, received)
    }

    #[tokio::test]
    async fn header_lines_are_sent_apart_in_order_and_as_bytes() {
        let (address, received) = server(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        let request = Request::get("/a?b=%20")
            .host("app.test")
            .header("cookie", "a=1")
            .header("cookie", b"b=\xff")
            .header("x_under", "score");
        assert_eq!(send(address, request).await.status, 204);
        assert_eq!(
            received.await.unwrap(),
            "GET /a?b=%20 HTTP/1.1\r\ncookie: a=1\r\ncookie: b=\u{fffd}\r\nx_under: score\r\n\
             host: app.test\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn repeated_answer_headers_are_kept_apart() {
        let (address, _) =
            server(b"HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 2\r\n\r\nok").await;
        let response = send(address, Request::get("/")).await;
        assert_eq!(response.header_lines("set-cookie"), ["a", "b"]);
        assert_eq!(response.header("content-length"), Some("2"));
        assert_eq!(response.text(), "ok");
    }

    #[tokio::test]
    async fn raw_bytes_are_sent_as_they_are() {
        let (address, received) = server(b"HTTP/1.0 400 Bad Request\r\n\r\nno").await;
        let response = raw(address, "GET /#x HTTP/1.0\r\nX-Mixed: 1\r\n\r\n").await;
        assert_eq!((response.status(), response.body()), (Some(400), &b"no"[..]));
        assert_eq!(received.await.unwrap(), "GET /#x HTTP/1.0\r\nX-Mixed: 1\r\n\r\n");
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_is_an_error() {
        let (address, _) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort").await;
        let result = try_send(address, Protocol::Http1, Request::get("/")).await;
        assert!(matches!(result, Err(Error::Http(_))), "{result:?}");
    }
}
