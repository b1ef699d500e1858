//! Parses as much Markdown as the documents use: fenced code, code spans, tables, links, headings.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wasm_tests::envoy::workspace_dir;

/// A document.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    /// The path from the root, for messages.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A fenced code block.
pub(crate) struct Block {
    language: String,
    pub(crate) text: String,
}

impl Block {
    /// Parses it as YAML, which includes JSON.
    pub(crate) fn yaml(&self) -> Value {
        yaml_serde::from_str(&self.text).unwrap_or_else(|error| panic!("{error}\n{}", self.text))
    }
}

impl Document {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.strip_prefix(workspace_dir()).unwrap_or(path).display().to_string();
        Self { path: path.to_owned(), name, text }
    }

    /// The fenced blocks in one of these languages.
    pub(crate) fn blocks(&self, languages: &[&str]) -> Vec<Block> {
        let mut blocks = self.split().1;
        blocks.retain(|block| languages.contains(&block.language.as_str()));
        blocks
    }

    /// The rows of all tables with this header row.
    pub(crate) fn rows(&self, header: &[&str]) -> Vec<Vec<String>> {
        let prose = self.split().0;
        let mut rows = Vec::new();
        let mut inside = false;
        for line in prose.lines() {
            let Some(row) = cells(line) else {
                inside = false;
                continue;
            };
            if row == header {
                inside = true;
            } else if inside && !row.iter().all(|cell| cell.chars().all(|c| "-:".contains(c))) {
                assert_eq!(row.len(), header.len(), "{}: {line}", self.name);
                rows.push(row);
            }
        }
        assert!(!rows.is_empty(), "{} has no table {header:?}", self.name);
        rows
    }

    /// The targets of its links.
    pub(crate) fn links(&self) -> Vec<String> {
        let prose = self.split().0;
        prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
    }

    /// Its headings, as anchors.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let prose = self.split().0;
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        let anchor = |line: &str| {
            let kept = line.trim_start_matches('#').trim().to_lowercase();
            kept.chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .collect::<String>()
                .replace(' ', "-")
        };
        headings.map(anchor).collect()
    }

    /// The text outside the fenced blocks, and the blocks.
    fn split(&self) -> (String, Vec<Block>) {
        let (mut prose, mut blocks) = (String::new(), Vec::new());
        let mut open: Option<Block> = None;
        for line in self.text.lines() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    open = Some(Block { language: language.trim().to_owned(), text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {
                    prose.push_str(line);
                    prose.push('\n');
                }
            }
        }
        assert!(open.is_none(), "{}: a code block does not end", self.name);
        (prose, blocks)
    }
}

fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split(" | ").map(|cell| cell.trim().to_owned()).collect())
}

/// The code spans of a text without fenced blocks.
pub(crate) fn code(text: &str) -> Vec<String> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        rest = &rest[start..];
        let ticks: String = rest.chars().take_while(|c| *c == '`').collect();
        rest = &rest[ticks.len()..];
        let Some(end) = closing(rest, ticks.len()) else { continue };
        if ticks.len() < 3 {
            let span = &rest[..end];
            let padded = span.strip_prefix(' ').and_then(|inner| inner.strip_suffix(' '));
            spans.push(padded.unwrap_or(span).to_owned());
        }
        rest = &rest[end + ticks.len()..];
    }
    spans
}

/// Where a run of exactly `ticks` backticks begins.
fn closing(text: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let length = text[start..].bytes().take_while(|byte| *byte == b'`').count();
        if length == ticks {
            return Some(start);
        }
        at = start + length;
    }
    None
}

#[test]
fn code_spans_may_hold_backticks() {
    assert_eq!(code("a `b` c `` d `e` `` ```\nf\n``` `g`"), ["b", "d `e`", "g"]);
}
