//! A JSON Web Key Set (RFC 7517 section 5), each key on its own: one that cannot be used is skipped with
//! a reason, and never costs the others.

use std::fmt;

use serde_json::value::RawValue;

use super::key::{Key, KeyId, Unusable};
use crate::jwt::{self, Object};

/// The largest key set that is parsed, in bytes.
pub const MAX_KEY_SET_BYTES: usize = 256 * 1024;

/// The most keys that a set may hold, usable or not.
pub const MAX_KEYS: usize = 100;

/// How much of a `kid` is shown, in characters.
const SHOWN_KID: usize = 64;

/// The usable keys of a set; at least one. Several may share a `kid`; then each of them is tried.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// A key of the set that is not used, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    kid: Option<String>,
    reason: Unusable,
}

/// Why a whole set is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetError {
    /// More than [`MAX_KEY_SET_BYTES`].
    TooLarge,
    /// Not a JSON object with an array `keys`.
    NotAKeySet,
    /// More than [`MAX_KEYS`].
    TooManyKeys,
    /// Nothing in it can verify a signature; why not, key by key.
    NoUsableKey(Vec<Skipped>),
}

impl KeySet {
    /// Parses a key set.
    ///
    /// # Errors
    /// Where not one usable key comes of it.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        if json.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let json = std::str::from_utf8(json).map_err(|_| KeySetError::NotAKeySet)?;
        let set = Object::parse(json).ok_or(KeySetError::NotAKeySet)?;
        let keys = set.get("keys").ok_or(KeySetError::NotAKeySet)?;
        let jwks: Vec<&RawValue> = serde_json::from_str(keys).map_err(|_| KeySetError::NotAKeySet)?;
        if jwks.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let mut keys = Vec::with_capacity(jwks.len());
        let mut skipped = Vec::new();
        for jwk in jwks {
            let object = Object::parse(jwk.get());
            match object.as_ref().ok_or(Unusable::NotAnObject).and_then(Key::parse) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    let kid = object.as_ref().and_then(|jwk| jwk.get("kid")).and_then(jwt::string);
                    skipped.push(Skipped { kid, reason });
                }
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey(skipped));
        }
        Ok(Self { keys, skipped })
    }

    /// The usable keys, in the order of the set.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The keys that are not used.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Whether a key is still in the set.
    #[must_use]
    pub fn contains(&self, key: KeyId) -> bool {
        self.keys.iter().any(|candidate| candidate.id() == key)
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => {
                // Nothing of a foreign text may end a line of the log or start a new one.
                let shown: String = kid.chars().take(SHOWN_KID).collect();
                write!(f, "key \"{}\": {}", shown.escape_default(), self.reason)
            }
            None => write!(f, "key without kid: {}", self.reason),
        }
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "larger than {MAX_KEY_SET_BYTES} bytes"),
            Self::NotAKeySet => f.write_str("not a JSON Web Key Set: an object with an array \"keys\""),
            Self::TooManyKeys => write!(f, "more than {MAX_KEYS} keys"),
            Self::NoUsableKey(skipped) => {
                f.write_str("no usable key")?;
                for key in skipped {
                    write!(f, "; {key}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for KeySetError {}
