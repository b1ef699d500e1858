//! What a call says of the client beside its credentials. An auth server can do without all of it.

use crate::http::Head;
use crate::http::header::has_control;

/// The longest header that only informs the auth server (tracing, the user agent), in bytes. A longer one is left
/// out: what a client sends must not make the auth server fail.
pub const MAX_INFORMATIVE: usize = 4 * 1024;

/// The value of X-Forwarded-For: the address of the connection, alone. What a client's own header says never goes
/// into a call, because servers believe its first entry.
#[must_use]
pub fn client_address(head: &Head<'_>) -> Option<String> {
    (head.client_address)().map(|address| address.to_string())
}

/// Whether the value of such a header can be sent. APISIX refuses a control byte, and then there would be no
/// answer. The SDK sends text only.
#[must_use]
pub fn can_inform(value: &[u8]) -> bool {
    value.len() <= MAX_INFORMATIVE && !has_control(value) && std::str::from_utf8(value).is_ok()
}
