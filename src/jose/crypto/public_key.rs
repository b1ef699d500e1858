//! Public keys, prepared once: what the proxy is told of them, and the portable check of their signatures.

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

/// The sizes of RSA modulus that are accepted, in bits. Below, it can be factored or soon will be
/// (RFC 7518 section 3.3); above, a verification costs too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key, ready to verify.
pub(crate) enum PublicKey {
    Rsa(rsa::PublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl PublicKey {
    /// The key of these numbers. Coordinates have the length of their curve.
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

    /// An RSA key of a modulus and an exponent, big-endian. The exponent is odd, from 3 to 2^33 - 1.
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

    /// A point on P-256. From both coordinates, not from an encoded point: that would bring square roots, for
    /// compressed ones.
    fn p256(x: &[u8], y: &[u8]) -> Result<Self, UnusableKey> {
        let (x, y): ([u8; 32], [u8; 32]) = (coordinate(x)?, coordinate(y)?);
        p256::AffinePoint::from_coordinates(&x.into(), &y.into())
            .into_option()
            .and_then(|point| p256::ecdsa::VerifyingKey::from_affine(point).ok())
            .map(Self::P256)
            .ok_or(UnusableKey::Point)
    }

    /// A point on P-384.
    fn p384(x: &[u8], y: &[u8]) -> Result<Self, UnusableKey> {
        let (x, y): ([u8; 48], [u8; 48]) = (coordinate(x)?, coordinate(y)?);
        p384::AffinePoint::from_coordinates(&x.into(), &y.into())
            .into_option()
            .and_then(|point| p384::ecdsa::VerifyingKey::from_affine(point).ok())
            .map(Self::P384)
            .ok_or(UnusableKey::Point)
    }

    /// A point on Ed25519 that is not of small order.
    fn ed25519(point: &[u8]) -> Result<Self, UnusableKey> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(&coordinate(point)?).map_err(|_| UnusableKey::Point)?;
        if key.is_weak() { Err(UnusableKey::Point) } else { Ok(Self::Ed25519(key)) }
    }

    /// The key as DER `SubjectPublicKeyInfo`.
    pub(crate) fn spki_der(&self) -> Option<Vec<u8>> {
        let document = match self {
            Self::Rsa(key) => key.to_public_key_der(),
            Self::P256(key) => key.to_public_key_der(),
            Self::P384(key) => key.to_public_key_der(),
            Self::Ed25519(key) => key.to_public_key_der(),
        };
        document.ok().map(|document| document.into_vec())
    }

    /// Whether signatures of this algorithm are made with keys of this type.
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

    /// The signature as the proxy wants it: in DER where it is of ECDSA (RFC 3279 section 2.2.3). `None` for one
    /// that no key of this type makes: the proxy does not hear of the right length.
    pub(super) fn signature_for_proxy(&self, signature: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => (signature.len() == key.size()).then(|| signature.to_vec()),
            Self::P256(_) => Some(P256Signature::from_slice(signature).ok()?.to_der().as_bytes().to_vec()),
            Self::P384(_) => Some(P384Signature::from_slice(signature).ok()?.to_der().as_bytes().to_vec()),
            Self::Ed25519(_) => None,
        }
    }

    /// Whether `signature` is that of `message`. Where the algorithm is not one of this key, no signature is right.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => rsa_verifies(key, algorithm, message, signature),
            // `from_slice` wants exactly r‖s, neither of them zero or beyond the group's order.
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
