//! What most suites start from: the stand-in Authgear, the app, and a real Envoy with the filter between them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::authgear::{Authgear, Options};
use crate::client::{self, Request, Response};
use crate::echo::Echo;
use crate::envoy::{Builder, Envoy};

/// The project's public origin in the suites.
pub const ORIGIN: &str = "https://accounts.example.test";

/// The same, as `Host`.
pub const HOST: &str = "accounts.example.test";

/// A running layout. Dropping it stops all of it.
pub struct Scene {
    /// Whom the filter asks.
    pub authgear: Authgear,
    /// Whom it guards.
    pub app: Echo,
    /// Where it runs.
    pub envoy: Envoy,
}

impl Scene {
    /// The layout with the smallest configuration, but for what `change` does to it.
    pub async fn start(change: impl FnOnce(&mut Value)) -> Self {
        Self::start_with(Options::default(), change, |envoy| envoy).await
    }

    /// The layout with another Authgear, and an Envoy that is set up further.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start_with(
        options: Options,
        change: impl FnOnce(&mut Value),
        setup: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let options = Options { public_origin: Some(ORIGIN.to_owned()), ..options };
        let authgear = Authgear::start(options).await.expect("a port for the stand-in");
        let app = Echo::start().await.expect("a port for the app");
        let mut configuration = configuration();
        change(&mut configuration);
        let envoy = setup(builder(&app, authgear.main_address(), authgear.resolver_address()))
            .plugin(configuration)
            .start()
            .await;
        Self { authgear, app, envoy }
    }

    /// Sends a request through Envoy, on a connection of its own.
    pub async fn send(&self, request: Request) -> Response {
        client::send(self.envoy.address(), request).await
    }

    /// What the app received of a request that was let through.
    ///
    /// # Panics
    /// When it was not let through.
    pub async fn seen(&self, request: Request) -> Seen {
        seen(&self.send(request).await)
    }

    /// What the resolver itself answers to these headers.
    pub async fn resolver_says(&self, headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let request = headers
            .iter()
            .fold(Request::get("/resolve").host(HOST), |request, (name, value)| request.header(name, value));
        let answer = client::send(self.authgear.resolver_address(), request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let headers = answer.headers.iter().filter(|(name, _)| name.starts_with("x-authgear-"));
        sorted(headers.map(|(name, value)| (name.clone(), latin1(value))))
    }
}

/// The smallest configuration for the self-hosted layout.
pub fn configuration() -> Value {
    json!({
        "authgear": {
            "endpoint": ORIGIN,
            "upstream": "authgear",
            "mode": "resolver",
            "resolver_url": "http://resolver.internal:3001/_resolver/resolve",
            "resolver_upstream": "resolver",
        },
    })
}

/// An Envoy whose clusters are the app and an Authgear.
pub fn builder(app: &Echo, main: SocketAddr, resolver: SocketAddr) -> Builder {
    Envoy::builder().cluster("app", app.address()).cluster("authgear", main).cluster("resolver", resolver)
}

/// A request as the app saw it.
#[derive(Debug)]
pub struct Seen {
    /// Name in lower case and value of each header, a byte as a character.
    pub headers: Vec<(String, String)>,
    /// All that the app said of the request, as `src/echo.rs` documents it.
    pub whole: Value,
}

impl Seen {
    /// All headers that could be taken for an identity header by something that folds names; sorted.
    pub fn identity(&self) -> Vec<(String, String)> {
        let folded =
            |name: &str| name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        sorted(self.headers.iter().filter(|(name, _)| folded(name).starts_with("x-authgear-")).cloned())
    }

    /// The value of an identity header.
    pub fn identity_header(&self, name: &str) -> Option<String> {
        self.identity().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// Reads what the app answered.
///
/// # Panics
/// When the answer is not the app's.
pub fn seen(response: &Response) -> Seen {
    assert_eq!(response.status, 200, "not let through: {response:?}");
    let whole = response.json();
    let pairs = whole["headers"].as_array().expect("the app lists the headers");
    let text = |value: &Value| value.as_str().expect("a name or a value").to_owned();
    let headers = pairs.iter().map(|pair| (text(&pair[0]).to_ascii_lowercase(), text(&pair[1]))).collect();
    Seen { headers, whole }
}

fn sorted(headers: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut headers: Vec<_> = headers.collect();
    headers.sort();
    headers
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
