//! Every check of a token, one table: what is changed, and why it is then refused.

use authgear_filter::auth_server::authgear::token as authgear;
use authgear_filter::http::UnixTime;
use authgear_filter::jose::KeySet;
use authgear_filter::jose::{Algorithm, Backend, MediaType, Policy, Refusal, Token, Verified};
use serde_json::{Value, json};

use crate::host::backends;
use crate::issuer::{ISSUER, Issuer, NOW, claims, header, now, policy};

fn verify(token: &str, policy: &Policy, keys: &KeySet) -> Result<Verified, Refusal> {
    Token::parse(token.as_bytes())?.verify(policy, keys, Backend::Portable, now())
}

/// The claims with some replaced, or removed where the new value is `null`.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

#[test]
fn a_right_token_is_verified_with_every_algorithm_by_both_backends() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    for algorithm in Algorithm::ALL {
        let token = issuer.token(algorithm, &claims());
        for (name, backend) in backends() {
            let token = Token::parse(token.as_bytes()).unwrap();
            assert_eq!(token.unverified_issuer(), Some(ISSUER));
            let verified = token.verify(&policy(), &keys, backend, now()).unwrap_or_else(|refusal| {
                panic!("{algorithm}, {name}: {refusal}");
            });
            assert_eq!(verified.expires, UnixTime::from_secs(NOW + 1790 + 30));
            assert!(keys.contains(verified.key));
            let authgear::Subject::User(user) = authgear::subject(&verified.claims).unwrap() else {
                panic!("not a user");
            };
            assert_eq!(user.id, "8b1f7c0e-user");
        }
    }
}

#[test]
fn each_claim_is_checked() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let far = 253_402_300_799_u64;
    for (changes, expected) in [
        (json!({}), None),
        // iss
        (json!({"iss": null}), Some(Refusal::Issuer)),
        (json!({"iss": "https://other.example"}), Some(Refusal::Issuer)),
        (json!({"iss": "https://myapp.authgear.cloud/"}), Some(Refusal::Issuer)),
        (json!({"iss": [ISSUER]}), Some(Refusal::Claim("iss"))),
        // aud
        (json!({"aud": ISSUER}), None),
        (json!({"aud": ["x", ISSUER]}), None),
        (json!({"aud": null}), Some(Refusal::Audience)),
        (json!({"aud": []}), Some(Refusal::Audience)),
        (json!({"aud": "app"}), Some(Refusal::Audience)),
        (json!({"aud": ["app", "HTTPS://MYAPP.AUTHGEAR.CLOUD"]}), Some(Refusal::Audience)),
        (json!({"aud": {"a": ISSUER}}), Some(Refusal::Claim("aud"))),
        (json!({"aud": [ISSUER, 1]}), Some(Refusal::Claim("aud"))),
        // exp
        (json!({"exp": NOW - 29}), None),
        (json!({"exp": NOW - 30}), Some(Refusal::Expired)),
        (json!({"exp": 1_799_999_971.5}), None),
        (json!({"exp": 1_799_999_970.5}), Some(Refusal::Expired)),
        (json!({"exp": 0}), Some(Refusal::Expired)),
        (json!({"exp": -1}), Some(Refusal::Expired)),
        (json!({"exp": i64::MIN}), Some(Refusal::Expired)),
        (json!({"exp": far}), None),
        (json!({"exp": far + 1}), Some(Refusal::Claim("exp"))),
        (json!({"exp": u64::MAX}), Some(Refusal::Claim("exp"))),
        (json!({"exp": 1e300}), Some(Refusal::Claim("exp"))),
        (json!({"exp": (NOW + 60).to_string()}), Some(Refusal::Claim("exp"))),
        (json!({"exp": true}), Some(Refusal::Claim("exp"))),
        (json!({"exp": [NOW + 60]}), Some(Refusal::Claim("exp"))),
        (json!({"exp": null}), Some(Refusal::NoExpiry)),
        // nbf
        (json!({"nbf": NOW + 30}), None),
        (json!({"nbf": NOW + 31}), Some(Refusal::NotYetValid)),
        (json!({"nbf": -62_135_596_800_i64}), None),
        (json!({"nbf": "0"}), Some(Refusal::Claim("nbf"))),
        // iat
        (json!({"iat": null}), None),
        (json!({"iat": NOW + 30}), None),
        (json!({"iat": NOW + 31}), Some(Refusal::IssuedInFuture)),
        (json!({"iat": {}}), Some(Refusal::Claim("iat"))),
        // sub and client_id are looked at, so their types are checked
        (json!({"sub": 1}), Some(Refusal::Claim("sub"))),
        (json!({"client_id": ["app"]}), Some(Refusal::Claim("client_id"))),
        (json!({"client_id": null}), None),
    ] {
        let token = issuer.token(Algorithm::Es256, &with(changes.clone()));
        assert_eq!(verify(&token, &policy(), &keys).err(), expected, "{changes}");
    }
}

#[test]
fn a_claim_that_is_there_as_null_is_malformed_and_not_absent() {
    let issuer = Issuer::new();
    let claims = claims().to_string();
    for name in ["iss", "sub", "aud", "exp", "client_id"] {
        let mut changed: Value = serde_json::from_str(&claims).unwrap();
        changed[name] = Value::Null;
        let token = issuer.token(Algorithm::Es256, &changed);
        let refusal = verify(&token, &policy(), &issuer.keys()).unwrap_err();
        assert!(matches!(refusal, Refusal::Claim(claim) if claim == name), "{name}: {refusal:?}");
    }
}

#[test]
fn each_member_of_the_header_is_checked() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let claims = claims().to_string();
    for (header, expected) in [
        (r#"{"alg":"ES256","kid":"p256","typ":"at+jwt"}"#, None),
        (r#"{"alg":"ES256","kid":"p256","typ":"AT+JWT"}"#, None),
        (r#"{"alg":"ES256","kid":"p256","typ":"application/at+jwt"}"#, None),
        (r#"{"alg":"ES256","kid":"p256","typ":"APPLICATION/At+Jwt"}"#, None),
        (r#"{"alg":"ES256","kid":"p256","typ":"application/x/at+jwt"}"#, Some(Refusal::Type)),
        (r#"{"alg":"ES256","kid":"p256","typ":"text/at+jwt"}"#, Some(Refusal::Type)),
        (r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#, Some(Refusal::Type)),
        (r#"{"alg":"ES256","kid":"p256","typ":""}"#, Some(Refusal::Type)),
        (r#"{"alg":"ES256","kid":"p256"}"#, Some(Refusal::Type)),
        (r#"{"alg":"ES256","kid":"p256","typ":null}"#, Some(Refusal::Header)),
        (r#"{"alg":"ES256","kid":"p256","typ":["at+jwt"]}"#, Some(Refusal::Header)),
        // Extensions
        (r#"{"alg":"ES256","kid":"p256","typ":"at+jwt","crit":["exp"]}"#, Some(Refusal::Critical)),
        (r#"{"alg":"ES256","kid":"p256","typ":"at+jwt","crit":[]}"#, Some(Refusal::Critical)),
        (r#"{"alg":"ES256","kid":"p256","typ":"at+jwt","b64":true}"#, None),
        (r#"{"alg":"ES256","kid":"p256","typ":"at+jwt","b64":false}"#, Some(Refusal::UnencodedPayload)),
        (r#"{"alg":"ES256","kid":"p256","typ":"at+jwt","b64":"true"}"#, Some(Refusal::UnencodedPayload)),
        (r#"{"alg":"ES256","kid":"p256","typ":"at+jwt","jku":"https://evil.example/","x5u":1}"#, None),
        // Keys
        (r#"{"alg":"ES256","typ":"at+jwt"}"#, None),
        (r#"{"alg":"ES256","kid":"P256","typ":"at+jwt"}"#, Some(Refusal::UnknownKey)),
        (r#"{"alg":"ES256","kid":"","typ":"at+jwt"}"#, Some(Refusal::UnknownKey)),
        (r#"{"alg":"ES256","kid":"rsa","typ":"at+jwt"}"#, Some(Refusal::AlgorithmNotOfKey)),
        (r#"{"alg":"ES256","kid":1,"typ":"at+jwt"}"#, Some(Refusal::Header)),
        // Algorithms
        (r#"{"alg":"ES384","kid":"p256","typ":"at+jwt"}"#, Some(Refusal::AlgorithmNotOfKey)),
        (r#"{"alg":"ES384","kid":"p384","typ":"at+jwt"}"#, Some(Refusal::Signature)),
        (r#"{"alg":"RS256","kid":"rsa","typ":"at+jwt"}"#, Some(Refusal::Signature)),
        (r#"{"alg":"none","kid":"p256","typ":"at+jwt"}"#, Some(Refusal::Unsigned)),
        (r#"{"alg":"nOnE","kid":"p256","typ":"at+jwt"}"#, Some(Refusal::Unsigned)),
        (r#"{"alg":"","kid":"p256","typ":"at+jwt"}"#, Some(Refusal::Unsigned)),
        (r#"{"kid":"p256","typ":"at+jwt"}"#, Some(Refusal::Unsigned)),
        (r#"{"alg":"HS256","kid":"p256","typ":"at+jwt"}"#, Some(Refusal::Hmac)),
        (r#"{"alg":"es256","kid":"p256","typ":"at+jwt"}"#, Some(Refusal::UnknownAlgorithm)),
        (r#"{"alg":"ES512","kid":"p256","typ":"at+jwt"}"#, Some(Refusal::UnknownAlgorithm)),
        (r#"{"alg":1,"kid":"p256","typ":"at+jwt"}"#, Some(Refusal::Header)),
        // JSON
        (r#"{"alg":"ES256","kid":"p256","typ":"at+jwt","typ":"at+jwt"}"#, Some(Refusal::Header)),
        (r#"{"alg":"ES256","kid":"p256","typ":"at+jwt","x":1,"x":1}"#, Some(Refusal::Header)),
        (r#"["ES256"]"#, Some(Refusal::Header)),
    ] {
        let token = issuer.signed(Algorithm::Es256, header, &claims);
        assert_eq!(verify(&token, &policy(), &keys).err(), expected, "{header}");
    }
}

#[test]
fn the_policy_decides_what_is_accepted() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let token = issuer.token(Algorithm::Es256, &claims());
    let untyped = issuer.signed(Algorithm::Es256, r#"{"alg":"ES256"}"#, &claims().to_string());
    let typed = MediaType::new;
    for (token, policy, expected) in [
        (
            &token,
            Policy { algorithms: vec![Algorithm::Rs256], ..policy() },
            Some(Refusal::AlgorithmNotAllowed),
        ),
        (&token, Policy { algorithms: Vec::new(), ..policy() }, Some(Refusal::AlgorithmNotAllowed)),
        (&token, Policy { audiences: Vec::new(), ..policy() }, Some(Refusal::Audience)),
        (&token, Policy { types: Vec::new(), ..policy() }, None),
        (&token, Policy { types: vec![typed("JWT"), typed("Application/AT+jwt")], ..policy() }, None),
        (&token, Policy { types: vec![typed("JWT")], ..policy() }, Some(Refusal::Type)),
        (&untyped, Policy { types: Vec::new(), ..policy() }, None),
        (&untyped, policy(), Some(Refusal::Type)),
        (&token, Policy { client_ids: vec!["x".into(), "app".into()], ..policy() }, None),
        (&token, Policy { client_ids: vec!["x".into()], ..policy() }, Some(Refusal::ClientId)),
        (&token, Policy { leeway: std::time::Duration::MAX, ..policy() }, None),
    ] {
        assert_eq!(verify(token, &policy, &keys).err(), expected, "{policy:?}");
    }
    let no_client = issuer.token(Algorithm::Es256, &with(json!({"client_id": null})));
    let some_clients = Policy { client_ids: vec!["app".into()], ..policy() };
    assert_eq!(verify(&no_client, &some_clients, &keys).err(), Some(Refusal::ClientId));
}

#[test]
fn an_unknown_key_is_told_from_a_wrong_signature_only_after_all_else_passed() {
    let issuer = Issuer::new();
    let unknown = r#"{"alg":"ES256","kid":"new","typ":"at+jwt"}"#;
    for (changes, expected) in [
        (json!({}), Refusal::UnknownKey),
        (json!({"exp": NOW - 60}), Refusal::Expired),
        (json!({"iss": "https://evil.example"}), Refusal::Issuer),
        (json!({"aud": "other"}), Refusal::Audience),
    ] {
        let token = issuer.signed(Algorithm::Es256, unknown, &with(changes).to_string());
        assert_eq!(verify(&token, &policy(), &issuer.keys()).err(), Some(expected));
    }
}

#[test]
fn keys_that_share_a_kid_are_all_tried_and_keys_without_kid_stand_in_for_an_unknown_one() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let key = |issuer: &Issuer, kid: Option<&str>| {
        let mut key = issuer.jwks()["keys"][1].clone();
        match kid {
            Some(kid) => key["kid"] = json!(kid),
            None => drop(key.as_object_mut().unwrap().remove("kid")),
        }
        key
    };
    let token = issuer.token(Algorithm::Es256, &claims());
    let no_kid = issuer.signed(Algorithm::Es256, r#"{"alg":"ES256","typ":"at+jwt"}"#, &claims().to_string());
    let own = |kid| key(&issuer, kid);
    let foreign = |kid| key(&other, kid);
    for (what, token, keys, expected) in [
        ("same kid twice", &token, vec![foreign(Some("p256")), own(Some("p256"))], None),
        ("right key, other kid", &token, vec![own(Some("x"))], Some(Refusal::UnknownKey)),
        ("right key, no kid", &token, vec![own(None)], None),
        ("wrong key, no kid", &token, vec![foreign(None)], Some(Refusal::UnknownKey)),
        (
            "kid is known, so only it",
            &token,
            vec![foreign(Some("p256")), own(None)],
            Some(Refusal::Signature),
        ),
        ("token without kid", &no_kid, vec![foreign(Some("x")), own(Some("y"))], None),
        ("token without kid, wrong keys", &no_kid, vec![foreign(Some("x"))], Some(Refusal::Signature)),
        ("the eighth key", &no_kid, [vec![foreign(None); 7], vec![own(None)]].concat(), None),
        (
            "the ninth",
            &no_kid,
            [vec![foreign(None); 8], vec![own(None)]].concat(),
            Some(Refusal::TooManyKeys),
        ),
    ] {
        let keys = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        assert_eq!(verify(token, &policy(), &keys).err(), expected, "{what}");
    }
}

#[test]
fn a_key_with_an_alg_of_its_own_serves_no_other() {
    let issuer = Issuer::new();
    let mut jwks = issuer.jwks();
    jwks["keys"][0]["alg"] = json!("PS256");
    let keys = KeySet::parse(jwks.to_string().as_bytes()).unwrap();
    for (algorithm, expected) in [
        (Algorithm::Ps256, None),
        (Algorithm::Rs256, Some(Refusal::AlgorithmNotOfKey)),
        (Algorithm::Ps384, Some(Refusal::AlgorithmNotOfKey)),
    ] {
        let token = issuer.token(algorithm, &claims());
        assert_eq!(verify(&token, &policy(), &keys).err(), expected, "{algorithm}");
    }
}

#[test]
fn sixteen_kibibytes_are_accepted_and_one_byte_more_is_not() {
    let issuer = Issuer::new();
    let size = |padding: usize| {
        let claims = with(json!({"padding": "x".repeat(padding)}));
        issuer.token(Algorithm::EdDsa, &claims)
    };
    let fits = (0..).find(|n| size(11_000 + n).len() > 16_384).unwrap() + 11_000 - 1;
    assert_eq!(verify(&size(fits), &policy(), &issuer.keys()).err(), None);
    assert_eq!(verify(&size(fits + 1), &policy(), &issuer.keys()).err(), Some(Refusal::TooLarge));
}

#[test]
fn refusals_and_tokens_print_nothing_of_the_token() {
    let issuer = Issuer::new();
    let token = issuer.token(Algorithm::EdDsa, &claims());
    let parsed = Token::parse(token.as_bytes()).unwrap();
    let printed = format!("{parsed:?}");
    let verified = parsed.verify(&policy(), &issuer.keys(), Backend::Portable, now()).unwrap();
    for text in [printed, format!("{verified:?}")] {
        assert!(!text.contains("user") && !text.contains(ISSUER), "{text}");
    }
    assert_eq!(header(Algorithm::EdDsa)["kid"], "ed25519");
}
