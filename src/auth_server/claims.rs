//! What the app is told about a token that is not Authgear's, and what rules may demand of it: the claims that it
//! states, whether it states them itself or its issuer does.

use std::rc::Rc;

use super::{Holder, Session};
use crate::http::Fields;
use crate::jose::{ClaimPath, Claims, Refusal};
use crate::rules::SessionFacts;

/// Which claims matter, as the configuration settled it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenClaims {
    /// Name of a header in lower case → claim.
    pub headers: Vec<(Vec<u8>, ClaimPath)>,
    /// The claim that holds the roles.
    pub roles: Option<ClaimPath>,
}

impl TokenClaims {
    /// Who a token stands for that passed every check.
    ///
    /// # Errors
    ///
    /// A claim cannot be told as it is.
    pub fn session(&self, claims: &Claims) -> Result<Session, Refusal> {
        let mut identity = Fields::default();
        for (name, claim) in &self.headers {
            if let Some(value) = claims.header_value(claim)? {
                identity.push(name, value.as_bytes());
            }
        }
        let roles = self.roles.as_ref().map(|claim| claims.roles(claim)).transpose()?;
        let facts = facts(claims, &roles.unwrap_or_default());
        Ok(Session { identity: Rc::new(identity), facts: Rc::new(facts), holder: Holder::Named })
    }
}

/// Whether its user is verified or anonymous only Authgear says.
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
