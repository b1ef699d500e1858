//! Signatures: which code checks one, the host's or this module's.

mod der;
pub mod host;
mod rsa;
mod signature;

pub use host::HostVerify;
pub use signature::Backend;

pub(crate) use der::{ed25519_public_key, p256_public_key, p384_public_key, rsa_public_key};
pub(crate) use rsa::RsaKey;
