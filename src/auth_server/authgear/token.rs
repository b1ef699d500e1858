//! The subject of an Authgear access token: a user or a machine, never both.

use crate::http::UnixTime;
use crate::jose::{Claims, Refusal, is_plain, text_for_header, value};

/// The path of the key set on a project's public origin.
pub const KEYS_PATH: &str = "/oauth2/jwks";

/// The subject of a verified access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user who signed in.
    User(User),
    /// A client with its own credentials. It is not a user, whatever its `sub` looks like.
    Machine(Machine),
}

/// A user, in the terms of the resolver's headers. No field contains a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `sub`; never empty.
    pub id: String,
    /// `…/is_anonymous`.
    pub anonymous: Option<bool>,
    /// `…/is_verified`.
    pub verified: Option<bool>,
    /// `…/can_reauthenticate`.
    pub can_reauthenticate: Option<bool>,
    /// `…/roles`; none is empty, contains a comma, or has white space at an end.
    pub roles: Vec<String>,
    /// `amr`; none contains a space.
    pub amr: Vec<String>,
    /// `auth_time`; absent if before 1970, as in the resolver's headers.
    pub authenticated_at: Option<UnixTime>,
    /// `scope`, word by word.
    pub scopes: Vec<String>,
}

/// A machine-to-machine client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// `client_id`; never empty.
    pub client_id: String,
    /// `scope`, word by word.
    pub scopes: Vec<String>,
}

const ANONYMOUS: &str = "https://authgear.com/claims/user/is_anonymous";
const VERIFIED: &str = "https://authgear.com/claims/user/is_verified";
const CAN_REAUTHENTICATE: &str = "https://authgear.com/claims/user/can_reauthenticate";
const ROLES: &str = "https://authgear.com/claims/user/roles";

/// The `sub` of a machine is this prefix and its client id.
const MACHINE_PREFIX: &str = "client_id_";

/// Reads the claims of a verified token.
///
/// # Errors
/// [`Refusal::Subject`] if `sub` is absent or empty, or contradicts the user claims; [`Refusal::Claim`] if a claim
/// has the wrong type or contains its own separator; [`Refusal::ControlCharacter`].
pub fn subject(claims: &Claims) -> Result<Subject, Refusal> {
    let subject = claims.subject().filter(|subject| !subject.is_empty()).ok_or(Refusal::Subject)?;
    let names_user =
        [ANONYMOUS, VERIFIED, CAN_REAUTHENTICATE, ROLES].iter().any(|name| claims.get(name).is_some());
    match subject.strip_prefix(MACHINE_PREFIX) {
        Some(id) if !names_user => machine(claims, id).map(Subject::Machine),
        None if names_user => user(claims, subject).map(Subject::User),
        Some(_) | None => Err(Refusal::Subject),
    }
}

fn machine(claims: &Claims, id: &str) -> Result<Machine, Refusal> {
    // Both name the client. If they differ, neither is trusted.
    if id.is_empty() || claims.client_id().is_some_and(|client_id| client_id != id) {
        return Err(Refusal::Subject);
    }
    Ok(Machine { client_id: identity(id)?, scopes: words(claims.scopes(), "scope", ' ')? })
}

fn user(claims: &Claims, id: &str) -> Result<User, Refusal> {
    let roles: Vec<String> = typed(claims, ROLES, value)?.unwrap_or_default();
    let amr: Vec<String> = typed(claims, "amr", value)?.unwrap_or_default();
    Ok(User {
        id: identity(id)?,
        anonymous: typed(claims, ANONYMOUS, value)?,
        verified: typed(claims, VERIFIED, value)?,
        can_reauthenticate: typed(claims, CAN_REAUTHENTICATE, value)?,
        roles: words(roles, ROLES, ',')?,
        amr: words(amr, "amr", ' ')?,
        authenticated_at: claims.auth_time(),
        scopes: words(claims.scopes(), "scope", ' ')?,
    })
}

fn typed<T>(claims: &Claims, name: &'static str, parse: fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
    claims.get(name).map(|json| parse(json).ok_or(Refusal::Claim(name))).transpose()
}

/// Checks that no program on the way can change this identity into another one.
fn identity(id: &str) -> Result<String, Refusal> {
    let id = text_for_header(id.to_owned())?;
    if is_plain(&id) { Ok(id) } else { Err(Refusal::WhiteSpace) }
}

/// Checks values that a header joins by `separator`. A value that contains it would read as two, and fails. Returns
/// no values if one of them is empty or has white space at an end.
fn words(values: Vec<String>, claim: &'static str, separator: char) -> Result<Vec<String>, Refusal> {
    if values.iter().any(|value| value.contains(separator)) {
        return Err(Refusal::Claim(claim));
    }
    let values: Vec<String> = values.into_iter().map(text_for_header).collect::<Result<_, _>>()?;
    Ok(if values.iter().all(|value| is_plain(value)) { values } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn read(json: &str) -> Result<Subject, Refusal> {
        let segment = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(json);
        subject(&Claims::parse(segment.as_bytes()).unwrap())
    }

    #[test]
    fn a_user_is_what_the_user_claims_say() {
        let json = format!(
            r#"{{"sub":"u","client_id":"app","scope":"openid x","amr":["pwd","otp"],"auth_time":1800000000,
                "{ANONYMOUS}":false,"{VERIFIED}":true,"{CAN_REAUTHENTICATE}":true,"{ROLES}":["a","b"]}}"#
        );
        let user = User {
            id: "u".into(),
            anonymous: Some(false),
            verified: Some(true),
            can_reauthenticate: Some(true),
            roles: vec!["a".into(), "b".into()],
            amr: vec!["pwd".into(), "otp".into()],
            authenticated_at: Some(UnixTime::from_secs(1_800_000_000)),
            scopes: vec!["openid".into(), "x".into()],
        };
        assert_eq!(read(&json), Ok(Subject::User(user)));
    }

    #[test]
    fn a_machine_is_no_user_whatever_its_token_says() {
        let machine = Subject::Machine(Machine { client_id: "m1".into(), scopes: vec!["read".into()] });
        for (json, expected) in [
            (r#"{"sub":"client_id_m1","client_id":"m1","scope":"read"}"#, Ok(machine.clone())),
            (r#"{"sub":"client_id_m1","scope":"read"}"#, Ok(machine)),
            (r#"{"sub":"client_id_m1","client_id":"m2"}"#, Err(Refusal::Subject)),
            (r#"{"sub":"client_id_"}"#, Err(Refusal::Subject)),
            (r#"{"sub":"client_id_m\n1"}"#, Err(Refusal::ControlCharacter)),
            (&format!(r#"{{"sub":"client_id_m1","{VERIFIED}":true}}"#), Err(Refusal::Subject)),
            (r#"{"sub":"client_id_m1 "}"#, Err(Refusal::WhiteSpace)),
            (r#"{"sub":"client_id_ m1"}"#, Err(Refusal::WhiteSpace)),
            // Neither: the claims of an ID token, or none.
            (r#"{"sub":"u","client_id":"app"}"#, Err(Refusal::Subject)),
            (&format!(r#"{{"sub":"","{VERIFIED}":true}}"#), Err(Refusal::Subject)),
            (&format!(r#"{{"{VERIFIED}":true}}"#), Err(Refusal::Subject)),
        ] {
            assert_eq!(read(json), expected, "{json}");
        }
    }

    #[test]
    fn a_user_or_a_role_that_may_become_another_one_is_none() {
        for id in ["admin ", " admin", "\u{a0}admin", " "] {
            let json = format!(r#"{{"sub":"{id}","{VERIFIED}":true}}"#);
            assert_eq!(read(&json), Err(Refusal::WhiteSpace), "{json}");
        }
        for (roles, expected) in [
            (r#"["a","two words"]"#, &["a", "two words"][..]),
            (r#"["a","admin "]"#, &[]),
            (r#"[" admin"]"#, &[]),
            (r#"["a",""]"#, &[]),
        ] {
            let Ok(Subject::User(user)) = read(&format!(r#"{{"sub":"u","{ROLES}":{roles}}}"#)) else {
                panic!("{roles}");
            };
            assert_eq!(user.roles, expected, "{roles}");
        }
    }

    #[test]
    fn user_claims_of_the_wrong_type_refuse_the_token() {
        for (claim, expected) in [
            (format!(r#""{ANONYMOUS}":"false""#), Refusal::Claim(ANONYMOUS)),
            (format!(r#""{VERIFIED}":1"#), Refusal::Claim(VERIFIED)),
            (format!(r#""{CAN_REAUTHENTICATE}":null"#), Refusal::Claim(CAN_REAUTHENTICATE)),
            (format!(r#""{ROLES}":"admin""#), Refusal::Claim(ROLES)),
            (format!(r#""{ROLES}":["a,b"]"#), Refusal::Claim(ROLES)),
            (format!(r#""{ROLES}":["a\n"]"#), Refusal::ControlCharacter),
            (format!(r#""{ROLES}":[],"amr":"pwd""#), Refusal::Claim("amr")),
            (format!(r#""{ROLES}":[],"amr":["a b"]"#), Refusal::Claim("amr")),
        ] {
            assert_eq!(read(&format!(r#"{{"sub":"u",{claim}}}"#)), Err(expected), "{claim}");
        }
    }
}
