//! The auth server's answers: those in the cache, those in flight, and those that have arrived and are on their way
//! to waiting requests. However many requests share a credential, the server is asked once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::Duration;

use super::overdue;
use crate::auth_server::fault::Fault;
use crate::auth_server::{Answer, AuthServer, Inputs, Said, Scope};
use crate::cache::{BoundedMap, Budget, Key, Lifetime, Weigh};
use crate::config::{Cache, Config};
use crate::http::credential::Credentials;
use crate::http::url::Url;
use crate::http::{Call, Head, OwnedField, ResponseEdits, UnixTime};

/// A question to the auth server: a call, and what its answer is about.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) call: Call,
    pub(super) about: About,
}

/// The subject of an answer.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// Shared with the question in flight, which is then found without comparing the bytes.
    key: Rc<Key>,
    pub(super) inputs: Inputs,
    /// When the token itself expires, if known.
    ends: Option<UnixTime>,
}

impl About {
    /// Returns the subject of an answer about these credentials.
    pub(super) fn of(
        server: &AuthServer,
        head: &Head<'_>,
        credentials: Credentials<'_>,
        ends: Option<UnixTime>,
    ) -> Self {
        let mut key = Key::new();
        let inputs = server.key(head, credentials, None, &mut key);
        Self { key: Rc::new(key), inputs, ends }
    }
}

/// A cached answer.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) said: Said,
    pub(super) respond: ResponseEdits,
}

/// The result of a question.
#[derive(Debug, Clone)]
pub(super) enum Arrived {
    /// The auth server answered.
    Answer(Answer),
    /// It failed, and a stale answer replaces its answer.
    Stale(Remembered),
    /// It failed.
    Failed(Fault),
}

/// A question that was sent and has no answer yet.
#[derive(Debug)]
struct InFlight {
    number: u64,
    until: UnixTime,
}

/// All answers of one project in this worker.
pub(super) struct Answers {
    remembered: BoundedMap<Remembered>,
    in_flight: HashMap<Rc<Key>, InFlight>,
    /// By the number of the question. There are few at any time.
    arrived: Vec<(u64, Arrived)>,
    last_number: u64,
    /// The key of the current request, kept to reuse its allocation.
    key: Key,
    times: Cache,
    timeout: Duration,
    are_shared: bool,
}

impl Weigh for Remembered {
    fn weight(&self) -> usize {
        let said = match &self.said {
            Said::Session(session) => session.weight(),
            Said::NoSession(identity) => identity.weight(),
            Said::Denied(denied) => weight(&denied.reply.fields).saturating_add(denied.reply.body.len()),
            Said::Refused(_) => 0,
        };
        said.saturating_add(self.respond.replace.weight()).saturating_add(weight(&self.respond.add))
    }
}

/// Returns the heap memory that headers own, in bytes.
fn weight(fields: &[OwnedField]) -> usize {
    fields.iter().fold(0usize, |sum, (name, value)| {
        sum.saturating_add(size_of::<OwnedField>()).saturating_add(name.len()).saturating_add(value.len())
    })
}

impl Answers {
    pub(super) fn new(config: &Config, budget: Rc<Budget>) -> Self {
        Self {
            remembered: BoundedMap::within(budget),
            in_flight: HashMap::new(),
            arrived: Vec::new(),
            last_number: 0,
            key: Key::new(),
            times: config.cache,
            timeout: config.timeout,
            // Whether there is a session does not depend on the moment. For other servers the operator decides by
            // setting a `ttl`.
            are_shared: config.forward_auth().is_none() || !config.cache.ttl.is_zero(),
        }
    }

    /// Returns the cached answers.
    pub(super) const fn remembered(&mut self) -> &mut BoundedMap<Remembered> {
        &mut self.remembered
    }

    /// Returns the cached answer for a request, or else the properties of its key. `url` is as for
    /// [`AuthServer::key`].
    pub(super) fn recall(
        &mut self,
        server: &AuthServer,
        head: &Head<'_>,
        credentials: Credentials<'_>,
        url: Option<&Url>,
        now: UnixTime,
    ) -> Result<Remembered, Inputs> {
        self.key.clear();
        let inputs = server.key(head, credentials, url, &mut self.key);
        self.remembered.get(&self.key, now).cloned().ok_or(inputs)
    }

    /// Returns the subject of the answer that [`Answers::recall`] has just failed to find.
    pub(super) fn about(&self, inputs: Inputs, ends: Option<UnixTime>) -> About {
        About { key: Rc::new(self.key.clone()), inputs, ends }
    }

    /// Returns the cached answer to a question that was formed earlier.
    pub(super) fn recall_about(&mut self, about: &About, now: UnixTime) -> Option<Remembered> {
        self.remembered.get(&about.key, now).cloned()
    }

    /// Returns the number of the same question in flight, if its answer may be shared.
    pub(super) fn join(&self, about: &About, now: UnixTime) -> Option<u64> {
        let in_flight = self.in_flight.get(&about.key)?;
        (self.are_shared && about.inputs.identify && now < in_flight.until).then_some(in_flight.number)
    }

    /// Records that a question is sent that others may join. Returns its number.
    pub(super) fn begin(&mut self, about: &About, now: UnixTime) -> u64 {
        let number = self.begin_alone();
        let until = overdue(self.timeout, now);
        self.in_flight.insert(Rc::clone(&about.key), InFlight { number, until });
        number
    }

    /// Returns the number of a question that nobody may join.
    pub(super) fn begin_alone(&mut self) -> u64 {
        self.last_number = self.last_number.wrapping_add(1);
        self.last_number
    }

    /// Stores the result of a question for the requests that wait for it.
    pub(super) fn arrive(&mut self, number: u64, about: &About, arrived: Arrived) {
        if let Entry::Occupied(in_flight) = self.in_flight.entry(Rc::clone(&about.key))
            && in_flight.get().number == number
        {
            in_flight.remove();
        }
        self.arrived.push((number, arrived));
    }

    /// Returns the result of a question.
    pub(super) fn arrived(&self, number: u64) -> Option<Arrived> {
        self.arrived.iter().find(|(known, _)| *known == number).map(|(_, arrived)| arrived.clone())
    }

    /// Drops the result of a question, once all waiting requests have it.
    pub(super) fn told(&mut self, number: u64) {
        self.arrived.retain(|(known, _)| *known != number);
    }

    /// Evaluates the result of a question, and caches an answer that may be reused. `random` spreads the expiry of
    /// answers, so that workers do not all ask about a session at once.
    pub(super) fn learn(
        &mut self,
        about: &About,
        result: Result<Answer, Fault>,
        random: u32,
        now: UnixTime,
    ) -> Arrived {
        let answer = match result {
            Ok(answer) => answer,
            // The client may have provoked this, so it gets no stale answer.
            Err(fault) if fault.may_be_provoked() => return Arrived::Failed(fault),
            Err(fault) => {
                let stale = self.remembered.get_stale(&about.key, now).cloned();
                return stale.map_or(Arrived::Failed(fault), Arrived::Stale);
            }
        };
        let respond = match answer.scope {
            Scope::Everyone => answer.respond.clone(),
            Scope::WithoutCookies => answer.respond.replacing(),
            Scope::AskerAlone => {
                self.remembered.remove(&about.key);
                return Arrived::Answer(answer);
            }
        };
        let remembered = Remembered { said: answer.said.clone(), respond };
        let life = self.life(&remembered.said, random, now);
        let ends = about.ends.into_iter().chain(answer.ends).min();
        let life = ends.map_or(life, |end| life.ending_by(end));
        self.remembered.insert(&about.key, remembered, life, now);
        Arrived::Answer(answer)
    }

    fn life(&self, said: &Said, random: u32, now: UnixTime) -> Lifetime {
        let Cache { ttl, negative_ttl, stale_if_error, .. } = self.times;
        let (ttl, stale) = match said {
            Said::Session(_) if ttl.is_zero() => (Duration::ZERO, Duration::ZERO),
            Said::Session(_) => (ttl, stale_if_error),
            Said::NoSession(_) | Said::Denied(_) | Said::Refused(_) if ttl.is_zero() => {
                (Duration::ZERO, Duration::ZERO)
            }
            Said::NoSession(_) | Said::Denied(_) | Said::Refused(_) => (negative_ttl, Duration::ZERO),
        };
        // 0 to 1,023 times a 10,240th of the ttl: less than a tenth of it.
        let early = ttl.checked_div(10_240).unwrap_or_default().saturating_mul(random >> 22);
        Lifetime::new(now.after(ttl), stale).fresh_until(now.after(ttl.saturating_sub(early)))
    }
}
