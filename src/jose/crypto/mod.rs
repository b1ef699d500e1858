//! Signatures: keys that are prepared to check them, and who does: the proxy, or the portable code.

pub mod host;
mod provider;
mod public_key;

pub use host::HostVerify;
pub use provider::Backend;

pub(super) use public_key::PublicKey;
