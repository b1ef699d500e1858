//! The auth server's answers: asked for once, however many requests have the same credential, and used again for as
//! long as the operator allows.

use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::Duration;

use super::background::BackgroundCall;
use super::case::{Case, Known, Lacking};
use super::state::State;
use super::token::weight;
use super::{Decision, Engine, Outcome, Step, Wait, WaitKey, Waiting};
use crate::auth_server::authgear::identity::SessionFacts;
use crate::auth_server::authgear::resolver::{self, Answer, Session};
use crate::auth_server::fault::Fault;
use crate::auth_server::forward_auth::{self, Denied};
use crate::cache::{Key, Lifetime, Part, Weigh};
use crate::config::{AuthServer, Resolver};
use crate::http::credential::{Authorization, Credentials};
use crate::http::{Call, CallError, Fields, Head, OwnedField, Response, UnixTime};
use crate::jose::Token;
use crate::telemetry::Counter;

/// What is asked about a request.
#[derive(Debug, Clone)]
pub(super) struct Question {
    call: Call,
    about: Subject,
}

/// Whom a question is about.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Everything that is sent and can change the answer. Shared with what is being asked, where it is found
    /// again without comparing its bytes.
    key: Rc<Key>,
    /// Whether an accepting answer says anything about other requests with this key.
    identify: bool,
    /// When the token itself ends, as far as it can be told.
    ends: Option<UnixTime>,
}

/// What the auth server said of a credential.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// It may pass, as this.
    Session(Known),
    /// There is no session; and what the app is told of that.
    NoSession(Rc<Fields>),
    /// It may not pass.
    Denied(Rc<Denied>),
}

impl Weigh for Said {
    fn weight(&self) -> usize {
        match self {
            Self::Session(known) => known.weight(),
            Self::NoSession(identity) => identity.weight(),
            Self::Denied(denied) => weight(&denied.reply.fields).saturating_add(denied.reply.body.len()),
        }
    }
}

/// What came of a question, for all who asked it.
#[derive(Debug, Clone)]
pub(super) enum Arrived {
    Said { said: Said, cookies: Rc<[OwnedField]> },
    Stale(Said),
    Refused(u16),
    Failed,
}

/// A question that is under way.
#[derive(Debug)]
pub(super) struct Asked {
    wait_key: u64,
    until: UnixTime,
}

impl Engine {
    /// Asks the auth server about a request, unless its answer is remembered.
    pub(super) fn ask(
        &self,
        state: &mut State,
        server: &AuthServer,
        head: &Head<'_>,
        case: Case,
        credentials: Credentials<'_>,
        now: UnixTime,
    ) -> Step {
        state.key.clear();
        let identify = match server {
            AuthServer::Resolver(_) => {
                credential_key(&mut state.key, credentials);
                true
            }
            AuthServer::ForwardAuth(server) => forward_auth::key(server, head, &mut state.key).identify,
        };
        if let Some(said) = state.answers.get(&state.key, now) {
            let decision = said.decide(case, &[], now);
            state.count(Counter::AnswersReused);
            return Step::Done(decision);
        }
        let call = match server {
            AuthServer::Resolver(resolver) => {
                resolver::call(resolver, self.config.timeout, head, credentials)
            }
            AuthServer::ForwardAuth(server) => match forward_auth::call(server, self.config.timeout, head) {
                Ok(call) => call,
                Err(bad) => return Step::Done(case.bad_request(bad)),
            },
        };
        let about = Subject { key: Rc::new(state.key.clone()), identify, ends: self.end_of(credentials) };
        self.join(state, Question { call, about }, case, now)
    }

    /// The question about credentials alone.
    pub(super) fn question(
        &self,
        resolver: &Resolver,
        head: &Head<'_>,
        credentials: Credentials<'_>,
    ) -> Question {
        let mut key = Key::new();
        credential_key(&mut key, credentials);
        let call = resolver::call(resolver, self.config.timeout, head, credentials);
        Question {
            call,
            about: Subject { key: Rc::new(key), identify: true, ends: self.end_of(credentials) },
        }
    }

    /// Puts a question, unless its answer is remembered or on its way.
    pub(super) fn put(&self, state: &mut State, question: Question, case: Case, now: UnixTime) -> Step {
        if let Some(said) = state.answers.get(&question.about.key, now) {
            let decision = said.decide(case, &[], now);
            state.count(Counter::AnswersReused);
            return Step::Done(decision);
        }
        self.join(state, question, case, now)
    }

    /// Puts a question whose answer is not remembered, unless it is on its way.
    fn join(&self, state: &mut State, question: Question, case: Case, now: UnixTime) -> Step {
        /// How long past its timeout an answer is waited for.
        const GRACE: Duration = Duration::from_secs(1);
        let Question { call, about } = question;
        if !self.background {
            return Step::Call(call, Waiting(Wait::Resolver { case: Box::new(case), about }));
        }
        let wait_key = match state.asked.get(&about.key) {
            Some(asked) if self.shares_answers() && about.identify && now < asked.until => {
                let wait_key = asked.wait_key;
                state.count(Counter::AnswersShared);
                wait_key
            }
            Some(_) | None => {
                let wait_key = state.new_wait_key();
                let until = now.after(self.config.timeout).after(GRACE);
                state.asked.insert(Rc::clone(&about.key), Asked { wait_key, until });
                state.send(call, BackgroundCall::ask(wait_key, about));
                wait_key
            }
        };
        Step::Park(WaitKey::Answer(wait_key), Waiting(Wait::Answer { case: Box::new(case), wait_key }))
    }

    /// Whether an answer may serve more than the request that it was given to. What a session is does not depend
    /// on the moment; of what another server says, that is for the operator to say, by a `ttl`.
    fn shares_answers(&self) -> bool {
        self.config.forward_auth().is_none() || !self.config.cache.ttl.is_zero()
    }

    /// Takes the answer to a question that several may wait for.
    pub(super) fn answer_arrived(
        &self,
        state: &mut State,
        wait_key: u64,
        about: &Subject,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) {
        if let Entry::Occupied(asked) = state.asked.entry(Rc::clone(&about.key))
            && asked.get().wait_key == wait_key
        {
            asked.remove();
        }
        let arrived = self.read(state, about, result, now);
        state.arrived.push((wait_key, arrived));
    }

    /// The decision for one of those who waited. Nothing has arrived where there was no room to wait.
    pub(super) fn decide_arrived(
        &self,
        state: &mut State,
        arrived: Option<Arrived>,
        case: Case,
        now: UnixTime,
    ) -> Decision {
        match arrived {
            Some(Arrived::Said { said, cookies }) => said.decide(case, &cookies, now),
            Some(Arrived::Stale(said)) => {
                state.count(Counter::AnswersStale);
                said.decide(case, &[], now)
            }
            Some(Arrived::Refused(status)) => case.refused_by_server(status),
            Some(Arrived::Failed) | None => case.fail(self.config.on_error, Lacking::Answer),
        }
    }

    /// Reads an answer, and remembers it if it may be used again.
    pub(super) fn read(
        &self,
        state: &mut State,
        about: &Subject,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> Arrived {
        let (said, cookies) = match &self.config.server {
            Some(AuthServer::ForwardAuth(server)) => match forward_auth::read(server, result) {
                forward_auth::Answer::Accepted(forward_auth::Accepted { identity, cookies }) => {
                    (Said::Session(Known::of_server(identity)), cookies)
                }
                forward_auth::Answer::Denied(denied) => (Said::Denied(Rc::new(denied)), Vec::new()),
                forward_auth::Answer::Refused(status) => return Arrived::Refused(status),
                forward_auth::Answer::Failed(fault) => return self.stale_or_failed(state, about, fault, now),
            },
            Some(AuthServer::Resolver(_)) | None => match resolver::read(result) {
                resolver::Result::Answered(Answer { session: Session::Valid { .. }, identity, cookies }) => {
                    (Said::Session(Known::of_resolver(identity)), cookies)
                }
                resolver::Result::Answered(Answer { session: Session::None, identity, cookies }) => {
                    (Said::NoSession(Rc::new(identity)), cookies)
                }
                resolver::Result::Refused(status) => return Arrived::Refused(status),
                resolver::Result::Failed(fault) => return self.stale_or_failed(state, about, fault, now),
            },
        };
        self.remember_answer(state, about, &said, !cookies.is_empty(), now);
        let cookies = cookies.into_iter().map(|cookie| (b"set-cookie".to_vec(), cookie)).collect();
        Arrived::Said { said, cookies }
    }

    fn remember_answer(&self, state: &mut State, about: &Subject, said: &Said, cookies: bool, now: UnixTime) {
        let cache = self.config.cache;
        let negative = if cache.ttl.is_zero() { Duration::ZERO } else { cache.negative_ttl };
        let (life, cookies) = match said {
            Said::Session(_) => (Lifetime::new(now.after(cache.ttl), cache.stale_if_error), cookies),
            Said::NoSession(_) => (Lifetime::new(now.after(negative), Duration::ZERO), cookies),
            Said::Denied(denied) => {
                let sets_cookie = denied.reply.fields.iter().any(|(name, _)| name == b"set-cookie");
                (Lifetime::new(now.after(negative), Duration::ZERO), sets_cookie)
            }
        };
        // What sets a cookie was said to one client, at one time.
        let is_for_others = about.identify || !matches!(said, Said::Session(_));
        if cookies || !is_for_others {
            state.answers.remove(&about.key);
            return;
        }
        let life = about.ends.map_or(life, |end| life.ending_by(end));
        state.answers.insert(&about.key, said.clone(), life, now);
    }

    /// When a request's token ends, as far as it can be told; not looked for where no answer is remembered.
    fn end_of(&self, credentials: Credentials<'_>) -> Option<UnixTime> {
        match credentials.authorization {
            Authorization::Bearer(token) if !self.config.cache.ttl.is_zero() => {
                Token::parse(token.reveal()).ok()?.unverified_expiry()
            }
            Authorization::Bearer(_) | Authorization::NoToken | Authorization::Invalid => None,
        }
    }

    fn stale_or_failed(&self, state: &mut State, about: &Subject, fault: Fault, now: UnixTime) -> Arrived {
        let stale = state.answers.get_stale(&about.key, now).cloned();
        self.warn_of_server(state, fault, stale.is_some(), now);
        stale.map_or(Arrived::Failed, Arrived::Stale)
    }
}

impl Said {
    fn decide(&self, case: Case, cookies: &[OwnedField], now: UnixTime) -> Decision {
        match self {
            Self::Session(known) => case.accept(known, cookies, now),
            Self::NoSession(identity) => case.nobody(Rc::clone(identity), cookies, Outcome::NoSession),
            Self::Denied(denied) => case.denied(denied),
        }
    }
}

impl Known {
    fn of_resolver(identity: Fields) -> Self {
        let stated = Rc::new(SessionFacts::by_headers(&identity, &[]));
        Self { identity: Rc::new(identity), stated, outcome: Outcome::Session }
    }

    /// What a forward-auth server's session states, only that server knows.
    fn of_server(identity: Fields) -> Self {
        Self { identity: Rc::new(identity), stated: Rc::default(), outcome: Outcome::Session }
    }
}

/// For Authgear: the bearer token and the three cookies, each with its name.
fn credential_key(key: &mut Key, credentials: Credentials<'_>) {
    if let Authorization::Bearer(token) = credentials.authorization {
        key.push(Part::Bearer, token.reveal());
    }
    for (name, value) in credentials.cookies.iter() {
        key.push(Part::Cookie(name), value.reveal());
    }
}
