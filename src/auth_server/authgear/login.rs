//! Logging in at Authgear: where a person without a session is sent, and where one who returns continues. The client
//! controls the returned `state`, so it leads only to a path of the origin that was requested, or to its root.

use crate::http::Head;
use crate::http::authority::Authority;
use crate::http::browser::is_navigation;
use crate::http::percent;
use crate::http::url::Url;
use crate::rules::readings::Readings;
use crate::rules::redirect::{Destination, MAX_LOCATION};

/// The login page, on the project's public origin.
const AUTHORIZE_PATH: &str = "/oauth2/authorize";

/// Where a person continues if the original page is unclear.
const ROOT: &str = "/";

/// How people log in at a project and return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The address up to the part that depends on the request.
    authorize: String,
    /// The page at that address. It is never redirected to itself.
    page: Destination,
    /// The path to which Authgear sends people back.
    callback: String,
}

impl Login {
    /// Creates the login of a client of the project at `endpoint`. `callback` is a path that needs no escapes, and
    /// not `/`. Without `openid` in `scopes`, Authgear answers with an error.
    #[must_use]
    pub fn new(endpoint: &Url, client_id: &str, callback: String, scopes: &[String]) -> Self {
        let page = endpoint.with_path(AUTHORIZE_PATH);
        let client_id = percent::encode(client_id.as_bytes());
        let scopes = scopes.join(" ");
        let scope = percent::encode(scopes.as_bytes());
        Self {
            authorize: format!("{page}?response_type=none&client_id={client_id}&scope={scope}"),
            page: Destination::at(&page),
            callback,
        }
    }

    /// Returns where a person is sent to log in. Returns `None` when the request must get a plain denial: it is not a
    /// navigation, it is for the login page itself, or programs disagree about its origin. If the way back would be
    /// too long, or could lead elsewhere, it leads to the root.
    #[must_use]
    pub fn location(&self, head: &Head<'_>) -> Option<String> {
        if !is_navigation(head) {
            return None;
        }
        let origin = origin(head)?;
        if self.page.is_of(head) {
            return None;
        }
        let redirect_uri = format!("{origin}{}", self.callback);
        let redirect_uri = percent::encode(redirect_uri.as_bytes());
        let to = |state: &[u8]| {
            format!("{}&redirect_uri={redirect_uri}&state={}", self.authorize, percent::encode(state))
        };
        if leads_back(head.path) {
            let location = to(head.path);
            if location.len() <= MAX_LOCATION {
                return Some(location);
            }
        }
        Some(to(ROOT.as_bytes()))
    }

    /// Returns where the person who comes back with this request continues. Returns `None` unless the request is a
    /// GET of exactly the callback path.
    #[must_use]
    pub fn way_back(&self, head: &Head<'_>) -> Option<String> {
        let (path, query) = match head.path.iter().position(|&byte| byte == b'?') {
            Some(mark) => head.path.split_at_checked(mark)?,
            None => (head.path, b"".as_slice()),
        };
        if head.method != b"GET" || path != self.callback.as_bytes() {
            return None;
        }
        let state = state(query.strip_prefix(b"?").unwrap_or(query));
        let state = state.filter(|state| leads_back(state) && state.len() <= MAX_LOCATION);
        Some(state.and_then(|state| String::from_utf8(state).ok()).unwrap_or_else(|| ROOT.to_owned()))
    }
}

/// Returns the origin that a request is for, as browsers write it (RFC 6454 section 6.2); `None` if programs could
/// disagree about its host.
fn origin(head: &Head<'_>) -> Option<String> {
    let (scheme, authority) = (str::from_utf8(head.scheme).ok()?, Authority::parse(head.authority).ok()?);
    Url::parse(&format!("{scheme}://{authority}")).ok().map(|url| url.origin())
}

/// Returns the only `state` of a query, decoded, but with characters escaped that URLs must escape; `None` if there
/// are two.
fn state(query: &[u8]) -> Option<Vec<u8>> {
    let pairs = query.split(|&byte| byte == b'&').filter_map(|pair| pair.strip_prefix(b"state="));
    let mut values = pairs;
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    let decoded = percent::decode(&spaced, |_byte| true).unwrap_or(spaced);
    Some(decoded.split(|&byte| byte == b' ').collect::<Vec<_>>().join(b"%20".as_slice()))
}

/// Returns whether a browser stays on the origin when it receives this as a `Location`, and whether every program
/// before the app reads it as a path. (WHATWG URL: tabs and newlines are dropped, a backslash is a slash, and a host
/// follows two slashes.)
fn leads_back(path: &[u8]) -> bool {
    if path.iter().any(|&byte| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'#')) {
        return false;
    }
    match Readings::of(path) {
        // Escapes that are not text, or letters that some programs fold. The beginning must be unambiguous.
        Readings::Unclear => matches!(path, [b'/', first, ..] if first.is_ascii_alphanumeric()),
        readings @ (Readings::Plain(_) | Readings::Several(_)) => {
            !readings.any(|path| path.starts_with(b"//"))
        }
    }
}
