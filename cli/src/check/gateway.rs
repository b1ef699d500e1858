//! Envoy Gateway: `EnvoyExtensionPolicy`, and what stands beside it.

use super::configuration::Upstream;
use super::early_removal::{self, unguarded};
use super::{Configuration, Document, Host, Report, envoy, istio, kind, lint, tls};
use crate::tree::Node;

/// What Envoy Gateway calls the clusters of routes: they begin so.
const OF_ROUTES: [&str; 5] = ["httproute/", "grpcroute/", "tcproute/", "tlsroute/", "udproute/"];

/// Checks all policies that have the filter.
pub(super) fn check<'a>(documents: &[Document<'a>], report: &mut Report<'a>) {
    let of_kind = |wanted: &'static str| {
        documents.iter().copied().filter(move |document| kind(document.node) == Some(wanted))
    };
    let removals: Vec<_> = of_kind("ClientTrafficPolicy")
        .flat_map(|document| early_removal::of_gateway(document.node))
        .collect();
    let patches: Vec<_> = of_kind("EnvoyPatchPolicy")
        .flat_map(|document| {
            let patches = document.node.get("spec").and_then(|spec| spec.get("jsonPatches"));
            patches.map(Node::items).unwrap_or_default().iter().map(move |patch| (document, patch))
        })
        .collect();
    let mut has_filter = false;
    for document in of_kind("EnvoyExtensionPolicy") {
        let Some(spec) = document.node.get("spec") else { continue };
        for module in spec.get("wasm").map(Node::items).unwrap_or_default() {
            if !is_ours(document.node, module) {
                continue;
            }
            has_filter = true;
            check_module(document, spec, module, report);
            let place = || document.place(module.get("name").unwrap_or(module));
            if !patches.iter().any(|(_, patch)| switches_on(patch)) {
                report.find(&lint::NOT_ALWAYS_ON, "routes switch the filter on and off", place());
            }
            let Some(node) = module.get("config") else {
                report.find(&lint::NO_CONFIGURATION, "the filter has no `config`", place());
                continue;
            };
            let configuration = Configuration::new(document.source, Host::EnvoyGateway, node);
            if let Some(name) = unguarded(&configuration.identity_headers(), &["-"], &removals) {
                let title = format!("a client's `{name}` is not removed before the filters run");
                report.find(&lint::NO_EARLY_REMOVAL, title, place());
            }
            for upstream in configuration.upstreams() {
                check_upstream(&patches, documents, &configuration, upstream, report);
            }
            report.add(configuration);
        }
    }
    for document in of_kind("SecurityPolicy").filter(|_| has_filter) {
        let asked = document.node.get("spec").and_then(|spec| spec.member("extAuth"));
        if let Some(asked) = asked {
            let place = super::Place::new(document.source, &asked.span);
            report.find(&lint::POLICY_BEFORE, "`extAuth` is asked before the filter", place);
        }
    }
}

fn is_ours(policy: &Node, module: &Node) -> bool {
    let code = module.get("code");
    let names = [
        policy.get("metadata").and_then(|data| data.get("name")),
        module.get("name"),
        code.and_then(|code| code.get("image")?.get("url")),
        code.and_then(|code| code.get("http")?.get("url")),
    ];
    names.into_iter().flatten().filter_map(Node::text).any(|name| name.contains("authgear"))
        || module.get("config").is_some_and(Configuration::is_ours)
}

fn check_module<'a>(document: Document<'a>, spec: &'a Node, module: &'a Node, report: &mut Report<'a>) {
    if let Some(open) = module.get("failOpen").filter(|open| open.is_true()) {
        let title = "failures let requests in: `failOpen` is true";
        report.find(&lint::FAIL_OPEN, title, document.place(open));
    }
    for kind in ["image", "http"] {
        let digest = module.get("code").and_then(|code| code.get(kind)?.get("sha256"));
        istio::check_digest(document, digest, report);
    }
    let one = spec.get("targetRef").into_iter();
    let several = spec.get("targetRefs").into_iter().chain(spec.get("targetSelectors"));
    let targets = one.chain(several.flat_map(Node::items));
    for target in targets.filter_map(|target| target.get("kind")) {
        if target.text().is_some_and(|kind| kind.ends_with("Route")) && spec.get("mergeType").is_none() {
            let title = "the policy of a route has no `mergeType`";
            report.find(&lint::MERGE_TYPE, title, document.place(target));
        }
    }
}

/// Whether a patch keeps filters of modules on.
fn switches_on(patch: &Node) -> bool {
    let Some(operation) = patch.get("operation") else { return false };
    let path = operation.get("path").and_then(Node::text).unwrap_or_default();
    path.ends_with("/disabled") && operation.get("value").is_some_and(Node::is_false)
}

fn check_upstream<'a>(
    patches: &[(Document<'a>, &'a Node)],
    documents: &[Document<'a>],
    configuration: &Configuration<'a>,
    upstream: Upstream,
    report: &mut Report<'a>,
) {
    if OF_ROUTES.iter().any(|start| upstream.name.starts_with(start)) {
        return;
    }
    let clusters = patches.iter().filter_map(|(document, patch)| {
        let is_cluster = patch.get("type")?.text()?.ends_with("config.cluster.v3.Cluster");
        is_cluster.then_some((*document, patch.get("operation")?.get("value")?))
    });
    let mut named =
        clusters.filter(|(_, cluster)| cluster.field("name").and_then(Node::text) == Some(&upstream.name));
    match named.next() {
        Some((document, cluster)) => tls::check(document, cluster, &upstream, report),
        // Clusters may stand in the bootstrap that an EnvoyProxy has.
        None if documents.iter().any(|document| {
            kind(document.node) == Some("EnvoyProxy")
                && document.node.get("spec").is_some_and(|spec| spec.get("bootstrap").is_some())
        }) => {}
        None => envoy::unknown(configuration, upstream, "no EnvoyPatchPolicy that adds the cluster", report),
    }
}
