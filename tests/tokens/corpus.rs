//! The notation of `tests/data/hostile-tokens.txt`.

use authgear_filter::jose::Algorithm;
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use serde_json::Value;

use crate::issuer::{ISSUER, Issuer, RSA_N, base64url, from_base64url};

/// One line of the corpus.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    /// How the refusal prints.
    pub(crate) refusal: &'static str,
    pub(crate) token: Vec<u8>,
}

/// The corpus, with the signatures of an issuer, and what would be good claims. Their `iss` takes the place of
/// the issuer that the corpus names.
pub(crate) fn hostile_tokens(issuer: &Issuer, claims: &Value) -> Vec<Hostile> {
    let origin = claims["iss"].as_str().unwrap();
    let lines = include_str!("../data/hostile-tokens.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let [name, refusal, token] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("not three columns: {line}");
            };
            Hostile { name, refusal, token: expand(&token.replace(ISSUER, origin), issuer, claims) }
        })
        .collect()
}

fn expand(notation: &str, issuer: &Issuer, claims: &Value) -> Vec<u8> {
    let token = replace(notation.as_bytes(), b"{{", b"}}", |inner| {
        let inner = std::str::from_utf8(inner).unwrap();
        let (text, times) = inner.rsplit_once('*').unwrap();
        Some(text.repeat(times.parse().ok()?).into_bytes())
    });
    let token = replace(&token, b"<", b">", |inner| {
        let inner = std::str::from_utf8(inner).unwrap();
        if let Some(digits) = inner.strip_prefix("hex:") {
            let digits: Vec<char> = digits.chars().collect();
            let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
            return Some(digits.chunks(2).map(byte).collect());
        }
        inner
            .strip_prefix("good")
            .map(|without| good(without.trim_start_matches('-'), claims.clone()).into_bytes())
    });
    let mut token =
        replace(&token, "«".as_bytes(), "»".as_bytes(), |inner| Some(base64url(inner).into_bytes()));
    while let Some(at) = token.iter().position(|byte| *byte == b'<') {
        let end = at + token[at..].iter().position(|byte| *byte == b'>').unwrap();
        // All that precedes its dot, from the start of this token where two are joined.
        let start = token[..at].iter().rposition(|byte| b", \"".contains(byte)).map_or(0, |start| start + 1);
        let signature =
            sign(std::str::from_utf8(&token[at + 1..end]).unwrap(), &token[start..at - 1], issuer);
        token.splice(at..=end, base64url(signature).into_bytes());
    }
    token
}

fn sign(by: &str, message: &[u8], issuer: &Issuer) -> Vec<u8> {
    let secret = match by {
        "RS256" => return issuer.sign(Algorithm::Rs256, message),
        // RFC 8037 appendix A.1: the key that the corpus puts into a header.
        "EdDSA:other" => {
            let seed = from_base64url("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
            return Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().sign(message).as_ref().to_vec();
        }
        "HS256:n" => from_base64url(RSA_N),
        "HS256:der" => spki(),
        "HS256:pem" => {
            let body = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, spki());
            let lines: Vec<_> = body.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
                .into_bytes()
        }
        other => panic!("unknown signature {other}"),
    };
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message).as_ref().to_vec()
}

/// `SubjectPublicKeyInfo` of a 2048-bit RSA key with the exponent 65537.
fn spki() -> Vec<u8> {
    const PREFIX: &[u8] = b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\
        \x03\x82\x01\x0f\x00\x30\x82\x01\x0a\x02\x82\x01\x01\x00";
    [PREFIX, &from_base64url(RSA_N), b"\x02\x03\x01\x00\x01"].concat()
}

/// The members of good claims, without one of them.
fn good(without: &str, mut claims: Value) -> String {
    if !without.is_empty() {
        let name = if without == "roles" { "https://authgear.com/claims/user/roles" } else { without };
        assert!(claims.as_object_mut().unwrap().remove(name).is_some(), "{without}");
    }
    let members = claims.as_object().unwrap().iter();
    let members: Vec<_> =
        members.map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
    members.join(",")
}

/// Replaces the text between two marks, innermost first, unless there is no replacement.
fn replace(
    text: &[u8],
    open: &[u8],
    close: &[u8],
    replacement: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let mut done = Vec::new();
    let mut rest = text;
    while let Some(end) = find(rest, close) {
        let start = rest[..end].windows(open.len()).rposition(|window| window == open);
        match start.and_then(|start| Some((start, replacement(&rest[start + open.len()..end])?))) {
            Some((start, new)) => {
                done.extend_from_slice(&rest[..start]);
                done.extend(new);
            }
            None => done.extend_from_slice(&rest[..end + close.len()]),
        }
        rest = &rest[end + close.len()..];
    }
    done.extend_from_slice(rest);
    done
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}
