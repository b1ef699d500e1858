//! Builds Envoy's bootstrap configuration, as JSON, from the choices of a test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::files::filter_module;

/// The name of the one listener.
pub(super) const LISTENER: &str = "main";

/// The choices of a test; see the methods of [`super::Builder`].
pub(super) struct Bootstrap {
    pub(super) http_filters: Vec<Value>,
    pub(super) plugin: Option<Plugin>,
    /// Plugins that serve only the paths with their prefix, in order. They run after the plugin for all paths.
    pub(super) plugins_at: Vec<(String, Plugin)>,
    pub(super) clusters: Vec<(String, SocketAddr)>,
    pub(super) routes: Option<Value>,
    pub(super) connection_manager: Map<String, Value>,
    /// The module that runs the plugin; the filter's own by default.
    pub(super) module: Option<PathBuf>,
    /// The plugin's option `allow_on_headers_stop_iteration`.
    pub(super) allow_on_headers_stop_iteration: bool,
}

/// The plugin's configuration, as the `Any` that Envoy expects.
pub(super) enum Plugin {
    Text(String),
    Struct(Value),
}

impl Bootstrap {
    /// The whole configuration in one file. Both ports are 0, so Envoy chooses them.
    pub(super) fn json(&self) -> Value {
        let mut bootstrap = self.without_listener();
        bootstrap["static_resources"]["listeners"] = json!([self.listener()]);
        bootstrap
    }

    /// The same, with the listener in its own file, which Envoy watches.
    pub(super) fn json_watching(&self, listener: &Path) -> Value {
        let mut bootstrap = self.without_listener();
        bootstrap["node"] = json!({ "id": "test", "cluster": "test" });
        bootstrap["dynamic_resources"] = json!({ "lds_config": {
            "resource_api_version": "V3",
            "path_config_source": { "path": listener },
        }});
        bootstrap
    }

    /// The contents of that file.
    pub(super) fn discovery_response(&self) -> Value {
        let mut listener = self.listener();
        listener["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener".into();
        json!({ "resources": [listener] })
    }

    fn without_listener(&self) -> Value {
        json!({
            "admin": { "address": any_port() },
            "static_resources": { "clusters": self.clusters.iter().map(cluster).collect::<Vec<_>>() },
        })
    }

    fn listener(&self) -> Value {
        let mut http_filters = self.http_filters.clone();
        let module = || self.module.clone().unwrap_or_else(filter_module);
        let wasm = |name: &str, plugin: &Plugin| {
            wasm_filter(name, plugin, &module(), self.allow_on_headers_stop_iteration)
        };
        http_filters.extend(self.plugin.iter().map(|plugin| wasm("authgear", plugin)));
        for (number, (_, plugin)) in self.plugins_at.iter().enumerate() {
            let mut filter = wasm(&name_at(number), plugin);
            // Until a route says otherwise.
            filter["disabled"] = true.into();
            http_filters.push(filter);
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
            "name": LISTENER,
            "address": any_port(),
            "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }]}],
        })
    }

    /// Routes everything to the cluster `app`, by way of the plugins of its path. Without one, Envoy answers itself.
    fn default_routes(&self) -> Value {
        let action = if self.clusters.iter().any(|(name, _)| name == "app") {
            json!({ "match": { "prefix": "/" }, "route": { "cluster": "app" } })
        } else {
            json!({ "match": { "prefix": "/" }, "direct_response": { "status": 200 } })
        };
        let at = self.plugins_at.iter().enumerate().map(|(number, (prefix, _))| {
            let mut guarded = action.clone();
            guarded["match"] = json!({ "prefix": prefix });
            guarded["typed_per_filter_config"] = json!({ name_at(number): {
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                "config": {},
            }});
            guarded
        });
        at.chain([action.clone()]).collect()
    }
}

/// The name of a plugin that serves only some paths.
fn name_at(number: usize) -> String {
    format!("authgear-{number}")
}

fn wasm_filter(name: &str, plugin: &Plugin, wasm: &Path, allow_on_headers_stop_iteration: bool) -> Value {
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
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "failure_policy": "FAIL_RELOAD",
                "allow_on_headers_stop_iteration": allow_on_headers_stop_iteration,
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
