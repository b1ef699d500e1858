//! Owns the signing keys: which ones are published, which one signs, and RS256 itself.

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::PrivateKey;
use rsa::pkcs1v15::{Signature, SigningKey, VerifyingKey};
use rsa::signature::{Keypair as _, SignatureEncoding as _, Signer as _, Verifier as _};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Bits of the modulus, as in Authgear's keys.
const BITS: usize = 2048;

/// Generating a key takes most of a second, so the stand-ins of a process share their first keys.
static POOL: [OnceLock<Arc<Key>>; 4] = [const { OnceLock::new() }; 4];

/// A key that nobody publishes.
static STRANGER: OnceLock<Arc<Key>> = OnceLock::new();

/// Which key signs a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer<'a> {
    /// The current signing key.
    Current,
    /// The published key with this `kid`.
    Published(&'a str),
    /// A key that no stand-in ever publishes.
    Stranger,
}

/// An RSA key pair and its `kid`.
pub(super) struct Key {
    pub(super) kid: String,
    jwk: Value,
    signing: SigningKey<Sha256>,
    verifying: VerifyingKey<Sha256>,
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Key {
    pub(super) fn stranger() -> Arc<Self> {
        STRANGER.get_or_init(Self::generate).clone()
    }

    /// Signs any two texts, JSON or not, as `header.payload.signature` (RFC 7515, section 7.1).
    pub(super) fn sign(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature: Signature = self.signing.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature.to_bytes()))
    }

    fn pooled(index: usize) -> Arc<Self> {
        match POOL.get(index) {
            Some(slot) => slot.get_or_init(Self::generate).clone(),
            None => Self::generate(),
        }
    }

    fn generate() -> Arc<Self> {
        let private = PrivateKey::new(&mut rand::rng(), BITS).expect("2048 bits are a valid RSA key size");
        let (n, e) = (encode(private.n_bytes()), encode(private.e_bytes()));
        // From the thumbprint (RFC 7638), so no two keys share a name.
        let kid = uuid(&Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)));
        let jwk = json!({"alg": "RS256", "created_at": super::now(), "e": e, "kid": kid, "kty": "RSA", "n": n, "use": "sig"});
        let signing = SigningKey::new(private);
        let verifying = signing.verifying_key();
        Arc::new(Self { kid, jwk, signing, verifying })
    }
}

/// The keys of one stand-in.
#[derive(Debug)]
pub(super) struct Keys {
    /// In the order of the key set. The signing key is not the first one, which exposes a client that always takes
    /// the first.
    published: Vec<Arc<Key>>,
    current: Arc<Key>,
    /// Further keys, published as they are.
    odd: Vec<Value>,
    next: usize,
}

impl Keys {
    pub(super) fn new() -> Self {
        let current = Key::pooled(0);
        Self { published: vec![Key::pooled(1), current.clone()], current, odd: vec![], next: 2 }
    }

    pub(super) fn current(&self) -> Arc<Key> {
        self.current.clone()
    }

    pub(super) fn published(&self, kid: &str) -> Option<Arc<Key>> {
        self.published.iter().find(|key| key.kid == kid).cloned()
    }

    /// Publishes a new key that does not sign yet.
    pub(super) fn publish(&mut self) -> Arc<Key> {
        let key = Key::pooled(self.next);
        self.next += 1;
        self.published.push(key.clone());
        key
    }

    pub(super) fn publish_odd(&mut self, jwk: Value) {
        self.odd.push(jwk);
    }

    /// Makes `kid` the signing key. False if it is not published.
    pub(super) fn sign_with(&mut self, kid: &str) -> bool {
        let key = self.published(kid);
        let known = key.is_some();
        self.current = key.unwrap_or(self.current.clone());
        known
    }

    /// Withdraws `kid` from the key set. False if it is not published, or is the signing key.
    pub(super) fn retire(&mut self, kid: &str) -> bool {
        let before = self.published.len();
        self.published.retain(|key| key.kid != kid || kid == self.current.kid);
        self.published.len() < before
    }

    /// The JSON Web Key Set (RFC 7517, section 5).
    pub(super) fn jwks(&self) -> Value {
        let own = self.published.iter().map(|key| &key.jwk);
        json!({"keys": self.odd.iter().chain(own).collect::<Vec<_>>()})
    }

    /// The claims of a token, if a published key signed it. They are not checked.
    pub(super) fn verify(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let key = self.published(header["kid"].as_str()?)?;
        let signature = Signature::try_from(decode(signature)?.as_slice()).ok()?;
        let verified =
            header["alg"] == "RS256" && key.verifying.verify(signed.as_bytes(), &signature).is_ok();
        verified.then(|| serde_json::from_slice(&decode(payload)?).ok()).flatten()
    }
}

/// The first 16 bytes as a UUID (RFC 9562, version 8).
fn uuid(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(keys: &Keys) -> Vec<String> {
        let set = keys.jwks();
        let list = set["keys"].as_array().unwrap();
        list.iter().map(|jwk| jwk["kid"].as_str().unwrap_or("-").to_owned()).collect()
    }

    fn token(key: &Key) -> String {
        key.sign(&json!({"alg": "RS256", "kid": key.kid}).to_string(), r#"{"sub":"a"}"#)
    }

    #[test]
    fn a_rotation_publishes_first_signs_next_and_retires_last() {
        let mut keys = Keys::new();
        let old = keys.current();
        let old_token = token(&old);
        let new = keys.publish();
        assert_eq!(keys.current().kid, old.kid, "published is not used yet");
        assert!(!keys.retire(&old.kid), "the key that signs stays published");
        assert!(keys.sign_with(&new.kid));
        assert!(keys.verify(&old_token).is_some(), "old tokens verify until their key is retired");
        assert!(keys.retire(&old.kid));
        assert!(!kids(&keys).contains(&old.kid));
        assert_eq!(keys.verify(&old_token), None);
        assert_eq!(keys.verify(&token(&new)).unwrap()["sub"], "a");
    }

    #[test]
    fn several_keys_are_published_and_the_one_that_signs_is_not_first() {
        let mut keys = Keys::new();
        assert_eq!(kids(&keys).len(), 2);
        assert_ne!(kids(&keys)[0], keys.current().kid);
        keys.publish_odd(json!({"kty": "oct"}));
        assert_eq!(kids(&keys).len(), 3);
    }

    #[test]
    fn only_an_untouched_token_of_a_published_key_verifies() {
        let keys = Keys::new();
        let key = keys.current();
        let good = token(&key);
        assert!(keys.verify(&good).is_some());
        let stranger = Key::stranger().sign(&json!({"alg": "RS256", "kid": key.kid}).to_string(), "{}");
        let none = key.sign(&json!({"alg": "none", "kid": key.kid}).to_string(), "{}");
        let other_payload = {
            let mut parts: Vec<&str> = good.split('.').collect();
            parts[1] = "e30";
            parts.join(".")
        };
        for bad in ["", ".", "..", "a.b.c", &stranger, &none, &other_payload, &format!("{good}.x")] {
            assert_eq!(keys.verify(bad), None, "{bad}");
        }
    }
}
