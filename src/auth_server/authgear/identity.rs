//! Authgear's identity headers: their names, and their values for a user, a machine or nobody.

use std::rc::Rc;

use crate::auth_server::authgear::token::{Machine, Subject, User};
use crate::auth_server::{Holder, Session};
use crate::http::header::{self, Pattern};
use crate::http::managed::Managed;
use crate::http::{Fields, UnixTime};
use crate::rules::SessionFacts;

/// The prefix of Authgear's identity headers. Future servers may add headers, so the prefix decides, never a list.
const PREFIX: &[u8] = b"x-authgear-";

/// `true` or `false`: whether the session is valid. Absent without a session.
pub const SESSION_VALID: &[u8] = b"x-authgear-session-valid";

/// The user of a valid session.
pub const USER_ID: &[u8] = b"x-authgear-user-id";

/// The current headers with that prefix.
const KNOWN: [&str; 11] = [
    "x-authgear-client-id",
    "x-authgear-client-scope",
    "x-authgear-session-acr",
    "x-authgear-session-amr",
    "x-authgear-session-authenticated-at",
    "x-authgear-session-valid",
    "x-authgear-user-anonymous",
    "x-authgear-user-can-reauthenticate",
    "x-authgear-user-id",
    "x-authgear-user-roles",
    "x-authgear-user-verified",
];

const ANONYMOUS: &[u8] = b"x-authgear-user-anonymous";
const VERIFIED: &[u8] = b"x-authgear-user-verified";
const ROLES: &[u8] = b"x-authgear-user-roles";
const AMR: &[u8] = b"x-authgear-session-amr";
const AUTHENTICATED_AT: &[u8] = b"x-authgear-session-authenticated-at";

/// The client of a machine's token. It has a header of its own, so that no app takes it for a user's id.
const CLIENT_ID: &[u8] = b"x-authgear-client-id";

/// The scopes of that client, separated by spaces.
const CLIENT_SCOPE: &[u8] = b"x-authgear-client-scope";

/// Returns all of Authgear's headers. Only the filter may set them.
#[must_use]
pub fn managed() -> Managed {
    let prefix = Pattern::Prefix(String::from_utf8_lossy(PREFIX).into_owned());
    Managed::with_unseen(vec![prefix], KNOWN.map(|name| name.as_bytes().to_vec()))
}

/// Returns whether a header is one of Authgear's, in any spelling.
#[must_use]
pub fn is_authgears(name: &[u8]) -> bool {
    header::begins_with(name, PREFIX)
}

/// Returns the session that a verified token proves.
#[must_use]
pub fn session(subject: &Subject) -> Session {
    let (identity, scopes, holder) = match subject {
        Subject::User(user) => (of_user(user), &user.scopes, Holder::User(user.id.as_bytes().into())),
        Subject::Machine(machine) => (of_machine(machine), &machine.scopes, Holder::Machine),
    };
    let facts = facts(&identity, scopes);
    Session { identity: Rc::new(identity), facts: Rc::new(facts), holder, issuer: None }
}

/// Returns the headers of a user whose token was verified locally, as the resolver would send them.
#[must_use]
pub fn of_user(user: &User) -> Fields {
    let flag = |value: Option<bool>| value.map(|value| value.to_string());
    // One row per header. An absent value yields no header.
    let table: [(&[u8], Option<String>); 8] = [
        (SESSION_VALID, Some("true".to_owned())),
        (USER_ID, Some(user.id.clone())),
        (ANONYMOUS, flag(user.anonymous)),
        (VERIFIED, flag(user.verified)),
        (b"x-authgear-user-can-reauthenticate", flag(user.can_reauthenticate)),
        (ROLES, Some(user.roles.join(",")).filter(|roles| !roles.is_empty())),
        (AMR, Some(user.amr.join(" "))),
        (AUTHENTICATED_AT, user.authenticated_at.map(|at| at.as_secs().to_string())),
    ];
    fields(table)
}

/// Returns the headers of a machine whose token was verified locally.
#[must_use]
pub fn of_machine(machine: &Machine) -> Fields {
    fields([
        (CLIENT_ID, Some(machine.client_id.clone())),
        (CLIENT_SCOPE, Some(machine.scopes.join(" ")).filter(|scopes| !scopes.is_empty())),
    ])
}

fn fields<const N: usize>(table: [(&[u8], Option<String>); N]) -> Fields {
    table.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Returns the headers for the app about a credential that was refused without asking Authgear.
#[must_use]
pub fn refused() -> Rc<Fields> {
    Rc::new([(SESSION_VALID, b"false")].into_iter().collect())
}

/// Returns the facts about a session in Authgear's headers. None of these states `scopes`.
#[must_use]
pub fn facts(identity: &Fields, scopes: &[String]) -> SessionFacts {
    let words = |name: &[u8], separator: u8| {
        let words = identity.value(name).unwrap_or_default().split(|&byte| byte == separator);
        words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let flag = |name: &[u8]| match identity.value(name)? {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    };
    let seconds =
        identity.value(AUTHENTICATED_AT).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    SessionFacts {
        verified: flag(VERIFIED),
        anonymous: flag(ANONYMOUS),
        roles: words(ROLES, b','),
        scopes: scopes.iter().map(|scope| scope.clone().into_bytes()).collect(),
        amr: words(AMR, b' '),
        authenticated_at: seconds.map(UnixTime::from_secs),
        ..SessionFacts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_headers_are_known_in_every_spelling() {
        let ours: &[&[u8]] = &[
            b"x-authgear-user-id",
            b"X-Authgear-User-Id",
            b"x_authgear_user_id",
            b"X.AUTHGEAR.session.valid",
            b"x-authgear_user.roles",
            b"x~authgear!anything",
            b"x-authgear-",
            b"x-authgear-of-tomorrow",
        ];
        let others: &[&[u8]] = &[
            b"x-authgear",
            b"xauthgear-user-id",
            b"x-authgea-user-id",
            b"authorization",
            b"ax-authgear-user-id",
            b"",
        ];
        for name in ours {
            assert!(is_authgears(name), "{}", name.escape_ascii());
        }
        for name in others {
            assert!(!is_authgears(name), "{}", name.escape_ascii());
        }
    }

    fn text(fields: Fields) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn what_a_token_does_not_say_is_no_header_but_amr_is_always_said() {
        let user = User {
            id: "u".into(),
            anonymous: None,
            verified: None,
            can_reauthenticate: None,
            roles: vec![],
            amr: vec![],
            authenticated_at: None,
            scopes: vec![],
        };
        let expected = [
            ("x-authgear-session-valid", "true"),
            ("x-authgear-user-id", "u"),
            ("x-authgear-session-amr", ""),
        ];
        assert_eq!(text(of_user(&user)), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_machine_has_neither_a_user_nor_a_session() {
        let machine = Machine { client_id: "m".into(), scopes: vec!["read".into(), "write".into()] };
        let expected = [("x-authgear-client-id", "m"), ("x-authgear-client-scope", "read write")];
        assert_eq!(
            text(of_machine(&machine)),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
