//! The headers that tell an app who asks: which names are ours alone, and which values they may have.

use crate::jwt::authgear::{Machine, User};
use crate::request::{Field, OwnedField};

/// What every identity header of Authgear begins with. The set grows with the server's versions, so it is
/// known by its prefix, never by a list.
const PREFIX: &[u8] = b"x-authgear-";

/// Whether a session was found, and is valid: `true` or `false`; absent without a session.
pub const SESSION_VALID: &[u8] = b"x-authgear-session-valid";

/// Whose session it is; only of a valid one.
pub const USER_ID: &[u8] = b"x-authgear-user-id";

/// What begins with the prefix today.
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

/// Which client a machine's token is of. Not a user's id: what reads one must not find the other.
const CLIENT_ID: &[u8] = b"x-authgear-client-id";

/// What that client may do, separated by spaces.
const CLIENT_SCOPE: &[u8] = b"x-authgear-client-scope";

/// Whether a header is one of Authgear's, in whatever spelling.
#[must_use]
pub fn is_authgears(name: &[u8]) -> bool {
    name.len() >= PREFIX.len() && folded(name).zip(PREFIX).all(|(byte, expected)| byte == *expected)
}

/// The headers that only the filter may set; what a client sends by such a name is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managed {
    /// All of Authgear's.
    Authgear,
    /// These, in lower case.
    Named(Vec<Vec<u8>>),
}

impl Managed {
    /// Whether a header is one of them, in whatever spelling.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        match self {
            Self::Authgear => is_authgears(name),
            Self::Named(names) => names.iter().any(|known| is_same(known, name)),
        }
    }

    /// Those that can be named without having seen the request's headers, with `-` and with `_`: for hosts that
    /// do not list all of them.
    #[must_use]
    pub fn known(&self) -> Vec<Vec<u8>> {
        let names: Vec<&[u8]> = match self {
            Self::Authgear => KNOWN.iter().map(|name| name.as_bytes()).collect(),
            Self::Named(names) => names.iter().map(Vec::as_slice).collect(),
        };
        let underscored = names
            .iter()
            .map(|name| name.iter().map(|&byte| if byte == b'-' { b'_' } else { byte }).collect());
        names.iter().map(|name| name.to_vec()).chain(underscored).collect()
    }

    /// The names of those that a client sent, each once.
    #[must_use]
    pub fn forged(&self, fields: &[Field<'_>]) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        for (name, _) in fields.iter().filter(|(name, _)| self.contains(name)) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_vec());
            }
        }
        names
    }
}

/// Whether two names are one to something that folds them.
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && folded(one).eq(folded(other))
}

/// The headers of a user whose token was verified here: what the resolver would answer for it.
#[must_use]
pub fn of_user(user: &User) -> Vec<OwnedField> {
    let flag = |value: Option<bool>| value.map(|value| value.to_string());
    // One row a header; a value that is absent is no header.
    let table: [(&[u8], Option<String>); 8] = [
        (SESSION_VALID, Some("true".to_owned())),
        (USER_ID, Some(user.id.clone())),
        (b"x-authgear-user-anonymous", flag(user.anonymous)),
        (b"x-authgear-user-verified", flag(user.verified)),
        (b"x-authgear-user-can-reauthenticate", flag(user.can_reauthenticate)),
        (b"x-authgear-user-roles", Some(user.roles.join(",")).filter(|roles| !roles.is_empty())),
        (b"x-authgear-session-amr", Some(user.amr.join(" "))),
        (b"x-authgear-session-authenticated-at", user.authenticated_at.map(|at| at.as_secs().to_string())),
    ];
    fields(table)
}

/// The headers of a machine whose token was verified here.
#[must_use]
pub fn of_machine(machine: &Machine) -> Vec<OwnedField> {
    fields([
        (CLIENT_ID, Some(machine.client_id.clone())),
        (CLIENT_SCOPE, Some(machine.scopes.join(" ")).filter(|scopes| !scopes.is_empty())),
    ])
}

fn fields<const N: usize>(table: [(&[u8], Option<String>); N]) -> Vec<OwnedField> {
    table.into_iter().filter_map(|(name, value)| Some((name.to_vec(), value?.into_bytes()))).collect()
}

/// Whether a value may become a header of a request or a response: no control byte but the tab
/// (RFC 9110 section 5.5), so that it cannot end the header and begin another one.
#[must_use]
pub fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}

/// What the app is told of a credential that was refused without asking.
#[must_use]
pub fn refused() -> Vec<OwnedField> {
    vec![(SESSION_VALID.to_vec(), b"false".to_vec())]
}

/// A name as the most lenient reader has it. Some apps and gateways read `X_Authgear_User.Id` as
/// `x-authgear-user-id` (CGI turns all but letters and digits into `_`).
fn folded(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().map(|byte| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' })
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

    #[test]
    fn every_forged_name_is_removed_by_the_name_that_the_client_sent() {
        let fields: [Field<'_>; 5] = [
            (b"x_authgear_user_id", b"a"),
            (b"host", b"b"),
            (b"x-authgear-user-id", b"c"),
            (b"x-authgear-user-id", b"d"),
            (b"accept", b"e"),
        ];
        assert_eq!(
            Managed::Authgear.forged(&fields),
            [b"x_authgear_user_id".to_vec(), b"x-authgear-user-id".to_vec()]
        );
    }

    #[test]
    fn headers_that_are_managed_by_name_are_known_in_every_spelling_too() {
        let managed = Managed::Named(vec![b"x-user".to_vec(), b"x-user-role".to_vec()]);
        for name in [b"x-user".as_slice(), b"X_USER", b"x.user.role", b"X-User_Role"] {
            assert!(managed.contains(name), "{}", name.escape_ascii());
        }
        for name in [b"x-users".as_slice(), b"x-use", b"xuser", b"x-user-roles", b""] {
            assert!(!managed.contains(name), "{}", name.escape_ascii());
        }
    }

    fn text(fields: Vec<OwnedField>) -> Vec<(String, String)> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        fields.into_iter().map(|(name, value)| (text(name), text(value))).collect()
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

    #[test]
    fn a_value_cannot_become_two_headers() {
        for value in [b"a\r\nx: y".as_slice(), b"a\nb", b"a\0", b"\x7f"] {
            assert!(!is_value(value), "{}", value.escape_ascii());
        }
        for value in [b"".as_slice(), b"a b\tc", "größe".as_bytes(), b"\xff"] {
            assert!(is_value(value), "{}", value.escape_ascii());
        }
    }
}
