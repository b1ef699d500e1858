//! The answer of an authorization server (RFC 7662 section 2.2): the claims of an active token, or that it is not
//! active. Anything else is a fault, because a token of unknown state is not a good one.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::auth_server::fault::{Fault, Unusable};
use crate::auth_server::{Answer, Judged, Said, Scope};
use crate::http::{CallError, Response, ResponseEdits};
use crate::jose::{Claims, Members, Refusal, value};

/// The longest answer that is accepted, in bytes: four times the longest token.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Reads an answer. `judge` judges the claims of an active token; `payload` is the answer in base64url.
///
/// Only the body of the answer is used. Its cookies and challenges concern the filter alone.
///
/// # Errors
///
/// Fails if there is no usable answer.
pub fn read(
    result: Result<Response, CallError>,
    judge: impl FnOnce(&Claims, &[u8]) -> Result<Judged, Refusal>,
) -> Result<Answer, Fault> {
    let response = result.map_err(Fault::Call)?;
    match response.status {
        200 => {}
        // These reject the filter's own credentials, or their absence.
        status @ (401 | 403) => return Err(Fault::Credentials(status)),
        status => return Err(Fault::Status(status)),
    }
    let json = std::str::from_utf8(&response.body).map_err(|_| Fault::Unusable(Unusable::Json))?;
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let members = Members::parse(json).ok_or(Fault::Unusable(Unusable::Json))?;
    let judged = match members.get("active") {
        Some("true") => active(members, json, judge),
        Some("false") => Err(Refusal::Inactive),
        Some(_) | None => return Err(Fault::Unusable(Unusable::Active)),
    };
    let (said, ends) = match judged {
        Ok(Judged { session, ends }) => (Said::Session(session), ends),
        Err(refusal) => (Said::Refused(refusal), None),
    };
    Ok(Answer { said, ends, respond: ResponseEdits::default(), scope: Scope::Everyone })
}

fn active(
    members: Members,
    json: &str,
    judge: impl FnOnce(&Claims, &[u8]) -> Result<Judged, Refusal>,
) -> Result<Judged, Refusal> {
    // The bearer must prove possession of the key, and nothing here can check that.
    let token_type = members.get("token_type").and_then(value::<String>);
    let is_dpop = token_type.is_some_and(|token_type| token_type.eq_ignore_ascii_case("DPoP"));
    if is_dpop || members.get("cnf").is_some() {
        return Err(Refusal::Bound);
    }
    let claims = Claims::of(members)?;
    judge(&claims, BASE64_URL_SAFE_NO_PAD.encode(json.trim()).as_bytes())
}
