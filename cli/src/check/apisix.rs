//! APISIX: `config.yaml`, `apisix.yaml`, and what its Admin API takes and tells.

use super::{Configuration, Document, Finding, Host, Place, Report, kind, lint, tls};
use crate::tree::{Member, Node, Value};

/// Names at the top of APISIX's files.
const OF_CONFIG: [&str; 5] = ["apisix", "deployment", "nginx_config", "wasm", "plugin_attr"];
const OF_RULES: [&str; 8] =
    ["routes", "services", "global_rules", "plugin_configs", "upstreams", "consumers", "ssls", "plugins"];

/// Whether a document is one of APISIX's.
pub(super) fn is_apisix(node: &Node) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| node.get(name).is_some());
    kind(node).is_none() && (has(&OF_CONFIG) || has(&OF_RULES) || is_route(node) || !told(node).is_empty())
}

fn is_route(node: &Node) -> bool {
    node.get("uri").is_some() || node.get("uris").is_some()
}

/// What the Admin API tells: one thing, or a list.
fn told(node: &Node) -> Vec<&Node> {
    let list = node.get("list").map(Node::items).unwrap_or_default();
    let values = list.iter().filter_map(|item| item.get("value"));
    let one = node.get("key").and(node.get("value")).filter(|value| value.is_map());
    values.chain(one).collect()
}

/// All that APISIX is told.
#[derive(Default)]
struct Rules<'a> {
    /// Whatever may have plugins.
    all: Vec<(Document<'a>, &'a Node)>,
    routes: Vec<(Document<'a>, &'a Node)>,
    services: Vec<&'a Node>,
    plugin_configs: Vec<&'a Node>,
    global_rules: Vec<&'a Node>,
}

impl<'a> Rules<'a> {
    fn of(documents: &[Document<'a>]) -> Self {
        let mut rules = Self::default();
        for &document in documents.iter().filter(|document| is_apisix(document.node)) {
            let list = |name: &str| document.node.get(name).map(Node::items).unwrap_or_default();
            rules.services.extend(list("services"));
            rules.plugin_configs.extend(list("plugin_configs"));
            rules.global_rules.extend(list("global_rules"));
            let alone = told(document.node).into_iter().chain([document.node]);
            let routes = list("routes").iter().chain(alone.clone().filter(|node| is_route(node)));
            rules.routes.extend(routes.map(|route| (document, route)));
            let lists =
                ["routes", "services", "plugin_configs", "global_rules", "consumers", "consumer_groups"];
            let all = lists.into_iter().flat_map(list).chain(alone);
            rules.all.extend(all.map(|node| (document, node)));
        }
        rules
    }

    /// Whether something runs the filter for a route.
    fn guard(&self, route: &Node, names: &Names) -> bool {
        let by_id = |list: &[&Node], field: &str| {
            let Some(id) = route.get(field).map(Node::to_json) else { return false };
            let mut found =
                list.iter().filter(|node| node.get("id").map(Node::to_json).as_ref() == Some(&id));
            found.any(|node| names.runs_in(node))
        };
        names.runs_in(route)
            || by_id(&self.services, "service_id")
            || by_id(&self.plugin_configs, "plugin_config_id")
            || self.global_rules.iter().any(|rule| names.runs_in(rule))
    }
}

/// By which names routes know the filter.
struct Names {
    /// Those that a `config.yaml` lists for our module; none where there is no such file.
    listed: Option<Vec<String>>,
}

impl Names {
    fn of(documents: &[Document<'_>]) -> Self {
        let mut listed = None;
        for document in documents.iter().filter(|document| is_apisix(document.node)) {
            if !OF_CONFIG.iter().any(|name| document.node.get(name).is_some()) {
                continue;
            }
            let names = listed.get_or_insert_with(Vec::new);
            names.extend(
                modules(document.node).filter_map(|plugin| plugin.get("name")?.text()).map(str::to_owned),
            );
        }
        Self { listed }
    }

    fn is_ours(&self, plugin: &Member) -> bool {
        plugin.name.contains("authgear")
            || self.listed.as_ref().is_some_and(|names| {
                names.contains(&plugin.name) && plugin.node.get("conf").is_none_or(Configuration::is_ours)
            })
            || plugin.node.get("conf").is_some_and(Configuration::is_ours)
    }

    fn plugins<'n>(&self, node: &'n Node) -> impl Iterator<Item = &'n Member> + use<'n, '_> {
        let plugins = node.get("plugins").map(Node::members).unwrap_or_default();
        plugins.iter().filter(|plugin| self.is_ours(plugin))
    }

    fn runs_in(&self, node: &Node) -> bool {
        self.plugins(node).any(|plugin| disabled(plugin).is_none())
    }
}

/// The modules that a `config.yaml` loads.
fn modules(node: &Node) -> impl Iterator<Item = &Node> {
    node.get("wasm").and_then(|wasm| wasm.get("plugins")).map(Node::items).unwrap_or_default().iter()
}

/// What switches a plugin off.
fn disabled(plugin: &Member) -> Option<&Node> {
    plugin.node.get("_meta").and_then(|meta| meta.get("disable")).filter(|disable| disable.is_true())
}

/// Checks all that is APISIX's.
pub(super) fn check<'a>(documents: &[Document<'a>], report: &mut Report<'a>) {
    let (names, rules) = (Names::of(documents), Rules::of(documents));
    let mut is_used = false;
    let mut needs_tls = false;
    for &(document, node) in &rules.all {
        for plugin in names.plugins(node) {
            is_used = true;
            if let Some(disable) = disabled(plugin) {
                let title = "the filter is off here: `_meta.disable` is true";
                report.find(&lint::FILTER_DISABLED, title, document.place(disable));
            }
            let named = || Place::new(document.source, &plugin.span);
            if names.listed.as_ref().is_some_and(|listed| !listed.contains(&plugin.name)) {
                let title = format!("`wasm.plugins` of config.yaml does not list `{}`", plugin.name);
                report.find(&lint::PLUGIN_NOT_LISTED, title, named());
            }
            match plugin.node.get("conf").filter(|conf| is_conf(conf)) {
                None => {
                    let place = plugin.node.get("conf").map_or_else(named, |conf| document.place(conf));
                    report.find(&lint::EMPTY_CONF, "the filter has no configuration: APISIX drops it", place);
                }
                Some(conf) => {
                    let configuration = Configuration::new(document.source, Host::Apisix, conf);
                    needs_tls |= check_upstreams(&configuration, report);
                    report.add(configuration);
                }
            }
        }
    }
    for &document in documents.iter().filter(|document| is_apisix(document.node)) {
        check_config(document, needs_tls, report);
    }
    for &(document, route) in rules.routes.iter().filter(|_| is_used) {
        let is_off = route.get("status").is_some_and(|status| status.to_json() == "0");
        let leads = ["upstream", "upstream_id", "service_id"].iter().any(|name| route.get(name).is_some());
        if leads && !is_off && !rules.guard(route, &names) {
            let uri = route.get("uri").or_else(|| route.get("uris")?.items().first()).unwrap_or(route);
            let title = match uri.text() {
                Some("/*") => "a route that catches everything runs without the filter".to_owned(),
                Some(uri) => format!("the route `{uri}` runs without the filter"),
                None => "a route runs without the filter".to_owned(),
            };
            report.find(&lint::ROUTE_WITHOUT_PLUGIN, title, document.place(uri));
        }
    }
}

/// Whether a `conf` is one that APISIX takes: text or an object, with something in it.
fn is_conf(conf: &Node) -> bool {
    match &conf.value {
        Value::Text(written) => !written.text.is_empty(),
        Value::Map(members) => !members.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) => false,
    }
}

/// Whether one of them is called over TLS.
fn check_upstreams<'a>(configuration: &Configuration<'a>, report: &mut Report<'a>) -> bool {
    let mut needs_tls = false;
    for upstream in configuration.upstreams() {
        needs_tls |= tls::is_https(&upstream.url);
        let port = upstream.name.rsplit_once(':').map(|(_, port)| port);
        if port.is_none_or(|port| port.parse::<u16>().is_err()) {
            let title = format!("`{}` is no `host:port`", upstream.name);
            let place = configuration.field(&upstream.field);
            let field = Some(upstream.field);
            report.findings.push(Finding { lint: &lint::UPSTREAM_FORM, title, field, place });
        }
    }
    needs_tls
}

/// A `config.yaml`.
fn check_config<'a>(document: Document<'a>, needs_tls: bool, report: &mut Report<'a>) {
    let node = document.node;
    for module in modules(node) {
        let phase = module.get("http_request_phase").filter(|phase| phase.text() == Some("rewrite"));
        let is_ours = module.get("name").and_then(Node::text).is_some_and(|name| name.contains("authgear"));
        if let Some(phase) = phase.filter(|_| is_ours) {
            let title = "the filter runs in the phase `rewrite`";
            report.find(&lint::REQUEST_PHASE, title, document.place(phase));
        }
    }
    let is_config = OF_CONFIG.iter().any(|name| node.get(name).is_some());
    let certificate = node.get("apisix").and_then(|apisix| apisix.get("ssl")?.get("ssl_trusted_certificate"));
    if is_config && needs_tls && certificate.is_none() {
        let title = "`apisix.ssl.ssl_trusted_certificate` is not set";
        report.find(&lint::TRUSTED_CERTIFICATE, title, Place::whole(document.source));
    }
    if !is_config {
        return;
    }
    node.walk(&mut |node, _| {
        let longer = node.text().and_then(keepalive).filter(|seconds| *seconds > 60.0);
        if longer.is_some() {
            let title = "idle connections are kept for more than 60 s";
            report.find(&lint::KEEPALIVE, title, document.place(node));
        }
    });
}

/// The seconds of nginx's `lua_socket_keepalive_timeout` in a piece of its configuration.
fn keepalive(snippet: &str) -> Option<f64> {
    let (_, rest) = snippet.split_once("lua_socket_keepalive_timeout")?;
    let value = rest.trim_start().split([';', ' ', '\n']).next()?;
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().ok()?;
    let factor = match value.get(digits.len()..)? {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(number * factor)
}
