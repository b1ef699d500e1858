//! Public keys, prepared once: their form for the proxy, and the portable check of their signatures.

use ed25519_dalek::Signature as Ed25519Signature;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, OctetKeyPairParameters, RSAKeyParameters,
};
use p256::ecdsa::Signature as P256Signature;
use p256::ecdsa::signature::Verifier;
use p256::elliptic_curve::point::AffineCoordinates;
use p384::ecdsa::Signature as P384Signature;
use rsa::pkcs8::EncodePublicKey;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Pkcs1v15Sign, Pss};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::jose::{Algorithm, UnusableKey, base64url};

/// The accepted sizes of an RSA modulus, in bits. A smaller one can be factored now or soon (RFC 7518 section 3.3). A
/// larger one makes verification too expensive.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key, ready to verify.
pub(crate) enum PublicKey {
    Rsa(rsa::PublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl PublicKey {
    /// Builds a key from its numbers. Coordinates have the length of their curve.
    pub(crate) fn new(parameters: &AlgorithmParameters) -> Result<Self, UnusableKey> {
        let number = |text: &String| base64url(text).ok_or(UnusableKey::Base64);
        match parameters {
            AlgorithmParameters::RSA(RSAKeyParameters { n, e, .. }) => Self::rsa(&number(n)?, &number(e)?),
            AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters { curve, x, y, .. }) => {
                let (x, y) = (number(x)?, number(y)?);
                match curve {
                    EllipticCurve::P256 => Self::p256(&x, &y),
                    EllipticCurve::P384 => Self::p384(&x, &y),
                    EllipticCurve::P521 | EllipticCurve::Ed25519 | _ => Err(UnusableKey::UnknownType),
                }
            }
            AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters { curve, x, .. })
                if *curve == EllipticCurve::Ed25519 =>
            {
                Self::ed25519(&number(x)?)
            }
            AlgorithmParameters::OctetKeyPair(_)
            | AlgorithmParameters::OctetKey(_)
            | AlgorithmParameters::Other(_)
            | _ => Err(UnusableKey::UnknownType),
        }
    }

    /// Builds an RSA key from a big-endian modulus and exponent. The exponent is odd, from 3 to 2^33 - 1.
    fn rsa(n: &[u8], e: &[u8]) -> Result<Self, UnusableKey> {
        let number = |bytes: &[u8]| {
            let bits = u32::try_from(bytes.len().saturating_mul(8)).ok()?;
            BoxedUint::from_be_slice(bytes, bits).ok()
        };
        let (Some(n), Some(e)) = (number(n), number(e)) else { return Err(UnusableKey::RsaNumbers) };
        match rsa::PublicKey::new_with_size_limits(n, e, RSA_BITS) {
            Ok(key) => Ok(Self::Rsa(key)),
            Err(rsa::Error::ModulusTooSmall) => Err(UnusableKey::RsaTooSmall),
            Err(rsa::Error::ModulusTooLarge) => Err(UnusableKey::RsaTooLarge),
            Err(_) => Err(UnusableKey::RsaNumbers),
        }
    }

    /// Builds a P-256 key from both coordinates. An encoded point would add code for square roots, which compressed
    /// points need.
    fn p256(x: &[u8], y: &[u8]) -> Result<Self, UnusableKey> {
        let (x, y): ([u8; 32], [u8; 32]) = (coordinate(x)?, coordinate(y)?);
        p256::AffinePoint::from_coordinates(&x.into(), &y.into())
            .into_option()
            .and_then(|point| p256::ecdsa::VerifyingKey::from_affine(point).ok())
            .map(Self::P256)
            .ok_or(UnusableKey::Point)
    }

    /// Builds a P-384 key.
    fn p384(x: &[u8], y: &[u8]) -> Result<Self, UnusableKey> {
        let (x, y): ([u8; 48], [u8; 48]) = (coordinate(x)?, coordinate(y)?);
        p384::AffinePoint::from_coordinates(&x.into(), &y.into())
            .into_option()
            .and_then(|point| p384::ecdsa::VerifyingKey::from_affine(point).ok())
            .map(Self::P384)
            .ok_or(UnusableKey::Point)
    }

    /// Builds an Ed25519 key. Refuses points of small order.
    fn ed25519(point: &[u8]) -> Result<Self, UnusableKey> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(&coordinate(point)?).map_err(|_| UnusableKey::Point)?;
        if key.is_weak() { Err(UnusableKey::Point) } else { Ok(Self::Ed25519(key)) }
    }

    /// Returns the key as DER `SubjectPublicKeyInfo`.
    pub(crate) fn spki_der(&self) -> Option<Vec<u8>> {
        let document = match self {
            Self::Rsa(key) => key.to_public_key_der(),
            Self::P256(key) => key.to_public_key_der(),
            Self::P384(key) => key.to_public_key_der(),
            Self::Ed25519(key) => key.to_public_key_der(),
        };
        document.ok().map(|document| document.into_vec())
    }

    /// Returns whether keys of this type make signatures of this algorithm.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => matches!(self, Self::Rsa(_)),
            Algorithm::Es256 => matches!(self, Self::P256(_)),
            Algorithm::Es384 => matches!(self, Self::P384(_)),
            Algorithm::EdDsa => matches!(self, Self::Ed25519(_)),
        }
    }

    /// Returns the signature as the proxy expects it: ECDSA signatures in DER (RFC 3279 section 2.2.3). Returns
    /// `None` for a signature that no key of this type makes, because the proxy does not check the length.
    pub(super) fn signature_for_proxy(&self, signature: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => (signature.len() == key.size()).then(|| signature.to_vec()),
            Self::P256(_) => Some(P256Signature::from_slice(signature).ok()?.to_der().as_bytes().to_vec()),
            Self::P384(_) => Some(P384Signature::from_slice(signature).ok()?.to_der().as_bytes().to_vec()),
            Self::Ed25519(_) => None,
        }
    }

    /// Returns whether `signature` is the signature of `message`. If the key is of another algorithm, no signature is
    /// accepted.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => rsa_verifies(key, algorithm, message, signature),
            // `from_slice` accepts only r‖s, neither of them zero nor beyond the group's order.
            Self::P256(key) => {
                algorithm == Algorithm::Es256
                    && P256Signature::from_slice(signature)
                        .is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            Self::P384(key) => {
                algorithm == Algorithm::Es384
                    && P384Signature::from_slice(signature)
                        .is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            // Strict: no point of small order, and s below the group's order (RFC 8032 section 5.1.7).
            Self::Ed25519(key) => {
                algorithm == Algorithm::EdDsa
                    && Ed25519Signature::from_slice(signature)
                        .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
        }
    }
}

fn rsa_verifies(key: &rsa::PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    // The salt of PSS is as long as the hash (RFC 7518 section 3.5).
    let result = match algorithm {
        Algorithm::Rs256 => key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature),
        Algorithm::Rs384 => key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature),
        Algorithm::Rs512 => key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message), signature),
        Algorithm::Ps256 => key.verify(Pss::<Sha256>::new(), &Sha256::digest(message), signature),
        Algorithm::Ps384 => key.verify(Pss::<Sha384>::new(), &Sha384::digest(message), signature),
        Algorithm::Ps512 => key.verify(Pss::<Sha512>::new(), &Sha512::digest(message), signature),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return false,
    };
    result.is_ok()
}

fn coordinate<const LENGTH: usize>(number: &[u8]) -> Result<[u8; LENGTH], UnusableKey> {
    number.try_into().map_err(|_| UnusableKey::Point)
}
