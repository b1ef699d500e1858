//! The proxy's own signature check: Envoy's foreign function `verify_signature`, as pure functions.
//!
//! The edge calls [`argument`], makes the foreign call, and calls [`accepts`]. A [`ProxyVerify`] does all three.

use super::PublicKey;
use crate::jose::{Algorithm, KeySet, base64url};
use crate::protobuf;

/// Asks the proxy whether a signature is right, given the name of the hash, the public key as DER
/// `SubjectPublicKeyInfo`, the signature (for ECDSA as DER), and the signed bytes. Returns `None` if the proxy gives
/// no answer, as when it has no such function. Then the portable code decides.
pub type ProxyVerify = fn(hash: &str, spki_der: &[u8], signature: &[u8], message: &[u8]) -> Option<bool>;

/// The name of the foreign function.
pub const FUNCTION: &str = "verify_signature";

/// Encodes the function's argument, a protobuf message with the fields 1 = hash name, 2 = public key,
/// 3 = signature, 4 = signed bytes.
#[must_use]
pub fn argument(hash: &str, spki_der: &[u8], signature: &[u8], message: &[u8]) -> Vec<u8> {
    let fields = [hash.as_bytes(), spki_der, signature, message];
    // A tag and at most five bytes of length before each.
    let size = fields.iter().map(|bytes| bytes.len().saturating_add(6));
    let mut argument = Vec::with_capacity(size.fold(0, usize::saturating_add));
    for (field, bytes) in (1..).zip(fields) {
        protobuf::push_bytes(&mut argument, field, bytes);
    }
    argument
}

/// Returns whether the function's answer accepts the signature: field 1 = true, and nothing else.
#[must_use]
pub fn accepts(answer: &[u8]) -> bool {
    answer == [0x08, 0x01]
}

/// Asks the proxy. Returns `None` if it cannot check this algorithm or gave no answer.
pub(super) fn verify(
    proxy: ProxyVerify,
    key: &PublicKey,
    spki_der: &[u8],
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> Option<bool> {
    let hash = match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 => "sha256",
        Algorithm::Rs384 | Algorithm::Es384 => "sha384",
        Algorithm::Rs512 => "sha512",
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::EdDsa => return None,
    };
    // The proxy does not learn the algorithm.
    if !key.fits(algorithm) {
        return Some(false);
    }
    match key.signature_for_proxy(signature) {
        Some(signature) => proxy(hash, spki_der, &signature, message),
        None => Some(false),
    }
}

/// Returns whether the proxy's function is reliable: for RSA and for ECDSA it must accept a right signature, and
/// reject it both when altered and for another message.
pub(super) fn answers_right(proxy: ProxyVerify) -> bool {
    VECTORS.iter().all(|vector| vector.answered_right(proxy) == Some(true))
}

/// A key and something that it signed.
struct Vector {
    algorithm: Algorithm,
    jwks: &'static str,
    message: &'static str,
    signature: &'static str,
}

/// RFC 7515 appendices A.2 and A.3.
const VECTORS: [Vector; 2] = [
    Vector {
        algorithm: Algorithm::Rs256,
        jwks: concat!(
            r#"{"keys":[{"kty":"RSA","e":"AQAB","n":""#,
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz",
            "P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf6",
            "3kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Zw",
            "Kh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW",
            r#"yuXpoQ"}]}"#,
        ),
        message: concat!(
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt",
            "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        ),
        signature: concat!(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt",
            "_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArL",
            "IARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7no",
            "OPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ",
            "Ge77Rw",
        ),
    },
    Vector {
        algorithm: Algorithm::Es256,
        jwks: concat!(
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#,
            r#""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#,
        ),
        message: concat!(
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt",
            "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        ),
        signature: concat!(
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU",
            "1Q",
        ),
    },
];

impl Vector {
    fn answered_right(&self, proxy: ProxyVerify) -> Option<bool> {
        let keys = KeySet::parse(self.jwks.as_bytes()).ok()?;
        let key = keys.keys().first()?;
        let right = base64url(self.signature.as_bytes())?;
        let mut wrong = right.clone();
        *wrong.last_mut()? ^= 1;
        let (_, other_message) = self.message.split_once('.')?;
        let accepts = |message: &str, signature: &[u8]| {
            verify(proxy, key.public(), key.spki_der(), self.algorithm, message.as_bytes(), signature)
                == Some(true)
        };
        Some(
            accepts(self.message, &right)
                && !accepts(self.message, &wrong)
                && !accepts(other_message, &right),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Backend;

    #[test]
    fn the_argument_is_the_protobuf_that_envoy_reads() {
        let encoded = argument("sha256", &[1; 3], &[2; 200], b"m");
        let expected =
            [&[0x0a, 6][..], b"sha256", &[0x12, 3, 1, 1, 1, 0x1a, 0xc8, 0x01], &[2; 200], &[0x22, 1, b'm']];
        assert_eq!(encoded, expected.concat());
    }

    #[test]
    fn only_the_plain_yes_accepts() {
        for (answer, accepted) in [
            (&[0x08, 0x01][..], true),
            (&[], false),
            (&[0x08], false),
            (&[0x08, 0x00], false),
            (&[0x08, 0x02], false),
            (&[0x08, 0x01, 0x12, 0x00], false),
            (&[0x12, 0x03, b'b', b'a', b'd'], false),
        ] {
            assert_eq!(accepts(answer), accepted, "{answer:?}");
        }
    }

    #[test]
    fn a_proxy_that_says_yes_no_or_nothing_to_everything_is_not_relied_on() {
        let proxies: [ProxyVerify; 3] =
            [|_, _, _, _| Some(true), |_, _, _, _| Some(false), |_, _, _, _| None];
        for proxy in proxies {
            assert!(matches!(Backend::choose(Some(proxy)), Backend::Portable));
        }
        assert!(matches!(Backend::choose(None), Backend::Portable));
    }
}
