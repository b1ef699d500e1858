//! The filter's own answers to a client: what each says, in JSON that is never empty, and never kept by a
//! cache.

use crate::request::{BadHead, Reply};

/// Why a request is denied, as the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial<'a> {
    /// The request cannot be understood.
    BadRequest(BadHead),
    /// It has no credential, and needs one.
    Unauthenticated,
    /// Its credential is no good, for this reason, which holds nothing of it.
    InvalidToken(&'a str),
    /// The auth server cannot answer; with this status.
    Unavailable(u16),
    /// The filter has no configuration that could decide, or the host refused what the filter asked of it.
    Broken,
}

impl Denial<'_> {
    /// The answer. Its challenge is as RFC 6750 section 3 has it.
    #[must_use]
    pub fn reply(self) -> Reply {
        const BEARER: Option<&str> = Some("Bearer");
        const INVALID_TOKEN: Option<&str> = Some("Bearer error=\"invalid_token\"");
        let (status, error, message, challenge) = match self {
            Self::BadRequest(bad) => (bad.status(), bad.error(), bad.message().to_owned(), None),
            Self::Unauthenticated => (401, "unauthorized", "an access token is needed".to_owned(), BEARER),
            Self::InvalidToken(reason) => {
                (401, "unauthorized", format!("the access token is refused: {reason}"), INVALID_TOKEN)
            }
            Self::Unavailable(status) => (
                status,
                "unavailable",
                "the authentication service cannot be reached; try again later".to_owned(),
                None,
            ),
            Self::Broken => (
                503,
                "unavailable",
                "the authentication filter cannot decide; see the proxy's log".to_owned(),
                None,
            ),
        };
        let body = serde_json::json!({"error": error, "message": message}).to_string();
        let fields = [("content-type", "application/json"), ("cache-control", "no-store")]
            .into_iter()
            .chain(challenge.map(|challenge| ("www-authenticate", challenge)))
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        Reply { status, fields: fields.collect(), body: body.into_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_denial_is_json_with_a_body_and_is_not_kept() {
        let bad = [
            BadHead::NoMethod,
            BadHead::NoPath,
            BadHead::Path,
            BadHead::NoHost,
            BadHead::Repeated,
            BadHead::Unreadable,
        ];
        let bad = bad.map(|bad| (Denial::BadRequest(bad), 400, "bad_request", None));
        let others = [
            (Denial::BadRequest(BadHead::TooManyHeaders), 431, "too_large", None),
            (Denial::Unauthenticated, 401, "unauthorized", Some("Bearer")),
            (Denial::InvalidToken("expired"), 401, "unauthorized", Some("Bearer error=\"invalid_token\"")),
            (Denial::Unavailable(502), 502, "unavailable", None),
            (Denial::Broken, 503, "unavailable", None),
        ];
        for (denial, status, error, challenge) in bad.into_iter().chain(others) {
            let reply = denial.reply();
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!((reply.status, body["error"].as_str()), (status, Some(error)), "{denial:?}");
            assert!(!body["message"].as_str().unwrap().is_empty());
            let value = |name: &str| {
                let field = reply.fields.iter().find(|(known, _)| known == name.as_bytes());
                field.map(|(_, value)| std::str::from_utf8(value).unwrap())
            };
            assert_eq!(value("content-type"), Some("application/json"));
            assert_eq!(value("cache-control"), Some("no-store"));
            assert_eq!(value("www-authenticate"), challenge);
        }
    }
}
