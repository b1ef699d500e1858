//! Sends a request whose trailers hold a forged identity. A browser cannot, so the demo does it, over HTTP/2.

use std::convert::Infallible;
use std::error::Error;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::http::{HeaderMap, HeaderName, HeaderValue, header, request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::Settings;

/// The forged trailer: an identity header that the filter manages.
const FORGED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-authgear-user-id"), HeaderValue::from_static("mallory"));
/// One that it has no reason to remove. It shows that trailers reach the app.
const HARMLESS: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-checksum"), HeaderValue::from_static("42"));

/// Asks for this path as the browser that asks us, with its cookies, and returns the status, the request's id and what
/// was answered, as text.
pub(super) async fn ask(
    settings: &Settings,
    asker: &request::Parts,
    path: &str,
) -> Result<Value, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(settings.proxy).await?;
    let (mut sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let driver = tokio::spawn(driver);
    let trailers = HeaderMap::from_iter([FORGED, HARMLESS]);
    let body =
        Full::new(Bytes::from_static(b"hello"))
            .with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
    let mut request =
        Request::post(format!("{}{path}", settings.origin)).header(header::ACCEPT, "application/json");
    for cookie in asker.headers.get_all(header::COOKIE) {
        request = request.header(header::COOKIE, cookie);
    }
    let answer = sender.send_request(request.body(body)?).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    driver.abort();
    let id = head.headers.get("x-request-id").and_then(|id| id.to_str().ok());
    Ok(json!({"status": head.status.as_u16(), "id": id, "body": String::from_utf8_lossy(&body)}))
}
