//! What a rule demands, and the answers to requests that fail it.

use std::rc::Rc;

use super::redirect::Redirect;
use super::requirement::Requirement;
use crate::http::url::Url;

/// Who may pass, in order of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Everyone; nothing is authenticated.
    Public,
    /// Everyone. The app learns the identity if it is known.
    Optional,
    /// Those with a valid session.
    Required,
}

/// The demands on a request, and the answers if it fails them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    access: Access,
    require: Option<Requirement>,
    /// The configured answer to a request without a valid session.
    pub on_unauthenticated: Option<OnUnauthenticated>,
    /// The configured answer to a request that fails the requirement.
    pub on_forbidden: Option<CustomReply>,
    /// The URL of the auth server, if it differs from the common one.
    pub auth_url: Option<Rc<Url>>,
}

impl Terms {
    /// Returns the terms for `access`, with the default answers.
    #[must_use]
    pub const fn new(access: Access) -> Self {
        Self { access, require: None, on_unauthenticated: None, on_forbidden: None, auth_url: None }
    }

    /// Returns terms that demand a valid session that meets `require`.
    #[must_use]
    pub fn requiring(require: Requirement) -> Self {
        Self { require: Some(require), ..Self::new(Access::Required) }
    }

    /// Returns who may pass; always `Required` if there is a requirement.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Returns what a session must meet beyond being valid.
    #[must_use]
    pub const fn require(&self) -> Option<&Requirement> {
        self.require.as_ref()
    }
}

/// The answer to a request without a valid session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnUnauthenticated {
    /// This.
    Reply(CustomReply),
    /// Sends a navigation to log in. Other requests, and those for which [`Redirect::location`] returns `None`, get a
    /// plain 401.
    Redirect(Redirect),
}

/// A denial that the operator configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomReply {
    /// Its status, 400 to 599.
    pub status: u16,
    /// A body that replaces the default JSON.
    pub body: Option<CustomBody>,
}

/// The body of a [`CustomReply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomBody {
    /// The text; never empty.
    pub text: String,
    /// Its `Content-Type`; visible ASCII and spaces.
    pub content_type: String,
}
