//! What Envoy is told: a bootstrap configuration as JSON, from what a test chose.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Map, Value, json};

/// The name of the one listener.
pub(super) const LISTENER: &str = "main";

/// The choices of a test; see the methods of [`super::Builder`].
pub(super) struct Bootstrap {
    pub(super) http_filters: Vec<Value>,
    pub(super) plugin: Option<Plugin>,
    pub(super) clusters: Vec<(String, SocketAddr)>,
    pub(super) routes: Option<Value>,
    pub(super) connection_manager: Map<String, Value>,
}

/// The plugin's configuration, as the `Any` that Envoy takes.
pub(super) enum Plugin {
    Text(String),
    Struct(Value),
}

impl Bootstrap {
    /// Both ports are 0: Envoy chooses them.
    pub(super) fn json(&self, wasm: impl FnOnce() -> std::path::PathBuf) -> Value {
        let mut http_filters = self.http_filters.clone();
        if let Some(plugin) = &self.plugin {
            http_filters.push(wasm_filter(plugin, &wasm()));
        }
        http_filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            },
        }));
        let mut manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.\
                      http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "ingress",
            "codec_type": "AUTO",
            "http_filters": http_filters,
            "route_config": { "virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": self.routes.clone().unwrap_or_else(|| self.default_routes()),
            }]},
        });
        for (field, value) in &self.connection_manager {
            manager[field] = value.clone();
        }
        json!({
            "admin": { "address": any_port() },
            "static_resources": {
                "listeners": [{
                    "name": LISTENER,
                    "address": any_port(),
                    "filter_chains": [{ "filters": [{
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }]}],
                }],
                "clusters": self.clusters.iter().map(cluster).collect::<Vec<_>>(),
            },
        })
    }

    /// Everything goes to the cluster `app`; where there is none, Envoy itself answers.
    fn default_routes(&self) -> Value {
        let action = if self.clusters.iter().any(|(name, _)| name == "app") {
            json!({ "match": { "prefix": "/" }, "route": { "cluster": "app" } })
        } else {
            json!({ "match": { "prefix": "/" }, "direct_response": { "status": 200 } })
        };
        json!([action])
    }
}

fn wasm_filter(plugin: &Plugin, wasm: &Path) -> Value {
    let configuration = match plugin {
        Plugin::Text(text) => json!({
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": text,
        }),
        Plugin::Struct(value) => json!({
            "@type": "type.googleapis.com/google.protobuf.Struct",
            "value": value,
        }),
    };
    json!({
        "name": "authgear",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "authgear",
                "failure_policy": "FAIL_RELOAD",
                "configuration": configuration,
                "vm_config": {
                    "vm_id": "authgear",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": wasm } },
                },
            },
        },
    })
}

fn cluster((name, address): &(String, SocketAddr)) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": {
                "socket_address": {
                    "address": address.ip().to_string(),
                    "port_value": address.port(),
                },
            }}}]}],
        },
    })
}

fn any_port() -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": 0 } })
}
