//! Keys: parsing a JSON Web Key Set, and keeping it fresh.
//!
//! Pure: what is fetched, when, and what became of it are values; see [`KeySource`].

mod key;
mod key_set;
mod source;

pub use key::{Key, KeyId, Unusable};
pub use key_set::{KeySet, KeySetError, MAX_KEY_SET_BYTES, MAX_KEYS, Skipped};
pub use source::{FetchTicket, KeySource, Need};

pub(crate) use key::PublicKey;
