//! As much of a browser as a login needs: it follows redirects, and keeps cookies by host.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use wasm_tests::client::{self, Request, Response};

/// The most redirects of one navigation.
const MOST_REDIRECTS: usize = 20;

/// A browser. It knows a few hosts.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    hosts: BTreeMap<String, SocketAddr>,
    /// Of each host, without its port.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a navigation ended.
#[derive(Debug)]
pub(crate) struct Page {
    /// The URL, without its scheme.
    pub(crate) url: String,
    pub(crate) response: Response,
    /// The URLs on the way, in order.
    pub(crate) trail: Vec<String>,
}

impl Browser {
    /// One that finds this host there.
    pub(crate) fn with(mut self, host: &str, address: SocketAddr) -> Self {
        self.hosts.insert(host.to_owned(), address);
        self
    }

    /// Opens `host/path`, and follows redirects. One that leads to a host that it does not know ends the navigation
    /// there, or goes on to where `elsewhere` says.
    pub(crate) async fn open(
        &mut self,
        url: &str,
        elsewhere: &mut impl AsyncFnMut(&str) -> Option<String>,
    ) -> Page {
        let mut url = url.to_owned();
        let mut trail = Vec::new();
        let mut last = None;
        loop {
            trail.push(url.clone());
            assert!(trail.len() <= MOST_REDIRECTS, "redirects without an end: {trail:?}");
            let (host, path) = split(&url);
            if !self.hosts.contains_key(host) {
                match elsewhere(&url).await {
                    Some(next) => url = strip_scheme(&next).to_owned(),
                    None => return Page { url, response: last.expect("the first host is known"), trail },
                }
                continue;
            }
            let response = self.send(host, Request::get(path).header("accept", "text/html")).await;
            let Some(location) = response.header("location").filter(|_| response.status / 100 == 3) else {
                return Page { url, response, trail };
            };
            url = match location.strip_prefix('/') {
                Some(path) => format!("{host}/{path}"),
                None => strip_scheme(location).to_owned(),
            };
            last = Some(response);
        }
    }

    /// Sends a request with the host's cookies, and keeps those of the answer.
    pub(crate) async fn send(&mut self, host: &str, request: Request) -> Response {
        let address = self.hosts[host];
        let response = client::send(address, self.prepared(host, request)).await;
        self.keep(host, &response);
        response
    }

    /// A request with the host's cookies.
    pub(crate) fn prepared(&self, host: &str, request: Request) -> Request {
        let request = request.host(host);
        match self.cookie_header(host) {
            Some(cookies) => request.header("cookie", cookies),
            None => request,
        }
    }

    /// Keeps an answer's cookies.
    pub(crate) fn keep(&mut self, host: &str, response: &Response) {
        let jar = self.cookies.entry(name_of(host).to_owned()).or_default();
        for line in response.header_lines("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let attributes = attributes.to_ascii_lowercase();
            if value.is_empty()
                || attributes.contains("max-age=0")
                || attributes.contains("expires=thu, 01 jan 1970")
            {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The names of the host's cookies.
    pub(crate) fn cookie_names(&self, host: &str) -> Vec<&str> {
        self.cookies.get(name_of(host)).into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    fn cookie_header(&self, host: &str) -> Option<String> {
        let jar = self.cookies.get(name_of(host)).filter(|jar| !jar.is_empty())?;
        Some(jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; "))
    }
}

/// Cookies know no ports (RFC 6265 section 8.5).
fn name_of(host: &str) -> &str {
    host.split(':').next().unwrap_or(host)
}

fn strip_scheme(url: &str) -> &str {
    url.strip_prefix("http://").unwrap_or_else(|| panic!("no URL of this test: {url}"))
}

/// The host and the path of a URL without scheme.
fn split(url: &str) -> (&str, &str) {
    let at = url.find('/').unwrap_or(url.len());
    let (host, path) = url.split_at(at);
    (host, if path.is_empty() { "/" } else { path })
}
