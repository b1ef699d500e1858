//! The app behind the filter. It answers with what it received: as a page to a browser, as JSON to everything else.
//!
//! It shows bytes as Latin-1, one character each, so that no part of a header is lost.

mod page;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::http::{HeaderValue, header};
use hyper::{Request, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::received::{Journal, Received};
use crate::serve::{self, Reply, Server};

/// How the app behaves. The default is what tests want.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether to print a line per request.
    pub log: bool,
    /// Whether its page is the demo's console. The demo must then serve what is under `/demo/` on the same origin.
    pub is_console: bool,
}

/// A running echo app. Dropping it stops it.
#[derive(Debug)]
pub struct Echo {
    journal: Arc<Journal>,
    server: Server,
}

impl Echo {
    /// Starts it on a free port, without a log.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start() -> io::Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), Options::default()).await
    }

    /// Starts it on `address`.
    ///
    /// # Errors
    /// If the address cannot be bound; the error names it.
    pub async fn start_on(address: SocketAddr, options: Options) -> io::Result<Self> {
        let journal = Arc::new(Journal::default());
        let kept = journal.clone();
        let handler = move |request, peer| echo(kept.clone(), options, request, peer);
        Ok(Self { journal, server: Server::http(serve::bind(address).await?, handler)? })
    }

    /// Stops it, and returns when its address is free.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What it received. A request counts once its body has ended.
    pub fn received(&self) -> &Journal {
        &self.journal
    }
}

/// The size and hash of a body.
struct Body {
    length: u64,
    /// In hexadecimal.
    sha256: String,
    trailers: Vec<(String, Vec<u8>)>,
}

async fn echo(
    journal: Arc<Journal>,
    options: Options,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Reply {
    let (head, incoming) = request.into_parts();
    let wants_page = head
        .headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|list| list.to_ascii_lowercase().contains("text/html")));
    let (reply, length) = match read(incoming).await {
        Ok(body) => {
            let received = Received::new(&head, body.length, peer);
            let reply = match (wants_page, options.is_console) {
                (false, _) => json_reply(&received, &body),
                (true, false) => page::simple(&received),
                (true, true) => page::console(&received),
            };
            journal.add(received);
            (reply, body.length)
        }
        Err(error) => {
            let mut reply = Reply::new(format!("the body broke off: {error}\n").into());
            *reply.status_mut() = StatusCode::BAD_REQUEST;
            (reply, 0)
        }
    };
    if options.log {
        let user =
            page::user(&head.headers).map_or_else(|| "nobody".into(), |user| user.escape_debug().to_string());
        let (status, path) = (reply.status().as_u16(), head.uri.path());
        serve::log(format_args!("echo {status} {} {path} user={user} body={length}", head.method));
    }
    reply
}

async fn read(mut body: Incoming) -> hyper::Result<Body> {
    let (mut length, mut hash, mut trailers) = (0, Sha256::new(), Vec::new());
    while let Some(frame) = body.frame().await.transpose()? {
        if let Some(data) = frame.data_ref() {
            length += data.len() as u64;
            hash.update(data);
        }
        if let Some(fields) = frame.trailers_ref() {
            trailers.extend(fields.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())));
        }
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Body { length, sha256, trailers })
}

/// One header a line, so that a person can read it in a terminal.
fn json_reply(received: &Received, body: &Body) -> Reply {
    let pair = |(name, value): &(String, Vec<u8>)| format!("\n    {}", json!([name, latin1(value)]));
    let headers: Vec<String> = received.headers.iter().map(pair).collect();
    let text = format!(
        "{{\n  \"method\": {},\n  \"path\": {},\n  \"version\": {},\n  \"headers\": [{}\n  ],\n  \
         \"body_length\": {},\n  \"body_sha256\": {},\n  \"trailers\": [{}]\n}}\n",
        json!(received.method),
        json!(received.target),
        json!(format!("{:?}", received.version)),
        headers.join(","),
        body.length,
        json!(body.sha256),
        body.trailers
            .iter()
            .map(|(name, value)| json!([name, latin1(value)]).to_string())
            .collect::<Vec<_>>()
            .join(", "),
    );
    reply("application/json", text)
}

fn reply(kind: &'static str, body: String) -> Reply {
    let mut reply = Reply::new(body.into());
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
