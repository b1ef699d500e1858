//! Tokens: damaged ones, and rightly signed ones with any header and claims.

use std::time::Duration;

use authgear_filter::auth_server::authgear::identity;
use authgear_filter::auth_server::authgear::token::{Subject, subject};
use authgear_filter::http::UnixTime;
use authgear_filter::http::header::is_value;
use authgear_filter::jose::{self, Algorithm, IssuerName, KeySet, MediaType, Policy, Token, Verified};
use serde_json::{Value, json};

use crate::input::Input;
use crate::issuer::{self, ISSUER, NOW, PROXY, base64url, claims, jwks, signed};

thread_local! {
    static KEYS: KeySet = KeySet::parse(jwks("k").to_string().as_bytes()).expect("a key set");
}

const LEEWAY: u64 = 30;

/// What may stand in claims.
const VALUES: [&str; 34] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "1e3",
    "1.5",
    "1800000000",
    "1800000030",
    "1800001790",
    "1799999970",
    "1799999969",
    "9223372036854775807",
    "9223372036854775808",
    "253402300800",
    "1e400",
    "-0",
    "\"\"",
    "\" \"",
    "\"alice\"",
    "\"al ice\"",
    "\"a\\nb\"",
    "\"a\\u0000\"",
    "\"client_id_m\"",
    "\"app\"",
    "[]",
    "{}",
    "[\"https://myapp.authgear.cloud\"]",
    "\"https://myapp.authgear.cloud\"",
    "[\"a\",1]",
    "[\"a,b\",\"c\"]",
    "{\"a\":1,\"a\":2}",
    "\"\\ud800\"",
];

const NAMES: [&str; 22] = [
    "iss",
    "aud",
    "sub",
    "exp",
    "nbf",
    "iat",
    "client_id",
    "azp",
    "scope",
    "scp",
    "auth_time",
    "amr",
    "cnf",
    "typ",
    "token_use",
    "https://authgear.com/claims/user/roles",
    "https://authgear.com/claims/user/is_verified",
    "https://authgear.com/claims/user/is_anonymous",
    "https://authgear.com/claims/user/can_reauthenticate",
    "roles",
    "at_hash",
    "x",
];

const HEADERS: [&str; 20] = [
    r#"{"alg":"RS256","kid":"k","typ":"at+jwt"}"#,
    r#"{"alg":"RS256","kid":"k","typ":"application/AT+JWT"}"#,
    r#"{"alg":"RS256","typ":"at+jwt"}"#,
    r#"{"alg":"RS256","kid":"other","typ":"at+jwt"}"#,
    r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#,
    r#"{"alg":"RS256","kid":"k"}"#,
    r#"{"alg":"RS384","kid":"k","typ":"at+jwt"}"#,
    r#"{"alg":"PS256","kid":"k","typ":"at+jwt"}"#,
    r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#,
    r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt"}"#,
    r#"{"alg":"HS256","kid":"k","typ":"at+jwt"}"#,
    r#"{"alg":"none","kid":"k","typ":"at+jwt"}"#,
    r#"{"alg":"None","typ":"at+jwt"}"#,
    r#"{"kid":"k","typ":"at+jwt"}"#,
    r#"{"alg":"RS256","kid":"k","typ":"at+jwt","crit":["x"]}"#,
    r#"{"alg":"RS256","kid":"k","typ":"at+jwt","b64":false}"#,
    r#"{"alg":"RS256","alg":"none","typ":"at+jwt"}"#,
    r#"{"alg":"RS256","kid":1,"typ":"at+jwt"}"#,
    r#"{"alg":["RS256"],"kid":"k"}"#,
    r#"[{"alg":"RS256"}]"#,
];

/// See the crate.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let policy = policy(&mut input);
    let now =
        NOW + u64::try_from(input.pick(&[0_usize, 1, 1789, 1790, 1819, 1820, 1821, 100_000])).expect("small");
    let (header, stated) = (header(&mut input), stated(&mut input));
    let right = signed(&header, &stated);
    let token = match input.below(4) {
        0 => input.damage(right.as_bytes(), 3, b"Aa09-_.= \n\0{\""),
        1 => input.pieces(8, &[b".", b"..", b"eyJ", b"e30", b"{}", b"=", b"\xff", b" ", right.as_bytes()]),
        2 => {
            // What another one signed: header and claims changed, the signature kept.
            let other = signed(&header, &claims("mallory", NOW + 10_000).to_string());
            let signature = right.rsplit('.').next().expect("a signature");
            [other.rsplit_once('.').expect("a signature").0, ".", signature].concat().into_bytes()
        }
        _ => right.clone().into_bytes(),
    };
    let _ = (jose::peek(&token), jose::is_jwt(&token), jose::looks_like_jwt(&token));
    let Ok(parsed) = Token::parse(&token) else { return };
    let now_is = UnixTime::from_secs(now);
    let Ok(verified) = KEYS.with(|keys| parsed.verify(&policy, keys, PROXY, now_is)) else { return };
    assert_eq!(String::from_utf8_lossy(&token), right, "nobody signed this");
    is_as_it_should_be(&verified, &header, &stated, &policy, now);
}

fn policy(input: &mut Input<'_>) -> Policy {
    let texts = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect();
    let (audiences, client_ids): (Vec<String>, Vec<String>) = match input.below(4) {
        0 => (texts(&[]), texts(&["app"])),
        1 => (texts(&[ISSUER]), texts(&["app"])),
        _ => (texts(&[ISSUER]), texts(&[])),
    };
    Policy {
        issuer: IssuerName::exact(ISSUER),
        audiences,
        algorithms: Algorithm::ALL.to_vec(),
        types: if input.one_in(3) { vec![] } else { vec![MediaType::new("at+jwt")] },
        client_ids,
        reads_azp: input.one_in(2),
        leeway: Duration::from_secs(LEEWAY),
        requires_expiration: !input.one_in(3),
    }
}

/// A header.
pub fn header(input: &mut Input<'_>) -> String {
    let header = if input.one_in(2) { input.pick(&HEADERS) } else { HEADERS[0] };
    if input.one_in(10) {
        return String::from_utf8_lossy(&input.damage(header.as_bytes(), 2, b"\",:{}[]\\ ")).into_owned();
    }
    header.to_owned()
}

/// Claims as text, so that a name may stand twice.
pub fn stated(input: &mut Input<'_>) -> String {
    let good = claims("alice", NOW + 1790);
    let mut members: Vec<(String, String)> = good
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect();
    for _ in 0..input.below(4) {
        let name = input.pick(&NAMES);
        match input.below(4) {
            0 => members.retain(|(known, _)| known != name),
            1 => members.push((name.to_owned(), input.pick(&VALUES).to_owned())),
            _ => {
                let value = input.pick(&VALUES).to_owned();
                members.retain(|(known, _)| known != name);
                members.push((name.to_owned(), value));
            }
        }
    }
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
    let text = format!("{{{}}}", members.join(","));
    if input.one_in(12) {
        return String::from_utf8_lossy(&input.damage(text.as_bytes(), 2, b"\",:{}[]\\0 ")).into_owned();
    }
    text
}

/// All checks once more, by other code, from the text that was signed.
fn is_as_it_should_be(verified: &Verified, header: &str, stated: &str, policy: &Policy, now: u64) {
    let shown = || format!("{header} {stated} at {now}");
    let header: Value = serde_json::from_str(header).expect("JSON");
    // A number that no double holds, or half of a pair, in a claim that nobody looks at.
    let Ok(claims) = serde_json::from_str::<Value>(stated) else { return };
    assert_eq!(header["alg"], "RS256", "{}", shown());
    assert!(header.get("crit").is_none() && header.get("b64").is_none_or(|b64| b64 == true), "{}", shown());
    if !policy.types.is_empty() {
        let typ = header["typ"].as_str().unwrap_or_default().to_ascii_lowercase();
        assert!(["at+jwt", "application/at+jwt"].contains(&typ.as_str()), "{}", shown());
    }
    assert_eq!(claims["iss"], ISSUER, "{}", shown());
    let audiences = match &claims["aud"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !policy.audiences.is_empty() {
        assert!(audiences.contains(&ISSUER), "{}", shown());
    }
    if !policy.client_ids.is_empty() {
        let client = claims.get("client_id").or_else(|| claims.get("azp").filter(|_| policy.reads_azp));
        assert_eq!(client, Some(&json!("app")), "{}", shown());
    }
    #[allow(clippy::cast_precision_loss, reason = "dates are far below 2^53")]
    let now = now as f64;
    let number = |name: &str| claims.get(name).and_then(Value::as_f64);
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let leeway = LEEWAY as f64;
    match claims.get("exp") {
        Some(exp) => {
            let exp = exp.as_f64().unwrap_or_else(|| panic!("{}", shown()));
            assert!(now < exp + leeway, "it has expired: {}", shown());
            #[allow(clippy::cast_precision_loss, reason = "dates are far below 2^53")]
            let ends = verified.expires.as_secs() as f64;
            assert!(ends <= exp + leeway, "it would be remembered for too long: {}", shown());
        }
        None => assert!(!policy.requires_expiration, "{}", shown()),
    }
    for name in ["nbf", "iat"] {
        assert!(number(name).is_none_or(|begins| begins <= now + leeway), "{name} lies ahead: {}", shown());
    }
    let Ok(subject) = subject(&verified.claims) else { return };
    let session = identity::session(&subject);
    for (name, value) in session.identity.iter() {
        assert!(is_value(value) && name.starts_with(b"x-authgear-"), "{}", shown());
        assert!(value.trim_ascii() == value, "{}", shown());
    }
    let told = session.identity.value(b"x-authgear-user-id");
    match subject {
        Subject::User(user) => {
            assert_eq!(told, Some(user.id.as_bytes()));
            assert_eq!(claims["sub"], user.id.as_str(), "{}", shown());
        }
        Subject::Machine(_) => assert_eq!(told, None, "{}", shown()),
    }
}

/// A token that nobody signed, for other targets.
#[must_use]
pub fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}.{}", base64url(header), base64url(claims), base64url(issuer::sign(b"another text")))
}
