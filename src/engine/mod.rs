//! Decides: what a request's head and an auth server's answer make of the request. Pure: whoever calls it
//! carries out the steps that it returns.

mod answer;
mod background;
mod case;
pub mod denial;
mod state;
mod token;

use std::fmt;

use self::answer::{Question, Subject};
use self::case::{Case, Lacking, replied};
use self::token::{Accepted, Judgement, Lack};
use crate::auth_server::authgear::resolver;
use crate::auth_server::fault::Fault;
use crate::config::{AuthServer, Config, OnErrorAction};
use crate::engine::denial::Denial;
use crate::http::browser;
use crate::http::credential::{Authorization, Cookies, Credentials, Secret};
use crate::http::{BadHead, Call, CallError, Field, Head, HeaderEdits, Reply, Response, UnixTime};
use crate::jose::{self, Backend};
use crate::jose::{FetchTicket, Need};
use crate::rules::Access;

pub use self::background::BackgroundCall;
pub use self::state::{Effects, State};
pub use self::token::Reason;
pub use crate::telemetry::Outcome;

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
    /// For the resolver to say whose request it is.
    Resolver { case: Box<Case>, about: Subject },
    /// For the answer to a question that others may have put.
    Answer { case: Box<Case>, wait_key: u64 },
    /// For an issuer's keys.
    Keys { issuer: usize, ticket: Option<FetchTicket>, kept: Box<Kept> },
    /// For the resolver to confirm the token.
    Confirmation { kept: Box<Kept> },
}

/// A request that is kept while its token cannot be judged.
struct Kept {
    case: Box<Case>,
    token: Vec<u8>,
    /// The call that has the token confirmed, where there is someone to ask.
    confirm: Option<Call>,
    /// The question about the cookies alone, where the request has some.
    cookies: Option<Question>,
}

/// Prints without the token.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
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
}

/// A request whose token is being judged.
enum Claim<'a> {
    /// In the callback of its head.
    Fresh { head: &'a Head<'a>, case: Box<Case>, token: Secret<'a>, cookies: Cookies<'a> },
    /// After it has waited; it does not wait for the same again.
    Kept(Box<Kept>),
}

impl Engine {
    /// An engine for a configuration, on a host.
    #[must_use]
    pub const fn new(config: Config, host: Capabilities) -> Self {
        Self { config, background: host.background, signatures: host.signatures }
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
        if demand.access() == Access::Public
            || (self.config.allow_cors_preflight && browser::is_cors_preflight(head))
        {
            return Step::Done(self.public(head));
        }
        let credentials = self.credentials(head);
        let Credentials { authorization, cookies } = credentials;
        let case = self.case(head, demand, &credentials);
        match (authorization, &self.config.server) {
            // Where tokens are nothing to the filter, what an `Authorization` means is the server's to say.
            (Authorization::Invalid, _) if self.config.forward_auth().is_none() || self.judges() => {
                Step::Done(case.refuse("there is more than one, or it is malformed"))
            }
            // No auth server can be sent one that is not text.
            (Authorization::Invalid, Some(AuthServer::ForwardAuth(server)))
                if server.sends(b"authorization")
                    && head.values(b"authorization").any(|value| std::str::from_utf8(value).is_err()) =>
            {
                Step::Done(case.refuse("it is malformed"))
            }
            (Authorization::Bearer(token), server) if self.is_judged_here(token, server.as_ref()) => {
                self.claim(state, Claim::Fresh { head, case: Box::new(case), token, cookies }, now)
            }
            (_, Some(server @ AuthServer::ForwardAuth(_)))
            | (Authorization::Bearer(_), Some(server @ AuthServer::Resolver(_))) => {
                self.ask(state, server, head, case, credentials, now)
            }
            (Authorization::NoToken, Some(server @ AuthServer::Resolver(_))) if !cookies.is_empty() => {
                self.ask(state, server, head, case, credentials, now)
            }
            (Authorization::NoToken | Authorization::Bearer(_) | Authorization::Invalid, _) => {
                Step::Done(case.anonymous())
            }
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
            Wait::Resolver { case, about } => {
                let arrived = self.read(state, &about, result, now);
                Step::Done(self.decide_arrived(state, Some(arrived), *case, now))
            }
            // Nobody calls for this; if somebody did, nothing is known of them.
            Wait::Answer { .. } => Step::Done(Self::broken()),
            Wait::Keys { issuer, ticket, kept } => {
                self.keys_arrived(state, issuer, ticket, result, now);
                self.claim(state, Claim::Kept(kept), now)
            }
            Wait::Confirmation { kept } => {
                let word = self.word(state, result, now);
                self.confirmation_answered(state, &kept.token, &word, now);
                self.claim(state, Claim::Kept(kept), now)
            }
        }
    }

    /// The next step, once what a parked request waits for has come, or will not come.
    pub fn wake(&self, state: &mut State, waiting: Waiting, now: UnixTime) -> Step {
        match waiting.0 {
            Wait::Keys { kept, .. } | Wait::Confirmation { kept } => {
                self.claim(state, Claim::Kept(kept), now)
            }
            Wait::Answer { case, wait_key } => {
                let arrived = state.arrived.iter().find(|(number, _)| *number == wait_key);
                let arrived = arrived.map(|(_, arrived)| arrived.clone());
                Step::Done(self.decide_arrived(state, arrived, *case, now))
            }
            // Nobody parks for this; if somebody did, nothing is known of them.
            Wait::Resolver { .. } => Step::Done(Self::broken()),
        }
    }

    /// All who waited for a wait_key were woken.
    pub fn told(&self, state: &mut State, wait_key: WaitKey) {
        match wait_key {
            WaitKey::Answer(number) => state.arrived.retain(|(known, _)| *known != number),
            WaitKey::Keys(_) => {}
        }
    }

    /// Nothing will come of what a request waited for: it is gone. Another one may fetch what it was fetching.
    pub fn abandon(&self, state: &mut State, waiting: Waiting, now: UnixTime) {
        if let Wait::Keys { issuer, ticket: Some(ticket), .. } = waiting.0
            && let Some(source) = state.keys.get_mut(issuer)
        {
            source.abandon(ticket, now);
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
        Credentials::of(head, self.config.resolver().map(|resolver| &resolver.cookies))
    }

    /// Whether tokens are judged here at all.
    fn judges(&self) -> bool {
        !self.config.issuers.is_empty()
    }

    /// Whether a token is judged by an issuer's keys. Where Authgear's resolver can be asked, only what claims to
    /// be a JWT is: opaque tokens mean something to the resolver alone. Where another server can be, only what
    /// claims to be of a listed issuer.
    fn is_judged_here(&self, token: Secret<'_>, server: Option<&AuthServer>) -> bool {
        self.judges()
            && match server {
                None => true,
                Some(AuthServer::Resolver(_)) => jose::looks_like_jwt(token.reveal()),
                Some(AuthServer::ForwardAuth(_)) => jose::Token::parse(token.reveal()).is_ok_and(|token| {
                    let issuer = token.unverified_issuer();
                    self.config.issuers.iter().any(|known| issuer == Some(known.policy.issuer.as_str()))
                }),
            }
    }

    /// Judges a request's token.
    fn claim(&self, state: &mut State, claim: Claim<'_>, now: UnixTime) -> Step {
        // Where nothing refreshes them in the background, the first request to find keys old does.
        if !self.background
            && let Claim::Fresh { .. } = claim
            && let Some(issuer) =
                state.keys.iter().position(|source| source.keys().is_some() && source.is_due(now))
        {
            return self
                .wait_for_keys(state, issuer, Need::Fresh, claim, now)
                .unwrap_or_else(|claim| self.judged(state, claim, now));
        }
        self.judged(state, claim, now)
    }

    fn judged(&self, state: &mut State, claim: Claim<'_>, now: UnixTime) -> Step {
        let judgement = self.judge(state, claim.token(), now);
        match judgement {
            Judgement::Accepted(Accepted { known, confirmation_due }) => {
                if confirmation_due && let Some(call) = self.confirm_call(&claim) {
                    if !self.background {
                        self.confirmation_asked(state, claim.token(), now);
                        return Step::Call(call, Waiting(Wait::Confirmation { kept: self.keep(claim) }));
                    }
                    self.send_for_confirmation(state, call, claim.token(), now);
                }
                Step::Done(claim.case().accept(&known, &[], now))
            }
            Judgement::Refused(reason) => self.refused(state, claim, reason, now),
            Judgement::NeedsKeys(issuer, lack) => {
                let need = match lack {
                    Lack::AllKeys => Need::Fresh,
                    Lack::ThisKey => Need::UnknownKey,
                };
                match (self.wait_for_keys(state, issuer, need, claim, now), lack) {
                    (Ok(step), _) => step,
                    (Err(claim), Lack::AllKeys) => {
                        Step::Done(claim.case().fail(self.config.on_error, Lacking::Keys))
                    }
                    (Err(claim), Lack::ThisKey) => {
                        self.refused(state, claim, Reason::Check(jose::Refusal::UnknownKey), now)
                    }
                }
            }
        }
    }

    /// Has a request wait for an issuer's keys, if it has not waited yet and if keys may come; else gives it back.
    #[allow(clippy::result_large_err, reason = "not an error, but the claim itself, which moves on")]
    fn wait_for_keys<'a>(
        &self,
        state: &mut State,
        issuer: usize,
        need: Need,
        claim: Claim<'a>,
        now: UnixTime,
    ) -> Result<Step, Claim<'a>> {
        if let Claim::Kept(_) = claim {
            return Err(claim);
        }
        if self.background {
            self.send_for_keys(state, issuer, need, now);
            if !state.keys.get(issuer).is_some_and(|source| source.is_fetching(now)) {
                return Err(claim);
            }
            let wait = Wait::Keys { issuer, ticket: None, kept: self.keep(claim) };
            return Ok(Step::Park(WaitKey::Keys(issuer), Waiting(wait)));
        }
        let (Some(source), Some(call)) = (state.keys.get_mut(issuer), self.keys_call(issuer)) else {
            return Err(claim);
        };
        // Nobody can wait for somebody else's fetch here, so without keys each fetches for itself.
        let ticket = source.start(need, now);
        if ticket.is_none() && !(source.keys().is_none() && source.is_fetching(now)) {
            return Err(claim);
        }
        Ok(Step::Call(call, Waiting(Wait::Keys { issuer, ticket, kept: self.keep(claim) })))
    }

    /// A refused token says nothing about the cookies beside it: the resolver is asked about those alone, as it
    /// falls through itself.
    fn refused(&self, state: &mut State, claim: Claim<'_>, reason: Reason, now: UnixTime) -> Step {
        let question = self.question_of_cookies(&claim);
        let case = claim.case();
        match question {
            Some(question) => self.put(state, question, case, now),
            None => Step::Done(case.refuse(&reason.to_string())),
        }
    }

    fn confirm_call(&self, claim: &Claim<'_>) -> Option<Call> {
        match claim {
            Claim::Fresh { head, token, .. } => {
                let resolver = self.config.resolver()?;
                let alone =
                    Credentials { authorization: Authorization::Bearer(*token), cookies: Cookies::default() };
                Some(resolver::call(resolver, self.config.timeout, head, alone))
            }
            Claim::Kept(kept) => kept.confirm.clone(),
        }
    }

    fn question_of_cookies(&self, claim: &Claim<'_>) -> Option<Question> {
        match claim {
            Claim::Fresh { head, cookies, .. } => {
                let resolver = self.config.resolver().filter(|_resolver| !cookies.is_empty())?;
                let alone = Credentials { authorization: Authorization::NoToken, cookies: *cookies };
                Some(self.question(resolver, head, alone))
            }
            Claim::Kept(kept) => kept.cookies.clone(),
        }
    }

    fn keep(&self, claim: Claim<'_>) -> Box<Kept> {
        let (confirm, cookies) = (self.confirm_call(&claim), self.question_of_cookies(&claim));
        match claim {
            Claim::Fresh { case, token, .. } => {
                Box::new(Kept { case, token: token.reveal().to_vec(), confirm, cookies })
            }
            Claim::Kept(kept) => kept,
        }
    }

    fn warn_of_server(&self, state: &mut State, fault: Fault, stale: bool, now: UnixTime) {
        let from = self.server_name();
        let then = match self.config.on_error.action {
            _ if stale => "decided by what it said before (cache.stale_if_error)".to_owned(),
            OnErrorAction::Deny => format!("denied with {}", self.config.on_error.status),
            OnErrorAction::Allow => {
                "let through without identity headers (on_error.action is allow)".to_owned()
            }
        };
        state.warn(
            |kinds| &mut kinds.resolver,
            now,
            || format!("no help from {from}: {fault}. Requests are {then}"),
        );
    }

    fn server_name(&self) -> String {
        match &self.config.server {
            Some(AuthServer::Resolver(resolver)) => format!("the resolver {}", resolver.server),
            Some(AuthServer::ForwardAuth(server)) => format!("the auth server {}", server.server),
            None => "the auth server".to_owned(),
        }
    }
}

impl Claim<'_> {
    fn token(&self) -> &[u8] {
        match self {
            Self::Fresh { token, .. } => token.reveal(),
            Self::Kept(kept) => &kept.token,
        }
    }

    fn case(self) -> Case {
        match self {
            Self::Fresh { case, .. } => *case,
            Self::Kept(kept) => *kept.case,
        }
    }
}

#[cfg(test)]
mod tests;
