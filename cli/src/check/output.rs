//! A report → text for people, or JSON.

use std::io::{self, Write};
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::lint::Severity;
use super::{Finding, Host, Place, Report};
use crate::source::first_line;

/// How much of a line around a place is shown, in bytes: files may be one line.
const SHOWN: usize = 200;

/// Writes a report for people, in rustc's style.
pub(crate) fn text(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    for finding in &report.findings {
        let rendered = render(finding);
        writeln!(out, "{rendered}\n")?;
    }
    for checked in &report.configurations {
        let Some(summary) = &checked.summary else { continue };
        let configuration = &checked.configuration;
        let (line, _) = configuration.source.line_and_column(configuration.node.span.start);
        writeln!(out, "{}:{line}: {}", printable(&configuration.source.name), printable(summary))?;
    }
    let configurations = report.configurations.len();
    writeln!(
        out,
        "{}: {}, {}",
        counted(configurations, "configuration"),
        counted(report.errors(), "error"),
        counted(report.warnings(), "warning")
    )
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn render(finding: &Finding<'_>) -> String {
    let level = match finding.lint.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let Place { source, span, within } = &finding.place;
    let title = printable(&finding.title);
    let field = finding.field.as_ref().filter(|field| !title.starts_with(field.as_str()));
    let mut notes = vec![finding.lint.why.to_owned()];
    if let Some((line, column)) = within {
        notes.insert(0, format!("at line {line}, column {column} of the text that stands here"));
    }
    let name = printable(&source.name);
    let label = field.map(|field| printable(field)).unwrap_or_default();
    let mut group: Group<'_> = Group::with_title(level.primary_title(title.as_str()).id(finding.lint.name));
    let excerpt = span.as_ref().map(|span| Excerpt::new(&source.text, span));
    if let Some(excerpt) = &excerpt {
        let mut annotation = AnnotationKind::Primary.span(excerpt.span.clone());
        if !label.is_empty() {
            annotation = annotation.label(label.as_str());
        }
        let snippet = Snippet::source(excerpt.text).line_start(excerpt.line).path(name.as_str()).fold(true);
        group = group.element(snippet.annotation(annotation));
    } else {
        group = group.element(annotate_snippets::Origin::path(name.as_str()));
    }
    for note in &notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    group = group.element(Level::HELP.message(finding.lint.help));
    Renderer::styled().render(&[group])
}

/// The lines that are shown.
struct Excerpt<'a> {
    text: &'a str,
    /// The number of the first.
    line: usize,
    /// What is underlined, in `text`.
    span: Range<usize>,
}

impl<'a> Excerpt<'a> {
    /// Only what is on the line, and of a long line only what is near.
    fn new(text: &'a str, span: &Range<usize>) -> Self {
        let span = first_line(text, span.clone());
        let line_start =
            text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at.saturating_add(1));
        let line_end = text.get(span.end..).and_then(|after| after.find('\n'));
        let line_end = line_end.map_or(text.len(), |at| span.end.saturating_add(at));
        let start = text.ceil_char_boundary(line_start.max(span.start.saturating_sub(SHOWN)));
        let end = span.end.min(span.start.saturating_add(SHOWN));
        let end = text.floor_char_boundary(end);
        let shown = text.floor_char_boundary(line_end.min(end.saturating_add(SHOWN)));
        let line = text.get(..start).unwrap_or_default().bytes().filter(|&byte| byte == b'\n').count();
        Self {
            text: text.get(start..shown).unwrap_or_default().trim_end_matches('\r'),
            line: line.saturating_add(1),
            span: span.start.saturating_sub(start)..end.saturating_sub(start),
        }
    }
}

/// A text without what would move a terminal's cursor or colour it.
pub(crate) fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// What `--json` prints. Fields are added, never taken away or renamed.
#[derive(Serialize)]
struct Json<'a> {
    configurations: Vec<JsonConfiguration<'a>>,
    findings: Vec<JsonFinding<'a>>,
    errors: usize,
    warnings: usize,
}

#[derive(Serialize)]
struct JsonConfiguration<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    host: Host,
    accepted: bool,
    summary: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    severity: Severity,
    name: &'static str,
    message: &'a str,
    field: Option<&'a str>,
    file: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    end_line: Option<usize>,
    end_column: Option<usize>,
    /// Line and column within the text that stands there, where they could not be told apart in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<(usize, usize)>,
    why: &'static str,
    help: &'static str,
}

/// Writes a report as one JSON object.
pub(crate) fn json(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let configurations = report.configurations.iter().map(|checked| {
        let configuration = &checked.configuration;
        let (line, column) = configuration.source.line_and_column(configuration.node.span.start);
        JsonConfiguration {
            file: &configuration.source.name,
            line,
            column,
            host: configuration.host,
            accepted: checked.summary.is_some(),
            summary: checked.summary.as_deref(),
        }
    });
    let findings = report.findings.iter().map(|finding| {
        let Place { source, span, within } = &finding.place;
        let place = |at: Option<usize>| at.map(|at| source.line_and_column(at)).unzip();
        let span = span.as_ref().map(|span| first_line(&source.text, span.clone()));
        let (line, column) = place(span.as_ref().map(|span| span.start));
        let (end_line, end_column) = place(span.map(|span| span.end));
        JsonFinding {
            severity: finding.lint.severity,
            name: finding.lint.name,
            message: &finding.title,
            field: finding.field.as_deref(),
            file: &source.name,
            line,
            column,
            end_line,
            end_column,
            within: *within,
            why: finding.lint.why,
            help: finding.lint.help,
        }
    });
    let json = Json {
        configurations: configurations.collect(),
        findings: findings.collect(),
        errors: report.errors(),
        warnings: report.warnings(),
    };
    serde_json::to_writer_pretty(&mut *out, &json)?;
    writeln!(out)
}
