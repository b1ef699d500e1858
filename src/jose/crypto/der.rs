//! The little of DER that is written here: public keys for the host, and ECDSA signatures.
//!
//! Only writing: nothing that a client or a server sent is read as DER.

/// `AlgorithmIdentifier` of an RSA key: rsaEncryption with NULL (RFC 3279 section 2.3.1).
const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// `AlgorithmIdentifier` of a P-256 key: ecPublicKey, prime256v1 (RFC 5480 section 2.1.1).
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
/// `AlgorithmIdentifier` of a P-384 key: ecPublicKey, secp384r1.
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22,
];
/// `AlgorithmIdentifier` of an Ed25519 key (RFC 8410 section 3).
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// `SubjectPublicKeyInfo` of an RSA key; `n` and `e` are big-endian.
pub(crate) fn rsa_public_key(n: &[u8], e: &[u8]) -> Vec<u8> {
    let numbers = [integer(n), integer(e)].concat();
    public_key(RSA, &tagged(SEQUENCE, &numbers))
}

/// `SubjectPublicKeyInfo` of a P-256 key; `point` is uncompressed (SEC 1 section 2.3.3).
pub(crate) fn p256_public_key(point: &[u8]) -> Vec<u8> {
    public_key(P256, point)
}

/// `SubjectPublicKeyInfo` of a P-384 key; `point` is uncompressed.
pub(crate) fn p384_public_key(point: &[u8]) -> Vec<u8> {
    public_key(P384, point)
}

/// `SubjectPublicKeyInfo` of an Ed25519 key.
pub(crate) fn ed25519_public_key(point: &[u8]) -> Vec<u8> {
    public_key(ED25519, point)
}

/// An ECDSA signature as `ECDSA-Sig-Value` (RFC 3279 section 2.2.3), from the r‖s that JWS has (RFC 7518
/// section 3.4), whose halves are of equal length.
pub(crate) fn ecdsa_signature(r_and_s: &[u8]) -> Vec<u8> {
    let (r, s) = r_and_s.split_at(r_and_s.len() / 2);
    tagged(SEQUENCE, &[integer(r), integer(s)].concat())
}

fn public_key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = [&[0], key].concat();
    tagged(SEQUENCE, &[algorithm, &tagged(BIT_STRING, &bits)].concat())
}

/// An unsigned big-endian number, written as short as DER wants it.
fn integer(big_endian: &[u8]) -> Vec<u8> {
    let start = big_endian.iter().position(|byte| *byte != 0);
    let digits = start.and_then(|start| big_endian.get(start..)).unwrap_or(&[]);
    match digits.first() {
        // The first bit is the sign.
        Some(first) if *first < 0x80 => tagged(INTEGER, digits),
        Some(_) | None => tagged(INTEGER, &[&[0], digits].concat()),
    }
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let start = length.iter().position(|byte| *byte != 0);
    let length = start.and_then(|start| length.get(start..)).unwrap_or(&[0]);
    let short = matches!(length, [one] if *one < 0x80);
    // At most eight bytes of length, so that the cast cannot fail.
    let form = 0x80 | u8::try_from(length.len()).unwrap_or(0x7f);
    let prefix: &[u8] = if short { &[tag] } else { &[tag, form] };
    [prefix, length, content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_minimal_and_never_negative() {
        for (number, der) in [
            (&[0x00, 0x00][..], &[0x02, 0x01, 0x00][..]),
            (&[], &[0x02, 0x01, 0x00]),
            (&[0x7f], &[0x02, 0x01, 0x7f]),
            (&[0x80], &[0x02, 0x02, 0x00, 0x80]),
            (&[0x00, 0x00, 0x01, 0x00], &[0x02, 0x02, 0x01, 0x00]),
        ] {
            assert_eq!(integer(number), der, "{number:?}");
        }
    }

    #[test]
    fn lengths_take_the_short_form_below_128() {
        for (length, prefix) in [
            (0, &[0x30, 0x00][..]),
            (127, &[0x30, 0x7f]),
            (128, &[0x30, 0x81, 0x80]),
            (256, &[0x30, 0x82, 0x01, 0x00]),
        ] {
            let der = tagged(SEQUENCE, &vec![0; length]);
            assert_eq!(der[..prefix.len()], *prefix);
            assert_eq!(der.len(), prefix.len() + length);
        }
    }
}
