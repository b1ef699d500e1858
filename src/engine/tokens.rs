//! Bearer tokens that are judged here: which were verified, refused or revoked, and when it is time to have one
//! confirmed by the resolver.

use std::rc::Rc;
use std::time::Duration;

use super::explanation::Reason;
use super::keys::KeySets;
use super::overdue;
use super::presented::TokenScheme;
use super::session::{other_use, session};
use super::state::{Budgets, Outbox};
use crate::auth_server::fault::Fault;
use crate::auth_server::{Answer, Holder, Said, Session};
use crate::cache::{BoundedMap, Key, Lifetime, Part, Weigh};
use crate::config::{Cache, Config, Issuer, Keys};
use crate::http::UnixTime;
use crate::jose::dpop::{Binding, Thumbprint};
use crate::jose::{Backend, KeyId, Refusal, Token, Verified};
use crate::telemetry::Counter;

/// How many confirmations may be in flight at once. Beyond that, a token is confirmed when it is used next.
const MAX_CONFIRMING: usize = 32;

/// The longest wait before a resolver that could not answer is asked about a token again.
const CONFIRM_AGAIN: Duration = Duration::from_secs(10);

/// How many tokens in a row the resolver may refuse before that counts as a contradiction.
const MANY_REVOKED: u32 = 10;

/// What comes of a token.
#[derive(Debug)]
pub(super) enum Judgement {
    /// It is good.
    Accepted(Accepted),
    /// It is not.
    Rejected(Rejection),
    /// Unknown without an issuer's keys: its index, and why they are wanted.
    NeedsKeys(usize, Lack),
}

/// A good token.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The session that it stands for.
    pub(super) session: Session,
    /// Whether it is time to ask the resolver whether it still knows the token.
    pub(super) confirmation_due: bool,
    /// The key that its bearer must have.
    pub(super) bound: Option<Thumbprint>,
    /// Whose token it is, by its place in the configuration.
    pub(super) issuer: usize,
}

/// Why a token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejection {
    /// It fails a check.
    Check(Refusal),
    /// The resolver no longer knows it.
    Revoked,
}

impl Rejection {
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Check(refusal) => Reason::Token(refusal),
            Self::Revoked => Reason::Revoked,
        }
    }
}

/// Why keys are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// There are none at all.
    AllKeys,
    /// There are, but not the one that the token names.
    ThisKey,
}

/// What the resolver says of a token that it was asked to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is this user's.
    Known(Rc<[u8]>),
    /// It is nobody's.
    Unknown,
    /// The resolver failed.
    Unclear(Fault),
}

impl Standing {
    pub(super) fn of(result: Result<Answer, Fault>) -> Self {
        match result {
            Ok(Answer { said: Said::Session(Session { holder: Holder::User(user), .. }), .. }) => {
                Self::Known(user)
            }
            Ok(_) => Self::Unknown,
            Err(fault) => Self::Unclear(fault),
        }
    }

    /// Whether the client may have provoked the failure, by what the call carried of its choice.
    pub(super) const fn may_be_provoked(&self) -> bool {
        matches!(self, Self::Unclear(fault) if fault.may_be_provoked())
    }
}

/// A token that was verified here.
pub(super) struct Known {
    session: Session,
    issuer: usize,
    key: KeyId,
    expires: UnixTime,
    /// When it is used at this time or later, the resolver is asked about it; `None` for never.
    confirmation_due: Option<UnixTime>,
    /// The key that its bearer must have.
    bound: Option<Thumbprint>,
}

impl Known {
    fn accepted(&self, now: UnixTime) -> Accepted {
        let confirmation_due = self.confirmation_due.is_some_and(|due| now >= due);
        let Self { session, issuer, bound, .. } = self;
        Accepted { session: session.clone(), confirmation_due, bound: *bound, issuer: *issuer }
    }
}

impl Weigh for Known {
    fn weight(&self) -> usize {
        self.session.weight()
    }
}

/// Owns no memory of its own.
impl Weigh for Rejection {
    fn weight(&self) -> usize {
        0
    }
}

/// See the module.
pub(super) struct Tokens {
    known: BoundedMap<Known>,
    /// Those that the resolver no longer knows, as long as they would still be good. Apart from the good ones, which
    /// could evict them: then they would be as good as new.
    revoked: BoundedMap<Rejection>,
    /// Those that were rejected a moment ago: a wrong signature is as expensive to verify as a right one.
    rejected: BoundedMap<Rejection>,
    times: Cache,
    confirming: usize,
    confirmed: u32,
    never_confirmed: u32,
    /// The key of the token at hand, kept for its memory.
    key: Key,
}

impl Tokens {
    pub(super) fn new(times: Cache, budgets: &Budgets) -> Self {
        Self {
            known: BoundedMap::within(Rc::clone(&budgets.known)),
            revoked: BoundedMap::within(Rc::clone(&budgets.revoked)),
            rejected: BoundedMap::within(Rc::clone(&budgets.rejected)),
            times,
            confirming: 0,
            confirmed: 0,
            never_confirmed: 0,
            key: Key::new(),
        }
    }

    /// Those that were verified here.
    pub(super) const fn known(&mut self) -> &mut BoundedMap<Known> {
        &mut self.known
    }

    /// Those that the resolver no longer knows.
    pub(super) const fn revoked(&mut self) -> &mut BoundedMap<Rejection> {
        &mut self.revoked
    }

    /// Those that were rejected a moment ago.
    pub(super) const fn rejected(&mut self) -> &mut BoundedMap<Rejection> {
        &mut self.rejected
    }

    /// Behind different schemes one token is two: what is remembered of a bound one says nothing of a bearer token.
    fn look_up(&mut self, token: &[u8], scheme: TokenScheme) {
        let part = match scheme {
            TokenScheme::Bearer => Part::Bearer,
            TokenScheme::Dpop => Part::Bound,
        };
        self.key.clear();
        self.key.push(part, token);
    }

    /// What is remembered of a token. A good one holds as long as its key is in the set.
    pub(super) fn recall(
        &mut self,
        token: &[u8],
        scheme: TokenScheme,
        keys: &KeySets,
        now: UnixTime,
    ) -> Option<Judgement> {
        self.look_up(token, scheme);
        if let Some(known) = self.known.get(&self.key, now)
            && keys.get(known.issuer).is_some_and(|keys| keys.contains(known.key))
        {
            return Some(Judgement::Accepted(known.accepted(now)));
        }
        let rejection = match self.revoked.get(&self.key, now) {
            Some(rejection) => Some(rejection),
            None => self.rejected.get(&self.key, now),
        };
        rejection.copied().map(Judgement::Rejected)
    }

    /// Judges a token that is not remembered, behind this scheme. `parsed` is its parse, where somebody needed it before.
    pub(super) fn judge(
        &mut self,
        config: &Config,
        signatures: Backend,
        keys: &KeySets,
        (token, scheme): (&[u8], TokenScheme),
        parsed: Option<Result<Token<'_>, Refusal>>,
        now: UnixTime,
    ) -> Judgement {
        let parsed = parsed.unwrap_or_else(|| Token::parse(token));
        self.look_up(token, scheme);
        match verify(config, signatures, keys, parsed, now) {
            Ok(known) => {
                let accepted = known.accepted(now);
                let life = Lifetime::new(known.expires, Duration::ZERO);
                self.known.insert(&self.key, known, life, now);
                Judgement::Accepted(accepted)
            }
            Err(judgement) => {
                if let Judgement::Rejected(rejection) = judgement {
                    let life = Lifetime::new(now.after(self.times.negative_ttl), Duration::ZERO);
                    self.rejected.insert(&self.key, rejection, life, now);
                }
                judgement
            }
        }
    }

    /// Whether one more confirmation may be in flight; it is counted then.
    pub(super) const fn begin_confirming(&mut self) -> bool {
        let has_room = self.confirming < MAX_CONFIRMING;
        if has_room {
            self.confirming = self.confirming.saturating_add(1);
        }
        has_room
    }

    /// A confirmation in flight is over.
    pub(super) const fn end_confirming(&mut self) {
        self.confirming = self.confirming.saturating_sub(1);
    }

    /// Notes that the resolver is being asked about a token, so that nobody else asks meanwhile.
    pub(super) fn confirmation_sent(&mut self, config: &Config, token: &[u8], now: UnixTime) {
        self.put_off(token, overdue(config.timeout, now), now);
    }

    /// Notes what the resolver said of a token. Only the token's own user confirms it: anybody else is as good as
    /// nobody.
    pub(super) fn confirmation_arrived(
        &mut self,
        config: &Config,
        token: &[u8],
        standing: &Standing,
        outbox: &mut Outbox,
        now: UnixTime,
    ) {
        let Some(resolver) = config.resolver() else { return };
        let period = resolver.revalidate.unwrap_or(CONFIRM_AGAIN);
        self.look_up(token, TokenScheme::Bearer);
        let known = self.known.get(&self.key, now).map(|known| (known.session.holder.clone(), known.expires));
        let is_its_user = |user: &Rc<[u8]>| {
            known.as_ref().is_none_or(|(holder, _)| *holder == Holder::User(Rc::clone(user)))
        };
        match standing {
            Standing::Known(user) if is_its_user(user) => {
                outbox.count(Counter::Confirmed);
                self.confirmed = self.confirmed.saturating_add(1);
                self.put_off(token, now.after(period), now);
            }
            Standing::Known(_) | Standing::Unknown => {
                outbox.count(Counter::Revoked);
                if let Some((_, expires)) = known {
                    self.known.remove(&self.key);
                    let life = Lifetime::new(expires, Duration::ZERO);
                    self.revoked.insert(&self.key, Rejection::Revoked, life, now);
                }
                self.never_confirmed = self.never_confirmed.saturating_add(1);
                if self.confirmed == 0 && self.never_confirmed >= MANY_REVOKED {
                    let count = self.never_confirmed;
                    outbox.warn(
                        |limits| &mut limits.contradictions,
                        now,
                        || {
                            format!(
                                "the resolver {} confirmed none of {count} tokens that were verified here: is \
                                 TRUST_PROXY true there, and do the published keys have `alg` and `kid`? Such tokens \
                                 are refused (authgear.revalidate)",
                                resolver.server
                            )
                        },
                    );
                }
            }
            Standing::Unclear(fault) => {
                outbox.count(Counter::ConfirmFailed);
                outbox.warn(
                    |limits| &mut limits.confirmations,
                    now,
                    || {
                        format!(
                            "tokens cannot be confirmed by the resolver {}: {fault}. They stay valid until it can",
                            resolver.server
                        )
                    },
                );
                self.put_off(token, now.after(period.min(CONFIRM_AGAIN)), now);
            }
        }
    }

    /// Has a token confirmed when it is used at `due` or later.
    fn put_off(&mut self, token: &[u8], due: UnixTime, now: UnixTime) {
        self.look_up(token, TokenScheme::Bearer);
        if let Some(known) = self.known.get_mut(&self.key, now) {
            known.confirmation_due = Some(due);
        }
    }
}

fn verify(
    config: &Config,
    signatures: Backend,
    keys: &KeySets,
    parsed: Result<Token<'_>, Refusal>,
    now: UnixTime,
) -> Result<Known, Judgement> {
    let rejected = |refusal| Judgement::Rejected(Rejection::Check(refusal));
    let token = parsed.map_err(rejected)?;
    let (index, issuer) = issuer_of(config, &token).ok_or_else(|| rejected(Refusal::Issuer))?;
    let payload = token.payload();
    let Some(keys) = keys.get(index) else {
        // What no key would change is refused without any.
        let passes = || token.check(&issuer.policy, now).map(|_expires| ());
        let claims = token.unverified_claims();
        let becomes = || session(config, issuer, claims, payload, other_use(claims)).map(|_session| ());
        return Err(match passes().and_then(|()| becomes()) {
            Ok(()) if matches!(issuer.keys, Keys::Absent) => rejected(Refusal::Bound),
            Ok(()) => Judgement::NeedsKeys(index, Lack::AllKeys),
            Err(refusal) => rejected(refusal),
        });
    };
    match token.verify(&issuer.policy, keys, signatures, now) {
        Ok(verified) => known(config, (index, issuer), &verified, payload, now).map_err(rejected),
        Err(Refusal::UnknownKey) => Err(Judgement::NeedsKeys(index, Lack::ThisKey)),
        Err(refusal) => Err(rejected(refusal)),
    }
}

/// The issuer that a token claims to be of.
fn issuer_of<'c>(config: &'c Config, token: &Token<'_>) -> Option<(usize, &'c Issuer)> {
    let issuer = token.unverified_issuer()?;
    config.issuers.iter().enumerate().find(|(_, known)| known.policy.issuer.may_be(issuer))
}

fn known(
    config: &Config,
    (index, issuer): (usize, &Issuer),
    verified: &Verified,
    payload: &[u8],
    now: UnixTime,
) -> Result<Known, Refusal> {
    let session = session(config, issuer, &verified.claims, payload, other_use(&verified.claims))?;
    let bound = match verified.claims.binding() {
        Binding::None => None,
        Binding::Key(key) => Some(key),
        Binding::Unknown => return Err(Refusal::Binding),
    };
    let period = match &session.holder {
        // The resolver is never sent a bound one.
        _ if bound.is_some() => None,
        Holder::User(_) => config.resolver().and_then(|resolver| resolver.revalidate),
        Holder::Machine | Holder::Named(_) => None,
    };
    Ok(Known {
        session,
        issuer: index,
        key: verified.key,
        expires: verified.expires,
        confirmation_due: period.map(|period| now.after(period)),
        bound,
    })
}
