//! The cookies that identify an Authgear session.

use crate::http::credential::MAX_COOKIES;

/// The names of Authgear's three cookies in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieNames([Vec<u8>; MAX_COOKIES]);

impl CookieNames {
    /// Returns the names in a project whose `http.cookie_prefix` is `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self(
            ["session", "app_session", "app_access_token"].map(|name| format!("{prefix}{name}").into_bytes()),
        )
    }

    /// Returns all names.
    #[must_use]
    pub const fn all(&self) -> &[Vec<u8>; MAX_COOKIES] {
        &self.0
    }

    /// Returns whether a cookie is one of them.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.0.iter().any(|known| known == name)
    }
}
