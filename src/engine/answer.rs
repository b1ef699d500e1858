//! The resolver's answers: asked for once, however many requests have the same credential, and used again for as
//! long as the operator allows.

use std::rc::Rc;
use std::time::Duration;

use super::errand::Errand;
use super::state::State;
use super::{Decision, Engine, Outcome, Step, Topic, Verdict, Wait, Waiting};
use crate::cache::{Key, Lifetime, Part, Weigh};
use crate::config::Resolver;
use crate::credential::{Authorization, Credentials};
use crate::jwt::Token;
use crate::metric::Metric;
use crate::request::{Call, CallError, Head, HeaderEdits, OwnedField, Response, UnixTime};
use crate::resolver::{self, Answer, Fault, Session};

/// What is asked about a request.
#[derive(Debug, Clone)]
pub(super) struct Question {
    call: Call,
    about: Subject,
}

/// Whom a question is about.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Everything that is sent and can change the answer.
    key: Key,
    /// When the token itself ends, as far as it can be told.
    ends: Option<UnixTime>,
}

/// What the resolver said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    identity: Rc<[OwnedField]>,
    outcome: Outcome,
}

impl Weigh for Said {
    fn weight(&self) -> usize {
        super::token::weight(&self.identity)
    }
}

/// What came of a question, for all who asked it.
#[derive(Debug, Clone)]
pub(super) enum Arrived {
    Said { said: Said, cookies: Rc<[OwnedField]> },
    Stale(Said),
    Refused,
    Failed,
}

/// A question that is under way.
#[derive(Debug)]
pub(super) struct Asked {
    topic: u64,
    until: UnixTime,
}

impl Engine {
    /// Asks the resolver, unless its answer is remembered.
    pub(super) fn ask(
        &self,
        state: &mut State,
        resolver: &Resolver,
        head: &Head<'_>,
        forged: Vec<Vec<u8>>,
        credentials: Credentials<'_>,
        now: UnixTime,
    ) -> Step {
        credential_key(&mut state.key, credentials);
        if let Some(said) = state.answers.get(&state.key, now) {
            let decision = said.decide(forged, &[]);
            state.count(Metric::AnswersReused);
            return Step::Done(decision);
        }
        let question = self.question(resolver, head, credentials);
        self.put(state, question, forged, now)
    }

    pub(super) fn question(
        &self,
        resolver: &Resolver,
        head: &Head<'_>,
        credentials: Credentials<'_>,
    ) -> Question {
        let mut key = Key::new();
        credential_key(&mut key, credentials);
        let ends = match credentials.authorization {
            Authorization::Bearer(token) => {
                Token::parse(token.reveal()).ok().and_then(|token| token.unverified_expiry())
            }
            Authorization::NoToken | Authorization::Invalid => None,
        };
        let call = resolver::call(resolver, self.config.timeout, head, credentials);
        Question { call, about: Subject { key, ends } }
    }

    /// Puts a question, unless its answer is remembered or on its way.
    pub(super) fn put(
        &self,
        state: &mut State,
        question: Question,
        forged: Vec<Vec<u8>>,
        now: UnixTime,
    ) -> Step {
        /// How long past its timeout an answer is waited for.
        const GRACE: Duration = Duration::from_secs(1);
        let Question { call, about } = question;
        if let Some(said) = state.answers.get(&about.key, now) {
            let decision = said.decide(forged, &[]);
            state.count(Metric::AnswersReused);
            return Step::Done(decision);
        }
        if !self.background {
            return Step::Call(call, Waiting(Wait::Resolver { forged, about }));
        }
        let topic = match state.asked.get(&about.key) {
            Some(asked) if now < asked.until => {
                let topic = asked.topic;
                state.count(Metric::AnswersShared);
                topic
            }
            Some(_) | None => {
                let topic = state.new_topic();
                let until = now.after(self.config.timeout).after(GRACE);
                state.asked.insert(about.key.clone(), Asked { topic, until });
                state.send(call, Errand::ask(topic, about));
                topic
            }
        };
        Step::Park(Topic::Answer(topic), Waiting(Wait::Answer { forged, topic }))
    }

    /// Takes the answer to a question that several may wait for.
    pub(super) fn answer_arrived(
        &self,
        state: &mut State,
        topic: u64,
        about: &Subject,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) {
        if state.asked.get(&about.key).is_some_and(|asked| asked.topic == topic) {
            state.asked.remove(&about.key);
        }
        let arrived = self.read(state, about, result, now);
        state.arrived.insert(topic, arrived);
    }

    /// The decision for one of those who waited. Nothing has arrived where there was no room to wait.
    pub(super) fn decide_arrived(
        &self,
        state: &mut State,
        arrived: Option<Arrived>,
        forged: Vec<Vec<u8>>,
    ) -> Decision {
        match arrived {
            Some(Arrived::Said { said, cookies }) => said.decide(forged, &cookies),
            Some(Arrived::Stale(said)) => {
                state.count(Metric::AnswersStale);
                said.decide(forged, &[])
            }
            Some(Arrived::Refused) => self.refuse(forged, "it is too large or malformed"),
            Some(Arrived::Failed) | None => self.fail(forged, Outcome::AuthServerFailed),
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
        match resolver::read(result) {
            resolver::Result::Answered(Answer { session, identity, cookies }) => {
                let cache = self.config.cache;
                let (outcome, life) = match session {
                    Session::Valid { .. } => {
                        (Outcome::Session, Lifetime::new(now.after(cache.ttl), cache.stale_if_error))
                    }
                    Session::None => {
                        let negative = if cache.ttl.is_zero() { Duration::ZERO } else { cache.negative_ttl };
                        (Outcome::NoSession, Lifetime::new(now.after(negative), Duration::ZERO))
                    }
                };
                let said = Said { identity: identity.into(), outcome };
                // What sets a cookie was said to one client, at one time.
                if cookies.is_empty() {
                    let life = about.ends.map_or(life, |end| life.ending_by(end));
                    state.answers.insert(&about.key, said.clone(), life, now);
                } else {
                    state.answers.remove(&about.key);
                }
                let cookies = cookies.into_iter().map(|cookie| (b"set-cookie".to_vec(), cookie)).collect();
                Arrived::Said { said, cookies }
            }
            resolver::Result::Refused(_) => Arrived::Refused,
            resolver::Result::Failed(fault) => self.stale_or_failed(state, about, fault, now),
        }
    }

    fn stale_or_failed(&self, state: &mut State, about: &Subject, fault: Fault, now: UnixTime) -> Arrived {
        let stale = state.answers.get_stale(&about.key, now).cloned();
        self.warn_of_resolver(state, fault, stale.is_some(), now);
        stale.map_or(Arrived::Failed, Arrived::Stale)
    }
}

impl Said {
    fn decide(&self, forged: Vec<Vec<u8>>, cookies: &[OwnedField]) -> Decision {
        let edits = HeaderEdits { remove: forged, set: Rc::clone(&self.identity), respond: cookies.to_vec() };
        Decision { verdict: Verdict::Forward(edits), outcome: self.outcome }
    }
}

/// For Authgear: the bearer token and the three cookies, each with its name.
fn credential_key(key: &mut Key, credentials: Credentials<'_>) {
    key.clear();
    if let Authorization::Bearer(token) = credentials.authorization {
        key.push(Part::Bearer, token.reveal());
    }
    for (name, value) in credentials.cookies.iter() {
        key.push(Part::Cookie(name), value.reveal());
    }
}
