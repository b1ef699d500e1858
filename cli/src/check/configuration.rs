//! A configuration of the filter that stands in a file: as values, or as JSON in a string.

use std::ops::Range;

use authgear_filter::config::{Config, Projects};

use super::finding::{Finding, Place};
use super::lint;
use crate::source::{Source, line_and_column};
use crate::tree::{self, Node, Origin, Value};

/// The fields at the top of which at least one must be there.
const ROOTS: [&str; 3] = ["authgear", "forward_auth", "jwt"];

/// What has a plugin of ours in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) enum Host {
    /// The configuration stands for itself.
    #[serde(rename = "none")]
    None,
    /// Envoy's own configuration.
    #[serde(rename = "envoy")]
    Envoy,
    /// Resources of Istio.
    #[serde(rename = "istio")]
    Istio,
    /// Resources of Envoy Gateway.
    #[serde(rename = "envoy-gateway")]
    EnvoyGateway,
    /// Routes of APISIX.
    #[serde(rename = "apisix")]
    Apisix,
}

/// A configuration, and where it stands.
#[derive(Debug)]
pub(crate) struct Configuration<'a> {
    /// The file.
    pub(crate) source: &'a Source,
    /// What has it.
    pub(crate) host: Host,
    /// The value that it is, or the string that it stands in.
    pub(crate) node: &'a Node,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// It is the value.
    Values,
    /// It is JSON in a string: what it says, unless it is no JSON, and where each part stands, unless nobody can say.
    Text { json: Result<Node, tree::Fault>, origin: Option<Origin> },
}

/// A server that the filter calls.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// The field that names it.
    pub(crate) field: String,
    /// Its name: a cluster, or `host:port` on APISIX.
    pub(crate) name: String,
    /// The URL of which calls are made.
    pub(crate) url: String,
    /// Whether `url` is the public one of a server that may be called by another way.
    pub(crate) is_public: bool,
}

impl<'a> Configuration<'a> {
    /// The line at which it begins.
    pub(crate) fn line(&self) -> usize {
        self.source.line_and_column(self.node.span.start).0
    }

    /// The configuration that a value is, or that stands in it as text.
    pub(crate) fn new(source: &'a Source, host: Host, node: &'a Node) -> Self {
        let content = match node.written() {
            Some(written) => Content::Text {
                json: tree::json(&written.text),
                origin: written.origin(&source.text, &node.span),
            },
            None => Content::Values,
        };
        Self { source, host, node, content }
    }

    /// Whether it looks like one of this filter, and not of another.
    pub(crate) fn is_ours(node: &Node) -> bool {
        match &node.value {
            Value::Map(_) => ROOTS.iter().any(|root| node.get(root).is_some()),
            Value::Text(written) => ROOTS.iter().any(|root| written.text.contains(&format!("\"{root}\""))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) => false,
        }
    }

    /// The bytes that the host hands to the filter.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.node.text().map_or_else(|| self.node.to_json(), str::to_owned).into_bytes()
    }

    /// The configuration as the filter reads it on this host.
    ///
    /// # Errors
    ///
    /// What the filter would say of it, and where.
    pub(crate) fn parse(&self) -> Result<Projects, Box<Finding<'a>>> {
        let rewrites_paths = self.host != Host::Apisix;
        let parsed = Projects::parse(&self.bytes()).and_then(|projects| projects.on_proxy(rewrites_paths));
        parsed.map_err(|error| {
            let title = error.to_string();
            let field = error.path;
            let place = match &self.content {
                Content::Text { json: Err(fault), .. } => self.place(&fault.span),
                Content::Text { json: Ok(_), .. } | Content::Values => self.place_of(&field, &title),
            };
            let field = (!field.is_empty()).then_some(field);
            Box::new(Finding { lint: &lint::CONFIGURATION, title, field, place })
        })
    }

    /// Where a field stands, or the nearest one above it.
    pub(crate) fn field(&self, path: &str) -> Place<'a> {
        let span = self.values().map(|node| node.locate(path));
        span.map_or_else(|| Place::new(self.source, &self.node.span), |span| self.place(&span))
    }

    /// The same, for an error that names in backticks what is too much there.
    fn place_of(&self, path: &str, title: &str) -> Place<'a> {
        let extra = ["unknown field `", "duplicate field `"]
            .iter()
            .find_map(|words| title.split_once(words))
            .and_then(|(_, rest)| rest.split_once('`'));
        let Some((name, _)) = extra else { return self.field(path) };
        // The path ends in the name or before it.
        let inside = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let Some(values) = self.values() else { return self.field(path) };
        let spans = [inside.as_str(), path].map(|path| values.name(path));
        match spans.into_iter().flatten().next() {
            Some(span) => self.place(&span),
            None => self.field(path),
        }
    }

    /// What it says; none where it is no JSON.
    pub(crate) fn values(&self) -> Option<&Node> {
        match &self.content {
            Content::Values => Some(self.node),
            Content::Text { json, .. } => json.as_ref().ok(),
        }
    }

    /// The place in the file of a place in what it says.
    fn place(&self, span: &Range<usize>) -> Place<'a> {
        match &self.content {
            Content::Values => Place::new(self.source, span),
            Content::Text { origin: Some(origin), .. } => Place::new(self.source, &origin.range(span)),
            Content::Text { origin: None, .. } => {
                let text = self.node.text().unwrap_or_default();
                let within = Some(line_and_column(text, span.start));
                Place { within, ..Place::new(self.source, &self.node.span) }
            }
        }
    }

    /// The servers that the filter calls, each with the field that names it.
    pub(crate) fn upstreams(&self) -> Vec<Upstream> {
        let mut upstreams = Vec::new();
        let Some(values) = self.values() else { return upstreams };
        let mut add = |url: Option<&Node>, upstream: Option<&Node>, field: String, is_public: bool| {
            if let (Some(url), Some(name)) = (url.and_then(Node::text), upstream.and_then(Node::text)) {
                let upstream = Upstream { field, name: name.to_owned(), url: url.to_owned(), is_public };
                if !upstreams.contains(&upstream) {
                    upstreams.push(upstream);
                }
            }
        };
        for (node, path) in elements(values, "authgear") {
            let upstream = node.get("upstream");
            let field = format!("{path}.upstream");
            match node.get("jwks_url") {
                Some(url) => add(Some(url), upstream, field.clone(), false),
                None => add(node.get("endpoint"), upstream, field.clone(), true),
            }
            match node.get("resolver_upstream") {
                Some(own) => {
                    let url = node.get("resolver_url").or_else(|| node.get("endpoint"));
                    add(url, Some(own), format!("{path}.resolver_upstream"), false);
                }
                None => add(node.get("resolver_url"), upstream, field, false),
            }
        }
        for (node, path) in elements(values, "forward_auth") {
            add(node.get("url"), node.get("upstream"), format!("{path}.upstream"), false);
        }
        for (node, path) in elements(values, "jwt") {
            add(node.get("jwks_uri"), node.get("upstream"), format!("{path}.upstream"), false);
            if let Some(asked) = node.get("introspection") {
                add(asked.get("url"), asked.get("upstream"), format!("{path}.introspection.upstream"), false);
            }
        }
        upstreams
    }

    /// Names of identity headers, each as the app knows it: one for each that the configuration lists. A prefix is told
    /// by a name that begins so.
    pub(crate) fn identity_headers(&self) -> Vec<String> {
        let Some(values) = self.values() else { return Vec::new() };
        let mut names: Vec<String> = Vec::new();
        let mut add = |name: &str| {
            let name = name.to_ascii_lowercase();
            let name = name.strip_suffix('*').map_or_else(|| name.clone(), |prefix| format!("{prefix}any"));
            if name != "authorization" && !names.contains(&name) {
                names.push(name);
            }
        };
        if values.get("authgear").is_some() {
            add("x-authgear-session-valid");
            add("x-authgear-user-id");
        }
        for (node, _) in elements(values, "forward_auth") {
            // What the server is to get from the client cannot be removed before.
            let sent: Vec<_> =
                node.get("request_headers").map(Node::items).unwrap_or_default().iter().collect();
            let is_sent = |name: &str| sent.iter().any(|sent| sent.text() == Some(name));
            for header in node.get("identity_headers").map(Node::items).unwrap_or_default() {
                let name = header.text().or_else(|| header.get("header")?.text());
                name.filter(|name| !is_sent(name)).into_iter().for_each(&mut add);
            }
            node.get("roles_header").and_then(Node::text).into_iter().for_each(&mut add);
        }
        for (node, _) in elements(values, "jwt") {
            let headers = node.get("headers").map(Node::members).unwrap_or_default();
            headers.iter().for_each(|member| add(&member.name));
            node.get("payload_header").and_then(Node::text).into_iter().for_each(&mut add);
        }
        names
    }
}

/// The elements of a field that is one or a list, with their paths.
fn elements<'n>(values: &'n Node, field: &str) -> Vec<(&'n Node, String)> {
    let Some(node) = values.get(field) else { return Vec::new() };
    match &node.value {
        Value::List(items) => {
            items.iter().enumerate().map(|(at, item)| (item, format!("{field}[{at}]"))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
            vec![(node, field.to_owned())]
        }
    }
}

/// Whether a name is a field at the top of a configuration.
pub(crate) fn is_field(name: &str) -> bool {
    let schema = Config::schema();
    schema.get("properties").and_then(|fields| fields.get(name)).is_some()
}
