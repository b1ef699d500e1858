//! What the suites of this crate share: the documents, and the code in them.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All documents for users.
pub(crate) fn documents() -> Vec<PathBuf> {
    let mut documents: Vec<_> =
        fs::read_dir(root().join("docs")).unwrap().map(|file| file.unwrap().path()).collect();
    documents.push(root().join("README.md"));
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.sort();
    documents
}

/// The code blocks of a document: language, first line, text.
pub(crate) fn blocks(markdown: &str) -> Vec<(String, usize, String)> {
    let mut blocks: Vec<(String, usize, String)> = Vec::new();
    let mut open: Option<usize> = None;
    for (number, line) in markdown.lines().enumerate() {
        let indent = line.len().saturating_sub(line.trim_start().len());
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(_), Some(_)) => open = None,
            (Some(language), None) => {
                blocks.push((language.to_owned(), number.saturating_add(2), String::new()));
                open = Some(indent);
            }
            (None, Some(indent)) => {
                let text = &mut blocks.last_mut().unwrap().2;
                text.push_str(line.get(indent..).unwrap_or_default());
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}
