//! One key: from a JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) to what can verify.
//!
//! All that is expensive or can fail happens here, once per key, so that verifying does neither.

use std::fmt;

use p256::elliptic_curve::point::AffineCoordinates;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::members::{Members, value};
use crate::jose::{self, Algorithm, RsaKey};

/// The sizes of RSA modulus that are accepted, in bits. Below, it can be factored or soon will be
/// (RFC 7518 section 3.3); above, a verification costs too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Members that only a private or symmetric key has (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key that can verify signatures.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    public: PublicKey,
    spki_der: Box<[u8]>,
    signature_bytes: usize,
    id: KeyId,
}

/// Which key it is, whatever its `kid`: the SHA-256 of its `SubjectPublicKeyInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 32]);

/// A key, ready to verify.
#[derive(Clone)]
pub(crate) enum PublicKey {
    Rsa(RsaKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// Why a key of a set is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It is not an object with distinct members.
    NotAnObject,
    /// A member that is needed is absent, or one that is looked at has the wrong type; it is named.
    Member(&'static str),
    /// `use` is not `sig`, or `key_ops` does not hold `verify`.
    NotForSignatures,
    /// `kty` `oct`: whoever can verify with it can sign.
    Symmetric,
    /// It holds the private key, which therefore is public.
    Private,
    /// `kty` or `crv` is unknown.
    UnknownType,
    /// `alg` is unknown, or does not go with the type of key.
    Algorithm,
    /// A number is not strict base64url.
    Base64,
    /// An RSA modulus of fewer than 2048 bits.
    RsaTooSmall,
    /// An RSA modulus of more than 8192 bits.
    RsaTooLarge,
    /// An RSA modulus or exponent that no RSA key has.
    RsaNumbers,
    /// Coordinates of the wrong length, or of no point on the curve, or of a weak one.
    Point,
}

impl Key {
    /// `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Which key it is.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether it may verify signatures of this algorithm: its type fits, and so does its own `alg`, if
    /// it has one.
    #[must_use]
    pub fn serves(&self, algorithm: Algorithm) -> bool {
        self.public.fits(algorithm) && self.algorithm.is_none_or(|only| only == algorithm)
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key as DER `SubjectPublicKeyInfo`.
    pub(crate) fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The length of every signature by this key, in bytes.
    pub(crate) const fn signature_bytes(&self) -> usize {
        self.signature_bytes
    }

    pub(super) fn parse(jwk: &Members) -> Result<Self, Unusable> {
        let kty = required(jwk, "kty")?;
        if kty == "oct" {
            return Err(Unusable::Symmetric);
        }
        if PRIVATE_MEMBERS.iter().any(|name| member(jwk, name).is_some()) {
            return Err(Unusable::Private);
        }
        let is_for_signatures = optional::<String>(jwk, "use")?.is_none_or(|usage| usage == "sig");
        let may_verify = optional::<Vec<String>>(jwk, "key_ops")?
            .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !is_for_signatures || !may_verify {
            return Err(Unusable::NotForSignatures);
        }
        let (public, spki_der) = match kty.as_str() {
            "RSA" => rsa(&number(jwk, "n")?, &number(jwk, "e")?)?,
            "EC" => ec(&required(jwk, "crv")?, &number(jwk, "x")?, &number(jwk, "y")?)?,
            "OKP" => okp(&required(jwk, "crv")?, &number(jwk, "x")?)?,
            _ => return Err(Unusable::UnknownType),
        };
        let algorithm: Option<Algorithm> = match optional::<String>(jwk, "alg")? {
            Some(name) => Some(name.parse().map_err(|_| Unusable::Algorithm)?),
            None => None,
        };
        if algorithm.is_some_and(|algorithm| !public.fits(algorithm)) {
            return Err(Unusable::Algorithm);
        }
        Ok(Self {
            kid: optional(jwk, "kid")?,
            algorithm,
            signature_bytes: public.signature_bytes(),
            public,
            id: KeyId(Sha256::digest(&spki_der).into()),
            spki_der: spki_der.into(),
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Whether signatures of this algorithm are made with keys of this type.
    fn fits(&self, algorithm: Algorithm) -> bool {
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

    /// The length of every signature by this key, in bytes. Of RSA it is counted out bit by bit, which was 6 %
    /// of the instructions that a new token took.
    fn signature_bytes(&self) -> usize {
        match self {
            Self::Rsa(key) => key.size(),
            Self::P256(_) | Self::Ed25519(_) => 64,
            Self::P384(_) => 96,
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Member(name) => return write!(f, "\"{name}\" is absent or has the wrong type"),
            Self::NotAnObject => "not an object with distinct members",
            Self::NotForSignatures => "not for verifying signatures (\"use\" or \"key_ops\")",
            Self::Symmetric => "symmetric keys are not accepted",
            Self::Private => "holds a private key, which anyone who reads the set can sign with",
            Self::UnknownType => "unknown \"kty\" or \"crv\"",
            Self::Algorithm => "\"alg\" is not supported, or not one of this type of key",
            Self::Base64 => "a number is not base64url without padding",
            Self::RsaTooSmall => "RSA key of fewer than 2048 bits",
            Self::RsaTooLarge => "RSA key of more than 8192 bits",
            Self::RsaNumbers => "not an RSA key: modulus or exponent out of range",
            Self::Point => "not a usable point on the curve",
        };
        f.write_str(text)
    }
}

/// A member of a key; some servers write those that they do not have as `null`.
fn member<'k>(jwk: &'k Members, name: &str) -> Option<&'k str> {
    jwk.get(name).filter(|json| *json != "null")
}

fn optional<T: DeserializeOwned>(jwk: &Members, name: &'static str) -> Result<Option<T>, Unusable> {
    member(jwk, name).map(|json| value(json).ok_or(Unusable::Member(name))).transpose()
}

fn required(jwk: &Members, name: &'static str) -> Result<String, Unusable> {
    optional(jwk, name)?.ok_or(Unusable::Member(name))
}

/// A number or a point. Some servers pad base64url, against RFC 7515 section 2.
fn number(jwk: &Members, name: &'static str) -> Result<Vec<u8>, Unusable> {
    jose::base64url(required(jwk, name)?.trim_end_matches('=')).ok_or(Unusable::Base64)
}

fn rsa(n: &[u8], e: &[u8]) -> Result<(PublicKey, Vec<u8>), Unusable> {
    // Some issuers write the modulus with a leading zero byte, against RFC 7518 section 6.3.1.1.
    let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
    let bits = match n.first() {
        Some(first) => {
            n.len().saturating_mul(8).saturating_sub(usize::try_from(first.leading_zeros()).unwrap_or(0))
        }
        None => 0,
    };
    if bits < *RSA_BITS.start() {
        return Err(Unusable::RsaTooSmall);
    }
    if bits > *RSA_BITS.end() {
        return Err(Unusable::RsaTooLarge);
    }
    let key = RsaKey::new(n, e).ok_or(Unusable::RsaNumbers)?;
    Ok((PublicKey::Rsa(key), jose::rsa_public_key(n, e)))
}

fn ec(curve: &str, x: &[u8], y: &[u8]) -> Result<(PublicKey, Vec<u8>), Unusable> {
    // From both coordinates, not from an encoded point: that would bring square roots, for compressed ones.
    match curve {
        "P-256" => {
            let (x, y) = (coordinate::<32>(x)?, coordinate::<32>(y)?);
            let key = p256::AffinePoint::from_coordinates(&x.into(), &y.into())
                .into_option()
                .and_then(|point| p256::ecdsa::VerifyingKey::from_affine(point).ok())
                .ok_or(Unusable::Point)?;
            Ok((PublicKey::P256(key), jose::p256_public_key(&[&[4], &x[..], &y].concat())))
        }
        "P-384" => {
            let (x, y) = (coordinate::<48>(x)?, coordinate::<48>(y)?);
            let key = p384::AffinePoint::from_coordinates(&x.into(), &y.into())
                .into_option()
                .and_then(|point| p384::ecdsa::VerifyingKey::from_affine(point).ok())
                .ok_or(Unusable::Point)?;
            Ok((PublicKey::P384(key), jose::p384_public_key(&[&[4], &x[..], &y].concat())))
        }
        _ => Err(Unusable::UnknownType),
    }
}

/// A coordinate in the curve's own length, which some servers cut by its leading zeros (against RFC 7518
/// section 6.2.1.2).
fn coordinate<const LENGTH: usize>(number: &[u8]) -> Result<[u8; LENGTH], Unusable> {
    let number = without_leading_zeros(number);
    let mut coordinate = [0; LENGTH];
    let start = LENGTH.checked_sub(number.len()).ok_or(Unusable::Point)?;
    coordinate.get_mut(start..).ok_or(Unusable::Point)?.copy_from_slice(number);
    Ok(coordinate)
}

fn okp(curve: &str, x: &[u8]) -> Result<(PublicKey, Vec<u8>), Unusable> {
    if curve != "Ed25519" {
        return Err(Unusable::UnknownType);
    }
    let point = x.try_into().map_err(|_| Unusable::Point)?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_| Unusable::Point)?;
    if key.is_weak() {
        return Err(Unusable::Point);
    }
    Ok((PublicKey::Ed25519(key), jose::ed25519_public_key(x)))
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    number.get(start..).unwrap_or(&[])
}
