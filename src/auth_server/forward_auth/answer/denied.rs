//! A denial, and the parts of it for the client.

use super::is_listed;
use crate::auth_server::forward_auth::ForwardAuth;
use crate::http::error_code::ErrorCode;
use crate::http::header::{self, is_value};
use crate::http::{OwnedField, Reply, Response};

/// A denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The kind of the denial.
    pub kind: DenialKind,
    /// The status of the server's answer.
    pub status: u16,
    /// The answer to the client, from the server.
    pub reply: Reply,
}

impl Denied {
    /// Returns whether it sets a cookie.
    #[must_use]
    pub fn sets_cookie(&self) -> bool {
        self.reply.fields.iter().any(|(name, _)| name == b"set-cookie")
    }
}

/// The kind of a server's denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialKind {
    /// 401.
    Unauthenticated,
    /// 403.
    Forbidden,
    /// 3xx with a `Location`.
    Redirected,
    /// Another 4xx: the server did not understand the request, or is not the intended one.
    Other,
}

/// Builds a denial for the client. Headers that cannot be relayed are left out, and it is still a denial.
pub(super) fn relayed(forward_auth: &ForwardAuth, kind: DenialKind, response: Response) -> Reply {
    let Response { status, fields, body } = response;
    let is_relayed =
        |name: &[u8]| is_listed(&forward_auth.client_headers, name) && !header::is_hop_by_hop(name);
    // A body with an unknown coding is unreadable.
    let is_coded = fields.iter().any(|(name, _)| name == b"content-encoding" && !is_relayed(name));
    let has_body = forward_auth.relay_body && !body.is_empty() && !is_coded;
    let mut relayed: Vec<OwnedField> = fields
        .iter()
        .filter(|(name, value)| {
            is_relayed(name) && is_value(value) && (has_body || !name.starts_with(b"content-"))
        })
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    let mut ways = relayed.iter().filter(|(name, _)| is_location(name));
    let is_clear = matches!((ways.next(), ways.next()), (Some((_, to)), None) if !to.is_empty());
    let status = match (kind, status) {
        // An unclear location, or one that must not be shown, leads nowhere.
        (DenialKind::Redirected, _) if !is_clear => {
            relayed.retain(|(name, _)| !is_location(name));
            401
        }
        // nginx closes the connection instead of answering with these.
        (_, 444 | 499) => 403,
        (_, status) => status,
    };
    if !relayed.iter().any(|(name, _)| name == b"cache-control") {
        relayed.push((b"cache-control".to_vec(), b"no-store".to_vec()));
    }
    if has_body {
        return Reply { status, fields: relayed, body, grpc: None };
    }
    let message = match kind {
        DenialKind::Unauthenticated | DenialKind::Redirected => {
            "the authentication service knows no valid session"
        }
        DenialKind::Forbidden => "the authentication service does not allow this request",
        DenialKind::Other => "the authentication service refuses this request",
    };
    relayed.push((b"content-type".to_vec(), b"application/json".to_vec()));
    Reply { status, fields: relayed, body: ErrorCode::of_status(status).body(message), grpc: None }
}

pub(super) fn is_location(name: &[u8]) -> bool {
    name == b"location"
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{answered, answered_with, denied};
    use super::*;

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const NO_STORE: (&str, &str) = ("cache-control", "no-store");
    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn a_denial_is_handed_on_with_its_allowed_headers_repeated_ones_apart_and_its_body() {
        let answer = answered(
            401,
            &[
                ("www-authenticate", "Basic realm=\"a\""),
                ("content-length", "4"),
                ("content-type", "text/html"),
                ("www-authenticate", "Bearer"),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("transfer-encoding", "chunked"),
                ("connection", "close"),
                ("server", "auth"),
                ("x-user-id", "alice"),
            ],
            "<p>?",
        );
        let expected = [
            ("www-authenticate", "Basic realm=\"a\""),
            ("content-type", "text/html"),
            ("www-authenticate", "Bearer"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            NO_STORE,
        ];
        assert_eq!(denied(answer), (DenialKind::Unauthenticated, 401, pairs(&expected), "<p>?".to_owned()));
    }

    #[test]
    fn a_denial_without_a_body_gets_one_that_says_what_it_is() {
        let kept = [("content-type", "text/html"), ("content-encoding", "gzip"), ("content-language", "de")];
        let listed = json!({"client_headers": ["content-type", "content-encoding", "content-language"]});
        let silent = json!({"relay_body": false, "client_headers": ["content-type"]});
        for (more, body) in [(&listed, ""), (&silent, "secret")] {
            let (reason, status, fields, body) = denied(answered_with(more, 403, &kept, body));
            assert_eq!((reason, status, fields), (DenialKind::Forbidden, 403, pairs(&[NO_STORE, JSON])));
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["error"], "forbidden");
        }
        let (.., body) = denied(answered(401, &[], ""));
        assert!(body.contains("\"unauthorized\""), "{body}");
        let (_, _, fields, body) = denied(answered_with(&listed, 403, &kept, "zipped"));
        assert_eq!((fields.len(), body.as_str()), (4, "zipped"));
        let (_, _, fields, body) = denied(answered(403, &kept, "zipped"));
        assert_eq!(
            (fields, body.contains("forbidden")),
            (pairs(&[NO_STORE, JSON]), true),
            "nobody could read it"
        );
    }

    #[test]
    fn a_redirect_is_handed_on_with_its_location_as_it_is() {
        for status in [301, 302, 303, 307, 308] {
            for location in
                ["/authenticate?redirect=/a", "login", "https://login.example/?rd=https%3A%2F%2Fa"]
            {
                let (reason, found, fields, body) = denied(answered(status, &[("location", location)], ""));
                assert_eq!((reason, found), (DenialKind::Redirected, status));
                assert_eq!(fields, pairs(&[("location", location), NO_STORE, JSON]));
                assert!(!body.is_empty());
            }
        }
    }

    #[test]
    fn a_redirect_that_leads_nowhere_clear_is_a_plain_401() {
        let hidden = json!({"client_headers": ["set-cookie"]});
        let defaults = json!({});
        let cases: &[(&Value, &[(&str, &str)])] = &[
            (&defaults, &[("location", "/a\r\nset-cookie: b")]),
            (&defaults, &[("location", "/a"), ("location", "https://evil.example/")]),
            // An empty one leads to the page that was asked for, and so round and round.
            (&defaults, &[("location", ""), ("location", "/a\r\nset-cookie: b")]),
            (&hidden, &[("location", "/a")]),
        ];
        for (more, fields) in cases {
            let (reason, status, fields, _) = denied(answered_with(more, 302, fields, ""));
            assert_eq!((reason, status, fields), (DenialKind::Redirected, 401, pairs(&[NO_STORE, JSON])));
        }
    }

    #[test]
    fn a_denial_stays_one_whatever_else_is_wrong_with_it() {
        for status in [401, 403] {
            let odd = [("www-authenticate", "a\r\nb: c"), ("set-cookie", "a\0"), ("x-user-id", "a\nb")];
            let (_, found, fields, _) = denied(answered(status, &odd, ""));
            assert_eq!((found, fields), (status, pairs(&[NO_STORE, JSON])));
        }
    }

    #[test]
    fn framing_is_not_handed_on_even_where_a_beginning_of_names_means_it() {
        let more = json!({"client_headers": ["content-*", "proxy-*", "keep-*", "x-*", "cache-control"]});
        let fields = [
            ("content-length", "3"),
            ("content-type", "text/plain"),
            ("content_length", "4"),
            ("proxy-authenticate", "x"),
            ("keep-alive", "x"),
            ("x-reason", "y"),
            ("cache-control", "private"),
        ];
        let (_, _, fields, _) = denied(answered_with(&more, 403, &fields, "no!"));
        let expected = [("content-type", "text/plain"), ("x-reason", "y"), ("cache-control", "private")];
        assert_eq!(fields, pairs(&expected));
    }
}
