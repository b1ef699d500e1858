//! What was found, and where.

use std::ops::Range;

use super::lint::{Lint, Severity};
use crate::source::Source;

/// Something that was found in a file.
#[derive(Debug, Clone)]
pub(crate) struct Finding<'a> {
    /// What kind of thing.
    pub(crate) lint: &'static Lint,
    /// What it is in this file.
    pub(crate) title: String,
    /// The field of the filter's configuration, by its path.
    pub(crate) field: Option<String>,
    /// Where.
    pub(crate) place: Place<'a>,
}

/// A place in a file.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    /// The file.
    pub(crate) source: &'a Source,
    /// Where in it, in bytes; none for the file as a whole.
    pub(crate) span: Option<Range<usize>>,
    /// Line and column within the text at `span`, where they could not be told apart in the file.
    pub(crate) within: Option<(usize, usize)>,
}

impl<'a> Place<'a> {
    /// A place in a file.
    pub(crate) fn new(source: &'a Source, span: &Range<usize>) -> Self {
        Self { source, span: Some(span.clone()), within: None }
    }

    /// A file as a whole.
    pub(crate) fn whole(source: &'a Source) -> Self {
        Self { source, span: None, within: None }
    }
}

impl Finding<'_> {
    /// Whether it is refused by somebody, not merely worth a look.
    pub(crate) fn is_error(&self) -> bool {
        self.lint.severity == Severity::Error
    }
}
