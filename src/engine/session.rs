//! Turns the claims of a good token into a session: the headers for the app, and the facts for rules. The same
//! applies to a token that was verified here and to one that its issuer was asked about.

use std::rc::Rc;

use crate::auth_server::authgear::{identity, token};
use crate::auth_server::{Holder, Session};
use crate::config::{ClaimHeader, Config, Identity, Issuer};
use crate::http::Fields;
use crate::jose::{Claims, Refusal};
use crate::rules::{ClaimId, SessionFacts, UseClaims};

/// Returns the session of an issuer's token. `payload` is the source of the claims, in base64url. `other_use` is the
/// use that they state.
///
/// # Errors
///
/// Fails if a value that would become a header must not be one.
pub(super) fn session(
    config: &Config,
    issuer: &Issuer,
    claims: &Claims,
    payload: &[u8],
    other_use: UseClaims,
) -> Result<Session, Refusal> {
    let told = |text: &str| config.access_log.then(|| text.into());
    let Session { identity, facts, holder, .. } = match &issuer.identity {
        Identity::Authgear => identity::session(&token::subject(claims)?),
        Identity::Claims { headers, payload_header, roles } => {
            let mut identity = Fields::default();
            for ClaimHeader { name, claim, form } in headers {
                if let Some(value) = claims.header_in_form(claim, *form)? {
                    identity.push(name, value.as_bytes());
                }
            }
            if let Some(name) = payload_header {
                identity.push(name, payload);
            }
            let roles = roles.as_ref().map(|claim| claims.roles(claim)).transpose()?;
            let facts = facts(claims, &roles.unwrap_or_default());
            let subject = claims.subject().filter(|_subject| config.access_log);
            let holder = Holder::Named(subject.map(|subject| subject.as_bytes().into()));
            Session { identity: Rc::new(identity), facts: Rc::new(facts), holder, issuer: None }
        }
    };
    let met = config.claim_tests.iter().enumerate().filter(|(_, test)| test.is_met(claims));
    let facts = SessionFacts {
        claims: met.map(|(place, _)| ClaimId(place)).collect(),
        other_use,
        ..Rc::unwrap_or_clone(facts)
    };
    let issuer = match claims.issuer() {
        Some(stated) => told(stated),
        // An introspection endpoint may omit it.
        None => told(&issuer.policy.issuer.to_string()),
    };
    Ok(Session { identity, facts: Rc::new(facts), holder, issuer })
}

/// Returns the claims in which a token declares itself not to be an access token.
pub(super) fn other_use(claims: &Claims) -> UseClaims {
    UseClaims {
        typ: claims.typ_is_of_another_token(),
        token_use: claims.token_use_is_not_access(),
        token_type: claims.token_type_is_of_another_token(),
    }
}

/// Does the same for a token that its issuer was asked about, for which a standard defines `token_type`.
pub(super) fn stated_use(claims: &Claims) -> UseClaims {
    UseClaims { token_type: claims.token_type_is_not_access(), ..other_use(claims) }
}

/// Returns the facts of a token that is not Authgear's. Only Authgear states whether its user is verified or
/// anonymous.
fn facts(claims: &Claims, roles: &[String]) -> SessionFacts {
    let bytes = |words: &[String]| words.iter().map(|word| word.clone().into_bytes()).collect();
    SessionFacts {
        roles: bytes(roles),
        scopes: bytes(&claims.scopes()),
        amr: bytes(&claims.amr()),
        authenticated_at: claims.auth_time(),
        ..SessionFacts::default()
    }
}
