//! What the demo's console asks: how requests were decided, the filter's counters, and Authgear's switches.
//!
//! Envoy leads `/demo/` here, past the filter, so that the console's own questions are not among what it shows. It
//! listens on loopback, and changes something only for pages of the demo's own origin.

mod decision;
mod plot;
mod trailer;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::http::{HeaderValue, Method, header, request};
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::{self, Protocol, Response};
use crate::serve::{self, Reply, Server};
use decision::Decisions;
use plot::Plot;

pub use decision::log_fields;

const SCRIPT: &str = include_str!("console.js");

/// The longest form that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// How often the counters are read.
const SAMPLE: Duration = Duration::from_secs(1);

/// The beginning of the names of the filter's counters.
const COUNTERS: &str = "wasmcustom.authgear_filter.";

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `scheme://host:port` as the browser sees it.
    pub origin: String,
    /// Envoy, as a client reaches it.
    pub proxy: SocketAddr,
    /// Envoy's admin pages.
    pub admin: SocketAddr,
    /// The main server of the stand-in for Authgear.
    pub authgear: SocketAddr,
}

/// The running control. Dropping it stops it.
#[derive(Debug)]
pub struct Control {
    desk: Arc<Desk>,
    server: Server,
    sampler: JoinHandle<()>,
}

impl Control {
    /// Starts it on a free port of loopback.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let desk = Arc::new(Desk { settings, decisions: Mutex::default(), plot: Mutex::default() });
        let listener = serve::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let of_server = desk.clone();
        let server = Server::http(listener, move |request, _| answer(of_server.clone(), request))?;
        let of_sampler = desk.clone();
        let sampler = tokio::spawn(async move {
            loop {
                of_sampler.sample().await;
                tokio::time::sleep(SAMPLE).await;
            }
        });
        Ok(Self { desk, server, sampler })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Takes a line that Envoy printed, and returns it in words for people, if it is one of the access log with
    /// [`log_fields`]. `None` for any other line.
    pub fn note(&self, line: &str) -> Option<String> {
        self.desk.decisions().note(line)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.sampler.abort();
    }
}

#[derive(Debug)]
struct Desk {
    settings: Settings,
    decisions: Mutex<Decisions>,
    plot: Mutex<Plot>,
}

impl Desk {
    fn decisions(&self) -> MutexGuard<'_, Decisions> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plot(&self) -> MutexGuard<'_, Plot> {
        self.plot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the counters. While Envoy starts there are none.
    async fn sample(&self) {
        let request = client::Request::get("/stats?filter=^wasmcustom");
        let answer = client::try_send(self.settings.admin, Protocol::Http1, request).await;
        let Ok(answer) = answer.map_err(drop).and_then(|answer| text_of(answer).ok_or(())) else { return };
        let lines = answer.lines().filter_map(|line| line.split_once(": "));
        let counters = lines.filter_map(|(name, value)| {
            Some((name.strip_prefix(COUNTERS)?.to_owned(), value.trim().parse().ok()?))
        });
        self.plot().add(now(), counters.collect());
    }

    /// Asks the stand-in. An error says what it answered, or why it did not.
    async fn ask_authgear(&self, request: client::Request) -> Result<String, Failure> {
        let host = self.settings.origin.split_once("://").map_or("", |(_, host)| host);
        let answer = client::try_send(self.settings.authgear, Protocol::Http1, request.host(host)).await;
        let answer = answer.map_err(|error| Failure(StatusCode::BAD_GATEWAY, error.to_string()))?;
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let text = text_of(answer).unwrap_or_default();
        if status.is_success() { Ok(text) } else { Err(Failure(status, text)) }
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<String, Failure> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = client::Request::post(path, form);
        self.ask_authgear(request.header("content-type", "application/x-www-form-urlencoded")).await
    }
}

/// What the console is told instead of an answer.
struct Failure(StatusCode, String);

async fn answer(desk: Arc<Desk>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "this form cannot be read");
    };
    let body = body.to_bytes();
    let fields: Vec<_> = form_urlencoded::parse(&body).collect();
    let field =
        |name: &str| fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_ref());
    if let Err(Failure(status, why)) = may_ask(&desk.settings, &head) {
        return plain(status, why);
    }
    let done = match (&head.method, head.uri.path()) {
        (&Method::GET | &Method::HEAD, "/demo/console.js") => {
            return content("text/javascript; charset=utf-8", SCRIPT);
        }
        (&Method::GET, "/demo/state") => state(&desk, &head).await,
        (&Method::POST, "/demo/token") => {
            let wanted = [("user", field("user")), ("kind", field("kind"))];
            desk.post("/stand-in/token", &wanted).await.map(|token| json!({"token": token.trim_end()}))
        }
        (&Method::POST, "/demo/trailer") => match field("path") {
            path if path.starts_with("/app") => trailer::ask(&desk.settings, &head, path)
                .await
                .map_err(|error| Failure(StatusCode::BAD_GATEWAY, error.to_string())),
            _ => Err(Failure(StatusCode::BAD_REQUEST, "path must be one of the app's".into())),
        },
        (&Method::POST, "/demo/resolver") => {
            desk.post("/stand-in/resolver", &[("state", field("state"))]).await.map(|_| json!({}))
        }
        (&Method::POST, "/demo/revoke") => administer(&desk, "revoke", field("user")).await,
        (&Method::POST, "/demo/disable") => administer(&desk, "disable", field("user")).await,
        (&Method::POST, "/demo/enable") => administer(&desk, "enable", field("user")).await,
        _ => return plain(StatusCode::NOT_FOUND, "the demo has nothing there"),
    };
    match done {
        Ok(value) => content("application/json", value.to_string()),
        Err(Failure(status, why)) => plain(status, why),
    }
}

/// Whoever is led here by another name of this machine, or by another site's page, changes and reads nothing.
fn may_ask(settings: &Settings, head: &request::Parts) -> Result<(), Failure> {
    let host = head.uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| head.headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
    let port = settings.origin.rsplit_once(':').map_or("", |(_, port)| port);
    let known = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{port}"));
    if !known.iter().any(|known| known == host) {
        return Err(Failure(StatusCode::MISDIRECTED_REQUEST, format!("the demo is at {}", settings.origin)));
    }
    let origin = head.headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    if head.method == Method::POST && origin != Some(format!("http://{host}").as_bytes()) {
        return Err(Failure(StatusCode::FORBIDDEN, "only the demo's own pages may do that".into()));
    }
    Ok(())
}

async fn administer(desk: &Desk, action: &str, user: &str) -> Result<Value, Failure> {
    desk.post(&format!("/stand-in/{action}"), &[("user", user)]).await.map(|_| json!({}))
}

/// Everything that the console shows: the decisions after that of the number `after`, the counters, the switches.
async fn state(desk: &Desk, head: &request::Parts) -> Result<Value, Failure> {
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let after = query.into_iter().find(|(name, _)| name == "after").and_then(|(_, value)| value.parse().ok());
    let authgear = desk.ask_authgear(client::Request::get("/stand-in/state")).await?;
    let authgear: Value = serde_json::from_str(&authgear)
        .map_err(|error| Failure(StatusCode::BAD_GATEWAY, error.to_string()))?;
    desk.sample().await;
    let plot = desk.plot().json(now());
    let decisions = desk.decisions().after(after.unwrap_or(0));
    Ok(json!({"decisions": decisions, "plot": plot, "authgear": authgear}))
}

fn text_of(answer: Response) -> Option<String> {
    String::from_utf8(answer.body).ok()
}

fn content(kind: &'static str, body: impl Into<String>) -> Reply {
    let mut reply = Reply::new(body.into().into());
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

fn plain(status: StatusCode, why: impl Into<String>) -> Reply {
    let mut reply = content("text/plain; charset=utf-8", why.into() + "\n");
    *reply.status_mut() = status;
    reply
}

/// The time in Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
