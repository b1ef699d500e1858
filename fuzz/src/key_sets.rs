//! Key sets.

use authgear_filter::jose::{Algorithm, KeySet, KeySetError, MAX_KEY_SET_BYTES, MAX_KEYS, VerifyingKey};

use crate::input::Input;
use crate::issuer::RSA_N;

const P256: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

/// Members that a key may have besides.
const MORE: [&str; 26] = [
    r#""kid":"a""#,
    r#""kid":"b""#,
    r#""kid":7"#,
    r#""kid":null"#,
    r#""kid":"\n\u001b[31m""#,
    r#""use":"sig""#,
    r#""use":"enc""#,
    r#""use":null"#,
    r#""key_ops":["verify"]"#,
    r#""key_ops":[]"#,
    r#""alg":"RS256""#,
    r#""alg":"ES256""#,
    r#""alg":"HS256""#,
    r#""alg":"none""#,
    r#""alg":"EdDSA""#,
    r#""alg":"Ed25519""#,
    r#""alg":null"#,
    r#""d":"AQ""#,
    r#""d":null"#,
    r#""k":"AQ""#,
    r#""x5c":["AA"]"#,
    r#""kty":"oct""#,
    r#""e":"AQ""#,
    r#""n":"AQAB""#,
    r#""x":"AA==""#,
    r#""deep":[[[[[[[[{}]]]]]]]]"#,
];

/// See the crate.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let keys: Vec<String> = (0..input.below(5)).map(|_| key(&mut input)).collect();
    let text = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    one_by_one(&keys, &text);
    let damaged = input.damage(text.as_bytes(), 4, b"\"{}[],:\\ \n0A=\xff");
    holds(&KeySet::parse(&damaged));
    let any = input.pieces(
        20,
        &[
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"keys\"",
            b":",
            b",",
            b"\xef\xbb\xbf",
            b"null",
            b"1e999",
            P256.as_bytes(),
        ],
    );
    holds(&KeySet::parse(&any));
    if input.one_in(60) {
        let padded = text + &" ".repeat(MAX_KEY_SET_BYTES);
        assert_eq!(KeySet::parse(padded.as_bytes()).err(), Some(KeySetError::TooLarge));
    }
    if input.one_in(60) {
        let many = vec![format!("{{{ED25519}}}"); MAX_KEYS + 1 + input.below(20)].join(",");
        let many = format!(r#"{{"keys":[{many}]}}"#);
        assert_eq!(KeySet::parse(many.as_bytes()).err(), Some(KeySetError::TooManyKeys));
    }
}

fn key(input: &mut Input<'_>) -> String {
    let rsa = format!(r#""kty":"RSA","n":"{RSA_N}","e":"AQAB""#);
    let base = match input.below(8) {
        0 | 1 => P256.to_owned(),
        2 => ED25519.to_owned(),
        3 => rsa,
        4 => {
            // A modulus of any length, strong or weak.
            let length = input.pick(&[0_usize, 1, 2, 10, 341, 342, 343, 350, 1366, 1367, 1400]);
            format!(
                r#""kty":"RSA","n":"{}","e":"{}""#,
                &RSA_N.repeat(5)[..length],
                input.pick(&["AQAB", "Aw", "AQ", "", "AA", "_____________w"])
            )
        }
        5 => r#""kty":"oct","k":"c2VjcmV0""#.to_owned(),
        6 => return input.pick(&["null", "7", "[]", "\"x\"", "{}"]).to_owned(),
        _ => {
            let damaged = input.damage(input_base(P256), 2, b"AZ09-_=\"");
            String::from_utf8_lossy(&damaged).into_owned()
        }
    };
    let more: String = (0..input.below(4)).map(|_| format!(",{}", input.pick(&MORE))).collect();
    format!("{{{base}{more}}}")
}

const fn input_base(text: &str) -> &[u8] {
    text.as_bytes()
}

/// Each key is used or not for its own sake, whatever stands beside it.
fn one_by_one(keys: &[String], text: &str) {
    let alone = |key: &String| KeySet::parse(format!(r#"{{"keys":[{key}]}}"#).as_bytes());
    // One that is no JSON by itself breaks the whole text.
    if keys.iter().any(|key| serde_json::from_str::<serde_json::Value>(key).is_err()) {
        return;
    }
    let expected: Vec<_> = keys
        .iter()
        .filter_map(|key| alone(key).ok())
        .flat_map(|set| set.keys().iter().map(VerifyingKey::id).collect::<Vec<_>>())
        .collect();
    let parsed = KeySet::parse(text.as_bytes());
    holds(&parsed);
    match parsed {
        Ok(set) => {
            let found: Vec<_> = set.keys().iter().map(VerifyingKey::id).collect();
            assert!(found == expected, "{text}");
            assert_eq!(set.keys().len() + set.skipped().len(), keys.len(), "{text}");
        }
        Err(KeySetError::NoUsableKey(skipped)) => {
            assert!(expected.is_empty(), "{text}");
            assert_eq!(skipped.len(), keys.len(), "{text}");
        }
        Err(error) => panic!("{error}: {text}"),
    }
}

fn holds(parsed: &Result<KeySet, KeySetError>) {
    match parsed {
        Ok(set) => {
            assert!(!set.keys().is_empty() && set.keys().len() <= MAX_KEYS);
            for key in set.keys() {
                let serves: Vec<_> =
                    Algorithm::ALL.into_iter().filter(|algorithm| key.serves(*algorithm)).collect();
                assert!(!serves.is_empty(), "a key that is good for nothing");
                let families = serves.iter().map(|algorithm| &algorithm.name()[..1]).collect::<Vec<_>>();
                let is_rsa = families.iter().all(|family| "RP".contains(family));
                assert!(is_rsa || serves.len() == 1, "{serves:?}");
            }
            for skipped in set.skipped() {
                is_one_line(&skipped.to_string());
            }
        }
        Err(error) => is_one_line(&error.to_string()),
    }
}

fn is_one_line(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
