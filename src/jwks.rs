//! Keys: parsing a JSON Web Key Set, keeping it fresh, and finding where it is.
//!
//! Pure: what is fetched, when, and what became of it are values; see [`KeySource`].

mod discovery;
mod key;
mod key_set;
mod source;

pub use discovery::{DiscoveryError, jwks_path};
pub use key::{Key, KeyId, Unusable};
pub use key_set::{KeySet, KeySetError, MAX_KEY_SET_BYTES, MAX_KEYS, Skipped};
pub use source::{FetchTicket, KeySource, Need};

pub(crate) use key::PublicKey;
