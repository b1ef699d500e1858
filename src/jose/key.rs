//! One key: from a JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) to a verifier.
//!
//! The result is a `jsonwebtoken::jwk::Jwk`, but that type does not parse the text. Its deserializer refuses a key
//! for members that nobody needs (`"x5c": 1`), does not know `Ed25519` as the name of an algorithm, accepts duplicate
//! members, and does not say what is wrong. So this module reads the members one by one, mends what servers write
//! against the RFC, and passes them on.
//!
//! Everything that is expensive or can fail happens here, once per key, and not during verification.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters, EllipticCurveKeyType,
    Jwk, KeyAlgorithm, KeyOperations, OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse,
    RSAKeyParameters, RSAKeyType,
};
use jsonwebtoken::{Algorithm as JwtAlgorithm, DecodingKey};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::dpop::Thumbprint;
use super::members::{Members, value};
use crate::jose::crypto::{self, PublicKey};
use crate::jose::{self, Algorithm};

/// Members that only a private or symmetric key has (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key that can verify signatures.
#[derive(Clone)]
pub struct VerifyingKey {
    jwk: Jwk,
    decoding: DecodingKey,
    public: Arc<PublicKey>,
    /// The key as DER `SubjectPublicKeyInfo`, as the proxy expects it.
    spki_der: Arc<[u8]>,
    id: KeyId,
}

/// The identity of a key, independent of its `kid`: the SHA-256 of its `SubjectPublicKeyInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 32]);

/// Why a key of a set is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnusableKey {
    /// It is not an object with distinct members.
    NotAnObject,
    /// The named member is missing, or has the wrong type.
    Member(&'static str),
    /// `use` is not `sig`, or `key_ops` does not hold `verify`.
    NotForSignatures,
    /// `kty` is `oct`. Everyone who can verify with such a key can sign.
    Symmetric,
    /// It contains the private key, which is therefore public.
    Private,
    /// `kty` or `crv` is unknown.
    UnknownType,
    /// `alg` is unknown, or does not fit the type of key.
    Algorithm,
    /// A number is not strict base64url.
    Base64,
    /// An RSA modulus of fewer than 2048 bits.
    RsaTooSmall,
    /// An RSA modulus of more than 8192 bits.
    RsaTooLarge,
    /// No RSA key has this modulus or exponent.
    RsaNumbers,
    /// Coordinates of the wrong length, not on the curve, or of a weak point.
    Point,
}

impl VerifyingKey {
    /// Returns `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.jwk.common.key_id.as_deref()
    }

    /// Returns the identity of the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Returns the thumbprint (RFC 7638), by which a token names the key. It depends on the key's numbers, not on
    /// their spelling.
    #[must_use]
    pub fn thumbprint(&self) -> Option<Thumbprint> {
        Thumbprint::parse(&crypto::thumbprint(&self.jwk)?)
    }

    /// Returns whether the key may verify signatures of this algorithm: its type must fit, and so must its `alg` if
    /// it has one.
    #[must_use]
    pub fn serves(&self, algorithm: Algorithm) -> bool {
        self.public.fits(algorithm)
            && self.jwk.common.key_algorithm.is_none_or(|only| only == named(algorithm))
    }

    pub(super) fn public(&self) -> &Arc<PublicKey> {
        &self.public
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    pub(super) fn spki_der(&self) -> &Arc<[u8]> {
        &self.spki_der
    }

    #[inline(never)]
    pub(super) fn parse(members: &Members) -> Result<Self, UnusableKey> {
        let kty = required(members, "kty")?;
        if kty == "oct" {
            return Err(UnusableKey::Symmetric);
        }
        if PRIVATE_MEMBERS.iter().any(|name| member(members, name).is_some()) {
            return Err(UnusableKey::Private);
        }
        let public_key_use: Option<PublicKeyUse> = optional(members, "use")?;
        let key_operations: Option<Vec<KeyOperations>> = optional(members, "key_ops")?;
        let is_for_signatures = public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let may_verify =
            key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !is_for_signatures || !may_verify {
            return Err(UnusableKey::NotForSignatures);
        }
        let parameters = parameters(members, &kty)?;
        let public = PublicKey::new(&parameters)?;
        let algorithm = match optional::<String>(members, "alg")? {
            Some(name) => {
                let algorithm = name.parse().ok().filter(|algorithm| public.fits(*algorithm));
                Some(algorithm.ok_or(UnusableKey::Algorithm)?)
            }
            None => None,
        };
        let jwk = Jwk {
            common: CommonParameters {
                public_key_use,
                key_operations,
                key_algorithm: algorithm.map(named),
                key_id: optional(members, "kid")?,
                ..CommonParameters::default()
            },
            algorithm: parameters,
        };
        let spki_der: Arc<[u8]> = public.spki_der().ok_or(UnusableKey::UnknownType)?.into();
        Ok(Self {
            decoding: DecodingKey::from_jwk(&jwk).map_err(|_| UnusableKey::UnknownType)?,
            jwk,
            public: Arc::new(public),
            id: KeyId(Sha256::digest(&spki_der).into()),
            spki_der,
        })
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.jwk.common.key_id)
            .field("algorithm", &self.jwk.common.key_algorithm)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for UnusableKey {
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

/// Returns the numbers of a key, in the form of RFC 7518.
fn parameters(members: &Members, kty: &str) -> Result<AlgorithmParameters, UnusableKey> {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    match kty {
        "RSA" => Ok(AlgorithmParameters::RSA(RSAKeyParameters {
            key_type: RSAKeyType::RSA,
            // Some issuers write the modulus with a leading zero byte, against RFC 7518 section 6.3.1.1.
            n: encode(without_leading_zeros(&number(members, "n")?)),
            e: encode(without_leading_zeros(&number(members, "e")?)),
        })),
        "EC" => {
            let (curve, length) = match required(members, "crv")?.as_str() {
                "P-256" => (EllipticCurve::P256, 32),
                "P-384" => (EllipticCurve::P384, 48),
                _ => return Err(UnusableKey::UnknownType),
            };
            let coordinate = |name| Ok(encode(&coordinate(&number(members, name)?, length)?));
            let (x, y) = (coordinate("x")?, coordinate("y")?);
            let key_type = EllipticCurveKeyType::EC;
            Ok(AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters { key_type, curve, x, y }))
        }
        "OKP" => match required(members, "crv")?.as_str() {
            "Ed25519" => Ok(AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: encode(&number(members, "x")?),
            })),
            _ => Err(UnusableKey::UnknownType),
        },
        _ => Err(UnusableKey::UnknownType),
    }
}

fn named(algorithm: Algorithm) -> KeyAlgorithm {
    JwtAlgorithm::from(algorithm).into()
}

/// Returns a member of a key. Some servers write absent members as `null`.
fn member<'k>(members: &'k Members, name: &str) -> Option<&'k str> {
    members.get(name).filter(|json| *json != "null")
}

fn optional<T: DeserializeOwned>(members: &Members, name: &'static str) -> Result<Option<T>, UnusableKey> {
    member(members, name).map(|json| value(json).ok_or(UnusableKey::Member(name))).transpose()
}

fn required(members: &Members, name: &'static str) -> Result<String, UnusableKey> {
    optional(members, name)?.ok_or(UnusableKey::Member(name))
}

/// Decodes a number or a point. Some servers pad base64url, against RFC 7515 section 2.
fn number(members: &Members, name: &'static str) -> Result<Vec<u8>, UnusableKey> {
    jose::base64url(required(members, name)?.trim_end_matches('=')).ok_or(UnusableKey::Base64)
}

/// Pads a coordinate to its curve's length. Some servers drop leading zeros (against RFC 7518 section 6.2.1.2).
fn coordinate(number: &[u8], length: usize) -> Result<Vec<u8>, UnusableKey> {
    let number = without_leading_zeros(number);
    let mut coordinate = vec![0; length.checked_sub(number.len()).ok_or(UnusableKey::Point)?];
    coordinate.extend_from_slice(number);
    Ok(coordinate)
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    number.get(start..).unwrap_or(&[])
}
