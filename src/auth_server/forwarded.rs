//! What a call states about the client besides its credentials. An auth server can do without all of it.

use crate::http::Head;
use crate::http::header::has_control;

/// The longest header that merely informs the auth server (tracing, the user agent), in bytes. A longer one is left
/// out, so that a client cannot make the auth server fail.
pub const MAX_INFORMATIVE: usize = 4 * 1024;

/// Returns the value of X-Forwarded-For: only the address of the connection. A client's own header is never sent,
/// because servers trust its first entry.
#[must_use]
pub fn client_address(head: &Head<'_>) -> Option<String> {
    (head.client_address)().map(|address| address.to_string())
}

/// Returns whether the value of an informative header can be sent. APISIX refuses control bytes, so there would be no
/// answer, and the SDK sends only UTF-8.
#[must_use]
pub fn can_inform(value: &[u8]) -> bool {
    value.len() <= MAX_INFORMATIVE && !has_control(value) && std::str::from_utf8(value).is_ok()
}
