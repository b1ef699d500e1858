//! Authgear's resolver: turns a request's credentials into a call, and the answer into a session or none. Knows the
//! server's behaviour, and decides nothing about the request.

use std::rc::Rc;
use std::time::Duration;

use super::Resolver;
use super::identity::{self, SESSION_VALID, USER_ID};
use crate::auth_server::fault::{Fault, Unusable};
use crate::auth_server::forwarded::{self, can_inform};
use crate::auth_server::{Answer, Holder, Inputs, Said, Scope, Session, set_cookies};
use crate::cache::{Key, Part};
use crate::http::credential::{Credentials, Secret};
use crate::http::header::{self, is_value};
use crate::http::{Call, CallError, Fields, Head, Response, ResponseEdits, WantedBody};

/// The resolver's path on a project's public origin.
pub const PATH: &str = "/_resolver/resolve";

/// The most characters of a User-Agent that a confirmation carries.
const MAX_USER_AGENT: usize = 512;

/// Adds the bearer token and the three cookies, each with its name. The resolver reads nothing else.
pub fn key(credentials: Credentials<'_>, key: &mut Key) -> Inputs {
    if let Some(token) = credentials.bearer {
        key.push(Part::Bearer, token.reveal());
    }
    for (name, value) in credentials.cookies.iter() {
        key.push(Part::Cookie(name), value.reveal());
    }
    Inputs { identify: true, hold_credential: true }
}

/// Builds the call that asks the resolver who a request is from. It is built from scratch: nothing of the request is
/// included except what is listed here.
#[must_use]
pub fn call(resolver: &Resolver, timeout: Duration, head: &Head<'_>, credentials: Credentials<'_>) -> Call {
    let Credentials { bearer, cookies } = credentials;
    let mut fields = addressed(resolver, head);
    for name in [b"user-agent".as_slice(), b"traceparent", b"tracestate", b"x-request-id"] {
        // These are optional.
        if let Some(value) = head.values(name).next().filter(|value| can_inform(value)) {
            fields.push(name, value);
        }
    }
    if let Some(token) = bearer {
        push_token(&mut fields, token);
    }
    if !cookies.is_empty() {
        let pairs = cookies.iter().enumerate().flat_map(|(index, (name, value))| {
            let separator = if index == 0 { b"".as_slice() } else { b"; " };
            [separator, name, b"=", value.reveal()]
        });
        fields.push_parts(b"cookie", pairs);
    }
    finished(resolver, timeout, fields)
}

/// The question whether the resolver still knows a token that was verified here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The call. It carries only the client's token, address and a short User-Agent, so that nothing else from the
    /// client can make it fail.
    pub call: Call,
    /// The same call without the User-Agent, in case the resolver, or a firewall before it, refuses that.
    pub plain: Option<Call>,
}

/// Returns the calls that confirm a token.
#[must_use]
pub fn confirmation(
    resolver: &Resolver,
    timeout: Duration,
    head: &Head<'_>,
    token: Secret<'_>,
) -> Confirmation {
    let mut fields = addressed(resolver, head);
    push_token(&mut fields, token);
    let plain = finished(resolver, timeout, fields.clone());
    let user_agent = head
        .values(b"user-agent")
        .next()
        .filter(|value| !value.is_empty() && value.iter().all(|byte| matches!(byte, b' '..=b'~')));
    let Some(user_agent) = user_agent else { return Confirmation { call: plain, plain: None } };
    fields.push(b"user-agent", user_agent.get(..MAX_USER_AGENT).unwrap_or(user_agent));
    Confirmation { call: finished(resolver, timeout, fields), plain: Some(plain) }
}

/// Returns the headers that address a call.
fn addressed(resolver: &Resolver, head: &Head<'_>) -> Fields {
    let Resolver { endpoint, server, .. } = resolver;
    let mut fields = Fields::with_room(14, 2048);
    fields.push(b":method", b"GET");
    fields.push(b":scheme", server.url.scheme().as_str().as_bytes());
    fields.push(b":authority", endpoint.authority().as_bytes());
    fields.push(b":path", server.url.path().as_bytes());
    // These choose the project. A client's own host there would name another tenant, or none.
    fields.push(b"x-forwarded-host", endpoint.authority().as_bytes());
    fields.push(b"x-forwarded-proto", endpoint.scheme().as_str().as_bytes());
    if let Some(address) = forwarded::client_address(head) {
        fields.push(b"x-forwarded-for", address.as_bytes());
    }
    fields
}

fn push_token(fields: &mut Fields, token: Secret<'_>) {
    fields.push_parts(b"authorization", [b"Bearer ", token.reveal()]);
}

fn finished(resolver: &Resolver, timeout: Duration, fields: Fields) -> Call {
    Call { upstream: resolver.server.upstream.clone(), fields, form: None, timeout, body: WantedBody::None }
}

/// Reads an answer. It counts as a session only if it says so without contradiction. Its `Set-Cookie` clears a bad
/// cookie, so it belongs to the credential and goes to everyone who sent it.
///
/// # Errors
///
/// Fails if there is no usable answer.
pub fn read(result: Result<Response, CallError>) -> Result<Answer, Fault> {
    let response = result.map_err(Fault::Call)?;
    match response.status {
        200 => answer(&response.fields).map_err(Fault::Unusable),
        status => Err(Fault::Status(status)),
    }
}

fn answer(fields: &Fields) -> Result<Answer, Unusable> {
    let (mut identity, mut cookies) = (Fields::with_room(16, 512), Vec::new());
    for (name, value) in fields.iter() {
        let ours = identity::is_authgears(name);
        if !ours && name != b"set-cookie" {
            continue;
        }
        if !is_value(value) {
            return Err(Unusable::ControlCharacter);
        }
        if !ours {
            cookies.push(value.to_vec());
        } else if identity.iter().any(|(known, _)| header::is_same(known, name)) {
            // Many apps read `X_Authgear_User_Id` as the same name: two values would be two users.
            return Err(Unusable::IdentityTwice);
        } else {
            identity.push(name, value);
        }
    }
    // In any spelling, because some apps read them all.
    let told =
        |wanted| identity.iter().find(|(name, _)| header::is_same(name, wanted)).map(|(_, value)| value);
    let said = match (told(SESSION_VALID), told(USER_ID)) {
        (Some(b"true"), Some(user)) if !user.is_empty() => {
            let holder = Holder::User(user.into());
            let facts = identity::facts(&identity, &[]);
            Said::Session(Session {
                identity: Rc::new(identity),
                facts: Rc::new(facts),
                holder,
                issuer: None,
            })
        }
        (Some(b"true"), _) => return Err(Unusable::NoUser),
        (Some(b"false") | None, None) => Said::NoSession(Rc::new(identity)),
        (Some(b"false") | None, Some(_)) => return Err(Unusable::NoSession),
        (Some(_), _) => return Err(Unusable::SessionValid),
    };
    let respond = ResponseEdits { add: set_cookies(cookies), ..ResponseEdits::default() };
    Ok(Answer { said, ends: None, respond, scope: Scope::Everyone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth_server::forwarded::MAX_INFORMATIVE;
    use crate::config::Config;
    use crate::http::Field;
    use crate::http::credential::Cookies;
    use crate::http::place::{Found, Place};

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
        let found = Place::bearer().find(&head);
        let bearer = match &found {
            Found::Token(token) => Some(token.secret()),
            Found::Nothing | Found::Unclear => None,
        };
        let credentials = Credentials { bearer, cookies: Cookies::of(&head, resolver.cookies.all()) };
        let call = call(resolver, config.timeout, &head, credentials);
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
            (b"authorization", b"bearer abc"),
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

    fn answer(status: u16, fields: &[(&str, &str)]) -> Result<Answer, Fault> {
        read(Ok(Response { status, fields: fields.iter().copied().collect(), body: vec![] }))
    }

    #[test]
    fn a_session_is_one_only_when_the_answer_says_so_without_contradiction() {
        const VALID: (&str, &str) = ("x-authgear-session-valid", "true");
        const INVALID: (&str, &str) = ("x-authgear-session-valid", "false");
        const USER: (&str, &str) = ("x-authgear-user-id", "u");
        let valid = || Some(Some(b"u".as_slice()));
        let cases: &[(&[(&str, &str)], Option<Option<&[u8]>>)] = &[
            (&[VALID, USER], valid()),
            (&[USER, ("x-authgear-of-tomorrow", "x"), VALID], valid()),
            (&[INVALID], Some(None)),
            (&[], Some(None)),
            (&[("content-type", "text/html")], Some(None)),
            (&[VALID], None),
            (&[VALID, ("x-authgear-user-id", "")], None),
            (&[INVALID, USER], None),
            (&[USER], None),
            (&[("x_authgear_user_id", "u")], None),
            (&[INVALID, ("x.authgear.user.id", "u")], None),
            (&[("x_authgear_session_valid", "true")], None),
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
            let found = answer(200, fields);
            let found = match &found {
                Ok(Answer { said: Said::Session(Session { holder: Holder::User(user), .. }), .. }) => {
                    Some(Some(&**user))
                }
                Ok(Answer { said: Said::NoSession(_), .. }) => Some(None),
                Err(Fault::Unusable(_)) => None,
                other @ (Ok(_) | Err(_)) => panic!("{fields:?}: {other:?}"),
            };
            assert_eq!(found, *expected, "{fields:?}");
        }
    }

    #[test]
    fn all_identity_headers_and_cookies_of_an_answer_are_kept_and_nothing_else() {
        let found = answer(
            200,
            &[
                ("server", "authgear"),
                ("x-authgear-session-valid", "false"),
                ("set-cookie", "session=; Max-Age=0"),
                ("x-authgear-of-tomorrow", "x"),
                ("set-cookie", "b=c"),
                ("x-authgear", "no"),
            ],
        )
        .unwrap();
        let Said::NoSession(identity) = found.said else { panic!("{:?}", found.said) };
        let bytes = |text: &str| text.as_bytes().to_vec();
        assert_eq!(
            *identity,
            [
                (bytes("x-authgear-session-valid"), bytes("false")),
                (bytes("x-authgear-of-tomorrow"), bytes("x"))
            ]
            .into_iter()
            .collect()
        );
        assert_eq!(found.respond.add, set_cookies(vec![bytes("session=; Max-Age=0"), bytes("b=c")]));
        assert_eq!(found.scope, Scope::Everyone);
    }

    #[test]
    fn only_200_is_an_answer() {
        for status in
            [0, 100, 201, 204, 301, 307, 400, 401, 403, 404, 405, 413, 414, 429, 431, 500, 502, 503, 504, 999]
        {
            let with_session = [("x-authgear-session-valid", "true"), ("x-authgear-user-id", "u")];
            let fault = answer(status, &with_session).unwrap_err();
            assert_eq!(fault, Fault::Status(status));
            assert_eq!(fault.may_be_provoked(), (400..500).contains(&status), "{status}");
        }
        for error in [CallError::NotSent, CallError::NoAnswer, CallError::TooLarge] {
            assert_eq!(read(Err(error)), Err(Fault::Call(error)));
        }
    }

    #[test]
    fn a_confirmation_carries_the_token_the_address_and_a_short_user_agent() {
        let config = config();
        let resolver = config.resolver().unwrap();
        let long = [b'x'; 20_000];
        let cases: &[(&[u8], Option<&[u8]>)] = &[
            (b"curl/8", Some(b"curl/8")),
            (&long, Some(&long[..512])),
            (b"a\tb", None),
            (b"caf\xc3\xa9", None),
            (b"", None),
        ];
        for (user_agent, expected) in cases {
            let fields: &[Field<'_>] = &[
                (b"user-agent", user_agent),
                (b"authorization", b"Bearer abc"),
                (b"cookie", b"p_session=s"),
                (b"x-forwarded-for", b"203.0.113.7"),
                (b"traceparent", b"00-1-2-01"),
                (b"x-request-id", &long),
            ];
            let head = Head {
                method: b"GET",
                scheme: b"https",
                authority: b"app",
                path: b"/",
                fields,
                client_address: &|| Some([192, 0, 2, 1].into()),
            };
            let Found::Token(token) = Place::bearer().find(&head) else { panic!() };
            let Confirmation { call, plain } = confirmation(resolver, config.timeout, &head, token.secret());
            let names = |call: &Call| {
                let names = call.fields.iter().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap());
                names.skip(6).collect::<Vec<_>>()
            };
            assert_eq!(call.fields.value(b"user-agent"), *expected);
            assert_eq!(plain.is_some(), expected.is_some());
            assert_eq!(names(&plain.unwrap_or_else(|| call.clone())), ["x-forwarded-for", "authorization"]);
            assert_eq!(call.fields.value(b"x-forwarded-for"), Some(b"192.0.2.1".as_slice()));
            assert_eq!(call.fields.value(b"authorization"), Some(b"Bearer abc".as_slice()));
        }
    }
}
