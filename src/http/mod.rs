//! Plain data that crosses the edge: the core's input and output.
//!
//! Header names and values are bytes, because that is what proxies and clients send. Nothing here assumes UTF-8, and
//! nothing here calls the proxy.

pub mod authority;
pub mod browser;
mod callout;
pub mod credential;
pub mod error_code;
mod fields;
pub mod form;
pub mod grpc;
mod head;
pub mod header;
pub mod managed;
pub(crate) mod percent;
pub mod place;
mod secret;
pub mod target;
pub mod template;
mod time;
pub mod url;
mod verdict;

pub use self::callout::{CALL_GRACE, Call, CallError, Response, WantedBody};
pub use self::fields::{Field, Fields, OwnedField};
pub use self::form::Form;
pub use self::head::{BadHead, ClientAddress, Head};
pub use self::secret::SecretText;
pub use self::time::UnixTime;
pub use self::verdict::{HeaderEdits, Reply, ResponseEdits};
