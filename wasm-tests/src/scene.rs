//! The scene of most suites: the stand-in Authgear, the app, and a host with the filter between them.
//!
//! A suite for every host is written once, for `H: Host`. [`on_each_host!`](crate::on_each_host) runs it on each of
//! them: same request, same verdict.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::apisix::{self, Apisix};
use crate::authgear::{Authgear, Endpoint, Fault, Options};
use crate::client::{self, Request, Response};
use crate::echo::Echo;
use crate::envoy::{self, Envoy};

/// The project's public origin.
pub const ORIGIN: &str = "https://accounts.example.test";

/// The host of [`ORIGIN`].
pub const HOST: &str = "accounts.example.test";

/// Something that runs the filter in front of an app.
pub trait Host: Sized + Send + 'static {
    /// What builds it.
    type Builder: Send;

    /// Whether a header can have an empty value. nginx removes the header instead.
    const KEEPS_EMPTY_HEADERS: bool;

    /// Whether a call ends at its timeout, and an answer's headers are bounded. On APISIX the timeout applies to each
    /// socket operation, and headers may have any length.
    const BOUNDS_CALLS: bool;

    /// The public origin of a project whose main server the filter calls at that origin. Envoy chooses TLS by the
    /// cluster. APISIX chooses it by the URL's scheme, and the APISIX-like host has no TLS.
    const ORIGIN: &'static str;

    /// What the log states about who verifies signatures.
    const SIGNATURES: &'static str;

    /// The name of an auth server in a plugin configuration: a cluster in Envoy, else an address.
    fn upstream(name: &str, address: SocketAddr) -> String;

    /// Builds a host that guards `app` and knows these auth servers by name.
    fn builder(app: &Echo, upstreams: &[(&str, SocketAddr)]) -> Self::Builder;

    /// Uses one worker instead of two. Workers share no memory.
    fn one_worker(builder: Self::Builder) -> Self::Builder;

    /// Starts it with the filter's configuration.
    fn start(builder: Self::Builder, configuration: Value) -> impl Future<Output = Self> + Send;

    /// Starts it with a configuration for each of these prefixes of paths. They share nothing but the host's counters.
    /// It takes less time than a host for each.
    fn start_at(
        builder: Self::Builder,
        configurations: impl IntoIterator<Item = (String, Value)> + Send,
    ) -> impl Future<Output = Self> + Send;

    /// Tries to serve with a configuration that the filter must refuse, and returns the log.
    fn refuse(configuration: String) -> impl Future<Output = String> + Send;

    /// Where it takes requests.
    fn address(&self) -> SocketAddr;

    /// Everything that it has logged so far.
    fn log(&self) -> String;

    /// Waits until the log contains `text`.
    fn wait_for_log(&self, text: &str) -> impl Future<Output = ()> + Send;

    /// Checks a counter of the filter, if the host keeps counters.
    fn assert_counted_as(
        &self,
        counter: &str,
        is_good: impl Fn(u64) -> bool + Send,
    ) -> impl Future<Output = ()> + Send;

    /// Checks that a counter of the filter has this value, if the host keeps counters.
    fn assert_counted(&self, counter: &str, count: u64) -> impl Future<Output = ()> + Send {
        self.assert_counted_as(counter, move |counted| counted == count)
    }
}

/// Makes a test of each scenario on each host: `envoy::scenario` and `apisix::scenario`.
#[macro_export]
macro_rules! on_each_host {
    ($($scenario:ident),+ $(,)?) => {
        mod envoy {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario::<wasm_tests::envoy::Envoy>().await;
            })+
        }
        mod apisix {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario::<wasm_tests::apisix::Apisix>().await;
            })+
        }
    };
}

impl Host for Envoy {
    type Builder = envoy::Builder;

    const KEEPS_EMPTY_HEADERS: bool = true;
    const BOUNDS_CALLS: bool = true;
    const ORIGIN: &'static str = ORIGIN;
    const SIGNATURES: &'static str = "signatures are checked by the proxy";

    fn upstream(name: &str, _address: SocketAddr) -> String {
        name.to_owned()
    }

    fn builder(app: &Echo, upstreams: &[(&str, SocketAddr)]) -> envoy::Builder {
        let envoy = Self::builder().cluster("app", app.address());
        upstreams.iter().fold(envoy, |envoy, (name, address)| envoy.cluster(name, *address))
    }

    fn one_worker(builder: envoy::Builder) -> envoy::Builder {
        builder.concurrency(1)
    }

    async fn start(builder: envoy::Builder, configuration: Value) -> Self {
        builder.plugin(configuration).start().await
    }

    async fn start_at(
        builder: envoy::Builder,
        configurations: impl IntoIterator<Item = (String, Value)> + Send,
    ) -> Self {
        let at = |builder: envoy::Builder, (prefix, configuration): (String, Value)| {
            builder.plugin_at(&prefix, configuration)
        };
        configurations.into_iter().fold(builder, at).start().await
    }

    async fn refuse(configuration: String) -> String {
        Self::builder().plugin_text(configuration).start_refused().await
    }

    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn log(&self) -> String {
        self.log()
    }

    async fn wait_for_log(&self, text: &str) {
        self.wait_for_log(text).await;
    }

    async fn assert_counted_as(&self, counter: &str, is_good: impl Fn(u64) -> bool + Send) {
        let counted = self.stat(&format!("wasmcustom.authgear_filter.{counter}")).await;
        assert!(is_good(counted), "{counter} is {counted}");
    }
}

impl Host for Apisix {
    type Builder = apisix::Builder;

    const KEEPS_EMPTY_HEADERS: bool = false;
    const BOUNDS_CALLS: bool = false;
    const ORIGIN: &'static str = "http://accounts.example.test";
    const SIGNATURES: &'static str = "signatures are checked in the filter";

    fn upstream(_name: &str, address: SocketAddr) -> String {
        address.to_string()
    }

    fn builder(app: &Echo, _upstreams: &[(&str, SocketAddr)]) -> apisix::Builder {
        Self::builder().upstream(app.address())
    }

    fn one_worker(builder: apisix::Builder) -> apisix::Builder {
        builder.workers(1)
    }

    async fn start(builder: apisix::Builder, configuration: Value) -> Self {
        builder.plugin(configuration).start()
    }

    async fn start_at(
        builder: apisix::Builder,
        configurations: impl IntoIterator<Item = (String, Value)> + Send,
    ) -> Self {
        let at = |builder: apisix::Builder, (prefix, configuration): (String, Value)| {
            builder.route(&prefix, configuration.to_string())
        };
        configurations.into_iter().fold(builder, at).start()
    }

    async fn refuse(configuration: String) -> String {
        let host = Self::builder().route("/", configuration.clone()).start();
        let answer = client::send(host.address(), Request::get("/")).await;
        assert_eq!(answer.status, 503, "{configuration} is served");
        host.log()
    }

    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn log(&self) -> String {
        self.log()
    }

    async fn wait_for_log(&self, text: &str) {
        self.wait_for_log(text).await;
    }

    /// The host takes counters and forgets them.
    async fn assert_counted_as(&self, _counter: &str, _is_good: impl Fn(u64) -> bool + Send) {}
}

/// A running scene. Dropping it stops everything.
pub struct Layout<H> {
    /// The Authgear that the filter asks.
    pub authgear: Authgear,
    /// The app that it guards.
    pub app: Echo,
    /// The host that it runs in.
    pub host: H,
}

/// The scene with a real Envoy.
pub type Scene = Layout<Envoy>;

impl<H: Host> Layout<H> {
    /// The scene with the smallest configuration, altered by `change`.
    pub async fn start(change: impl FnOnce(&mut Value)) -> Self {
        Self::start_with(Options::default(), change, |host| host).await
    }

    /// The scene with another Authgear, at [`ORIGIN`] by default, and a host that `setup` has changed.
    ///
    /// # Panics
    /// If something does not start.
    pub async fn start_with(
        options: Options,
        change: impl FnOnce(&mut Value),
        setup: impl FnOnce(H::Builder) -> H::Builder,
    ) -> Self {
        Self::start_failing(options, [], change, setup).await
    }

    /// The scene with an Authgear that has this fault from the start.
    ///
    /// # Panics
    /// If something does not start.
    pub async fn start_failing(
        options: Options,
        faults: impl IntoIterator<Item = (Endpoint, Fault)>,
        change: impl FnOnce(&mut Value),
        setup: impl FnOnce(H::Builder) -> H::Builder,
    ) -> Self {
        let origin = options.public_origin.unwrap_or_else(|| ORIGIN.to_owned());
        let options = Options { public_origin: Some(origin.clone()), ..options };
        let authgear = Authgear::start(options).await.expect("a port for the stand-in");
        for (endpoint, fault) in faults {
            authgear.fail(endpoint, fault);
        }
        let app = Echo::start().await.expect("a port for the app");
        let (main, resolver) = (authgear.main_address(), authgear.resolver_address());
        let mut configuration = configuration_on::<H>(main, resolver);
        configuration["authgear"]["endpoint"] = origin.into();
        change(&mut configuration);
        let builder = setup(H::builder(&app, &upstreams(main, resolver)));
        let host = H::start(builder, configuration).await;
        Self { authgear, app, host }
    }

    /// Sends a request through the host, on its own connection.
    pub async fn send(&self, request: Request) -> Response {
        client::send(self.host.address(), request).await
    }

    /// Sends a request that must be let through, and returns what the app received.
    ///
    /// # Panics
    /// If it was not let through.
    pub async fn seen(&self, request: Request) -> Seen {
        seen(&self.send(request).await)
    }

    /// What an app behind this host should learn from these headers: the answer of the resolver itself.
    pub async fn resolver_says(&self, headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let origin = self.authgear.public_origin();
        let (scheme, host) = origin.split_once("://").expect("an origin");
        let request = Request::get("/resolve").host(host).header("x-forwarded-proto", scheme);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = client::send(self.authgear.resolver_address(), request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let headers = answer.headers.iter().filter(|(name, value)| {
            name.starts_with("x-authgear-") && (H::KEEPS_EMPTY_HEADERS || !value.is_empty())
        });
        sorted(headers.map(|(name, value)| (name.clone(), latin1(value))))
    }
}

/// The smallest configuration for a self-hosted Authgear, with Envoy's clusters.
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

/// The same configuration, with this host's names for the upstreams.
pub fn configuration_on<H: Host>(main: SocketAddr, resolver: SocketAddr) -> Value {
    let mut configuration = configuration();
    configuration["authgear"]["upstream"] = H::upstream("authgear", main).into();
    configuration["authgear"]["resolver_upstream"] = H::upstream("resolver", resolver).into();
    configuration
}

/// The auth servers of [`configuration`], by name.
pub const fn upstreams(main: SocketAddr, resolver: SocketAddr) -> [(&'static str, SocketAddr); 2] {
    [("authgear", main), ("resolver", resolver)]
}

/// An Envoy whose clusters are the app and an Authgear.
pub fn builder(app: &Echo, main: SocketAddr, resolver: SocketAddr) -> envoy::Builder {
    <Envoy as Host>::builder(app, &upstreams(main, resolver))
}

/// A request as the app saw it.
#[derive(Debug)]
pub struct Seen {
    /// Each header's name in lower case and its value, one character per byte.
    pub headers: Vec<(String, String)>,
    /// The app's whole answer; see [`servers::echo`].
    pub whole: Value,
}

impl Seen {
    /// All headers that a program which folds names could take for an identity header, sorted.
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
/// If the answer is not the app's.
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
