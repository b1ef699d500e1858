//! Decides which project, and which of its origins, a request is for.

use std::net::{IpAddr, SocketAddr};

use hyper::http::request;

use super::options::Options;

/// The public origin of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    authority: String,
}

impl Origin {
    /// Parses `scheme://host[:port]`, with or without a final slash.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.strip_suffix('/').unwrap_or(text).split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let plain = !authority.is_empty()
            && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        let known = matches!(scheme.as_str(), "http" | "https");
        (plain && known).then(|| Self { scheme, authority: authority.to_ascii_lowercase() })
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// The origin that the request was sent to, as far as the server can know.
    pub(super) fn of(head: &request::Parts, trust_proxy: bool) -> Self {
        let forwarded = header(head, "x-forwarded-proto").filter(|_| trust_proxy);
        Self { scheme: forwarded.unwrap_or("http").to_owned(), authority: host(head, trust_proxy) }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}://{}", self.scheme, self.authority)
    }
}

/// Whether the request is for a host that the project is known by.
pub(super) fn is_known(head: &request::Parts, origin: &Origin, options: &Options) -> bool {
    let host = host(head, options.trust_proxy);
    options.is_any_host_known
        || host == origin.authority
        || options.other_hosts.iter().any(|other| other.eq_ignore_ascii_case(&host))
}

/// The host that the request is for, in lower case. Behind a trusted proxy it is `X-Forwarded-Host`, else
/// `X-Original-Host`.
pub(super) fn host(head: &request::Parts, trust_proxy: bool) -> String {
    let forwarded = ["x-forwarded-host", "x-original-host"];
    let named = forwarded.into_iter().filter(|_| trust_proxy).find_map(|name| header(head, name));
    // HTTP/2 has `:authority` instead of `Host`.
    let sent = || header(head, "host").or(head.uri.authority().map(|authority| authority.as_str()));
    named.or_else(sent).unwrap_or_default().to_ascii_lowercase()
}

/// The client's address as the server sees it. Behind a trusted proxy it is the first one in `Forwarded`, else in
/// `X-Forwarded-For`, whoever wrote it.
pub(super) fn client_address(head: &request::Parts, peer: SocketAddr, trust_proxy: bool) -> Option<IpAddr> {
    let forwarded =
        || header(head, "forwarded")?.split([',', ';']).find_map(|part| part.trim().strip_prefix("for="));
    let first = forwarded().or_else(|| header(head, "x-forwarded-for")?.split(',').next());
    match first.filter(|_| trust_proxy) {
        Some(address) => address.trim().trim_matches('"').parse().ok(),
        None => Some(peer.ip()),
    }
}

/// A value that is not text is still present, and matches no host of ours.
fn header<'a>(head: &'a request::Parts, name: &str) -> Option<&'a str> {
    let value = head.headers.get(name)?;
    Some(value.to_str().unwrap_or("?")).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for (text, expected) in [
            ("https://Auth.Example.com", Some("https://auth.example.com")),
            ("http://localhost:8080/", Some("http://localhost:8080")),
            ("http://[::1]:80", Some("http://[::1]:80")),
            ("localhost:8080", None),
            ("ftp://a", None),
            ("http://", None),
            ("http://a/b", None),
            ("http://a@b", None),
            ("http://a\r\nb", None),
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.to_string()).as_deref(), expected, "{text:?}");
        }
    }
}
