//! The answer of a forward-auth server: who it is, or a denial to relay. Accepting takes an answer without fault; a
//! denial stays one, whatever else is wrong with it.

use std::rc::Rc;

use super::ForwardAuth;
use crate::auth_server::fault::{Fault, Unusable};
use crate::auth_server::{Answer, Holder, Inputs, Said, Scope, Session, set_cookies};
use crate::http::error_code::ErrorCode;
use crate::http::header::{self, Pattern, is_value};
use crate::http::{CallError, Fields, OwnedField, Reply, Response, ResponseEdits};
use crate::rules::SessionFacts;

/// A denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What kind of denial it is.
    pub kind: DenialKind,
    /// The status that the server answered.
    pub status: u16,
    /// The answer to the client, as the server gave it.
    pub reply: Reply,
}

impl Denied {
    /// Whether the client is sent a cookie.
    #[must_use]
    pub fn sets_cookie(&self) -> bool {
        self.reply.fields.iter().any(|(name, _)| name == b"set-cookie")
    }
}

/// What kind of denial a server gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialKind {
    /// 401.
    Unauthenticated,
    /// 403.
    Forbidden,
    /// 3xx with a `Location`.
    Redirected,
    /// Another 4xx: the server could not make sense of the request, or is not the one that was meant.
    Other,
}

/// Reads an answer.
///
/// # Errors
///
/// There is no answer, or none that could be used.
pub fn read(
    forward_auth: &ForwardAuth,
    inputs: Inputs,
    result: Result<Response, CallError>,
) -> Result<Answer, Fault> {
    let response = result.map_err(Fault::Call)?;
    let kind = match response.status {
        200..=299 => return accepted(forward_auth, inputs, &response.fields).map_err(Fault::Unusable),
        401 => DenialKind::Unauthenticated,
        403 => DenialKind::Forbidden,
        // 304 answers a condition, and none was sent.
        300..=303 | 305..=399
            if response.fields.iter().any(|(name, value)| is_location(name) && !value.is_empty()) =>
        {
            DenialKind::Redirected
        }
        // 407 is a proxy's before the server.
        400..=406 | 408..=499 => DenialKind::Other,
        status => return Err(Fault::Status(status)),
    };
    let denied = Denied { kind, status: response.status, reply: relayed(forward_auth, kind, response) };
    let scope = if denied.sets_cookie() { Scope::AskerAlone } else { Scope::Everyone };
    Ok(Answer { said: Said::Denied(Rc::new(denied)), ends: None, respond: ResponseEdits::default(), scope })
}

fn accepted(forward_auth: &ForwardAuth, inputs: Inputs, fields: &Fields) -> Result<Answer, Unusable> {
    let (mut identity, mut roles) = (Fields::default(), Vec::new());
    let (mut replace, mut cookies, mut sets_cookie) = (Fields::default(), Vec::new(), false);
    // The names of what tells the app or the rules who asks.
    let mut telling: Vec<&[u8]> = Vec::new();
    for (name, value) in fields.iter() {
        let is_cookie = name == b"set-cookie";
        sets_cookie |= is_cookie;
        // Another spelling of it is no cookie to a browser, and would be remembered.
        let is_odd_cookie = !is_cookie && header::is_same(name, b"set-cookie");
        let is_for_client = !is_odd_cookie && is_listed(&forward_auth.client_headers_on_success, name);
        let tells_roles =
            forward_auth.roles_header.as_ref().is_some_and(|own| header::is_same(own.as_bytes(), name));
        let mut names = forward_auth
            .identity_headers
            .iter()
            .filter(|_header| !is_cookie)
            .filter_map(|header| header.name_of(name))
            .peekable();
        let tells = tells_roles || names.peek().is_some();
        if !tells && !is_for_client {
            continue;
        }
        if !is_value(value) {
            return Err(Unusable::ControlCharacter);
        }
        if tells {
            // A list may stand in several lines of one header. Two spellings of it are one to some apps, and two to
            // others.
            if telling.iter().any(|known| header::is_same(known, name) && *known != name) {
                return Err(Unusable::TwoSpellings);
            }
            if name == b"authorization" && telling.contains(&name) {
                return Err(Unusable::AuthorizationTwice);
            }
            telling.push(name);
        }
        for known in names {
            if known == b"authorization" && identity.value(known).is_some() {
                return Err(Unusable::AuthorizationTwice);
            }
            identity.push(known, value);
        }
        if tells_roles {
            let names = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            roles.extend(names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec));
        }
        match (is_for_client, is_cookie) {
            (true, true) => cookies.push(value.to_vec()),
            (true, false) => replace.push(name, value),
            (false, _) => {}
        }
    }
    // Also where the operator keeps the cookie from the client: what the answer says is meant for that one.
    let scope = match inputs {
        Inputs { identify: false, .. } => Scope::AskerAlone,
        Inputs { .. } if !sets_cookie => Scope::Everyone,
        Inputs { hold_credential: true, .. } => Scope::WithoutCookies,
        Inputs { .. } => Scope::AskerAlone,
    };
    // What else the session states, only the server knows.
    let facts = Rc::new(SessionFacts { roles, ..SessionFacts::default() });
    let session = Session { identity: Rc::new(identity), facts, holder: Holder::Named };
    let respond = ResponseEdits { replace: Rc::new(replace), add: set_cookies(cookies) };
    Ok(Answer { said: Said::Session(session), ends: None, respond, scope })
}

/// A denial for the client. Headers that cannot be relayed are left out: it is a denial without them too.
fn relayed(forward_auth: &ForwardAuth, kind: DenialKind, response: Response) -> Reply {
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
    let status = match (kind, status) {
        // A way that is not clear, or that must not be shown, leads nowhere.
        (DenialKind::Redirected, _) if locations != 1 => {
            relayed.retain(|(name, _)| !is_location(name));
            401
        }
        // nginx closes the connection instead of answering these.
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

    type Read = Result<Answer, Fault>;

    const KNOWN: Inputs = Inputs { identify: true, hold_credential: true };

    fn listed(fields: &[(&str, &str)]) -> Fields {
        fields.iter().copied().collect()
    }

    fn answered_with(more: &Value, status: u16, fields: &[(&str, &str)], body: &str) -> Read {
        let response = Response { status, fields: listed(fields), body: body.as_bytes().to_vec() };
        read(&config(more), KNOWN, Ok(response))
    }

    fn answered(status: u16, fields: &[(&str, &str)], body: &str) -> Read {
        answered_with(&json!({}), status, fields, body)
    }

    fn denied(read: Read) -> (DenialKind, u16, Vec<(String, String)>, String) {
        let Ok(Answer { said: Said::Denied(denied), .. }) = read else { panic!("{read:?}") };
        let Denied { kind, reply, .. } = (*denied).clone();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let fields = reply.fields.into_iter().map(|(name, value)| (text(name), text(value))).collect();
        (kind, reply.status, fields, text(reply.body))
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
            assert_eq!(found.unwrap(), accepting(&identity, &[b"a=1", b"b=2"], Scope::WithoutCookies));
        }
    }

    fn accepting(identity: &[(&str, &str)], cookies: &[&[u8]], scope: Scope) -> Answer {
        let session =
            Session { identity: Rc::new(listed(identity)), facts: Rc::default(), holder: Holder::Named };
        let add = set_cookies(cookies.iter().map(|cookie| cookie.to_vec()).collect());
        let respond = ResponseEdits { add, ..ResponseEdits::default() };
        Answer { said: Said::Session(session), ends: None, respond, scope }
    }

    #[test]
    fn a_cookie_goes_to_the_client_that_was_asked_about_and_its_verdict_to_who_has_the_same_credential() {
        let inputs = |identify, hold_credential| Inputs { identify, hold_credential };
        let cookie = ("set-cookie", "a=1");
        #[rustfmt::skip]
        let cases: &[(u16, &[(&str, &str)], Inputs, Scope)] = &[
            (200, &[], inputs(true, true), Scope::Everyone),
            (200, &[], inputs(true, false), Scope::Everyone),
            (200, &[], inputs(false, false), Scope::AskerAlone),
            (200, &[cookie], inputs(true, true), Scope::WithoutCookies),
            (200, &[cookie], inputs(true, false), Scope::AskerAlone),
            (200, &[cookie], inputs(false, false), Scope::AskerAlone),
            (401, &[], inputs(false, false), Scope::Everyone),
            (401, &[cookie], inputs(true, true), Scope::AskerAlone),
            (302, &[cookie, ("location", "/")], inputs(true, true), Scope::AskerAlone),
        ];
        for (status, fields, inputs, scope) in cases {
            let response = Response { status: *status, fields: listed(fields), body: vec![] };
            let found = read(&config(&json!({})), *inputs, Ok(response)).unwrap();
            assert_eq!(found.scope, *scope, "{status} {fields:?} {inputs:?}");
        }
    }

    #[test]
    fn a_repeated_identity_header_reaches_the_app_line_by_line() {
        let lines = [("x-auth-groups", "a"), ("x-user-id", "alice"), ("x-auth-groups", "b,c")];
        assert_eq!(answered(200, &lines, "").unwrap(), accepting(&lines, &[], Scope::Everyone));
    }

    #[test]
    fn an_identity_that_is_not_clear_is_none() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("x-user-id", "guest\r\nx-user1: admin")], "control"),
            (&[("x-auth-roles", "a\nb")], "control"),
            (&[("x-user-id", "a\0")], "control"),
            (&[("set-cookie", "a\r\nb")], "control"),
            (&[("x-user-id", "alice"), ("x_user_id", "admin")], "twice"),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer a")], "twice"),
        ];
        for (fields, expected) in cases {
            match answered(200, fields, "") {
                Err(fault @ Fault::Unusable(_)) => assert!(fault.to_string().contains(expected), "{fault}"),
                other @ (Ok(_) | Err(_)) => panic!("{fields:?}: {other:?}"),
            }
        }
        let elsewhere = answered(200, &[("x-other", "a\r\nb"), ("x-other", "c")], "");
        assert_eq!(elsewhere.unwrap(), accepting(&[], &[], Scope::Everyone), "not copied");
    }

    fn session(read: Read) -> (Session, ResponseEdits, Scope) {
        let Ok(Answer { said: Said::Session(session), respond, scope, .. }) = read else {
            panic!("{read:?}")
        };
        (session, respond, scope)
    }

    #[test]
    fn a_header_that_the_app_knows_by_another_name_reaches_it_by_that_name_alone() {
        let more = json!({"identity_headers": [
            {"header": "x-user", "from": "x-auth-request-user"},
            {"header": "x-login", "from": "x-auth-request-user"},
            {"header": "authorization", "from": "x-auth-request-access-token"},
            "x-auth-request-email",
        ]});
        let answered = [
            ("x-auth-request-user", "alice"),
            ("x-user", "mallory"),
            ("x-auth-request-email", "a@example"),
            ("authorization", "Bearer other"),
            ("x-auth-request-user", "second line"),
            ("x-auth-request-access-token", "Bearer jwt"),
        ];
        let expected = [
            ("x-user", "alice"),
            ("x-login", "alice"),
            ("x-auth-request-email", "a@example"),
            ("x-user", "second line"),
            ("x-login", "second line"),
            ("authorization", "Bearer jwt"),
        ];
        let (found, ..) = session(answered_with(&more, 200, &answered, ""));
        assert_eq!(*found.identity, listed(&expected));
        let listed_too = json!({"identity_headers": [{"header": "x-user", "from": "x-name"}, "x-name"]});
        let (found, ..) = session(answered_with(&listed_too, 200, &[("x-name", "alice")], ""));
        assert_eq!(*found.identity, listed(&[("x-user", "alice"), ("x-name", "alice")]));
        #[rustfmt::skip]
        let unclear: &[(&[(&str, &str)], Unusable)] = &[
            (&[("x-auth-request-user", "a"), ("x_auth_request_user", "b")], Unusable::TwoSpellings),
            (&[("x-auth-request-user", "a\r\nx-user: b")], Unusable::ControlCharacter),
            (&[("x-auth-request-access-token", "a"), ("x-auth-request-access-token", "b")], Unusable::AuthorizationTwice),
        ];
        for (answered, fault) in unclear {
            assert_eq!(answered_with(&more, 200, answered, ""), Err(Fault::Unusable(*fault)), "{answered:?}");
        }
        let token = json!({"identity_headers": [{"header": "x-token", "from": "authorization"}]});
        let (found, ..) = session(answered_with(&token, 200, &[("authorization", "Bearer a")], ""));
        assert_eq!(*found.identity, listed(&[("x-token", "Bearer a")]));
        let twice = [("authorization", "a"), ("authorization", "b")];
        let fault = Err(Fault::Unusable(Unusable::AuthorizationTwice));
        assert_eq!(answered_with(&token, 200, &twice, ""), fault);
    }

    #[test]
    fn a_header_that_lists_roles_is_one_list_however_many_lines_it_has() {
        let more = json!({"roles_header": "X-Groups", "identity_headers": ["x-user"]});
        let cases: &[(&[(&str, &str)], &[&str])] = &[
            (&[], &[]),
            (&[("x-groups", "")], &[]),
            (&[("x-groups", " , ,\t,")], &[]),
            (&[("x-groups", "a")], &["a"]),
            (&[("x-groups", "a,b")], &["a", "b"]),
            (&[("x-groups", " a ,\tb c\t, ")], &["a", "b c"]),
            (&[("x-groups", "a"), ("x-user", "alice"), ("x-groups", "b,c")], &["a", "b", "c"]),
            (&[("x_groups", "a")], &["a"]),
            (&[("x-groups", "größe")], &["größe"]),
            (&[("x-groups", "\"a,b\"")], &["\"a", "b\""]),
            (&[("x-groups-of", "a"), ("x-group", "b")], &[]),
        ];
        for (answered, expected) in cases {
            let (found, ..) = session(answered_with(&more, 200, answered, ""));
            let expected: Vec<_> = expected.iter().map(|role| role.as_bytes().to_vec()).collect();
            assert_eq!(found.facts.roles, expected, "{answered:?}");
            assert!(found.identity.iter().all(|(name, _)| name == b"x-user"), "not listed for the app");
        }
        let told = json!({"roles_header": "x-groups", "identity_headers": ["x-groups"]});
        let (found, ..) = session(answered_with(&told, 200, &[("x-groups", "a, b")], ""));
        assert_eq!(*found.identity, listed(&[("x-groups", "a, b")]), "as it came");
        for (answered, fault) in [
            ([("x-groups", "a"), ("x_groups", "admin")], Unusable::TwoSpellings),
            ([("x-groups", "a"), ("x-groups", "b\0")], Unusable::ControlCharacter),
        ] {
            assert_eq!(answered_with(&more, 200, &answered, ""), Err(Fault::Unusable(fault)));
        }
        let (found, ..) = session(answered_with(&json!({}), 200, &[("x-groups", "a")], ""));
        assert!(found.facts.roles.is_empty(), "not configured");
    }

    #[test]
    fn headers_of_an_accepting_answer_reach_the_client_where_they_are_listed() {
        let answered = [
            ("x-session-expires", "60"),
            ("set-cookie", "a=1"),
            ("x-session-note", "one"),
            ("x-user-id", "alice"),
            ("content-type", "text/plain"),
            ("x-session-note", "two"),
            ("cache-control", "private"),
            ("set-cookie", "b=2"),
            ("set_cookie", "c=3"),
        ];
        let cookies: &[&[u8]] = &[b"a=1", b"b=2"];
        let sessions = [("x-session-expires", "60"), ("x-session-note", "one"), ("x-session-note", "two")];
        #[rustfmt::skip]
        let cases: &[(Value, &[(&str, &str)], &[&[u8]])] = &[
            (json!(["set-cookie"]), &[], cookies),
            (json!([]), &[], &[]),
            (json!(["x-session-*"]), &sessions, &[]),
            (json!(["X-Session-*", "Set-Cookie"]), &sessions, cookies),
            (json!(["set-*"]), &[], cookies),
            (json!(["x-user-id"]), &[("x-user-id", "alice")], &[]),
        ];
        for (client_headers_on_success, replace, add) in cases {
            let more = json!({"client_headers_on_success": client_headers_on_success});
            let (found, respond, scope) = session(answered_with(&more, 200, &answered, ""));
            assert_eq!(*respond.replace, listed(replace), "{more}");
            assert_eq!(
                respond.add,
                set_cookies(add.iter().map(|cookie| cookie.to_vec()).collect()),
                "{more}"
            );
            assert_eq!(scope, Scope::WithoutCookies, "a cookie says whose answer it is, handed on or not");
            assert_eq!(*found.identity, listed(&[("x-user-id", "alice")]), "{more}");
        }
        let more = json!({"client_headers_on_success": ["x-session-*"]});
        let split = answered_with(&more, 200, &[("x-session-note", "a\r\nset-cookie: b")], "");
        assert_eq!(split, Err(Fault::Unusable(Unusable::ControlCharacter)));
        let (.., scope) = session(answered_with(&more, 200, &[("x-session-note", "a")], ""));
        assert_eq!(scope, Scope::Everyone);
        let (_, _, fields, _) = denied(answered_with(&more, 401, &answered, ""));
        assert!(!fields.iter().any(|(name, _)| name.starts_with("x-session")), "a denial has its own list");
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

    #[test]
    fn a_4xx_is_a_denial_with_its_own_status_and_anything_else_is_a_fault() {
        let identity = [("x-user-id", "alice"), ("retry-after", "5"), ("content-type", "text/plain")];
        for (status, error) in [
            (400, "bad_request"),
            (402, "forbidden"),
            (404, "forbidden"),
            (405, "forbidden"),
            (413, "too_large"),
            (414, "too_large"),
            (429, "forbidden"),
            (431, "too_large"),
        ] {
            let (kind, found, fields, body) = denied(answered(status, &identity, ""));
            assert_eq!((kind, found), (DenialKind::Other, status), "{status}");
            assert!(!fields.iter().any(|(name, _)| name == "x-user-id"), "{fields:?}");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["error"], error);
            let (_, _, _, body) = denied(answered(status, &identity, "why"));
            assert_eq!(body, "why");
        }
        for status in [444, 499] {
            let (kind, found, ..) = denied(answered(status, &identity, ""));
            assert_eq!((kind, found), (DenialKind::Other, 403), "nginx would hang up");
        }
        for status in [0, 100, 101, 199, 304, 407, 500, 502, 503, 504, 999] {
            assert_eq!(answered(status, &identity, ""), Err(Fault::Status(status)));
        }
        for fields in [&[][..], &[("location", "")], &[("x-location", "/a")]] {
            assert_eq!(answered(302, fields, ""), Err(Fault::Status(302)), "{fields:?}");
        }
        assert_eq!(answered(304, &[("location", "/a")], ""), Err(Fault::Status(304)));
        for error in [CallError::NotSent, CallError::NoAnswer, CallError::TooLarge] {
            assert_eq!(read(&config(&json!({})), KNOWN, Err(error)), Err(Fault::Call(error)));
        }
    }
}
