//! The answer of a forward-auth server: who it is, or a denial to hand on. Accepting takes an answer without
//! fault; a denial stays one, whatever else is wrong with it.

use super::ForwardAuth;
use crate::auth_server::fault::Fault;
use crate::engine::denial;
use crate::http::header::{self, Pattern, is_value};
use crate::http::{CallError, Fields, OwnedField, Reply, Response};

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 2xx: the request may pass.
    Accepted(Accepted),
    /// It may not.
    Denied(Denied),
    /// The server refused the call as such, with this status (too large, malformed): the client's doing.
    Refused(u16),
    /// Nothing that could be used.
    Failed(Fault),
}

/// An accepting answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The identity headers of the answer, for the app; one value a name.
    pub identity: Fields,
    /// The values of its `Set-Cookie` headers, for the client.
    pub cookies: Vec<Vec<u8>>,
}

/// A denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What kind of denial the server gave.
    pub reason: Reason,
    /// The answer to the client, as the server gave it.
    pub reply: Reply,
}

/// What kind of denial a server gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// 401.
    Unauthenticated,
    /// 403.
    Forbidden,
    /// 3xx with a `Location`.
    Redirected,
}

/// Reads an answer.
#[must_use]
pub fn read(forward_auth: &ForwardAuth, answer: Result<Response, CallError>) -> Answer {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Answer::Failed(Fault::Call(error)),
    };
    let reason = match response.status {
        200..=299 => {
            return match accepted(forward_auth, &response.fields) {
                Ok(accepted) => Answer::Accepted(accepted),
                Err(problem) => Answer::Failed(Fault::Answer(problem)),
            };
        }
        401 => Reason::Unauthenticated,
        403 => Reason::Forbidden,
        // 304 answers a condition, and none was sent.
        300..=303 | 305..=399
            if response.fields.iter().any(|(name, value)| is_location(name) && !value.is_empty()) =>
        {
            Reason::Redirected
        }
        status @ (400 | 413 | 414 | 431) => return Answer::Refused(status),
        status => return Answer::Failed(Fault::Status(status)),
    };
    Answer::Denied(Denied { reason, reply: relayed(forward_auth, reason, response) })
}

fn accepted(forward_auth: &ForwardAuth, fields: &Fields) -> Result<Accepted, &'static str> {
    let (mut identity, mut cookies) = (Fields::default(), Vec::new());
    for (name, value) in fields.iter() {
        let is_cookie = name == b"set-cookie";
        let is_identity = !is_cookie && is_listed(&forward_auth.identity_headers, name);
        if !is_cookie && !is_identity {
            continue;
        }
        if !is_value(value) {
            return Err("a header of it has a control character");
        }
        if is_cookie {
            cookies.push(value.to_vec());
        } else if identity.iter().any(|(known, _)| header::is_same(known, name)) {
            // Apps take the first, the last or all of them for one; only the server knows what it means.
            return Err("it has an identity header twice; several values have to be one header, as `a,b`");
        } else {
            identity.push(name, value);
        }
    }
    Ok(Accepted { identity, cookies })
}

/// A denial for the client. Headers that cannot be handed on are left out: it is a denial without them too.
fn relayed(forward_auth: &ForwardAuth, reason: Reason, response: Response) -> Reply {
    let Response { status, fields, body } = response;
    let is_relayed =
        |name: &[u8]| is_listed(&forward_auth.client_headers, name) && !header::is_hop_by_hop(name);
    // Nobody can read a body whose coding is not told.
    let is_coded = fields.iter().any(|(name, _)| name == b"content-encoding" && !is_relayed(name));
    let has_body = forward_auth.relay_body && !body.is_empty() && !is_coded;
    let mut relayed: Vec<OwnedField> = fields
        .iter()
        .filter(|(name, value)| {
            is_relayed(name) && is_value(value) && (has_body || !name.starts_with(b"content-"))
        })
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    let locations = relayed.iter().filter(|(name, _)| is_location(name)).count();
    let status = match reason {
        Reason::Unauthenticated | Reason::Forbidden => status,
        Reason::Redirected if locations == 1 => status,
        // A way that is not clear, or that must not be shown, leads nowhere.
        Reason::Redirected => {
            relayed.retain(|(name, _)| !is_location(name));
            401
        }
    };
    if !relayed.iter().any(|(name, _)| name == b"cache-control") {
        relayed.push((b"cache-control".to_vec(), b"no-store".to_vec()));
    }
    if has_body {
        return Reply { status, fields: relayed, body, grpc: None };
    }
    let body = match reason {
        Reason::Unauthenticated | Reason::Redirected => {
            denial::body("unauthorized", "the authentication service knows no valid session")
        }
        Reason::Forbidden => {
            denial::body("forbidden", "the authentication service does not allow this request")
        }
    };
    relayed.push((b"content-type".to_vec(), b"application/json".to_vec()));
    Reply { status, fields: relayed, body, grpc: None }
}

fn is_location(name: &[u8]) -> bool {
    name == b"location"
}

fn is_listed(patterns: &[Pattern], name: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(more: &Value) -> ForwardAuth {
        let mut config = json!({"url": "http://auth/", "upstream": "auth",
            "identity_headers": ["authorization", "x-user-id", "x-auth-*"]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ForwardAuth::for_tests(config)
    }

    fn listed(fields: &[(&str, &str)]) -> Fields {
        fields.iter().copied().collect()
    }

    fn answered_with(more: &Value, status: u16, fields: &[(&str, &str)], body: &str) -> Answer {
        let response = Response { status, fields: listed(fields), body: body.as_bytes().to_vec() };
        read(&config(more), Ok(response))
    }

    fn answered(status: u16, fields: &[(&str, &str)], body: &str) -> Answer {
        answered_with(&json!({}), status, fields, body)
    }

    fn denied(answer: Answer) -> (Reason, u16, Vec<(String, String)>, String) {
        let Answer::Denied(Denied { reason, reply }) = answer else { panic!("{answer:?}") };
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let fields = reply.fields.into_iter().map(|(name, value)| (text(name), text(value))).collect();
        (reason, reply.status, fields, text(reply.body))
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const NO_STORE: (&str, &str) = ("cache-control", "no-store");
    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn an_accepting_answer_gives_its_identity_headers_and_cookies_and_nothing_else() {
        for status in [200, 201, 202, 204, 206, 299] {
            let found = answered(
                status,
                &[
                    ("x-user-id", "alice"),
                    ("x-user-name", "no"),
                    ("authorization", "Bearer jwt"),
                    ("x-auth-roles", "a,b"),
                    ("set-cookie", "a=1"),
                    ("set-cookie", "b=2"),
                    ("content-type", "text/plain"),
                    ("location", "/elsewhere"),
                    ("connection", "close"),
                ],
                "Authenticated successfully",
            );
            let identity = [("x-user-id", "alice"), ("authorization", "Bearer jwt"), ("x-auth-roles", "a,b")];
            let accepted = Accepted {
                identity: identity.into_iter().collect(),
                cookies: vec![b"a=1".to_vec(), b"b=2".to_vec()],
            };
            assert_eq!(found, Answer::Accepted(accepted));
        }
    }

    #[test]
    fn an_identity_that_is_not_clear_is_none() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("x-user-id", "guest\r\nx-user1: admin")], "control"),
            (&[("x-auth-roles", "a\nb")], "control"),
            (&[("x-user-id", "a\0")], "control"),
            (&[("set-cookie", "a\r\nb")], "control"),
            (&[("x-user-id", "alice"), ("x-user-id", "admin")], "twice"),
            (&[("x-auth-groups", "a"), ("x-auth-groups", "b")], "twice"),
            (&[("x-user-id", "alice"), ("x_user_id", "admin")], "twice"),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer a")], "twice"),
        ];
        for (fields, expected) in cases {
            match answered(200, fields, "") {
                Answer::Failed(Fault::Answer(problem)) => assert!(problem.contains(expected), "{problem}"),
                other
                @ (Answer::Accepted(_) | Answer::Denied(_) | Answer::Refused(_) | Answer::Failed(_)) => {
                    panic!("{fields:?}: {other:?}")
                }
            }
        }
        let elsewhere = answered(200, &[("x-other", "a\r\nb"), ("x-other", "c")], "");
        assert_eq!(
            elsewhere,
            Answer::Accepted(Accepted { identity: Fields::default(), cookies: vec![] }),
            "not copied"
        );
    }

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
        assert_eq!(denied(answer), (Reason::Unauthenticated, 401, pairs(&expected), "<p>?".to_owned()));
    }

    #[test]
    fn a_denial_without_a_body_gets_one_that_says_what_it_is() {
        let kept = [("content-type", "text/html"), ("content-encoding", "gzip"), ("content-language", "de")];
        let listed = json!({"client_headers": ["content-type", "content-encoding", "content-language"]});
        let silent = json!({"relay_body": false, "client_headers": ["content-type"]});
        for (more, body) in [(&listed, ""), (&silent, "secret")] {
            let (reason, status, fields, body) = denied(answered_with(more, 403, &kept, body));
            assert_eq!((reason, status, fields), (Reason::Forbidden, 403, pairs(&[NO_STORE, JSON])));
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
                assert_eq!((reason, found), (Reason::Redirected, status));
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
            (&hidden, &[("location", "/a")]),
        ];
        for (more, fields) in cases {
            let (reason, status, fields, _) = denied(answered_with(more, 302, fields, ""));
            assert_eq!((reason, status, fields), (Reason::Redirected, 401, pairs(&[NO_STORE, JSON])));
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

    #[test]
    fn what_the_request_caused_is_told_from_what_the_auth_server_did() {
        let identity = [("x-user-id", "alice")];
        for status in [400, 413, 414, 431] {
            assert_eq!(answered(status, &identity, ""), Answer::Refused(status), "{status}");
        }
        for status in [0, 100, 101, 199, 304, 402, 404, 405, 407, 429, 500, 502, 503, 504, 999] {
            assert_eq!(answered(status, &identity, ""), Answer::Failed(Fault::Status(status)));
        }
        for fields in [&[][..], &[("location", "")], &[("x-location", "/a")]] {
            assert_eq!(answered(302, fields, ""), Answer::Failed(Fault::Status(302)), "{fields:?}");
        }
        assert_eq!(answered(304, &[("location", "/a")], ""), Answer::Failed(Fault::Status(304)));
        for error in [CallError::NotSent, CallError::NoAnswer, CallError::TooLarge] {
            assert_eq!(read(&config(&json!({})), Err(error)), Answer::Failed(Fault::Call(error)));
        }
    }
}
