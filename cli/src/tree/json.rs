//! JSON text → values with their places.

use std::ops::Range;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};
use serde::de::IgnoredAny;
use serde_json::Number;

use super::{Fault, MAX_NODES, Member, Members, Node, Problem, Style, Value, Written};
use crate::source::offset;

/// Reads one document. A name that stands twice is a fault beside the document.
///
/// # Errors
///
/// It is no JSON (RFC 8259), or too large.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Fault>), Fault> {
    // The filter's own parser has the last word on what JSON is, and bounds its depth.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
        let at = offset(text, error.line(), error.column());
        let problem = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let problem = problem.strip_suffix(&place).unwrap_or(&problem);
        Fault { span: at..at.saturating_add(1).min(text.len()), problem: Problem::Json(problem.to_owned()) }
    })?;
    let collect = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: false };
    let whole = || 0..text.len();
    let unreadable = |why: String| Fault { span: whole(), problem: Problem::Json(why) };
    let parsed = parse_to_ast(text, &collect, &ParseOptions::default())
        .map_err(|error| unreadable(error.to_string()))?
        .value
        .ok_or_else(|| unreadable("there is nothing".to_owned()))?;
    let mut reader = Reader { faults: Vec::new(), nodes: 0 };
    let node = reader.node(parsed)?;
    Ok((node, reader.faults))
}

struct Reader {
    faults: Vec<Fault>,
    nodes: usize,
}

impl Reader {
    /// As deep as serde_json found it: no deeper than 128.
    fn node(&mut self, value: ast::Value<'_>) -> Result<Node, Fault> {
        let span = span(&value);
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(Fault { span, problem: Problem::TooMany });
        }
        let value = match value {
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::BooleanLit(bit) => Value::Bool(bit.value),
            ast::Value::NumberLit(number) => serde_json::from_str::<Number>(number.value)
                .map(Value::Number)
                .map_err(|error| Fault { span: span.clone(), problem: Problem::Json(error.to_string()) })?,
            ast::Value::StringLit(text) => {
                Value::Text(Written { text: text.value.into_owned(), style: Style::Json })
            }
            ast::Value::Array(array) => {
                let items = array.elements.into_iter().map(|element| self.node(element));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            ast::Value::Object(object) => {
                let mut members = Members::default();
                for property in object.properties {
                    let name_span = span_of(property.name.range());
                    let name = property.name.into_string();
                    let node = self.node(property.value)?;
                    let added = members.push(Member { name, span: name_span, node });
                    self.faults.extend(added.err());
                }
                Value::Map(members.members)
            }
        };
        Ok(Node { span, value })
    }
}

fn span(value: &ast::Value<'_>) -> Range<usize> {
    span_of(value.range())
}

fn span_of(range: jsonc_parser::common::Range) -> Range<usize> {
    range.start..range.end
}
