//! The requirements on the tokens of one issuer. They apply to claims from either source: a signed token, or a server
//! that was asked about one.

use std::time::Duration;

use super::{Algorithm, Claims, IssuerName, Refusal};
use crate::http::UnixTime;

/// The requirements on an issuer's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What `iss` must be.
    pub issuer: IssuerName,
    /// `aud` must name one of these. Empty if `client_ids` alone decide. If both are empty, no token is accepted.
    pub audiences: Vec<String>,
    /// `alg` must be one of these.
    pub algorithms: Vec<Algorithm>,
    /// `typ` must be one of these. Empty accepts any, or none.
    pub types: Vec<MediaType>,
    /// The client must be one of these. Empty accepts any, or none.
    pub client_ids: Vec<String>,
    /// Whether `azp` names the client of a token without `client_id`.
    pub reads_azp: bool,
    /// How far clocks may differ, for `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// Whether a token without `exp` is refused.
    pub requires_expiration: bool,
}

/// A value of `typ`. Case is ignored, and so is `application/` before a name without another slash (RFC 7515 section
/// 4.1.9): `at+jwt` and `application/AT+JWT` are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(String);

impl MediaType {
    /// Returns the type that `typ` names.
    #[must_use]
    pub fn new(typ: &str) -> Self {
        let typ = typ.to_ascii_lowercase();
        match typ.strip_prefix("application/") {
            Some(name) if !name.contains('/') => Self(name.to_owned()),
            Some(_) | None => Self(typ),
        }
    }
}

impl MediaType {
    /// Returns its name, in lower case and without `application/`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Policy {
    /// Checks `iss`.
    ///
    /// # Errors
    /// [`Refusal::Issuer`].
    pub fn check_issuer(&self, claims: &Claims) -> Result<(), Refusal> {
        if self.issuer.is_of(claims) { Ok(()) } else { Err(Refusal::Issuer) }
    }

    /// Checks `aud`, `exp`, `nbf`, `iat` and the client. Returns the moment from which the claims no longer hold: the
    /// end of time if there is no `exp` and none is required.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check_claims(&self, claims: &Claims, now: UnixTime) -> Result<UnixTime, Refusal> {
        self.check(claims, self.requires_expiration, now)
    }

    /// Checks what a server states about a token. All of the above applies, but `iss` and `exp` may be absent (RFC
    /// 7662 section 2.2).
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check_stated(&self, claims: &Claims, now: UnixTime) -> Result<(), Refusal> {
        if claims.issuer().is_some() {
            self.check_issuer(claims)?;
        }
        self.check(claims, false, now).map(|_expires| ())
    }

    fn check(&self, claims: &Claims, requires_expiration: bool, now: UnixTime) -> Result<UnixTime, Refusal> {
        self.check_audience(claims)?;
        let expires = self.check_times(claims, requires_expiration, now)?;
        self.check_client(claims)?;
        Ok(expires)
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), Refusal> {
        let names_one_of = |accepted: &[String]| claims.audiences().iter().any(|aud| accepted.contains(aud));
        if !self.audiences.is_empty() || self.client_ids.is_empty() {
            return if names_one_of(&self.audiences) { Ok(()) } else { Err(Refusal::Audience) };
        }
        // Nothing else distinguishes an ID token from an access token then (OpenID Connect Core 1.0 sections 2 and
        // 3.3.2.11).
        let is_id_token = names_one_of(&self.client_ids)
            || ["at_hash", "c_hash"].iter().any(|name| claims.get(name).is_some());
        if is_id_token { Err(Refusal::IdToken) } else { Ok(()) }
    }

    fn check_client(&self, claims: &Claims) -> Result<(), Refusal> {
        if self.client_ids.is_empty() {
            return Ok(());
        }
        let client = match claims.client_id() {
            None if self.reads_azp => claims.authorized_party()?,
            client => client.map(str::to_owned),
        };
        let is_accepted = client.is_some_and(|client| self.client_ids.contains(&client));
        if is_accepted { Ok(()) } else { Err(Refusal::ClientId) }
    }

    fn check_times(
        &self,
        claims: &Claims,
        requires_expiration: bool,
        now: UnixTime,
    ) -> Result<UnixTime, Refusal> {
        let seconds = |duration: u64| i64::try_from(duration).unwrap_or(i64::MAX);
        let leeway = seconds(self.leeway.as_secs());
        let now = seconds(now.as_secs());
        let end = claims.expires().map(|expires| expires.saturating_add(leeway));
        match end {
            None if requires_expiration => return Err(Refusal::NoExpiry),
            Some(end) if now >= end => return Err(Refusal::Expired),
            None | Some(_) => {}
        }
        let latest = now.saturating_add(leeway);
        if claims.not_before().is_some_and(|not_before| not_before > latest) {
            return Err(Refusal::NotYetValid);
        }
        if claims.issued_at().is_some_and(|issued_at| issued_at > latest) {
            return Err(Refusal::IssuedInFuture);
        }
        // Not negative, because `now` is not.
        Ok(end.map_or(UnixTime::END, |end| UnixTime::from_secs(u64::try_from(end).unwrap_or(0))))
    }
}
