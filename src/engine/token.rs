//! Judges a bearer token here: what is remembered of it, what its issuer's keys say, and whether it is time to
//! have it confirmed.

use super::state::State;
use super::{Engine, Outcome};
use crate::cache::{Key, Lifetime, Part, Weigh};
use crate::config::{Identity, Issuer};
use crate::identity;
use crate::jwks::KeyId;
use crate::jwt::authgear::{self, Subject};
use crate::jwt::{Refusal, Token, Verified};
use crate::request::{OwnedField, UnixTime};
use std::time::Duration;

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
    /// What the app is told.
    pub(super) identity: Vec<OwnedField>,
    pub(super) outcome: Outcome,
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
    identity: Vec<OwnedField>,
    outcome: Outcome,
    issuer: usize,
    key: KeyId,
    /// Whose it is, for the resolver to confirm; machines have none.
    user: Option<String>,
    confirmation: Confirmation,
}

/// What is known of a token's revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confirmation {
    /// It is not asked about.
    Never,
    /// It is asked about when it is used at this time or later.
    Due(UnixTime),
    /// The resolver no longer knows it.
    Revoked,
}

impl Weigh for Remembered {
    fn weight(&self) -> usize {
        let user = self.user.as_ref().map_or(0, String::len);
        self.identity.iter().fold(user, |sum, (name, value)| {
            sum.saturating_add(size_of::<OwnedField>()).saturating_add(name.len()).saturating_add(value.len())
        })
    }
}

/// What the resolver says of a token that it was asked to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
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
        if let Some(known) = state.tokens.get(&state.key, now) {
            let key_is_there = state
                .keys
                .get(known.issuer)
                .and_then(|source| source.keys())
                .is_some_and(|keys| keys.contains(known.key));
            match known.confirmation {
                Confirmation::Revoked => return Judgement::Refused(Reason::Revoked),
                Confirmation::Due(_) | Confirmation::Never if !key_is_there => {}
                Confirmation::Due(due) => return Judgement::Accepted(known.accepted(now >= due)),
                Confirmation::Never => return Judgement::Accepted(known.accepted(false)),
            }
        }
        match self.verify(state, token, now) {
            Ok((remembered, expires)) => {
                let accepted = remembered.accepted(false);
                state.tokens.insert(&state.key, remembered, Lifetime::new(expires, Duration::ZERO), now);
                Judgement::Accepted(accepted)
            }
            Err(judgement) => judgement,
        }
    }

    fn verify(
        &self,
        state: &State,
        token: &[u8],
        now: UnixTime,
    ) -> Result<(Remembered, UnixTime), Judgement> {
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
            Ok(verified) => {
                let expires = verified.expires;
                Ok((self.remember(index, issuer, &verified, now).map_err(refused)?, expires))
            }
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
        let (identity, outcome, user) = match &issuer.identity {
            Identity::Authgear => match authgear::subject(&verified.claims)? {
                Subject::User(user) => (identity::of_user(&user), Outcome::Session, Some(user.id)),
                Subject::Machine(machine) => (identity::of_machine(&machine), Outcome::Machine, None),
            },
            Identity::Claims { headers, .. } => {
                let mut identity = Vec::with_capacity(headers.len());
                for (name, claim) in headers {
                    if let Some(value) = verified.claims.header_value(claim)? {
                        identity.push((name.clone(), value.into_bytes()));
                    }
                }
                (identity, Outcome::Session, None)
            }
        };
        let revalidate = self.config.resolver.as_ref().and_then(|resolver| resolver.revalidate);
        let confirmation = match (&user, revalidate) {
            (Some(_), Some(period)) => Confirmation::Due(now.after(period)),
            (None, _) | (_, None) => Confirmation::Never,
        };
        Ok(Remembered { identity, outcome, issuer: index, key: verified.key, user, confirmation })
    }

    /// Notes that the resolver is being asked about a token, so that nobody else asks meanwhile.
    pub(super) fn confirmation_asked(&self, state: &mut State, token: &[u8], now: UnixTime) {
        /// How long past its timeout an answer is waited for.
        const GRACE: Duration = Duration::from_secs(1);
        let again = now.after(self.config.timeout).after(GRACE);
        self.set_confirmation(state, token, Confirmation::Due(again), now);
    }

    /// Notes what the resolver said of a token. Whether it is the token's user who is known decides: anybody
    /// else is as good as nobody.
    pub(super) fn confirmation_answered(&self, state: &mut State, token: &[u8], word: &Word, now: UnixTime) {
        /// The longest wait before a resolver is asked again that could not answer.
        const RETRY: Duration = Duration::from_secs(10);
        let Some(period) = self.config.resolver.as_ref().and_then(|resolver| resolver.revalidate) else {
            return;
        };
        token_key(&mut state.key, token);
        let Some(known) = state.tokens.get(&state.key, now) else { return };
        let is_its_user =
            |user: &[u8]| known.user.as_ref().is_some_and(|known_user| known_user.as_bytes() == user);
        let confirmation = match word {
            Word::Known { user } if is_its_user(user) => Confirmation::Due(now.after(period)),
            Word::Known { .. } | Word::Unknown => Confirmation::Revoked,
            Word::None => Confirmation::Due(now.after(period.min(RETRY))),
        };
        self.set_confirmation(state, token, confirmation, now);
    }

    fn set_confirmation(&self, state: &mut State, token: &[u8], confirmation: Confirmation, now: UnixTime) {
        token_key(&mut state.key, token);
        if let Some(known) = state.tokens.get_mut(&state.key, now)
            && known.confirmation != Confirmation::Revoked
        {
            known.confirmation = confirmation;
        }
    }
}

impl Remembered {
    fn accepted(&self, confirmation_due: bool) -> Accepted {
        Accepted { identity: self.identity.clone(), outcome: self.outcome, confirmation_due }
    }
}

fn token_key(key: &mut Key, token: &[u8]) {
    key.clear();
    key.push(Part::Bearer, token);
}
