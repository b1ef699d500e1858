//! A JSON Web Key Set (RFC 7517 section 5). Each key is parsed on its own: an unusable one is skipped with a reason
//! and does not affect the others.

use std::fmt;

use serde_json::value::RawValue;

use super::key::{KeyId, UnusableKey, VerifyingKey};
use super::members::{Members, value};

/// The largest key set that is parsed, in bytes.
pub const MAX_KEY_SET_BYTES: usize = 256 * 1024;

/// The most keys that a set may hold, usable or not.
pub const MAX_KEYS: usize = 100;

/// How many characters of a `kid` are shown.
const SHOWN_KID: usize = 64;

/// The usable keys of a set, at least one. Several may share a `kid`; then each of them is tried.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    skipped: Vec<Skipped>,
}

/// A key of the set that is not used, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    kid: Option<String>,
    reason: UnusableKey,
}

/// Why a whole set is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetError {
    /// More than [`MAX_KEY_SET_BYTES`].
    TooLarge,
    /// Not a JSON object with an array `keys`.
    NotAKeySet,
    /// More than [`MAX_KEYS`].
    TooManyKeys,
    /// No key in it can verify a signature. Lists the reasons, key by key.
    NoUsableKey(Vec<Skipped>),
}

impl KeySet {
    /// Parses a key set.
    ///
    /// # Errors
    /// Fails if no key is usable.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        if json.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let json = std::str::from_utf8(json).map_err(|_| KeySetError::NotAKeySet)?;
        // Some files begin with a byte order mark, which JSON does not allow.
        let json = json.strip_prefix('\u{feff}').unwrap_or(json);
        let set = Members::parse(json).ok_or(KeySetError::NotAKeySet)?;
        let keys = set.get("keys").ok_or(KeySetError::NotAKeySet)?;
        let jwks: Vec<&RawValue> = serde_json::from_str(keys).map_err(|_| KeySetError::NotAKeySet)?;
        if jwks.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let mut keys = Vec::with_capacity(jwks.len());
        let mut skipped = Vec::new();
        for jwk in jwks {
            let members = Members::parse(jwk.get());
            match members.as_ref().ok_or(UnusableKey::NotAnObject).and_then(VerifyingKey::parse) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    let kid = members.as_ref().and_then(|jwk| jwk.get("kid")).and_then(value);
                    skipped.push(Skipped { kid, reason });
                }
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey(skipped));
        }
        Ok(Self { keys, skipped })
    }

    /// Returns the usable keys, in the order of the set.
    #[must_use]
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// Returns the keys that are not used.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Returns whether a key is still in the set.
    #[must_use]
    pub fn contains(&self, key: KeyId) -> bool {
        self.keys.iter().any(|candidate| candidate.id() == key)
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => {
                // Foreign text must not end a line of the log or begin a new one.
                let shown: String = kid.chars().take(SHOWN_KID).collect();
                write!(f, "key \"{}\": {}", shown.escape_default(), self.reason)
            }
            None => write!(f, "key without kid: {}", self.reason),
        }
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "larger than {MAX_KEY_SET_BYTES} bytes"),
            Self::NotAKeySet => f.write_str("not a JSON Web Key Set: an object with an array \"keys\""),
            Self::TooManyKeys => write!(f, "more than {MAX_KEYS} keys"),
            Self::NoUsableKey(skipped) => {
                f.write_str("no usable key")?;
                for key in skipped {
                    write!(f, "; {key}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for KeySetError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Algorithm;

    const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    const P256: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
    /// A key whose x begins with a zero byte, left out here.
    const SHORT_X: &str = r#""kty":"EC","crv":"P-256","x":"OnPPqRTxK7fuu-XgTjkg_MVixUaCtUg2AU1toMl39g","y":"yUU2QlFkrguwvIyh4rjVHeVovbF7HfvKZmQxbU0L1qA""#;
    const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn parse_one(jwk: &str) -> Result<VerifyingKey, UnusableKey> {
        match KeySet::parse(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes()) {
            Ok(set) => Ok(set.keys[0].clone()),
            Err(KeySetError::NoUsableKey(skipped)) => Err(skipped[0].reason),
            Err(other) => panic!("{other}: {jwk}"),
        }
    }

    fn base64url(bytes: &[u8]) -> String {
        base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, bytes)
    }

    #[test]
    fn each_key_is_usable_or_skipped_for_a_reason() {
        let rsa = |n: &[u8], e: &str| format!(r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#, base64url(n));
        let modulus = |bytes: usize| {
            let mut n = vec![0xff; bytes];
            n[0] = 0x80;
            n
        };
        let even = [&[0x80][..], &[0; 255]].concat();
        let with = |key: &str, more: &str| format!("{{{key},{more}}}");
        for (jwk, expected) in [
            // RSA
            (format!(r#"{{"kty":"RSA","n":"{N}","e":"AQAB"}}"#), None),
            (rsa(&[&[0], &modulus(256)[..]].concat(), "AAEAAQ"), None),
            (rsa(&modulus(256), "Aw"), None),
            (rsa(&modulus(1024), "AQAB"), None),
            (rsa(&modulus(1025), "AQAB"), Some(UnusableKey::RsaTooLarge)),
            (rsa(&modulus(255), "AQAB"), Some(UnusableKey::RsaTooSmall)),
            (rsa(&[&[0x7f][..], &[0xff; 255]].concat(), "AQAB"), Some(UnusableKey::RsaTooSmall)),
            (rsa(&[], "AQAB"), Some(UnusableKey::RsaTooSmall)),
            (rsa(&[0; 256], "AQAB"), Some(UnusableKey::RsaTooSmall)),
            (rsa(&even, "AQAB"), Some(UnusableKey::RsaNumbers)),
            (rsa(&modulus(256), "AQ"), Some(UnusableKey::RsaNumbers)),
            (rsa(&modulus(256), "AQAA"), Some(UnusableKey::RsaNumbers)),
            (rsa(&modulus(256), ""), Some(UnusableKey::RsaNumbers)),
            (rsa(&modulus(256), &base64url(&[0xff; 9])), Some(UnusableKey::RsaNumbers)),
            // Padding that JWK forbids, and leading zeros that it requires
            (rsa(&modulus(256), "AQAB="), None),
            (format!(r#"{{"kty":"RSA","n":"{N}==","e":"AQAB"}}"#), None),
            (format!(r#"{{"kty":"RSA","n":"={N}","e":"AQAB"}}"#), Some(UnusableKey::Base64)),
            (format!(r#"{{"kty":"RSA","n":"{N}+","e":"AQAB"}}"#), Some(UnusableKey::Base64)),
            (format!("{{{}}}", P256.replace("a0\"", "a0=\"")), None),
            (format!("{{{}}}", ED25519.replace("o\"", "o=\"")), None),
            (format!("{{{SHORT_X}}}"), None),
            (format!("{{{}}}", SHORT_X.replace("x\":\"", "x\":\"AAAA")), None),
            (format!("{{{}}}", SHORT_X.replace("x\":\"", "x\":\"____")), Some(UnusableKey::Point)),
            (format!(r#"{{"kty":"RSA","n":"{N}"}}"#), Some(UnusableKey::Member("e"))),
            (format!(r#"{{"kty":"RSA","n":"{N}","e":65537}}"#), Some(UnusableKey::Member("e"))),
            // Curves
            (format!("{{{P256}}}"), None),
            (format!("{{{}}}", P256.replace("x_FE", "x_FF")), Some(UnusableKey::Point)),
            (format!("{{{}}}", P256.replace("P-256", "P-384")), Some(UnusableKey::Point)),
            (format!("{{{}}}", P256.replace("P-256", "P-521")), Some(UnusableKey::UnknownType)),
            (format!("{{{}}}", P256.replace("P-256", "secp256k1")), Some(UnusableKey::UnknownType)),
            (r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.into(), Some(UnusableKey::Point)),
            (format!("{{{ED25519}}}"), None),
            (format!("{{{}}}", ED25519.replace("Ed25519", "X25519")), Some(UnusableKey::UnknownType)),
            // Small order: the neutral point.
            (
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"AQ{}"}}"#, "A".repeat(41)),
                Some(UnusableKey::Point),
            ),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#.into(), Some(UnusableKey::Point)),
            // What it is for
            (with(P256, r#""use":"sig","key_ops":["verify"],"alg":"ES256","kid":"k","x5c":1"#), None),
            (with(P256, r#""use":"enc""#), Some(UnusableKey::NotForSignatures)),
            (with(P256, r#""use":1"#), Some(UnusableKey::Member("use"))),
            (with(P256, r#""key_ops":["sign","encrypt"]"#), Some(UnusableKey::NotForSignatures)),
            (with(P256, r#""key_ops":[]"#), Some(UnusableKey::NotForSignatures)),
            (with(P256, r#""key_ops":"verify""#), Some(UnusableKey::Member("key_ops"))),
            (with(P256, r#""alg":"ES384""#), Some(UnusableKey::Algorithm)),
            (with(P256, r#""alg":"RS256""#), Some(UnusableKey::Algorithm)),
            (with(P256, r#""alg":"ECDH-ES""#), Some(UnusableKey::Algorithm)),
            (with(P256, r#""kid":7"#), Some(UnusableKey::Member("kid"))),
            // Not a public key
            (with(P256, r#""d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI""#), Some(UnusableKey::Private)),
            // `null` means absent.
            (with(ED25519, r#""d":null,"alg":null,"use":null,"kid":null,"key_ops":null"#), None),
            (with(ED25519, r#""alg":"Ed25519""#), None),
            (r#"{"kty":null}"#.into(), Some(UnusableKey::Member("kty"))),
            (format!(r#"{{"kty":"RSA","n":"{N}","e":null}}"#), Some(UnusableKey::Member("e"))),
            (r#"{"kty":"oct","k":"c2VjcmV0"}"#.into(), Some(UnusableKey::Symmetric)),
            (r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#.into(), Some(UnusableKey::UnknownType)),
            (r#"{"kty":"rsa"}"#.into(), Some(UnusableKey::UnknownType)),
            ("{}".into(), Some(UnusableKey::Member("kty"))),
            ("[]".into(), Some(UnusableKey::NotAnObject)),
            ("null".into(), Some(UnusableKey::NotAnObject)),
            (with(P256, P256), Some(UnusableKey::NotAnObject)),
        ] {
            assert_eq!(parse_one(&jwk).err(), expected, "{jwk:.120}");
        }
    }

    #[test]
    fn one_bad_key_costs_only_itself_and_is_told_by_name() {
        let set = format!(
            r#"{{"keys":[{{"kty":"oct","kid":"a\nb\u001b[31m{}"}},{{{P256},"kid":"p"}},7,{{{ED25519}}}],"x":1}}"#,
            "c".repeat(100)
        );
        let set = KeySet::parse(set.as_bytes()).unwrap();
        let kids: Vec<_> = set.keys().iter().map(VerifyingKey::kid).collect();
        assert_eq!(kids, [Some("p"), None]);
        let told: Vec<_> = set.skipped().iter().map(ToString::to_string).collect();
        let shown = format!("a\\nb\\u{{1b}}[31m{}", "c".repeat(64 - 8));
        assert_eq!(
            told,
            [
                format!("key \"{shown}\": symmetric keys are not accepted"),
                "key without kid: not an object with distinct members".to_owned(),
            ]
        );
    }

    #[test]
    fn a_set_without_a_usable_key_is_no_set() {
        let keys = |n: usize| format!(r#"{{"keys":[{}]}}"#, vec![format!("{{{ED25519}}}"); n].join(","));
        let padded = |bytes: usize| {
            let keys = keys(1);
            keys.clone() + &" ".repeat(bytes - keys.len())
        };
        for (json, expected) in [
            (keys(MAX_KEYS), None),
            (keys(MAX_KEYS + 1), Some(KeySetError::TooManyKeys)),
            (padded(MAX_KEY_SET_BYTES), None),
            (padded(MAX_KEY_SET_BYTES + 1), Some(KeySetError::TooLarge)),
            (keys(0), Some(KeySetError::NoUsableKey(Vec::new()))),
            ("{}".into(), Some(KeySetError::NotAKeySet)),
            (r#"{"keys":{}}"#.into(), Some(KeySetError::NotAKeySet)),
            (r#"{"keys":[],"keys":[]}"#.into(), Some(KeySetError::NotAKeySet)),
            (format!("{{{P256}}}"), Some(KeySetError::NotAKeySet)),
            (format!("\u{feff}{}", keys(1)), None),
            ("<html>".into(), Some(KeySetError::NotAKeySet)),
            ("".into(), Some(KeySetError::NotAKeySet)),
        ] {
            assert_eq!(KeySet::parse(json.as_bytes()).err(), expected, "{json:.80}");
        }
        assert_eq!(KeySet::parse(b"{\"keys\":[\"\xff\"]}").err(), Some(KeySetError::NotAKeySet));
    }

    #[test]
    fn a_key_is_the_same_under_another_kid_and_serves_only_its_algorithms() {
        let named = parse_one(&format!(r#"{{{P256},"kid":"a"}}"#)).unwrap();
        let renamed = parse_one(&format!(r#"{{{P256},"kid":"b","use":"sig"}}"#)).unwrap();
        let other = parse_one(&format!("{{{ED25519}}}")).unwrap();
        assert_eq!(named.id(), renamed.id());
        assert_ne!(named.id(), other.id());
        let served: Vec<_> =
            Algorithm::ALL.into_iter().filter(|algorithm| named.serves(*algorithm)).collect();
        assert_eq!(served, [Algorithm::Es256]);
    }
}
