//! The configuration that Envoy starts with: the shipped file itself, or a copy in which only the ports and the
//! module's path differ, and in which the console has what it needs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use servers::{control, envoy};

use crate::layout::Layout;
use crate::ports::{Port, Ports};

const CONNECTION_MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// The path of the file to start Envoy with. `control` is where the console's questions are answered, if there is one.
pub(crate) fn prepare(
    layout: &Layout,
    ports: &Ports,
    control: Option<SocketAddr>,
) -> Result<PathBuf, String> {
    let original = envoy::workspace_dir().join(layout.envoy);
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", original.display());
    let yaml = fs::read_to_string(&original).map_err(|error| fail(&error))?;
    let shipped: Value = yaml_serde::from_str(&yaml).map_err(|error| fail(&error))?;
    let mut changed =
        changed(&shipped, layout, ports, &envoy::filter_module()).map_err(|error| fail(&error))?;
    if let Some(control) = control {
        add_console(&mut changed, control).map_err(|error| fail(&error))?;
    }
    if changed == shipped {
        return Ok(original);
    }
    let directory = envoy::target_dir().join("demo");
    let copy = directory.join(format!("envoy-{}.json", ports[Port::Proxy]));
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&copy, format!("{changed:#}")))
        .map_err(|error| format!("{}: {error}", copy.display()))?;
    Ok(copy)
}

/// A copy with these ports, and with this module unless the file already names it.
fn changed(shipped: &Value, layout: &Layout, ports: &Ports, module: &Path) -> Result<Value, String> {
    const LISTENER: &str = "/static_resources/listeners/0";
    const FILTER: &str = "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";

    let mut changed = shipped.clone();
    let listener = at(&mut changed, LISTENER)?;
    set_port(at(listener, "/address")?, ports[Port::Proxy])?;
    set_port(at(&mut changed, "/admin/address")?, ports[Port::Admin])?;
    for (cluster, port) in layout.clusters {
        let cluster = named(at(&mut changed, "/static_resources/clusters")?, cluster)?;
        let endpoint = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
        set_port(at(cluster, endpoint)?, ports[*port])?;
    }

    let filter = at(at(&mut changed, LISTENER)?, FILTER)?;
    let filename = at(filter, "/vm_config/code/local/filename")?;
    let named_module = filename.as_str().ok_or("the module's filename is no string")?;
    if envoy::workspace_dir().join(named_module) != module {
        *filename = module.to_string_lossy().into();
    }
    let configuration = at(filter, "/configuration/value")?;
    for (url, port) in layout.urls {
        set_url_port(at(configuration, url)?, ports[*port])?;
    }
    Ok(changed)
}

/// Leads `/demo/` to the console's server, past the filter and the access log, and adds to that log what the console
/// needs. Answers name their request, so that it is found there. The app is asked over HTTP/2, in which trailers reach
/// it.
fn add_console(changed: &mut Value, control: SocketAddr) -> Result<(), String> {
    let clusters = at(changed, "/static_resources/clusters")?;
    named(clusters, "app")?["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }});
    list(changed, "/static_resources/clusters")?.push(json!({
        "name": "demo",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "demo", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "socket_address": {"address": control.ip().to_string(), "port_value": control.port()}
        }}}]}]},
    }));
    let manager = at(changed, CONNECTION_MANAGER)?;
    manager["always_set_request_id_in_response"] = true.into();
    let filter = at(manager, "/http_filters/0/name")?.clone();
    let name = filter.as_str().ok_or("the filter's name is no string")?;
    let disabled =
        json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true});
    let route = json!({
        "match": {"prefix": "/demo/"},
        "route": {"cluster": "demo"},
        "typed_per_filter_config": {name: disabled},
    });
    list(manager, "/route_config/virtual_hosts/0/routes")?.insert(0, route);
    let log = at(manager, "/access_log/0")?;
    let demo = json!({"name": ":path", "string_match": {"prefix": "/demo/"}, "invert_match": true});
    log["filter"] = json!({"header_filter": {"header": demo}});
    let format = at(log, "/typed_config/log_format/json_format")?;
    format.as_object_mut().ok_or("the log's format is no object")?.extend(control::log_fields());
    Ok(())
}

fn list<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Vec<Value>, String> {
    at(value, pointer)?.as_array_mut().ok_or_else(|| format!("{pointer} is no list"))
}

fn at<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value, String> {
    let found = value.pointer_mut(pointer);
    found.ok_or_else(|| format!("nothing at {pointer}"))
}

fn named<'a>(list: &'a mut Value, name: &str) -> Result<&'a mut Value, String> {
    let mut entries = list.as_array_mut().into_iter().flatten();
    let found = entries.find(|entry| entry["name"] == name);
    found.ok_or_else(|| format!("nothing is named {name}"))
}

fn set_port(address: &mut Value, port: u16) -> Result<(), String> {
    *at(address, "/socket_address/port_value")? = port.into();
    Ok(())
}

fn set_url_port(url: &mut Value, port: u16) -> Result<(), String> {
    let text = url.as_str().unwrap_or_default();
    let no_url = || format!("{text:?} is no URL");
    let (scheme, rest) = text.split_once("://").ok_or_else(no_url)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, _) = authority.rsplit_once(':').ok_or_else(no_url)?;
    *url = format!("{scheme}://{host}:{port}{path}").into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = "target/wasm32-wasip1/release/authgear_filter.wasm";

    fn shipped(layout: &Layout) -> Value {
        let yaml = fs::read_to_string(envoy::workspace_dir().join(layout.envoy)).unwrap();
        yaml_serde::from_str(&yaml).unwrap()
    }

    /// The demo that these arguments choose.
    fn demo(arguments: &[&str]) -> (&'static Layout, Ports) {
        let arguments = ["demo"].iter().chain(arguments);
        let demo = servers::cli::try_parse(arguments, |_| false).unwrap();
        (Layout::of(&demo), Ports::of(&demo).unwrap())
    }

    #[test]
    fn the_default_ports_are_those_of_the_shipped_file() {
        let module = envoy::workspace_dir().join(MODULE);
        for name in ["authgear", "auth-o-tron"] {
            let (layout, ports) = demo(&[name]);
            let shipped = shipped(layout);
            assert_eq!(changed(&shipped, layout, &ports, &module), Ok(shipped));
        }
    }

    #[test]
    fn every_mention_of_a_port_follows() {
        #[rustfmt::skip]
        let cases: [(&[&str], &[&str], &[(&str, usize)]); 2] = [
            (
                &["authgear", "--proxy-port", "51000", "--authgear-port", "51001", "--resolver-port", "51002", "--app-port", "51003", "--admin-port", "51004"],
                &["8080", "3000", "3001", "8000", "9901"],
                &[("51000", 2), ("51001", 1), ("51002", 2), ("51003", 1), ("51004", 1), ("http://localhost:51002/_resolver/resolve", 1)],
            ),
            (
                &["auth-o-tron", "--proxy-port", "51000", "--auth-o-tron-port", "51001", "--app-port", "51003", "--admin-port", "51004"],
                &["8080", "8090", "8000", "9901"],
                &[("51000", 1), ("51001", 2), ("51003", 1), ("51004", 1), ("http://localhost:51001/authenticate", 1)],
            ),
        ];
        for (arguments, old, new) in cases {
            let (layout, ports) = demo(arguments);
            let changed = changed(&shipped(layout), layout, &ports, Path::new("/elsewhere.wasm")).unwrap();
            let text = changed.to_string();
            for old in old.iter().chain([&MODULE]) {
                assert!(!text.contains(old), "{old} is left in {text}");
            }
            for (new, times) in new.iter().chain(&[("/elsewhere.wasm", 1)]) {
                assert_eq!(text.matches(new).count(), *times, "{new} in {text}");
            }
        }
    }
}
