//! Where a person without a session is sent to log in: a template, and the `Location` that it yields for a request.
//! The way back is built from the request's own scheme, host and path. Unless every program reads it as one address
//! on one host, there is no redirect.

use crate::http::Head;
use crate::http::authority::Authority;
use crate::http::browser::is_navigation;
use crate::http::template::{Template, TemplateError};
use crate::http::url::{Url, UrlError};
use crate::rules::readings::Readings;

/// The longest `Location` that is sent. Proxies and servers refuse much longer ones.
pub const MAX_LOCATION: usize = 8 * 1024;

/// A URL or a path that contains `{url}` or `{path}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    template: Template,
    target: Destination,
}

/// The page that a template or a URL leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// `host` or `host:port`; `None` if the template is a path, which stays on the request's own host.
    authority: Option<String>,
    path: String,
    /// Whether a placeholder continues the path.
    goes_on: bool,
}

impl Redirect {
    /// Parses a template: an absolute http or https URL, or a path, with `{url}` and `{path}` anywhere after the
    /// host.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong and what would be right.
    pub fn parse(template: &str) -> Result<Self, RedirectError> {
        let shown = || template.escape_default().to_string();
        if let Some(odd) = template.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\^`|".contains(*c)) {
            return Err(RedirectError::Character(template.to_owned(), odd));
        }
        let (authority, rest) = match template.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#', '{']) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
                if authority.contains(['{', '}']) {
                    return Err(RedirectError::PlaceholderAsHost(shown()));
                }
                let url = Url::parse(&format!("{scheme}://{authority}"))?;
                (Some(url.authority().to_owned()), rest)
            }
            _ if template.starts_with("//") => {
                return Err(RedirectError::NoScheme(shown()));
            }
            _ if template.starts_with('/') => (None, template),
            _ => {
                return Err(RedirectError::NoUrl(shown()));
            }
        };
        let end = rest.find(['?', '#', '{']).unwrap_or(rest.len());
        let (path, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let path = if path.is_empty() { "/" } else { path };
        let target = Destination { authority, path: path.to_owned(), goes_on: after.starts_with('{') };
        Ok(Self { template: Template::of_redirect(template)?, target })
    }

    /// Returns the `Location` for a request. Returns `None` when the request must get a plain denial: it is not a
    /// navigation, it is for the login page itself, programs disagree about its address, or the result is too long.
    #[must_use]
    pub fn location(&self, head: &Head<'_>) -> Option<String> {
        if !is_navigation(head) {
            return None;
        }
        if !matches!(head.scheme, b"http" | b"https") {
            return None;
        }
        let authority = Authority::parse(head.authority).ok()?;
        let readings = Readings::of(head.path);
        // Browsers take what follows two slashes as a host.
        let is_elsewhere = readings.any(|path| path.starts_with(b"//"));
        if is_elsewhere || self.target.is_at(authority, &readings) {
            return None;
        }
        let location = self.template.render_encoded(head)?;
        (location.len() <= MAX_LOCATION).then_some(location)
    }
}

impl Destination {
    /// Returns the page at a URL.
    #[must_use]
    pub fn at(url: &Url) -> Self {
        Self { authority: Some(url.authority().to_owned()), path: url.path().to_owned(), goes_on: false }
    }

    /// Returns whether a request is for this page.
    #[must_use]
    pub fn is_of(&self, head: &Head<'_>) -> bool {
        let authority = Authority::parse(head.authority);
        authority.is_ok_and(|authority| self.is_at(authority, &Readings::of(head.path)))
    }

    /// Returns whether a request is for this page. The scheme is ignored: behind a proxy that terminates TLS a
    /// request says `http`, and would be redirected to its own `https` forever.
    fn is_at(&self, authority: Authority<'_>, readings: &Readings<'_>) -> bool {
        let is_here = self.authority.as_ref().is_none_or(|own| {
            let port = |authority: Authority<'_>| authority.port.filter(|port| !matches!(port, 80 | 443));
            Authority::parse(own.as_bytes())
                .ok()
                .is_none_or(|own| own.host == authority.host && port(own) == port(authority))
        });
        let own = Readings::of(self.path.as_bytes());
        is_here && readings.any(|path| own.any(|own| same_page(path, own, self.goes_on)))
    }
}

/// Returns whether two paths are the same page, apart from a final slash.
fn same_page(path: &[u8], own: &[u8], goes_on: bool) -> bool {
    let bare = |path: &'_ [u8]| path.strip_suffix(b"/").map_or(path.len(), <[u8]>::len);
    if goes_on { path.starts_with(own) } else { path.get(..bare(path)) == own.get(..bare(own)) }
}

/// Why a text is not a [`Redirect`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// A character that no URL has.
    #[error("`{}` has a character that URLs cannot have: '{}'", .0.escape_default(), .1.escape_default())]
    Character(String, char),
    /// A placeholder in place of the host. The client would choose the host.
    #[error("`{0}` has a placeholder in the host's place; put a `/` or `/?` before it")]
    PlaceholderAsHost(String),
    /// Two slashes at the beginning. Browsers take what follows as a host.
    #[error("`{0}` names a host without https:// before it")]
    NoScheme(String),
    /// Neither a URL nor a path.
    #[error("`{0}` is neither an absolute URL nor a path: /login?return={{url}} would be one")]
    NoUrl(String),
    /// The URL part is invalid.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// An unknown placeholder.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Field;

    const PAGE: [Field<'static>; 1] = [(b"accept", b"text/html")];

    fn location_of(template: &str, scheme: &str, host: &[u8], path: &[u8]) -> Option<String> {
        let head = Head {
            method: b"GET",
            scheme: scheme.as_bytes(),
            authority: host,
            path,
            fields: &PAGE,
            client_address: &|| None,
        };
        Redirect::parse(template).unwrap().location(&head)
    }

    #[test]
    fn the_way_back_is_the_requests_own_address_encoded() {
        #[rustfmt::skip]
        let cases = [
            ("/login?return={url}", "/a/b?x=1&y=%20", "/login?return=https%3A%2F%2Fapp.example%3A8443%2Fa%2Fb%3Fx%3D1%26y%3D%2520"),
            ("/login?return={path}", "/a/b?x=1&y=2", "/login?return=%2Fa%2Fb%3Fx%3D1%26y%3D2"),
            ("https://login.example/{path}#{url}", "/", "https://login.example/%2F#https%3A%2F%2Fapp.example%3A8443%2F"),
            ("https://login.example?to={path}", "/a", "https://login.example?to=%2Fa"),
            ("HTTP://Login.Example:3000/in?to={path}", "/a", "HTTP://Login.Example:3000/in?to=%2Fa"),
            ("/login", "/a", "/login"),
            ("/login?x=://&to={path}", "/a", "/login?x=://&to=%2Fa"),
            ("/login?to={path}", "/a~b'(c)!*\"<", "/login?to=%2Fa~b%27%28c%29%21%2A%22%3C"),
        ];
        for (template, path, expected) in cases {
            let found = location_of(template, "https", b"app.example:8443", path.as_bytes());
            assert_eq!(found.as_deref(), Some(expected), "{template} {path}");
        }
    }

    #[test]
    fn only_navigations_are_redirected() {
        let redirect = Redirect::parse("/login?to={url}").unwrap();
        let get = Head {
            method: b"GET",
            scheme: b"https",
            authority: b"app.example",
            path: b"/",
            fields: &PAGE,
            client_address: &|| None,
        };
        assert!(redirect.location(&get).is_some());
        assert!(redirect.location(&Head { method: b"HEAD", ..get }).is_some());
        assert_eq!(redirect.location(&Head { method: b"POST", ..get }), None);
        assert_eq!(redirect.location(&Head { fields: &[(b"accept", b"*/*")], ..get }), None);
        assert_eq!(redirect.location(&Head { fields: &[], ..get }), None);
        assert_eq!(redirect.location(&Head { scheme: b"javascript", ..get }), None);
    }

    #[test]
    fn the_login_page_itself_is_never_redirected_to_itself() {
        #[rustfmt::skip]
        let cases: &[(&str, &str, &[&str], &[&str])] = &[
            ("/login?to={url}", "app.example",
             &["/login", "/login/", "/login?to=/x", "/x/../login", "/%6cogin", "/login;x", "/login//"],
             &["/", "/login2", "/login/x", "/x/login"]),
            ("/login/{path}", "app.example", &["/login/", "/login/%2Fa", "/login/x?y"], &["/log", "/x"]),
            ("https://app.example/login?to={url}", "App.Example.:443", &["/login"], &["/x"]),
            ("https://app.example", "app.example:80", &["/", "/?x"], &["/x"]),
            ("https://app.example:8443/login", "app.example:8443", &["/login"], &["/x"]),
            ("https://app.example:8443/login", "app.example", &[], &["/login"]),
            ("https://login.example/login", "app.example", &[], &["/login"]),
            ("http://[::1]:3000/login", "[0:0::1]:3000", &["/login"], &["/x"]),
        ];
        for (template, host, loops, others) in cases {
            for scheme in ["http", "https"] {
                for path in *loops {
                    let found = location_of(template, scheme, host.as_bytes(), path.as_bytes());
                    assert_eq!(found, None, "{template} {host} {path}");
                }
                for path in *others {
                    let found = location_of(template, scheme, host.as_bytes(), path.as_bytes());
                    assert!(found.is_some(), "{template} {host} {path}");
                }
            }
        }
    }

    #[test]
    fn a_location_that_servers_would_refuse_is_not_sent() {
        let path = format!("/{}", "a".repeat(MAX_LOCATION));
        assert_eq!(location_of("/login?to={path}", "https", b"app.example", path.as_bytes()), None);
    }

    #[test]
    fn a_template_that_could_lead_anywhere_is_refused() {
        for (template, expected) in [
            ("", "neither"),
            ("login", "neither"),
            ("{url}", "neither"),
            ("{path}", "neither"),
            ("?to={url}", "neither"),
            ("javascript:alert(1)", "neither"),
            ("ftp://a/", "http"),
            ("javascript://a/%0aalert(1)", "http"),
            ("//login.example/", "host without"),
            ("///login.example/", "host without"),
            ("/\\login.example/", "character"),
            ("https://{url}", "host's place"),
            ("https://login.example{path}", "host's place"),
            ("https://{path}.example/", "host's place"),
            ("https://user@login.example/", "user name"),
            ("https:///x", "host"),
            ("https://", "host"),
            ("/login?to={uri}", "neither {url} nor {path}"),
            ("/login?to={url", "neither {url} nor {path}"),
            ("/login?to=url}", "neither {url} nor {path}"),
            ("/login?to={}", "neither {url} nor {path}"),
            ("/login?to={{url}}", "neither {url} nor {path}"),
            ("/login?to={URL}", "neither {url} nor {path}"),
            ("/log in", "character"),
            ("/login\r\nset-cookie: a=b", "character"),
            ("/größe", "character"),
        ] {
            let problem = Redirect::parse(template).unwrap_err().to_string();
            assert!(problem.contains(expected), "{template:?}: {problem}");
        }
    }

    /// Returns the requests of `tests/data/open-redirects.txt`: the expectation, the host and the path of each line.
    fn corpus() -> Vec<(String, Vec<u8>, Vec<u8>)> {
        let text = include_str!("../../tests/data/open-redirects.txt");
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| {
                let (kind, value) = line.split_once(' ').unwrap();
                let value = unescaped(value);
                match kind {
                    "host" => (kind.to_owned(), value, b"/".to_vec()),
                    "path" | "fine" => (kind.to_owned(), b"app.example".to_vec(), value),
                    _ => panic!("{line:?} is neither host nor path nor fine"),
                }
            })
            .collect()
    }

    fn unescaped(text: &str) -> Vec<u8> {
        let mut parts = text.split("\\x");
        let mut out = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            let (digits, rest) = part.split_at(2);
            out.push(u8::from_str_radix(digits, 16).unwrap());
            out.extend(rest.bytes());
        }
        out
    }

    fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            let byte =
                tail.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
            match byte {
                Some(byte) if *first == b'%' => {
                    out.push(byte);
                    rest = &tail[2..];
                }
                _ => {
                    out.push(*first);
                    rest = tail;
                }
            }
        }
        out
    }

    /// Returns whether a browser that receives `path` as a `Location` could leave the host: it drops tabs and
    /// newlines, reads a backslash as a slash, and takes what follows two slashes as a host. A server before it may
    /// have decoded the path once too often, or resolved it.
    fn leads_elsewhere(path: &[u8]) -> bool {
        let mut path = path.split(|&byte| byte == b'?').next().unwrap().to_vec();
        (0..4).any(|_| {
            let mut seen: Vec<u8> = path.iter().filter(|byte| !b"\t\r\n".contains(byte)).copied().collect();
            seen.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
            path = percent_decoded(&path);
            let mut resolved = Vec::new();
            for segment in seen.split(|&byte| byte == b'/').skip(1) {
                match segment {
                    b"." => {}
                    b".." => drop(resolved.pop()),
                    _ => resolved.push(segment),
                }
            }
            let starts_with_empty = resolved.len() > 1 && resolved[0].is_empty();
            !seen.starts_with(b"/") || seen.starts_with(b"//") || starts_with_empty
        })
    }

    #[test]
    fn no_request_of_the_corpus_makes_a_redirect_that_leads_elsewhere() {
        let corpus = corpus();
        assert!(corpus.len() > 100, "the corpus was read");
        for (kind, host, path) in corpus {
            let shown = format!("{kind} {} {}", host.escape_ascii(), path.escape_ascii());
            let by_path = location_of("/login?to={path}", "https", &host, &path);
            let by_url = location_of("https://login.example/?to={url}", "https", &host, &path);
            match kind.as_str() {
                "host" => assert_eq!((by_path, by_url), (None, None), "{shown}"),
                "fine" => assert!(by_path.is_some() && by_url.is_some(), "{shown}"),
                _ => {
                    if let Some(location) = by_path {
                        let back = location.strip_prefix("/login?to=").unwrap();
                        assert!(!back.contains(['/', '&', '#', '?']), "{shown}: {location}");
                        assert!(!leads_elsewhere(&percent_decoded(back.as_bytes())), "{shown}: {location}");
                    }
                    if let Some(location) = by_url {
                        let back = location.strip_prefix("https://login.example/?to=").unwrap();
                        let back = percent_decoded(back.as_bytes());
                        let back = back.strip_prefix(b"https://app.example").unwrap();
                        assert!(!leads_elsewhere(back), "{shown}: {location}");
                    }
                }
            }
        }
    }
}
