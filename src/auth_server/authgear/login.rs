//! Logging in at Authgear: where a person without a session is sent, and where one who comes back goes on. What comes
//! back in `state` is the client's word: it leads to a path of the origin that was asked, or to its root.

use crate::http::Head;
use crate::http::authority::Authority;
use crate::http::browser::is_navigation;
use crate::http::percent;
use crate::http::url::Url;
use crate::rules::readings::Readings;
use crate::rules::redirect::{Destination, MAX_LOCATION};

/// Where people log in, on the project's public origin.
const AUTHORIZE_PATH: &str = "/oauth2/authorize";

/// Where a person goes on for whom it cannot be told.
const ROOT: &str = "/";

/// How people log in at a project, and come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The address up to what the request decides.
    authorize: String,
    /// The page that is at that address. It is not sent to itself.
    page: Destination,
    /// The path to which Authgear sends people back.
    callback: String,
}

impl Login {
    /// For a client of the project at `endpoint`. `callback` is a path that stands in URLs as it is, and not `/`.
    /// Without `openid` in `scopes`, Authgear answers with an error.
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

    /// Where a request's person is sent to log in; none where the request is to be denied plainly: it is no
    /// navigation, it is for the login page itself, or its own origin is not clear to every program. Where the way
    /// back would be too long, or could lead elsewhere, it leads to the root.
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

    /// Where the person goes on who comes back with this request; none where it is not for the callback: GET, and
    /// exactly its path.
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

/// The origin that a request is for, as browsers write it (RFC 6454 section 6.2); none where programs could disagree
/// about its host.
fn origin(head: &Head<'_>) -> Option<String> {
    let (scheme, authority) = (str::from_utf8(head.scheme).ok()?, Authority::parse(head.authority).ok()?);
    Url::parse(&format!("{scheme}://{authority}")).ok().map(|url| url.origin())
}

/// The one `state` of a query, decoded, with what only URLs escape escaped again; none where there are two.
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

/// Whether a browser that is given this as a `Location` stays on the origin, and whether every program before the app
/// reads a path of it too. (WHATWG URL: tabs and newlines are dropped, a backslash is a slash, what follows two
/// slashes is a host.)
fn leads_back(path: &[u8]) -> bool {
    if path.iter().any(|&byte| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'#')) {
        return false;
    }
    match Readings::of(path) {
        // Escapes that are no text, or letters that some programs fold. Its beginning must leave no doubt.
        Readings::Unclear => matches!(path, [b'/', first, ..] if first.is_ascii_alphanumeric()),
        readings @ (Readings::Plain(_) | Readings::Several(_)) => {
            !readings.any(|path| path.starts_with(b"//"))
        }
    }
}
