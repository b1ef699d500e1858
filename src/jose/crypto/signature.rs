//! Signatures: which code checks one, and the portable code that can check all of them.
//!
//! Everything about the key (its type, its size, that it fits the algorithm) is settled before: in
//! [`jwks`](crate::jose) when the key is parsed, and by [`Key::serves`] when a token names it.

use ed25519_dalek::Signature as Ed25519Signature;
use p256::ecdsa::Signature as P256Signature;
use p256::ecdsa::signature::Verifier;
use p384::ecdsa::Signature as P384Signature;

use super::der;
use super::host::{self, HostVerify};
use super::rsa::Hash;
use crate::jose::Algorithm;
use crate::jose::{Key, PublicKey};

/// What checks signatures.
#[derive(Debug, Clone, Copy)]
pub enum Backend {
    /// The code in this module, whatever the host can do.
    Portable,
    /// The host for RS* and ES*, this module for the rest and where the host gives no answer.
    Host(HostVerify),
}

impl Backend {
    /// Takes the host's function if there is one and it answers right for known vectors. To be called
    /// once per VM: what a host can do is found out by asking, not by its version.
    #[must_use]
    pub fn choose(host: Option<HostVerify>) -> Self {
        match host {
            Some(verify) if host::answers_right(verify) => Self::Host(verify),
            Some(_) | None => Self::Portable,
        }
    }

    /// Whether `signature` is that of `message` by `key`. The key must serve the algorithm; where it
    /// does not, no signature is right.
    #[must_use]
    pub fn verify(self, key: &Key, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let by_host = match self {
            Self::Portable => None,
            Self::Host(verify) => by_host(verify, key, algorithm, message, signature),
        };
        by_host.unwrap_or_else(|| by_portable(key.public(), algorithm, message, signature))
    }
}

/// `None` where the host cannot check this algorithm, or gave no answer.
pub(super) fn by_host(
    verify: HostVerify,
    key: &Key,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> Option<bool> {
    let (hash, fits) = match algorithm {
        Algorithm::Rs256 => ("sha256", matches!(key.public(), PublicKey::Rsa(_))),
        Algorithm::Rs384 => ("sha384", matches!(key.public(), PublicKey::Rsa(_))),
        Algorithm::Rs512 => ("sha512", matches!(key.public(), PublicKey::Rsa(_))),
        Algorithm::Es256 => ("sha256", matches!(key.public(), PublicKey::P256(_))),
        Algorithm::Es384 => ("sha384", matches!(key.public(), PublicKey::P384(_))),
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::EdDsa => return None,
    };
    // The host hears neither of the algorithm nor, in DER, of the length of r‖s.
    if !fits || signature.len() != key.signature_bytes() {
        return Some(false);
    }
    match key.public() {
        PublicKey::P256(_) | PublicKey::P384(_) => {
            verify(hash, key.spki_der(), &der::ecdsa_signature(signature), message)
        }
        PublicKey::Rsa(_) | PublicKey::Ed25519(_) => verify(hash, key.spki_der(), signature, message),
    }
}

fn by_portable(key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    match key {
        PublicKey::Rsa(key) => match algorithm {
            Algorithm::Rs256 => key.verify_pkcs1(Hash::Sha256, message, signature),
            Algorithm::Rs384 => key.verify_pkcs1(Hash::Sha384, message, signature),
            Algorithm::Rs512 => key.verify_pkcs1(Hash::Sha512, message, signature),
            // The salt is as long as the hash (RFC 7518 section 3.5).
            Algorithm::Ps256 => key.verify_pss(Hash::Sha256, message, signature),
            Algorithm::Ps384 => key.verify_pss(Hash::Sha384, message, signature),
            Algorithm::Ps512 => key.verify_pss(Hash::Sha512, message, signature),
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => false,
        },
        // `from_slice` wants exactly r‖s, neither of them zero or beyond the group's order.
        PublicKey::P256(key) => {
            algorithm == Algorithm::Es256
                && P256Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify(message, &signature).is_ok())
        }
        PublicKey::P384(key) => {
            algorithm == Algorithm::Es384
                && P384Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify(message, &signature).is_ok())
        }
        // Strict: no point of small order, and s below the group's order (RFC 8032 section 5.1.7).
        PublicKey::Ed25519(key) => {
            algorithm == Algorithm::EdDsa
                && Ed25519Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
        }
    }
}
