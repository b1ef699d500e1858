//! The answer of a forward-auth server: an identity, or a denial to relay. Only a faultless answer accepts; a denial
//! stays one, whatever else is wrong with it.

mod accepted;
mod denied;

use std::rc::Rc;

use self::accepted::accepted;
pub use self::denied::{DenialKind, Denied};
use self::denied::{is_location, relayed};
use super::ForwardAuth;
use crate::auth_server::fault::Fault;
use crate::auth_server::{Answer, Inputs, Said, Scope};
use crate::http::header::Pattern;
use crate::http::{CallError, Response, ResponseEdits};

/// Reads an answer.
///
/// # Errors
///
/// Fails if there is no usable answer.
pub fn read(
    forward_auth: &ForwardAuth,
    inputs: Inputs,
    result: Result<Response, CallError>,
) -> Result<Answer, Fault> {
    let response = result.map_err(Fault::Call)?;
    let kind = match response.status {
        200..=299 => return accepted(forward_auth, inputs, &response.fields).map_err(Fault::Unusable),
        401 => DenialKind::Unauthenticated,
        403 => DenialKind::Forbidden,
        // 304 answers a condition, and none was sent.
        300..=303 | 305..=399
            if response.fields.iter().any(|(name, value)| is_location(name) && !value.is_empty()) =>
        {
            DenialKind::Redirected
        }
        // 407 comes from a proxy before the server.
        400..=406 | 408..=499 => DenialKind::Other,
        status => return Err(Fault::Status(status)),
    };
    let denied = Denied { kind, status: response.status, reply: relayed(forward_auth, kind, response) };
    let scope = if denied.sets_cookie() { Scope::AskerAlone } else { Scope::Everyone };
    Ok(Answer { said: Said::Denied(Rc::new(denied)), ends: None, respond: ResponseEdits::default(), scope })
}

fn is_listed(patterns: &[Pattern], name: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::Fields;

    pub(super) fn config(more: &Value) -> ForwardAuth {
        let mut config = json!({"url": "http://auth/", "upstream": "auth",
            "identity_headers": ["authorization", "x-user-id", "x-auth-*"]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ForwardAuth::for_tests(config)
    }

    pub(super) type Read = Result<Answer, Fault>;

    pub(super) const KNOWN: Inputs = Inputs { identify: true, hold_credential: true };

    pub(super) fn listed(fields: &[(&str, &str)]) -> Fields {
        fields.iter().copied().collect()
    }

    pub(super) fn answered_with(more: &Value, status: u16, fields: &[(&str, &str)], body: &str) -> Read {
        let response = Response { status, fields: listed(fields), body: body.as_bytes().to_vec() };
        read(&config(more), KNOWN, Ok(response))
    }

    pub(super) fn answered(status: u16, fields: &[(&str, &str)], body: &str) -> Read {
        answered_with(&json!({}), status, fields, body)
    }

    pub(super) fn denied(read: Read) -> (DenialKind, u16, Vec<(String, String)>, String) {
        let Ok(Answer { said: Said::Denied(denied), .. }) = read else { panic!("{read:?}") };
        let Denied { kind, reply, .. } = (*denied).clone();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let fields = reply.fields.into_iter().map(|(name, value)| (text(name), text(value))).collect();
        (kind, reply.status, fields, text(reply.body))
    }

    #[test]
    fn a_cookie_goes_to_the_client_that_was_asked_about_and_its_verdict_to_who_has_the_same_credential() {
        let inputs = |identify, hold_credential| Inputs { identify, hold_credential };
        let cookie = ("set-cookie", "a=1");
        #[rustfmt::skip]
        let cases: &[(u16, &[(&str, &str)], Inputs, Scope)] = &[
            (200, &[], inputs(true, true), Scope::Everyone),
            (200, &[], inputs(true, false), Scope::Everyone),
            (200, &[], inputs(false, false), Scope::AskerAlone),
            (200, &[cookie], inputs(true, true), Scope::WithoutCookies),
            (200, &[cookie], inputs(true, false), Scope::AskerAlone),
            (200, &[cookie], inputs(false, false), Scope::AskerAlone),
            (401, &[], inputs(false, false), Scope::Everyone),
            (401, &[cookie], inputs(true, true), Scope::AskerAlone),
            (302, &[cookie, ("location", "/")], inputs(true, true), Scope::AskerAlone),
        ];
        for (status, fields, inputs, scope) in cases {
            let response = Response { status: *status, fields: listed(fields), body: vec![] };
            let found = read(&config(&json!({})), *inputs, Ok(response)).unwrap();
            assert_eq!(found.scope, *scope, "{status} {fields:?} {inputs:?}");
        }
    }

    #[test]
    fn a_4xx_is_a_denial_with_its_own_status_and_anything_else_is_a_fault() {
        let identity = [("x-user-id", "alice"), ("retry-after", "5"), ("content-type", "text/plain")];
        for (status, error) in [
            (400, "bad_request"),
            (402, "forbidden"),
            (404, "forbidden"),
            (405, "forbidden"),
            (413, "too_large"),
            (414, "too_large"),
            (429, "forbidden"),
            (431, "too_large"),
        ] {
            let (kind, found, fields, body) = denied(answered(status, &identity, ""));
            assert_eq!((kind, found), (DenialKind::Other, status), "{status}");
            assert!(!fields.iter().any(|(name, _)| name == "x-user-id"), "{fields:?}");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["error"], error);
            let (_, _, _, body) = denied(answered(status, &identity, "why"));
            assert_eq!(body, "why");
        }
        for status in [444, 499] {
            let (kind, found, ..) = denied(answered(status, &identity, ""));
            assert_eq!((kind, found), (DenialKind::Other, 403), "nginx would hang up");
        }
        for status in [0, 100, 101, 199, 304, 407, 500, 502, 503, 504, 999] {
            assert_eq!(answered(status, &identity, ""), Err(Fault::Status(status)));
        }
        for fields in [&[][..], &[("location", "")], &[("x-location", "/a")]] {
            assert_eq!(answered(302, fields, ""), Err(Fault::Status(302)), "{fields:?}");
        }
        assert_eq!(answered(304, &[("location", "/a")], ""), Err(Fault::Status(304)));
        for error in [CallError::NotSent, CallError::NoAnswer, CallError::TooLarge] {
            assert_eq!(read(&config(&json!({})), KNOWN, Err(error)), Err(Fault::Call(error)));
        }
    }
}
