//! The configuration of a forward-auth server.

use std::fmt;

use super::{CacheKey, CookiePattern, IdentityHeader, Template, withheld};
use crate::auth_server::Server;
use crate::http::header::{self, Pattern};

/// A server that decides whether a request may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardAuth {
    /// Its endpoint, with a query if one is configured.
    pub server: Server,
    /// The method of the calls.
    pub method: CallMethod,
    /// The client's headers that are sent.
    pub request_headers: Vec<Pattern>,
    /// The cookies that are sent. `None` sends all of them.
    pub cookies: Option<Vec<CookiePattern>>,
    /// Headers that are added, named in lower case.
    pub extra_headers: Vec<(String, Template)>,
    /// The headers that describe the original request.
    pub original_request: OriginalRequest,
    /// The `Host` of a call.
    pub host: CallHost,
    /// The headers of an accepting answer that the app gets; never empty.
    pub identity_headers: Vec<IdentityHeader>,
    /// The header of an accepting answer that lists roles, named in lower case.
    pub roles_header: Option<String>,
    /// The headers of an accepting answer that the client gets.
    pub client_headers_on_success: Vec<Pattern>,
    /// The headers of a denial that the client gets.
    pub client_headers: Vec<Pattern>,
    /// Whether the client gets a denial's body too.
    pub relay_body: bool,
    /// The inputs that an answer is cached for.
    pub key: CacheKey,
}

/// The method of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallMethod {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
}

/// The `Host` of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallHost {
    /// The host of the server's URL.
    #[default]
    Url,
    /// The host that the client requested.
    Client,
}

/// The headers that describe the original request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OriginalRequest {
    /// X-Forwarded-Method, -Proto, -Host, -Uri and -For, as Traefik and APISIX send them.
    #[default]
    XForwarded,
    /// X-Original-Method and -URI, as is usual with nginx.
    XOriginal,
    /// None.
    None,
}

impl OriginalRequest {
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::XForwarded => &[
                "x-forwarded-method",
                "x-forwarded-proto",
                "x-forwarded-host",
                "x-forwarded-uri",
                "x-forwarded-for",
            ],
            Self::XOriginal => &["x-original-method", "x-original-uri"],
            Self::None => &[],
        }
    }
}

impl ForwardAuth {
    /// Returns whether the client's cookies are sent.
    #[must_use]
    pub fn sends_cookies(&self) -> bool {
        self.sends(b"cookie")
    }

    /// Returns whether the client's header of this name is sent.
    #[must_use]
    pub fn sends(&self, name: &[u8]) -> bool {
        self.request_headers.iter().any(|pattern| pattern.matches(name))
            && withheld(name).is_none()
            && !self.extra_headers.iter().any(|(own, _)| header::is_same(own.as_bytes(), name))
    }

    /// Returns the headers that no client may send to the app, because the app could believe that this server sent
    /// them.
    pub fn managed(&self) -> impl Iterator<Item = Pattern> {
        let roles = self.roles_header.iter().cloned().map(Pattern::Name);
        self.identity_headers.iter().flat_map(IdentityHeader::managed).chain(roles)
    }
}

/// Describes the server and what it may tell the app, for the log.
impl fmt::Display for ForwardAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, which sets ", self.server)?;
        for (number, pattern) in self.identity_headers.iter().enumerate() {
            write!(f, "{}{pattern}", if number == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
