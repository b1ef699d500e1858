//! Owns the headers and claims of access, ID and machine tokens.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::options::{ClientKind, User};
use super::origin::Origin;
use super::world::Grant;

/// The members of a token's header or payload.
pub type Members = Map<String, Value>;

/// `auth_time` of a session that was never authenticated: year 1, Go's zero time.
const ZERO_TIME: i64 = -62_135_596_800;

/// The scopes that apps ask for.
const USER_SCOPE: &str = "openid offline_access https://authgear.com/scopes/full-access";

/// Who issues a token, to whom and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issue<'a> {
    pub(super) origin: &'a Origin,
    pub(super) client_id: &'a str,
    /// Unix seconds.
    pub(super) now: u64,
    pub(super) lifetime: Duration,
    /// The client's `client_id`.
    pub(super) kind: ClientKind,
}

impl Issue<'_> {
    pub(super) fn expires(&self) -> u64 {
        self.now.saturating_add(self.lifetime.as_secs())
    }

    fn registered(&self, subject: &str, audience: Value) -> Members {
        members([
            ("iss", self.origin.to_string().into()),
            ("aud", audience),
            ("sub", subject.into()),
            ("iat", self.now.into()),
            ("exp", self.expires().into()),
        ])
    }
}

/// The header of a token with this `typ`, by the key with this `kid`, if it has one.
pub(super) fn header(typ: &str, kid: Option<&str>) -> Members {
    let mut header = members([("alg", "RS256".into()), ("typ", typ.into())]);
    header.extend(kid.map(|kid| ("kid".to_owned(), kid.into())));
    header
}

/// An access token of a user (RFC 9068, with Authgear's own claims).
pub(super) fn access(issue: &Issue<'_>, jti: &str, grant: &Grant, user: &User) -> Members {
    let mut claims = issue.registered(&user.id, json!([issue.origin.to_string()]));
    claims.extend(members([
        ("client_id", issue.client_id.into()),
        ("scope", USER_SCOPE.into()),
        ("jti", jti.into()),
    ]));
    claims.extend(about(grant, user));
    match issue.kind {
        ClientKind::Public => {}
        ClientKind::Confidential | ClientKind::ThirdParty => {
            claims.extend(user.attributes.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        }
    }
    claims
}

/// An ID token (OpenID Connect Core, section 2). It is meant for the app and is never an access token.
pub(super) fn id(issue: &Issue<'_>, grant: &Grant, user: &User) -> Members {
    let mut claims = issue.registered(&user.id, issue.client_id.into());
    claims.extend(about(grant, user));
    claims
}

/// A machine-to-machine token of a program, for one resource.
pub(super) fn machine(issue: &Issue<'_>, jti: &str, resource: &str, scope: &str) -> Members {
    let mut claims = issue.registered(&format!("client_id_{}", issue.client_id), json!([resource]));
    claims.extend(members([
        ("client_id", issue.client_id.into()),
        ("scope", scope.into()),
        ("jti", jti.into()),
    ]));
    claims
}

fn about(grant: &Grant, user: &User) -> Members {
    let mut claims = members([
        ("auth_time", grant.authenticated_at.unwrap_or(ZERO_TIME).into()),
        ("https://authgear.com/claims/user/is_anonymous", user.anonymous.into()),
        ("https://authgear.com/claims/user/is_verified", user.verified.into()),
        ("https://authgear.com/claims/user/can_reauthenticate", user.can_reauthenticate.into()),
    ]);
    if !grant.amr.is_empty() {
        claims.insert("amr".into(), json!(grant.amr));
    }
    // Unlike `amr`, it is present even when it is empty.
    claims.insert("https://authgear.com/claims/user/roles".into(), json!(user.roles));
    claims
}

fn members<const N: usize>(list: [(&str, Value); N]) -> Members {
    list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
