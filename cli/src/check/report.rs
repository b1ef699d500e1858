//! All that was found.

use super::finding::{Finding, Place};
use super::lint::{self, Lint};
use super::{Configuration, File};

/// What `check` has to say.
#[derive(Debug, Default)]
pub(crate) struct Report<'a> {
    /// The configurations that were found.
    pub(crate) configurations: Vec<Checked<'a>>,
    /// What is wrong, or worth a look; in the order of the files.
    pub(crate) findings: Vec<Finding<'a>>,
}

/// A configuration that was found.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    /// The configuration.
    pub(crate) configuration: Configuration<'a>,
    /// What the filter makes of it, in one line; none where it refuses it.
    pub(crate) summary: Option<String>,
}

impl<'a> Report<'a> {
    /// Notes a configuration, and what the filter says of it.
    pub(super) fn add(&mut self, configuration: Configuration<'a>) {
        let summary = match configuration.parse() {
            Ok(projects) => {
                let values = configuration.values();
                let action = values.and_then(|values| values.get("on_error")?.get("action")?.text());
                if action == Some("allow") {
                    let place = configuration.field("on_error.action");
                    let title = "errors let requests in: `on_error.action` is `allow`".to_owned();
                    let field = Some("on_error.action".to_owned());
                    self.findings.push(Finding { lint: &lint::ON_ERROR_ALLOW, title, field, place });
                }
                Some(projects.to_string())
            }
            Err(finding) => {
                self.findings.push(*finding);
                None
            }
        };
        self.configurations.push(Checked { configuration, summary });
    }

    /// Notes something that is no field of the filter's configuration.
    pub(super) fn find(&mut self, lint: &'static Lint, title: impl Into<String>, place: Place<'a>) {
        self.findings.push(Finding { lint, title: title.into(), field: None, place });
    }

    /// Puts what was found into the order of the files, each thing once.
    pub(super) fn sort(&mut self, files: &[File]) {
        let key = |place: &Place<'_>| {
            let file = files.iter().position(|file| std::ptr::eq(&raw const file.source, place.source));
            (file, place.span.as_ref().map(|span| span.start))
        };
        self.findings.sort_by_key(|finding| key(&finding.place));
        self.findings.dedup_by(|one, other| {
            one.lint == other.lint && one.title == other.title && key(&one.place) == key(&other.place)
        });
        self.configurations.sort_by_key(|checked| {
            key(&Place::new(checked.configuration.source, &checked.configuration.node.span))
        });
    }

    /// How many are errors.
    pub(crate) fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.is_error()).count()
    }

    /// How many are warnings.
    pub(crate) fn warnings(&self) -> usize {
        self.findings.len().saturating_sub(self.errors())
    }
}
