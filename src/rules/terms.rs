//! What a rule demands, and what a request is answered that does not meet it.

use std::rc::Rc;

use super::redirect::Redirect;
use super::requirement::Requirement;
use crate::http::url::Url;

/// Who may pass; in the order of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Everyone; nothing is authenticated.
    Public,
    /// Everyone; who it is is told where that is known.
    Optional,
    /// Those with a valid session.
    Required,
}

/// What is demanded of a request, and what it is answered where it does not meet that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    access: Access,
    require: Option<Requirement>,
    /// The answer to a request without a valid session, where the configuration gives one.
    pub on_unauthenticated: Option<OnUnauthenticated>,
    /// The answer where the requirement is not met, where the configuration gives one.
    pub on_forbidden: Option<CustomReply>,
    /// Which URL of the auth server is asked, where that is not the one for all requests.
    pub auth_url: Option<Rc<Url>>,
}

impl Terms {
    /// The terms of `access`, with the filter's own answers.
    #[must_use]
    pub const fn new(access: Access) -> Self {
        Self { access, require: None, on_unauthenticated: None, on_forbidden: None, auth_url: None }
    }

    /// Those that demand a valid session that meets `require`.
    #[must_use]
    pub fn requiring(require: Requirement) -> Self {
        Self { require: Some(require), ..Self::new(Access::Required) }
    }

    /// Who may pass; `Required` wherever there is a requirement.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// What a session must be beyond valid.
    #[must_use]
    pub const fn require(&self) -> Option<&Requirement> {
        self.require.as_ref()
    }
}

/// What a request without a valid session is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnUnauthenticated {
    /// This.
    Reply(CustomReply),
    /// A navigation is sent to log in; others, and where [`Redirect::location`] has none, get a plain 401.
    Redirect(Redirect),
}

/// A denial as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomReply {
    /// Its status, 400 to 599.
    pub status: u16,
    /// Its body in place of the filter's JSON.
    pub body: Option<CustomBody>,
}

/// The body of an [`CustomReply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomBody {
    /// The text; never empty.
    pub text: String,
    /// Its `Content-Type`; visible ASCII and spaces.
    pub content_type: String,
}
