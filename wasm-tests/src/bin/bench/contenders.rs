//! The contenders, each with its configuration, its requests, and the proof that it did its work.

use std::net::SocketAddr;

use wasm_tests::client::{self, Request};
use wasm_tests::envoy::Envoy;

use crate::accounting::Proxy;
use crate::bench::Bench;
use crate::envoys::{self, Filter};
use crate::load::CONNECTIONS;
use crate::nginx::{Auth, IDENTITY, Nginx};
use crate::request::{Load, Order, PATH, USER, session};

/// How many sessions take turns where the auth server is asked about every request. A request whose session is being
/// asked about would wait for that answer.
const SESSIONS: usize = 1024;

/// One of the things that are compared.
pub(crate) struct Contender {
    /// Its name for `--only` and in the tables.
    pub(crate) name: &'static str,
    /// A description for the report.
    pub(crate) about: &'static str,
    pub(crate) server: Server,
    pub(crate) load: Load,
    identity: Identity,
    /// How often the authorizer is asked about its requests.
    asked: Asked,
    /// An Envoy counter that every request must increment.
    counter: Option<&'static str>,
}

/// What it runs in. It is compared with the same proxy without a filter.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    Envoy(Filter),
    Nginx(Auth),
}

/// The groups of contenders, which have different colours in the charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// This filter.
    Ours,
    /// Everything else in Envoy.
    Envoy,
    Nginx,
}

impl Server {
    pub(crate) fn group(&self) -> Group {
        match self {
            Self::Envoy(Filter::Ours(_)) => Group::Ours,
            Self::Envoy(Filter::None | Filter::Empty | Filter::Native(_)) => Group::Envoy,
            Self::Nginx(_) => Group::Nginx,
        }
    }
}

/// What the app must see when a request has a forged user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
    /// The forged header.
    AsSent,
    /// No identity header.
    Removed,
    /// Some of the token's claims.
    Claims,
    /// Everything that the authorizer says, or the same from the token.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Never, or as rarely as a cache of 10 s allows.
    Rarely,
    Always,
}

/// All contenders, in the order of the tables.
pub(crate) fn all(bench: &Bench) -> Result<Vec<Contender>, String> {
    let requests = &bench.requests;
    let keys = bench.authgear.jwks();
    let ours = |configuration| Server::Envoy(Filter::Ours(configuration));
    let native = |filter| Server::Envoy(Filter::Native(filter));
    let contender = |name, about, server, load| Contender {
        name,
        about,
        server,
        load,
        identity: Identity::All,
        asked: Asked::Rarely,
        counter: None,
    };
    let every_session = || requests.sessions(SESSIONS, Order::Cycle);
    Ok(vec![
        Contender {
            identity: Identity::AsSent,
            ..contender(
                "none",
                "no filter against no filter: what the method itself is off by",
                Server::Envoy(Filter::None),
                requests.one()?,
            )
        },
        Contender {
            identity: Identity::AsSent,
            ..contender(
                "empty-wasm",
                "a wasm filter with one callback that goes on",
                Server::Envoy(Filter::Empty),
                requests.one()?,
            )
        },
        Contender {
            identity: Identity::Removed,
            counter: Some("wasmcustom.authgear_filter.requests.public"),
            ..contender(
                "public-route",
                "ours, a public route: identity headers of the client are removed",
                ours(envoys::public()),
                requests.one()?,
            )
        },
        Contender {
            counter: Some("wasmcustom.authgear_filter.answers.reused"),
            ..contender(
                "cached-session",
                "ours, mode `resolver`: the answer about the credentials is cached",
                ours(envoys::resolver("10s")),
                requests.one()?,
            )
        },
        Contender {
            counter: Some("wasmcustom.authgear_filter.requests.session"),
            ..contender(
                "cached-token",
                "ours, mode `local`: the token was verified before",
                ours(envoys::local()),
                requests.one()?,
            )
        },
        Contender {
            counter: Some("wasmcustom.authgear_filter.requests.session"),
            ..contender(
                "cold-token",
                "ours, mode `local`: another RS256 token each time, which is verified and cached and evicts another one",
                ours(envoys::local()),
                requests.distinct_tokens()?,
            )
        },
        Contender {
            asked: Asked::Always,
            counter: Some("wasmcustom.authgear_filter.requests.session"),
            ..contender(
                "resolver-call",
                "ours, mode `resolver` with `cache.ttl: 0s`: every request is asked about",
                ours(envoys::resolver("0s")),
                every_session()?,
            )
        },
        Contender {
            identity: Identity::Claims,
            counter: Some("http.ingress.jwt_authn.jwt_cache_hit"),
            ..contender(
                "jwt-authn-cached",
                "Envoy's `jwt_authn` with `jwt_cache_config`: the token was verified before",
                native(envoys::jwt_authn(&keys, true)),
                requests.one()?,
            )
        },
        Contender {
            identity: Identity::Claims,
            counter: Some("http.ingress.jwt_authn.allowed"),
            ..contender(
                "jwt-authn",
                "Envoy's `jwt_authn` without its cache: another RS256 token each time",
                native(envoys::jwt_authn(&keys, false)),
                requests.distinct_tokens()?,
            )
        },
        Contender {
            asked: Asked::Always,
            counter: Some("http.ingress.ext_authz.ok"),
            ..contender(
                "ext-authz",
                "Envoy's `ext_authz` over HTTP: every request is asked about",
                native(envoys::ext_authz()),
                every_session()?,
            )
        },
        Contender {
            asked: Asked::Always,
            ..contender(
                "nginx-auth-request",
                "nginx, `auth_request`: every request is asked about",
                Server::Nginx(Auth::Request),
                every_session()?,
            )
        },
        Contender {
            ..contender(
                "nginx-auth-request-cached",
                "nginx, `auth_request` and `proxy_cache`: the answer is kept for 10 s",
                Server::Nginx(Auth::Cached),
                requests.one()?,
            )
        },
    ])
}

/// A running server.
pub(crate) enum Instance {
    Envoy(Box<Envoy>),
    Nginx(Nginx),
}

impl Instance {
    /// Starts a proxy. All proxies share a CPU.
    pub(crate) async fn start(bench: &Bench, server: &Server) -> Result<Self, String> {
        match server {
            Server::Envoy(filter) => {
                let envoy = bench.envoys.builder(filter, 1).cpus(&bench.cpus.proxy);
                Ok(Self::Envoy(Box::new(envoy.start().await)))
            }
            Server::Nginx(auth) => {
                let (app, authorizer) = (bench.app.as_proxy().address, bench.authorizer.as_proxy().address);
                Nginx::proxy(&bench.directory, &bench.cpus.proxy, *auth, app, authorizer)
                    .await
                    .map(Self::Nginx)
            }
        }
    }

    pub(crate) fn as_proxy(&self) -> Proxy {
        match self {
            Self::Envoy(envoy) => Proxy { address: envoy.address(), process: envoy.id() },
            Self::Nginx(nginx) => nginx.as_proxy(),
        }
    }
}

/// A contender's counters so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    asked: u64,
    /// Requests that Envoy answered with 2xx, and with anything else.
    good: u64,
    bad: u64,
    counter: u64,
}

impl Contender {
    /// Sends a request with a forged user id, and checks what the app received.
    pub(crate) async fn check_identity(&self, bench: &Bench, proxy: SocketAddr) -> Result<(), String> {
        let request = Request::get(&format!("{PATH}/seen"))
            .host("app-0.example.test")
            .header("authorization", format!("Bearer {}", bench.requests.token))
            .header("cookie", format!("session={}", session(0)))
            .header("x-authgear-user-id", "forged");
        let answer = client::send(proxy, request).await;
        let text = answer.text();
        let seen: Vec<_> = text.lines().filter_map(|line| line.split_once(": ")).collect();
        let value =
            |name: &str| seen.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
        let user = value("x-authgear-user-id");
        let right = match self.identity {
            Identity::AsSent => user == "forged",
            Identity::Removed => user.is_empty(),
            Identity::Claims => user == USER && !value("x-authgear-session-authenticated-at").is_empty(),
            // The time of authentication differs between the token and the authorizer.
            Identity::All => IDENTITY[..7].iter().all(|(name, expected)| value(name) == *expected),
        };
        let right = right && answer.status == 200;
        right.then_some(()).ok_or_else(|| format!("{}: {} {text}", self.name, answer.status))
    }

    /// Reads the counters.
    pub(crate) async fn count(&self, bench: &Bench, instance: &Instance) -> Result<Counted, String> {
        let asked = bench.times_asked().await?;
        let Instance::Envoy(envoy) = instance else {
            return Ok(Counted { asked, good: 0, bad: 0, counter: 0 });
        };
        let stats = envoy.stats("").await;
        let stat = |name: &str| stats.get(name).copied().unwrap_or_default();
        let class = |class: u8| stat(&format!("http.ingress.downstream_rq_{class}xx"));
        Ok(Counted {
            asked,
            good: class(2),
            bad: class(1) + class(3) + class(4) + class(5),
            counter: self.counter.map_or(0, stat),
        })
    }

    /// Checks that this many requests were answered well, and that the contender did the work it is measured for.
    pub(crate) fn check(&self, before: Counted, after: Counted, answered: u64) -> Result<(), String> {
        // Some requests are in flight when the load ends, and some come before anything is cached.
        let few = CONNECTIONS as u64 + answered / 50;
        let asked = after.asked - before.asked;
        let right = match self.asked {
            Asked::Always => asked + few >= answered,
            Asked::Rarely => asked <= few,
        };
        if !right {
            return Err(format!("{}: the authorizer was asked {asked} times, for {answered}", self.name));
        }
        if let Server::Envoy(_) = self.server {
            let bad = after.bad - before.bad;
            if bad > 0 || after.good - before.good < answered {
                return Err(format!(
                    "{}: {bad} of {answered} requests were not answered with 2xx",
                    self.name
                ));
            }
        }
        let moved = after.counter - before.counter;
        if let Some(counter) = self.counter.filter(|_| moved + few < answered) {
            return Err(format!("{}: {counter} counted {moved} of {answered} requests", self.name));
        }
        Ok(())
    }
}
