//! `jwt[].introspection`: an authorization server that is asked about tokens, on every host.

#[path = "../../../tests/tokens/issuer.rs"]
#[allow(dead_code, reason = "shared with the suite of tokens, which uses more of it")]
mod issuer;

mod decisions;
mod documented;
mod faults;
mod questions;

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::faulty::Answer;
use wasm_tests::introspector::{Introspector, Question};
use wasm_tests::scene::{Host, seen};

/// The issuer of the tokens that are asked about.
const ISSUER: &str = "https://login.example";

/// What nobody but the server may read.
const SECRET: &str = "hunter2:+&";

/// A host that asks a server about tokens of requests to an app.
struct Guarded<H> {
    server: Introspector,
    app: Echo,
    host: H,
}

impl<H: Host> Guarded<H> {
    async fn start(
        change: impl FnOnce(&mut Value),
        decide: impl Fn(&Question) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let server = Introspector::start(decide).await.expect("a port for the server");
        let (app, host) = start::<H>(server.address(), change).await;
        Self { server, app, host }
    }

    async fn send(&self, request: Request) -> Response {
        client::send(self.host.address(), request).await
    }
}

async fn start<H: Host>(server: SocketAddr, change: impl FnOnce(&mut Value)) -> (Echo, H) {
    let app = Echo::start().await.expect("a port for the app");
    let mut configuration = configuration::<H>("login", server);
    change(&mut configuration);
    let host = H::start(H::builder(&app, &[("login", server)]), configuration).await;
    (app, host)
}

/// One issuer, whose tokens this server is asked about.
fn configuration<H: Host>(name: &str, server: SocketAddr) -> Value {
    json!({"jwt": [{
        "issuer": ISSUER,
        "audiences": ["api"],
        "headers": {"x-user": "sub", "x-scope": "scope"},
        "introspection": {
            "url": "http://login.example/introspect?realm=a",
            "upstream": H::upstream(name, server),
            "client_id": "a filter",
            "client_secret": SECRET,
        },
    }]})
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What a server states of a good token.
fn active(user: &str) -> Value {
    json!({"active": true, "sub": user, "aud": "api", "scope": "read write", "exp": now() + 600})
}

fn says(answer: &Value) -> Answer {
    Answer::status(200).header("content-type", "application/json").body(answer.to_string())
}

/// Knows each token by the user that it ends with: `at-alice` is alice's. Others are not active.
fn by_name(question: &Question) -> Answer {
    let token = question.token().unwrap_or_default();
    says(&token.strip_prefix("at-").map_or(json!({"active": false}), active))
}

fn with_token(token: &str) -> Request {
    with_token_to("/a?b=c", token)
}

fn with_token_to(path: &str, token: &str) -> Request {
    Request::get(path)
        .header("authorization", format!("Bearer {token}"))
        .header("x-user", "admin")
        .header("X_User", "admin")
}

/// What of the managed headers the app was given, in any spelling; sorted.
fn identity(answer: &Response) -> Vec<(String, String)> {
    let mut headers = seen(answer).headers;
    headers.retain(|(name, _)| ["x-user", "x-scope"].contains(&name.replace('_', "-").as_str()));
    headers.sort();
    headers
}

fn is(user: &str) -> Vec<(String, String)> {
    let headers = [("x-scope", "read write"), ("x-user", user)];
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
