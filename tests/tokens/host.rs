//! Plays the host's `verify_signature`: reads the same protobuf argument, unwraps the key's DER, and
//! verifies with `ring`, which shares no code with the portable backend.

use authgear_filter::jose::{Backend, ProxyVerify, proxy_verify};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};

/// The host as the filter sees it.
pub(crate) const HOST: ProxyVerify = |hash, spki_der, signature, message| {
    let argument = proxy_verify::argument(hash, spki_der, signature, message);
    Some(proxy_verify::accepts(&verify_signature(&argument)))
};

/// Both backends, by name.
pub(crate) fn backends() -> [(&'static str, Backend); 2] {
    let host = Backend::choose(Some(HOST));
    assert!(matches!(host, Backend::Proxy(_)), "the self-test must accept a host that answers right");
    [("portable", Backend::Portable), ("host", host)]
}

/// What Envoy does with the argument, and what it answers.
fn verify_signature(argument: &[u8]) -> Vec<u8> {
    let [hash, key, signature, message] = protobuf_fields(argument);
    let (algorithm, key) = split_spki(key);
    let verification: &dyn VerificationAlgorithm = match (algorithm, hash) {
        (Spki::Rsa, b"sha256") => &RSA_PKCS1_2048_8192_SHA256,
        (Spki::Rsa, b"sha384") => &RSA_PKCS1_2048_8192_SHA384,
        (Spki::Rsa, b"sha512") => &RSA_PKCS1_2048_8192_SHA512,
        (Spki::P256, b"sha256") => &ECDSA_P256_SHA256_ASN1,
        (Spki::P384, b"sha384") => &ECDSA_P384_SHA384_ASN1,
        other => panic!("the host is asked for what it is not good for: {other:?}"),
    };
    match UnparsedPublicKey::new(verification, key).verify(message, signature) {
        Ok(()) => vec![0x08, 0x01],
        Err(_) => b"\x12\x15Failed to verify sig.".to_vec(),
    }
}

#[derive(Debug)]
enum Spki {
    Rsa,
    P256,
    P384,
}

/// The fields 1 to 4, each once and in order, and nothing else.
fn protobuf_fields(mut rest: &[u8]) -> [&[u8]; 4] {
    let fields = [1_u8, 2, 3, 4].map(|field| {
        assert_eq!(rest[0], field << 3 | 2);
        rest = &rest[1..];
        let mut length = 0;
        for shift in (0..).step_by(7) {
            let byte = rest[0];
            rest = &rest[1..];
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (value, after) = rest.split_at(length);
        rest = after;
        value
    });
    assert!(rest.is_empty());
    fields
}

/// `SubjectPublicKeyInfo`, read strictly, into the algorithm and the bits of the key.
fn split_spki(spki: &[u8]) -> (Spki, &[u8]) {
    let (algorithm_and_key, rest) = element(spki, 0x30);
    assert!(rest.is_empty());
    let (algorithm, bits) = element(algorithm_and_key, 0x30);
    let (bits, rest) = element(bits, 0x03);
    assert!(rest.is_empty());
    assert_eq!(bits[0], 0, "unused bits");
    let (oid, parameters) = element(algorithm, 0x06);
    let spki = match (oid, parameters) {
        // 1.2.840.113549.1.1.1, NULL
        (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", b"\x05\x00") => Spki::Rsa,
        // 1.2.840.10045.2.1, 1.2.840.10045.3.1.7 or 1.3.132.0.34
        (b"\x2a\x86\x48\xce\x3d\x02\x01", b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07") => Spki::P256,
        (b"\x2a\x86\x48\xce\x3d\x02\x01", b"\x06\x05\x2b\x81\x04\x00\x22") => Spki::P384,
        other => panic!("unknown key type {other:?}"),
    };
    (spki, &bits[1..])
}

/// The content of the first element, and what follows it.
fn element(der: &[u8], tag: u8) -> (&[u8], &[u8]) {
    assert_eq!(der[0], tag);
    let (length, header) = match der[1] {
        short if short < 0x80 => (usize::from(short), 2),
        long => {
            let digits = usize::from(long & 0x7f);
            let length = der[2..2 + digits].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            assert!(length >= 0x80 && der[2] != 0, "not the shortest length");
            (length, 2 + digits)
        }
    };
    der[header..].split_at(length)
}
