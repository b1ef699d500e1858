//! One request as far as the outcome concerns it: what is demanded of it, what is taken out of it, and what it
//! is answered. All of it that is kept while the request waits.

use std::rc::Rc;

use super::{Decision, Engine, Outcome, Verdict};
use crate::config::{OnError, OnErrorAction};
use crate::credential::{Authorization, CookieNames, Cookies, Credentials};
use crate::denial::Denial;
use crate::identity::{self, Managed, Stated};
use crate::navigation;
use crate::request::{Head, HeaderEdits, OwnedField, Reply, UnixTime};
use crate::rules::{Access, Demand, OnUnauthenticated};

/// See the module.
#[derive(Debug)]
pub(super) struct Case {
    edits: HeaderEdits,
    demand: Demand,
    /// Where a person is sent to log in.
    location: Option<String>,
    /// Whether it carries a token that can be refused.
    has_token: bool,
    is_authgears: bool,
}

/// Who a valid session belongs to, and what it states.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) identity: Rc<[OwnedField]>,
    pub(super) stated: Rc<Stated>,
    pub(super) outcome: Outcome,
}

impl Engine {
    /// What there is to know about a request before its credentials are judged.
    pub(super) fn case(&self, head: &Head<'_>, credentials: &Credentials<'_>) -> Case {
        let config = &self.config;
        let mut remove = config.managed.forged(head.fields);
        if !self.background {
            // A host without background does not list all headers of a request.
            remove.extend(config.managed.known());
        }
        let mut cookie = None;
        if config.strip_credentials {
            if credentials.authorization != Authorization::NoToken {
                remove.push(b"authorization".to_vec());
            }
            if let Some(names) = config.resolver.as_ref().map(|resolver| &resolver.cookies) {
                cookie = without(head, names, &mut remove, &credentials.cookies);
            }
        }
        let demand = config.rules.decide(head.method, head.authority, head.path);
        let location = match demand.on_unauthenticated() {
            Some(OnUnauthenticated::Redirect(redirect)) => redirect.location(head),
            Some(OnUnauthenticated::Answer(_)) | None => None,
        };
        Case {
            edits: HeaderEdits { remove, cookie, ..HeaderEdits::default() },
            demand,
            location,
            has_token: credentials.authorization != Authorization::NoToken,
            is_authgears: config.managed == Managed::Authgear,
        }
    }

    /// Whether nobody has to say who they are: a public route, or a browser asking leave to send a request.
    pub(super) fn is_public(&self, case: &Case, head: &Head<'_>) -> bool {
        case.demand.access() == Access::Public
            || (self.config.allow_cors_preflight && navigation::is_cors_preflight(head))
    }
}

impl Case {
    /// On a public route.
    pub(super) fn public(self) -> Decision {
        self.forward(identity::nothing(), Outcome::Public)
    }

    /// With a valid session; `cookies` go to the client whatever becomes of the request.
    pub(super) fn accept(mut self, known: &Known, cookies: &[OwnedField], now: UnixTime) -> Decision {
        match self.demand.check(&known.stated.facts(), now) {
            Ok(()) => {
                self.edits.respond = cookies.to_vec();
                self.forward(Rc::clone(&known.identity), known.outcome)
            }
            Err(unmet) => {
                let denial = Denial::Forbidden(unmet);
                let reply = match self.demand.on_forbidden() {
                    Some(answer) => denial.reply_as(answer),
                    None => denial.reply(),
                };
                replied(reply, cookies, Outcome::Forbidden)
            }
        }
    }

    /// Without a session. `identity` is what the auth server said of that.
    pub(super) fn nobody(
        mut self,
        identity: Rc<[OwnedField]>,
        cookies: &[OwnedField],
        outcome: Outcome,
    ) -> Decision {
        if self.demand.access() == Access::Required {
            let denial = if self.has_token {
                Denial::InvalidToken("it belongs to no session")
            } else {
                Denial::Unauthenticated
            };
            return replied(self.deny(denial), cookies, outcome);
        }
        self.edits.respond = cookies.to_vec();
        self.forward(identity, outcome)
    }

    /// Without a credential.
    pub(super) fn anonymous(self) -> Decision {
        self.nobody(identity::nothing(), &[], Outcome::Anonymous)
    }

    /// With a credential that is no good.
    pub(super) fn refuse(self, reason: &str) -> Decision {
        if self.demand.access() == Access::Required {
            return replied(self.deny(Denial::InvalidToken(reason)), &[], Outcome::Refused);
        }
        let identity = if self.is_authgears { identity::refused() } else { identity::nothing() };
        self.forward(identity, Outcome::Refused)
    }

    /// Where nobody can decide. `outcome` says what was lacking. What a rule requires is required all the same.
    pub(super) fn fail(self, on_error: OnError, outcome: fn(OnErrorAction) -> Outcome) -> Decision {
        let action = match self.demand.requirements().next() {
            Some(_) => OnErrorAction::Deny,
            None => on_error.action,
        };
        match action {
            OnErrorAction::Deny => {
                replied(Denial::Unavailable(on_error.status).reply(), &[], outcome(OnErrorAction::Deny))
            }
            OnErrorAction::Allow => self.forward(identity::nothing(), outcome(OnErrorAction::Allow)),
        }
    }

    fn forward(self, set: Rc<[OwnedField]>, outcome: Outcome) -> Decision {
        Decision { verdict: Verdict::Forward(HeaderEdits { set, ..self.edits }), outcome }
    }

    fn deny(&self, denial: Denial<'_>) -> Reply {
        match (self.demand.on_unauthenticated(), &self.location) {
            (Some(OnUnauthenticated::Redirect(_)), Some(location)) => denial.redirect(location),
            (Some(OnUnauthenticated::Answer(answer)), _) => denial.reply_as(answer),
            (Some(OnUnauthenticated::Redirect(_)) | None, _) => denial.reply(),
        }
    }
}

pub(super) fn replied(mut reply: Reply, cookies: &[OwnedField], outcome: Outcome) -> Decision {
    reply.fields.extend_from_slice(cookies);
    Decision { verdict: Verdict::Reply(reply), outcome }
}

/// The `Cookie` header without Authgear's cookies; `None` where there is nothing to change, or nothing left.
fn without(
    head: &Head<'_>,
    names: &CookieNames,
    remove: &mut Vec<Vec<u8>>,
    found: &Cookies<'_>,
) -> Option<Vec<u8>> {
    if found.is_empty() && !names.any_named(head) {
        return None;
    }
    remove.push(b"cookie".to_vec());
    let rest = names.others(head);
    (!rest.is_empty()).then(|| rest.join(b"; ".as_slice()))
}
