//! The request that is explained, as a proxy would show it to the filter.

use std::fmt;
use std::net::IpAddr;

use authgear_filter::config::Projects;
use authgear_filter::http::Field;
use authgear_filter::http::place::{self, Place};

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    scheme: String,
    /// Host and perhaps port.
    pub(crate) authority: String,
    /// The path and the query, as they were given.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) client_address: Option<IpAddr>,
}

/// Why there is no such request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// A URL that is not `http://…` or `https://…`.
    Url,
    /// A header that is not `Name: value`. Which one is not told: it may be a secret.
    Header,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("--url: write a whole one, such as https://app.example.com/path?query"),
            Self::Header => f.write_str("--header: write `Name: value`"),
        }
    }
}

impl Request {
    /// Takes what was typed. Nothing of the path is changed: odd spellings are what one wants to see explained.
    pub(crate) fn new(
        method: &str,
        url: &str,
        headers: &[String],
        client_address: Option<IpAddr>,
    ) -> Result<Self, RequestError> {
        let (scheme, rest) = url.split_once("://").ok_or(RequestError::Url)?;
        if !["http", "https"].contains(&scheme) {
            return Err(RequestError::Url);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(RequestError::Url)?;
        if authority.is_empty() || authority.contains(char::is_whitespace) {
            return Err(RequestError::Url);
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let mut request = Self {
            method: method.to_owned(),
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path,
            headers: Vec::new(),
            client_address,
        };
        for header in headers {
            let (name, value) = header.split_once(':').ok_or(RequestError::Header)?;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(RequestError::Header);
            }
            // The word of the proxy, which the URL is.
            if !name.eq_ignore_ascii_case("x-forwarded-proto") && !name.eq_ignore_ascii_case("host") {
                request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        Ok(request)
    }

    /// Puts a token where the configuration of the request's project looks for one.
    pub(crate) fn put_token(&mut self, projects: &Projects, token: &str) {
        let is_bearer = |place: &&Place| place.is_same(&Place::bearer());
        let (configs, hosts) = projects.clone().into_parts();
        let config = hosts.project(self.authority.as_bytes()).and_then(|project| configs.get(project));
        let places = config.map(|config| config.token_from.as_slice()).unwrap_or_default();
        let place = places.iter().find(is_bearer).or_else(|| places.first());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match place {
            Some(Place::Header { name, scheme }) => {
                let value = match scheme {
                    Some(scheme) => format!("{} {token}", text(scheme)),
                    None => token.to_owned(),
                };
                self.headers.push((text(name), value));
            }
            Some(Place::Cookie(name)) => {
                self.headers.push(("cookie".to_owned(), format!("{}={token}", text(name))));
            }
            Some(Place::Query(name)) => {
                let separator = if self.path.contains('?') { '&' } else { '?' };
                self.path.push_str(&format!("{separator}{}={token}", text(name)));
            }
            Some(Place::WebSocketProtocol(prefix)) => {
                let value = format!("{}{token}", text(prefix));
                self.headers.push(("sec-websocket-protocol".to_owned(), value));
            }
            None => self.headers.push(("authorization".to_owned(), format!("Bearer {token}"))),
        }
    }

    /// Method and URL, without tokens that stand in the query.
    pub(super) fn told(&self, places: &[Place]) -> String {
        let path = place::path_without_tokens(self.path.as_bytes(), places);
        format!("{} {}://{}{}", self.method, self.scheme, self.authority, String::from_utf8_lossy(&path))
    }

    /// All headers, with the pseudo headers in front, as a proxy lists them.
    pub(crate) fn listed(&self) -> Vec<Field<'_>> {
        let own: [Field<'_>; 4] = [
            (b":method", self.method.as_bytes()),
            (b":authority", self.authority.as_bytes()),
            (b":path", self.path.as_bytes()),
            (b"x-forwarded-proto", self.scheme.as_bytes()),
        ];
        let others = self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        own.into_iter().chain(others).collect()
    }
}
