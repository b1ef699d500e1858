//! The filter's counters. Owns their names, which Envoy shows under `wasmcustom.`, and the outcomes of requests, each
//! of which is a counter.

/// Why a request was decided as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its route is public.
    Public,
    /// It has no credential.
    Anonymous,
    /// Its credential identifies a valid session.
    Session,
    /// Its token belongs to a machine.
    Machine,
    /// The auth server knows no session for its credential.
    NoSession,
    /// Its credential was refused without asking an auth server.
    Refused,
    /// Its session is valid, but does not meet what a rule requires.
    Forbidden,
    /// It is malformed.
    BadRequest,
    /// It was denied because the auth server could not answer.
    ErrorDenied,
    /// It was forwarded without an identity because the auth server could not answer.
    ErrorAllowed,
    /// It was denied because there were no keys to verify its token with.
    NoKeysDenied,
    /// It was forwarded without an identity because there were no keys to verify its token with.
    NoKeysAllowed,
    /// It was denied because a call of the filter to the proxy failed.
    Broken,
}

/// What is wrong with a token that is refused, as far as counters tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// It can be no token.
    Malformed,
    /// Its algorithm is not accepted.
    Algorithm,
    /// It is a token of another kind.
    Kind,
    /// It is of another issuer.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It is of another client.
    Client,
    /// Its time is over, or it has none.
    Expired,
    /// Its time has not come.
    Early,
    /// No key is known that could have signed it.
    Key,
    /// Its signature is wrong.
    Signature,
    /// A claim of it cannot be used.
    Claim,
    /// It is bound to a key, and comes without a good proof.
    Proof,
    /// Its issuer says that it is not active.
    Inactive,
    /// The resolver no longer knows it.
    Revoked,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallResult {
    /// An answer with a status of this hundred: 2 to 5.
    Answered(u8),
    /// No answer, or none that could be used at all.
    Unanswered,
    /// The proxy did not send it.
    Unsent,
}

/// A counter of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Requests with this outcome.
    Request(Outcome),
    /// Requests decided by a cached answer.
    AnswersReused,
    /// Requests that waited for the answer to another request's call.
    AnswersShared,
    /// Requests for which no answer was cached.
    AnswersMissed,
    /// Requests decided by a stale answer, because the auth server could not answer.
    AnswersStale,
    /// Key sets that were fetched.
    KeysFetched,
    /// Fetches of a key set that failed.
    KeysFailed,
    /// Tokens that the resolver confirmed.
    Confirmed,
    /// Tokens that the resolver no longer knows.
    Revoked,
    /// Confirmations that failed because the resolver could not answer.
    ConfirmFailed,
    /// Tokens that were verified.
    TokensVerified,
    /// Requests decided by a token that was verified before.
    TokensReused,
    /// Requests whose token was refused.
    TokensRefused(TokenFault),
    /// Calls that ended so.
    Calls(CallResult),
    /// Entries of the cache that made room for others.
    Evicted,
}

/// All counters and their names, in the order in which they are defined at start.
const NAMES: [(Counter, &str); 45] = [
    (Counter::Request(Outcome::Public), "authgear_filter.requests.public"),
    (Counter::Request(Outcome::Anonymous), "authgear_filter.requests.anonymous"),
    (Counter::Request(Outcome::Session), "authgear_filter.requests.session"),
    (Counter::Request(Outcome::Machine), "authgear_filter.requests.machine"),
    (Counter::Request(Outcome::NoSession), "authgear_filter.requests.no_session"),
    (Counter::Request(Outcome::Refused), "authgear_filter.requests.refused"),
    (Counter::Request(Outcome::Forbidden), "authgear_filter.requests.forbidden"),
    (Counter::Request(Outcome::BadRequest), "authgear_filter.requests.bad_request"),
    (Counter::Request(Outcome::ErrorDenied), "authgear_filter.requests.error_denied"),
    (Counter::Request(Outcome::ErrorAllowed), "authgear_filter.requests.error_allowed"),
    (Counter::Request(Outcome::NoKeysDenied), "authgear_filter.requests.no_keys_denied"),
    (Counter::Request(Outcome::NoKeysAllowed), "authgear_filter.requests.no_keys_allowed"),
    (Counter::Request(Outcome::Broken), "authgear_filter.requests.broken"),
    (Counter::AnswersReused, "authgear_filter.answers.reused"),
    (Counter::AnswersShared, "authgear_filter.answers.shared"),
    (Counter::AnswersStale, "authgear_filter.answers.stale"),
    (Counter::KeysFetched, "authgear_filter.keys.fetched"),
    (Counter::KeysFailed, "authgear_filter.keys.failed"),
    (Counter::Confirmed, "authgear_filter.tokens.confirmed"),
    (Counter::Revoked, "authgear_filter.tokens.revoked"),
    (Counter::ConfirmFailed, "authgear_filter.tokens.confirm_failed"),
    (Counter::AnswersMissed, "authgear_filter.answers.missed"),
    (Counter::TokensVerified, "authgear_filter.tokens.verified"),
    (Counter::TokensReused, "authgear_filter.tokens.reused"),
    (Counter::TokensRefused(TokenFault::Malformed), "authgear_filter.tokens.refused_malformed"),
    (Counter::TokensRefused(TokenFault::Algorithm), "authgear_filter.tokens.refused_algorithm"),
    (Counter::TokensRefused(TokenFault::Kind), "authgear_filter.tokens.refused_kind"),
    (Counter::TokensRefused(TokenFault::Issuer), "authgear_filter.tokens.refused_issuer"),
    (Counter::TokensRefused(TokenFault::Audience), "authgear_filter.tokens.refused_audience"),
    (Counter::TokensRefused(TokenFault::Client), "authgear_filter.tokens.refused_client"),
    (Counter::TokensRefused(TokenFault::Expired), "authgear_filter.tokens.refused_expired"),
    (Counter::TokensRefused(TokenFault::Early), "authgear_filter.tokens.refused_early"),
    (Counter::TokensRefused(TokenFault::Key), "authgear_filter.tokens.refused_key"),
    (Counter::TokensRefused(TokenFault::Signature), "authgear_filter.tokens.refused_signature"),
    (Counter::TokensRefused(TokenFault::Claim), "authgear_filter.tokens.refused_claim"),
    (Counter::TokensRefused(TokenFault::Proof), "authgear_filter.tokens.refused_proof"),
    (Counter::TokensRefused(TokenFault::Inactive), "authgear_filter.tokens.refused_inactive"),
    (Counter::TokensRefused(TokenFault::Revoked), "authgear_filter.tokens.refused_revoked"),
    (Counter::Calls(CallResult::Answered(2)), "authgear_filter.calls.2xx"),
    (Counter::Calls(CallResult::Answered(3)), "authgear_filter.calls.3xx"),
    (Counter::Calls(CallResult::Answered(4)), "authgear_filter.calls.4xx"),
    (Counter::Calls(CallResult::Answered(5)), "authgear_filter.calls.5xx"),
    (Counter::Calls(CallResult::Unanswered), "authgear_filter.calls.unanswered"),
    (Counter::Calls(CallResult::Unsent), "authgear_filter.calls.unsent"),
    (Counter::Evicted, "authgear_filter.cache.evicted"),
];

impl Counter {
    /// The number of counters.
    pub const COUNT: usize = NAMES.len();

    /// All counters, each at its index.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::AnswersReused; Self::COUNT];
        let (mut names, mut places) = (NAMES.as_slice(), all.as_mut_slice());
        while let ([(counter, _), rest @ ..], [place, others @ ..]) = (names, places) {
            *place = *counter;
            (names, places) = (rest, others);
        }
        all
    };

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(counter, _)| *counter == self).map_or("", |(_, name)| name)
    }

    /// Returns its index in [`Counter::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        NAMES.iter().position(|(counter, _)| *counter == self).unwrap_or_default()
    }
}

impl Outcome {
    /// Returns its own name: the end of its counter's.
    #[must_use]
    pub fn name(self) -> &'static str {
        let counter = Counter::from(self).name();
        counter.strip_prefix("authgear_filter.requests.").unwrap_or(counter)
    }
}

impl CallResult {
    /// That of an answer with this status.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Answered(2),
            300..=399 => Self::Answered(3),
            400..=499 => Self::Answered(4),
            500..=599 => Self::Answered(5),
            _ => Self::Unanswered,
        }
    }
}

impl From<Outcome> for Counter {
    fn from(outcome: Outcome) -> Self {
        Self::Request(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_name_and_a_place_of_its_own() {
        let mut names: Vec<_> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Counter::COUNT);
        for (index, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter.index(), index);
        }
    }
}
