//! Bearer tokens that are judged here: which ones were verified, refused or revoked, and when to have one confirmed
//! by the resolver.

use std::rc::Rc;
use std::time::Duration;

use super::budgets::Budgets;
use super::effects::Outbox;
use super::explanation::Reason;
use super::keys::KeySets;
use super::overdue;
use super::presented::TokenScheme;
use super::session::{other_use, session};
use crate::auth_server::fault::Fault;
use crate::auth_server::{Answer, Holder, Said, Session};
use crate::cache::{BoundedMap, Key, Lifetime, Part, Weigh};
use crate::config::{Cache, Config, Issuer, Keys};
use crate::http::UnixTime;
use crate::jose::dpop::{Binding, Thumbprint};
use crate::jose::{Backend, KeyId, Refusal, Token, Verified};
use crate::telemetry::Counter;

/// How many confirmations may be in flight at once. Beyond that, a token is confirmed at a later use.
const MAX_CONFIRMING: usize = 32;

/// The longest wait before a resolver that could not answer is asked about a token again.
const CONFIRM_AGAIN: Duration = Duration::from_secs(10);

/// How many tokens in a row the resolver may refuse before that counts as a contradiction.
const MANY_REVOKED: u32 = 10;

/// The result of judging a token.
#[derive(Debug)]
pub(super) enum Judgement {
    /// It is good.
    Accepted(Accepted),
    /// It is bad.
    Rejected(Rejection),
    /// It cannot be judged without an issuer's keys. States the issuer's index, and why keys are wanted.
    NeedsKeys(usize, Lack),
}

/// What was learnt about a token while deciding who judges it.
#[derive(Default)]
pub(super) struct Glance<'a> {
    pub(super) recalled: Option<Judgement>,
    pub(super) parsed: Option<Result<Token<'a>, Refusal>>,
}

/// A good token.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The session that it proves.
    pub(super) session: Session,
    /// Whether it is time to ask the resolver if it still knows the token.
    pub(super) confirmation_due: bool,
    /// The key that its bearer must have.
    pub(super) bound: Option<Thumbprint>,
    /// The index of its issuer in the configuration.
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
    /// There are some, but not the one that the token names.
    ThisKey,
}

/// The resolver's answer about a token that it was asked to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It belongs to this user.
    Known(Rc<[u8]>),
    /// It belongs to nobody.
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

    /// Returns whether the client may have provoked the failure by its part of the call.
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
    /// When the token is used at this time or later, the resolver is asked about it. `None` means never.
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

/// Owns no heap memory.
impl Weigh for Rejection {
    fn weight(&self) -> usize {
        0
    }
}

/// What a worker knows about tokens.
pub(super) struct Tokens {
    known: BoundedMap<Known>,
    /// Tokens that the resolver no longer knows, for as long as they would be valid. They are separate from the good
    /// ones, which could evict them and so make them valid again.
    revoked: BoundedMap<Rejection>,
    /// Tokens that were rejected recently. A wrong signature is as expensive to verify as a right one.
    rejected: BoundedMap<Rejection>,
    times: Cache,
    confirming: usize,
    confirmed: u32,
    never_confirmed: u32,
    /// The key of the current token, kept to reuse its allocation.
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

    /// Returns the verified tokens.
    pub(super) const fn known(&mut self) -> &mut BoundedMap<Known> {
        &mut self.known
    }

    /// Returns the tokens that the resolver no longer knows.
    pub(super) const fn revoked(&mut self) -> &mut BoundedMap<Rejection> {
        &mut self.revoked
    }

    /// Returns the tokens that were rejected recently.
    pub(super) const fn rejected(&mut self) -> &mut BoundedMap<Rejection> {
        &mut self.rejected
    }

    /// Sets the key of a token. One token with two schemes has two keys: what is cached about a bound token does not
    /// apply to a bearer token.
    fn look_up(&mut self, token: &[u8], scheme: TokenScheme) {
        let part = match scheme {
            TokenScheme::Bearer => Part::Bearer,
            TokenScheme::Dpop => Part::Bound,
        };
        self.key.clear();
        self.key.push(part, token);
    }

    /// Returns what is cached about a token. A good one holds as long as its key is in the set.
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

    /// Judges a token that is not cached. `parsed` is its parse, if it was needed before.
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

    /// Returns whether another confirmation may be in flight, and counts it.
    pub(super) const fn begin_confirming(&mut self) -> bool {
        let has_room = self.confirming < MAX_CONFIRMING;
        if has_room {
            self.confirming = self.confirming.saturating_add(1);
        }
        has_room
    }

    /// Ends a confirmation in flight.
    pub(super) const fn end_confirming(&mut self) {
        self.confirming = self.confirming.saturating_sub(1);
    }

    /// Records that the resolver is being asked about a token, so that no other request asks meanwhile.
    pub(super) fn confirmation_sent(&mut self, config: &Config, token: &[u8], now: UnixTime) {
        self.put_off(token, overdue(config.timeout, now), now);
    }

    /// Records the resolver's answer about a token. Only the token's own user confirms it; any other user counts as
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

    /// Schedules the confirmation of a token for its first use at `due` or later.
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
        // If no key could change the result, it is refused without keys.
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

/// Returns the issuer that a token claims.
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
        // The resolver never gets a bound token.
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
