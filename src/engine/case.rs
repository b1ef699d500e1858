//! The part of a request that concerns its outcome: the demands on it, the edits of it, and its possible answers.
//! This is all that is kept while the request waits.

use std::rc::Rc;

use super::bound::BOUND;
use super::edits::Edits;
use super::explanation::{CacheStatus, Explanation, Reason};
use super::presented::{Presented, TokenScheme};
use super::{Decision, Engine, Outcome, Verdict};
use crate::auth_server::authgear::identity;
use crate::auth_server::fault::Fault;
use crate::auth_server::forward_auth::{DenialKind, Denied};
use crate::auth_server::{Holder, Session};
use crate::config::{OnError, OnErrorAction};
use crate::engine::denial::{self, Denial};
use crate::http::grpc;
use crate::http::url::Url;
use crate::http::{BadHead, Fields, Head, OwnedField, Reply, ResponseEdits, UnixTime};
use crate::jose::Refusal;
use crate::jose::dpop::ProofRefusal;
use crate::rules::{Access, Demand, OnUnauthenticated, Requirement, UseClaims};

/// What is known of one request, up to its decision.
#[derive(Debug)]
pub(super) struct Case {
    edits: Edits,
    demand: Demand,
    /// Where a person is sent to log in.
    location: Option<String>,
    /// Where a person who returns from logging in continues. Such a request is always answered here.
    way_back: Option<String>,
    /// The scheme of the token that can be refused, if the request carries one.
    token: Option<TokenScheme>,
    is_authgears: bool,
    is_grpc: bool,
    /// The URL of the auth server, if a rule names one.
    pub(super) auth_url: Option<Rc<Url>>,
    /// Whether the proxy sends gRPC clients their status. Otherwise headers do.
    tells_grpc: bool,
    /// Whether the cache decides, once that is known.
    cache: Option<CacheStatus>,
}

/// What a decision lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacking {
    /// An answer of the auth server, which failed in this way.
    Answer(Fault),
    /// Room to wait for one.
    Turn,
    /// The keys of an issuer.
    Keys,
    /// Room to record a proof.
    Room,
}

impl Lacking {
    const fn outcome(self, action: OnErrorAction) -> Outcome {
        match (self, action) {
            (Self::Answer(_) | Self::Turn | Self::Room, OnErrorAction::Deny) => Outcome::ErrorDenied,
            (Self::Answer(_) | Self::Turn | Self::Room, OnErrorAction::Allow) => Outcome::ErrorAllowed,
            (Self::Keys, OnErrorAction::Deny) => Outcome::NoKeysDenied,
            (Self::Keys, OnErrorAction::Allow) => Outcome::NoKeysAllowed,
        }
    }

    const fn reason(self) -> Reason {
        match self {
            Self::Answer(fault) => Reason::Fault(fault),
            Self::Turn => Reason::Crowd,
            Self::Keys => Reason::NoKeys,
            Self::Room => Reason::NoRoom,
        }
    }
}

impl Engine {
    /// Decides about a request on a public route: nobody needs to authenticate.
    pub(super) fn public(&self, head: &Head<'_>) -> Decision {
        self.unauthenticated(head, self.config.managed.forged_where_public(head.fields))
    }

    /// Decides about a CORS preflight. It is like a public route, but the app does not authenticate there.
    pub(super) fn preflight(&self, head: &Head<'_>) -> Decision {
        self.unauthenticated(head, self.config.managed.forged(head.fields))
    }

    fn unauthenticated(&self, head: &Head<'_>, forged: Vec<Vec<u8>>) -> Decision {
        let edits = self.edits(head, forged).with(Rc::default(), ResponseEdits::default());
        let explanation = Explanation::default();
        Decision { verdict: Verdict::Forward(edits), outcome: Outcome::Public, explanation }
    }

    /// Collects what is known of a request before its credentials are judged. `told` is its head as others see it,
    /// without tokens in the query. `way_back` is where a person who returns from logging in continues.
    pub(super) fn case(
        &self,
        head: &Head<'_>,
        told: &Head<'_>,
        demand: Demand,
        way_back: Option<String>,
        presented: &Presented<'_>,
    ) -> Case {
        let edits = self.edits(head, self.config.managed.forged(head.fields));
        let location = match (demand.on_unauthenticated(), &self.config.login) {
            (Some(OnUnauthenticated::Redirect(redirect)), _) => redirect.location(told),
            (Some(OnUnauthenticated::Reply(_)) | None, Some(login))
                if demand.access() == Access::Required =>
            {
                login.location(told)
            }
            (Some(OnUnauthenticated::Reply(_)) | None, _) => None,
        };
        Case {
            edits,
            demand,
            location,
            way_back,
            token: presented.scheme(),
            is_authgears: self.is_authgears,
            is_grpc: grpc::is_grpc(head),
            auth_url: None,
            tells_grpc: self.background,
            cache: None,
        }
    }
}

impl Case {
    /// Records whether the cache decides.
    pub(super) const fn decided_by(&mut self, status: CacheStatus) {
        self.cache = Some(status);
    }

    /// Decides for a valid session. The cookies of `respond` always go to the client. The rest is for the app's
    /// response, and not for a denial by the filter.
    pub(super) fn accept(self, session: &Session, respond: &ResponseEdits, now: UnixTime) -> Decision {
        if !self.admits(session.facts.other_use) {
            return self.refuse(Reason::Token(Refusal::Use));
        }
        let outcome = match session.holder {
            Holder::User(_) | Holder::Named(_) => Outcome::Session,
            Holder::Machine => Outcome::Machine,
        };
        let explanation = Explanation {
            reason: None,
            cache: self.cache,
            user: session.holder.user().cloned(),
            issuer: session.issuer.clone(),
        };
        if let Some(way_back) = &self.way_back {
            return self.replied(denial::logged_in(way_back), &respond.add, outcome, explanation);
        }
        match self.demand.check(&session.facts, now) {
            Ok(()) => self.forward(Rc::clone(&session.identity), respond, outcome, explanation),
            Err(unmet) => {
                let denial = Denial::Forbidden(unmet);
                let reply = match self.demand.on_forbidden() {
                    Some(answer) => denial.reply_as(answer),
                    None => denial.reply(),
                };
                let explanation = Explanation { reason: Some(Reason::Unmet(unmet)), ..explanation };
                self.replied(reply, &respond.add, Outcome::Forbidden, explanation)
            }
        }
    }

    /// Decides without a session. `identity` is what the auth server states about that.
    pub(super) fn nobody(self, identity: Rc<Fields>, respond: &ResponseEdits, outcome: Outcome) -> Decision {
        if self.demand.access() == Access::Required {
            let denial = if self.token.is_some() {
                Denial::InvalidToken("it belongs to no session")
            } else {
                Denial::Unauthenticated
            };
            return self.replied(self.deny(denial), &respond.add, outcome, self.explained(None));
        }
        let explanation = self.explained(None);
        self.forward(identity, respond, outcome, explanation)
    }

    /// Decides for a host of no project.
    pub(super) fn misdirected(self) -> Decision {
        let explanation = self.explained(Some(Reason::Misdirected));
        self.replied(Denial::Misdirected.reply(), &[], Outcome::BadRequest, explanation)
    }

    /// Decides without a credential.
    pub(super) fn anonymous(self) -> Decision {
        self.nobody(Rc::default(), &ResponseEdits::default(), Outcome::Anonymous)
    }

    /// Decides with an invalid credential.
    pub(super) fn refuse(self, reason: Reason) -> Decision {
        let text = reason.to_string();
        let denial = match self.token {
            Some(TokenScheme::Dpop) => Denial::InvalidBoundToken(&text),
            Some(TokenScheme::Bearer) | None => Denial::InvalidToken(&text),
        };
        self.refuse_with(denial, reason)
    }

    /// Decides about a bound token that is presented as a bearer token.
    pub(super) fn refuse_bound(self) -> Decision {
        Self { token: Some(TokenScheme::Dpop), ..self }.refuse(Reason::Credential(BOUND))
    }

    /// Decides about a bound token whose proof is invalid.
    pub(super) fn refuse_proof(self, refusal: ProofRefusal) -> Decision {
        self.refuse_with(Denial::InvalidProof(refusal), Reason::Proof(refusal))
    }

    fn refuse_with(self, denial: Denial<'_>, reason: Reason) -> Decision {
        let explanation = self.explained(Some(reason));
        if self.demand.access() == Access::Required {
            return self.replied(self.deny(denial), &[], Outcome::Refused, explanation);
        }
        let identity = if self.is_authgears { identity::refused() } else { Rc::default() };
        self.forward(identity, &ResponseEdits::default(), Outcome::Refused, explanation)
    }

    /// Decides when no server can. The requirements of a rule still apply.
    pub(super) fn fail(self, on_error: OnError, lacking: Lacking) -> Decision {
        let must_deny = self.demand.requirements().next().is_some() || self.way_back.is_some();
        let action = if must_deny { OnErrorAction::Deny } else { on_error.action };
        let (outcome, explanation) = (lacking.outcome(action), self.explained(Some(lacking.reason())));
        match action {
            OnErrorAction::Deny => {
                self.replied(Denial::Unavailable(on_error.status).reply(), &[], outcome, explanation)
            }
            OnErrorAction::Allow => {
                self.forward(Rc::default(), &ResponseEdits::default(), outcome, explanation)
            }
        }
    }

    /// Decides when the auth server failed in a way that the request itself may have provoked. Such a failure never
    /// lets it pass.
    pub(super) fn fail_provoked(self, on_error: OnError, fault: Fault) -> Decision {
        self.fail_closed(on_error, Lacking::Answer(fault))
    }

    /// Decides when no server can, and the operator's choice does not apply.
    pub(super) fn fail_closed(self, on_error: OnError, lacking: Lacking) -> Decision {
        self.fail(OnError { action: OnErrorAction::Deny, ..on_error }, lacking)
    }

    /// Returns whether a token of another use is admitted.
    pub(super) fn admits(&self, other_use: UseClaims) -> bool {
        self.demand.admits(other_use)
    }

    /// Returns whether a rule demands something that only a verified token states.
    pub(super) fn demands_token(&self) -> bool {
        self.demand.requirements().any(Requirement::asks_for_a_token)
    }

    /// Decides for a denial by a forward-auth server. It goes to the client, unless the operator configured another
    /// answer.
    pub(super) fn denied(self, denied: &Denied) -> Decision {
        let explanation = self.explained(Some(Reason::Denied(denied.reply.status)));
        let (reply, outcome) = match denied.kind {
            DenialKind::Unauthenticated | DenialKind::Redirected
                if self.demand.access() != Access::Required =>
            {
                let respond = ResponseEdits::default();
                return self.forward(Rc::default(), &respond, Outcome::NoSession, explanation);
            }
            DenialKind::Unauthenticated if self.demand.on_unauthenticated().is_some() => {
                (self.deny(Denial::Unauthenticated), Outcome::NoSession)
            }
            DenialKind::Unauthenticated | DenialKind::Redirected => {
                (denied.reply.clone(), Outcome::NoSession)
            }
            DenialKind::Forbidden => match self.demand.on_forbidden() {
                Some(answer) => (Denial::ForbiddenByServer.reply_as(answer), Outcome::Forbidden),
                None => (denied.reply.clone(), Outcome::Forbidden),
            },
            DenialKind::Other => (denied.reply.clone(), Outcome::Refused),
        };
        self.replied(reply, &[], outcome, explanation)
    }

    /// Decides when the request itself makes an answer of the auth server impossible.
    pub(super) fn bad_request(self, bad: BadHead) -> Decision {
        let explanation = self.explained(Some(Reason::Bad(bad)));
        self.replied(Denial::BadRequest(bad).reply(), &[], Outcome::BadRequest, explanation)
    }

    /// Returns the explanation of a request without an identity.
    const fn explained(&self, reason: Option<Reason>) -> Explanation {
        Explanation { reason, cache: self.cache, user: None, issuer: None }
    }

    fn replied(
        &self,
        mut reply: Reply,
        cookies: &[OwnedField],
        outcome: Outcome,
        explanation: Explanation,
    ) -> Decision {
        if self.is_grpc {
            let status = grpc::Status::of(reply.status);
            reply.grpc = Some(status);
            // It becomes the header `grpc-message`. A gRPC client reads nothing else, and does not follow redirects.
            reply.body = status.message().as_bytes().to_vec();
            reply.fields.retain(|(name, _)| !matches!(name.as_slice(), b"content-type" | b"location"));
            if !self.tells_grpc {
                let number = status.code().to_string();
                for (name, value) in [("grpc-status", number.as_str()), ("grpc-message", status.message())] {
                    reply.fields.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
                }
            }
        }
        replied(reply, cookies, outcome, explanation)
    }

    fn forward(
        self,
        set: Rc<Fields>,
        respond: &ResponseEdits,
        outcome: Outcome,
        explanation: Explanation,
    ) -> Decision {
        let verdict = Verdict::Forward(self.edits.with(set, respond.clone()));
        Decision { verdict, outcome, explanation }
    }

    fn deny(&self, denial: Denial<'_>) -> Reply {
        if self.way_back.is_some() {
            return Denial::LoginUnfinished.reply();
        }
        match (self.demand.on_unauthenticated(), &self.location) {
            (_, Some(location)) => denial.redirect(location),
            (Some(OnUnauthenticated::Reply(custom)), None) => denial.reply_as(custom),
            (Some(OnUnauthenticated::Redirect(_)) | None, None) => denial.reply(),
        }
    }
}

pub(super) fn replied(
    mut reply: Reply,
    cookies: &[OwnedField],
    outcome: Outcome,
    explanation: Explanation,
) -> Decision {
    reply.fields.extend_from_slice(cookies);
    Decision { verdict: Verdict::Reply(reply), outcome, explanation }
}
