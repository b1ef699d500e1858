//! The examples of RFC 7515, RFC 7520 and RFC 8037: right as they stand, and wrong when changed.
//!
//! RFC 7515 appendices A.2 and A.3 are the vectors of the host's self-test, which `host::backends` runs.

use authgear_filter::jose::KeySet;
use authgear_filter::jose::{Algorithm, Refusal, Token};

use crate::host::backends;
use crate::issuer::{RSA_N, from_base64url, now, policy};

/// RFC 7520 section 3.3.
const BILBO_N: &str = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";

struct Vector {
    name: &'static str,
    algorithm: Algorithm,
    jwk: String,
    message: String,
    signature: &'static str,
}

fn vectors() -> Vec<Vector> {
    let bilbo = format!(r#"{{"kty":"RSA","use":"sig","n":"{BILBO_N}","e":"AQAB"}}"#);
    let bilbo_payload = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";
    let joe_payload =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    vec![
        Vector {
            name: "RFC 7515 A.2",
            algorithm: Algorithm::Rs256,
            jwk: format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB"}}"#),
            message: format!("eyJhbGciOiJSUzI1NiJ9.{joe_payload}"),
            signature: "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        },
        Vector {
            name: "RFC 7515 A.3",
            algorithm: Algorithm::Es256,
            jwk: r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#.to_owned(),
            message: format!("eyJhbGciOiJFUzI1NiJ9.{joe_payload}"),
            signature: "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        },
        Vector {
            name: "RFC 7520 4.1",
            algorithm: Algorithm::Rs256,
            jwk: bilbo.clone(),
            message: format!(
                "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{bilbo_payload}"
            ),
            signature: "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
        },
        Vector {
            name: "RFC 7520 4.2",
            algorithm: Algorithm::Ps384,
            jwk: bilbo,
            message: format!(
                "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{bilbo_payload}"
            ),
            signature: "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
        },
        Vector {
            name: "RFC 8037 A.4",
            algorithm: Algorithm::EdDsa,
            jwk: r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#.to_owned(),
            message: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            signature: "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        },
    ]
}

#[test]
fn the_examples_of_the_rfcs_verify_with_their_own_algorithm_only() {
    for vector in vectors() {
        let keys = KeySet::parse(format!(r#"{{"keys":[{}]}}"#, vector.jwk).as_bytes()).unwrap();
        let key = &keys.keys()[0];
        let signature = from_base64url(vector.signature);
        for (name, backend) in backends() {
            for algorithm in Algorithm::ALL {
                let verified = backend.verify(key, algorithm, vector.message.as_bytes(), &signature);
                assert_eq!(verified, algorithm == vector.algorithm, "{} as {algorithm}, {name}", vector.name);
            }
        }
    }
}

#[test]
fn the_examples_of_the_rfcs_are_refused_when_the_signature_is_changed_or_cut() {
    for vector in vectors() {
        let keys = KeySet::parse(format!(r#"{{"keys":[{}]}}"#, vector.jwk).as_bytes()).unwrap();
        let key = &keys.keys()[0];
        let right = from_base64url(vector.signature);
        let changed = (0..right.len()).step_by(7).map(|at| {
            let mut signature = right.clone();
            signature[at] ^= 0x10;
            signature
        });
        let resized = [
            &right[1..],
            &right[..right.len() - 1],
            &[],
            &[&[0], &right[..]].concat(),
            &[&right[..], &[0]].concat(),
        ]
        .map(<[u8]>::to_vec);
        for signature in changed.chain(resized) {
            for (name, backend) in backends() {
                let verified = backend.verify(key, vector.algorithm, vector.message.as_bytes(), &signature);
                assert!(!verified, "{}, {name}: {signature:02x?}", vector.name);
            }
        }
    }
}

#[test]
fn an_example_whose_payload_is_no_json_object_is_no_token() {
    for vector in vectors() {
        let token = format!("{}.{}", vector.message, vector.signature);
        let refusal = match Token::parse(token.as_bytes()) {
            Ok(token) => {
                let keys = KeySet::parse(format!(r#"{{"keys":[{}]}}"#, vector.jwk).as_bytes()).unwrap();
                let mut policy = policy();
                policy.types.clear();
                token.verify(&policy, &keys, backends()[0].1, now()).unwrap_err()
            }
            Err(refusal) => refusal,
        };
        let expected = if vector.name.starts_with("RFC 7515") { Refusal::Issuer } else { Refusal::Claims };
        assert_eq!(refusal, expected, "{}", vector.name);
    }
}
