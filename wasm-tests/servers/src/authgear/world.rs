//! Owns the users, and the sessions and tokens granted to them.

use std::collections::HashMap;
use std::time::Duration;

use rand::RngExt as _;
use rand::distr::Alphanumeric;

use super::options::{Authenticated, Status, User};

/// What a client holds, as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    /// Value of the `session` cookie.
    Session(String),
    /// Value of the `app_session` cookie.
    AppSession(String),
    /// An opaque access token, or the `jti` of a JWT.
    Access(String),
}

/// Whose credential it is, and how long it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) user: String,
    pub(super) amr: Vec<String>,
    /// Unix seconds; `None` is the zero time.
    pub(super) authenticated_at: Option<i64>,
    /// When it expires, in Unix seconds; `None` means never.
    pub(super) expires: Option<u64>,
    /// Whether it grants full access to the user's account. Authgear ignores an `app_session` without it.
    pub(super) has_full_access: bool,
}

/// What a credential leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A session of a user in good standing.
    Session(Box<(Grant, User)>),
    /// A session of a user whose account is outside its period of validity.
    Barred,
    /// Nothing: never granted, revoked or expired.
    Nothing,
}

/// A part of the server that remembers users by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Resolver,
    Tokens,
}

/// What such a part remembers of a user, and until when, in Unix seconds.
#[derive(Debug, Clone, Copy)]
struct Info {
    verified: bool,
    can_reauthenticate: bool,
    until: u64,
}

#[derive(Debug)]
pub(super) struct World {
    users: Vec<User>,
    grants: HashMap<Credential, Grant>,
    infos: HashMap<(Part, String), Info>,
}

impl World {
    pub(super) fn new(users: Vec<User>) -> Self {
        Self { users, grants: HashMap::new(), infos: HashMap::new() }
    }

    pub(super) fn users(&self) -> &[User] {
        &self.users
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn user_mut(&mut self, id: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }

    pub(super) fn add_user(&mut self, user: User) {
        self.users.retain(|known| known.id != user.id);
        self.infos.retain(|(_, known), _| *known != user.id);
        self.users.push(user);
    }

    /// The user as this part of the server knows them, which remembers what it read for `lifetime`.
    pub(super) fn as_known_to(&mut self, part: Part, user: &User, now: u64, lifetime: Duration) -> User {
        let User { verified, can_reauthenticate, .. } = *user;
        let fresh = Info { verified, can_reauthenticate, until: now.saturating_add(lifetime.as_secs()) };
        let known = self.infos.entry((part, user.id.clone())).or_insert(fresh);
        if known.until <= now {
            *known = fresh;
        }
        User { verified: known.verified, can_reauthenticate: known.can_reauthenticate, ..user.clone() }
    }

    /// Changes the state of a user's account; false if there is no such user. Disabling and deleting end all sessions
    /// first.
    pub(super) fn set_status(&mut self, id: &str, status: Status) -> bool {
        if matches!(status, Status::Disabled | Status::Deleted) {
            self.revoke_user(id);
        }
        self.user_mut(id).map(|user| user.status = status).is_some()
    }

    /// What a login of this user at `now` would grant.
    pub(super) fn log_in(&self, user: &str, now: u64, expires: Option<u64>) -> Option<Grant> {
        let user = self.user(user)?;
        let authenticated_at = match user.authenticated {
            Authenticated::AtLogin => i64::try_from(now).ok(),
            Authenticated::Never => None,
            Authenticated::At(time) => Some(time),
        };
        let (user, amr) = (user.id.clone(), user.amr.clone());
        Some(Grant { user, amr, authenticated_at, expires, has_full_access: true })
    }

    /// Grants the credential that `credential` makes from a fresh secret.
    pub(super) fn grant(
        &mut self,
        user: &str,
        now: u64,
        expires: Option<u64>,
        credential: impl FnOnce(String) -> Credential,
    ) -> Option<(String, Grant)> {
        let grant = self.log_in(user, now, expires)?;
        let secret = secret();
        self.grants.insert(credential(secret.clone()), grant.clone());
        Some((secret, grant))
    }

    pub(super) fn find(&self, credential: &Credential, now: u64) -> Found {
        let live =
            self.grants.get(credential).filter(|grant| grant.expires.is_none_or(|expires| now < expires));
        let Some(grant) = live else { return Found::Nothing };
        if matches!(credential, Credential::AppSession(_)) && !grant.has_full_access {
            return Found::Nothing;
        }
        let Some(user) = self.user(&grant.user) else { return Found::Nothing };
        match user.status {
            Status::Active => Found::Session(Box::new((grant.clone(), user.clone()))),
            Status::OutOfTime => Found::Barred,
            Status::Disabled | Status::Deleted => Found::Nothing,
        }
    }

    /// Withdraws full access from a grant.
    pub(super) fn narrow(&mut self, credential: &Credential) {
        if let Some(grant) = self.grants.get_mut(credential) {
            grant.has_full_access = false;
        }
    }

    /// Revokes a credential. True if there was one.
    pub(super) fn revoke(&mut self, credential: &Credential) -> bool {
        self.grants.remove(credential).is_some()
    }

    /// Ends every session of this user and revokes all their tokens.
    pub(super) fn revoke_user(&mut self, id: &str) {
        self.grants.retain(|_, grant| grant.user != id);
    }
}

/// A secret of 32 letters and digits.
pub(super) fn secret() -> String {
    rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect()
}
