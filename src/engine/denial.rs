//! The filter's own answers to clients: JSON that is never empty, and that caches must not store.

use std::borrow::Cow;

use crate::http::error_code::ErrorCode;
use crate::http::{BadHead, Reply};
use crate::jose::dpop::{PROOF_ALGORITHM_NAMES, ProofRefusal};
use crate::rules::{CustomReply, Unmet};

/// Why a request is denied, as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial<'a> {
    /// The request is malformed.
    BadRequest(BadHead),
    /// Its host belongs to no project.
    Misdirected,
    /// It needs a credential and has none.
    Unauthenticated,
    /// Its credential is invalid. The reason contains nothing of the credential.
    InvalidToken(&'a str),
    /// A person returned from logging in without a session.
    LoginUnfinished,
    /// Its credential is invalid, and is or should be a token that is bound to a key (RFC 9449 section 7.1).
    InvalidBoundToken(&'a str),
    /// The proof that its bearer has the token's key is invalid.
    InvalidProof(ProofRefusal),
    /// Its session is valid but fails a rule's requirement.
    Forbidden(Unmet),
    /// The auth server forbids it.
    ForbiddenByServer,
    /// The auth server cannot answer. The status is configured.
    Unavailable(u16),
    /// The filter has no configuration to decide with, or the proxy refused a call of the filter.
    Broken,
}

impl Denial<'_> {
    /// Returns the filter's own answer.
    #[must_use]
    pub fn reply(self) -> Reply {
        self.reply_with(self.status(), JSON, self.json())
    }

    /// Returns the answer that the operator configured.
    #[must_use]
    pub fn reply_as(self, custom: &CustomReply) -> Reply {
        match &custom.body {
            Some(body) => self.reply_with(custom.status, &body.content_type, body.text.clone().into_bytes()),
            None => self.reply_with(custom.status, JSON, self.json()),
        }
    }

    /// Returns a redirect that sends a person to log in.
    #[must_use]
    pub fn redirect(self, location: &str) -> Reply {
        let mut reply = self.reply_with(302, JSON, self.json());
        reply.fields.push((b"location".to_vec(), location.as_bytes().to_vec()));
        reply
    }

    fn reply_with(self, status: u16, content_type: &str, body: Vec<u8>) -> Reply {
        // Only these two carry a challenge (RFC 6750 section 3). The operator may have chosen another status.
        let challenge = self.challenge().filter(|_challenge| matches!(status, 401 | 403));
        let challenge = challenge.as_deref();
        let fields = [("content-type", content_type), ("cache-control", "no-store")]
            .into_iter()
            .chain(challenge.map(|challenge| ("www-authenticate", challenge)))
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        Reply { status, fields: fields.collect(), body, grpc: None }
    }

    const fn status(self) -> u16 {
        match self {
            Self::BadRequest(bad) => bad.status(),
            Self::Unauthenticated
            | Self::InvalidToken(_)
            | Self::InvalidBoundToken(_)
            | Self::InvalidProof(_)
            | Self::LoginUnfinished => 401,
            Self::Misdirected => 421,
            Self::Forbidden(_) | Self::ForbiddenByServer => 403,
            Self::Unavailable(status) => status,
            Self::Broken => 503,
        }
    }

    fn challenge(self) -> Option<Cow<'static, str>> {
        let dpop = |error| format!("DPoP error=\"{error}\", algs=\"{PROOF_ALGORITHM_NAMES}\"").into();
        match self {
            Self::Unauthenticated | Self::LoginUnfinished => Some("Bearer".into()),
            Self::InvalidToken(_) => Some("Bearer error=\"invalid_token\"".into()),
            Self::InvalidBoundToken(_) => Some(dpop("invalid_token")),
            Self::InvalidProof(_) => Some(dpop("invalid_dpop_proof")),
            Self::Forbidden(unmet) if unmet.is_insufficient_scope() => {
                Some("Bearer error=\"insufficient_scope\"".into())
            }
            Self::BadRequest(_)
            | Self::Misdirected
            | Self::Forbidden(_)
            | Self::ForbiddenByServer
            | Self::Unavailable(_)
            | Self::Broken => None,
        }
    }

    fn json(self) -> Vec<u8> {
        match self {
            Self::BadRequest(bad) => ErrorCode::of_status(bad.status()).body(bad.message()),
            Self::Unauthenticated => {
                ErrorCode::Unauthorized.body("a valid session or an access token is needed")
            }
            Self::InvalidProof(refusal) => {
                ErrorCode::Unauthorized.body(&format!("the DPoP proof is refused: {refusal}"))
            }
            Self::InvalidToken(reason) | Self::InvalidBoundToken(reason) => {
                ErrorCode::Unauthorized.body(&format!("the access token is refused: {reason}"))
            }
            Self::Misdirected => ErrorCode::Misdirected.body("nobody logs in at this host"),
            Self::LoginUnfinished => ErrorCode::Unauthorized.body(
                "the login did not finish: there is no session yet; open the page that you wanted again",
            ),
            Self::Forbidden(unmet) => ErrorCode::Forbidden.body(unmet.message()),
            Self::ForbiddenByServer => ErrorCode::Forbidden.body("this is not allowed"),
            Self::Unavailable(_) => {
                ErrorCode::Unavailable.body("the authentication service cannot be reached; try again later")
            }
            Self::Broken => {
                ErrorCode::Unavailable.body("the authentication filter cannot decide; see the proxy's log")
            }
        }
    }
}

const JSON: &str = "application/json";

/// Returns the redirect that takes a person back after logging in.
#[must_use]
pub fn logged_in(location: &str) -> Reply {
    let fields = [("location", location), ("content-type", "text/plain"), ("cache-control", "no-store")];
    let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    Reply { status: 302, fields: fields.to_vec(), body: b"logged in".to_vec(), grpc: None }
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
            (Denial::BadRequest(BadHead::TooLarge), 431, "too_large", None),
            (Denial::BadRequest(BadHead::ControlByte), 400, "bad_request", None),
            (Denial::Unauthenticated, 401, "unauthorized", Some("Bearer")),
            (Denial::InvalidToken("expired"), 401, "unauthorized", Some("Bearer error=\"invalid_token\"")),
            (Denial::Misdirected, 421, "misdirected", None),
            (Denial::LoginUnfinished, 401, "unauthorized", Some("Bearer")),
            (Denial::Forbidden(Unmet::Roles), 403, "forbidden", Some("Bearer error=\"insufficient_scope\"")),
            (Denial::Forbidden(Unmet::AuthAge), 403, "forbidden", None),
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
