//! `forward_auth`: any server that decides who may pass, on every host. It covers what nginx's `auth_request`,
//! Traefik's ForwardAuth and APISIX's forward-auth are tested for, and the faults that their users met.

mod answers;
mod calls;
mod decisions;
mod denials;
mod documented;
mod routes;

use std::net::SocketAddr;

use serde_json::{Value, json};
use wasm_tests::authorizer::Authorizer;
use wasm_tests::client::{self, Request, Response};
use wasm_tests::echo::Echo;
use wasm_tests::faulty::Answer;
use wasm_tests::received::Received;
use wasm_tests::scene::{Host, seen};

/// A host that asks a server about requests to an app.
struct Guarded<H> {
    server: Authorizer,
    app: Echo,
    host: H,
}

impl<H: Host> Guarded<H> {
    async fn start(
        change: impl FnOnce(&mut Value),
        decide: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let server = Authorizer::start(decide).await.expect("a port for the auth server");
        let (app, host) = start::<H>(server.address(), change).await;
        Self { server, app, host }
    }

    async fn send(&self, request: Request) -> Response {
        client::send(self.host.address(), request).await
    }

    /// What the server was asked about this request, and nothing else.
    async fn asked(&self, request: Request) -> Received {
        self.server.asked().clear();
        self.send(request).await;
        let asked = self.server.asked().all();
        let [one] = asked.as_slice() else { panic!("{} questions", asked.len()) };
        one.clone()
    }
}

async fn start<H: Host>(server: SocketAddr, change: impl FnOnce(&mut Value)) -> (Echo, H) {
    let app = Echo::start().await.expect("a port for the app");
    let mut configuration = json!({"forward_auth": {
        "url": "http://auth.internal/verify?realm=a",
        "upstream": H::upstream("auth", server),
        "identity_headers": ["x-user-id", "x-user1", "x-auth-*"],
    }});
    change(&mut configuration);
    let host = H::start(H::builder(&app, &[("auth", server)]), configuration).await;
    (app, host)
}

fn ok() -> Answer {
    Answer::status(200)
}

fn forging(request: Request) -> Request {
    request
        .header("X-User-ID", "forged")
        .header("x_user_id", "forged")
        .header("x-user1", "forged")
        .header("X-Auth-Roles", "forged")
        .header("x.auth.of-tomorrow", "forged")
}

/// The identity headers that the app received, in any spelling, sorted.
fn identity(answer: &Response) -> Vec<(String, String)> {
    let folded = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let is_identity = |name: &str| ["x-user-id", "x-user1"].contains(&name) || name.starts_with("x-auth-");
    let mut headers = seen(answer).headers;
    headers.retain(|(name, _)| is_identity(&folded(name)));
    headers.sort();
    headers
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn text(asked: &Received, name: &str) -> Option<String> {
    let values = asked.header_all(name);
    assert!(values.len() <= 1, "{name} is repeated");
    values.first().map(|value| String::from_utf8_lossy(value).into_owned())
}
