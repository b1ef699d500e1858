//! Envoy: its bootstrap, listeners of their own, and pieces of either.

use super::configuration::Upstream;
use super::early_removal::{self, unguarded};
use super::{Configuration, Document, Host, Report, kind, lint, tls};
use crate::tree::{Member, Node};

/// The end of the type of a filter that runs a module.
const WASM: &str = "extensions.filters.http.wasm.v3.Wasm";

/// Filters that decide by headers, by the end of their type.
const DECIDING: [(&str, &str); 3] = [
    ("filters.http.ext_authz.v3.ExtAuthz", "ext_authz"),
    ("filters.http.rbac.v3.RBAC", "rbac"),
    ("filters.http.ratelimit.v3.RateLimit", "ratelimit"),
];

/// What an app may read for a dash in a name.
const SPELLINGS: [&str; 3] = ["-", "_", "."];

/// The type of a filter's `typed_config`, and its fields.
fn typed(node: &Node) -> Option<(&str, &Node)> {
    let url = node.type_url()?;
    if url.ends_with("TypedStruct") {
        let inner = node.field("type_url")?.text()?.rsplit('/').next()?;
        return Some((inner, node.field("value")?));
    }
    Some((url, node))
}

/// The plugin of a filter that runs a module.
fn plugin(node: &Node) -> Option<&Node> {
    let (url, fields) = typed(node)?;
    if url.ends_with(WASM) { fields.field("config") } else { None }
}

/// Whether a document has a filter that runs a module.
pub(super) fn has_filter(document: &Node) -> bool {
    let mut found = false;
    document.walk(&mut |node, _| found |= plugin(node).is_some());
    found
}

/// The configuration of a plugin, out of its `Any`.
fn configuration(plugin: &Node) -> Option<&Node> {
    let any = plugin.field("configuration")?;
    match any.type_url() {
        Some(_) => any.field("value"),
        None => Some(any),
    }
}

/// Whether a plugin is this filter, and not another.
fn is_ours(plugin: &Node) -> bool {
    let code = plugin.fields(&["vm_config", "code"]);
    let names = [
        plugin.field("name"),
        code.and_then(|code| code.fields(&["local", "filename"])),
        code.and_then(|code| code.fields(&["remote", "http_uri", "uri"])),
    ];
    let is_named = names.into_iter().flatten().filter_map(Node::text).any(|name| name.contains("authgear"));
    is_named || configuration(plugin).is_some_and(Configuration::is_ours)
}

/// Checks what documents have for Envoy itself. Of other hosts' resources, only what is Envoy's in them.
pub(super) fn check<'a>(documents: &[Document<'a>], report: &mut Report<'a>) {
    let clusters = Clusters::of(documents);
    for &document in documents {
        document.node.walk(&mut |node, above| {
            let Some(plugin) = plugin(node).filter(|plugin| is_ours(plugin)) else { return };
            check_plugin(document, plugin, report);
            let manager = above.iter().rev().find(|node| node.field("http_filters").is_some());
            match configuration(plugin) {
                None => {
                    let place = document.place(plugin.field("name").unwrap_or(plugin));
                    report.find(&lint::NO_CONFIGURATION, "the filter has no `configuration`", place);
                }
                Some(node) => {
                    let configuration = Configuration::new(document.source, Host::Envoy, node);
                    clusters.check(&configuration, report);
                    if let Some(manager) = manager {
                        check_removal(document, manager, &configuration, report);
                    }
                    report.add(configuration);
                }
            }
            if let Some(manager) = manager {
                check_chain(document, manager, above, report);
            }
        });
    }
}

fn check_plugin<'a>(document: Document<'a>, plugin: &'a Node, report: &mut Report<'a>) {
    let policy = plugin.field("failure_policy");
    match policy.and_then(Node::text) {
        Some("FAIL_OPEN") => {
            let place = document.place(policy.unwrap_or(plugin));
            report.find(&lint::FAIL_OPEN, "failures let requests in: `failure_policy` is FAIL_OPEN", place);
        }
        Some("FAIL_RELOAD") => {}
        _ => {
            let place = document.place(policy.or_else(|| plugin.field("name")).unwrap_or(plugin));
            report.find(&lint::NO_RELOAD, "a crashed module is not started again", place);
        }
    }
    if let Some(open) = plugin.field("fail_open").filter(|open| open.is_true()) {
        let title = "failures let requests in: `fail_open` is true";
        report.find(&lint::FAIL_OPEN, title, document.place(open));
    }
    if let Some(option) = plugin.field("allow_on_headers_stop_iteration").filter(|option| option.is_true()) {
        let title = "`allow_on_headers_stop_iteration` is true";
        report.find(&lint::STOP_ITERATION, title, document.place(option));
    }
}

/// The filters around ours, and the routes that switch it off. `above` leads from the document to our filter.
fn check_chain<'a>(document: Document<'a>, manager: &'a Node, above: &[&'a Node], report: &mut Report<'a>) {
    if manager.field("stat_prefix").is_some()
        && !manager.field("use_remote_address").is_some_and(Node::is_true)
        && manager.field("original_ip_detection_extensions").is_none()
    {
        let member = manager.field_member("use_remote_address");
        let place = member.map_or_else(
            || document.place(manager.field("stat_prefix").unwrap_or(manager)),
            |member| document.place(&member.node),
        );
        report.find(&lint::USE_REMOTE_ADDRESS, "`use_remote_address` is not true", place);
    }
    let filters = manager.field("http_filters").map(Node::items).unwrap_or_default();
    let is_this = |filter: &&Node| above.iter().any(|node| std::ptr::eq(*node, *filter));
    for filter in filters.iter().take_while(|filter| !is_this(filter)) {
        let Some((url, _)) = filter.field("typed_config").and_then(typed) else { continue };
        let place = document.place(filter.field("name").unwrap_or(filter));
        if url.ends_with("filters.http.router.v3.Router") {
            report.find(&lint::ROUTER_BEFORE, "the router stands before the filter", place);
        } else if let Some((_, name)) = DECIDING.iter().find(|(end, _)| url.ends_with(end)) {
            report.find(&lint::FILTER_BEFORE, format!("`{name}` stands before the filter"), place);
        }
    }
    let Some(filter) = filters.iter().find(is_this) else { return };
    if let Some(disabled) = filter.field("disabled").filter(|disabled| disabled.is_true()) {
        let title = "the filter is off, but for routes that switch it on";
        report.find(&lint::FILTER_DISABLED, title, document.place(disabled));
    }
    let Some(name) = filter.field("name").and_then(Node::text) else { return };
    document.node.walk(&mut |node, _| {
        let own = node.field("typed_per_filter_config").and_then(|configs| configs.member(name));
        if let Some(Member { span, node: own, .. }) = own
            && own.field("disabled").is_some_and(Node::is_true)
        {
            let title = format!("the filter is off for {}", named(node));
            report.find(&lint::FILTER_DISABLED, title, super::Place::new(document.source, span));
        }
    });
}

/// What a route, a virtual host or a set of routes is called in a message.
fn named(node: &Node) -> String {
    const PATHS: [&str; 5] = ["path", "prefix", "path_separated_prefix", "safe_regex", "path_match_policy"];
    if let Some(matched) = node.field("match") {
        let path = PATHS.iter().find_map(|field| {
            let value = matched.field(field)?;
            let text = value.text().or_else(|| value.field("regex")?.text());
            Some(format!("the route `{}`", text.unwrap_or(field)))
        });
        return path.unwrap_or_else(|| "a route".to_owned());
    }
    match (node.field("name").and_then(Node::text), node.field("domains")) {
        (Some(name), Some(_)) => format!("the virtual host `{name}`"),
        (Some(name), None) => format!("`{name}`"),
        (None, _) => "a route".to_owned(),
    }
}

fn check_removal<'a>(
    document: Document<'a>,
    manager: &'a Node,
    configuration: &Configuration<'_>,
    report: &mut Report<'a>,
) {
    // A piece of a connection manager, without the rest.
    let Some(prefix) = manager.field("stat_prefix") else { return };
    let removals = early_removal::of_envoy(manager);
    if let Some(name) = unguarded(&configuration.identity_headers(), &SPELLINGS, &removals) {
        let place = manager.field("early_header_mutation_extensions").unwrap_or(prefix);
        let title = format!("a client's `{name}` is not removed before the filters run");
        report.find(&lint::NO_EARLY_REMOVAL, title, document.place(place));
    }
}

/// The clusters of all documents.
struct Clusters<'a> {
    /// Each with its document.
    known: Vec<(Document<'a>, &'a Node)>,
    /// Whether these are all: there are some, and none come from elsewhere.
    are_all: bool,
}

impl<'a> Clusters<'a> {
    fn of(documents: &[Document<'a>]) -> Self {
        let (mut known, mut are_all) = (Vec::new(), false);
        for &document in documents.iter().filter(|document| kind(document.node).is_none()) {
            let node = document.node;
            let fixed = node.fields(&["static_resources", "clusters"]).map(Node::items).unwrap_or_default();
            let resources = node.field("resources").map(Node::items).unwrap_or_default();
            let resources = resources.iter().filter(|resource| {
                resource.type_url().is_some_and(|url| url.ends_with("config.cluster.v3.Cluster"))
            });
            known.extend(fixed.iter().chain(resources).map(|cluster| (document, cluster)));
            are_all |= node.field("static_resources").is_some();
        }
        let is_dynamic = |document: &Document<'_>| {
            let dynamic = document.node.field("dynamic_resources");
            dynamic.is_some_and(|dynamic| {
                dynamic.field("cds_config").is_some() || dynamic.field("ads_config").is_some()
            })
        };
        let are_all = are_all && (!known.is_empty() && !documents.iter().any(is_dynamic));
        Self { known, are_all }
    }

    fn check(&self, configuration: &Configuration<'a>, report: &mut Report<'a>) {
        for upstream in configuration.upstreams() {
            let named = |cluster: &Node| cluster.field("name").and_then(Node::text) == Some(&upstream.name);
            match self.known.iter().find(|(_, cluster)| named(cluster)) {
                Some(&(document, cluster)) => tls::check(document, cluster, &upstream, report),
                None if self.are_all => unknown(configuration, upstream, "no cluster", report),
                None => {}
            }
        }
    }
}

/// Says that an upstream is not there.
pub(super) fn unknown<'a>(
    configuration: &Configuration<'a>,
    upstream: Upstream,
    what: &str,
    report: &mut Report<'a>,
) {
    let title = format!("there is {what} `{}`", upstream.name);
    let place = configuration.field(&upstream.field);
    let field = Some(upstream.field);
    report.findings.push(super::Finding { lint: &lint::UNKNOWN_CLUSTER, title, field, place });
}
