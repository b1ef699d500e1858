//! Owns the resolver: finds the session that a request's credentials belong to, and writes the headers that describe
//! it.

use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::http::{HeaderMap, HeaderValue, header};

use super::keys::Keys;
use super::options::{Options, User};
use super::origin::Origin;
use super::world::{Credential, Found, Grant, World};

/// The resolver's verdict on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolution {
    /// No credential, or only bad ones that the resolver ignores.
    NoSession,
    /// A bad `session` cookie, or a user whose account is not valid now.
    Invalid {
        /// The request had a `session` cookie, which must be cleared.
        clear_cookie: bool,
    },
    /// A session, and the credential that led to it.
    Valid(Box<(Grant, User)>, &'static str, Credential),
}

/// Tries the credentials in their order of precedence. An unknown one gives way to the next.
pub(super) fn resolve(
    headers: &HeaderMap,
    world: &World,
    keys: &Keys,
    asked: &Origin,
    options: &Options,
    now: u64,
) -> Resolution {
    let cookie = |name: &str| cookie(headers, &format!("{}{name}", options.cookie_prefix));
    let find = |credential: Credential| (world.find(&credential, now), credential);
    let access = |token: &str| access_token(token, keys, asked, now).map(find);
    let session_cookie = cookie("session");
    let attempts = [
        ("bearer", bearer(headers).and_then(access)),
        ("app_session", cookie("app_session").map(|value| find(Credential::AppSession(value.into())))),
        ("app_access_token", cookie("app_access_token").and_then(access)),
        ("session", session_cookie.map(|value| find(Credential::Session(value.into())))),
    ];
    for (by, found) in attempts {
        match found {
            Some((Found::Session(session), credential)) => {
                return Resolution::Valid(session, by, credential);
            }
            // No other credential is tried then.
            Some((Found::Barred, _)) => {
                return Resolution::Invalid { clear_cookie: session_cookie.is_some() };
            }
            Some((Found::Nothing, _)) | None => {}
        }
    }
    match session_cookie {
        Some(_) => Resolution::Invalid { clear_cookie: true },
        None => Resolution::NoSession,
    }
}

impl Resolution {
    /// The same about the user that `known` makes of its user.
    pub(super) fn of_user(mut self, known: impl FnOnce(&User) -> User) -> Self {
        if let Self::Valid(session, ..) = &mut self {
            session.1 = known(&session.1);
        }
        self
    }

    /// The answer's headers, in a fixed order. `asked` is the origin of the request, and
    /// `turn` counts answers to rotate the roles.
    pub(super) fn headers(
        &self,
        options: &Options,
        asked: &Origin,
        turn: &AtomicUsize,
    ) -> Vec<(String, String)> {
        let (grant, user) = match self {
            Self::NoSession => return vec![],
            Self::Invalid { clear_cookie } => {
                let mut headers = vec![(name("session-valid"), "false".to_owned())];
                headers.extend(clear_cookie.then(|| clearing("session", options, asked)));
                return headers;
            }
            Self::Valid(session, ..) => (&session.0, &session.1),
        };
        let mut headers = vec![
            (name("session-valid"), "true".to_owned()),
            (name("user-id"), user.id.clone()),
            (name("user-anonymous"), user.anonymous.to_string()),
            (name("user-verified"), user.verified.to_string()),
            (name("user-can-reauthenticate"), user.can_reauthenticate.to_string()),
        ];
        let mut roles = user.roles.clone();
        if !roles.is_empty() {
            if options.vary_role_order {
                let by = turn.fetch_add(1, Ordering::Relaxed) % roles.len();
                roles.rotate_left(by);
            }
            headers.push((name("user-roles"), roles.join(",")));
        }
        headers.push((name("session-amr"), grant.amr.join(" ")));
        headers
            .extend(grant.authenticated_at.map(|time| (name("session-authenticated-at"), time.to_string())));
        if options.session_acr {
            headers.push((
                name("session-acr"),
                "http://schemas.openid.net/pape/policies/2007/06/multi-factor".into(),
            ));
        }
        headers
    }

    /// A description for the log, without credentials.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::NoSession => "no session".into(),
            Self::Invalid { .. } => "session-valid=false".into(),
            Self::Valid(session, by, _) => format!("user={} by={by}", session.1.id.escape_debug()),
        }
    }
}

/// A cookie of the project, as set in the answer to a request for the origin `asked`.
pub(super) fn set_cookie(kind: &str, value: &str, options: &Options, asked: &Origin) -> (String, String) {
    cookie_line(kind, value, "", options, asked)
}

/// The same cookie, cleared.
pub(super) fn clearing(kind: &str, options: &Options, asked: &Origin) -> (String, String) {
    cookie_line(kind, "", "; Expires=Thu, 01 Jan 1970 00:00:00 GMT", options, asked)
}

fn cookie_line(
    kind: &str,
    value: &str,
    expires: &str,
    options: &Options,
    asked: &Origin,
) -> (String, String) {
    let domain =
        options.cookie_domain.as_ref().map(|domain| format!("; Domain={domain}")).unwrap_or_default();
    let secure = if asked.is_secure() { "; Secure" } else { "" };
    let name = format!("{}{kind}", options.cookie_prefix);
    (
        header::SET_COOKIE.to_string(),
        format!("{name}={value}; Path=/{domain}{expires}; HttpOnly{secure}; SameSite=Lax"),
    )
}

/// The value of the first cookie of this name in any `Cookie` line. As in the real server, quotes around a value are
/// dropped, and a value with bytes that RFC 6265 forbids is ignored.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let values = pairs.filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.filter_map(cookie_value).next()
}

/// The key by which an access token is stored: the token itself, or the `jti` of a JWT that this server signed for
/// the request's origin.
pub(super) fn access_token(token: &str, keys: &Keys, asked: &Origin, now: u64) -> Option<Credential> {
    if !token.contains('.') {
        return Some(Credential::Access(token.to_owned()));
    }
    let claims = keys.verify(token)?;
    let origin = asked.to_string();
    let for_us = match &claims["aud"] {
        serde_json::Value::Array(list) => list.iter().any(|audience| *audience == origin),
        single => *single == origin,
    };
    let live = claims["exp"].as_u64().is_some_and(|expires| now < expires);
    (for_us && live).then(|| Some(Credential::Access(claims["jti"].as_str()?.to_owned()))).flatten()
}

/// The token of the first `Authorization` line, if it is a bearer token (RFC 6750, section 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn cookie_value(value: &[u8]) -> Option<&str> {
    let unquoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    let allowed = |byte: &u8| matches!(byte, 0x20..0x7f) && !b"\";\\".contains(byte);
    unquoted.iter().all(allowed).then(|| std::str::from_utf8(unquoted).ok()).flatten()
}

fn name(short: &str) -> String {
    format!("x-authgear-{short}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name_in_any_line() {
        let lines: [&[u8]; 4] =
            [b"app_session=1; xsession=2", b"session=\xff;session=\"3\"", b"a; =b; c=d=e", b"session=4"];
        let headers: HeaderMap =
            lines.map(|line| (header::COOKIE, HeaderValue::from_bytes(line).unwrap())).into_iter().collect();
        for (name, expected) in [
            ("session", Some("3")),
            ("app_session", Some("1")),
            ("c", Some("d=e")),
            ("a", None),
            ("none", None),
        ] {
            assert_eq!(cookie(&headers, name), expected, "{name}");
        }
    }

    #[test]
    fn only_the_bearer_scheme_counts_in_any_case() {
        for (value, expected) in [
            ("Bearer t", Some("t")),
            ("bEARER t", Some("t")),
            ("Basic t", None),
            ("Bearer", None),
            ("DPoP t", None),
            ("Bearert", None),
            // Exactly one space.
            ("Bearer  t", Some(" t")),
            ("Bearer\tt", None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(bearer(&headers), expected, "{value}");
        }
    }
}
