//! The cryptography behind `jsonwebtoken`: the proxy's if it has any, else that of RustCrypto.

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm as JwtAlgorithm;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::signature;
use sha2::{Digest as _, Sha256};

use super::proxy_verify::{self, ProxyVerify};
use super::public_key::PublicKey;
use crate::jose::{Algorithm, VerifyingKey};

/// What verifies signatures.
#[derive(Debug, Clone, Copy)]
pub enum Backend {
    /// The code in this module, whatever the proxy offers.
    Portable,
    /// The proxy for RS* and ES*. This module for the rest, and when the proxy gives no answer.
    Proxy(ProxyVerify),
}

impl Backend {
    /// Uses the proxy's function if there is one and it handles known vectors correctly. Call this once per VM: a
    /// proxy's abilities are found by trying them, not by its version.
    #[must_use]
    pub fn choose(proxy: Option<ProxyVerify>) -> Self {
        match proxy {
            Some(verify) if proxy_verify::answers_right(verify) => Self::Proxy(verify),
            Some(_) | None => Self::Portable,
        }
    }

    /// Returns whether `signature` is the signature of `message` by `key`. If the key does not serve the algorithm,
    /// no signature is accepted.
    #[must_use]
    #[inline(never)]
    pub fn verify(self, key: &VerifyingKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        // Only the first call installs it. Without a provider `jsonwebtoken` panics.
        let _ = PROVIDER.install_default();
        let (prepared, spki_der) = (Arc::clone(key.public()), Arc::clone(key.spki_der()));
        ASKED.set(Some(Asked { backend: self, key: prepared, spki_der, algorithm }));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        let verified = jsonwebtoken::crypto::verify(&signature, message, key.decoding(), algorithm.into());
        ASKED.set(None);
        verified.unwrap_or(false)
    }
}

/// Returns the SHA-256 of a key's canonical form (RFC 7638), in base64url.
pub(in crate::jose) fn thumbprint(jwk: &Jwk) -> Option<String> {
    // As in `verify`.
    let _ = PROVIDER.install_default();
    jwk.thumbprint(ThumbprintHash::SHA256).ok()
}

/// The input that `jsonwebtoken` cannot pass on. Its keys are bytes, and preparing one again for each signature would
/// cost as much as verifying it.
struct Asked {
    backend: Backend,
    key: Arc<PublicKey>,
    spki_der: Arc<[u8]>,
    algorithm: Algorithm,
}

thread_local! {
    /// The input of the current call of [`Backend::verify`].
    static ASKED: RefCell<Option<Asked>> = const { RefCell::new(None) };
}

/// A provider that can only verify. It holds no secrets.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, _key| {
        let asked = ASKED.take().filter(|asked| JwtAlgorithm::from(asked.algorithm) == *algorithm);
        let asked = asked.ok_or(ErrorKind::UnsupportedAlgorithm)?;
        Ok(Box::new(Verifier(asked)))
    },
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        compute_digest: |bytes, hash| match matches!(hash, ThumbprintHash::SHA256) {
            true => Ok(Sha256::digest(bytes).to_vec()),
            false => Err(ErrorKind::UnsupportedAlgorithm.into()),
        },
    },
};

struct Verifier(Asked);

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let Asked { backend, key, spki_der, algorithm } = &self.0;
        let by_proxy = match backend {
            Backend::Portable => None,
            Backend::Proxy(verify) => {
                proxy_verify::verify(*verify, key, spki_der, *algorithm, message, signature)
            }
        };
        let is_right = by_proxy.unwrap_or_else(|| key.verifies(*algorithm, message, signature));
        if is_right { Ok(()) } else { Err(signature::Error::new()) }
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> JwtAlgorithm {
        self.0.algorithm.into()
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::DecodingKey;

    use super::*;

    #[test]
    fn the_provider_answers_no_question_but_ours_and_never_panics() {
        let _ = PROVIDER.install_default();
        let key = DecodingKey::from_secret(b"secret");
        for algorithm in [JwtAlgorithm::HS256, JwtAlgorithm::RS256, JwtAlgorithm::EdDSA] {
            assert!(jsonwebtoken::crypto::verify("c2ln", b"message", &key, algorithm).is_err());
        }
    }
}
