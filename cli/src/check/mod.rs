//! `check`: finds the configurations of the filter in files, has the filter's own parser read them, and looks at what
//! stands around them. Files that are checked together are taken for what is applied together.

mod apisix;
mod configuration;
mod early_removal;
mod envoy;
mod finding;
mod gateway;
mod istio;
pub(crate) mod lint;
pub(crate) mod output;
mod report;
mod tls;

use crate::source::{self, Source};
use crate::tree::{self, Node, Problem};

pub(crate) use self::configuration::{Configuration, Host};
pub(crate) use self::finding::{Finding, Place};
pub(crate) use self::report::{Checked, Report};

/// A file, and the documents in it.
#[derive(Debug)]
pub(crate) struct File {
    source: Source,
    documents: Vec<Node>,
    faults: Vec<tree::Fault>,
}

/// A document, and the file that it is from.
#[derive(Debug, Clone, Copy)]
struct Document<'a> {
    source: &'a Source,
    node: &'a Node,
}

impl File {
    /// Reads the documents of a file.
    pub(crate) fn new(source: Source) -> Self {
        let (documents, faults) =
            if source.fault.is_some() { (Vec::new(), Vec::new()) } else { tree::documents(&source) };
        Self { source, documents, faults }
    }

    /// The documents, and each element of a `List` of Kubernetes.
    fn documents(&self) -> impl Iterator<Item = Document<'_>> {
        let source = &self.source;
        let nodes = self.documents.iter().flat_map(|node| match (kind(node), node.get("items")) {
            (Some(kind), Some(items)) if kind.ends_with("List") => items.items(),
            _ => std::slice::from_ref(node),
        });
        nodes.map(move |node| Document { source, node })
    }
}

impl<'a> Document<'a> {
    fn place(&self, node: &Node) -> Place<'a> {
        Place::new(self.source, &node.span)
    }
}

/// The kind of a Kubernetes resource.
fn kind(node: &Node) -> Option<&str> {
    node.get("apiVersion")?;
    node.get("kind")?.text()
}

/// Whether a document is a plugin configuration by itself: nothing says that it is anything else.
fn stands_alone(node: &Node) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| node.get(name).is_some());
    let is_ours = node.members().iter().any(|member| configuration::is_field(&member.name));
    let is_envoys = has(&["static_resources", "staticResources", "dynamic_resources", "resources", "@type"]);
    let is_another = kind(node).is_some() || is_envoys || apisix::is_apisix(node);
    node.is_map() && !node.members().is_empty() && !is_another && (is_ours || !envoy::has_filter(node))
}

/// Checks files that belong together.
pub(crate) fn check(files: &[File]) -> Report<'_> {
    let mut report = Report::default();
    for File { source, faults, .. } in files {
        report.findings.extend(source.fault.map(|fault| unreadable(source, fault)));
        report.findings.extend(faults.iter().map(|fault| Finding {
            lint: match &fault.problem {
                Problem::Twice(_) => &lint::DUPLICATE_NAME,
                Problem::Yaml(_)
                | Problem::Json(_)
                | Problem::NameIsNoText
                | Problem::TooDeep
                | Problem::TooMany => &lint::SYNTAX,
            },
            title: fault.problem.to_string(),
            field: None,
            place: Place::new(source, &fault.span),
        }));
    }
    let documents: Vec<_> = files.iter().flat_map(File::documents).collect();
    envoy::check(&documents, &mut report);
    istio::check(&documents, &mut report);
    gateway::check(&documents, &mut report);
    apisix::check(&documents, &mut report);
    for document in documents.iter().filter(|document| stands_alone(document.node)) {
        report.add(Configuration::new(document.source, Host::None, document.node));
    }
    if report.configurations.is_empty() && report.findings.iter().all(|finding| !finding.is_error()) {
        let title = "no configuration of the filter was found".to_owned();
        let place = files.first().map(|file| Place::whole(&file.source));
        let finding = |place| Finding { lint: &lint::NOTHING_FOUND, title, field: None, place };
        report.findings.extend(place.map(finding));
    }
    report.sort(files);
    report
}

fn unreadable(source: &Source, fault: source::Fault) -> Finding<'_> {
    let (title, place) = match fault {
        source::Fault::TooLarge => {
            (format!("the file is longer than {} bytes", source::MAX_BYTES), Place::whole(source))
        }
        source::Fault::Utf16 => ("the file is UTF-16; save it as UTF-8".to_owned(), Place::whole(source)),
        source::Fault::NotUtf8(at) => {
            let place = Place::new(source, &(at..at.saturating_add(1)));
            ("this byte is no UTF-8".to_owned(), place)
        }
    };
    Finding { lint: &lint::SYNTAX, title, field: None, place }
}
