//! Judges a bearer token here: what is remembered of it, what its issuer's keys say, and whether it is time to
//! have it confirmed.

use std::rc::Rc;
use std::time::Duration;

use super::case::Known;
use super::state::State;
use super::{Engine, Outcome};
use crate::auth_server::authgear::identity::{self, SessionFacts};
use crate::auth_server::authgear::token::{self, Subject};
use crate::cache::{Key, Lifetime, Part, Weigh};
use crate::config::{Identity, Issuer};
use crate::http::{Fields, OwnedField, UnixTime};
use crate::jose::{KeyId, KeySource};
use crate::jose::{Refusal, Token, Verified};

/// What comes of a token.
#[derive(Debug)]
pub(super) enum Judgement {
    /// It is good.
    Accepted(Accepted),
    /// It is not.
    Refused(Reason),
    /// Only an issuer's keys could tell. Its index, and why they are wanted.
    NeedsKeys(usize, Lack),
}

/// A good token.
#[derive(Debug)]
pub(super) struct Accepted {
    /// Whose it is.
    pub(super) known: Known,
    /// Whether it is time to ask the resolver whether it still knows the token.
    pub(super) confirmation_due: bool,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// See [`Refusal`].
    Check(Refusal),
    /// The resolver no longer knows it.
    Revoked,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Check(refusal) => refusal.fmt(f),
            Self::Revoked => f.write_str("revoked"),
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

/// A token that was verified here.
pub(super) struct Remembered {
    known: Known,
    issuer: usize,
    key: KeyId,
    /// Whose it is, for the resolver to confirm; machines have none.
    user: Option<String>,
    expires: UnixTime,
    /// When it is used at this time or later, the resolver is asked about it; `None` for never.
    confirmation_due: Option<UnixTime>,
}

/// A token that the resolver no longer knows. Remembered apart from the good ones, which could crowd it out:
/// then it would be as good as new.
pub(super) struct Revoked;

impl Weigh for Revoked {
    fn weight(&self) -> usize {
        0
    }
}

impl Weigh for Remembered {
    fn weight(&self) -> usize {
        self.known.weight().saturating_add(self.user.as_ref().map_or(0, String::len))
    }
}

impl Weigh for Reason {
    fn weight(&self) -> usize {
        0
    }
}

/// The memory that headers own, in bytes.
pub(super) fn weight(fields: &[OwnedField]) -> usize {
    fields.iter().fold(0usize, |sum, (name, value)| {
        sum.saturating_add(size_of::<OwnedField>()).saturating_add(name.len()).saturating_add(value.len())
    })
}

impl Known {
    /// The memory that it owns, in bytes: what it tells the app, and as much again for what rules ask of it.
    pub(super) fn weight(&self) -> usize {
        self.identity.weight().saturating_mul(2)
    }
}

/// What the resolver says of a token that it was asked to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// It is this user's.
    Known { user: Vec<u8> },
    /// It is nobody's.
    Unknown,
    /// It could not say.
    None,
}

impl Engine {
    /// Judges a token; remembers a good one until it expires or its key leaves the set.
    pub(super) fn judge(&self, state: &mut State, token: &[u8], now: UnixTime) -> Judgement {
        token_key(&mut state.key, token);
        if let Some(known) = state.tokens.get(&state.key, now)
            && state
                .keys
                .get(known.issuer)
                .and_then(KeySource::keys)
                .is_some_and(|keys| keys.contains(known.key))
        {
            return Judgement::Accepted(known.accepted(now));
        }
        if state.revoked.get(&state.key, now).is_some() {
            return Judgement::Refused(Reason::Revoked);
        }
        if let Some(reason) = state.refused.get(&state.key, now) {
            return Judgement::Refused(*reason);
        }
        match self.verify(state, token, now) {
            Ok(remembered) => {
                let accepted = remembered.accepted(now);
                let life = Lifetime::new(remembered.expires, Duration::ZERO);
                state.tokens.insert(&state.key, remembered, life, now);
                Judgement::Accepted(accepted)
            }
            Err(judgement) => {
                // A signature that is wrong is as dear to check as a right one.
                if let Judgement::Refused(reason) = judgement {
                    let life = Lifetime::new(now.after(self.config.cache.negative_ttl), Duration::ZERO);
                    state.refused.insert(&state.key, reason, life, now);
                }
                judgement
            }
        }
    }

    fn verify(&self, state: &State, token: &[u8], now: UnixTime) -> Result<Remembered, Judgement> {
        let refused = |refusal| Judgement::Refused(Reason::Check(refusal));
        let token = Token::parse(token).map_err(refused)?;
        let issuer = token.unverified_issuer().ok_or_else(|| refused(Refusal::Issuer))?;
        let (index, issuer) = self
            .config
            .issuers
            .iter()
            .enumerate()
            .find(|(_, known)| known.policy.issuer == issuer)
            .ok_or_else(|| refused(Refusal::Issuer))?;
        let keys = state
            .keys
            .get(index)
            .and_then(|source| source.keys())
            .ok_or(Judgement::NeedsKeys(index, Lack::AllKeys))?;
        match token.verify(&issuer.policy, keys, self.signatures, now) {
            Ok(verified) => self.remember(index, issuer, &verified, now).map_err(refused),
            Err(Refusal::UnknownKey) => Err(Judgement::NeedsKeys(index, Lack::ThisKey)),
            Err(refusal) => Err(refused(refusal)),
        }
    }

    fn remember(
        &self,
        index: usize,
        issuer: &Issuer,
        verified: &Verified,
        now: UnixTime,
    ) -> Result<Remembered, Refusal> {
        let (identity, stated, outcome, user) = match &issuer.identity {
            Identity::Authgear => match token::subject(&verified.claims)? {
                Subject::User(user) => {
                    let identity = identity::of_user(&user);
                    let stated = SessionFacts::by_headers(&identity, &user.scopes);
                    (identity, stated, Outcome::Session, Some(user.id))
                }
                Subject::Machine(machine) => {
                    let stated = SessionFacts::by_headers(&Fields::default(), &machine.scopes);
                    (identity::of_machine(&machine), stated, Outcome::Machine, None)
                }
            },
            Identity::Claims { headers, roles } => {
                let mut identity = Fields::default();
                for (name, claim) in headers {
                    if let Some(value) = verified.claims.header_value(claim)? {
                        identity.push(name, value.as_bytes());
                    }
                }
                let roles = roles.as_ref().map(|claim| verified.claims.roles(claim)).transpose()?;
                let stated = SessionFacts::by_claims(&verified.claims, &roles.unwrap_or_default());
                (identity, stated, Outcome::Session, None)
            }
        };
        let known = Known { identity: Rc::new(identity), stated: Rc::new(stated), outcome };
        let revalidate = self.config.resolver().and_then(|resolver| resolver.revalidate);
        let period = revalidate.filter(|_period| user.is_some());
        Ok(Remembered {
            known,
            issuer: index,
            key: verified.key,
            user,
            expires: verified.expires,
            confirmation_due: period.map(|period| now.after(period)),
        })
    }

    /// Notes that the resolver is being asked about a token, so that nobody else asks meanwhile.
    pub(super) fn confirmation_asked(&self, state: &mut State, token: &[u8], now: UnixTime) {
        /// How long past its timeout an answer is waited for.
        const GRACE: Duration = Duration::from_secs(1);
        let again = now.after(self.config.timeout).after(GRACE);
        put_off(state, token, again, now);
    }

    /// Notes what the resolver said of a token. Whether it is the token's user who is known decides: anybody
    /// else is as good as nobody.
    pub(super) fn confirmation_answered(
        &self,
        state: &mut State,
        token: &[u8],
        word: &Confirmation,
        now: UnixTime,
    ) {
        /// The longest wait before a resolver is asked again that could not answer.
        const RETRY: Duration = Duration::from_secs(10);
        let Some(period) = self.config.resolver().and_then(|resolver| resolver.revalidate) else {
            return;
        };
        token_key(&mut state.key, token);
        let Some(known) = state.tokens.get(&state.key, now) else { return };
        let is_its_user = |user: &[u8]| known.user.as_ref().is_some_and(|its| its.as_bytes() == user);
        match word {
            Confirmation::Known { user } if is_its_user(user) => {
                put_off(state, token, now.after(period), now)
            }
            Confirmation::Known { .. } | Confirmation::Unknown => {
                let life = Lifetime::new(known.expires, Duration::ZERO);
                state.tokens.remove(&state.key);
                state.revoked.insert(&state.key, Revoked, life, now);
            }
            Confirmation::None => put_off(state, token, now.after(period.min(RETRY)), now),
        }
    }
}

/// Has a token asked about when it is used at `due` or later.
fn put_off(state: &mut State, token: &[u8], due: UnixTime, now: UnixTime) {
    token_key(&mut state.key, token);
    if let Some(known) = state.tokens.get_mut(&state.key, now) {
        known.confirmation_due = Some(due);
    }
}

impl Remembered {
    fn accepted(&self, now: UnixTime) -> Accepted {
        let confirmation_due = self.confirmation_due.is_some_and(|due| now >= due);
        Accepted { known: self.known.clone(), confirmation_due }
    }
}

fn token_key(key: &mut Key, token: &[u8]) {
    key.clear();
    key.push(Part::Bearer, token);
}
