//! The proxy around a worker: what APISIX does with a request before and after the filter, on real sockets.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming as Body};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::client::{self, Incoming, Received};
use super::exchange::{Exchange, Field, Fields, Head, Reply, Variables};
use super::record::Record;
use super::violation::Violation;
use super::wire;
use super::worker::{Context, Next, Worker};

/// One worker process: its module and where it sends requests.
pub(super) struct Process {
    pub(super) worker: RefCell<Worker>,
    pub(super) upstream: Option<SocketAddr>,
    pub(super) record: Arc<Record>,
    /// Whether a request ends when its client leaves (`lua_check_client_abort on`).
    pub(super) checks_clients: bool,
    /// Whether the forwarding headers of peers are kept (`apisix.trusted_addresses`).
    pub(super) trusts_peers: bool,
    /// The variables of nginx that are declared, with their values at first.
    pub(super) variables: Variables,
}

/// The answer to the client.
#[derive(Debug)]
struct Answered {
    status: u16,
    fields: Fields,
    body: Vec<u8>,
}

/// Serves connections until it is dropped.
pub(super) async fn serve(process: Rc<Process>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, peer)) = listener.accept() => {
                let process = process.clone();
                connections.spawn_local(async move {
                    // A client that leaves or breaks the protocol is of no concern to the proxy.
                    let _ = connection(&process, stream, peer).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(process: &Rc<Process>, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut start = [0; 3];
    stream.peek(&mut start).await?;
    if &start == b"PRI" {
        return http2_connection(process.clone(), stream, peer).await;
    }
    let mut stream = BufReader::new(stream);
    loop {
        let (answer, keep_alive) = match client::read(&mut stream).await? {
            Incoming::End => return Ok(()),
            Incoming::Bad(status) => (page(status, Fields::default()), false),
            Incoming::Request(request) => {
                let keep_alive = request.keep_alive;
                let (leave, left) = oneshot::channel();
                let left = process.checks_clients.then_some(left);
                let mut handled = tokio::task::spawn_local(handle(process.clone(), request, peer, left));
                let answer = if process.checks_clients {
                    tokio::select! {
                        answer = &mut handled => answer,
                        read = stream.fill_buf() => {
                            if read.map_or(true, <[u8]>::is_empty) {
                                // The worker learns of it, unless it has ended.
                                let _ = leave.send(());
                            }
                            handled.await
                        }
                    }
                } else {
                    // A request goes on after its client has left: nginx does not check during a call.
                    handled.await
                };
                match answer.map_err(io::Error::other)? {
                    Some(answer) => (answer, keep_alive),
                    None => return Ok(()),
                }
            }
        };
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status)).into_bytes();
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let fields = answer.fields.0.iter().filter(|(name, _)| name != b"content-length");
        for (name, value) in fields {
            bytes.extend([name, b": ".as_slice(), value, b"\r\n"].concat());
        }
        bytes.extend(
            format!("content-length: {}\r\nconnection: {connection}\r\n\r\n", answer.body.len()).bytes(),
        );
        bytes.extend(answer.body);
        stream.write_all(&bytes).await?;
        if !keep_alive {
            return Ok(());
        }
    }
}

async fn http2_connection(process: Rc<Process>, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    let service = service_fn(move |request: hyper::Request<Body>| {
        let process = process.clone();
        async move {
            let (head, body) = request.into_parts();
            let mut fields = Fields::default();
            if let Some(authority) = head.uri.authority() {
                fields.0.push((b"host".to_vec(), authority.as_str().into()));
            }
            let mut cookies = Vec::new();
            for (name, value) in &head.headers {
                match name.as_str() {
                    // HTTP/2 may split the header; nginx joins the parts.
                    "cookie" => cookies.push(value.as_bytes()),
                    name if name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) =>
                    {
                        fields.0.push((name.into(), value.as_bytes().to_vec()));
                    }
                    _dropped => {}
                }
            }
            if !cookies.is_empty() {
                fields.0.push((b"cookie".to_vec(), cookies.join(b"; ".as_slice())));
            }
            let target = head.uri.path_and_query().map_or("/", |path| path.as_str()).into();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes().into();
            let method = head.method.as_str().into();
            let request = Received { method, target, fields, body, keep_alive: true };
            let answer = handle(process, request, peer, None)
                .await
                .ok_or_else(|| io::Error::other("the worker crashed"))?;
            let mut response = hyper::Response::new(Full::new(Bytes::from(answer.body)));
            *response.status_mut() = hyper::StatusCode::from_u16(answer.status).map_err(io::Error::other)?;
            for (name, value) in answer.fields.0.iter().filter(|(name, _)| name != b"content-length") {
                let name = hyper::header::HeaderName::from_bytes(name).map_err(io::Error::other)?;
                let value = hyper::header::HeaderValue::from_bytes(value).map_err(io::Error::other)?;
                response.headers_mut().append(name, value);
            }
            Ok::<_, io::Error>(response)
        }
    });
    http2::Builder::new(Local).serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

/// Runs hyper's tasks on the worker's thread.
#[derive(Clone)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        drop(tokio::task::spawn_local(task));
    }
}

/// Takes a request through the filter. `None` if the worker crashed, which cuts the client off, or if the client has
/// left, which `left` reports.
async fn handle(
    process: Rc<Process>,
    received: Received,
    peer: SocketAddr,
    mut left: Option<oneshot::Receiver<()>>,
) -> Option<Answered> {
    let Received { method, target, mut fields, body, keep_alive: _ } = received;
    let Some(route) = process.worker.borrow().route(&target) else {
        return Some(page(404, Fields::default()));
    };
    // Before any plugin runs, the client's own values are overwritten, unless the peer is trusted.
    let host = fields.first(b"host").unwrap_or_default().to_vec();
    let own: [(&[u8], &[u8]); 3] =
        [(b"x-forwarded-proto", b"http"), (b"x-forwarded-host", &host), (b"x-forwarded-port", b"9080")];
    for (name, value) in own {
        if !process.trusts_peers || fields.first(name).is_none_or(<[u8]>::is_empty) {
            fields.set(name, value);
        }
    }
    let head = Head { method, target, fields, peer };
    let exchange = Exchange::new(head, process.variables.clone());

    let (mut exchange, context, mut next) = process.worker.borrow_mut().request(route, exchange);
    let mut answered = loop {
        match (next, context) {
            (Next::Call(callout), Some(context)) => {
                let answer = tokio::select! {
                    answer = wire::call(&callout) => answer,
                    () = has_left(&mut left) => {
                        // The call ends with the request, and its answer never comes.
                        process.worker.borrow_mut().end(context);
                        return None;
                    }
                };
                if let Err(error) = &answer {
                    process.record.log("error", format!("http call failed: {error}").as_bytes());
                }
                (exchange, next) =
                    process.worker.borrow_mut().answer(context, exchange, callout.token, answer.ok());
            }
            (Next::Forward, _) => break forward(&process, &exchange, &body).await,
            (Next::Reply(reply), _) => {
                break reply_of(&process.record, reply, std::mem::take(&mut exchange.response));
            }
            (Next::Dead, _) | (Next::Call(_), None) => return None,
            (Next::Unavailable, _) => break page(503, std::mem::take(&mut exchange.response)),
        }
    };
    if let Some(context) = context {
        answered = finish(&process, context, exchange, answered)?;
    }
    Some(answered)
}

/// Waits until the client leaves; forever if nobody checks.
async fn has_left(left: &mut Option<oneshot::Receiver<()>>) {
    if let Some(left) = left
        && left.await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Shows the filter the response, then deletes its context. nginx deletes it just after the client has the response;
/// here it happens before, so that a test knows when.
fn finish(
    process: &Process,
    context: Context,
    mut exchange: Exchange,
    answered: Answered,
) -> Option<Answered> {
    let Answered { status, fields, body } = answered;
    (exchange.response, exchange.status) = (fields, status);
    let content_type = exchange.request.fields.first(b"content-type").unwrap_or_default();
    let is_redirected = content_type.starts_with(b"application/grpc");
    let mut worker = process.worker.borrow_mut();
    let exchange = match is_redirected {
        true => worker.redirected(context, exchange)?,
        false => worker.response(context, exchange)?,
    };
    process.record.access(exchange.variables);
    worker.end(context);
    Some(Answered { status, fields: exchange.response, body })
}

async fn forward(process: &Process, exchange: &Exchange, body: &[u8]) -> Answered {
    const HOP_BY_HOP: [&[u8]; 5] = [b"connection", b"keep-alive", b"te", b"upgrade", b"content-length"];
    let request = &exchange.request;
    let address = request.peer.ip().to_string().into_bytes();
    let kept = request.fields.0.iter().filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_slice()));
    let mut fields = Fields(kept.cloned().collect());
    fields.set(b"x-real-ip", &address);
    let chain = fields.first(b"x-forwarded-for").map(|chain| [chain, b", ", &address].concat());
    fields.set(b"x-forwarded-for", &chain.unwrap_or(address));
    let own: [Field; 2] = [
        (b"content-length".to_vec(), body.len().to_string().into()),
        (b"connection".to_vec(), b"close".to_vec()),
    ];
    fields.0.extend(own);
    let Some(upstream) = process.upstream else { return page(200, Fields::default()) };
    match wire::forward(&upstream.to_string(), &request.method, &request.target, &fields.0, body).await {
        Ok(answer) => {
            let mut fields = exchange.response.clone();
            let theirs = answer.fields.0.into_iter();
            fields.0.extend(
                theirs.filter(|(name, _)| !matches!(name.as_slice(), b"connection" | b"transfer-encoding")),
            );
            Answered { status: answer.status, fields, body: answer.body }
        }
        Err(error) => {
            process.record.log("error", format!("the upstream does not answer: {error}").as_bytes());
            page(502, exchange.response.clone())
        }
    }
}

fn reply_of(record: &Record, reply: Reply, mut fields: Fields) -> Answered {
    let Reply { status, body } = reply;
    if let Some(said) = fields.first(b"content-length")
        && said != body.len().to_string().as_bytes()
    {
        let said = String::from_utf8_lossy(said).into_owned();
        record.violation(Violation::WrongLength { said, length: body.len() });
    }
    if body.is_empty() && status >= 300 {
        return page(status, fields);
    }
    if fields.first(b"content-type").is_none() {
        fields.add(b"content-type", b"text/plain; charset=utf-8");
    }
    Answered { status, fields, body }
}

/// nginx's own page.
fn page(status: u16, mut fields: Fields) -> Answered {
    fields.set(b"content-type", b"text/html");
    let title = format!("{status} {}", reason(status));
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>openresty</center>\r\n</body>\r\n</html>\r\n"
    );
    Answered { status, fields, body: body.into_bytes() }
}

fn reason(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}
