//! A document as values, each with its place in the file: what the parsers of YAML and JSON make, and what everything
//! else looks at.

mod json;
mod text;
mod yaml;

use std::ops::Range;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Number;

use crate::source::Source;

pub(crate) use self::text::{Origin, Style, Written};

/// How deeply values may be nested.
pub(super) const MAX_DEPTH: usize = 100;

/// How many values a file may have, each alias of YAML written out: a few lines of aliases can stand for billions.
pub(super) const MAX_NODES: usize = 500_000;

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where, in bytes of the file. Of a value behind an alias: where it is defined.
    pub(crate) span: Range<usize>,
    /// What.
    pub(crate) value: Value,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text, and how it is written.
    Text(Written),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file. Of a name that stands twice, only the first.
    Map(Vec<Member>),
}

/// A name of a map, and its value.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The name.
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) span: Range<usize>,
    /// The value.
    pub(crate) node: Node,
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) span: Range<usize>,
    /// What.
    pub(crate) problem: Problem,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is no YAML.
    Yaml(String),
    /// It is no JSON.
    Json(String),
    /// A name stands twice in one map.
    Twice(String),
    /// A name of a map is a list or a map.
    NameIsNoText,
    /// More than [`MAX_DEPTH`].
    TooDeep,
    /// More than [`MAX_NODES`].
    TooMany,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Yaml(why) => write!(f, "this is no YAML: {why}"),
            Self::Json(why) => write!(f, "this is no JSON: {why}"),
            Self::Twice(name) => write!(f, "`{}` stands twice here", name.escape_debug()),
            Self::NameIsNoText => f.write_str("the name of a field must be text"),
            Self::TooDeep => write!(f, "values are nested more than {MAX_DEPTH} deep"),
            Self::TooMany => {
                write!(
                    f,
                    "the file has more than {MAX_NODES} values, where each alias counts as what it stands for"
                )
            }
        }
    }
}

/// The documents of a file: several where it is YAML with `---`. What is wrong is told beside what could be read.
pub(crate) fn documents(source: &Source) -> (Vec<Node>, Vec<Fault>) {
    let begins_like_json = source.text.trim_start().starts_with(['{', '[']);
    let is_named_json = source.name.to_ascii_lowercase().ends_with(".json");
    if begins_like_json || is_named_json {
        match json::parse(&source.text) {
            Ok((node, faults)) => return (vec![node], faults),
            Err(fault) if is_named_json => return (Vec::new(), vec![fault]),
            // Flow style YAML begins alike.
            Err(_) => {}
        }
    }
    yaml::parse(&source.text)
}

/// A JSON text that stands in a file, and perhaps in a string of it.
///
/// # Errors
///
/// It is no JSON.
pub(crate) fn json(text: &str) -> Result<Node, Fault> {
    json::parse(text).map(|(node, _)| node)
}

impl Node {
    /// The member of this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members().iter().find(|member| member.name == name)
    }

    /// The value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.member(name).map(|member| &member.node)
    }

    /// The value of a field of a protobuf message: Envoy takes `snake_case` and `camelCase`.
    pub(crate) fn field(&self, snake_case: &str) -> Option<&Self> {
        self.field_member(snake_case).map(|member| &member.node)
    }

    /// The same, with its name.
    pub(crate) fn field_member(&self, snake_case: &str) -> Option<&Member> {
        self.members().iter().find(|member| is_field(&member.name, snake_case))
    }

    /// The value at the end of fields of protobuf messages.
    pub(crate) fn fields(&self, snake_case: &[&str]) -> Option<&Self> {
        snake_case.iter().try_fold(self, |node, name| node.field(name))
    }

    /// The members of a map; none of anything else.
    pub(crate) fn members(&self) -> &[Member] {
        match &self.value {
            Value::Map(members) => members,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => &[],
        }
    }

    /// The elements of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => &[],
        }
    }

    /// The text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        self.written().map(|written| written.text.as_str())
    }

    /// The text and how it is written, where it is one.
    pub(crate) fn written(&self) -> Option<&Written> {
        match &self.value {
            Value::Text(written) => Some(written),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether it is `true`.
    pub(crate) fn is_true(&self) -> bool {
        matches!(self.value, Value::Bool(true))
    }

    /// Whether it is `false`.
    pub(crate) fn is_false(&self) -> bool {
        matches!(self.value, Value::Bool(false))
    }

    /// Whether it is a map.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// The `@type` of a `google.protobuf.Any`, without its prefix.
    pub(crate) fn type_url(&self) -> Option<&str> {
        self.get("@type")?.text()?.rsplit('/').next()
    }

    /// Calls `visit` for this value and all below it, with those above each, from the outermost.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self, &[&'a Self])) {
        fn go<'a>(node: &'a Node, above: &mut Vec<&'a Node>, visit: &mut dyn FnMut(&'a Node, &[&'a Node])) {
            visit(node, above);
            above.push(node);
            node.members().iter().for_each(|member| go(&member.node, above, visit));
            node.items().iter().for_each(|item| go(item, above, visit));
            above.pop();
        }
        go(self, &mut Vec::new(), visit);
    }

    /// The value as JSON text.
    pub(crate) fn to_json(&self) -> String {
        // A tree of this depth, whose names are text, is always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Where the name of a field stands, by the field's path; none where it is not there.
    pub(crate) fn name(&self, path: &str) -> Option<Range<usize>> {
        fn go(node: &Node, rest: &str) -> Option<Range<usize>> {
            if let Some(index) = rest.strip_prefix('[') {
                let (index, after) = index.split_once(']')?;
                let after = after.strip_prefix('.').unwrap_or(after);
                return go(node.items().get(index.parse::<usize>().ok()?)?, after);
            }
            node.members().iter().find_map(|member| {
                let after = rest.strip_prefix(member.name.as_str())?;
                match after.as_bytes().first() {
                    None => Some(member.span.clone()),
                    Some(b'.') => go(&member.node, after.get(1..)?),
                    Some(b'[') => go(&member.node, after),
                    Some(_) => None,
                }
            })
        }
        go(self, path)
    }

    /// Where a field stands that the filter names by its path, such as `rules[0].access`. Of one that is not there,
    /// the place of the nearest that is.
    pub(crate) fn locate(&self, path: &str) -> Range<usize> {
        let mut place = self.span.clone();
        let mut node = self;
        let mut rest = path;
        while !rest.is_empty() {
            let step = match rest.strip_prefix('[') {
                Some(index) => index.split_once(']').and_then(|(index, after)| {
                    let item = node.items().get(index.parse::<usize>().ok()?)?;
                    Some((item.span.clone(), item, after))
                }),
                None => {
                    let rest = rest.strip_prefix('.').unwrap_or(rest);
                    // Names may hold dots: the longest that fits.
                    let named = node.members().iter().filter_map(|member| {
                        let after = rest.strip_prefix(member.name.as_str())?;
                        (after.is_empty() || after.starts_with(['.', '['])).then_some((member, after))
                    });
                    named.min_by_key(|(_, after)| after.len()).map(|(member, after)| {
                        let span = match member.node.value {
                            Value::Map(_) | Value::List(_) => &member.span,
                            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
                                &member.node.span
                            }
                        };
                        (span.clone(), &member.node, after)
                    })
                }
            };
            let Some((span, below, after)) = step else { break };
            (place, node, rest) = (span, below, after);
        }
        place
    }
}

/// Whether a name of a map is this field of a protobuf message.
fn is_field(name: &str, snake_case: &str) -> bool {
    name == snake_case || {
        let mut is_upper = false;
        let camel =
            snake_case.chars().filter_map(|c| match (c, std::mem::replace(&mut is_upper, c == '_')) {
                ('_', _) => None,
                (c, true) => Some(c.to_ascii_uppercase()),
                (c, false) => Some(c),
            });
        name.chars().eq(camel)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(bit) => serializer.serialize_bool(*bit),
            Value::Number(number) => number.serialize(serializer),
            Value::Text(written) => serializer.serialize_str(&written.text),
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Value::Map(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|member| map.serialize_entry(&member.name, &member.node))?;
                map.end()
            }
        }
    }
}

/// Collects the members of a map, and what is wrong with their names.
#[derive(Default)]
struct Members {
    members: Vec<Member>,
    names: std::collections::HashSet<String>,
}

impl Members {
    /// Adds one, unless the name is there already.
    fn push(&mut self, member: Member) -> Result<(), Fault> {
        if !self.names.insert(member.name.clone()) {
            return Err(Fault { span: member.span, problem: Problem::Twice(member.name) });
        }
        self.members.push(member);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Node {
        let (mut documents, faults) = documents(&Source::new("a.yaml", text.as_bytes()));
        assert_eq!(faults, [], "{text}");
        documents.pop().unwrap()
    }

    #[test]
    fn the_place_of_a_field_is_found_by_its_path() {
        let yaml = "a:\n  - b: 1\n    c.d: [x, y]\n    c: {e: ü}\n";
        let json = r#"{"a": [{"b": 1, "c.d": ["x", "y"], "c": {"e": "ü"}}]}"#;
        for (path, in_yaml, in_json) in [
            ("a[0].b", "1", "1"),
            ("a[0].c.d[1]", "y", "\"y\""),
            ("a[0].c.e", "ü", "\"ü\""),
            ("a[0].c", "c", "\"c\""),
            ("a[0].c.d", "c.d", "\"c.d\""),
            ("a[0].b.missing", "1", "1"),
            ("a[0].c.missing", "c", "\"c\""),
            ("a", "a", "\"a\""),
            ("a[7].x", "a", "\"a\""),
        ] {
            assert_eq!(yaml.get(document(yaml).locate(path)), Some(in_yaml), "{path}");
            assert_eq!(json.get(document(json).locate(path)), Some(in_json), "{path}");
        }
    }

    #[test]
    fn fields_of_messages_have_two_spellings() {
        let node = document("{useRemoteAddress: true, normalize_path: false}");
        assert!(node.field("use_remote_address").unwrap().is_true());
        assert!(node.field("normalize_path").unwrap().is_false());
        assert!(node.field("remote_address").is_none());
    }

    #[test]
    fn a_tree_is_the_json_that_the_filter_gets() {
        let text = "a: &x [1, 1.5, 'y', null, ~, yes, true, 0x10, -3, 1e3]\nb: *x\nc: !!str 1\nd: |\n  t\n";
        let list = r#"[1,1.5,"y",null,null,"yes",true,16,-3,1000.0]"#;
        assert_eq!(document(text).to_json(), format!(r#"{{"a":{list},"b":{list},"c":"1","d":"t\n"}}"#));
    }
}
