//! The servers that know who a request is from: what each is asked, and what its answer means. One folder a
//! server; everything that is known of Authgear is in `authgear`.

pub mod authgear;
pub mod fault;
pub mod forward_auth;
pub mod forwarded;

use std::fmt;

use self::authgear::Resolver;
use self::forward_auth::ForwardAuth;
use crate::http::url::Url;

/// Who is asked about what is not judged here.
#[derive(Debug, Clone)]
pub enum AuthServer {
    /// Authgear's resolver.
    Resolver(Box<Resolver>),
    /// Any forward-auth server.
    ForwardAuth(Box<ForwardAuth>),
}

/// A URL, and the host's name for the server that it is asked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What is asked for. Its scheme says how the server is spoken to.
    pub url: Url,
    /// An Envoy cluster, or `host:port` on APISIX.
    pub upstream: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (upstream `{}`)", self.url, self.upstream)
    }
}
