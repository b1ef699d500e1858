//! The headers that tell an app who asks: which names are ours alone, and which values they may have.

use std::rc::Rc;

use crate::auth_server::authgear::token::{Machine, User};
use crate::http::header::{self, Pattern};
use crate::http::{Field, Fields, UnixTime};
use crate::jose::Claims;

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

const ANONYMOUS: &[u8] = b"x-authgear-user-anonymous";
const VERIFIED: &[u8] = b"x-authgear-user-verified";
const ROLES: &[u8] = b"x-authgear-user-roles";
const AMR: &[u8] = b"x-authgear-session-amr";
const AUTHENTICATED_AT: &[u8] = b"x-authgear-session-authenticated-at";

/// An identity to some, a credential to others.
const AUTHORIZATION: &[u8] = b"authorization";

/// Which client a machine's token is of. Not a user's id: what reads one must not find the other.
const CLIENT_ID: &[u8] = b"x-authgear-client-id";

/// What that client may do, separated by spaces.
const CLIENT_SCOPE: &[u8] = b"x-authgear-client-scope";

/// Whether a header is one of Authgear's, in whatever spelling.
#[must_use]
pub fn is_authgears(name: &[u8]) -> bool {
    header::begins_with(name, PREFIX)
}

/// The headers that only the filter may set; what a client sends by such a name is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managed {
    /// All of Authgear's.
    Authgear,
    /// These.
    Named(Vec<Pattern>),
}

impl Managed {
    /// Whether a header is one of them, in whatever spelling.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        match self {
            Self::Authgear => is_authgears(name),
            Self::Named(patterns) => patterns.iter().any(|pattern| pattern.matches(name)),
        }
    }

    /// Those that can be named without having seen the request's headers, with `-` and with `_`: for hosts that
    /// do not list all of them.
    #[must_use]
    pub fn known(&self) -> Vec<Vec<u8>> {
        let names: Vec<&[u8]> = match self {
            Self::Authgear => KNOWN.iter().map(|name| name.as_bytes()).collect(),
            Self::Named(patterns) => patterns
                .iter()
                .filter_map(|pattern| match pattern {
                    Pattern::Name(name) if name.as_bytes() != AUTHORIZATION => Some(name.as_bytes()),
                    // What was listed of it is removed by the list; on public routes it stays.
                    Pattern::Name(_) | Pattern::Prefix(_) => None,
                })
                .collect(),
        };
        let underscored = names
            .iter()
            .map(|name| name.iter().map(|&byte| if byte == b'-' { b'_' } else { byte }).collect());
        names.iter().map(|name| name.to_vec()).chain(underscored).collect()
    }

    /// The names of those that a client sent, each once.
    #[must_use]
    pub fn forged(&self, fields: &[Field<'_>]) -> Vec<Vec<u8>> {
        self.sent(fields, |_name| true)
    }

    /// The same on a route where nobody is authenticated: `Authorization` stays, because there it is the app's
    /// to read, and no word of the filter's.
    #[must_use]
    pub fn forged_where_public(&self, fields: &[Field<'_>]) -> Vec<Vec<u8>> {
        self.sent(fields, |name| !header::is_same(name, AUTHORIZATION))
    }

    fn sent(&self, fields: &[Field<'_>], is_wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        for (name, _) in fields.iter().filter(|(name, _)| self.contains(name) && is_wanted(name)) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_vec());
            }
        }
        names
    }
}

/// The headers of a user whose token was verified here: what the resolver would answer for it.
#[must_use]
pub fn of_user(user: &User) -> Fields {
    let flag = |value: Option<bool>| value.map(|value| value.to_string());
    // One row a header; a value that is absent is no header.
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

/// The headers of a machine whose token was verified here.
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

/// What the app is told of a credential that was refused without asking.
#[must_use]
pub fn refused() -> Rc<Fields> {
    Rc::new([(SESSION_VALID, b"false")].into_iter().collect())
}

/// What the app is told of nobody.
#[must_use]
pub fn nothing() -> Rc<Fields> {
    Rc::default()
}

/// What a valid session states about itself, for rules that require something of it. What it does not state
/// stays empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFacts {
    /// Whether the user is verified.
    pub verified: Option<bool>,
    /// Whether the user is anonymous.
    pub anonymous: Option<bool>,
    /// The user's roles.
    pub roles: Vec<Vec<u8>>,
    /// The scopes of the token.
    pub scopes: Vec<Vec<u8>>,
    /// How the user authenticated.
    pub amr: Vec<Vec<u8>>,
    /// When the user authenticated.
    pub authenticated_at: Option<UnixTime>,
}

impl SessionFacts {
    /// What Authgear's headers state; `scopes` are in none of them.
    #[must_use]
    pub fn by_headers(identity: &Fields, scopes: &[String]) -> Self {
        let words = |name: &[u8], separator: u8| {
            let words = identity.value(name).unwrap_or_default().split(|&byte| byte == separator);
            words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
        };
        let flag = |name: &[u8]| match identity.value(name)? {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        };
        let seconds = identity
            .value(AUTHENTICATED_AT)
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        Self {
            verified: flag(VERIFIED),
            anonymous: flag(ANONYMOUS),
            roles: words(ROLES, b','),
            scopes: bytes(scopes),
            amr: words(AMR, b' '),
            authenticated_at: seconds.map(UnixTime::from_secs),
        }
    }

    /// What a token of another issuer states. Whether its user is verified or anonymous only Authgear says.
    #[must_use]
    pub fn by_claims(claims: &Claims, roles: &[String]) -> Self {
        Self {
            roles: bytes(roles),
            scopes: bytes(&claims.scopes()),
            amr: bytes(&claims.amr()),
            authenticated_at: claims.auth_time(),
            ..Self::default()
        }
    }
}

fn bytes(words: &[String]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.clone().into_bytes()).collect()
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
        let managed = named(&["x-user", "x-user-role", "x-auth-*"]);
        for name in [b"x-user".as_slice(), b"X_USER", b"x.user.role", b"X-User_Role", b"x_auth_realm"] {
            assert!(managed.contains(name), "{}", name.escape_ascii());
        }
        for name in [b"x-users".as_slice(), b"x-use", b"xuser", b"x-user-roles", b"x-auth", b""] {
            assert!(!managed.contains(name), "{}", name.escape_ascii());
        }
    }

    fn named(patterns: &[&str]) -> Managed {
        Managed::Named(patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect())
    }

    #[test]
    fn authorization_alone_is_kept_where_nobody_is_authenticated() {
        let fields: [Field<'_>; 3] =
            [(b"authorization", b"Basic x"), (b"x-auth-user", b"admin"), (b"accept", b"*/*")];
        let managed = named(&["authorization", "x-auth-*"]);
        assert_eq!(managed.forged(&fields), [b"authorization".to_vec(), b"x-auth-user".to_vec()]);
        assert_eq!(managed.forged_where_public(&fields), [b"x-auth-user".to_vec()]);
        assert!(named(&["x-user"]).forged(&fields).is_empty(), "it is nobody's identity there");
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
