//! The filter's own answers to a client: what each says, in JSON that is never empty, and never kept by a
//! cache.

use crate::request::{BadHead, Reply};

/// Why a request is denied, as the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The request cannot be understood.
    BadRequest(BadHead),
    /// The auth server cannot answer.
    Unavailable,
    /// The filter has no configuration that could decide, or the host refused what the filter asked of it.
    Broken,
}

impl Denial {
    /// The answer, with `status` where the cause does not settle it.
    #[must_use]
    pub fn reply(self, status: u16) -> Reply {
        let (status, error, message) = match self {
            Self::BadRequest(bad) => (bad.status(), bad.error(), bad.message()),
            Self::Unavailable => {
                (status, "unavailable", "the authentication service cannot be reached; try again later")
            }
            Self::Broken => {
                (503, "unavailable", "the authentication filter cannot decide; see the proxy's log")
            }
        };
        let body = serde_json::json!({"error": error, "message": message}).to_string();
        let fields = [("content-type", "application/json"), ("cache-control", "no-store")]
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        Reply { status, fields: fields.to_vec(), body: body.into_bytes() }
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
        let cases = bad.map(|bad| (Denial::BadRequest(bad), 400, "bad_request")).into_iter().chain([
            (Denial::BadRequest(BadHead::TooManyHeaders), 431, "too_large"),
            (Denial::Unavailable, 502, "unavailable"),
            (Denial::Broken, 503, "unavailable"),
        ]);
        for (denial, status, error) in cases {
            let reply = denial.reply(502);
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!((reply.status, body["error"].as_str()), (status, Some(error)), "{denial:?}");
            assert!(!body["message"].as_str().unwrap().is_empty());
            assert!(reply.fields.contains(&(b"content-type".to_vec(), b"application/json".to_vec())));
            assert!(reply.fields.contains(&(b"cache-control".to_vec(), b"no-store".to_vec())));
        }
    }
}
