//! A request's question to the auth server: asked once for all requests that share it, and never if the answer is
//! cached. Also applies an answer to a request.

use std::rc::Rc;

use super::answers::{About, Arrived, Question, Remembered};
use super::case::{Case, Lacking};
use super::explanation::{CacheStatus, Reason};
use super::session::{session, stated_use};
use super::tokens::Glance;
use super::waiting::Wait;
use super::{BackgroundCall, Decision, Engine, Outcome, State, Step, WaitKey, Waiting};
use crate::auth_server::fault::Fault;
use crate::auth_server::forward_auth::DenialKind;
use crate::auth_server::{Answer, AuthServer, Judged, Said, Scope};
use crate::config::{Introspection, OnError, OnErrorAction};
use crate::http::credential::Credentials;
use crate::http::{CallError, Head, Response, ResponseEdits, UnixTime};
use crate::jose::{self, Claims, Refusal};
use crate::telemetry::Counter;

impl Engine {
    /// Asks the auth server about a request, unless the answer is cached.
    pub(super) fn ask(
        &self,
        state: &mut State,
        head: &Head<'_>,
        case: Case,
        credentials: Credentials<'_>,
        glance: &Glance<'_>,
        now: UnixTime,
    ) -> Step {
        let Some(server) = &self.config.server else { return Step::Done(case.anonymous()) };
        if let Err(bad) = server.check(head) {
            return Step::Done(case.bad_request(bad));
        }
        let url = case.auth_url.as_deref();
        match state.answers.recall(server, head, credentials, url, now) {
            Ok(remembered) => Step::Done(recalled(state, &remembered, case, now)),
            Err(inputs) => match server.call(self.config.timeout, head, credentials, url) {
                Ok(call) => {
                    let about = state.answers.about(inputs, self.end_of(credentials, glance));
                    self.join(state, Question { call, about }, case, now)
                }
                Err(bad) => Step::Done(case.bad_request(bad)),
            },
        }
    }

    /// Returns the question about some of a request's credentials.
    pub(super) fn question(
        &self,
        server: &AuthServer,
        head: &Head<'_>,
        credentials: Credentials<'_>,
    ) -> Option<Question> {
        let call = server.call(self.config.timeout, head, credentials, None).ok()?;
        let ends = self.end_of(credentials, &Glance::default());
        Some(Question { call, about: About::of(server, head, credentials, ends) })
    }

    /// Asks a question, unless its answer is cached or in flight.
    pub(super) fn put(&self, state: &mut State, question: Question, case: Case, now: UnixTime) -> Step {
        match state.answers.recall_about(&question.about, now) {
            Some(remembered) => Step::Done(recalled(state, &remembered, case, now)),
            None => self.join(state, question, case, now),
        }
    }

    /// Asks a question whose answer is not cached, unless it is in flight.
    fn join(&self, state: &mut State, question: Question, case: Case, now: UnixTime) -> Step {
        state.outbox.count(Counter::AnswersMissed);
        let case = Box::new(case);
        if !self.background {
            let Question { call, about } = question;
            return Step::Call(call, Waiting(Wait::Own { case, about }));
        }
        match state.answers.join(&question.about, now) {
            Some(number) => {
                state.outbox.count(Counter::AnswersShared);
                let question = Some(Box::new(question));
                Step::Park(WaitKey::Answer(number), Waiting(Wait::Shared { case, number, question }))
            }
            None => {
                let number = state.answers.begin(&question.about, now);
                Self::send(state, number, question, case)
            }
        }
    }

    fn send(state: &mut State, number: u64, question: Question, case: Box<Case>) -> Step {
        let Question { call, about } = question;
        state.outbox.send(call, BackgroundCall::ask(number, about));
        Step::Park(WaitKey::Answer(number), Waiting(Wait::Shared { case, number, question: None }))
    }

    /// Returns the next step of a request after the answer has arrived. `own` is its own question if it joined
    /// another request's.
    pub(super) fn arrived(
        &self,
        state: &mut State,
        arrived: Arrived,
        own: Option<Box<Question>>,
        mut case: Case,
        now: UnixTime,
    ) -> Step {
        let status = match (&arrived, &own) {
            (Arrived::Stale(_), _) => CacheStatus::Stale,
            (Arrived::Answer(_) | Arrived::Failed(_), Some(_)) => CacheStatus::Shared,
            (Arrived::Answer(_) | Arrived::Failed(_), None) => CacheStatus::Miss,
        };
        case.decided_by(status);
        Step::Done(match arrived {
            Arrived::Answer(answer) => match (answer.scope, own) {
                (Scope::AskerAlone, Some(question)) => {
                    let number = state.answers.begin_alone();
                    return Self::send(state, number, *question, Box::new(case));
                }
                (Scope::WithoutCookies, Some(_)) => {
                    said(&answer.said, &answer.respond.replacing(), case, now)
                }
                (Scope::Everyone | Scope::WithoutCookies | Scope::AskerAlone, _) => {
                    said(&answer.said, &answer.respond, case, now)
                }
            },
            Arrived::Stale(remembered) => {
                state.outbox.count(Counter::AnswersStale);
                said(&remembered.said, &remembered.respond.replacing(), case, now)
            }
            Arrived::Failed(fault) if fault.may_be_provoked() => {
                case.fail_provoked(self.config.on_error, fault)
            }
            Arrived::Failed(fault) => case.fail(self.config.on_error, Lacking::Answer(fault)),
        })
    }

    /// Reads an answer, caches it if it may be reused, and logs what an operator should know.
    pub(super) fn read(
        &self,
        state: &mut State,
        about: &About,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> Arrived {
        let Some(server) = &self.config.server else {
            return Arrived::Failed(Fault::Call(CallError::NotSent));
        };
        let mut result = server.read(about.inputs, result, |server, claims, payload| {
            self.judge_stated(server, claims, payload, now)
        });
        if let (AuthServer::Resolver(_), Ok(Answer { said: Said::Session(session), .. })) =
            (server, &mut result)
        {
            session.issuer.clone_from(&self.resolver_issuer);
        }
        let fault = result.as_ref().err().copied();
        if let Ok(Answer { said: Said::Denied(denied), .. }) = &result
            && denied.kind == DenialKind::Other
        {
            let status = denied.status;
            state.outbox.warn(
                |limits| &mut limits.denials,
                now,
                || {
                    format!(
                        "auth server {server} denied a request with {status}, which the client got: is \
                         forward_auth.url, or that of a rule, right?"
                    )
                },
            );
        }
        let random = state.outbox.random();
        let arrived = state.answers.learn(about, result, random, now);
        if let Some(fault) = fault {
            let OnError { action, status } = self.config.on_error;
            let then = match (&arrived, action) {
                (Arrived::Stale(_), _) => "decided by what it said before (cache.stale_if_error)".to_owned(),
                (_, OnErrorAction::Allow) if !fault.may_be_provoked() => {
                    "let through without identity headers (on_error.action is allow)".to_owned()
                }
                (_, OnErrorAction::Allow | OnErrorAction::Deny) => format!("denied with {status}"),
            };
            state.outbox.warn(
                |limits| &mut limits.server,
                now,
                || format!("auth server {server} failed: {fault}. Requests are {then}"),
            );
        }
        arrived
    }

    /// Judges the claims that an introspection endpoint states about a token.
    fn judge_stated(
        &self,
        server: &Introspection,
        claims: &Claims,
        payload: &[u8],
        now: UnixTime,
    ) -> Result<Judged, Refusal> {
        let issuer = self.config.issuers.get(server.issuer).ok_or(Refusal::Issuer)?;
        issuer.policy.check_stated(claims, now)?;
        let session = session(&self.config, issuer, claims, payload, stated_use(claims))?;
        Ok(Judged { session, ends: claims.expiry() })
    }

    /// Returns when a request's token expires, if known. It is not looked for if answers are not cached.
    fn end_of(&self, credentials: Credentials<'_>, glance: &Glance<'_>) -> Option<UnixTime> {
        let token = credentials.bearer.filter(|_token| !self.config.cache.ttl.is_zero())?;
        match &glance.parsed {
            Some(Ok(token)) => token.unverified_expiry(),
            Some(Err(_)) | None => jose::peek(token.reveal())?.expires,
        }
    }
}

/// Decides by a cached answer.
fn recalled(state: &mut State, remembered: &Remembered, mut case: Case, now: UnixTime) -> Decision {
    state.outbox.count(Counter::AnswersReused);
    case.decided_by(CacheStatus::Hit);
    said(&remembered.said, &remembered.respond, case, now)
}

/// Decides by the auth server's answer. `respond` is for the client.
fn said(said: &Said, respond: &ResponseEdits, case: Case, now: UnixTime) -> Decision {
    match said {
        Said::Session(session) => case.accept(session, respond, now),
        Said::NoSession(identity) => case.nobody(Rc::clone(identity), respond, Outcome::NoSession),
        Said::Denied(denied) => case.denied(denied),
        Said::Refused(refusal) => case.refuse(Reason::Token(*refusal)),
    }
}
