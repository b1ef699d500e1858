//! What an access token of Authgear says: a user, or a machine; never both.

use super::claims::text_for_header;
use super::{Claims, Refusal, object};
use crate::request::UnixTime;

/// Whom a verified access token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user who signed in.
    User(User),
    /// A client with its own credentials: no user, whatever its `sub` looks like.
    Machine(Machine),
}

/// A user, in the terms of the resolver's headers. Nothing in it holds a control character.
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
    /// `…/roles`; none of them holds a comma.
    pub roles: Vec<String>,
    /// `amr`; none of them holds a space.
    pub amr: Vec<String>,
    /// `auth_time`; absent where it is before 1970, as the resolver has it.
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

/// `sub` of a machine is this and its client id.
const MACHINE_PREFIX: &str = "client_id_";

/// Reads a verified token's claims.
///
/// # Errors
/// [`Refusal::Subject`] where `sub` is absent or empty, or does not go with the presence of user claims;
/// [`Refusal::Claim`] where a claim has the wrong type or holds its own separator;
/// [`Refusal::ControlCharacter`].
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
    // Both name the client; where they differ, neither is believed.
    if id.is_empty() || claims.client_id().is_some_and(|client_id| client_id != id) {
        return Err(Refusal::Subject);
    }
    Ok(Machine { client_id: text_for_header(id.to_owned())?, scopes: words(claims.scopes(), "scope", ' ')? })
}

fn user(claims: &Claims, id: &str) -> Result<User, Refusal> {
    let roles = typed(claims, ROLES, object::strings)?.unwrap_or_default();
    let amr = typed(claims, "amr", object::strings)?.unwrap_or_default();
    Ok(User {
        id: text_for_header(id.to_owned())?,
        anonymous: typed(claims, ANONYMOUS, object::boolean)?,
        verified: typed(claims, VERIFIED, object::boolean)?,
        can_reauthenticate: typed(claims, CAN_REAUTHENTICATE, object::boolean)?,
        roles: words(roles, ROLES, ',')?,
        amr: words(amr, "amr", ' ')?,
        authenticated_at: claims.auth_time(),
        scopes: words(claims.scopes(), "scope", ' ')?,
    })
}

fn typed<T>(claims: &Claims, name: &'static str, parse: fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
    claims.get(name).map(|json| parse(json).ok_or(Refusal::Claim(name))).transpose()
}

/// Values that a header joins by `separator`: one that holds it would read as two.
fn words(values: Vec<String>, claim: &'static str, separator: char) -> Result<Vec<String>, Refusal> {
    if values.iter().any(|value| value.contains(separator)) {
        return Err(Refusal::Claim(claim));
    }
    values.into_iter().map(text_for_header).collect()
}
