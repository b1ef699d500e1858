//! What a token says of itself, with nothing verified and its header not even looked at. Good for not believing an
//! answer about it for too long and for knowing who must judge it, and for nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurposeConfig;
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use serde_json::Value;

use super::MAX_TOKEN_BYTES;
use crate::http::UnixTime;

/// As lenient as any server that could read the token otherwise than this filter does.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Claims of a token that nobody has verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peek {
    /// `iss`
    pub issuer: Option<String>,
    /// `exp`, rounded down; the epoch where it lies before.
    pub expires: Option<UnixTime>,
}

/// Looks at the claims of what has the shape of a signed token, whatever its header says.
#[must_use]
pub fn peek(token: &[u8]) -> Option<Peek> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let mut segments = token.split(|&byte| byte == b'.');
    let (_header, claims, _signature) = (segments.next()?, segments.next()?, segments.next()?);
    let claims: Value = serde_json::from_slice(&LENIENT.decode(claims).ok()?).ok()?;
    let claims = claims.as_object()?;
    Some(Peek {
        issuer: claims.get("iss").and_then(Value::as_str).map(str::to_owned),
        expires: claims.get("exp").and_then(seconds).map(UnixTime::from_secs),
    })
}

/// A time in seconds: a number, or one that stands in a string, which some servers read too.
fn seconds(value: &Value) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
    let whole = |number: f64| number.max(0.0) as u64;
    match value {
        Value::String(digits) => {
            digits.trim().parse().ok().filter(|number: &f64| !number.is_nan()).map(whole)
        }
        value => value.as_u64().or_else(|| value.as_f64().map(whole)),
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn issuer_and_expiry_are_read_whatever_the_header_says() {
        let claims = r#"{"iss": "a", "exp": 12.9}"#;
        let expected = Peek { issuer: Some("a".to_owned()), expires: Some(UnixTime::from_secs(12)) };
        for header in
            ["", "{}", r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, r#"{"alg":"ES512","crit":["x"]}"#, "?"]
        {
            let header = BASE64_URL_SAFE_NO_PAD.encode(header);
            for claims in [BASE64_URL_SAFE_NO_PAD.encode(claims), BASE64_URL_SAFE.encode(claims)] {
                for signature in ["", "c2ln", "!"] {
                    let token = format!("{header}.{claims}.{signature}");
                    assert_eq!(peek(token.as_bytes()), Some(expected.clone()), "{token}");
                }
            }
        }
    }

    #[test]
    fn an_expiry_is_a_time_however_it_is_written() {
        let expires = |exp: &str| {
            let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"exp": {exp}}}"#));
            peek(format!("e30.{claims}.").as_bytes()).unwrap().expires.map(UnixTime::as_secs)
        };
        for (exp, expected) in [
            ("1800000000", Some(1_800_000_000)),
            ("1.8e9", Some(1_800_000_000)),
            ("\"1800000000\"", Some(1_800_000_000)),
            ("-5", Some(0)),
            ("1e300", Some(u64::MAX)),
            ("null", None),
            ("\"soon\"", None),
            ("[1]", None),
        ] {
            assert_eq!(expires(exp), expected, "{exp}");
        }
        for token in ["", "opaque", "a.b", "a.b.c", "e30.W10.x"] {
            assert_eq!(peek(token.as_bytes()), None, "{token}");
        }
    }
}
