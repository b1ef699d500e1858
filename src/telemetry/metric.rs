//! The filter's counters: every one, and its name. Envoy shows them under `wasmcustom.`.

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Requests on public routes.
    Public,
    /// Requests without a credential.
    Anonymous,
    /// Requests of a valid session.
    Session,
    /// Requests of a machine with a valid token of its own.
    Machine,
    /// Requests whose credential the auth server knows no session for.
    NoSession,
    /// Requests whose credential was refused here.
    Refused,
    /// Requests of a valid session that does not meet what a rule requires.
    Forbidden,
    /// Requests that cannot be understood.
    BadRequest,
    /// Requests denied because the auth server could not answer.
    ErrorDenied,
    /// Requests let through as nobody because the auth server could not answer.
    ErrorAllowed,
    /// Requests denied because there were no keys to verify a token with.
    NoKeysDenied,
    /// Requests let through as nobody because there were no keys to verify a token with.
    NoKeysAllowed,
    /// Requests denied because the proxy refused what the filter asked of it.
    Broken,
    /// Requests decided by an answer that was remembered.
    AnswersReused,
    /// Requests that waited for the answer to another one's question.
    AnswersShared,
    /// Requests decided by an answer past its time, because the auth server could not answer.
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
}

impl Metric {
    /// All of them, to be defined at the start.
    pub const ALL: [Self; 21] = [
        Self::Public,
        Self::Anonymous,
        Self::Session,
        Self::Machine,
        Self::NoSession,
        Self::Refused,
        Self::Forbidden,
        Self::BadRequest,
        Self::ErrorDenied,
        Self::ErrorAllowed,
        Self::NoKeysDenied,
        Self::NoKeysAllowed,
        Self::Broken,
        Self::AnswersReused,
        Self::AnswersShared,
        Self::AnswersStale,
        Self::KeysFetched,
        Self::KeysFailed,
        Self::Confirmed,
        Self::Revoked,
        Self::ConfirmFailed,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "authgear_filter.requests.public",
            Self::Anonymous => "authgear_filter.requests.anonymous",
            Self::Session => "authgear_filter.requests.session",
            Self::Machine => "authgear_filter.requests.machine",
            Self::NoSession => "authgear_filter.requests.no_session",
            Self::Refused => "authgear_filter.requests.refused",
            Self::Forbidden => "authgear_filter.requests.forbidden",
            Self::BadRequest => "authgear_filter.requests.bad_request",
            Self::ErrorDenied => "authgear_filter.requests.error_denied",
            Self::ErrorAllowed => "authgear_filter.requests.error_allowed",
            Self::NoKeysDenied => "authgear_filter.requests.no_keys_denied",
            Self::NoKeysAllowed => "authgear_filter.requests.no_keys_allowed",
            Self::Broken => "authgear_filter.requests.broken",
            Self::AnswersReused => "authgear_filter.answers.reused",
            Self::AnswersShared => "authgear_filter.answers.shared",
            Self::AnswersStale => "authgear_filter.answers.stale",
            Self::KeysFetched => "authgear_filter.keys.fetched",
            Self::KeysFailed => "authgear_filter.keys.failed",
            Self::Confirmed => "authgear_filter.tokens.confirmed",
            Self::Revoked => "authgear_filter.tokens.revoked",
            Self::ConfirmFailed => "authgear_filter.tokens.confirm_failed",
        }
    }

    /// Its place in [`Metric::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|metric| *metric == self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_name_and_a_place_of_its_own() {
        let mut names: Vec<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Metric::ALL.len());
        for (index, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric.index(), index);
        }
    }
}
