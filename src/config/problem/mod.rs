//! Why a configuration is refused. Owns the text of every error, each next to its cause: errors of a document, of a
//! single value (`values`, `headers`), of a rule (`rules`), and of servers and issuers (`servers`, `tokens`).

mod headers;
mod rules;
mod servers;
mod tokens;
mod values;

use std::fmt;

use serde_json::error::Category;

pub use self::headers::HeaderError;
pub use self::rules::{RuleError, RuleValueError};
pub use self::servers::{AuthgearError, CacheError, CallbackError, ForwardAuthError, IdleMode, LoginError};
pub use self::tokens::{IntrospectionError, IssuerError, PlaceError, PlaceValueError, SecretError};
pub use self::values::ValueError;

/// Why a configuration is refused: the field's path, and what would be right.
#[derive(Debug)]
pub struct ConfigError {
    /// Such as `authgear.mode`; empty if the document as a whole is wrong.
    pub path: String,
    /// What is wrong, and what would be right.
    pub problem: Problem,
}

impl ConfigError {
    pub(super) fn new(path: impl Into<String>, problem: impl Into<Problem>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// Reports a missing field. `right` states what to give.
    pub(super) fn missing(path: impl Into<String>, right: &'static str) -> Self {
        Self { path: path.into(), problem: Problem::Missing(right) }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problem } = self;
        let path = if path.is_empty() { "the configuration" } else { path };
        write!(f, "{path}: {problem}")
    }
}

impl std::error::Error for ConfigError {}

/// What is wrong with a field or a document, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The document as a whole is unreadable.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A value has the wrong type, a field is unknown or repeated, or the field's type refuses the value, such as
    /// with [`ValueError`]. serde keeps the text of that error.
    #[error("{}", without_place(.0))]
    Value(serde_json::Error),
    /// A required field is missing. States what to give.
    #[error("missing; {0}")]
    Missing(&'static str),
    /// Two fields exclude each other, or one asks for something impossible.
    #[error(transparent)]
    Combination(#[from] CombinationError),
    /// See [`AuthgearError`].
    #[error(transparent)]
    Authgear(#[from] AuthgearError),
    /// See [`LoginError`].
    #[error(transparent)]
    Login(#[from] LoginError),
    /// See [`ForwardAuthError`].
    #[error(transparent)]
    ForwardAuth(#[from] ForwardAuthError),
    /// See [`IssuerError`].
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// See [`IntrospectionError`].
    #[error(transparent)]
    Introspection(#[from] IntrospectionError),
    /// See [`PlaceError`].
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// See [`RuleError`].
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// See [`CacheError`].
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Why a document is not a configuration.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is neither text nor protobuf.
    #[error("it is neither JSON text nor the encoding of a google.protobuf.Struct")]
    Encoding,
    /// It is text, but not JSON. States the line and column.
    #[error(transparent)]
    Json(serde_json::Error),
}

/// Why top-level fields do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CombinationError {
    /// `forward_auth` beside `authgear`.
    #[error("cannot be combined with `authgear`; choose one")]
    ForwardAuthBesideAuthgear,
    /// `jwt` beside `authgear`.
    #[error("cannot be combined with `authgear`, which has its own issuer")]
    JwtBesideAuthgear,
    /// `timeout` is zero.
    #[error("a call needs some time: at least 1ms")]
    NoTime,
    /// There are several projects, but only one is expected.
    #[error("has several projects")]
    SeveralProjects,
    /// The proxy cannot remove a token from the query.
    #[error(
        "cannot remove a token from the query on APISIX, which has no way to rewrite a path; leave it out, or take \
         the token from another place than `query` (token_from)"
    )]
    QueryCannotBeStripped,
}

/// Typed text as a message shows it: in backticks, with nothing that could break a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl<T: Into<String>> From<T> for Quoted {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_default())
    }
}

/// Returns serde's error without line and column, because the field's path is more useful.
fn without_place(error: &serde_json::Error) -> String {
    let mut problem = error.to_string();
    if error.classify() == Category::Data {
        let place = format!(" at line {} column {}", error.line(), error.column());
        if let Some(words) = problem.strip_suffix(&place) {
            problem.truncate(words.len());
        }
    }
    problem
}
