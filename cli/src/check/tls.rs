//! Whether the cluster of an upstream checks whom it talks to.

use authgear_filter::http::url::Url;

use super::configuration::Upstream;
use super::{Document, Report, lint};
use crate::tree::Node;

/// Looks at an Envoy cluster that the filter calls.
pub(super) fn check<'a>(
    document: Document<'a>,
    cluster: &'a Node,
    upstream: &Upstream,
    report: &mut Report<'a>,
) {
    let name = cluster.field("name").unwrap_or(cluster);
    if cluster.field("transport_socket_matches").is_some() {
        return;
    }
    let Some(socket) = cluster.field("transport_socket") else {
        if is_https(&upstream.url) && (!upstream.is_public || is_public_server(cluster, &upstream.url)) {
            let title =
                format!("calls to `{}` go to the cluster `{}` without TLS", upstream.url, upstream.name);
            report.find(&lint::NO_TLS, title, document.place(name));
        }
        return;
    };
    let Some(tls) = socket.field("typed_config") else { return };
    if !tls.type_url().is_some_and(|url| url.ends_with("UpstreamTlsContext")) {
        return;
    }
    let place = || document.place(socket.field("name").unwrap_or(socket));
    let common = tls.field("common_tls_context");
    let has = |path: &[&str]| common.is_some_and(|common| common.fields(path).is_some());
    const FROM_SDS: &str = "validation_context_sds_secret_config";
    const COMBINED: [&str; 2] = ["combined_validation_context", "default_validation_context"];
    let is_from_sds = has(&[FROM_SDS]) || has(&[COMBINED[0], FROM_SDS]);
    let validates =
        |field: &str| has(&["validation_context", field]) || has(&[COMBINED[0], COMBINED[1], field]);
    if !is_from_sds && !validates("trusted_ca") && !validates("system_root_certs") {
        let title = format!("the cluster `{}` accepts a certificate that anybody signed", upstream.name);
        report.find(&lint::NO_TLS_CA, title, place());
    }
    let protocol = protocol_options(cluster);
    let is_set = |field: &str| {
        tls.field(field).is_some_and(Node::is_true)
            || protocol.iter().any(|options| options.field(field).is_some_and(Node::is_true))
    };
    let is_named = ["match_typed_subject_alt_names", "match_subject_alt_names"].into_iter().any(validates)
        || is_set("auto_sni_san_validation")
        || is_set("auto_san_validation");
    if !is_from_sds && !is_named {
        let title = format!("the cluster `{}` accepts a certificate for any name", upstream.name);
        report.find(&lint::NO_TLS_NAME, title, place());
    }
    if tls.field("sni").is_none() && !is_set("auto_host_sni") && !is_set("auto_sni") {
        let title = format!("the cluster `{}` does not say which server it wants", upstream.name);
        report.find(&lint::NO_SNI, title, place());
    }
}

/// The options for upstream HTTP of a cluster.
fn protocol_options(cluster: &Node) -> Vec<&Node> {
    let all = cluster.field("typed_extension_protocol_options").map(Node::members).unwrap_or_default();
    all.iter().filter_map(|member| member.node.field("upstream_http_protocol_options")).collect()
}

/// Whether a URL wants TLS.
pub(super) fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
}

/// Whether a cluster leads to the public server itself: to its name, or to the port of https.
fn is_public_server(cluster: &Node, url: &str) -> bool {
    let host = host_of(url);
    let mut is_public = false;
    cluster.walk(&mut |node, _| {
        if let Some(address) = node.field("socket_address") {
            let name = address.field("address").and_then(Node::text);
            let port = address.field("port_value").map(Node::to_json);
            is_public |= port.as_deref() == Some("443") || name.is_some() && name == host.as_deref();
        }
    });
    is_public
}

/// The host of a URL, without its port.
fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let authority = url.authority().to_owned();
    Some(authority.rsplit_once(':').map_or(authority.clone(), |(host, _)| host.to_owned()))
}
