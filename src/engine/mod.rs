//! Decides about requests, from their heads and the auth servers' answers. Pure: the caller carries out the steps
//! that it returns.

mod answers;
mod asking;
mod background;
mod bearer;
mod bound;
mod budgets;
mod case;
mod decision;
pub mod denial;
mod edits;
mod effects;
mod explanation;
mod keys;
mod possession;
mod presented;
pub mod projects;
mod proofs;
mod session;
mod state;
mod step;
mod tokens;
mod waiting;

use std::fmt;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use self::bearer::{Bearer, Fresh};
use self::bound::is_bound;
use self::budgets::Budgets;
use self::case::{Lacking, replied};
use self::denial::Denial;
use self::presented::{Presented, TokenScheme};
use self::tokens::{Glance, Standing};
use self::waiting::Wait;
use crate::auth_server::AuthServer;
use crate::auth_server::authgear::resolver;
use crate::config::{Config, Identity, Issuer, Keys};
use crate::http::browser;
use crate::http::credential::{Cookies, Credentials, Secret};
use crate::http::place::{self, Place};
use crate::http::{BadHead, CALL_GRACE, CallError, Field, Head, Response, UnixTime};
use crate::jose::{self, Backend, Token};
use crate::rules::{Access, Demand, Terms, TwoUrls};

pub use self::decision::{Decision, Verdict};
pub use self::effects::{BackgroundCall, Effects};
pub use self::explanation::{CacheStatus, Explanation, Reason};
pub use self::state::{Size, State};
pub use self::step::{Step, WaitKey};
pub use self::waiting::Waiting;
pub use crate::telemetry::Outcome;

/// Returns when a call that is sent now counts as lost.
const fn overdue(timeout: Duration, now: UnixTime) -> UnixTime {
    now.after(timeout).after(CALL_GRACE)
}

/// The abilities of a proxy beyond those that all have.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    /// Whether it ticks, makes calls outside requests, and can park a request until such a call has ended.
    pub background: bool,
    /// Who verifies signatures.
    pub signatures: Backend,
}

/// Describes it for the log.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.signatures {
            Backend::Proxy(_) => "signatures are checked by the proxy",
            Backend::Portable => "signatures are checked in the filter",
        })?;
        f.write_str(if self.background {
            ", keys are kept fresh in the background"
        } else {
            ", keys are fetched by requests"
        })
    }
}

/// Decides about the requests of one project.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    background: bool,
    signatures: Backend,
    /// Whether the app expects Authgear's headers.
    is_authgears: bool,
    /// The default places of bearer tokens and of bound ones.
    bearer: Place,
    dpop: Place,
    /// The issuer of the resolver's sessions, if the access log shows it.
    resolver_issuer: Option<Rc<str>>,
}

impl Engine {
    /// Creates the engine of a configuration on a proxy.
    #[must_use]
    pub fn new(config: Config, capabilities: Capabilities) -> Self {
        let is_authgears = config.resolver().is_some()
            || config.issuers.iter().any(|issuer| issuer.identity == Identity::Authgear);
        let resolver = config.resolver().filter(|_resolver| config.access_log);
        let resolver_issuer = resolver.map(|resolver| resolver.endpoint.origin().into());
        Self {
            config,
            background: capabilities.background,
            signatures: capabilities.signatures,
            is_authgears,
            bearer: Place::bearer(),
            dpop: Place::dpop(),
            resolver_issuer,
        }
    }

    /// Returns the initial state. `seed` is any random number.
    #[must_use]
    pub fn state(&self, seed: u64) -> State {
        State::new(&self.config, seed)
    }

    /// Returns the initial state with shared budgets.
    fn state_within(&self, budgets: &Budgets, seed: u64) -> State {
        State::within(budgets, &self.config, seed)
    }

    /// Returns budgets for this many engines, including this one, to share.
    fn budgets(&self, engines: NonZeroUsize) -> Budgets {
        Budgets::shared(self.config.cache.max_entries, engines)
    }

    /// Decides about a request to a host of no project. It passes only if nobody needs to authenticate.
    fn misdirected(&self, head: &Head<'_>) -> Decision {
        let demand = self.config.rules.decide(head.method, head.authority, head.path);
        match self.unasked(head, &demand) {
            Some(decision) => decision,
            None => self.case(head, head, demand, None, &Presented::Nothing).misdirected(),
        }
    }

    /// Decides about a request if nobody needs to authenticate.
    fn unasked(&self, head: &Head<'_>, demand: &Demand) -> Option<Decision> {
        if demand.access() == Access::Public {
            return Some(self.public(head));
        }
        (self.config.allow_cors_preflight && browser::is_cors_preflight(head)).then(|| self.preflight(head))
    }

    /// Returns the first step for a request.
    pub fn start(&self, state: &mut State, head: &Head<'_>, now: UnixTime) -> Step {
        state.served = true;
        let (demand, way_back) = match self.config.login.as_ref().and_then(|login| login.way_back(head)) {
            // Whatever the rules say, a person who returns from logging in needs a session.
            Some(way_back) => (Demand::new(Terms::new(Access::Required)), Some(way_back)),
            None => (self.config.rules.decide(head.method, head.authority, head.path), None),
        };
        if let Some(decision) = self.unasked(head, &demand) {
            return Step::Done(decision);
        }
        let path = place::path_without_tokens(head.path, &self.config.token_from);
        let told = &Head { path: &path, ..*head };
        let cookies = self.config.resolver().map(|resolver| Cookies::of(head, resolver.cookies.all()));
        let cookies = cookies.unwrap_or_default();
        let mut presented = self.presented(head);
        let token = match &presented {
            Presented::Token(token, _) => Some(token.secret()),
            Presented::Nothing | Presented::Refused(_) => None,
        };
        // A forward-auth server gets other headers too. Their size is checked when the call is built.
        let is_read = self.judges() || self.config.forward_auth().is_none();
        if is_read && (Credentials { bearer: token, cookies }).are_too_large() {
            presented = Presented::Refused("the credentials are too large");
        }
        let auth_url = demand.auth_url();
        let mut case = self.case(head, told, demand, way_back, &presented);
        match auth_url {
            Ok(url) => case.auth_url = url,
            Err(TwoUrls) => return Step::Done(case.bad_request(BadHead::UnclearPath)),
        }
        let head = told;
        let ask = |state: &mut State, case, bearer, glance: &Glance<'_>| {
            self.ask(state, head, case, Credentials { bearer, cookies }, glance, now)
        };
        match (&presented, &self.config.server) {
            (Presented::Refused(_), Some(AuthServer::ForwardAuth(server))) if !self.judges() => {
                match server.sends(b"authorization").then(|| fault_of_authorization(head)).flatten() {
                    Some(AuthorizationFault::Repeated) => Step::Done(case.bad_request(BadHead::Repeated)),
                    Some(AuthorizationFault::NoText) => {
                        Step::Done(case.refuse(Reason::Credential("it is malformed")))
                    }
                    None => ask(state, case, None, &Glance::default()),
                }
            }
            (Presented::Refused(reason), _) => Step::Done(case.refuse(Reason::Credential(reason))),
            (Presented::Token(token, TokenScheme::Dpop), _) => {
                self.possessed(state, head, case, token.secret(), now)
            }
            (Presented::Token(token, TokenScheme::Bearer), _) if self.judges() => {
                let token = token.secret();
                let recalled = state.tokens.recall(token.reveal(), TokenScheme::Bearer, &state.keys, now);
                let mut glance = Glance { recalled, parsed: None };
                if glance.recalled.is_none() && is_bound(token, &mut glance) {
                    return Step::Done(case.refuse_bound());
                }
                if self.is_judged_here(token, &mut glance) {
                    let fresh = Fresh { head, case: Box::new(case), token, cookies, glance, proof: None };
                    return self.bearer(state, Bearer::Fresh(fresh), now);
                }
                if self.carries_bound(head, cookies) {
                    return Step::Done(case.refuse_bound());
                }
                ask(state, case, Some(token), &glance)
            }
            (Presented::Nothing, Some(AuthServer::ForwardAuth(_) | AuthServer::Resolver(_)))
                if self.judges() && self.carries_bound(head, cookies) =>
            {
                Step::Done(case.refuse_bound())
            }
            (Presented::Token(token, _), Some(_)) => {
                ask(state, case, Some(token.secret()), &Glance::default())
            }
            (Presented::Nothing, Some(AuthServer::ForwardAuth(_))) => {
                ask(state, case, None, &Glance::default())
            }
            (Presented::Nothing, Some(AuthServer::Resolver(_))) if !cookies.is_empty() => {
                ask(state, case, None, &Glance::default())
            }
            (Presented::Nothing | Presented::Token(..), _) => Step::Done(case.anonymous()),
        }
    }

    /// Returns the next step after the call of the previous step has ended.
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
            // No call has this purpose. If one did, nothing would be known about the request.
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
                tokens.confirmation_arrived(&self.config, &paused.token, &standing, outbox, now);
                self.bearer(state, Bearer::Paused(paused), now)
            }
        }
    }

    /// Returns the next step once what a parked request waits for has arrived or failed.
    pub fn wake(&self, state: &mut State, waiting: Waiting, now: UnixTime) -> Step {
        match waiting.0 {
            Wait::Keys { paused, .. } | Wait::Confirmation { paused, .. } => {
                self.bearer(state, Bearer::Paused(paused), now)
            }
            Wait::Shared { case, number, question } => match state.answers.arrived(number) {
                Some(arrived) => self.arrived(state, arrived, question, *case, now),
                // There was no room to wait.
                None => Step::Done(case.fail(self.config.on_error, Lacking::Turn)),
            },
            // Nothing parks for this. If it did, nothing would be known about the request.
            Wait::Own { .. } => Step::Done(Self::broken()),
        }
    }

    /// Reports that all requests that waited for something have been woken.
    pub fn told(&self, state: &mut State, wait_key: WaitKey) {
        match wait_key {
            WaitKey::Answer(number) => state.answers.told(number),
            WaitKey::Keys(_) => {}
        }
    }

    /// Reports that a waiting request is gone, so that nothing will come of its call. Another request may repeat its
    /// fetch.
    pub fn abandon(&self, state: &mut State, waiting: Waiting, now: UnixTime) {
        if let Wait::Keys { issuer, ticket: Some(ticket), .. } = waiting.0 {
            state.keys.abandon(issuer, ticket, now);
        }
    }

    /// Decides about a malformed request.
    pub fn bad_request(&self, bad: BadHead) -> Decision {
        replied(Denial::BadRequest(bad).reply(), &[], Outcome::BadRequest, explained(Reason::Bad(bad)))
    }

    /// Returns the names of the request's trailers that no client may send on any route.
    #[must_use]
    pub fn forged_trailers(&self, trailers: &[Field<'_>]) -> Vec<Vec<u8>> {
        self.config.managed.forged(trailers)
    }

    /// Decides when the proxy refused something that an earlier decision needed. A request whose headers could not be
    /// edited must not pass.
    pub fn broken() -> Decision {
        replied(Denial::Broken.reply(), &[], Outcome::Broken, explained(Reason::Proxy))
    }

    /// Returns whether tokens are judged here at all.
    const fn judges(&self) -> bool {
        !self.config.issuers.is_empty()
    }

    /// Returns the index of the issuer whose authorization server is asked about tokens.
    const fn asked_issuer(&self) -> Option<usize> {
        match &self.config.server {
            Some(AuthServer::Introspection(server)) => Some(server.issuer),
            Some(AuthServer::Resolver(_) | AuthServer::ForwardAuth(_)) | None => None,
        }
    }

    /// Returns whether an issuer's keys judge a token. With Authgear's resolver this applies to tokens that claim to
    /// be JWTs, because only the resolver understands opaque tokens. With a forward-auth server it applies to tokens
    /// that claim a listed issuer, whatever their header states. With an authorization server it applies to JWTs,
    /// unless they name that server's issuer and it has no keys, and to anything that is not a token.
    fn is_judged_here<'t>(&self, token: Secret<'t>, glance: &mut Glance<'t>) -> bool {
        if glance.recalled.is_some() {
            return true;
        }
        match &self.config.server {
            None => true,
            Some(AuthServer::Resolver(_)) => jose::looks_like_jwt(token.reveal()),
            Some(AuthServer::ForwardAuth(_)) => self.named_issuer(token, glance).is_some(),
            Some(AuthServer::Introspection(server)) => {
                let token_bytes = token.reveal();
                // White space, which a server might strip before it reads the rest (RFC 6749 appendix A.12).
                !token_bytes.iter().all(u8::is_ascii_graphic)
                    || jose::is_jwt(token_bytes)
                        && !self.named_issuer(token, glance).is_some_and(|(place, issuer)| {
                            place == server.issuer && matches!(issuer.keys, Keys::Absent)
                        })
            }
        }
    }

    /// Returns the listed issuer that a token claims, whatever its header states, and its index.
    fn named_issuer<'t>(&self, token: Secret<'t>, glance: &mut Glance<'t>) -> Option<(usize, &Issuer)> {
        let peeked;
        let name = match glance.parsed.get_or_insert_with(|| Token::parse(token.reveal())) {
            Ok(token) => token.unverified_issuer()?,
            Err(_) => {
                peeked = jose::peek(token.reveal())?.issuer?;
                &peeked
            }
        };
        self.config.issuers.iter().enumerate().find(|(_, known)| known.policy.issuer.may_be(name))
    }
}

/// Returns the explanation of a request about which only the reason is known.
fn explained(reason: Reason) -> Explanation {
    Explanation { reason: Some(reason), ..Explanation::default() }
}

/// Why an `Authorization` cannot be sent to a forward-auth server.
enum AuthorizationFault {
    /// There are two, and programs disagree about which counts. Envoy joins them with a comma.
    Repeated,
    /// It is not text.
    NoText,
}

/// Returns why an `Authorization` cannot be read as one.
fn fault_of_authorization(head: &Head<'_>) -> Option<AuthorizationFault> {
    let mut values = head.values(b"authorization");
    let value = values.next()?;
    if std::str::from_utf8(value).is_err() {
        return Some(AuthorizationFault::NoText);
    }
    let is_repeated = values.next().is_some() || value.is_ascii() && !value.iter().any(u8::is_ascii_control);
    is_repeated.then_some(AuthorizationFault::Repeated)
}
