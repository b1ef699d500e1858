//! Whether a host removes a client's identity headers before any filter runs.

use regex::Regex;

use crate::tree::Node;

/// What a host removes.
#[derive(Debug)]
pub(super) enum Removal {
    /// A name as it is.
    Exact(String),
    /// Names that begin so.
    Prefix(String),
    /// Names that end so.
    Suffix(String),
    /// Names that hold this.
    Contains(String),
    /// Names that are this as a whole.
    Regex(Regex),
}

impl Removal {
    fn removes(&self, name: &str) -> bool {
        match self {
            Self::Exact(text) => name == text,
            Self::Prefix(text) => name.starts_with(text.as_str()),
            Self::Suffix(text) => name.ends_with(text.as_str()),
            Self::Contains(text) => name.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(name),
        }
    }
}

/// The removals of an Envoy's connection manager, or of any other value that has `early_header_mutation_extensions`.
pub(super) fn of_envoy(node: &Node) -> Vec<Removal> {
    let mut removals = Vec::new();
    let extensions = node.field("early_header_mutation_extensions").map(Node::items).unwrap_or_default();
    let mutations =
        extensions.iter().filter_map(|extension| extension.fields(&["typed_config", "mutations"]));
    for mutation in mutations.flat_map(Node::items) {
        let name = mutation.field("remove").and_then(Node::text);
        removals.extend(name.map(|name| Removal::Exact(name.to_ascii_lowercase())));
        let matcher = mutation.fields(&["remove_on_match", "key_matcher"]);
        removals.extend(matcher.and_then(matcher_of_envoy));
    }
    removals
}

/// A `StringMatcher`. Envoy gives it names in lower case.
fn matcher_of_envoy(matcher: &Node) -> Option<Removal> {
    let text = |field| matcher.field(field).and_then(Node::text).map(str::to_owned);
    text("exact")
        .map(Removal::Exact)
        .or_else(|| text("prefix").map(Removal::Prefix))
        .or_else(|| text("suffix").map(Removal::Suffix))
        .or_else(|| text("contains").map(Removal::Contains))
        .or_else(|| regex(matcher.fields(&["safe_regex", "regex"])?.text()?))
}

/// The removals of a ClientTrafficPolicy of Envoy Gateway.
pub(super) fn of_gateway(policy: &Node) -> Vec<Removal> {
    let headers = policy.get("spec").and_then(|spec| spec.get("headers")?.get("earlyRequestHeaders"));
    let Some(headers) = headers else { return Vec::new() };
    let names = headers.get("remove").map(Node::items).unwrap_or_default();
    let names = names.iter().filter_map(Node::text).map(|name| Removal::Exact(name.to_ascii_lowercase()));
    let matches = headers.get("removeOnMatch").map(Node::items).unwrap_or_default();
    let matches = matches.iter().filter_map(|matcher| {
        let value = matcher.get("value")?.text()?;
        match matcher.get("type").and_then(Node::text).unwrap_or("Exact") {
            "Exact" => Some(Removal::Exact(value.to_ascii_lowercase())),
            "Prefix" => Some(Removal::Prefix(value.to_ascii_lowercase())),
            "Suffix" => Some(Removal::Suffix(value.to_ascii_lowercase())),
            "RegularExpression" => regex(value),
            _ => None,
        }
    });
    names.chain(matches).collect()
}

/// Envoy matches whole names.
fn regex(pattern: &str) -> Option<Removal> {
    Regex::new(&format!("^(?:{pattern})$")).ok().map(Removal::Regex)
}

/// The first of the names that a client can send all the same. `spellings` are what stands for a dash in names that apps
/// read alike.
pub(super) fn unguarded(names: &[String], spellings: &[&str], removals: &[Removal]) -> Option<String> {
    let spelled = names.iter().flat_map(|name| spellings.iter().map(move |dash| name.replace('-', dash)));
    spelled.into_iter().find(|name| !removals.iter().any(|removal| removal.removes(name)))
}
