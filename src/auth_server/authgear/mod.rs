//! Everything that is known of Authgear: its resolver, its cookies, its access tokens, how people log in, and the headers
//! that tell an app who asks.

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
    /// The project's public origin. Its authority is the `Host` of every call, because Authgear tells projects
    /// apart by it; its scheme is the `X-Forwarded-Proto`.
    pub endpoint: Url,
    /// The resolver, as it is reached.
    pub server: Server,
    /// The cookies that it reads.
    pub cookies: CookieNames,
    /// How long a token that was verified here goes unconfirmed; `None` for ever.
    pub revalidate: Option<Duration>,
}
