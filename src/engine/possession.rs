//! A request whose token is bound to a key (RFC 9449): `Authorization: DPoP` and a proof. It is always decided here,
//! without a call.

use super::bearer::{Bearer, Fresh};
use super::bound::{BOUND, carry_bound, holds_bound, is_bound};
use super::case::{Case, Lacking};
use super::explanation::{CacheStatus, Reason};
use super::presented::TokenScheme;
use super::proofs::{Room, Sighting};
use super::tokens::{Accepted, Glance, Judgement};
use super::{Engine, State, Step};
use crate::auth_server::forward_auth;
use crate::http::credential::{Cookies, Secret};
use crate::http::place::{Found, Place};
use crate::http::{Head, ResponseEdits, UnixTime};
use crate::jose::Token;
use crate::jose::dpop::{Binding, Proof, ProofRefusal, Thumbprint};

const UNBOUND: &str = "it is not bound to a key, and needs the scheme Bearer";

const UNKNOWN: &str = "it is bound to something other than a key (cnf without jkt)";

impl Engine {
    /// Returns whether a request carries a bound token in any place, or in anything that a server would get of it,
    /// including `cookies`. No server is sent a bound token in any form.
    pub(super) fn carries_bound(&self, head: &Head<'_>, cookies: Cookies<'_>) -> bool {
        let is_sent = self
            .config
            .forward_auth()
            .is_some_and(|server| forward_auth::sent_values(server, head).any(holds_bound));
        if is_sent || carry_bound(cookies) {
            return true;
        }
        let bearer = Place::bearer();
        let places = self.config.token_from.iter().chain([&bearer, &self.dpop]);
        places.map(|place| place.find(head)).any(|found| match found {
            Found::Token(token) => is_bound(token.secret(), &mut Glance::default()),
            Found::Nothing | Found::Unclear => false,
        })
    }

    /// Returns the step for a token with the scheme `DPoP`.
    pub(super) fn possessed(
        &self,
        state: &mut State,
        head: &Head<'_>,
        mut case: Case,
        token: Secret<'_>,
        now: UnixTime,
    ) -> Step {
        let recalled = state.tokens.recall(token.reveal(), TokenScheme::Dpop, &state.keys, now);
        let mut glance = Glance { recalled, parsed: None };
        if glance.recalled.is_none() {
            match Token::parse(token.reveal()) {
                Err(refusal) => return Step::Done(case.refuse(Reason::Token(refusal))),
                Ok(parsed) => match parsed.unverified_binding() {
                    Binding::None => return Step::Done(case.refuse(Reason::Credential(UNBOUND))),
                    Binding::Unknown => return Step::Done(case.refuse(Reason::Credential(UNKNOWN))),
                    Binding::Key(_) => glance.parsed = Some(Ok(parsed)),
                },
            }
        }
        if let Some(Judgement::Rejected(rejection)) = &glance.recalled {
            case.decided_by(CacheStatus::Hit);
            return Step::Done(case.refuse(rejection.reason()));
        }
        let proof = match Proof::read(head, token.reveal()) {
            Ok(proof) => Some(proof),
            Err(refusal) => return Step::Done(case.refuse_proof(refusal)),
        };
        let fresh = Fresh { head, case: Box::new(case), token, cookies: Cookies::default(), glance, proof };
        self.bearer(state, Bearer::Fresh(fresh), now)
    }

    /// Decides about a good token by its proof.
    pub(super) fn proven(
        &self,
        state: &mut State,
        case: Case,
        accepted: &Accepted,
        proof: Option<&Proof>,
        now: UnixTime,
    ) -> Step {
        let Accepted { session, bound, issuer, .. } = accepted;
        let (proof, key) = match (proof, *bound) {
            (None, None) => return Step::Done(case.accept(session, &ResponseEdits::default(), now)),
            (Some(proof), Some(key)) => (proof, key),
            (None, Some(_)) => return Step::Done(case.refuse(Reason::Credential(BOUND))),
            (Some(_), None) => return Step::Done(case.refuse(Reason::Credential(UNBOUND))),
        };
        match self.prove(state, *issuer, proof, key, now) {
            Ok(room) => {
                room.take();
                Step::Done(case.accept(session, &ResponseEdits::default(), now))
            }
            Err(unproven) => self.not_proven(state, case, unproven, now),
        }
    }

    /// Checks the proof beside a token as if the token were verified.
    pub(super) fn prove_unverified(
        &self,
        state: &mut State,
        issuer: usize,
        token: &[u8],
        proof: &Proof,
        now: UnixTime,
    ) -> Result<(), Unproven> {
        match Token::parse(token).map(|token| token.unverified_binding()) {
            Ok(Binding::Key(key)) => self.prove(state, issuer, proof, key, now).map(|_room| ()),
            Ok(Binding::None | Binding::Unknown) | Err(_) => Err(ProofRefusal::OtherKey.into()),
        }
    }

    /// Checks that a proof was made recently with this key, and is new; its signature comes last. Returns the room to
    /// record it.
    fn prove<'s>(
        &self,
        state: &'s mut State,
        issuer: usize,
        proof: &Proof,
        key: Thumbprint,
        now: UnixTime,
    ) -> Result<Room<'s>, Unproven> {
        let leeway = self.config.issuers.get(issuer).map(|issuer| issuer.policy.leeway);
        let proof = proof.by(key, leeway.unwrap_or_default(), now)?;
        match state.proofs.sight(proof.number(), proof.end(), now) {
            Sighting::First(room) => {
                proof.verify(self.signatures)?;
                Ok(room)
            }
            Sighting::Again => Err(ProofRefusal::Replayed.into()),
            Sighting::NoRoom => Err(Unproven::NoRoom),
        }
    }

    /// Decides about a token whose bearer did not prove possession of its key.
    pub(super) fn not_proven(
        &self,
        state: &mut State,
        case: Case,
        unproven: Unproven,
        now: UnixTime,
    ) -> Step {
        if let Unproven::Refused(refusal) = unproven {
            return Step::Done(case.refuse_proof(refusal));
        }
        let status = self.config.on_error.status;
        state.outbox.warn(
            |limits| &mut limits.proofs,
            now,
            || {
                format!(
                    "more DPoP proofs could be replayed than may be remembered (cache.max_entries); requests \
                     are denied with {status}"
                )
            },
        );
        Step::Done(case.fail_closed(self.config.on_error, Lacking::Room))
    }
}

/// Why a proof does not suffice.
pub(super) enum Unproven {
    /// The proof is refused.
    Refused(ProofRefusal),
    /// It could not be recorded.
    NoRoom,
}

impl From<ProofRefusal> for Unproven {
    fn from(refusal: ProofRefusal) -> Self {
        Self::Refused(refusal)
    }
}
