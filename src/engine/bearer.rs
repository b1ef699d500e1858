//! A request whose bearer token is judged here: its way to a decision, perhaps by waiting for keys or for a
//! confirmation.

use super::answers::Question;
use super::bound::carry_bound;
use super::case::{Case, Lacking};
use super::explanation::CacheStatus;
use super::presented::TokenScheme;
use super::session::other_use;
use super::tokens::{Glance, Judgement, Lack, Rejection};
use super::waiting::{Paused, Wait, Waiting};
use super::{Engine, State, Step, WaitKey, keys};
use crate::auth_server::AuthServer;
use crate::auth_server::authgear::resolver::{self, Confirmation};
use crate::config::OnErrorAction;
use crate::http::credential::{Cookies, Credentials, Secret};
use crate::http::{Head, UnixTime};
use crate::jose::dpop::Proof;
use crate::jose::{Need, Refusal, Token};
use crate::telemetry::Counter;

/// A request whose token is being judged.
#[allow(
    clippy::large_enum_variant,
    reason = "a token in use takes this path, and nothing of it outlives the callback"
)]
pub(super) enum Bearer<'a> {
    /// In the callback of its head.
    Fresh(Fresh<'a>),
    /// After it has waited. It never waits for the same thing again.
    Paused(Box<Paused>),
}

/// A request in the callback of its head.
pub(super) struct Fresh<'a> {
    pub(super) head: &'a Head<'a>,
    pub(super) case: Box<Case>,
    pub(super) token: Secret<'a>,
    pub(super) cookies: Cookies<'a>,
    pub(super) glance: Glance<'a>,
    /// The proof of possession of the token's key, if the scheme is `DPoP`.
    pub(super) proof: Option<Proof>,
}

impl Bearer<'_> {
    fn token(&self) -> &[u8] {
        match self {
            Self::Fresh(fresh) => fresh.token.reveal(),
            Self::Paused(paused) => &paused.token,
        }
    }

    fn case(&self) -> &Case {
        match self {
            Self::Fresh(fresh) => &fresh.case,
            Self::Paused(paused) => &paused.case,
        }
    }

    fn case_mut(&mut self) -> &mut Case {
        match self {
            Self::Fresh(fresh) => &mut fresh.case,
            Self::Paused(paused) => &mut paused.case,
        }
    }

    const fn proof(&self) -> Option<&Proof> {
        match self {
            Self::Fresh(fresh) => fresh.proof.as_ref(),
            Self::Paused(paused) => paused.proof.as_ref(),
        }
    }

    const fn scheme(&self) -> TokenScheme {
        match self.proof() {
            Some(_) => TokenScheme::Dpop,
            None => TokenScheme::Bearer,
        }
    }

    fn into_case(self) -> Case {
        self.into_case_and_proof().0
    }

    fn into_case_and_proof(self) -> (Case, Option<Proof>) {
        match self {
            Self::Fresh(fresh) => (*fresh.case, fresh.proof),
            Self::Paused(paused) => (*paused.case, paused.proof),
        }
    }
}

impl Engine {
    /// Judges a request's token.
    pub(super) fn bearer(&self, state: &mut State, bearer: Bearer<'_>, now: UnixTime) -> Step {
        // If nothing refreshes keys in the background, the first request that finds them old does.
        if !self.background
            && let Bearer::Fresh(_) = bearer
            && let Some(issuer) = state.keys.due(now)
        {
            return match self.wait_for_keys(state, issuer, Need::Fresh, bearer, now) {
                Ok(step) => step,
                Err(bearer) => self.judged(state, bearer, now),
            };
        }
        self.judged(state, bearer, now)
    }

    fn judged(&self, state: &mut State, mut bearer: Bearer<'_>, now: UnixTime) -> Step {
        let (judgement, status) = self.judge(state, &mut bearer, now);
        bearer.case_mut().decided_by(status);
        if let Judgement::Accepted(_) = judgement {
            state.outbox.count(match status {
                CacheStatus::Hit => Counter::TokensReused,
                CacheStatus::Miss | CacheStatus::Shared | CacheStatus::Stale => Counter::TokensVerified,
            });
        }
        match judgement {
            Judgement::Accepted(accepted) if !bearer.case().admits(accepted.session.facts.other_use) => {
                self.rejected(state, bearer, Rejection::Check(Refusal::Use), now)
            }
            Judgement::Accepted(accepted) => {
                if accepted.confirmation_due
                    && let Some(confirmation) = self.confirmation(&bearer)
                {
                    if !self.background {
                        state.tokens.confirmation_sent(&self.config, bearer.token(), now);
                        let Confirmation { call, plain } = confirmation;
                        let wait = Wait::Confirmation { paused: self.pause(bearer), plain };
                        return Step::Call(call, Waiting(wait));
                    }
                    self.send_for_confirmation(state, confirmation, bearer.token(), now);
                }
                let (case, proof) = bearer.into_case_and_proof();
                self.proven(state, case, &accepted, proof.as_ref(), now)
            }
            Judgement::Rejected(rejection) => self.rejected(state, bearer, rejection, now),
            Judgement::NeedsKeys(issuer, lack) => {
                let need = match lack {
                    Lack::AllKeys => Need::Fresh,
                    Lack::ThisKey => Need::UnknownKey,
                };
                match (self.wait_for_keys(state, issuer, need, bearer, now), lack) {
                    (Ok(step), _) => step,
                    (Err(bearer), Lack::AllKeys) => self.without_keys(state, issuer, bearer, now),
                    (Err(bearer), Lack::ThisKey) => {
                        self.rejected(state, bearer, Rejection::Check(Refusal::UnknownKey), now)
                    }
                }
            }
        }
    }

    /// Judges the token. Also returns whether the cache decided.
    fn judge(&self, state: &mut State, bearer: &mut Bearer<'_>, now: UnixTime) -> (Judgement, CacheStatus) {
        let State { tokens, keys, .. } = state;
        let scheme = bearer.scheme();
        let (token, Glance { recalled, parsed }) = match bearer {
            Bearer::Fresh(Fresh { token, glance, .. }) => (token.reveal(), std::mem::take(glance)),
            Bearer::Paused(paused) => (paused.token.as_slice(), Glance::default()),
        };
        match recalled.or_else(|| tokens.recall(token, scheme, keys, now)) {
            Some(recalled) => (recalled, CacheStatus::Hit),
            None => {
                let judged = tokens.judge(&self.config, self.signatures, keys, (token, scheme), parsed, now);
                (judged, CacheStatus::Miss)
            }
        }
    }

    /// Makes a request wait for an issuer's keys, if it has not waited yet and keys may arrive. Otherwise gives it
    /// back.
    #[allow(clippy::result_large_err, reason = "not an error, but the request itself, which moves on")]
    fn wait_for_keys<'a>(
        &self,
        state: &mut State,
        issuer: usize,
        need: Need,
        bearer: Bearer<'a>,
        now: UnixTime,
    ) -> Result<Step, Bearer<'a>> {
        if let Bearer::Paused(_) = bearer {
            return Err(bearer);
        }
        if self.background {
            self.send_for_keys(state, issuer, need, now);
            if !state.keys.is_fetching(issuer, now) {
                return Err(bearer);
            }
            let wait = Wait::Keys { issuer, ticket: None, paused: self.pause(bearer) };
            return Ok(Step::Park(WaitKey::Keys(issuer), Waiting(wait)));
        }
        let Some(call) = keys::call(&self.config, issuer) else { return Err(bearer) };
        // No request can wait for another one's fetch here, so without keys each fetches its own.
        let ticket = state.keys.start(issuer, need, now);
        if ticket.is_none() && (state.keys.get(issuer).is_some() || !state.keys.is_fetching(issuer, now)) {
            return Err(bearer);
        }
        Ok(Step::Call(call, Waiting(Wait::Keys { issuer, ticket, paused: self.pause(bearer) })))
    }

    /// Refuses a token, or decides by the cookies. A rejected token says nothing about them, so the resolver is asked
    /// about them alone, as it would fall through to them itself.
    fn rejected(&self, state: &mut State, bearer: Bearer<'_>, rejection: Rejection, now: UnixTime) -> Step {
        let question = self.question_of_cookies(&bearer);
        let case = bearer.into_case();
        match question {
            Some(question) => {
                if let Some(fault) = rejection.reason().token_fault() {
                    state.outbox.count(Counter::TokensRefused(fault));
                }
                self.put(state, question, case, now)
            }
            None => Step::Done(case.refuse(rejection.reason())),
        }
    }

    /// Decides without keys. The resolver is asked about a token that passes all checks except the signature, because
    /// it knows neither audiences nor client ids. It also states no scopes. If there is no resolver, nothing can
    /// decide, unless keys would not help: see [`Tokens::judge`](super::tokens::Tokens::judge).
    fn without_keys(&self, state: &mut State, issuer: usize, bearer: Bearer<'_>, now: UnixTime) -> Step {
        let parsed = Token::parse(bearer.token());
        if !parsed.is_ok_and(|token| bearer.case().admits(other_use(token.unverified_claims()))) {
            return self.rejected(state, bearer, Rejection::Check(Refusal::Use), now);
        }
        if !bearer.case().demands_token()
            && let Some(question) = self.whole_question(&bearer)
        {
            return self.put(state, question, bearer.into_case(), now);
        }
        // `on_error` is for cases that nothing can decide. A bad proof never passes.
        if self.config.on_error.action == OnErrorAction::Allow
            && let Some(proof) = bearer.proof()
            && let Err(unproven) = self.prove_unverified(state, issuer, bearer.token(), proof, now)
        {
            return self.not_proven(state, bearer.into_case(), unproven, now);
        }
        Step::Done(bearer.into_case().fail(self.config.on_error, Lacking::Keys))
    }

    fn confirmation(&self, bearer: &Bearer<'_>) -> Option<Confirmation> {
        match bearer {
            Bearer::Fresh(Fresh { proof: Some(_), .. }) => None,
            Bearer::Fresh(Fresh { head, token, .. }) => {
                let resolver = self.config.resolver()?;
                Some(resolver::confirmation(resolver, self.config.timeout, head, *token))
            }
            Bearer::Paused(paused) => paused.confirmation.clone(),
        }
    }

    fn question_of_cookies(&self, bearer: &Bearer<'_>) -> Option<Question> {
        match bearer {
            Bearer::Fresh(Fresh { cookies, .. }) if cookies.is_empty() || carry_bound(*cookies) => None,
            Bearer::Fresh(Fresh { head, cookies, .. }) => {
                let alone = Credentials { bearer: None, cookies: *cookies };
                self.question_of_resolver(head, alone)
            }
            Bearer::Paused(paused) => paused.cookies.clone(),
        }
    }

    fn whole_question(&self, bearer: &Bearer<'_>) -> Option<Question> {
        match bearer {
            // A bound token is sent to no server.
            Bearer::Fresh(Fresh { proof: Some(_), .. }) => None,
            Bearer::Fresh(Fresh { cookies, .. }) if carry_bound(*cookies) => None,
            Bearer::Fresh(Fresh { head, token, cookies, .. }) => {
                self.question_of_resolver(head, Credentials { bearer: Some(*token), cookies: *cookies })
            }
            Bearer::Paused(paused) => paused.whole.clone(),
        }
    }

    fn question_of_resolver(&self, head: &Head<'_>, credentials: Credentials<'_>) -> Option<Question> {
        match &self.config.server {
            Some(server @ AuthServer::Resolver(_)) => self.question(server, head, credentials),
            Some(AuthServer::ForwardAuth(_) | AuthServer::Introspection(_)) | None => None,
        }
    }

    fn pause(&self, bearer: Bearer<'_>) -> Box<Paused> {
        let (confirmation, cookies) = (self.confirmation(&bearer), self.question_of_cookies(&bearer));
        let whole = self.whole_question(&bearer);
        match bearer {
            Bearer::Fresh(Fresh { case, token, proof, .. }) => {
                Box::new(Paused { case, token: token.reveal().to_vec(), proof, confirmation, cookies, whole })
            }
            Bearer::Paused(paused) => paused,
        }
    }
}
