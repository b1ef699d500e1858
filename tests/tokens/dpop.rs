//! Proofs of possession: the examples of the RFCs, and each check of a proof.

use std::time::Duration;

use authgear_filter::http::{Field, Head, UnixTime};
use authgear_filter::jose::dpop::{
    PROOF_ALGORITHM_NAMES, PROOF_ALGORITHMS, Proof, ProofNumber, ProofRefusal, Thumbprint,
};
use authgear_filter::jose::{Algorithm, Backend, KeySet, Refusal, UnusableKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::issuer::{self, Issuer, base64url, kid};

fn thumbprint(jwk: &Value) -> Thumbprint {
    let set = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    set.keys()[0].thumbprint().unwrap()
}

#[test]
fn a_thumbprint_is_that_of_the_rfcs() {
    #[rustfmt::skip]
    let cases = [
        // RFC 7638 section 3.1.
        (json!({"kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}),
         "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        // RFC 8037 appendix A.3.
        (json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
         "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        // RFC 9449 section 6.1.
        (json!({"kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}),
         "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
    ];
    for (jwk, expected) in cases {
        assert_eq!(thumbprint(&jwk), Thumbprint::parse(expected).unwrap(), "{expected}");
    }
    for wrong in
        ["", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9X", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs="]
    {
        assert_eq!(Thumbprint::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_key_has_one_thumbprint_however_its_numbers_are_written() {
    let x = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs";
    let padded = base64url([&[0u8, 0], issuer::from_base64url(x).as_slice()].concat());
    let jwk = |x: &str| json!({"kty": "EC", "crv": "P-256", "x": x, "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"});
    for written in [x, &padded, &format!("{x}=")] {
        assert_eq!(thumbprint(&jwk(written)), thumbprint(&jwk(x)), "{written}");
    }
}

fn head<'a>(method: &'a str, host: &'a str, path: &'a str, fields: &'a [Field<'a>]) -> Head<'a> {
    Head {
        method: method.as_bytes(),
        scheme: b"https",
        authority: host.as_bytes(),
        path: path.as_bytes(),
        fields,
        client_address: &|| None,
    }
}

#[test]
fn the_example_of_the_rfc_is_a_proof() {
    // RFC 9449 section 7.1.
    const TOKEN: &[u8] = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const PROOF: &str = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0Rs",
        "cEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2",
        "In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90",
        "ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFF",
        "byJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA",
    );
    let fields = [(b"dpop".as_slice(), PROOF.as_bytes())];
    let head = head("GET", "resource.example.org", "/protectedresource", &fields);
    let proof = Proof::read(&head, TOKEN).unwrap();
    let key = Thumbprint::parse("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").unwrap();
    let leeway = Duration::from_secs(30);
    let check = |now| {
        let proof = proof.by(key, leeway, UnixTime::from_secs(now))?;
        proof.verify(Backend::Portable).map(|()| proof.end())
    };
    assert_eq!(check(1_562_262_618), Ok(UnixTime::from_secs(1_562_262_649)));
    for (now, is_good) in
        [(1_562_262_588, true), (1_562_262_587, false), (1_562_262_648, true), (1_562_262_649, false)]
    {
        assert_eq!(check(now).is_ok(), is_good, "{now}");
    }
    assert_eq!(Proof::read(&head, b"another token").unwrap_err(), ProofRefusal::Token);
}

const TOKEN: &str = "the.access.token";

/// The key of a client that signs with an algorithm.
fn jwk(client: &Issuer, algorithm: Algorithm) -> Value {
    let jwks = client.jwks();
    let mut keys = jwks["keys"].as_array().unwrap().iter();
    keys.find(|jwk| jwk["kid"] == kid(algorithm)).unwrap().clone()
}

fn proof(client: &Issuer, algorithm: Algorithm, change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let mut header = json!({"typ": "dpop+jwt", "alg": algorithm.name(), "jwk": jwk(client, algorithm)});
    let mut claims = json!({
        "htm": "POST", "htu": "https://app.example/orders", "iat": issuer::NOW, "jti": "1",
        "ath": base64url(Sha256::digest(TOKEN)),
    });
    change(&mut header, &mut claims);
    client.signed(algorithm, &header.to_string(), &claims.to_string())
}

fn read(values: &[&str]) -> Result<Proof, ProofRefusal> {
    let fields: Vec<Field<'_>> = values.iter().map(|value| (b"dpop".as_slice(), value.as_bytes())).collect();
    Proof::read(&head("POST", "app.example", "/orders?x=y", &fields), TOKEN.as_bytes())
}

/// Everything that is checked of a proof by a client's key.
fn proven(values: &[&str], client: &Issuer, algorithm: Algorithm) -> Result<ProofNumber, ProofRefusal> {
    let proof = read(values)?;
    let key = thumbprint(&jwk(client, algorithm));
    let proof = proof.by(key, Duration::from_secs(30), issuer::now())?;
    proof.verify(Backend::Portable).map(|()| proof.number())
}

#[test]
fn every_asymmetric_algorithm_that_is_told_makes_proofs_and_no_other() {
    let client = Issuer::new();
    let mut told = Vec::new();
    for algorithm in Algorithm::ALL {
        let expected = PROOF_ALGORITHMS.contains(&algorithm);
        let made = proof(&client, algorithm, |_, _| {});
        let found = proven(&[&made], &client, algorithm);
        assert_eq!(found.is_ok(), expected, "{algorithm}: {found:?}");
        if found.is_ok() {
            let other = proven(&[&made], &Issuer::new(), Algorithm::EdDsa);
            assert_eq!(other, Err(ProofRefusal::OtherKey), "{algorithm}");
            told.push(algorithm.name());
        } else {
            assert_eq!(found, Err(ProofRefusal::Algorithm));
        }
    }
    told.sort_unstable();
    let mut names: Vec<_> = PROOF_ALGORITHM_NAMES.split(' ').collect();
    names.sort_unstable();
    assert_eq!(told, names);
}

#[test]
fn each_part_of_a_proof_is_checked() {
    type Change = fn(&mut Value, &mut Value);
    #[rustfmt::skip]
    let cases: &[(&str, Change, Result<(), ProofRefusal>)] = &[
        ("nothing", |_, _| {}, Ok(())),
        ("a full typ", |header, _| header["typ"] = json!("application/dpop+jwt"), Ok(())),
        ("more claims", |_, claims| claims["nonce"] = json!("n"), Ok(())),
        ("another typ", |header, _| header["typ"] = json!("JWT"), Err(ProofRefusal::Type)),
        ("an access token's typ", |header, _| header["typ"] = json!("at+jwt"), Err(ProofRefusal::Type)),
        ("no typ", |header, _| drop(header.as_object_mut().unwrap().remove("typ")), Err(ProofRefusal::Type)),
        ("crit", |header, _| header["crit"] = json!(["x"]), Err(ProofRefusal::Malformed(Refusal::Critical))),
        ("alg none", |header, _| header["alg"] = json!("none"), Err(ProofRefusal::Malformed(Refusal::Unsigned))),
        ("alg HS256", |header, _| header["alg"] = json!("HS256"), Err(ProofRefusal::Malformed(Refusal::Hmac))),
        ("another alg", |header, _| header["alg"] = json!("ES384"), Err(ProofRefusal::Signature)),
        ("no jwk", |header, _| drop(header.as_object_mut().unwrap().remove("jwk")), Err(ProofRefusal::NoKey)),
        ("a jwk that is no object", |header, _| header["jwk"] = json!("key"), Err(ProofRefusal::NoKey)),
        ("a private jwk", |header, _| header["jwk"]["d"] = json!("AQAB"), Err(ProofRefusal::Key(UnusableKey::Private))),
        ("a symmetric jwk", |header, _| header["jwk"] = json!({"kty": "oct", "k": "AQAB"}), Err(ProofRefusal::Key(UnusableKey::Symmetric))),
        ("a jwk to encrypt with", |header, _| header["jwk"]["use"] = json!("enc"), Err(ProofRefusal::Key(UnusableKey::NotForSignatures))),
        ("no point", |header, _| header["jwk"]["y"] = json!("AQAB"), Err(ProofRefusal::Key(UnusableKey::Point))),
        ("another method", |_, claims| claims["htm"] = json!("GET"), Err(ProofRefusal::Method)),
        ("a method in lower case", |_, claims| claims["htm"] = json!("post"), Err(ProofRefusal::Method)),
        ("no method", |_, claims| drop(claims.as_object_mut().unwrap().remove("htm")), Err(ProofRefusal::Method)),
        ("another host", |_, claims| claims["htu"] = json!("https://other.example/orders"), Err(ProofRefusal::Url)),
        ("another port", |_, claims| claims["htu"] = json!("https://app.example:8443/orders"), Err(ProofRefusal::Url)),
        ("another scheme", |_, claims| claims["htu"] = json!("http://app.example/orders"), Err(ProofRefusal::Url)),
        ("another path", |_, claims| claims["htu"] = json!("https://app.example/orders/1"), Err(ProofRefusal::Url)),
        ("a path alone", |_, claims| claims["htu"] = json!("/orders"), Err(ProofRefusal::Url)),
        ("no url", |_, claims| claims["htu"] = json!(null), Err(ProofRefusal::Url)),
        ("another spelling", |_, claims| claims["htu"] = json!("HTTPS://App.Example:443/./%6frders?q#f"), Ok(())),
        ("another token", |_, claims| claims["ath"] = json!(base64url(Sha256::digest("other"))), Err(ProofRefusal::Token)),
        ("a hash that is cut", |_, claims| claims["ath"] = json!(base64url(&Sha256::digest(TOKEN)[..31])), Err(ProofRefusal::Token)),
        ("no hash", |_, claims| drop(claims.as_object_mut().unwrap().remove("ath")), Err(ProofRefusal::Token)),
        ("no jti", |_, claims| drop(claims.as_object_mut().unwrap().remove("jti")), Err(ProofRefusal::NoNumber)),
        ("an empty jti", |_, claims| claims["jti"] = json!(""), Err(ProofRefusal::NoNumber)),
        ("a jti that is a number", |_, claims| claims["jti"] = json!(1), Err(ProofRefusal::NoNumber)),
        ("no iat", |_, claims| drop(claims.as_object_mut().unwrap().remove("iat")), Err(ProofRefusal::NoTime)),
        ("an iat before 1970", |_, claims| claims["iat"] = json!(-5), Err(ProofRefusal::NoTime)),
        ("an iat that is a text", |_, claims| claims["iat"] = json!("now"), Err(ProofRefusal::Malformed(Refusal::Claim("iat")))),
    ];
    let client = Issuer::new();
    for (what, change, expected) in cases {
        let made = proof(&client, Algorithm::Es256, change);
        assert_eq!(proven(&[&made], &client, Algorithm::Es256).map(|_number| ()), *expected, "{what}");
    }
    let good = proof(&client, Algorithm::Es256, |_, _| {});
    let others =
        proof(&Issuer::new(), Algorithm::Es256, |header, _| header["jwk"] = jwk(&client, Algorithm::Es256));
    let refusal = proven(&[&others], &client, Algorithm::Es256).unwrap_err();
    assert_eq!(refusal, ProofRefusal::Signature, "the key of somebody else");
    assert_eq!(read(&[]).unwrap_err(), ProofRefusal::NotOne);
    assert_eq!(read(&[&good, &good]).unwrap_err(), ProofRefusal::NotOne);
    assert_eq!(read(&[&good, ""]).unwrap_err(), ProofRefusal::NotOne);
    for joined in [format!("{good},{good}"), format!("{good}, "), String::new(), "a.b.c".to_owned()] {
        assert!(matches!(read(&[&joined]), Err(ProofRefusal::Malformed(_))), "{joined}");
    }
}

#[test]
fn proofs_are_told_apart_by_their_key_and_their_jti() {
    let (one, other) = (Issuer::new(), Issuer::new());
    let number = |client: &Issuer, jti: &str, iat: u64| {
        let change = |_: &mut Value, claims: &mut Value| {
            (claims["jti"], claims["iat"]) = (json!(jti), json!(iat));
        };
        proven(&[&proof(client, Algorithm::Es256, change)], client, Algorithm::Es256).unwrap()
    };
    let now = issuer::NOW;
    assert_eq!(number(&one, "a", now), number(&one, "a", now - 1), "whatever else it says");
    assert_ne!(number(&one, "a", now), number(&one, "b", now));
    assert_ne!(number(&one, "a", now), number(&other, "a", now), "nobody can use up the numbers of others");
}
