//! One key: from a JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) to what can verify.
//!
//! All that is expensive or can fail happens here, once per key, so that verifying does neither.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::members::{Members, value};
use crate::jose::crypto::PublicKey;
use crate::jose::{self, Algorithm};

/// Members that only a private or symmetric key has (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key that can verify signatures.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    public: Arc<PublicKey>,
    /// Of the key as DER `SubjectPublicKeyInfo`.
    decoding: DecodingKey,
    id: KeyId,
}

/// Which key it is, whatever its `kid`: the SHA-256 of its `SubjectPublicKeyInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 32]);

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

    pub(super) fn public(&self) -> &Arc<PublicKey> {
        &self.public
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
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
        let public = match kty.as_str() {
            "RSA" => PublicKey::rsa(&number(jwk, "n")?, &number(jwk, "e")?)?,
            "EC" => {
                let (curve, x, y) = (required(jwk, "crv")?, number(jwk, "x")?, number(jwk, "y")?);
                match curve.as_str() {
                    "P-256" => PublicKey::p256(&x, &y)?,
                    "P-384" => PublicKey::p384(&x, &y)?,
                    _ => return Err(Unusable::UnknownType),
                }
            }
            "OKP" => match required(jwk, "crv")?.as_str() {
                "Ed25519" => PublicKey::ed25519(&number(jwk, "x")?)?,
                _ => return Err(Unusable::UnknownType),
            },
            _ => return Err(Unusable::UnknownType),
        };
        let algorithm: Option<Algorithm> = match optional::<String>(jwk, "alg")? {
            Some(name) => Some(name.parse().map_err(|_| Unusable::Algorithm)?),
            None => None,
        };
        if algorithm.is_some_and(|algorithm| !public.fits(algorithm)) {
            return Err(Unusable::Algorithm);
        }
        let spki_der = public.spki_der().ok_or(Unusable::UnknownType)?;
        Ok(Self {
            kid: optional(jwk, "kid")?,
            algorithm,
            id: KeyId(Sha256::digest(&spki_der).into()),
            decoding: match public {
                PublicKey::Rsa(_) => DecodingKey::from_rsa_der(&spki_der),
                PublicKey::P256(_) | PublicKey::P384(_) => DecodingKey::from_ec_der(&spki_der),
                PublicKey::Ed25519(_) => DecodingKey::from_ed_der(&spki_der),
            },
            public: Arc::new(public),
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
