//! YAML text → values with their places.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use saphyr::Scalar;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Number;

use super::{Fault, MAX_DEPTH, MAX_NODES, Member, Members, Node, Problem, Style, Value, Written};

/// Reads all documents. After a fault of syntax there are those before it. A name that stands twice is a fault beside
/// its document.
pub(super) fn parse(text: &str) -> (Vec<Node>, Vec<Fault>) {
    let mut reader = Reader {
        places: Places::new(text),
        documents: Vec::new(),
        faults: Vec::new(),
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
    };
    if let Err(fault) = reader.read(text) {
        reader.faults.push(fault);
    }
    (reader.documents, reader.faults)
}

struct Reader<'t> {
    places: Places<'t>,
    documents: Vec<Node>,
    faults: Vec<Fault>,
    /// The lists and maps that are not closed yet, from the outermost.
    open: Vec<Open>,
    /// What aliases stand for.
    anchors: HashMap<usize, (Node, Extent)>,
    nodes: usize,
}

/// How large a value is.
#[derive(Clone, Copy)]
struct Extent {
    /// How many values it is made of, itself included.
    size: usize,
    /// How deeply they are nested; 0 for text and such.
    depth: usize,
}

impl Extent {
    const SCALAR: Self = Self { size: 1, depth: 0 };
}

/// A list or map that is being read.
struct Open {
    start: usize,
    anchor: usize,
    extent: Extent,
    what: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map(Members, Option<(String, Range<usize>)>),
}

impl Reader<'_> {
    fn read(&mut self, text: &str) -> Result<(), Fault> {
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let at = self.places.offset(error.marker().index());
                let problem = Problem::Yaml(error.info().to_owned());
                Fault { span: at..at.saturating_add(1).min(text.len()), problem }
            })?;
            if event == Event::StreamEnd {
                break;
            }
            let span = self.places.span(span);
            self.event(event, span)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Range<usize>) -> Result<(), Fault> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::SequenceStart(anchor, _) => self.open(span, anchor, Collection::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open(span, anchor, Collection::Map(Members::default(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end),
            Event::Scalar(text, style, anchor, tag) => {
                self.count(Extent::SCALAR, &span)?;
                if let Some(Open { what: Collection::Map(_, name @ None), .. }) = self.open.last_mut() {
                    *name = Some((text.clone().into_owned(), span.clone()));
                    if anchor != 0 {
                        let node = Node { span, value: scalar(text, style, tag.as_ref()) };
                        self.anchors.insert(anchor, (node, Extent::SCALAR));
                    }
                    return Ok(());
                }
                let node = Node { span, value: scalar(text, style, tag.as_ref()) };
                self.add(node, anchor, Extent::SCALAR)
            }
            Event::Alias(anchor) => {
                let Some((node, extent)) = self.anchors.get(&anchor) else {
                    return Err(Fault { span, problem: Problem::Yaml("an alias of nothing".to_owned()) });
                };
                let extent = *extent;
                // Before anything is copied.
                self.nodes = self.nodes.saturating_add(extent.size);
                if self.nodes > MAX_NODES {
                    return Err(Fault { span, problem: Problem::TooMany });
                }
                let node = node.clone();
                if !self.expects_name() {
                    return self.add(node, 0, extent);
                }
                let Some(text) = node.text() else {
                    return Err(Fault { span, problem: Problem::NameIsNoText });
                };
                if let Some(Open { what: Collection::Map(_, name), .. }) = self.open.last_mut() {
                    *name = Some((text.to_owned(), span));
                }
                Ok(())
            }
        }
    }

    fn expects_name(&self) -> bool {
        matches!(self.open.last(), Some(Open { what: Collection::Map(_, None), .. }))
    }

    fn count(&mut self, extent: Extent, span: &Range<usize>) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(extent.size);
        if self.nodes > MAX_NODES {
            return Err(Fault { span: span.clone(), problem: Problem::TooMany });
        }
        Ok(())
    }

    fn open(&mut self, span: Range<usize>, anchor: usize, what: Collection) -> Result<(), Fault> {
        if self.expects_name() {
            return Err(Fault { span, problem: Problem::NameIsNoText });
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault { span, problem: Problem::TooDeep });
        }
        let extent = Extent { size: 1, depth: 1 };
        self.count(extent, &span)?;
        self.open.push(Open { start: span.start, anchor, extent, what });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Fault> {
        let Some(Open { start, anchor, extent, what }) = self.open.pop() else { return Ok(()) };
        let value = match what {
            Collection::List(items) => Value::List(items),
            Collection::Map(members, _) => Value::Map(members.members),
        };
        self.add(Node { span: start..end.max(start), value }, anchor, extent)
    }

    /// Puts a value where it belongs.
    fn add(&mut self, node: Node, anchor: usize, extent: Extent) -> Result<(), Fault> {
        if self.open.len().saturating_add(extent.depth) > MAX_DEPTH {
            return Err(Fault { span: node.span, problem: Problem::TooDeep });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), extent));
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        open.extent.size = open.extent.size.saturating_add(extent.size);
        open.extent.depth = open.extent.depth.max(extent.depth.saturating_add(1));
        match &mut open.what {
            Collection::List(items) => items.push(node),
            Collection::Map(members, name) => {
                if let Some((name, span)) = name.take() {
                    let added = members.push(Member { name, span, node });
                    self.faults.extend(added.err());
                }
            }
        }
        Ok(())
    }
}

/// What a scalar is, by YAML's core schema.
fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>) -> Value {
    let how = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    };
    let number = match Scalar::parse_from_cow_and_metadata(text.clone(), style, tag) {
        Some(Scalar::Null) => return Value::Null,
        Some(Scalar::Boolean(bit)) => return Value::Bool(bit),
        // What is beyond 64 bits signed is a double to the parser.
        Some(Scalar::Integer(number)) => Some(Number::from(number)),
        Some(Scalar::FloatingPoint(number)) => {
            text.parse::<u64>().ok().map(Number::from).or_else(|| Number::from_f64(number.into_inner()))
        }
        Some(Scalar::String(_)) | None => None,
    };
    match number {
        Some(number) => Value::Number(number),
        // Infinity is none of JSON's.
        None => Value::Text(Written { text: text.into_owned(), style: how }),
    }
}

/// Places that count characters → places that count bytes.
struct Places<'t> {
    text: &'t str,
    /// Where every hundredth character begins; empty where each is a byte.
    hundredths: Vec<usize>,
}

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        let hundredths = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(100).map(|(at, _)| at).collect()
        };
        Self { text, hundredths }
    }

    fn offset(&self, characters: usize) -> usize {
        if self.hundredths.is_empty() {
            return characters.min(self.text.len());
        }
        let Some(&start) = self.hundredths.get(characters / 100) else { return self.text.len() };
        let rest = self.text.get(start..).unwrap_or_default();
        let within = rest.char_indices().nth(characters % 100).map_or(rest.len(), |(at, _)| at);
        start.saturating_add(within)
    }

    fn span(&self, span: Span) -> Range<usize> {
        let start = self.offset(span.start.index());
        start..self.offset(span.end.index()).max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        parse(text).1.into_iter().map(|fault| fault.problem.to_string()).collect()
    }

    #[test]
    fn hostile_documents_are_refused_and_said_why() {
        let laughs: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned())
            .chain((1..30).map(|n| {
                let alias = format!("*a{}", n - 1);
                format!("a{n}: &a{n} [{}]\n", [alias.as_str(); 10].join(", "))
            }))
            .collect();
        let chain: String = std::iter::once("a0: &a0 [x]\n".to_owned())
            .chain((1..200).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)))
            .collect();
        let cases: &[(&str, &str)] = &[
            (&laughs, "more than 500000 values"),
            (&chain, "more than 100 deep"),
            (&"- ".repeat(100_000), "more than 100 deep"),
            (&"[".repeat(100_000), "no YAML"),
            (&"{a: ".repeat(200), "deep"),
            ("a:\n\tb: 1", "tabs"),
            ("a: 1\nb: *x", "anchor"),
            ("? [a]\n: b", "must be text"),
            ("a: 1\na: 2", "`a` stands twice"),
            ("a: 'x", "no YAML"),
            ("&a [*a]", "alias"),
            ("a: &x 1\n---\nb: *x", "alias of nothing"),
        ];
        for (text, expected) in cases {
            let found = problems(text);
            let start: String = text.chars().take(40).collect();
            assert!(found.iter().any(|problem| problem.contains(expected)), "{start}: {found:?}");
        }
    }

    #[test]
    fn an_alias_is_what_it_stands_for_as_a_value_and_as_a_name() {
        let (documents, faults) = parse("a: &x name\n*x : [*x]\n");
        assert_eq!(faults, []);
        assert_eq!(documents[0].to_json(), r#"{"a":"name","name":["name"]}"#);
    }

    #[test]
    fn documents_before_a_fault_are_read() {
        let (documents, faults) = parse("a: 1\n---\nb: 2\n---\nc: [\n");
        assert_eq!((documents.len(), faults.len()), (2, 1));
    }

    #[test]
    fn places_count_bytes_where_yaml_counts_characters() {
        let text = format!("# {}\na: 'ü'\nb: x\n", "é".repeat(350));
        let (documents, _) = parse(&text);
        assert_eq!(text.get(documents[0].locate("b")), Some("x"));
        assert_eq!(text.get(documents[0].locate("a")), Some("'ü'"));
    }
}
