//! What a rule's `require` demands of a session, and whether a session meets it.

use std::time::Duration;

use crate::http::UnixTime;
use crate::rules::{ClaimId, SessionFacts, UseClaims};

/// How far in the future the start of a session may lie, because clocks differ. Within this margin it counts as now;
/// beyond it the time is invalid.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// The requirements of a rule on a session. The default requires only a valid session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirement {
    /// The session has one of these roles; no role is needed if empty.
    pub roles: Vec<String>,
    /// The session has all of these scopes.
    pub scopes: Vec<String>,
    /// The user is verified.
    pub verified: bool,
    /// The user is not anonymous.
    pub not_anonymous: bool,
    /// All of these methods were used to authenticate (RFC 8176).
    pub amr: Vec<String>,
    /// The user authenticated no longer ago than this.
    pub max_auth_age: Option<Duration>,
    /// The token meets all of these demands on its claims.
    pub claims: Vec<ClaimId>,
    /// The claims among them that state what a token is for. Only these decide about that here.
    pub names: UseClaims,
}

/// The first part of a [`Requirement`] that a session fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// None of the roles.
    Roles,
    /// Not verified, or not stated.
    Scopes,
    /// Not verified, or it does not say.
    Verified,
    /// Anonymous, or not stated.
    Anonymous,
    /// Not authenticated with all of the methods.
    Amr,
    /// Authenticated too long ago or in the future, or not stated.
    AuthAge,
    /// Not all of the claims.
    Claims,
}

impl Requirement {
    /// Checks a valid session. Facts that it does not state are not met. Texts are compared byte for byte.
    ///
    /// # Errors
    ///
    /// Fails with the first requirement that is not met.
    pub fn check(&self, session: &SessionFacts, now: UnixTime) -> Result<(), Unmet> {
        let has = |held: &[Vec<u8>], wanted: &String| held.iter().any(|held| held == wanted.as_bytes());
        let is_recent = |at: UnixTime, limit| at <= now.after(LEEWAY) && now.since(at) <= limit;
        let is_met = |met: bool, unmet| if met { Ok(()) } else { Err(unmet) };
        is_met(!self.verified || session.verified == Some(true), Unmet::Verified)?;
        is_met(!self.not_anonymous || session.anonymous == Some(false), Unmet::Anonymous)?;
        is_met(
            self.roles.is_empty() || self.roles.iter().any(|role| has(&session.roles, role)),
            Unmet::Roles,
        )?;
        is_met(self.scopes.iter().all(|scope| has(&session.scopes, scope)), Unmet::Scopes)?;
        is_met(self.amr.iter().all(|method| has(&session.amr, method)), Unmet::Amr)?;
        is_met(
            self.max_auth_age
                .is_none_or(|limit| session.authenticated_at.is_some_and(|at| is_recent(at, limit))),
            Unmet::AuthAge,
        )?;
        is_met(self.claims.iter().all(|claim| session.claims.contains(claim)), Unmet::Claims)
    }

    /// Returns whether it demands something that only a verified token states.
    #[must_use]
    pub fn asks_for_a_token(&self) -> bool {
        !self.scopes.is_empty() || !self.claims.is_empty()
    }
}

impl Unmet {
    /// Returns the message for the client.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Roles => "the user lacks a role",
            Self::Scopes => "the token lacks a scope",
            Self::Verified => "the user is not verified",
            Self::Anonymous => "the user is anonymous",
            Self::Amr => "the user authenticated in a way that does not suffice",
            Self::AuthAge => "the user authenticated too long ago",
            Self::Claims => "the token lacks a claim",
        }
    }

    /// Returns whether `WWW-Authenticate` contains `insufficient_scope` (RFC 6750 section 3.1).
    #[must_use]
    pub const fn is_insufficient_scope(self) -> bool {
        match self {
            Self::Roles | Self::Scopes => true,
            Self::Verified | Self::Anonymous | Self::Amr | Self::AuthAge | Self::Claims => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    fn requirement(change: impl FnOnce(&mut Requirement)) -> Requirement {
        let mut requirement = Requirement::default();
        change(&mut requirement);
        requirement
    }

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// Returns each requirement on its own, with the result of failing it.
    fn each() -> [(Requirement, Unmet); 7] {
        [
            (requirement(|r| r.roles = list(&["admin", "staff"])), Unmet::Roles),
            (requirement(|r| r.scopes = list(&["read", "write"])), Unmet::Scopes),
            (requirement(|r| r.verified = true), Unmet::Verified),
            (requirement(|r| r.not_anonymous = true), Unmet::Anonymous),
            (requirement(|r| r.amr = list(&["pwd", "otp"])), Unmet::Amr),
            (requirement(|r| r.max_auth_age = Some(Duration::from_secs(600))), Unmet::AuthAge),
            (requirement(|r| r.claims = vec![ClaimId(1), ClaimId(3)]), Unmet::Claims),
        ]
    }

    fn words(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    fn everything() -> SessionFacts {
        SessionFacts {
            verified: Some(true),
            anonymous: Some(false),
            roles: words(&["other", "staff"]),
            scopes: words(&["write", "more", "read"]),
            amr: words(&["otp", "pwd"]),
            authenticated_at: Some(NOW),
            claims: vec![ClaimId(0), ClaimId(1), ClaimId(3)],
            other_use: UseClaims::default(),
        }
    }

    #[test]
    fn what_a_session_does_not_state_is_not_met() {
        for (requirement, unmet) in each() {
            assert_eq!(requirement.check(&SessionFacts::default(), NOW), Err(unmet));
            assert_eq!(requirement.check(&everything(), NOW), Ok(()));
        }
        assert_eq!(Requirement::default().check(&SessionFacts::default(), NOW), Ok(()));
    }

    #[test]
    fn a_session_that_lacks_one_thing_of_many_does_not_meet_them() {
        let all = Requirement {
            roles: list(&["staff"]),
            scopes: list(&["read"]),
            verified: true,
            not_anonymous: true,
            amr: list(&["pwd"]),
            max_auth_age: Some(Duration::from_secs(1)),
            claims: vec![ClaimId(3)],
            names: UseClaims::default(),
        };
        assert_eq!(all.check(&everything(), NOW), Ok(()));
        let cases: [(fn(&mut SessionFacts), Unmet); 8] = [
            (|session| session.verified = Some(false), Unmet::Verified),
            (|session| session.anonymous = Some(true), Unmet::Anonymous),
            (|session| session.roles.clear(), Unmet::Roles),
            (|session| session.roles = words(&["Staff", "staff ", "staff,admin", "staf", ""]), Unmet::Roles),
            (|session| session.scopes = words(&["read write"]), Unmet::Scopes),
            (|session| session.amr = words(&["pwd otp"]), Unmet::Amr),
            (|session| session.authenticated_at = None, Unmet::AuthAge),
            (|session| session.claims = vec![ClaimId(0)], Unmet::Claims),
        ];
        for (change, unmet) in cases {
            let mut session = everything();
            change(&mut session);
            assert_eq!(all.check(&session, NOW), Err(unmet), "{session:?}");
        }
    }

    #[test]
    fn of_roles_one_suffices_and_of_scopes_and_methods_all_are_needed() {
        let [(roles, _), (scopes, _), _, _, (amr, _), _, _] = each();
        let session = SessionFacts {
            roles: words(&["admin"]),
            scopes: words(&["read"]),
            amr: words(&["otp"]),
            ..everything()
        };
        assert_eq!(roles.check(&session, NOW), Ok(()));
        assert_eq!(scopes.check(&session, NOW), Err(Unmet::Scopes));
        assert_eq!(amr.check(&session, NOW), Err(Unmet::Amr));
    }

    #[test]
    fn the_age_counts_from_when_the_user_authenticated() {
        let ten_minutes = requirement(|r| r.max_auth_age = Some(Duration::from_secs(600)));
        for (at, met) in [
            (NOW.as_secs() - 600, true),
            (NOW.as_secs() - 601, false),
            (NOW.as_secs() + 30, true),
            (NOW.as_secs() + 31, false),
            (0, false),
            (u64::MAX, false),
        ] {
            let session =
                SessionFacts { authenticated_at: Some(UnixTime::from_secs(at)), ..SessionFacts::default() };
            assert_eq!(ten_minutes.check(&session, NOW).is_ok(), met, "{at}");
        }
    }

    #[test]
    fn only_scopes_and_roles_are_told_as_an_insufficient_scope() {
        for (_, unmet) in each() {
            let expected = matches!(unmet, Unmet::Roles | Unmet::Scopes);
            assert_eq!(unmet.is_insufficient_scope(), expected);
            assert!(!unmet.message().is_empty());
        }
    }
}
