//! The configurations of each Envoy: ours, the empty filter's, and those of Envoy's own filters.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wasm_tests::envoy::{Builder, Envoy};
use wasm_tests::scene::ORIGIN;

use crate::nginx::Nginx;
use crate::request::PATH;

/// The filter in an Envoy.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    /// No filter: the reference.
    None,
    /// A wasm module whose only callback lets the request go on.
    Empty,
    /// This filter, with this configuration.
    Ours(Value),
    /// One of Envoy's own.
    Native(Value),
}

/// What all Envoys have in common.
pub(crate) struct Envoys {
    empty_module: PathBuf,
    clusters: [(&'static str, std::net::SocketAddr); 3],
}

impl Envoys {
    /// Knows the clusters of the app, the authorizer, and Authgear, which has the keys.
    pub(crate) fn new(
        directory: &Path,
        app: &Nginx,
        authorizer: &Nginx,
        authgear: std::net::SocketAddr,
    ) -> Result<Self, String> {
        let empty_module = directory.join("empty.wasm");
        let binary = wat::parse_str(include_str!("empty.wat")).map_err(|error| error.to_string())?;
        fs::write(&empty_module, binary).map_err(|error| error.to_string())?;
        let (app, authorizer) = (app.as_proxy().address, authorizer.as_proxy().address);
        Ok(Self {
            empty_module,
            clusters: [("app", app), ("authorizer", authorizer), ("authgear", authgear)],
        })
    }

    /// An Envoy with this filter, not started yet.
    pub(crate) fn builder(&self, filter: &Filter, workers: u32) -> Builder {
        let envoy = self
            .clusters
            .iter()
            .fold(Envoy::builder(), |envoy, (name, address)| envoy.cluster(name, *address))
            .concurrency(workers);
        match filter {
            Filter::None => envoy,
            Filter::Empty => envoy.module(&self.empty_module).plugin_text(""),
            Filter::Ours(configuration) => envoy.plugin(configuration.clone()),
            Filter::Native(filter) => envoy.http_filter(filter.clone()),
        }
    }
}

/// This filter in mode `resolver`; answers are cached for `ttl`.
pub(crate) fn resolver(ttl: &str) -> Value {
    json!({
        "authgear": {
            "endpoint": ORIGIN,
            "upstream": "authgear",
            "mode": "resolver",
            "resolver_url": "http://authorizer.internal/resolve",
            "resolver_upstream": "authorizer",
        },
        "access": "required",
        "cache": { "ttl": ttl },
    })
}

/// This filter in mode `local`, without background calls.
pub(crate) fn local() -> Value {
    json!({
        "authgear": { "endpoint": ORIGIN, "upstream": "authgear", "mode": "local" },
        "access": "required",
    })
}

/// This filter on a public path; everything else is not public.
pub(crate) fn public() -> Value {
    let mut configuration = resolver("10s");
    configuration["rules"] = json!([{ "prefix": PATH, "access": "public" }]);
    configuration
}

/// This filter with `count` rules, of which only the last one matches.
pub(crate) fn rules(count: usize) -> Value {
    let others = (1..count).map(|number| json!({ "prefix": format!("/area-{number}"), "access": "public" }));
    let mut configuration = resolver("10s");
    configuration["access"] = json!("public");
    configuration["rules"] = others.chain([json!({ "prefix": PATH, "access": "required" })]).collect();
    configuration
}

/// Envoy's `jwt_authn`: the same checks, three claims as headers, and the token reaches the app.
pub(crate) fn jwt_authn(keys: &Value, cached: bool) -> Value {
    let mut provider = json!({
        "issuer": ORIGIN,
        "audiences": [ORIGIN],
        "local_jwks": { "inline_string": keys.to_string() },
        "forward": true,
        "claim_to_headers": [
            { "header_name": "x-authgear-user-id", "claim_name": "sub" },
            { "header_name": "x-authgear-client-id", "claim_name": "client_id" },
            { "header_name": "x-authgear-session-authenticated-at", "claim_name": "auth_time" },
        ],
    });
    if cached {
        provider["jwt_cache_config"] = json!({ "jwt_cache_size": 10_000 });
    }
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": { "authgear": provider },
            "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "authgear" } }],
        },
    })
}

/// Envoy's `ext_authz` over HTTP: it asks with the same credentials, and passes on the same headers.
pub(crate) fn ext_authz() -> Value {
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "allowed_headers": { "patterns": [{ "exact": "authorization" }, { "exact": "cookie" }] },
            "http_service": {
                "server_uri": {
                    "uri": "http://authorizer.internal", "cluster": "authorizer", "timeout": "3s",
                },
                "authorization_response": {
                    "allowed_upstream_headers": { "patterns": [{ "prefix": "x-authgear-" }] },
                },
            },
        },
    })
}
