//! All knowledge of Authgear: its resolver, its cookies, its access tokens, its login, and the headers that identify
//! the user to an app.

mod cookies;
pub mod identity;
pub mod login;
pub mod resolver;
pub mod token;

use std::time::Duration;

pub use self::cookies::CookieNames;
pub use self::login::Login;
use crate::auth_server::Server;
use crate::http::url::Url;

/// Authgear's resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// The project's public origin. Its authority is the `Host` of every call, because Authgear distinguishes
    /// projects by it. Its scheme is the `X-Forwarded-Proto`.
    pub endpoint: Url,
    /// How the resolver is reached.
    pub server: Server,
    /// The cookies that the resolver reads.
    pub cookies: CookieNames,
    /// How long a locally verified token is used without confirmation; `None` means forever.
    pub revalidate: Option<Duration>,
}
