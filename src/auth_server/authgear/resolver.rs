//! Authgear's resolver: a request's credentials → the call that asks about them; the answer → a session, or
//! none. Knows the server's behaviour, decides nothing about the request.

use std::time::Duration;

use super::Resolver;
use crate::auth_server::authgear::identity::{self, SESSION_VALID, USER_ID};
use crate::auth_server::fault::Fault;
use crate::auth_server::forwarded::{self, can_inform};
use crate::http::credential::{Authorization, Credentials};
use crate::http::header::{self, is_value};
use crate::http::{Call, CallError, Fields, Head, Response, WantedBody};

/// The call that asks the resolver who a request is from, built from scratch: nothing of the request goes
/// along but what stands here.
#[must_use]
pub fn call(resolver: &Resolver, timeout: Duration, head: &Head<'_>, credentials: Credentials<'_>) -> Call {
    let Credentials { authorization, cookies } = credentials;
    let Resolver { endpoint, server, .. } = resolver;
    let mut fields = Fields::with_room(14, 2048);
    fields.push(b":method", b"GET");
    fields.push(b":scheme", server.url.scheme().as_str().as_bytes());
    fields.push(b":authority", endpoint.authority().as_bytes());
    fields.push(b":path", server.url.path().as_bytes());
    // The project is chosen by these; a client's own host there would be another tenant, or none.
    fields.push(b"x-forwarded-host", endpoint.authority().as_bytes());
    fields.push(b"x-forwarded-proto", endpoint.scheme().as_str().as_bytes());
    // For what the call can do without.
    let mut inform = |name, value: Option<&[u8]>| {
        if let Some(value) = value.filter(|value| can_inform(value)) {
            fields.push(name, value);
        }
    };
    inform(b"x-forwarded-for", forwarded::client_address(head).as_deref().map(str::as_bytes));
    for name in [b"user-agent".as_slice(), b"traceparent", b"tracestate", b"x-request-id"] {
        inform(name, head.values(name).next());
    }
    if let Authorization::Bearer(token) = authorization {
        fields.push_parts(b"authorization", [b"Bearer ", token.reveal()]);
    }
    if !cookies.is_empty() {
        let pairs = cookies.iter().enumerate().flat_map(|(index, (name, value))| {
            let separator = if index == 0 { b"".as_slice() } else { b"; " };
            [separator, name, b"=", value.reveal()]
        });
        fields.push_parts(b"cookie", pairs);
    }
    Call { upstream: server.upstream.clone(), fields, timeout, body: WantedBody::None }
}

/// What the resolver says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whose request it is.
    pub session: Session,
    /// All identity headers of the answer, for the app.
    pub identity: Fields,
    /// The values of its `Set-Cookie` headers, for the client: they clear a cookie that is no good.
    pub cookies: Vec<Vec<u8>>,
}

/// Whether there is a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// A valid one.
    Valid {
        /// Whose; never empty.
        user: Vec<u8>,
    },
    /// None, or one that is valid no more.
    None,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Result {
    /// The resolver said who it is.
    Answered(Answer),
    /// The resolver refused the request as such, with this status (too large, malformed): the client's doing.
    Refused(u16),
    /// Nothing that could be used.
    Failed(Fault),
}

/// Reads an answer. It is a session only when it says so without contradiction: `unclear` is a fault.
#[must_use]
pub fn read(answer: std::result::Result<Response, CallError>) -> Result {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Result::Failed(Fault::Call(error)),
    };
    match response.status {
        200 => match session(&response.fields) {
            Ok(answer) => Result::Answered(answer),
            Err(problem) => Result::Failed(Fault::Answer(problem)),
        },
        status @ (400 | 413 | 414 | 431) => Result::Refused(status),
        status => Result::Failed(Fault::Status(status)),
    }
}

fn session(fields: &Fields) -> std::result::Result<Answer, &'static str> {
    let (mut identity, mut cookies) = (Fields::with_room(16, 512), Vec::new());
    for (name, value) in fields.iter() {
        let ours = identity::is_authgears(name);
        if !ours && name != b"set-cookie" {
            continue;
        }
        if !is_value(value) {
            return Err("a header of it has a control character");
        }
        if !ours {
            cookies.push(value.to_vec());
        } else if identity.iter().any(|(known, _)| header::is_same(known, name)) {
            // Many apps read `X_Authgear_User_Id` as the other: two values would be two users.
            return Err("it has an identity header twice");
        } else {
            identity.push(name, value);
        }
    }
    let session = match (identity.value(SESSION_VALID), identity.value(USER_ID)) {
        (Some(b"true"), Some(user)) if !user.is_empty() => Session::Valid { user: user.to_vec() },
        (Some(b"true"), _) => return Err("it has a valid session of no user"),
        (Some(b"false") | None, None) => Session::None,
        (Some(b"false") | None, Some(_)) => return Err("it has a user without a valid session"),
        (Some(_), _) => return Err("x-authgear-session-valid is neither true nor false"),
    };
    Ok(Answer { session, identity, cookies })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth_server::forwarded::MAX_INFORMATIVE;
    use crate::config::Config;
    use crate::http::Field;

    fn config() -> Config {
        Config::parse(
            br#"{"authgear": {"endpoint": "https://accounts.example.com", "upstream": "authgear", "mode": "resolver",
                "resolver_url": "http://resolver.internal:3001/resolve", "resolver_upstream": "resolver",
                "cookie_prefix": "p_"}, "timeout": "2s"}"#,
        )
        .unwrap()
    }

    fn call_for(fields: &[Field<'_>], address: Option<&str>) -> Vec<(String, String)> {
        let config = config();
        let address = address.map(|address| address.parse().unwrap());
        let head = Head {
            method: b"POST",
            scheme: b"https",
            authority: b"evil.example",
            path: b"/app?x=y",
            fields,
            client_address: &|| address,
        };
        let resolver = config.resolver().unwrap();
        let call = call(resolver, config.timeout, &head, Credentials::of(&head, Some(&resolver.cookies)));
        assert_eq!(
            (call.upstream.as_str(), call.timeout, call.body),
            ("resolver", config.timeout, WantedBody::None)
        );
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        call.fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn value(fields: &[(String, String)], name: &str) -> Option<String> {
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn the_call_holds_what_the_resolver_needs_and_nothing_else_of_the_request() {
        let fields: &[Field<'_>] = &[
            (b"user-agent", b"curl/8"),
            (b"authorization", b"bearer  abc"),
            (b"cookie", b"a=b; p_session=s1; session=other"),
            (b"cookie", b"p_app_session=s2"),
            (b"x-forwarded-for", b"203.0.113.7"),
            (b"traceparent", b"00-1-2-01"),
            (b"tracestate", b"v=1"),
            (b"x-request-id", b"r1"),
            (b"content-length", b"5"),
            (b"transfer-encoding", b"chunked"),
            (b"connection", b"upgrade"),
            (b"upgrade", b"websocket"),
            (b"expect", b"100-continue"),
            (b"host", b"evil.example"),
            (b"x-forwarded-host", b"evil.example"),
            (b"x-original-host", b"evil.example"),
            (b"x-forwarded-proto", b"gopher"),
            (b"x-authgear-user-id", b"admin"),
            (b"x-envoy-upstream-rq-timeout-alt-response", b"1"),
            (b"accept", b"*/*"),
        ];
        let expected = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "accounts.example.com"),
            (":path", "/resolve"),
            ("x-forwarded-host", "accounts.example.com"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "192.0.2.1"),
            ("user-agent", "curl/8"),
            ("traceparent", "00-1-2-01"),
            ("tracestate", "v=1"),
            ("x-request-id", "r1"),
            ("authorization", "Bearer abc"),
            ("cookie", "p_session=s1; p_app_session=s2"),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(call_for(fields, Some("192.0.2.1")), expected);
    }

    #[test]
    fn the_resolver_is_told_the_address_of_the_connection_and_never_what_the_client_says() {
        let cases: &[(&[&[u8]], Option<&str>)] = &[
            (&[], Some("192.0.2.1")),
            (&[b"203.0.113.7"], Some("192.0.2.1")),
            (&[b"a", b"b, c"], Some("2001:db8::1")),
            (&[b"203.0.113.7"], None),
            (&[], None),
        ];
        for (told, address) in cases {
            let fields: Vec<_> = told.iter().map(|value| (b"x-forwarded-for".as_slice(), *value)).collect();
            assert_eq!(
                value(&call_for(&fields, *address), "x-forwarded-for").as_deref(),
                *address,
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_header_that_only_informs_cannot_make_the_call_fail() {
        let long = vec![b'x'; MAX_INFORMATIVE + 1];
        for odd in [b"a\x01b".as_slice(), &long] {
            for name in [b"user-agent".as_slice(), b"traceparent", b"tracestate", b"x-request-id"] {
                let sent = call_for(&[(name, odd)], None);
                assert_eq!(value(&sent, std::str::from_utf8(name).unwrap()), None);
            }
        }
    }

    fn answer(status: u16, fields: &[(&str, &str)]) -> Result {
        read(Ok(Response { status, fields: fields.iter().copied().collect(), body: vec![] }))
    }

    #[test]
    fn a_session_is_one_only_when_the_answer_says_so_without_contradiction() {
        const VALID: (&str, &str) = ("x-authgear-session-valid", "true");
        const INVALID: (&str, &str) = ("x-authgear-session-valid", "false");
        const USER: (&str, &str) = ("x-authgear-user-id", "u");
        let valid = || Some(Session::Valid { user: b"u".to_vec() });
        let cases: &[(&[(&str, &str)], Option<Session>)] = &[
            (&[VALID, USER], valid()),
            (&[USER, ("x-authgear-of-tomorrow", "x"), VALID], valid()),
            (&[INVALID], Some(Session::None)),
            (&[], Some(Session::None)),
            (&[("content-type", "text/html")], Some(Session::None)),
            (&[VALID], None),
            (&[VALID, ("x-authgear-user-id", "")], None),
            (&[INVALID, USER], None),
            (&[USER], None),
            (&[("x-authgear-session-valid", "TRUE"), USER], None),
            (&[("x-authgear-session-valid", "")], None),
            (&[VALID, INVALID, USER], None),
            (&[VALID, VALID, USER], None),
            (&[VALID, USER, USER], None),
            (&[VALID, USER, ("x_authgear_user_id", "admin")], None),
            (&[VALID, USER, ("x.authgear.user.id", "u")], None),
            (&[VALID, USER, ("x-authgear-user-roles", "a\r\nx: y")], None),
            (&[INVALID, ("set-cookie", "a\nb")], None),
        ];
        for (fields, expected) in cases {
            let found = match answer(200, fields) {
                Result::Answered(answer) => Some(answer.session),
                Result::Failed(Fault::Answer(_)) => None,
                other @ (Result::Refused(_) | Result::Failed(_)) => panic!("{fields:?}: {other:?}"),
            };
            assert_eq!(found, *expected, "{fields:?}");
        }
    }

    #[test]
    fn all_identity_headers_and_cookies_of_an_answer_are_kept_and_nothing_else() {
        let Result::Answered(found) = answer(
            200,
            &[
                ("server", "authgear"),
                ("x-authgear-session-valid", "false"),
                ("set-cookie", "session=; Max-Age=0"),
                ("x-authgear-of-tomorrow", "x"),
                ("set-cookie", "b=c"),
                ("x-authgear", "no"),
            ],
        ) else {
            panic!("not read")
        };
        let bytes = |text: &str| text.as_bytes().to_vec();
        assert_eq!(
            found.identity,
            [
                (bytes("x-authgear-session-valid"), bytes("false")),
                (bytes("x-authgear-of-tomorrow"), bytes("x"))
            ]
            .into_iter()
            .collect()
        );
        assert_eq!(found.cookies, [bytes("session=; Max-Age=0"), bytes("b=c")]);
    }

    #[test]
    fn what_the_request_caused_is_told_from_what_the_auth_server_did() {
        for status in [400, 413, 414, 431] {
            assert_eq!(answer(status, &[]), Result::Refused(status), "{status}");
        }
        for status in [0, 100, 201, 204, 301, 307, 401, 403, 404, 405, 429, 500, 502, 503, 504, 999] {
            let with_session = [("x-authgear-session-valid", "true"), ("x-authgear-user-id", "u")];
            assert_eq!(answer(status, &with_session), Result::Failed(Fault::Status(status)));
        }
        for error in [CallError::NotSent, CallError::NoAnswer, CallError::TooLarge] {
            assert_eq!(read(Err(error)), Result::Failed(Fault::Call(error)));
        }
    }
}
