//! Istio: `WasmPlugin`, `TrafficExtension`, and what stands beside them.

use super::configuration::Upstream;
use super::early_removal::{self, Removal, unguarded};
use super::{Configuration, Document, Host, Report, envoy, kind, lint, tls};
use crate::tree::{Node, Value};

/// A plugin of either kind.
#[derive(Clone, Copy)]
struct Plugin<'a> {
    document: Document<'a>,
    spec: &'a Node,
    /// What says how the module runs: the same as `spec` in a `WasmPlugin`.
    module: &'a Node,
}

impl<'a> Plugin<'a> {
    fn of(document: Document<'a>) -> Option<Self> {
        let spec = document.node.get("spec")?;
        let module = match kind(document.node)? {
            "WasmPlugin" => spec,
            "TrafficExtension" => spec.get("wasm")?,
            _ => return None,
        };
        let plugin = Self { document, spec, module };
        plugin.is_ours().then_some(plugin)
    }

    fn is_ours(&self) -> bool {
        let names =
            [self.document.node.get("metadata").and_then(|data| data.get("name")), self.module.get("url")];
        names.into_iter().flatten().filter_map(Node::text).any(|name| name.contains("authgear"))
            || self.module.get("pluginConfig").is_some_and(Configuration::is_ours)
    }

    /// Which workloads it is for, as far as two of them can be compared.
    fn workloads(&self) -> [Option<String>; 3] {
        let namespace = self.document.node.get("metadata").and_then(|data| data.get("namespace"));
        let targets = self.spec.get("targetRefs").or_else(|| self.spec.get("targetRef"));
        [namespace, self.spec.get("selector"), targets].map(|node| node.map(Node::to_json))
    }
}

/// Checks all plugins of Istio.
pub(super) fn check<'a>(documents: &[Document<'a>], report: &mut Report<'a>) {
    let plugins: Vec<_> = documents.iter().filter_map(|document| Plugin::of(*document)).collect();
    let removals: Vec<_> = documents.iter().flat_map(|document| removals(document.node)).collect();
    for plugin in &plugins {
        check_plugin(plugin, report);
        let document = plugin.document;
        if kind(document.node) == Some("TrafficExtension")
            && plugins.iter().any(|other| {
                kind(other.document.node) == Some("WasmPlugin") && other.workloads() == plugin.workloads()
            })
        {
            let place = document.place(document.node.get("kind").unwrap_or(document.node));
            report.find(&lint::RUNS_TWICE, "a WasmPlugin stands beside this TrafficExtension", place);
        }
        let Some(node) = plugin.module.get("pluginConfig") else {
            let place = document.place(plugin.module.get("url").unwrap_or(plugin.module));
            report.find(&lint::NO_CONFIGURATION, "the plugin has no `pluginConfig`", place);
            continue;
        };
        let configuration = Configuration::new(document.source, Host::Istio, node);
        for upstream in configuration.upstreams() {
            check_upstream(documents, &configuration, upstream, report);
        }
        if let Some(name) = unguarded(&configuration.identity_headers(), &["-", "_", "."], &removals) {
            let title = format!("a client's `{name}` is not removed before the filters run");
            let place = document.place(document.node.get("kind").unwrap_or(document.node));
            report.find(&lint::NO_EARLY_REMOVAL, title, place);
        }
        report.add(configuration);
    }
    if plugins.is_empty() {
        return;
    }
    for document in documents.iter().filter(|document| kind(document.node) == Some("AuthorizationPolicy")) {
        let action = document.node.get("spec").and_then(|spec| spec.get("action"));
        if let Some(action) = action.filter(|action| action.text() == Some("CUSTOM")) {
            let title = "a CUSTOM policy is asked before the filter";
            report.find(&lint::CUSTOM_POLICY, title, document.place(action));
        }
    }
}

fn check_plugin<'a>(plugin: &Plugin<'a>, report: &mut Report<'a>) {
    let Plugin { document, spec, module } = *plugin;
    if let Some(strategy) = module.get("failStrategy").filter(|text| text.text() == Some("FAIL_OPEN")) {
        let title = "failures let requests in: `failStrategy` is FAIL_OPEN";
        report.find(&lint::FAIL_OPEN, title, document.place(strategy));
    }
    check_digest(document, module.get("sha256"), report);
    let phase = spec.get("phase");
    if phase.and_then(Node::text) != Some("AUTHN") {
        let place = phase.or_else(|| module.get("url")).unwrap_or(spec);
        report.find(&lint::PHASE, "the plugin is not in the phase AUTHN", document.place(place));
    }
    for matched in spec.get("match").map(Node::items).unwrap_or_default() {
        if let Some(ports) = matched.member("ports") {
            let place = super::Place::new(document.source, &ports.span);
            report.find(&lint::MATCH_PORTS, "the plugin is for these ports only", place);
        }
    }
}

/// The digest of an image, which stands without what images' references have before it.
pub(super) fn check_digest<'a>(document: Document<'a>, digest: Option<&'a Node>, report: &mut Report<'a>) {
    let is_prefixed = |digest: &&Node| digest.text().is_some_and(|text| text.starts_with("sha256:"));
    if let Some(digest) = digest.filter(is_prefixed) {
        report.find(&lint::SHA256_PREFIX, "`sha256:` stands before the digest", document.place(digest));
    }
}

/// What an `EnvoyFilter` removes from requests before any filter runs.
fn removals(document: &Node) -> Vec<Removal> {
    let mut removals = Vec::new();
    if kind(document) == Some("EnvoyFilter") {
        document.walk(&mut |node, _| removals.extend(early_removal::of_envoy(node)));
    }
    removals
}

fn check_upstream<'a>(
    documents: &[Document<'a>],
    configuration: &Configuration<'a>,
    upstream: Upstream,
    report: &mut Report<'a>,
) {
    let mut parts = upstream.name.split('|');
    let (Some("outbound"), Some(port), Some(_), Some(host), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        if !adds_cluster(documents, &upstream.name) {
            let what = "no cluster (in Istio they are named `outbound|<port>||<host>`)";
            envoy::unknown(configuration, upstream, what, report);
        }
        return;
    };
    // The Services of a cluster are not in the files.
    if host.ends_with(".svc.cluster.local") || !host.contains('.') {
        return;
    }
    let entry = documents.iter().find(|document| is_entry(document.node, host, port));
    let Some(entry) = entry else {
        let what = format!("no ServiceEntry for `{host}`, port {port}, and so no cluster");
        envoy::unknown(configuration, upstream, &what, report);
        return;
    };
    if tls::is_https(&upstream.url) {
        check_rule(documents, *entry, host, &upstream, report);
    }
}

/// Whether an `EnvoyFilter` adds a cluster of this name.
fn adds_cluster(documents: &[Document<'_>], name: &str) -> bool {
    documents.iter().filter(|document| kind(document.node) == Some("EnvoyFilter")).any(|document| {
        let patches = document.node.get("spec").and_then(|spec| spec.get("configPatches"));
        patches.map(Node::items).unwrap_or_default().iter().any(|patch| {
            let added = patch.get("patch").and_then(|patch| patch.get("value")?.get("name")?.text());
            patch.get("applyTo").and_then(Node::text) == Some("CLUSTER") && added == Some(name)
        })
    })
}

fn is_entry(node: &Node, host: &str, port: &str) -> bool {
    let list = |name| node.get("spec").and_then(|spec| spec.get(name)).map(Node::items).unwrap_or_default();
    kind(node) == Some("ServiceEntry")
        && list("hosts").iter().any(|named| named.text() == Some(host))
        && list("ports")
            .iter()
            .any(|listed| listed.get("number").is_some_and(|number| number.to_json() == port))
}

/// The `DestinationRule` that puts TLS around calls to a host.
fn check_rule<'a>(
    documents: &[Document<'a>],
    entry: Document<'a>,
    host: &str,
    upstream: &Upstream,
    report: &mut Report<'a>,
) {
    let mut rules = documents.iter().filter_map(|document| {
        let spec = document.node.get("spec")?;
        let is_for = kind(document.node) == Some("DestinationRule") && spec.get("host")?.text() == Some(host);
        let policy = is_for.then(|| spec.get("trafficPolicy")).flatten()?;
        let ports = policy.get("portLevelSettings").map(Node::items).unwrap_or_default();
        let tls = policy.get("tls").or_else(|| ports.iter().find_map(|port| port.get("tls")))?;
        Some((*document, tls))
    });
    let found = rules.next();
    let mode = found.and_then(|(_, tls)| tls.get("mode")?.text());
    let (Some((document, tls)), Some("SIMPLE" | "MUTUAL")) = (found, mode) else {
        let place = found.map_or_else(
            || entry.place(entry.node.get("kind").unwrap_or(entry.node)),
            |(document, tls)| document.place(tls.get("mode").unwrap_or(tls)),
        );
        let title = format!("calls to `{}` go to `{}` without TLS", upstream.url, upstream.name);
        report.find(&lint::NO_TLS, title, place);
        return;
    };
    let place = || document.place(tls.get("mode").unwrap_or(tls));
    let is_there = |name| tls.get(name).is_some_and(|node| !is_empty(node));
    if !is_there("caCertificates") && !is_there("credentialName") {
        let title = format!("the DestinationRule for `{host}` does not say who may sign certificates");
        report.find(&lint::NO_TLS_CA, title, place());
    }
    if !is_there("subjectAltNames") {
        let title = format!("the DestinationRule for `{host}` accepts a certificate for any name");
        report.find(&lint::NO_TLS_NAME, title, place());
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Text(written) => written.text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
