//! An accepting answer: the identity and the roles in it, and its headers for the client.

use std::rc::Rc;

use super::is_listed;
use crate::auth_server::fault::Unusable;
use crate::auth_server::forward_auth::ForwardAuth;
use crate::auth_server::{Answer, Holder, Inputs, Said, Scope, Session, set_cookies};
use crate::http::header::{self, is_value};
use crate::http::{Fields, ResponseEdits};
use crate::rules::SessionFacts;

/// Reads an accepting answer.
pub(super) fn accepted(
    forward_auth: &ForwardAuth,
    inputs: Inputs,
    fields: &Fields,
) -> Result<Answer, Unusable> {
    let (mut identity, mut roles) = (Fields::default(), Vec::new());
    let (mut replace, mut cookies, mut sets_cookie) = (Fields::default(), Vec::new(), false);
    // The names of the headers that identify the user to the app or the rules.
    let mut telling: Vec<&[u8]> = Vec::new();
    for (name, value) in fields.iter() {
        let is_cookie = name == b"set-cookie";
        sets_cookie |= is_cookie;
        // Another spelling of it is not a cookie to a browser, and would be cached.
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
            // A list may occupy several lines of one header. Two spellings of it are one header to some apps, and two
            // to others.
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
    // Even if the operator keeps the cookie from the client, the answer is meant for that client.
    let scope = match inputs {
        Inputs { identify: false, .. } => Scope::AskerAlone,
        Inputs { .. } if !sets_cookie => Scope::Everyone,
        Inputs { hold_credential: true, .. } => Scope::WithoutCookies,
        Inputs { .. } => Scope::AskerAlone,
    };
    // Only the server knows what else the session states.
    let facts = Rc::new(SessionFacts { roles, ..SessionFacts::default() });
    let session = Session { identity: Rc::new(identity), facts, holder: Holder::Named(None), issuer: None };
    let respond = ResponseEdits { replace: Rc::new(replace), add: set_cookies(cookies) };
    Ok(Answer { said: Said::Session(session), ends: None, respond, scope })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{Read, answered, answered_with, denied, listed};
    use super::*;
    use crate::auth_server::fault::Fault;

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
        let session = Session {
            identity: Rc::new(listed(identity)),
            facts: Rc::default(),
            holder: Holder::Named(None),
            issuer: None,
        };
        let add = set_cookies(cookies.iter().map(|cookie| cookie.to_vec()).collect());
        let respond = ResponseEdits { add, ..ResponseEdits::default() };
        Answer { said: Said::Session(session), ends: None, respond, scope }
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
}
