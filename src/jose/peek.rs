//! What a token states about itself, whether or not this filter can verify it.
//!
//! Other servers accept tokens that this filter never would: HMAC, ES512, `crit`, padded base64url. The answer of
//! such a server must still expire at the token's own `exp`, and a token that claims a listed issuer must be judged
//! by that issuer's keys. So this parser is as lenient as any server could be.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurposeConfig;
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::members::{Members, value};
use crate::http::UnixTime;
use crate::http::header::split_once;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Unverified claims. Use them only to choose who judges a token and to forget it in time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peek {
    /// `iss`, if it is a string. The last one if there are several, as for most readers.
    pub issuer: Option<String>,
    /// `exp` in any form, rounded down and not before the epoch. The earliest one if there are several.
    pub expires: Option<UnixTime>,
    /// Whether there is a `cnf`, so that its bearer must prove something.
    pub is_bound: bool,
}

/// Reads the claims of anything shaped like a signed token, whatever its header states.
#[must_use]
#[inline(never)]
pub fn peek(token: &[u8]) -> Option<Peek> {
    let mut segments = token.split(|&byte| byte == b'.');
    let (_header, claims, _signature) = (segments.next()?, segments.next()?, segments.next()?);
    object(claims, PeekedClaims)
}

/// Returns whether anybody could take a token for a JWT: signed, encrypted or neither, well-formed or not. Its first
/// part is a header, or its second part claims. Opaque tokens may contain dots too, as those of Ory and Google do.
#[must_use]
pub fn is_jwt(token: &[u8]) -> bool {
    let Some((header, _)) = split_once(token, b'.') else { return false };
    object(header, IgnoredAny).is_some() || peek(token).is_some()
}

/// Returns whether a part between dots holds the claims of a bound token, whatever stands before or behind that token.
#[must_use]
pub fn holds_bound_claims(text: &[u8]) -> bool {
    text.split(|&byte| byte == b'.').any(|part| object(part, PeekedClaims).is_some_and(|peek| peek.is_bound))
}

/// Returns whether an AWS load balancer signed a token. Its header then has the balancer's ARN as `signer`.
pub(super) fn is_load_balancers(token: &[u8]) -> bool {
    let header = token.split(|&byte| byte == b'.').next().and_then(|header| LENIENT.decode(header).ok());
    let members = header.and_then(|json| Members::parse(&String::from_utf8_lossy(&json)));
    let signer = members.and_then(|members| value::<String>(members.get("signer")?));
    signer.is_some_and(|name| name.starts_with("arn:aws") && name.contains(":elasticloadbalancing:"))
}

/// Reads the JSON object in a segment of a token.
fn object<T>(segment: &[u8], visitor: impl for<'de> Visitor<'de, Value = T>) -> Option<T> {
    let url_safe = |byte: &u8| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    };
    let json = LENIENT.decode(segment.iter().map(url_safe).collect::<Vec<u8>>()).ok()?;
    let json = String::from_utf8_lossy(&json);
    let json = json.strip_prefix('\u{feff}').unwrap_or(&json);
    // Whatever follows the object is ignored.
    serde_json::Deserializer::from_str(json).deserialize_map(visitor).ok()
}

struct PeekedClaims;

impl<'de> Visitor<'de> for PeekedClaims {
    type Value = Peek;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Peek, A::Error> {
        let mut peek = Peek::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "iss" => peek.issuer = value(map.next_value::<&RawValue>()?.get()),
                "exp" => {
                    let expires = seconds(map.next_value::<&RawValue>()?.get()).map(UnixTime::from_secs);
                    peek.expires = peek.expires.into_iter().chain(expires).min();
                }
                "cnf" => {
                    peek.is_bound = true;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(peek)
    }
}

/// Parses a time in seconds: a number, or a number in a string, which some servers accept too.
fn seconds(json: &str) -> Option<u64> {
    let text: String = value(json).unwrap_or_else(|| json.to_owned());
    let number: f64 = text.trim().parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates"
    )]
    (!number.is_nan()).then_some(number.max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn issuer_and_expiry_are_read_whatever_the_header_says() {
        let claims = r#"{"iss": "a", "exp": 12.9}"#;
        let expected =
            Peek { issuer: Some("a".to_owned()), expires: Some(UnixTime::from_secs(12)), is_bound: false };
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
    fn claims_that_no_strict_reader_takes_are_read_too() {
        let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
        for claims in [
            &format!(r#"{{"deep": {deep}, "iss": "a", "exp": 12}}"#),
            &format!(r#"{{"large": "{}", "iss": "a", "exp": 12}}"#, "x".repeat(20_000)),
            "\u{feff}{\"iss\": \"a\", \"exp\": 12}",
            r#"{"iss": "a", "exp": 12} and more"#,
            r#"{"number": 1e999, "iss": "b", "iss": "a", "exp": 12}"#,
        ] {
            for claims in [BASE64_URL_SAFE_NO_PAD.encode(claims), BASE64_STANDARD.encode(claims)] {
                let expected = Peek {
                    issuer: Some("a".to_owned()),
                    expires: Some(UnixTime::from_secs(12)),
                    is_bound: false,
                };
                assert_eq!(peek(format!("e30.{claims}.c2ln").as_bytes()), Some(expected), "{claims:.80}");
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
            ("1e999", Some(u64::MAX)),
            ("-1e999", Some(0)),
            ("1800000000, \"exp\": 1700000000", Some(1_700_000_000)),
            ("1700000000, \"\\u0065xp\": 1800000000", Some(1_700_000_000)),
            ("\"NaN\"", None),
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

    #[test]
    fn a_jwt_is_one_whatever_became_of_it_and_an_opaque_token_is_none_whatever_its_dots() {
        let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"at+jwt"}"#);
        let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"a"}"#);
        let odd = BASE64_STANDARD.encode("\u{feff}{\"alg\":\"none\"} and more");
        for token in [
            format!("{header}.{claims}.c2ln"),
            format!("{header}.{claims}."),
            format!("{header}.{claims}"),
            format!("{header}."),
            format!("{header}.!.!"),
            format!("{header}.{claims}.c2ln.more"),
            format!("{header}.a.b.c.d"),
            format!("{header}==.{claims}.c2ln"),
            format!("{odd}.{claims}.c2ln"),
            format!("e30.{claims}.c2ln"),
            format!(".{claims}.c2ln"),
            format!("?{header}.{claims}.c2ln"),
            format!("{header} .{claims}.c2ln"),
        ] {
            assert!(is_jwt(token.as_bytes()), "{token}");
        }
        for token in [
            "",
            ".",
            "...",
            "abc",
            "ory_at_8PQyRqWZ3oS1.xhY0v2Y7",
            "authelia_at_cvTX.uXNB",
            "ya29.a0AfH6SMBx.y.z",
            "v4.public.eyJzdWIiOiJhIn0",
            "e30",
            "MTIz.W10.c2ln",
            "bnVsbA.W10.c2ln",
        ] {
            assert!(!is_jwt(token.as_bytes()), "{token}");
        }
        assert!(!is_jwt(header.as_bytes()), "no dot");
    }
}
