//! Signatures: prepared keys, and what verifies with them, either the proxy or portable code.

mod provider;
pub mod proxy_verify;
mod public_key;

pub use provider::Backend;
pub use proxy_verify::ProxyVerify;

pub(super) use provider::thumbprint;
pub(super) use public_key::PublicKey;
