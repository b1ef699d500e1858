//! Decides: what a request's head and an auth server's answer make of the request. Pure: whoever calls it
//! carries out the steps that it returns.

mod answers;
mod background;
mod bearer;
mod case;
pub mod denial;
mod keys;
mod state;
mod tokens;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use self::answers::{About, Arrived, Question, Remembered};
use self::bearer::{Bearer, Fresh, Glance, Paused};
use self::case::{Case, Lacking, replied};
use self::denial::Denial;
use self::tokens::Standing;
use crate::auth_server::authgear::resolver;
use crate::auth_server::fault::Fault;
use crate::auth_server::forward_auth::DenialKind;
use crate::auth_server::{Answer, AuthServer, Said, Scope};
use crate::config::{Config, Identity, OnError, OnErrorAction};
use crate::http::browser;
use crate::http::credential::{Authorization, Credentials, Secret};
use crate::http::{
    BadHead, CALL_GRACE, Call, CallError, Field, Head, HeaderEdits, OwnedField, Reply, Response, UnixTime,
};
use crate::jose::{self, Backend, FetchTicket, Token};
use crate::rules::Access;
use crate::telemetry::Counter;

pub use self::background::BackgroundCall;
pub use self::state::{Effects, State};
pub use crate::telemetry::Outcome;

/// When a call that is sent now is taken for lost.
const fn overdue(timeout: Duration, now: UnixTime) -> UnixTime {
    now.after(timeout).after(CALL_GRACE)
}

/// What to do next. Whatever it is, [`State::effects`] may hold more to be done.
#[must_use]
#[derive(Debug)]
pub enum Step {
    /// Send the call, and [`Engine::resume`] with what comes of it.
    Call(Call, Waiting),
    /// Keep the request until [`Engine::finish`] names this wait_key, then [`Engine::wake`] it. Only where the host
    /// can.
    Park(WaitKey, Waiting),
    /// Carry out the decision; nothing follows.
    Done(Decision),
}

/// What several requests may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitKey {
    /// The keys of an issuer, by its place in the configuration.
    Keys(usize),
    /// The answer to a question about one credential, by its number.
    Answer(u64),
}

/// What a request that waits needs to go on: never the whole head. Exists only beside what it waits for, and is
/// used up by that.
#[derive(Debug)]
pub struct Waiting(Wait);

#[derive(Debug)]
enum Wait {
    /// For the answer to its own question.
    Own { case: Box<Case>, about: About },
    /// For the answer to a question by its number. Who joined another request's question has one of its own, for
    /// when that answer is not for others.
    Shared { case: Box<Case>, number: u64, question: Option<Box<Question>> },
    /// For an issuer's keys.
    Keys { issuer: usize, ticket: Option<FetchTicket>, paused: Box<Paused> },
    /// For the resolver to confirm the token; `plain` is the call that is tried next.
    Confirmation { paused: Box<Paused>, plain: Option<Call> },
}

/// What becomes of a request, and why.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why; counted.
    pub outcome: Outcome,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to the app, with other headers.
    Forward(HeaderEdits),
    /// It is answered here.
    Reply(Reply),
}

/// What a host can do beyond what all of them can.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    /// Whether it makes calls for no request in particular, keeps requests until such a call has come to
    /// something, and ticks.
    pub background: bool,
    /// Who checks signatures.
    pub signatures: Backend,
}

/// For the log.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.signatures {
            Backend::Host(_) => "signatures are checked by the proxy",
            Backend::Portable => "signatures are checked in the filter",
        })?;
        f.write_str(if self.background {
            ", keys are kept fresh in the background"
        } else {
            ", keys are fetched by requests"
        })
    }
}

/// Decides about the requests of one configuration.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    background: bool,
    signatures: Backend,
    /// Whether the app expects Authgear's headers.
    is_authgears: bool,
}

impl Engine {
    /// An engine for a configuration, on a host.
    #[must_use]
    pub fn new(config: Config, host: Capabilities) -> Self {
        let is_authgears = config.resolver().is_some()
            || config.issuers.iter().any(|issuer| issuer.identity == Identity::Authgear);
        Self { config, background: host.background, signatures: host.signatures, is_authgears }
    }

    /// The memory that it begins with. `seed` is any random number.
    #[must_use]
    pub fn state(&self, seed: u64) -> State {
        State::new(&self.config, seed)
    }

    /// The first step for a request.
    pub fn start(&self, state: &mut State, head: &Head<'_>, now: UnixTime) -> Step {
        state.served = true;
        let demand = self.config.rules.decide(head.method, head.authority, head.path);
        if demand.access() == Access::Public {
            return Step::Done(self.public(head));
        }
        if self.config.allow_cors_preflight && browser::is_cors_preflight(head) {
            return Step::Done(self.preflight(head));
        }
        let credentials = self.credentials(head);
        let Credentials { authorization, cookies } = credentials;
        let case = self.case(head, demand, &credentials);
        match (authorization, &self.config.server) {
            (Authorization::Invalid, Some(AuthServer::ForwardAuth(server))) if !self.judges() => {
                match server.sends(b"authorization").then(|| fault_of_authorization(head)).flatten() {
                    Some(AuthorizationFault::Repeated) => Step::Done(case.bad_request(BadHead::Repeated)),
                    Some(AuthorizationFault::NoText) => Step::Done(case.refuse("it is malformed")),
                    None => self.ask(state, head, case, credentials, &Glance::default(), now),
                }
            }
            (Authorization::Invalid, _) => {
                Step::Done(case.refuse("there is more than one, or it is malformed"))
            }
            (Authorization::Bearer(token), _) if self.judges() => {
                let mut glance =
                    Glance { recalled: state.tokens.recall(token.reveal(), &state.keys, now), parsed: None };
                if self.is_judged_here(token, &mut glance) {
                    let fresh = Fresh { head, case: Box::new(case), token, cookies, glance };
                    return self.bearer(state, Bearer::Fresh(fresh), now);
                }
                self.ask(state, head, case, credentials, &glance, now)
            }
            (_, Some(AuthServer::ForwardAuth(_)))
            | (Authorization::Bearer(_), Some(AuthServer::Resolver(_))) => {
                self.ask(state, head, case, credentials, &Glance::default(), now)
            }
            (Authorization::NoToken, Some(AuthServer::Resolver(_))) if !cookies.is_empty() => {
                self.ask(state, head, case, credentials, &Glance::default(), now)
            }
            (Authorization::NoToken | Authorization::Bearer(_), _) => Step::Done(case.anonymous()),
        }
    }

    /// The next step, once the call of the step before has come to something.
    pub fn resume(
        &self,
        state: &mut State,
        waiting: Waiting,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> Step {
        match waiting.0 {
            Wait::Own { case, about } => {
                let arrived = self.read(state, &about, result, now);
                self.arrived(state, arrived, None, *case, now)
            }
            // Nobody calls for this; if somebody did, nothing is known of them.
            Wait::Shared { .. } => Step::Done(Self::broken()),
            Wait::Keys { issuer, ticket, paused } => {
                let State { keys, outbox, .. } = &mut *state;
                keys.arrive(&self.config, issuer, ticket, result, outbox, now);
                self.bearer(state, Bearer::Paused(paused), now)
            }
            Wait::Confirmation { paused, plain } => {
                let standing = Standing::of(resolver::read(result));
                if standing.may_be_provoked()
                    && let Some(call) = plain
                {
                    return Step::Call(call, Waiting(Wait::Confirmation { paused, plain: None }));
                }
                let State { tokens, outbox, .. } = &mut *state;
                tokens.confirmation_arrived(&self.config, paused.token(), &standing, outbox, now);
                self.bearer(state, Bearer::Paused(paused), now)
            }
        }
    }

    /// The next step, once what a parked request waits for has come, or will not come.
    pub fn wake(&self, state: &mut State, waiting: Waiting, now: UnixTime) -> Step {
        match waiting.0 {
            Wait::Keys { paused, .. } | Wait::Confirmation { paused, .. } => {
                self.bearer(state, Bearer::Paused(paused), now)
            }
            Wait::Shared { case, number, question } => match state.answers.arrived(number) {
                Some(arrived) => self.arrived(state, arrived, question, *case, now),
                // There was no room to wait.
                None => Step::Done(case.fail(self.config.on_error, Lacking::Answer)),
            },
            // Nobody parks for this; if somebody did, nothing is known of them.
            Wait::Own { .. } => Step::Done(Self::broken()),
        }
    }

    /// All who waited for something were woken.
    pub fn told(&self, state: &mut State, wait_key: WaitKey) {
        match wait_key {
            WaitKey::Answer(number) => state.answers.told(number),
            WaitKey::Keys(_) => {}
        }
    }

    /// Nothing will come of what a request waited for: it is gone. Another one may fetch what it was fetching.
    pub fn abandon(&self, state: &mut State, waiting: Waiting, now: UnixTime) {
        if let Wait::Keys { issuer, ticket: Some(ticket), .. } = waiting.0 {
            state.keys.abandon(issuer, ticket, now);
        }
    }

    /// The decision about a request that cannot be understood.
    pub fn bad_request(&self, bad: BadHead) -> Decision {
        replied(Denial::BadRequest(bad).reply(), &[], Outcome::BadRequest)
    }

    /// The names of the trailers of a request that no client may send, whatever its route.
    #[must_use]
    pub fn forged_trailers(&self, trailers: &[Field<'_>]) -> Vec<Vec<u8>> {
        self.config.managed.forged(trailers)
    }

    /// The decision where the host refused what an earlier decision needed: a request whose headers could not
    /// be edited must not go on.
    pub fn broken() -> Decision {
        replied(Denial::Broken.reply(), &[], Outcome::Broken)
    }

    fn credentials<'a>(&self, head: &Head<'a>) -> Credentials<'a> {
        Credentials::of(head, self.config.resolver().map(|resolver| resolver.cookies.all()))
    }

    /// Whether tokens are judged here at all.
    const fn judges(&self) -> bool {
        !self.config.issuers.is_empty()
    }

    /// Whether a token is judged by an issuer's keys. Where Authgear's resolver can be asked, only what claims to be a
    /// JWT is: opaque tokens mean something to the resolver alone. Where another server can be, only what claims to be
    /// of a listed issuer, whatever its header says.
    fn is_judged_here<'t>(&self, token: Secret<'t>, glance: &mut Glance<'t>) -> bool {
        if glance.recalled.is_some() {
            return true;
        }
        match &self.config.server {
            None => true,
            Some(AuthServer::Resolver(_)) => jose::looks_like_jwt(token.reveal()),
            Some(AuthServer::ForwardAuth(_)) => {
                let is_listed =
                    |issuer: &str| self.config.issuers.iter().any(|known| known.policy.issuer == issuer);
                match glance.parsed.insert(Token::parse(token.reveal())) {
                    Ok(token) => token.unverified_issuer().is_some_and(is_listed),
                    Err(_) => jose::peek(token.reveal())
                        .and_then(|peek| peek.issuer)
                        .is_some_and(|issuer| is_listed(&issuer)),
                }
            }
        }
    }

    /// Asks the auth server about a request, unless its answer is remembered.
    fn ask(
        &self,
        state: &mut State,
        head: &Head<'_>,
        case: Case,
        credentials: Credentials<'_>,
        glance: &Glance<'_>,
        now: UnixTime,
    ) -> Step {
        let Some(server) = &self.config.server else { return Step::Done(case.anonymous()) };
        match state.answers.recall(server, head, credentials, now) {
            Ok(remembered) => Step::Done(recalled(state, &remembered, case, now)),
            Err(inputs) => match server.call(self.config.timeout, head, credentials) {
                Ok(call) => {
                    let about = state.answers.about(inputs, self.end_of(credentials, glance));
                    self.join(state, Question { call, about }, case, now)
                }
                Err(bad) => Step::Done(case.bad_request(bad)),
            },
        }
    }

    /// The question about some of a request's credentials.
    fn question(
        &self,
        server: &AuthServer,
        head: &Head<'_>,
        credentials: Credentials<'_>,
    ) -> Option<Question> {
        let call = server.call(self.config.timeout, head, credentials).ok()?;
        let ends = self.end_of(credentials, &Glance::default());
        Some(Question { call, about: About::of(server, head, credentials, ends) })
    }

    /// Puts a question, unless its answer is remembered or in flight.
    fn put(&self, state: &mut State, question: Question, case: Case, now: UnixTime) -> Step {
        match state.answers.recall_about(&question.about, now) {
            Some(remembered) => Step::Done(recalled(state, &remembered, case, now)),
            None => self.join(state, question, case, now),
        }
    }

    /// Puts a question whose answer is not remembered, unless it is in flight.
    fn join(&self, state: &mut State, question: Question, case: Case, now: UnixTime) -> Step {
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

    /// The next step of one who asked. `own` is the question of one who joined another request's question.
    fn arrived(
        &self,
        state: &mut State,
        arrived: Arrived,
        own: Option<Box<Question>>,
        case: Case,
        now: UnixTime,
    ) -> Step {
        Step::Done(match arrived {
            Arrived::Answer(answer) => match (answer.scope, own) {
                (Scope::AskerAlone, Some(question)) => {
                    let number = state.answers.begin_alone();
                    return Self::send(state, number, *question, Box::new(case));
                }
                (Scope::WithoutCookies, Some(_)) => said(&answer.said, &[], case, now),
                (Scope::Everyone | Scope::WithoutCookies | Scope::AskerAlone, _) => {
                    said(&answer.said, &answer.cookies, case, now)
                }
            },
            Arrived::Stale(remembered) => {
                state.outbox.count(Counter::AnswersStale);
                said(&remembered.said, &[], case, now)
            }
            Arrived::Failed(fault) if fault.may_be_provoked() => case.fail_provoked(self.config.on_error),
            Arrived::Failed(_) => case.fail(self.config.on_error, Lacking::Answer),
        })
    }

    /// Reads an answer, remembers it if it may be used again, and warns of what an operator should know.
    fn read(
        &self,
        state: &mut State,
        about: &About,
        result: Result<Response, CallError>,
        now: UnixTime,
    ) -> Arrived {
        let Some(server) = &self.config.server else {
            return Arrived::Failed(Fault::Call(CallError::NotSent));
        };
        let result = server.read(about.inputs, result);
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
                         forward_auth.url right?"
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

    /// When a request's token ends, as far as it can be told; not looked for where no answer is remembered.
    fn end_of(&self, credentials: Credentials<'_>, glance: &Glance<'_>) -> Option<UnixTime> {
        match (credentials.authorization, &glance.parsed) {
            _ if self.config.cache.ttl.is_zero() => None,
            (Authorization::Bearer(_), Some(Ok(token))) => token.unverified_expiry(),
            (Authorization::Bearer(token), _) => jose::peek(token.reveal())?.expires,
            (Authorization::NoToken | Authorization::Invalid, _) => None,
        }
    }
}

/// Why an `Authorization` cannot be sent to a forward-auth server.
enum AuthorizationFault {
    /// There are two, which programs resolve differently. Envoy joins them with a comma.
    Repeated,
    /// It is not text.
    NoText,
}

/// What is wrong with an `Authorization` that is not read as one.
fn fault_of_authorization(head: &Head<'_>) -> Option<AuthorizationFault> {
    let mut values = head.values(b"authorization");
    let value = values.next()?;
    if std::str::from_utf8(value).is_err() {
        return Some(AuthorizationFault::NoText);
    }
    let is_repeated = values.next().is_some() || value.is_ascii() && !value.iter().any(u8::is_ascii_control);
    is_repeated.then_some(AuthorizationFault::Repeated)
}

/// The decision by a remembered answer.
fn recalled(state: &mut State, remembered: &Remembered, case: Case, now: UnixTime) -> Decision {
    state.outbox.count(Counter::AnswersReused);
    said(&remembered.said, &remembered.cookies, case, now)
}

/// The decision by what the auth server said.
fn said(said: &Said, cookies: &[OwnedField], case: Case, now: UnixTime) -> Decision {
    match said {
        Said::Session(session) => case.accept(session, cookies, now),
        Said::NoSession(identity) => case.nobody(Rc::clone(identity), cookies, Outcome::NoSession),
        Said::Denied(denied) => case.denied(denied),
    }
}

#[cfg(test)]
mod tests;
